"""Reads device files: TOML in, `DeviceConfig` out, defaults filled in, unknown keys refused."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from virtio_mmr.spec import modern
from virtio_mmr.spec.device_types import DEVICE_TYPES, ConfigField, DeviceType
from virtio_mmr.spec.features import ALWAYS_MODERN, FIRST_MODERN, OFFERED_MODERN, UNUSED_BIT, TransportFeature
from virtio_mmr.spec.hard_ip import ADAPTERS
from virtio_mmr.spec.sriov import MOST_VIRTUAL_FUNCTIONS

from . import defaults, rules
from .device import (
    Bar,
    BarKind,
    Control,
    Datapath,
    DeviceConfig,
    Identity,
    Region,
    Requester,
    Space,
    VirtualFunctions,
)
from .errors import ConfigError, UnreadableError
from .table import Table, alternatives, integer, suggestion

#: The version of the file's layout that this loader reads.
SCHEMA = 1

_SECTIONS = (
    "schema",
    "device",
    "features",
    "queues",
    "interrupts",
    "bars",
    "config",
    "capabilities",
    "control",
    "datapath",
    "requester",
    "vf",
)

#: Other names of device types.
_KIND_ALIASES = {"blk": "block", "entropy": "rng"}

#: The MMR layouts in the order in which they are preferred.
MMR_LAYOUTS = ("vsec", "literal", "classic")

#: Offered by itself where there are virtual functions to drive, and nowhere else (virtio 1.3, 6).
_SR_IOV = 1 << TransportFeature.SR_IOV

_UNUSED_NAMES = ("UNUSED", "UNUSED_BIT", "BAD_FEATURE")

_MOST_SERIAL = (1 << 64) - 1
_MOST_OFFSET = (1 << 32) - 1


def load(path: str | Path) -> DeviceConfig:
    """The device that the file at *path* describes.

    Raises
    ------
    ConfigError
        If the file cannot be read or breaks a rule.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableError(
            "",
            None,
            f"cannot be read ({error.strerror})",
            "give the path of a device file; `vmmr new net` writes one",
            str(path),
        ) from None
    except UnicodeDecodeError:
        raise UnreadableError(
            "",
            None,
            "is not text in UTF-8",
            "give the path of a device file; `vmmr new net` writes one",
            str(path),
        ) from None
    return loads(text, str(path))


def loads(text: str, name: str = "device file") -> DeviceConfig:
    """The device that *text* describes; *name* stands in messages.

    Raises
    ------
    ConfigError
        If the text is not TOML or breaks a rule.
    """
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Besides its own error, tomllib lets through those of numbers too long and of lists too deep.
        raise ConfigError("", None, f"is not valid TOML: {error}", "correct that line", name) from None
    try:
        config = _device(Table("", values, _SECTIONS))
        rules.check(config)
    except ConfigError as error:
        raise ConfigError(error.path, error.value, error.rule, error.cure, name) from None
    return config


def not_built(path: str, value: object, what: str, cure: str) -> ConfigError:
    """The answer to what a later version will build."""
    return ConfigError(path, value, f"{what} not built yet", cure)


def _device(top: Table) -> DeviceConfig:
    if top.get("schema") not in (None, SCHEMA):
        raise ConfigError(
            "schema", top.get("schema"), f"this version reads schema {SCHEMA}", f"write schema = {SCHEMA}"
        )
    top.require("device", '{ kind = "net" }')
    device = Table("device", top.get("device"), ("kind", "identity", "profile", "revision", "serial"))
    kind = _kind(device)
    identity = _identity(device)
    device.choice("profile", "mmr-v1", ("mmr-v1",))

    queues = _queues(top.section("queues", ("sizes",)), kind)
    features = _features(top.section("features", ("offer",)), kind)
    wants_control, layouts = _capabilities(top.section("capabilities", ("mmr", "control")))

    given = _bars(top.get("bars")) if "bars" in top else None
    interrupts = top.section("interrupts", ("msix_vectors", "intx"))
    vectors = _vectors(interrupts, queues, given)
    bars = given if given is not None else defaults.bars(kind, identity, vectors, control=wants_control is not False)
    if _shows_modern(bars):
        features |= sum(1 << bit for bit in ALWAYS_MODERN)
    if wants_control is None:
        wants_control = any(region.space is Space.CONTROL for bar in bars for region in bar.regions)

    config = DeviceConfig(
        kind=kind,
        identity=identity,
        revision=device.integer("revision", 0, 0, 0xFF),
        serial=device.integer("serial", 0, 0, _MOST_SERIAL),
        features=features,
        queues=queues,
        msix_vectors=vectors,
        intx=interrupts.boolean("intx", False),
        bars=bars,
        config_image=_image(top.section("config", field_names(kind)), kind, queues, features),
        mmr_capabilities=MMR_LAYOUTS if layouts is None else layouts,
        mmr_explicit=layouts is not None,
        control=_control(top, identity, wants_control),
        datapath=_datapath(
            top.section("datapath", ("width", "adapter", "max_payload", "check_byte_enables", "strict_64bit"))
        ),
        requester=_requester(top),
    )
    several = "vf" in top and config.modern
    if features & _SR_IOV and not several:
        raise ConfigError("features.offer", "SR_IOV", "for a modern interface and virtual functions", "remove it")
    if "vf" not in top:
        return config
    return replace(config, features=features | _SR_IOV if several else features, vf=_vf(top, config))


def _vf(top: Table, config: DeviceConfig) -> VirtualFunctions:
    """The virtual functions; what the section leaves out is as in the physical function, BARs apart."""
    table = top.section("vf", ("count", "queues", "features", "msix_vectors", "bars", "config"))
    table.require("count", "8")
    sizes = table.array("queues", config.queues)
    queues = tuple(integer(f"vf.queues[{index}]", size, 1, rules.MOST_QUEUE_SIZE) for index, size in enumerate(sizes))
    features = config.features & ~_SR_IOV
    if "features" in table:
        features = _features(table, config.kind, key="features")
    if features & _SR_IOV:
        raise ConfigError("vf.features", "SR_IOV", "said by the physical function alone", "remove it")
    given = _bars(table.get("bars"), "vf.bars") if "bars" in table else None
    vectors = _vectors(table, queues, given)
    bars = given
    if bars is None:
        bars = defaults.virtual_bars(config.kind, vectors, control=config.control is not None)
    if _shows_modern(bars):
        features |= sum(1 << bit for bit in ALWAYS_MODERN)
    elif "features" not in table:
        features = config.legacy_features
    image = config.config_image
    if "config" in table:
        image = _image(table.section("config", field_names(config.kind)), config.kind, queues, features)
    shows_control = any(region.space is Space.CONTROL for bar in bars for region in bar.regions)
    control = None
    if shows_control:
        control = replace(config.control or Control(), gate_open=defaults.gate_open(Identity.MMR))
    return VirtualFunctions(
        count=table.integer("count", 1, 1, MOST_VIRTUAL_FUNCTIONS),
        function=replace(
            config,
            identity=Identity.MMR,
            serial=0,
            features=features,
            queues=queues,
            msix_vectors=vectors,
            intx=False,
            bars=bars,
            config_image=image,
            control=control,
            virtual=True,
        ),
    )


def _shows_modern(bars: tuple[Bar, ...]) -> bool:
    return any(region.space is Space.COMMON for bar in bars for region in bar.regions)


def _kind(device: Table) -> DeviceType:
    device.require("kind", '"net"')
    value = device.get("kind")
    if isinstance(value, int) and not isinstance(value, bool):
        raise not_built(
            "device.kind",
            value,
            "device types by number are",
            f"write {alternatives(DEVICE_TYPES)}",
        )
    name = device.string("kind", "net")
    return DEVICE_TYPES[_KIND_ALIASES.get(name) or device.choice("kind", "net", DEVICE_TYPES)]


def _identity(device: Table) -> Identity:
    value = device.string("identity", "mmr")
    if value == "modern":
        raise not_built(
            "device.identity", value, "a device with only the modern interface is", 'write identity = "mmr"'
        )
    return Identity(device.choice("identity", "mmr", [identity.value for identity in Identity]))


def _features(table: Table, kind: DeviceType, key: str = "offer") -> int:
    """The offered bits; ANY_LAYOUT is always among them, because a transitional device must offer it."""
    bits = 1 << TransportFeature.ANY_LAYOUT
    transport = {feature.name: int(feature) for feature in TransportFeature}
    seen: set[str] = set()
    for index, name in enumerate(table.array(key, defaults.FEATURES[kind.name])):
        path = f"{table.key(key)}[{index}]"
        if not isinstance(name, str):
            raise ConfigError(path, name, "features are given by name", 'write "NET_MAC", not 5')
        if name in seen:
            raise ConfigError(path, name, "named twice", "remove one of the two")
        seen.add(name)
        bit = kind.features.get(name, transport.get(name))
        if name in _UNUSED_NAMES:
            raise ConfigError(path, name, f"bit {UNUSED_BIT} must not be negotiated and is never offered", "remove it")
        if bit is None:
            raise _unknown_feature(path, name, kind, transport)
        if bit >= FIRST_MODERN and bit not in OFFERED_MODERN:
            raise not_built(path, name, f"bit {bit} promises what is", "remove it")
        bits |= 1 << bit
    return bits


def _unknown_feature(path: str, name: str, kind: DeviceType, transport: Mapping[str, int]) -> ConfigError:
    for other in DEVICE_TYPES.values():
        if name in other.features:
            return ConfigError(path, name, f'a feature of "{other.name}", not of "{kind.name}"', "remove it")
    known = [*kind.features, *(name for name, bit in transport.items() if bit < FIRST_MODERN or bit in OFFERED_MODERN)]
    return ConfigError(
        path,
        name,
        f'no feature of "{kind.name}"; it may offer {", ".join(known)}',
        suggestion(name, known) or "remove it",
    )


def _queues(table: Table, kind: DeviceType) -> tuple[int, ...]:
    sizes = table.array("sizes", defaults.QUEUES[kind.name])
    return tuple(integer(f"queues.sizes[{index}]", size, 1, rules.MOST_QUEUE_SIZE) for index, size in enumerate(sizes))


def _vectors(table: Table, queues: tuple[int, ...], given: tuple[Bar, ...] | None) -> int:
    """MSI-X vectors; left out, there are enough for all, unless the BARs have no place for them."""
    has_place = given is None or any(region.space is Space.MSIX for bar in given for region in bar.regions)
    default = defaults.msix_vectors(queues) if has_place else 0
    return table.integer("msix_vectors", default, 0, rules.MOST_VECTORS)


def _bars(value: object, section: str = "bars") -> tuple[Bar, ...]:
    table = Table(section, value, [str(index) for index in range(6)])
    return tuple(_bar(table.key(str(index)), index, table.get(str(index))) for index in range(6) if str(index) in table)


def _bar(path: str, index: int, value: object) -> Bar:
    table = Table(path, value, ("kind", "prefetchable", "size", "regions"))
    table.require("kind", '"memory64"')
    table.require("regions", '[{ space = "legacy", offset = 0, size = 0x1000 }]')
    return Bar(
        index=index,
        kind=BarKind(table.choice("kind", "memory64", [kind.value for kind in BarKind])),
        regions=tuple(
            _region(f"{path}.regions[{place}]", region) for place, region in enumerate(table.array("regions", ()))
        ),
        prefetchable=table.boolean("prefetchable", False),
        size=table.integer("size", 0, 0, _MOST_OFFSET),
    )


def _region(path: str, value: object) -> Region:
    table = Table(path, value, ("space", "offset", "size", "stride"))
    table.require("space", '"legacy"')
    space = table.string("space", "legacy")
    space = table.choice("space", "legacy", [known.value for known in Space])
    if "stride" in table and space != "notify":
        raise ConfigError(f"{path}.stride", table.get("stride"), 'only "notify" regions have a stride', "remove it")
    table.require("offset", "0x1000")
    table.require("size", "0x1000")
    return Region(
        space=Space(space),
        offset=table.integer("offset", 0, 0, _MOST_OFFSET),
        size=table.integer("size", 0, 0, _MOST_OFFSET),
        stride=table.integer("stride", modern.LEAST_STRIDE, 0, _MOST_OFFSET) if space == "notify" else 0,
    )


def field_names(kind: DeviceType) -> list[str]:
    """Names of the fields of the device configuration that a device file may set."""
    return [field.name for field in kind.config if not field.name.startswith("unused")]


def _image(table: Table, kind: DeviceType, queues: tuple[int, ...], features: int) -> bytes:
    """The device configuration's first contents, little-endian."""
    values: dict[str, object] = {field.name: field.reset for field in kind.config}
    values.update(defaults.FIELDS[kind.name])
    if kind.name == "block":
        values["num_queues"] = len(queues)
    elif kind.name == "net" and features >> kind.features["NET_MQ"] & 1:
        values["max_virtqueue_pairs"] = max(len(queues) // 2, 1)
    image = bytearray(kind.config_size)
    for field in kind.config:
        value = table.get(field.name) if field.name in table else values[field.name]
        image[field.offset : field.offset + field.size] = _field_bytes(table.key(field.name), field, value)
    return bytes(image)


def _field_bytes(path: str, field: ConfigField, value: object) -> bytes:
    if field.count == 1:
        return integer(path, value, 0, (1 << field.width) - 1).to_bytes(field.size, "little")
    if value == 0 and not isinstance(value, bool):
        return bytes(field.size)
    if not isinstance(value, str) or not re.fullmatch(
        f"[0-9a-fA-F]{{2}}(:[0-9a-fA-F]{{2}}){{{field.count - 1}}}", value
    ):
        example = ":".join(["52", "54", "00", "12", "34", "56"][: field.count])
        raise ConfigError(
            path,
            value,
            f"{field.count} bytes in hexadecimal, joined by colons",
            f'write {field.name} = "{example}"',
        )
    return bytes.fromhex(value.replace(":", ""))


def _capabilities(table: Table) -> tuple[bool | None, tuple[str, ...] | None]:
    """Whether a control page is wanted, and the explicit list of MMR layouts; None where nothing is said."""
    control = table.boolean("control", True) if "control" in table else None
    if table.get("mmr") is None or table.get("mmr") == "auto":
        return control, None
    if isinstance(table.get("mmr"), str):
        raise ConfigError(
            "capabilities.mmr",
            table.get("mmr"),
            'must be "auto" or a list of "vsec", "literal", "classic"',
            'write mmr = "auto"',
        )
    layouts: list[str] = []
    for index, layout in enumerate(table.array("mmr", ())):
        path = f"capabilities.mmr[{index}]"
        if not isinstance(layout, str) or layout not in MMR_LAYOUTS:
            raise ConfigError(
                path,
                layout,
                f"must be {alternatives(MMR_LAYOUTS)}",
                (suggestion(layout, MMR_LAYOUTS) if isinstance(layout, str) else "") or "remove it",
            )
        if layout in layouts:
            raise ConfigError(path, layout, "named twice", "remove one of the two")
        layouts.append(layout)
    return control, tuple(layouts)


def _control(top: Table, identity: Identity, wanted: bool) -> Control | None:
    if not wanted:
        if "control" in top:
            raise ConfigError(
                "control",
                None,
                "the device has no control page for this section to describe",
                'add a region with space = "control", or remove the section',
            )
        return None
    table = top.section("control", ("big_endian", "gate_open"))
    return Control(
        big_endian=table.boolean("big_endian", False),
        gate_open=table.boolean("gate_open", defaults.gate_open(identity)),
    )


def _requester(top: Table) -> Requester | None:
    if "requester" not in top:
        return None
    table = top.section(
        "requester", ("reads", "largest_read", "timeout", "completion_headers", "completion_bytes")
    )
    return Requester(
        reads=table.integer("reads", 64, 32, 256),
        largest_read=table.integer("largest_read", 512, 128, 4096),
        timeout=table.integer("timeout", 1 << 21, 128, 1 << 31),
        completion_headers=table.integer("completion_headers", 0, 0, 1 << 12),
        completion_bytes=table.integer("completion_bytes", 0, 0, 1 << 18),
    )


def _datapath(table: Table) -> Datapath:
    return Datapath(
        width=table.integer("width", 128, 64, 512),
        adapter=table.choice("adapter", "raw", tuple(ADAPTERS)),
        max_payload=table.integer("max_payload", 128, 128, 4096),
        check_byte_enables=table.boolean("check_byte_enables", True),
        strict_64bit=table.boolean("strict_64bit", False),
    )

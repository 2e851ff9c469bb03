"""Rules that a device keeps as a whole: values that must suit each other."""

from virtio_mmr.spec.feature_requirements import REQUIRES
from virtio_mmr.spec.features import FIRST_MODERN, TransportFeature

from . import bar_rules
from .device import DeviceConfig, Identity, Space
from .errors import ConfigError
from .queue_use import queues_used
from .table import alternatives

#: Entries of the longest queue (virtio 1.3, 2.7).
MOST_QUEUE_SIZE = 32768

#: Queues that one function may have in this version.
MOST_QUEUES = 64

#: Entries of the longest MSI-X table.
MOST_VECTORS = 2048

WIDTHS = (64, 128, 256, 512)
PAYLOADS = (128, 256, 512, 1024, 2048, 4096)
READS = (32, 64, 128, 256)

#: Least distance of two places at which a host may cut the data of a read.
LEAST_COMPLETION = 64


def check(config: DeviceConfig) -> None:
    """Checks all rules, the BARs' among them.

    Raises
    ------
    ConfigError
        For the first rule that *config* breaks.
    """
    _check_identity(config)
    _check_features(config)
    _check_queues(config)
    _check_datapath(config)
    _check_requester(config)
    bar_rules.check(config)
    _check_control(config)
    _check_mmr(config)
    _check_modern(config)
    if config.vf is not None:
        _check_virtual(config.vf.function)


#: Keys of ``[vf]`` for what has a section of its own in a device.
_VIRTUAL_KEYS = {"queues.sizes": "queues", "features.offer": "features", "interrupts.msix_vectors": "msix_vectors"}


def _check_virtual(config: DeviceConfig) -> None:
    """The same rules, told in the names of the section, and that a hypervisor maps pages."""
    try:
        check(config)
        bar_rules.check_virtual(config)
    except ConfigError as error:
        path = error.path
        for section, key in _VIRTUAL_KEYS.items():
            path = key + path.removeprefix(section) if path.startswith(section) else path
        raise ConfigError(f"vf.{path}", error.value, error.rule, error.cure) from None


def _check_identity(config: DeviceConfig) -> None:
    if config.identity is not Identity.MMR and config.revision:
        raise ConfigError(
            "device.revision",
            config.revision,
            f'identity "{config.identity.value}" is a transitional device, whose revision is 0',
            "write revision = 0, or leave it out",
        )


def _check_features(config: DeviceConfig) -> None:
    offered = {name for name, bit in config.kind.features.items() if config.features >> bit & 1}
    for name in config.kind.features:
        needed = REQUIRES.get(name)
        if name in offered and needed is not None and offered.isdisjoint(needed):
            raise ConfigError(
                "features.offer",
                None,
                f"{name} must not be offered without {' or '.join(needed)}",
                f"add {needed[0]}, or remove {name}",
            )


def _check_queues(config: DeviceConfig) -> None:
    for index, size in enumerate(config.queues):
        if size & (size - 1) or not 1 <= size <= MOST_QUEUE_SIZE:
            raise ConfigError(
                f"queues.sizes[{index}]",
                size,
                f"a queue has a power of two of entries, from 1 to {MOST_QUEUE_SIZE}",
                f"write {min(1 << size.bit_length(), MOST_QUEUE_SIZE)}",
            )
    if len(config.queues) > MOST_QUEUES:
        raise ConfigError(
            "queues.sizes",
            None,
            f"{len(config.queues)} queues; a function has at most {MOST_QUEUES}",
            f"remove {len(config.queues) - MOST_QUEUES}",
        )
    used, why = queues_used(config)
    if len(config.queues) < used:
        raise ConfigError(
            "queues.sizes",
            config.queues,
            f'this "{config.kind.name}" device needs at least {used} queues ({why})',
            f"add {used - len(config.queues)} more",
        )


def _check_datapath(config: DeviceConfig) -> None:
    for key, value, allowed in (
        ("width", config.datapath.width, WIDTHS),
        ("max_payload", config.datapath.max_payload, PAYLOADS),
    ):
        if value not in allowed:
            raise ConfigError(f"datapath.{key}", value, f"must be {alternatives(allowed)}", f"write {key} = 128")
    adapter = config.datapath.hard_ip
    if config.datapath.width not in adapter.widths:
        raise ConfigError(
            "datapath.width",
            config.datapath.width,
            f'adapter "{adapter.name}" has streams of {alternatives(adapter.widths)} bits',
            f"write width = {adapter.widths[-1]}",
        )
    if config.datapath.max_payload > adapter.most_payload:
        raise ConfigError(
            "datapath.max_payload",
            config.datapath.max_payload,
            f'adapter "{adapter.name}" has payloads of at most {adapter.most_payload} bytes',
            f"write max_payload = {adapter.most_payload}, or less",
        )
    if config.vf is not None and config.vf.count > adapter.most_virtual_functions:
        most = adapter.most_virtual_functions
        raise ConfigError(
            "vf.count",
            config.vf.count,
            f'adapter "{adapter.name}" has {f"at most {most}" if most else "no"} virtual functions',
            f"write count = {most}, or less" if most else "remove [vf], or take an UltraScale+ adapter",
        )


def _check_requester(config: DeviceConfig) -> None:
    if config.requester is None:
        return
    for key, value, allowed, usual in (
        ("reads", config.requester.reads, READS, 64),
        ("largest_read", config.requester.largest_read, PAYLOADS, 512),
    ):
        if value not in allowed:
            raise ConfigError(f"requester.{key}", value, f"must be {alternatives(allowed)}", f"write {key} = {usual}")
    requester = config.requester
    if not requester.completion_headers and not requester.completion_bytes:
        return
    # One read must fit, whatever its address.
    for key, value, least in (
        ("completion_headers", requester.completion_headers, requester.largest_read // LEAST_COMPLETION + 1),
        ("completion_bytes", requester.completion_bytes, requester.largest_read + 16),
    ):
        if value < least:
            raise ConfigError(f"requester.{key}", value, f"one read of {requester.largest_read} bytes needs {least}",
                              f"write {key} = {least} or more, or leave out completion_headers and completion_bytes")
    if requester.completion_bytes % 16:
        raise ConfigError("requester.completion_bytes", requester.completion_bytes, "must be a multiple of 16",
                          f"write completion_bytes = {requester.completion_bytes // 16 * 16}")


def _check_control(config: DeviceConfig) -> None:
    found = config.find(Space.CONTROL)
    if config.control is not None and found is None:
        raise ConfigError(
            "capabilities.control",
            True,
            "no BAR has a region for the control page",
            'add { space = "control", offset = 0x1000, size = 0x1000 } to a memory BAR, or write control = false',
        )
    if config.control is None and found is not None:
        bar, region = found
        raise ConfigError(
            "capabilities.control",
            False,
            f"bars.{bar.index}.regions[{bar.regions.index(region)}] shows the control page",
            "remove that region, or write control = true",
        )


def _check_mmr(config: DeviceConfig) -> None:
    if config.mmr_explicit and config.mmr_capabilities and config.find_in_memory(Space.LEGACY) is None:
        raise ConfigError(
            "capabilities.mmr",
            config.mmr_capabilities,
            "these point at a legacy region in a memory BAR, and there is none",
            'give a memory BAR a region with space = "legacy", or write mmr = "auto"',
        )


def _check_modern(config: DeviceConfig) -> None:
    """The structures of the modern interface come together (virtio 1.4, 4.1.4), and so do its features."""
    wanted = [Space.COMMON, Space.NOTIFY, Space.ISR, *([Space.DEVICE] if config.kind.config_size else [])]
    shown = [space for space in wanted if config.find_in_memory(space) is not None]
    if Space.COMMON in shown or Space.NOTIFY in shown:
        for space in wanted:
            if space not in shown:
                raise ConfigError(
                    "bars",
                    None,
                    f'the modern interface needs "{space.value}" beside "{shown[0].value}"',
                    f'add a region with space = "{space.value}" to a memory BAR',
                )
    elif config.features >> FIRST_MODERN:
        name = next(feature.name for feature in TransportFeature if feature >= FIRST_MODERN
                    and config.features >> feature & 1)
        raise ConfigError(
            "features.offer",
            None,
            f"{name} needs the modern interface, and no BAR shows it",
            f'add regions with space = "common" and "notify", or remove {name}',
        )

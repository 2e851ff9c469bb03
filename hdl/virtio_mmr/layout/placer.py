"""Gives every capability its place and threads the two capability lists.

Specification: PCI Local Bus 3.0, 6.7 (classic list); PCI Express Base 5.0, 7.6.3 (extended list).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.config.errors import ConfigError
from virtio_mmr.spec import configuration as spec
from virtio_mmr.spec import sriov
from virtio_mmr.spec.hard_ip import HardIp
from virtio_mmr.spec.modern import Structure
from virtio_mmr.spec.register import Register, read_only

from .bars import bar_registers
from .space import ConfigurationSpace, PlacedCapability

#: Capabilities that an endpoint cannot do without.
_MANDATORY = frozenset({"power", "express", "serial", "msix", "ari", "sriov"})

#: Where a capability stands if it may choose.
_HOMES: Mapping[str, int] = MappingProxyType(
    {
        "power": 0x40,
        "msix": 0x48,
        "modern_common": 0x54,
        "modern_notify": 0x64,
        "modern_isr": 0x78,
        "modern_device": 0x88,
        "modern_access": 0x98,
        "mmr_classic": 0xAC,
        "express": 0xC0,
        "serial": 0x100,
        "mmr_vsec": 0x110,
        "control": 0x130,
        "mmr_literal": 0x150,
    }
)

#: The same in a physical function with virtual ones, and in a virtual function.
_PHYSICAL_HOMES = MappingProxyType(
    {**_HOMES, "ari": 0x148, "sriov": 0x160, "mmr_vsec": 0x1A0, "control": 0x1C0, "mmr_literal": 0x1E0}
)
_VIRTUAL_HOMES = MappingProxyType({**_HOMES, "ari": 0x100})

#: What is placed first when room is scarce. The serial number opens the extended list, because Linux'
#: vfio shows only a placeholder of a structure like "mmr_literal" if it comes first.
_PRIORITY = (
    "power",
    "express",
    "msix",
    "serial",
    "ari",
    "sriov",
    "mmr_vsec",
    "control",
    "mmr_literal",
    "mmr_classic",
    "modern_common",
    "modern_notify",
    "modern_isr",
    "modern_device",
    "modern_access",
)

#: Beginning of the names of structures that a driver needs all or none of.
_GROUP = "modern_"

_BUILDERS = MappingProxyType(
    {
        "literal": spec.mmr_literal,
        "vsec": spec.mmr_vsec,
        "classic": spec.mmr_classic,
    }
)


@dataclass(frozen=True)
class Windows:
    """Bytes of configuration space that are ours to fill, each as (first byte, first byte behind)."""

    classic: tuple[int, int]
    extended: tuple[int, int]
    #: The header and the capabilities that every device has are ours too.
    whole: bool = True

    def of(self, kind: str) -> tuple[int, int]:
        """The window of "classic" or of "extended" capabilities."""
        return self.classic if kind == "classic" else self.extended


#: A capability and the byte where it starts.
Placed = tuple[spec.Capability, int]

#: The function owns its whole configuration space.
FULL = Windows(
    classic=(spec.FIRST_CLASSIC, spec.CLASSIC_SIZE),
    extended=(spec.FIRST_EXTENDED, spec.SPACE_SIZE),
)


def windows_of(adapter: HardIp) -> Windows:
    """What an adapter's IP leaves to the core."""
    return Windows(adapter.classic, adapter.extended, whole=not adapter.owns_header)


def place(config: DeviceConfig, windows: Windows | None = None) -> ConfigurationSpace:
    """The configuration space of *config*'s function, or the part of it that is in *windows*.

    Where hard IP owns the header, the part has virtio's own capabilities alone, packed in order of priority; of each
    list the IP points at the window's first byte. Without *windows* they are those of the device's adapter.

    Elsewhere capabilities stand at their usual places if the windows allow it, else packed in order of
    priority. With ``mmr_explicit`` every MMR layout of the list must fit; without it what does not fit
    is left out and named in ``left_out``.

    Raises
    ------
    ConfigError
        If a mandatory capability or an explicitly wanted MMR layout has no place.
    """
    windows = windows or windows_of(config.datapath.hard_ip)
    wanted, left_out = _wanted(config)
    if not windows.whole:
        wanted = [capability for capability in wanted if capability.name not in _MANDATORY]
    wanted += _modern(config, whole=windows == FULL)
    if config.modern and not config.virtual and not windows.whole:
        left_out.append(("modern_access", "needs an endpoint that owns its configuration space"))
    for name, why in left_out:
        _check_may_be_left_out(config, name, why)
    lists: list[list[Placed]] = []
    for kind in spec.HEADER_SIZE:
        members = [capability for capability in wanted if capability.kind == kind]
        placed, refused = _arrange(members, windows.of(kind), _homes(config) if windows.whole else None)
        for name, why in refused:
            _check_may_be_left_out(config, name, why)
        left_out += refused
        lists.append(placed)

    first = lists[0][0][1] if lists[0] else 0
    registers: list[Register] = []
    if windows.whole:
        registers += _header(config)
        registers.append(
            read_only("capabilities_pointer", spec.CAPABILITIES_POINTER, 8, first, "PCI Local Bus 3.0, 6.7"))
    for placed in lists:
        following = [offset for _, offset in placed[1:]] + [0]
        for (capability, offset), next_offset in zip(placed, following, strict=False):
            registers += _placed_registers(capability, offset, next_offset)

    return ConfigurationSpace(
        registers=tuple(sorted(registers, key=lambda register: register.offset)),
        capabilities=tuple(
            PlacedCapability(capability.name, capability.kind, capability.id, offset, capability.size)
            for placed in lists
            for capability, offset in placed
        ),
        left_out=tuple(left_out),
    )


def _homes(config: DeviceConfig) -> Mapping[str, int]:
    if config.virtual:
        return _VIRTUAL_HOMES
    return _HOMES if config.vf is None else _PHYSICAL_HOMES


def _header(config: DeviceConfig) -> tuple[Register, ...]:
    if config.virtual:
        return sriov.virtual_header(
            revision=config.revision,
            class_code=config.kind.class_code,
            subsystem_id=config.kind.virtio_id,
        )
    return spec.header(
        device_id=config.device_id,
        revision=config.revision,
        class_code=config.kind.class_code,
        subsystem_id=config.kind.virtio_id,
        io=any(bar.kind is BarKind.IO for bar in config.bars),
        intx=config.intx,
        bars=bar_registers(config.bars),
    )


def _wanted(config: DeviceConfig) -> tuple[list[spec.Capability], list[tuple[str, str]]]:
    """Every capability that the device should have, and what it cannot have with the reason."""
    wanted = [spec.express(max_payload=config.datapath.max_payload, virtual=config.virtual,
                           requester=config.requester is not None)]
    if config.virtual:
        wanted.append(sriov.ari())
    else:
        wanted += [spec.power(), spec.serial_number(config.serial)]
    if config.vf is not None:
        virtual = config.vf.function
        registers = bar_registers(virtual.bars, prefix="vf_")
        wanted += [
            sriov.ari(),
            sriov.sriov(count=config.vf.count, device_id=virtual.device_id, bars=registers),
        ]
    left_out: list[tuple[str, str]] = []

    msix = config.find(Space.MSIX)
    if config.msix_vectors and msix is not None:
        bar, region = msix
        wanted.append(
            spec.msix(
                vectors=config.msix_vectors,
                table_bar=bar.index,
                table_offset=region.offset,
                pending_bar=bar.index,
                pending_offset=region.offset + region.size // 2,
            )
        )

    legacy = config.find_in_memory(Space.LEGACY)
    for layout in config.mmr_capabilities:
        if legacy is not None:
            bar, region = legacy
            wanted.append(_BUILDERS[layout](bar.index, region.offset, region.size))
        else:
            left_out.append((f"mmr_{layout}", "needs a legacy region in a memory BAR to point at"))

    control = config.find(Space.CONTROL)
    if config.control is not None and control is not None:
        bar, region = control
        wanted.append(spec.control_vsec(bar.index, region.offset, region.size))
    return wanted, left_out


def _modern(config: DeviceConfig, *, whole: bool) -> list[spec.Capability]:
    """The structures of the modern interface, if the device has it; *whole*: it owns its configuration space."""
    if not config.modern:
        return []
    members = []
    for structure, space in (
        (Structure.COMMON, Space.COMMON),
        (Structure.NOTIFY, Space.NOTIFY),
        (Structure.ISR, Space.ISR),
        (Structure.DEVICE, Space.DEVICE),
    ):
        found = config.find_in_memory(space)
        if found is None or (space is Space.DEVICE and not config.kind.config_size):
            continue
        bar, region = found
        if space is Space.NOTIFY:
            members.append(spec.modern_notify(bar.index, region.offset, region.size, region.stride))
        else:
            members.append(spec.modern_structure(structure, bar.index, region.offset, region.size))
    return members + ([spec.modern_access()] if whole and not config.virtual else [])


def _arrange(
    members: Sequence[spec.Capability], window: tuple[int, int], usual: Mapping[str, int] | None
) -> tuple[list[Placed], list[tuple[str, str]]]:
    """Places the *members* of one list inside *window*; gives them in order of offset, and the refused.

    *usual* is where each of them stands if it may choose; without it the first one opens the window.
    """
    start, end = window
    if usual is not None:
        homes = [(capability, usual[capability.name]) for capability in members]
        if all(start <= offset and offset + capability.size <= end for capability, offset in homes):
            return sorted(homes, key=lambda placed: placed[1]), []

    packed: list[Placed] = []
    refused: list[tuple[str, str]] = []
    offset = start
    for capability in sorted(members, key=lambda capability: _PRIORITY.index(capability.name)):
        if offset + capability.size <= end:
            packed.append((capability, offset))
            offset += -(-capability.size // 4) * 4
        else:
            why = (
                f"needs {capability.size} bytes of the {capability.kind} window {start:#x} to {end:#x}, "
                f"which has {max(end - offset, 0)} left"
            )
            refused.append((capability.name, why))
    lacking = next((name for name, _ in refused if name.startswith(_GROUP)), None)
    if lacking is not None:
        useless = [capability.name for capability, _ in packed if capability.name.startswith(_GROUP)]
        refused += [(name, f"is of no use without {lacking}") for name in useless]
        packed = [placed for placed in packed if placed[0].name not in useless]
    return packed, refused


def _check_may_be_left_out(config: DeviceConfig, name: str, why: str) -> None:
    if name in _MANDATORY:
        raise ConfigError("capabilities", None, f'"{name}" {why}', "take an adapter with a larger window")
    layout = name.removeprefix("mmr_")
    if config.mmr_explicit and layout in config.mmr_capabilities:
        raise ConfigError(
            "capabilities.mmr",
            config.mmr_capabilities,
            f'"{layout}" {why}',
            f'leave "{layout}" out, or write mmr = "auto"',
        )


def _placed_registers(capability: spec.Capability, offset: int, following: int) -> list[Register]:
    """The capability's registers at absolute offsets, with its header."""
    clause = "PCI Local Bus 3.0, 6.7"
    if capability.kind == "classic":
        head = [
            read_only(f"{capability.name}_id", offset, 8, capability.id, clause, "Capability id."),
            read_only(f"{capability.name}_next", offset + 1, 8, following, clause, "Next one, or 0."),
        ]
    else:
        head = [
            read_only(
                f"{capability.name}_extended_header",
                offset,
                32,
                capability.id | capability.version << 16 | following << 20,
                "PCI Express Base 5.0, 7.6.3",
                "Capability id, version, next capability or 0.",
            )
        ]
    return head + [register.at(offset + register.offset) for register in capability.registers]

"""Gives every capability its place and threads the two capability lists.

Specification: PCI Local Bus 3.0, 6.7 (classic list); PCI Express Base 5.0, 7.6.3 (extended list).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..config.device import BarKind, DeviceConfig, Space
from ..config.errors import ConfigError
from ..spec import configuration as spec
from ..spec.register import Register, read_only
from .bars import bar_registers
from .space import ConfigurationSpace, PlacedCapability

#: Capabilities that an endpoint cannot do without.
_MANDATORY = frozenset({"power", "express", "serial", "msix"})

#: Where a capability stands if it may choose. The gap from 0x54 is kept for the modern virtio structures.
_HOMES: Mapping[str, int] = MappingProxyType({
    "power": 0x40, "msix": 0x48, "mmr_classic": 0xAC, "express": 0xC0,
    "serial": 0x100, "mmr_vsec": 0x110, "control": 0x130, "mmr_literal": 0x150,
})

#: What is placed first when room is scarce.
_PRIORITY = ("power", "express", "msix", "serial", "mmr_vsec", "control", "mmr_literal", "mmr_classic")

_BUILDERS = MappingProxyType({
    "literal": spec.mmr_literal, "vsec": spec.mmr_vsec, "classic": spec.mmr_classic,
})


@dataclass(frozen=True)
class Windows:
    """Bytes of configuration space that are ours to fill, each as (first byte, first byte behind)."""

    classic: tuple[int, int]
    extended: tuple[int, int]

    def of(self, kind: str) -> tuple[int, int]:
        """The window of "classic" or of "extended" capabilities."""
        return self.classic if kind == "classic" else self.extended


#: The function owns its whole configuration space.
FULL = Windows(classic=(spec.FIRST_CLASSIC, spec.CLASSIC_SIZE), extended=(spec.FIRST_EXTENDED, spec.SPACE_SIZE))


def place(config: DeviceConfig, windows: Windows = FULL) -> ConfigurationSpace:
    """The configuration space of *config*'s function.

    Capabilities take their usual place if it is free and inside the window, else the first place
    where they fit. With ``mmr_explicit`` every MMR layout of the list must fit; without it what does
    not fit is left out and named in ``left_out``.

    Raises
    ------
    ConfigError
        If a mandatory capability or an explicitly wanted MMR layout has no place.
    """
    wanted, left_out = _wanted(config)
    places: dict[str, PlacedCapability] = {}
    for capability in sorted(wanted, key=lambda capability: _PRIORITY.index(capability.name)):
        offset = _find(capability, windows.of(capability.kind), list(places.values()))
        if offset is None:
            left_out.append((capability.name, _refusal(config, capability, windows)))
        else:
            places[capability.name] = PlacedCapability(
                capability.name, capability.kind, capability.id, offset, capability.size)

    lists = {kind: [capability for capability in wanted
                    if capability.kind == kind and capability.name in places] for kind in spec.HEADER_SIZE}
    for kind, members in lists.items():
        members.sort(key=lambda capability: places[capability.name].offset)
        if kind == "extended":
            _never_first("mmr_literal", members, places, left_out, config)

    registers = list(_header(config))
    first = places[lists["classic"][0].name].offset if lists["classic"] else 0
    registers.append(read_only("capabilities_pointer", spec.CAPABILITIES_POINTER, 8, first,
                               "PCI Local Bus 3.0, 6.7"))
    for members in lists.values():
        following = [places[member.name].offset for member in members[1:]]
        for capability, following_offset in zip(members, [*following, 0], strict=True):
            registers += _placed_registers(capability, places[capability.name].offset, following_offset)

    return ConfigurationSpace(
        registers=tuple(sorted(registers, key=lambda register: register.offset)),
        capabilities=tuple(places[member.name] for members in lists.values() for member in members),
        left_out=tuple(left_out),
    )


def _header(config: DeviceConfig) -> tuple[Register, ...]:
    return spec.header(
        device_id=config.device_id, revision=config.revision, class_code=config.kind.class_code,
        subsystem_id=config.kind.virtio_id, io=any(bar.kind is BarKind.IO for bar in config.bars),
        intx=config.intx, bars=bar_registers(config.bars),
    )


def _wanted(config: DeviceConfig) -> tuple[list[spec.Capability], list[tuple[str, str]]]:
    """Every capability that the device should have, and what it cannot have with the reason."""
    wanted = [spec.power(), spec.express(max_payload=config.datapath.max_payload), spec.serial_number(config.serial)]
    left_out: list[tuple[str, str]] = []

    msix = config.find(Space.MSIX)
    if config.msix_vectors and msix is not None:
        bar, region = msix
        wanted.append(spec.msix(
            vectors=config.msix_vectors, table_bar=bar.index, table_offset=region.offset,
            pending_bar=bar.index, pending_offset=region.offset + region.size // 2,
        ))

    legacy = config.find_in_memory(Space.LEGACY)
    for layout in config.mmr_capabilities:
        if legacy is not None:
            bar, region = legacy
            wanted.append(_BUILDERS[layout](bar.index, region.offset, region.size))
        elif config.mmr_explicit:
            raise ConfigError("capabilities.mmr", config.mmr_capabilities,
                              "an MMR capability points at a legacy region in a memory BAR, and there is none",
                              'give a memory BAR a region with space = "legacy", or write mmr = "auto"')
        else:
            left_out.append((f"mmr_{layout}", "no memory BAR has a legacy region for it to point at"))

    control = config.find(Space.CONTROL)
    if config.control is not None and control is not None:
        bar, region = control
        wanted.append(spec.control_vsec(bar.index, region.offset, region.size))
    return wanted, left_out


def _find(capability: spec.Capability, window: tuple[int, int], taken: Sequence[PlacedCapability]) -> int | None:
    """Where *capability* fits: at home, else at the lowest free multiple of 4."""
    start, end = window

    def is_free(offset: int) -> bool:
        return (start <= offset and offset + capability.size <= end
                and all(offset + capability.size <= other.offset or other.end <= offset for other in taken))

    candidates = [_HOMES[capability.name], *range(start, end, 4)]
    return next((offset for offset in candidates if is_free(offset)), None)


def _refusal(config: DeviceConfig, capability: spec.Capability, windows: Windows) -> str:
    """Why *capability* has no place; raises if the device cannot do without it."""
    start, end = windows.of(capability.kind)
    why = (f"needs {capability.size} bytes, and the {capability.kind} window from {start:#x} to {end:#x} "
           f"has no such gap left")
    if capability.name in _MANDATORY:
        raise ConfigError("capabilities", None, f'"{capability.name}" {why}', "take an adapter with a larger window")
    layout = capability.name.removeprefix("mmr_")
    if config.mmr_explicit and layout in config.mmr_capabilities:
        raise ConfigError("capabilities.mmr", config.mmr_capabilities, f'"{layout}" {why}',
                          f'leave "{layout}" out, or write mmr = "auto"')
    return why


def _never_first(name: str, members: list[spec.Capability], places: dict[str, PlacedCapability],
                 left_out: list[tuple[str, str]], config: DeviceConfig) -> None:
    """Takes *name* out of the list if it would open it: Linux' vfio shows only a placeholder there."""
    if not members or members[0].name != name:
        return
    why = "would be first in the extended list, where vfio hides it"
    if config.mmr_explicit:
        raise ConfigError("capabilities.mmr", config.mmr_capabilities, f'"{name.removeprefix("mmr_")}" {why}',
                          'add "vsec" to the list')
    del members[0], places[name]
    left_out.append((name, why))


def _placed_registers(capability: spec.Capability, offset: int, following: int) -> list[Register]:
    """The capability's registers at absolute offsets, with its header."""
    clause = "PCI Local Bus 3.0, 6.7"
    if capability.kind == "classic":
        head = [read_only(f"{capability.name}_id", offset, 8, capability.id, clause, "Capability id."),
                read_only(f"{capability.name}_next", offset + 1, 8, following, clause, "Next capability, or 0.")]
    else:
        head = [read_only(f"{capability.name}_extended_header", offset, 32,
                          capability.id | capability.version << 16 | following << 20,
                          "PCI Express Base 5.0, 7.6.3", "Capability id, version, next capability or 0.")]
    return head + [register.at(offset + register.offset) for register in capability.registers]

"""Finds an MMR function by its capabilities alone: ids may be anything, those of a virtual function are all ones.

Sources: MMR series, patches 08 and 09; PCI Local Bus 3.0, 6.7; PCI Express Base 5.0, 7.6.3 and 7.9.5.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from virtio_mmr.spec import configuration as spec
from virtio_mmr.spec.device_types import DEVICE_TYPES, DeviceType
from virtio_mmr.spec.legacy import HEADER
from virtio_mmr.spec.profiles import mmr_v1

from .interface import PciHost, Unfit

_TYPES = {kind.virtio_id: kind for kind in DEVICE_TYPES.values()}

_ABSENT = 0xFFFF_FFFF

#: Most capabilities that fit: a longer list is a circle.
_MOST_CLASSIC = (spec.CLASSIC_SIZE - spec.FIRST_CLASSIC) // 4
_MOST_EXTENDED = (spec.SPACE_SIZE - spec.FIRST_EXTENDED) // 4


@dataclass(frozen=True)
class Place:
    """Where a window is: a memory BAR, and bytes inside it."""

    bar: int
    offset: int
    length: int


@dataclass(frozen=True)
class Msix:
    """A function's MSI-X capability, at *offset* of configuration space, and the place of its table."""

    offset: int
    vectors: int
    table: Place


@dataclass(frozen=True, kw_only=True)
class MmrFunction:
    """What configuration space says about an MMR function."""

    routing_id: int
    kind: DeviceType
    class_code: int
    #: It can raise INTx; a virtual function cannot.
    has_line: bool
    #: The legacy registers.
    legacy: Place
    #: Capability layouts that name that place, as a device file calls them.
    layouts: tuple[str, ...]
    #: The control page, if there is one.
    control: Place | None
    msix: Msix | None


async def scan(host: PciHost, routing_ids: Iterable[int]) -> list[MmrFunction]:
    """The MMR functions among *routing_ids*.

    Raises
    ------
    Unfit
        If one of them contradicts itself.
    """
    found = [await find(host, routing_id) for routing_id in routing_ids]
    return [function for function in found if function is not None]


async def find(host: PciHost, routing_id: int) -> MmrFunction | None:
    """The function at *routing_id*; None if there is none, or if it has no MMR capability.

    Raises
    ------
    Unfit
        If its capabilities contradict each other or name an impossible place, or if nothing is known
        about its type.
    """
    # The ids of a virtual function read all ones, so the dword with the class code decides.
    class_dword = await host.config_read(routing_id, 0x08, 4)
    if class_dword == _ABSENT or await host.config_read(routing_id, 0, 2) not in (spec.VENDOR_ID, 0xFFFF):
        return None
    places: dict[str, Place] = {}
    msix = control = None
    async for at, number in _classic(host, routing_id):
        if number == spec.ID_MSIX:
            msix = await _msix(host, routing_id, at)
        elif number == spec.ID_VENDOR and (place := await _classic_structure(host, routing_id, at)):
            places.setdefault("classic", place)
    async for at, number in _extended(host, routing_id):
        if number != spec.EXTENDED_ID_VENDOR:
            continue
        if place := await _literal(host, routing_id, at):
            places.setdefault("literal", place)
        elif place := await _vsec(host, routing_id, at, mmr_v1.VSEC_ID_LEGACY_MMR, mmr_v1.CFG_TYPE_LEGACY_MMR):
            places.setdefault("vsec", place)
        elif place := await _vsec(host, routing_id, at, mmr_v1.VSEC_ID_CONTROL, mmr_v1.CFG_TYPE_CONTROL):
            control = place
    if not places:
        return None
    if len(set(places.values())) > 1:
        raise Unfit(f"function {routing_id:#06x}: its capabilities name different places: {places}")
    legacy = next(iter(places.values()))
    for place in (legacy, *([control] if control else [])):
        await _check(host, routing_id, place)
    virtio_id = await host.config_read(routing_id, 0x2E, 2)
    if virtio_id not in _TYPES:
        raise Unfit(f"function {routing_id:#06x}: subsystem id {virtio_id:#06x} is no virtio type with a "
                    f"transitional device; known are {', '.join(map(str, sorted(_TYPES)))}")
    return MmrFunction(
        routing_id=routing_id, kind=_TYPES[virtio_id], class_code=class_dword >> 8,
        has_line=await host.config_read(routing_id, 0x3D, 1) != 0,
        legacy=legacy, layouts=tuple(sorted(places)), control=control, msix=msix)


# The lists


async def _classic(host: PciHost, function: int) -> AsyncIterator[tuple[int, int]]:
    """Offset and id of each entry of the classic list."""
    at = await host.config_read(function, spec.CAPABILITIES_POINTER, 1) & 0xFC
    for _ in range(_MOST_CLASSIC):
        if at < spec.FIRST_CLASSIC:
            return
        header = await host.config_read(function, at, 2)
        yield at, header & 0xFF
        at = header >> 8 & 0xFC
    raise Unfit(f"function {function:#06x}: its classic capability list has no end")


async def _extended(host: PciHost, function: int) -> AsyncIterator[tuple[int, int]]:
    """Offset and id of each entry of the extended list."""
    at = spec.FIRST_EXTENDED
    for _ in range(_MOST_EXTENDED):
        header = await host.config_read(function, at, 4)
        if header in (0, _ABSENT):
            return
        yield at, header & 0xFFFF
        at = header >> 20 & 0xFFC
        if at < spec.FIRST_EXTENDED:
            return
    raise Unfit(f"function {function:#06x}: its extended capability list has no end")


# The entries


async def _msix(host: PciHost, function: int, at: int) -> Msix:
    control = await host.config_read(function, at + 2, 2)
    table = await host.config_read(function, at + 4, 4)
    vectors = (control & 0x7FF) + 1
    return Msix(at, vectors, Place(table & 7, table & ~7, 16 * vectors))


async def _classic_structure(host: PciHost, function: int, at: int) -> Place | None:
    """A virtio structure of type 10 in the ordinary list."""
    header = await host.config_read(function, at, 4)
    if header >> 24 != mmr_v1.CFG_TYPE_LEGACY_MMR or header >> 16 & 0xFF < 16:
        return None
    bar = await host.config_read(function, at + 4, 1)
    return Place(bar, await host.config_read(function, at + 8, 4), await host.config_read(function, at + 12, 4))


async def _literal(host: PciHost, function: int, at: int) -> Place | None:
    """The structure as patch 08 prints it: where a legal VSEC has its length, this one has zeros."""
    location = await host.config_read(function, at + 4, 4)
    if location & 0xFF != mmr_v1.CFG_TYPE_LEGACY_MMR or location >> 16:
        return None
    return await _wide(host, function, at + 4)


async def _vsec(host: PciHost, function: int, at: int, vsec_id: int, cfg_type: int) -> Place | None:
    """The same structure behind a VSEC header."""
    header = await host.config_read(function, at + 4, 4)
    if header & 0xFFFF != vsec_id or header >> 20 < 28:
        return None
    if await host.config_read(function, at + 8, 1) != cfg_type:
        return None
    return await _wide(host, function, at + 8)


async def _wide(host: PciHost, function: int, at: int) -> Place:
    """cfg_type, BAR, id and padding; 64-bit offset; 64-bit length."""
    words = [await host.config_read(function, at + 4 * index, 4) for index in range(5)]
    return Place(words[0] >> 8 & 0xFF, words[2] << 32 | words[1], words[4] << 32 | words[3])


async def _check(host: PciHost, function: int, place: Place) -> None:
    """A place must be aligned, long enough, and in memory."""
    if place.bar > 5 or place.offset % 4 or place.length < HEADER.size:
        raise Unfit(f"function {function:#06x}: {place} is none; BARs are 0 to 5, offsets multiples of 4, "
                    f"and the registers take {HEADER.size} bytes")
    if await host.config_read(function, spec.BAR0 + 4 * place.bar, 4) & 1:
        raise Unfit(f"function {function:#06x}: BAR {place.bar} is an I/O BAR; MMR registers are in memory")

"""What a device file means when it leaves something out."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from virtio_mmr.spec import legacy
from virtio_mmr.spec.device_types import DeviceType

from .device import Bar, BarKind, Identity, Region, Space

_PAGE = 0x1000

#: Offered besides ANY_LAYOUT, by device type.
FEATURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "net": ("NET_MAC", "NET_STATUS"),
        "block": ("BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH"),
        "console": ("CONSOLE_SIZE",),
        "rng": (),
    }
)

#: Sizes of the queues, by device type.
QUEUES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "net": (128, 128),
        "block": (128,),
        "console": (64, 64),
        "rng": (8,),
    }
)

#: Initial values of configuration fields that do not start as the type's table says.
FIELDS: Mapping[str, Mapping[str, int | str]] = MappingProxyType(
    {
        "net": MappingProxyType({"mac": "52:54:00:12:34:56"}),
        "block": MappingProxyType({"capacity": 131072, "seg_max": 126, "blk_size": 512}),
        "console": MappingProxyType({"cols": 80, "rows": 25}),
        "rng": MappingProxyType({}),
    }
)


def msix_vectors(queues: tuple[int, ...]) -> int:
    """One for each queue and one for configuration changes."""
    return len(queues) + 1


def gate_open(identity: Identity) -> bool:
    """Closed where a hypervisor drives the device, open where a stock driver does."""
    return identity is not Identity.MMR


def msix_size(vectors: int) -> int:
    """Bytes of the least power of two that holds a table of *vectors* entries in its lower half."""
    return 1 << (2 * 16 * vectors - 1).bit_length()


def legacy_size(kind: DeviceType) -> int:
    """Bytes of the least legacy window: the header with vectors, then the device's configuration."""
    return -(-(legacy.CONFIG_OFFSET[True] + kind.config_size) // 4) * 4


def bars(kind: DeviceType, identity: Identity, vectors: int, *, control: bool) -> tuple[Bar, ...]:
    """A BAR map for *identity*.

    For ``legacy-io`` the legacy window alone stands in I/O BAR 0 and the rest in memory BAR 1; else
    all windows stand in BAR 0, each in pages of its own, in the order legacy, control, isr, device,
    msix.
    """
    if identity is Identity.LEGACY_IO:
        ports = Bar(index=0, kind=BarKind.IO, regions=(Region(space=Space.LEGACY, offset=0, size=legacy_size(kind)),))
        memory = _pages([Space.CONTROL] if control else [], vectors)
        return (ports, Bar(index=1, kind=BarKind.MEMORY32, regions=memory)) if memory else (ports,)

    spaces = [Space.LEGACY, *([Space.CONTROL] if control else []), Space.ISR, Space.DEVICE]
    width = BarKind.MEMORY64 if identity is Identity.MMR else BarKind.MEMORY32
    return (Bar(index=0, kind=width, regions=_pages(spaces, vectors)),)


def virtual_bars(kind: DeviceType, vectors: int, *, control: bool) -> tuple[Bar, ...]:
    """A BAR map for virtual functions: that of identity "mmr" in BAR 2, so that BAR 0 stays free."""
    return tuple(replace(bar, index=2) for bar in bars(kind, Identity.MMR, vectors, control=control))


def _pages(spaces: list[Space], vectors: int) -> tuple[Region, ...]:
    """One page for each of *spaces*, then the MSI-X region, aligned to its size, if there are vectors."""
    regions = [Region(space=space, offset=_PAGE * place, size=_PAGE) for place, space in enumerate(spaces)]
    if vectors:
        size = max(msix_size(vectors), _PAGE)
        offset = -(-_PAGE * len(regions) // size) * size
        regions.append(Region(space=Space.MSIX, offset=offset, size=size))
    return tuple(regions)

"""Rules of BARs and of the regions inside them."""

from itertools import pairwise

from virtio_mmr.spec import control, modern, msix

from . import defaults
from .device import Bar, BarKind, DeviceConfig, Identity, Region, Space
from .errors import ConfigError

#: Bytes of the largest BAR: offsets inside a BAR are 20 bits.
MOST_BYTES = 1 << 20

#: Bytes of the largest I/O BAR (PCI Local Bus 3.0, 6.2.5.1).
MOST_IO_BYTES = 256

LAST_INDEX = 5

_PAGE = 0x1000


def check(config: DeviceConfig) -> None:
    """Checks every BAR, then what the BARs must show together.

    Raises
    ------
    ConfigError
        For the first rule that the BARs of *config* break.
    """
    for bar in config.bars:
        _check_bar(config, bar)
        for place, region in enumerate(bar.regions):
            _check_region(config, bar, region, _path(bar, place))
        _check_overlap(bar)
    _check_each_space_once(config)
    _check_legacy(config)
    _check_msix(config)


def check_virtual(config: DeviceConfig) -> None:
    """Checks what virtual functions ask of their BARs besides.

    Raises
    ------
    ConfigError
        If a BAR is not memory, or less than a page.
    """
    for bar in config.bars:
        if bar.decoded_size < _PAGE:
            raise ConfigError(
                f"bars.{bar.index}.size",
                bar.decoded_size,
                "a virtual function's BAR has at least a page, which a hypervisor maps",
                f"write size = {_PAGE:#x}",
            )


def _path(bar: Bar, place: int) -> str:
    return f"bars.{bar.index}.regions[{place}]"


def _check_bar(config: DeviceConfig, bar: Bar) -> None:
    path = f"bars.{bar.index}"
    if bar.kind is BarKind.MEMORY64:
        if bar.index == LAST_INDEX:
            raise ConfigError(
                f"{path}.kind",
                bar.kind.value,
                "a 64-bit BAR takes two registers, and none follows the last",
                'use a lower index, or write kind = "memory32"',
            )
        if any(other.index == bar.index + 1 for other in config.bars):
            raise ConfigError(
                f"bars.{bar.index + 1}",
                None,
                f"this register is the upper half of the 64-bit BAR {bar.index}",
                f"write [bars.{bar.index + 2}] instead"
                if bar.index + 2 <= LAST_INDEX
                else f'write kind = "memory32" in [bars.{bar.index}]',
            )
    if not bar.regions:
        raise ConfigError(
            f"{path}.regions",
            (),
            "a BAR shows at least one region",
            'add { space = "legacy", offset = 0, size = 0x1000 }, or remove the BAR',
        )
    if bar.size & (bar.size - 1):
        raise ConfigError(
            f"{path}.size",
            bar.size,
            "the size of a BAR is a power of two",
            f"write size = {1 << bar.size.bit_length():#x}, or leave it out",
        )
    if bar.kind is BarKind.IO:
        _check_io(config, bar, path)
    for place, region in enumerate(bar.regions):
        if region.end > MOST_BYTES:
            raise ConfigError(
                f"{_path(bar, place)}.offset",
                region.offset,
                f"the region ends at {region.end:#x}, and a BAR has at most {MOST_BYTES:#x} bytes",
                "move it down, or make it smaller",
            )
    if bar.size > MOST_BYTES:
        raise ConfigError(
            f"{path}.size",
            bar.size,
            f"a BAR has at most {MOST_BYTES:#x} bytes",
            "leave size out: the BAR is then as small as it can be",
        )
    used = max(region.end for region in bar.regions)
    if bar.size and bar.size < used:
        raise ConfigError(
            f"{path}.size",
            bar.size,
            f"its regions need {used:#x} bytes",
            "leave size out: the BAR is then as small as it can be",
        )


def _check_io(config: DeviceConfig, bar: Bar, path: str) -> None:
    if config.identity is not Identity.LEGACY_IO or bar.index != 0:
        raise ConfigError(
            f"{path}.kind",
            bar.kind.value,
            'an I/O BAR is BAR 0 of identity "legacy-io" and nothing else',
            'write kind = "memory32" or "memory64"',
        )
    if bar.prefetchable:
        raise ConfigError(f"{path}.prefetchable", True, "an I/O BAR is never prefetchable", "leave it out")
    for place, region in enumerate(bar.regions):
        if region.space is not Space.LEGACY or region.offset != 0:
            raise ConfigError(
                f"{_path(bar, place)}",
                None,
                "an I/O BAR shows the legacy region at offset 0 and nothing else",
                "move the region to a memory BAR, or to offset 0",
            )
    if bar.decoded_size > MOST_IO_BYTES:
        size = defaults.legacy_size(config.kind)
        raise ConfigError(
            f"{path}",
            None,
            f"an I/O BAR has at most {MOST_IO_BYTES} bytes, not {bar.decoded_size}",
            f"write size = {size:#x} in its region",
        )


def _check_region(config: DeviceConfig, bar: Bar, region: Region, path: str) -> None:
    if region.offset % 4:
        raise ConfigError(
            f"{path}.offset",
            region.offset,
            "offsets are multiples of 4",
            f"write offset = {region.offset - region.offset % 4:#x}",
        )
    if region.space is Space.CONTROL:
        if region.offset % _PAGE:
            raise ConfigError(
                f"{path}.offset",
                region.offset,
                "the control page has a 4096-byte page of its own, for a hypervisor to keep",
                f"write offset = {-(-region.offset // _PAGE) * _PAGE:#x}",
            )
        if region.size != control.WINDOW_SIZE:
            raise ConfigError(
                f"{path}.size",
                region.size,
                f"the control page has {control.WINDOW_SIZE:#x} bytes",
                f"write size = {control.WINDOW_SIZE:#x}",
            )
        return
    if region.space is Space.MSIX:
        _check_msix_region(config, region, path)
        return
    if region.space is Space.NOTIFY:
        _check_stride(region, path)
    least = _least_size(config, region)
    if region.size < least:
        raise ConfigError(
            f"{path}.size",
            region.size,
            f'"{region.space.value}" needs {least:#x} bytes for {_reason(config, region)}',
            f"write size = {max(least, 0x1000) if bar.kind is not BarKind.IO else least:#x}",
        )
    if region.size % 4:
        raise ConfigError(
            f"{path}.size",
            region.size,
            "sizes are multiples of 4",
            f"write size = {-(-region.size // 4) * 4:#x}",
        )


def _reason(config: DeviceConfig, region: Region) -> str:
    if region.space is Space.NOTIFY:
        return f"{len(config.queues)} queues at stride {region.stride}"
    return f'a "{config.kind.name}" device'


def _check_stride(region: Region, path: str) -> None:
    stride = region.stride
    if stride & (stride - 1) or 0 < stride < modern.LEAST_STRIDE:
        raise ConfigError(
            f"{path}.stride",
            stride,
            f"0, or a power of two from {modern.LEAST_STRIDE} up",
            f"write stride = {max(1 << stride.bit_length() - 1, modern.LEAST_STRIDE)}",
        )


def _least_size(config: DeviceConfig, region: Region) -> int:
    """Bytes that a window needs, rounded up to whole dwords."""
    space = region.space
    if space is Space.COMMON:
        return modern.COMMON.size
    if space is Space.NOTIFY:
        return (len(config.queues) - 1) * region.stride + modern.NOTIFY_SIZE
    if space is Space.LEGACY:
        return defaults.legacy_size(config.kind)
    if space is Space.DEVICE:
        return max(-(-config.kind.config_size // 4) * 4, 4)
    return 4


def _check_msix_region(config: DeviceConfig, region: Region, path: str) -> None:
    if region.offset % 8:
        raise ConfigError(
            f"{path}.offset",
            region.offset,
            "the MSI-X table starts at a multiple of 8",
            f"write offset = {region.offset - region.offset % 8:#x}",
        )
    least = defaults.msix_size(max(config.msix_vectors, 1))
    if region.size & (region.size - 1) or region.size < 2 * msix.ENTRY_SIZE:
        raise ConfigError(
            f"{path}.size",
            region.size,
            "the MSI-X region is a power of two of bytes, at least 0x20",
            f"write size = {max(least, _PAGE):#x}",
        )
    if region.size < least:
        raise ConfigError(
            f"{path}.size",
            region.size,
            f"table and pending bits of {config.msix_vectors} vectors need {least:#x} bytes",
            f"write size = {max(least, _PAGE):#x}",
        )


def _check_overlap(bar: Bar) -> None:
    placed = sorted(enumerate(bar.regions), key=lambda item: item[1].offset)
    for (_, left), (place, right) in pairwise(placed):
        if left.end > right.offset:
            raise ConfigError(
                f"{_path(bar, place)}.offset",
                right.offset,
                f'"{right.space.value}" overlaps "{left.space.value}", which ends at {left.end:#x}',
                f"write offset = {left.end:#x} or more",
            )


def _check_each_space_once(config: DeviceConfig) -> None:
    """A space is shown once; the legacy window also beside an I/O BAR, for drivers of either kind."""
    seen: set[tuple[Space, bool]] = set()
    for bar in config.bars:
        for place, region in enumerate(bar.regions):
            key = region.space, bar.kind is BarKind.IO
            if key in seen:
                raise ConfigError(
                    f"{_path(bar, place)}.space",
                    region.space.value,
                    "shown by another region too",
                    "remove one of the two",
                )
            seen.add(key)


def _check_legacy(config: DeviceConfig) -> None:
    first = next((bar for bar in config.bars if bar.index == 0), None)
    shows_legacy = first is not None and any(
        region.space is Space.LEGACY and region.offset == 0 for region in first.regions
    )
    if config.find(Space.LEGACY) is None:
        raise ConfigError(
            "bars",
            None,
            "no BAR shows the legacy registers",
            'add { space = "legacy", offset = 0, size = 0x1000 } to the regions of a BAR',
        )
    if config.identity is Identity.LEGACY_MEMORY and not shows_legacy:
        raise ConfigError(
            "bars.0",
            None,
            'identity "legacy-memory" shows the legacy registers at offset 0 of BAR 0',
            'add { space = "legacy", offset = 0, size = 0x1000 } there',
        )
    if config.identity is Identity.LEGACY_IO and (first is None or first.kind is not BarKind.IO):
        raise ConfigError(
            "bars.0",
            None,
            'identity "legacy-io" shows the legacy registers in I/O BAR 0',
            f'write kind = "io" and regions = [{{ space = "legacy", offset = 0, '
            f"size = {defaults.legacy_size(config.kind):#x} }}]",
        )


def _check_msix(config: DeviceConfig) -> None:
    found = config.find(Space.MSIX)
    if config.msix_vectors and found is None:
        size = max(defaults.msix_size(config.msix_vectors), _PAGE)
        raise ConfigError(
            "interrupts.msix_vectors",
            config.msix_vectors,
            "no BAR has a region for the MSI-X table",
            f'add {{ space = "msix", offset = ..., size = {size:#x} }}, or write msix_vectors = 0',
        )
    if not config.msix_vectors and found is not None:
        bar, region = found
        raise ConfigError(
            f"{_path(bar, bar.regions.index(region))}.space",
            "msix",
            "the device has no MSI-X vectors",
            "remove the region, or give msix_vectors a number",
        )

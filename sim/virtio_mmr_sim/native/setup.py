"""What firmware does before a driver comes: addresses into the BARs, decoding on."""

from collections.abc import Mapping

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.spec.configuration import BAR0

from .model import NativeModel

#: Offset of the Command register; its bits for I/O, memory and bus mastering.
COMMAND, IO, MEMORY, BUS_MASTER = 0x04, 1, 2, 4

#: Where memory BARs go unless told otherwise, below and above 4 GiB; and I/O BARs.
BELOW_4G, ABOVE_4G, IO_BASE = 0xF000_0000, 0x10_0000_0000, 0x1000


def addresses(config: DeviceConfig, base: int = BELOW_4G) -> dict[int, int]:
    """An aligned place for every BAR, memory from *base* up (64-bit BARs only, if that is above 4 GiB)."""
    found, memory, io = {}, base, IO_BASE
    for bar in sorted(config.bars, key=lambda bar: -bar.decoded_size):
        if bar.kind is BarKind.IO:
            found[bar.index] = io
            io += bar.decoded_size
        elif bar.kind is BarKind.MEMORY32 and base >> 32:
            found[bar.index] = BELOW_4G
        else:
            found[bar.index] = memory
            memory += bar.decoded_size
    return found


def bring_up(
    model: NativeModel, config: DeviceConfig, base: int = BELOW_4G, *, command: int = IO | MEMORY | BUS_MASTER
) -> Mapping[Space, int]:
    """Program the BARs and enable decoding; the address of each window, the first one of its kind."""
    places = addresses(config, base)
    for bar in config.bars:
        model.config_write(BAR0 + 4 * bar.index, places[bar.index] & 0xFFFF_FFFF)
        if bar.kind is BarKind.MEMORY64:
            model.config_write(BAR0 + 4 * bar.index + 4, places[bar.index] >> 32)
    model.config_write(COMMAND, command, 0b0011)
    return windows(config, places)


def windows(config: DeviceConfig, places: Mapping[int, int]) -> dict[Space, int]:
    """The address of each window when the BARs stand at *places*."""
    found: dict[Space, int] = {}
    for bar in config.bars:
        for region in bar.regions:
            found.setdefault(region.space, places[bar.index] + region.offset)
    return found

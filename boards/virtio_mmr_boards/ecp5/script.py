"""What the traffic generator sends, and what must come back: a host's first accesses, then a driver's, for ever.

Every packet is one beat of 128 bits: three header dwords, and one of payload or nothing.
"""

from dataclasses import dataclass

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.layout import place
from virtio_mmr.spec.tlp import TlpType

from virtio_mmr_boards.board import BoardError

#: Streams of other widths are not spoken.
WIDTH = 128

#: Where the BAR with the legacy window is put, and the ids of device and host.
_BASE = 0xE000_0000
_DEVICE, _HOST = 0x0100, 0x0008

_WRITE, _WITH_DATA = 1 << 30, 1 << 30


@dataclass(frozen=True)
class Step:
    """A packet, and the completion that answers it."""

    #: Dwords: three of header, one of payload if there is any.
    packet: tuple[int, ...]
    #: Dwords of the completion; none for a posted write.
    answer: tuple[int, ...] = ()


@dataclass(frozen=True)
class Script:
    """Steps in order; after the last comes *again*, the first that a driver takes."""

    steps: tuple[Step, ...]
    again: int


def _request(kind: TlpType, where: int, data: int | None, tag: int, enables: int = 0xF) -> tuple[int, ...]:
    head = (_WRITE if data is not None else 0) | kind << 24 | 1
    return (head, _HOST << 16 | tag << 8 | enables, where) + ((data,) if data is not None else ())


def _answer(tag: int, lower_address: int, data: int | None = None) -> tuple[int, ...]:
    head = TlpType.COMPLETION << 24 | ((_WITH_DATA | 1) if data is not None else 0)
    return (head, _DEVICE << 16 | 4, _HOST << 16 | tag << 8 | lower_address) + ((data,) if data is not None else ())


def _config_read(tag: int, register: int, value: int) -> Step:
    return Step(_request(TlpType.CONFIG_0, _DEVICE << 16 | register, None, tag), _answer(tag, 0, value))


def _config_write(tag: int, register: int, value: int) -> Step:
    return Step(_request(TlpType.CONFIG_0, _DEVICE << 16 | register, value, tag), _answer(tag, 0))


def _read(tag: int, address: int, value: int) -> Step:
    return Step(_request(TlpType.MEMORY, address, None, tag), _answer(tag, address & 0x7F, value))


def _write(address: int, value: int, enables: int = 0xF) -> Step:
    return Step(_request(TlpType.MEMORY, address, value, 0, enables))


def script(device: DeviceConfig) -> Script:
    """The script for *device*.

    Raises
    ------
    BoardError
        If the device has not what the script needs.
    """
    if device.datapath.width != WIDTH or device.datapath.adapter != "raw":
        raise BoardError(
            f"the traffic generator speaks raw TLPs of {WIDTH} bit, and the device has {device.datapath.adapter} of "
            f'{device.datapath.width}; write datapath.width = {WIDTH} and datapath.adapter = "raw"')
    found = device.find_in_memory(Space.LEGACY)
    if found is None:
        raise BoardError("the traffic generator drives the legacy window, and the device has none in a memory BAR; "
                         'add a region with space = "legacy"')
    bar, region = found
    legacy = _BASE + region.offset
    image = place(device).reset_image()
    identity = int.from_bytes(image[:4], "little")
    upper = [_config_write(2, 0x14 + 4 * bar.index, 0)] if bar.kind is BarKind.MEMORY64 else []
    setup = [
        _config_write(1, 0x10 + 4 * bar.index, _BASE),          # the device learns its number from this
        *upper,
        _config_write(3, 4, 0x0006),
        _config_read(0, 0, identity),
    ]
    size = device.queues[0]
    drive = [
        _write(legacy + 0x10, 0, 0b0100),                       # status 0: reset
        _write(legacy + 0x10, 1 << 16, 0b0100),                 # status 1: somebody is here
        _read(4, legacy + 0x10, 1 << 16),
        _read(5, legacy, device.legacy_features),
        _write(legacy + 4, 0xFFFF_FFFF),                        # accept everything; what is not offered is not stored
        _read(6, legacy + 4, device.legacy_features),
        _write(legacy + 0xC, 0, 0b1100),                        # the first queue
        _read(7, legacy + 0xC, size),
        _write(legacy + 8, 0x1234),
        _read(8, legacy + 8, 0x1234),
        _write(legacy + 0xC, 0x7FFF_0000, 0b1100),              # a queue that does not exist
        _read(9, legacy + 0xC, 0x7FFF_0000),
        _read(10, legacy + 8, 0),
        _write(legacy + 0xC, 0, 0b1100),
        _write(legacy + 8, 0),
        _config_read(11, 0, identity),
    ]
    return Script((*setup, *drive), len(setup))

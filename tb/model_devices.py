"""Devices for tests of the golden model, and a host that talks to it in bytes."""

from dataclasses import replace
from typing import Any

from virtio_mmr.config.device import Bar, BarKind, Control, DeviceConfig, Identity, Region, Space
from virtio_mmr.spec.device_types import BLOCK, CONSOLE, ENTROPY, NET, DeviceType
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.tlp import (
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Tlp,
    build,
    extent,
    parse,
    to_bytes,
)

#: Where the host puts BAR 0; the legacy window is at its start.
BASE = 0xF000_0000

#: The same for an I/O BAR.
IO_BASE = 0xC000

REGIONS = (
    Region(space=Space.LEGACY, offset=0x0000, size=0x1000),
    Region(space=Space.CONTROL, offset=0x1000, size=0x1000),
    Region(space=Space.ISR, offset=0x2000, size=0x1000),
    Region(space=Space.DEVICE, offset=0x3000, size=0x1000),
    Region(space=Space.MSIX, offset=0x4000, size=0x1000),
)

CONTROL, ISR, DEVICE, MSIX, HOLE = 0x1000, 0x2000, 0x3000, 0x4000, 0x6000


def image(kind: DeviceType, **values: int) -> bytes:
    """Device configuration with some fields set; a field of several elements takes them in one number."""
    data = bytearray(kind.config_size)
    for field in kind.config:
        value = values.get(field.name, field.reset)
        data[field.offset:field.offset + field.size] = value.to_bytes(field.size, "little")
    return bytes(data)


def net(**changes: Any) -> DeviceConfig:
    """Two queues, three vectors, the gate open."""
    return replace(DeviceConfig(
        kind=NET, identity=Identity.MMR, serial=0x1122_3344_5566_7788,
        features=1 << 27 | 1 << 28 | 1 << 16 | 1 << 5, queues=(128, 256), msix_vectors=3, intx=True,
        bars=(Bar(index=0, kind=BarKind.MEMORY64, regions=REGIONS),),
        config_image=image(NET, mac=0x5634_1200_5452, mtu=1500, max_virtqueue_pairs=1),
        control=Control(big_endian=True, gate_open=True),
    ), **changes)


#: Where the modern windows of `transitional` are.
COMMON, NOTIFY = 0x5000, 0x6000

#: Every bit of the upper word that can be offered, but for IN_ORDER.
UPPER = sum(1 << bit for bit in (32, 33, 36, 38, 39, 40))


def transitional(stride: int = 8, **changes: Any) -> DeviceConfig:
    """As net, with a modern interface whose notification addresses are *stride* bytes apart."""
    regions = (*REGIONS, Region(space=Space.COMMON, offset=COMMON, size=0x1000),
               Region(space=Space.NOTIFY, offset=NOTIFY, size=0x1000, stride=stride))
    return replace(net(), features=net().features | UPPER,
                   bars=(Bar(index=0, kind=BarKind.MEMORY64, regions=regions),), **changes)


def block(**changes: Any) -> DeviceConfig:
    """One queue, two vectors, a 32-bit BAR."""
    return replace(DeviceConfig(
        kind=BLOCK, identity=Identity.LEGACY_MEMORY, queues=(64,),
        features=1 << 27 | 1 << 11 | 1 << 9 | 1 << 6,
        msix_vectors=2, intx=True, bars=(Bar(index=0, kind=BarKind.MEMORY32, regions=REGIONS),),
        config_image=image(BLOCK, capacity=0x0123_4567_89AB, blk_size=512, num_queues=1, writeback=1),
        control=Control(big_endian=True, gate_open=True),
    ), **changes)


def console(**changes: Any) -> DeviceConfig:
    """As block, with a wide field that belongs to the driver."""
    return replace(block(), kind=CONSOLE, features=1 << 27 | 1 << 2, queues=(16, 16),
                   config_image=image(CONSOLE, cols=80, rows=25), **changes)


def entropy(**changes: Any) -> DeviceConfig:
    """One queue, two vectors, an I/O BAR beside the memory BAR, no device configuration."""
    legacy = (Region(space=Space.LEGACY, offset=0, size=0x40),)
    return replace(DeviceConfig(
        kind=ENTROPY, identity=Identity.LEGACY_IO, queues=(8,), msix_vectors=2, intx=True,
        bars=(Bar(index=0, kind=BarKind.IO, regions=legacy, size=0x80),
              Bar(index=2, kind=BarKind.MEMORY64, regions=REGIONS)),
        config_image=b"", control=Control(big_endian=True, gate_open=True),
    ), **changes)


class Host:
    """Enumerates a device and reads and writes it; every access must be answered as it should."""

    def __init__(self, config: DeviceConfig, command: int = 0x407):
        self.model = EndpointModel(config)
        for bar in config.bars:
            self.config_write(0x10 + 4 * bar.index, 4, IO_BASE if bar.kind is BarKind.IO else BASE)
        self.config_write(0x04, 2, command & (0xFFFF if config.intx else 0xFBFF))

    def send(self, request: MemoryRequest | IoRequest | ConfigRequest) -> list[list[int]]:
        return self.model.receive(build(request))

    def data(self, completions: list[list[int]]) -> list[int]:
        """The payload of successful completions, put together."""
        payload: list[int] = []
        for completion in completions:
            assert completion[0] >> 24 == 0x4A, [hex(dword) for dword in completion]
            assert completion[1] >> 13 & 7 == 0
            payload += completion[3:]
        return payload

    def config_read(self, offset: int, size: int = 4) -> int:
        at, _, first, last = extent(offset, size)
        assert last == 0
        [dword] = self.data(self.send(ConfigRequest(bus=1, offset=at, first_be=first)))
        return dword >> 8 * (offset - at)

    def config_write(self, offset: int, size: int, value: int) -> None:
        at, _, first, _ = extent(offset, size)
        [completion] = self.send(ConfigRequest(
            write=True, bus=1, offset=at, first_be=first, data=value << 8 * (offset - at) & 0xFFFF_FFFF))
        assert completion[0] >> 24 == 0x0A and completion[1] >> 13 & 7 == 0

    def msix(self, enable: bool) -> None:
        """Set MSI-X Enable."""
        self.config_write(0x4A, 2, enable << 15)

    def read_bytes(self, offset: int, size: int) -> bytes:
        at, length, first, last = extent(BASE + offset, size)
        answer = self.send(MemoryRequest(address=at, length=length, first_be=first, last_be=last))
        return to_bytes(self.data(answer))[(BASE + offset) % 4:][:size]

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.read_bytes(offset, size), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        at, length, first, last = extent(BASE + offset, size)
        data = bytes(offset % 4) + value.to_bytes(size, "little")
        data += bytes(-len(data) % 4)
        payload = tuple(int.from_bytes(data[index:index + 4], "little") for index in range(0, len(data), 4))
        assert self.send(MemoryRequest(
            write=True, address=at, length=length, first_be=first, last_be=last, payload=payload)) == []

    def reset_done(self) -> None:
        """Let the back end hear of a reset and acknowledge it."""
        self.model.drain(("reset_request",))
        self.model.reset_done(0, self.epoch)

    @property
    def epoch(self) -> int:
        return self.model.function.fence.epoch

    def interrupt(self, config_change: bool = False, queue: int = 0) -> None:
        """An interrupt cause in the current epoch."""
        self.model.interrupt_cause(0, self.epoch, queue, config_change)

    def sent(self) -> list[Tlp]:
        """What the device has sent of its own accord since the last call."""
        return [parse(dwords) for dwords in self.model.take_sent()]

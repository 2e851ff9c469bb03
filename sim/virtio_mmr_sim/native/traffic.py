"""Random packets for the fuzzer: mostly what a driver might send, some of it wrong.

A golden model stands beside the generator, so that addresses hit and the device is brought back to
life after a write that disabled it.
"""

import random
from collections.abc import Callable
from typing import Any

from virtio_mmr.config.device import BarKind, DeviceConfig, Region, Space
from virtio_mmr.layout import place
from virtio_mmr.spec.configuration import BAR0, SPACE_SIZE
from virtio_mmr.spec.tlp import TlpType

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.endpoint import EndpointModel

#: Byte enables that a naturally aligned access of 1, 2 or 4 bytes has, and some that it never has.
_NATURAL = (1, 2, 4, 8, 3, 12, 15, 15, 15, 15)

#: Dwords of the legacy window that an access aims at: the header and the first configuration bytes.
_LEGACY = (0x00, 0x04, 0x04, 0x08, 0x08, 0x0C, 0x0C, 0x10, 0x10, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x30)
_CONTROL = (0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x24, 0x28)

#: Status bytes in the order of a driver's life, and what drivers do wrong.
_STATUS = (0, 0, 1, 3, 7, 7, 0x0B, 0x0F, 0x47, 0x80, 0x83, 0xFF)

#: Offset of the Command register.
_COMMAND = 0x04

#: Windows that nothing is written to: without an interrupt unit the table keeps its reset values.
KEEPS_NOTHING = frozenset({Space.MSIX})


class Traffic:
    """An endless supply of packets, the same for the same *rng* and model.

    Parameters
    ----------
    golden
        Model that has received what was sent before.
    """

    def __init__(self, golden: EndpointModel, rng: random.Random):
        self._golden, self._rng = golden, rng
        self._config: DeviceConfig = golden.config
        self._offsets = _named_offsets(golden.config)
        self._regions = [(bar, region) for bar in self._config.bars for region in bar.regions]
        self._written = [(bar, region) for bar, region in self._regions if region.space not in KEEPS_NOTHING]

    # What a caller may ask for

    def any(self) -> list[int]:
        """A packet of any kind."""
        rng = self._rng
        if not self._golden.bars and rng.random() < 0.5:
            return self.repair()
        kinds: tuple[tuple[int, Callable[[], list[int]]], ...] = (
            (30, self.posted), (30, self.read), (9, self.config_read), (9, self.config_write), (6, self.odd),
            (4, self.malformed),
        )
        return rng.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    def repair(self) -> list[int]:
        """One of the configuration writes that make the BARs decode."""
        rng = self._rng
        power = self._offsets.get("power_state")
        if power is not None and not self._golden.function.control.d0:
            return self._config_write(power, 0, 0xF)
        bar = rng.choice(self._config.bars)
        if bar.kind is BarKind.IO and rng.random() < 0.3:
            return self._config_write(BAR0 + 4 * bar.index, rng.randrange(1, 16) << 12, 0xF)
        if rng.random() < 0.3:
            return self._config_write(BAR0 + 4 * bar.index, rng.randrange(1, 0xFFF) << 20, 0xF)
        return self._config_write(_COMMAND, 7, 0x3)

    def posted(self) -> list[int]:
        """A memory write, sometimes of several dwords; an I/O write (non-posted) where a BAR wants it."""
        rng = self._rng
        bar, region = rng.choice(self._written)
        offset = self._offset(region)
        address = self._address(bar.index) + region.offset + offset
        if bar.kind is BarKind.IO:
            return self._io(address, self._value(region.space, offset))
        if rng.random() < 0.9:
            return self._memory(address, [self._value(region.space, offset)])
        length = rng.choice((2, 2, 3, 4, 6, 8, 16, 32))
        length = min(length, (4096 - address % 4096) // 4)
        return self._memory(address, [self._value(region.space, offset + 4 * i) for i in range(length)])

    def read(self) -> list[int]:
        """A memory or I/O read."""
        rng = self._rng
        bar, region = rng.choice(self._regions)
        address = self._address(bar.index) + region.offset + self._offset(region)
        if bar.kind is BarKind.IO:
            return self._io(address, None)
        length = 1 if rng.random() < 0.8 else rng.choice((2, 2, 3, 4, 8, 31, 32, 33, 64, 100, 1024))
        length = min(length, (4096 - address % 4096) // 4)
        return self._memory(address, None, length)

    def plain_write(self) -> list[int]:
        """A memory write of one or more dwords that the link counts as posted."""
        while tlp.type_of((packet := self.posted())[0]) != TlpType.MEMORY:
            if all(bar.kind is BarKind.IO for bar in self._config.bars):
                return self._memory(0x8000_0000, [self._rng.getrandbits(32)])
        return packet

    def constant_read(self) -> list[int]:
        """A read of what no write can change: ids in configuration space, or an address outside every BAR."""
        if self._rng.random() < 0.7:
            return self._config_request(None, self._rng.choice((0x00, 0x08, 0x2C)), self._rng.randrange(16))
        return self._memory(0xFFFF_0000_0000 + 4 * self._rng.randrange(1024), None, self._rng.choice((1, 1, 2, 40)))

    def config_read(self) -> list[int]:
        """A read of configuration space."""
        return self._config_request(None, self._config_offset(), self._enables())

    def config_write(self) -> list[int]:
        """A write of configuration space; those that switch the device off are rare."""
        rng = self._rng
        offset, value = self._config_offset(), rng.getrandbits(32)
        choice = rng.random()
        if choice < 0.15:
            offset, value = _COMMAND, rng.choice((7, 7, 7, 3, 6, 2, 0, 0x406)) | rng.choice((0, 0xFFFF_0000))
        elif choice < 0.35 and (enable := self._offsets.get("msix_enable")) is not None:
            offset, value = enable, rng.choice((0, 1)) << 31 | rng.choice((0, 1)) << 30
        elif choice < 0.40 and (power := self._offsets.get("power_state")) is not None:
            offset, value = power, rng.choice((0, 1, 2, 3))
        elif choice < 0.45 and (control := self._offsets.get("initiate_reset")) is not None:
            offset = control
        elif (choice < 0.80 or offset == _COMMAND) and BAR0 <= offset < BAR0 + 24:
            return self.repair()
        if offset == self._offsets.get("initiate_reset"):
            largest = (self._config.datapath.max_payload // 128).bit_length()
            value = value & ~(7 << 5) | rng.randrange(largest) << 5
            if rng.random() < 0.7:
                value &= ~(1 << 15)
        return self._config_request(value, offset, self._enables())

    def odd(self) -> list[int]:
        """Well-formed packets that an endpoint refuses, drops or ignores."""
        rng = self._rng
        kind = rng.randrange(9)
        common = self._common()
        if kind == 0:
            return tlp.build(tlp.AtomicRequest(
                **common, operation=rng.choice((TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP)),
                address=self._any_address(), payload=self._payload(rng.choice((1, 2, 4))),
                poisoned=rng.random() < 0.3, wide=rng.random() < 0.3))
        if kind == 1:
            return tlp.build(tlp.MemoryRequest(**common, locked=True, address=self._any_address()))
        if kind == 2:
            return tlp.build(tlp.Message(
                **common, code=rng.choice((0, 0x14, 0x19, 0x20, 0x30, 0x50, 0x7E, 0x7F, rng.randrange(256))),
                routing=rng.randrange(8), specific=(rng.getrandbits(32), rng.getrandbits(32)),
                payload=None if rng.random() < 0.5 else self._payload(rng.choice((1, 2, 9))),
                poisoned=rng.random() < 0.3))
        if kind == 3:
            return tlp.build(tlp.Completion(
                **common, completer=rng.getrandbits(16), status=rng.randrange(8), locked=rng.random() < 0.3,
                byte_count=rng.randrange(1, 4097), lower_address=rng.randrange(128),
                payload=() if rng.random() < 0.5 else self._payload(rng.choice((1, 2, 16))),
                poisoned=rng.random() < 0.2))
        if kind == 4:
            return tlp.build(tlp.ConfigRequest(
                **self._plain(), write=rng.random() < 0.5, type1=rng.random() < 0.5, function=rng.randrange(8),
                bus=rng.randrange(256), device=rng.randrange(32), offset=4 * rng.randrange(1024),
                data=rng.getrandbits(32), first_be=rng.randrange(16), poisoned=rng.random() < 0.3))
        if kind == 5:
            packet = self.posted()
            packet[0] |= 1 << 14
            return packet
        if kind == 6:
            return tlp.build(tlp.IoRequest(
                **self._plain(), write=rng.random() < 0.5, address=4 * rng.getrandbits(30), data=rng.getrandbits(32),
                first_be=rng.randrange(16), poisoned=rng.random() < 0.3))
        if kind == 7:
            return self._memory(4 * rng.getrandbits(62), None if rng.random() < 0.5 else [rng.getrandbits(32)])
        packet = self.any()
        packet[0] |= 1 << 15
        packet.append(rng.getrandbits(32))
        return packet

    def malformed(self) -> list[int]:
        """A packet with something changed; it may be well formed all the same."""
        rng = self._rng
        packet = rng.choice((self.posted, self.read, self.config_write, self.odd))()
        kind = rng.randrange(7)
        if kind == 0:
            packet[0] = packet[0] & 0x00FF_FFFF | rng.getrandbits(8) << 24
        elif kind == 1:
            packet[0] ^= 1 << rng.randrange(10)
        elif kind == 2:
            packet.append(rng.getrandbits(32))
        elif kind == 3 and len(packet) > 3:
            packet.pop()
        elif kind == 4:
            packet[1] ^= 1 << rng.randrange(8)
        elif kind == 5:
            packet[0] ^= 1 << rng.choice((12, 13, 15, 18, 20, 21, 22))
        else:
            length = rng.choice((33, 40, 64, 65, 128, 200))
            bar, region = rng.choice(self._written)
            return self._memory(
                self._address(bar.index) + region.offset, [rng.getrandbits(32) for _ in range(length)])
        return packet

    # How it is made

    def _common(self) -> dict[str, Any]:
        rng = self._rng
        if rng.random() < 0.5:
            return self._plain()
        return {**self._plain(), "traffic_class": rng.randrange(8), "attributes": rng.randrange(8)}

    def _plain(self) -> dict[str, Any]:
        return {"requester": self._rng.getrandbits(16), "tag": self._rng.getrandbits(10)}

    def _payload(self, length: int) -> tuple[int, ...]:
        return tuple(self._rng.getrandbits(32) for _ in range(length))

    def _enables(self) -> int:
        rng = self._rng
        return rng.choice(_NATURAL) if rng.random() < 0.8 else rng.randrange(16)

    def _address(self, bar: int) -> int:
        wide = next(item.kind is BarKind.MEMORY64 for item in self._config.bars if item.index == bar)
        return self._golden.space.base_address(bar, wide)

    def _any_address(self) -> int:
        bar, region = self._rng.choice(self._regions)
        return self._address(bar.index) + region.offset + self._offset(region)

    def _offset(self, region: Region) -> int:
        rng = self._rng
        choice = rng.random()
        if choice < 0.02:
            return 4 * rng.randrange(-4, region.size // 4 + 4)
        if region.space is Space.LEGACY and choice < 0.9:
            return rng.choice(_LEGACY)
        if region.space is Space.CONTROL and choice < 0.9:
            return rng.choice(_CONTROL)
        if region.space is Space.MSIX and choice < 0.9:
            return min(4 * rng.randrange(4 * self._config.msix_vectors + 4), region.size - 4)
        return min(4 * rng.randrange(24), region.size - 4) if choice < 0.95 else 4 * rng.randrange(region.size // 4)

    def _value(self, space: Space, offset: int) -> int:
        rng = self._rng
        if space is Space.LEGACY:
            if offset == 0x04:
                return rng.choice((rng.getrandbits(32), self._config.features, 0))
            if offset == 0x08:
                return rng.choice((0, rng.getrandbits(32), rng.getrandbits(20)))
            if offset == 0x0C:
                return rng.randrange(len(self._config.queues) + 1) << 16 | rng.getrandbits(16)
            if offset == 0x10:
                return rng.randrange(len(self._config.queues) + 1) | rng.choice(_STATUS) << 16
            if offset == 0x14:
                return rng.choice((0, 1, 2, 3, 0xFFFF)) | rng.choice((0, 1, 2, 3, 0xFFFF, 4)) << 16
        if space is Space.CONTROL:
            if offset in (0x0C, 0x20):
                return rng.choice((0, 1, 0x100))
            if offset == 0x14:
                return rng.choice((0xFFFF_FFFF, 1, 0x100, 0xE))
            if offset in (0x18, 0x1C):
                return rng.choice((0, 0, self._config.features, 1 << rng.randrange(32), rng.getrandbits(32)))
            if offset == 0x24:
                return rng.choice((0, 0x100, 0x100))
        return rng.getrandbits(32)

    def _memory(self, address: int, payload: list[int] | None, length: int = 1) -> list[int]:
        rng = self._rng
        if payload is not None:
            length = len(payload)
        if length == 1:
            first, last = self._enables(), 0
        elif length == 2 and address % 8 == 0:
            first, last = rng.randrange(1, 16), rng.randrange(1, 16)
        else:
            first, last = rng.choice((0xF, 0xF, 0xE, 0xC, 0x8)), rng.choice((0xF, 0xF, 7, 3, 1))
        address &= (1 << 64) - 1
        request = tlp.MemoryRequest(
            **self._common(), write=payload is not None, address=address & ~3, length=length, first_be=first,
            last_be=last, payload=tuple(payload or ()), wide=rng.random() < 0.15, hint=rng.random() < 0.05,
            address_type=0 if rng.random() < 0.9 else rng.randrange(4))
        return tlp.build(request)

    def _io(self, address: int, data: int | None) -> list[int]:
        return tlp.build(tlp.IoRequest(
            **self._plain(), write=data is not None, address=address & 0xFFFF_FFFC, data=data or 0,
            first_be=self._enables()))

    def _config_offset(self) -> int:
        rng = self._rng
        choice = rng.random()
        if choice < 0.5:
            return 4 * rng.randrange(16)
        if choice < 0.8:
            return rng.choice(list(self._offsets.values()))
        return 4 * rng.randrange(64) if choice < 0.9 else 4 * rng.randrange(SPACE_SIZE // 4)

    def _config_write(self, offset: int, value: int, enables: int) -> list[int]:
        return self._config_request(value, offset, enables)

    def _config_request(self, value: int | None, offset: int, enables: int) -> list[int]:
        rng = self._rng
        return tlp.build(tlp.ConfigRequest(
            **self._plain(), write=value is not None, bus=rng.randrange(256), device=rng.randrange(32),
            offset=offset, data=value or 0, first_be=enables))


def _named_offsets(config: DeviceConfig) -> dict[str, int]:
    """Dword offsets of the fields that hardware watches, by their names."""
    found: dict[str, int] = {}
    for register in place(config).registers:
        for part in register.fields:
            owner, _, name = part.view_of.partition(".")
            if owner in ("control", "event"):
                found[name] = register.offset & ~3
    return found

"""Random packets for a device: everything that a host might send, wisely or not.

The generator looks at the golden model for where the BARs stand and what is enabled, so most packets
hit something. The same seed and the same model give the same packets.

How an item may be sent beside others is its `Flow`. The model finishes each packet before the next; a
device may let posted requests pass non-posted ones. Who compares the two therefore waits for all
completions before a posted item that follows non-posted ones, and before and after a barrier.
"""

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from virtio_mmr.config.device import Bar, BarKind, Region, Space
from virtio_mmr.spec import control, legacy, modern, msix
from virtio_mmr.spec.configuration import BAR0, COMMAND, SPACE_SIZE
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.register import Access, Register
from virtio_mmr.spec.tlp import MESSAGES_ACCEPTED, TlpType

from .endpoint import EndpointModel
from .malformed import FROM_THE_START, KNOWN, PAGE, UP_TO_THE_END, Malformed
from .tlp import (
    DATA,
    AtomicRequest,
    Common,
    Completion,
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Message,
    Tlp,
    build,
    extent,
    format_of,
    type_of,
)

T = TypeVar("T", bound=Common)


class Flow(enum.Enum):
    """How a packet may be sent beside others."""

    #: Memory writes, messages, completions, and what is dropped as malformed: nothing is answered.
    POSTED = "posted"
    #: Answered, and changes nothing that decides how other packets are taken.
    NON_POSTED = "non-posted"
    #: Answered, and may move BARs or close them: nothing else may be under way.
    BARRIER = "barrier"


@dataclass(frozen=True)
class Item:
    """A packet, how to send it, and what it is meant to try."""

    dwords: list[int]
    flow: Flow
    what: str


#: Status bytes as drivers write them, good ones more often.
STATUSES = (0, 1, 3, 3, 7, 7, 7, 7, 0x0B, 0x0F, 0x47, 0x40, 0x80, 0x87, 0xFF)

#: Dwords of a read that crosses many completion boundaries, and of short ones.
READ_LENGTHS = (2, 2, 2, 3, 4, 8, 31, 32, 33, 64, 65, 256, 1024)

NON_POSTED_TYPES = frozenset({
    TlpType.IO, TlpType.CONFIG_0, TlpType.CONFIG_1, TlpType.MEMORY_LOCKED,
    TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP,
})


def flow_of(dwords: list[int]) -> Flow:
    """The flow of a well-formed packet."""
    kind, has_data = type_of(dwords[0]), format_of(dwords[0]) & DATA != 0
    if kind == TlpType.CONFIG_0 and has_data:
        return Flow.BARRIER
    if kind in NON_POSTED_TYPES or (kind == TlpType.MEMORY and not has_data):
        return Flow.NON_POSTED
    return Flow.POSTED


class Stimulus:
    """Packets for the device that *model* describes; the caller gives each packet to the model too."""

    def __init__(self, model: EndpointModel, rng: random.Random):
        self.model = model
        self.rng = rng
        self.config = model.config
        self._registers = [
            register for register in model.space.layout.registers if self._is_writable(register)]
        self._kinds: tuple[tuple[float, str, Callable[[], Tlp]], ...] = (
            (30, "access", self.access),
            (16, "bring-up", self.bring_up),
            (6, "burst", self.burst),
            (8, "config read", self.config_read),
            (5, "config write", self.config_write),
            (1.5, "msix enable", self.msix_enable),
            (6 if self.config.modern else 0, "window", self.window),
            (0.7, "bar move", self.bar_move),
            (0.7, "command", self.command),
            (0.3, "power", self.power_state),
            (0.1, "function level reset", self.function_level_reset),
            (2, "outside", self.outside),
            (1, "other function", self.other_function),
            (1, "atomic", self.atomic),
            (1, "locked read", self.locked_read),
            (2, "message", self.message),
            (1.5, "completion", self.completion),
            (2, "poisoned", self.poisoned),
        )
        self._weights = [weight for weight, _, _ in self._kinds]
        #: Writes that a driver or hypervisor is about to make, the last one first.
        self._intended: list[tuple[Space, int, int, int]] = []
        #: Accesses to the window in configuration space, the last one first: place in its capability, and a value.
        self._aimed: list[tuple[int, int | None]] = []

    @staticmethod
    def _is_writable(register: Register) -> bool:
        return register.access is not Access.RO or any(part.access is not Access.RO for part in register.fields)

    # One packet

    def next(self) -> Item:
        """A packet of any kind."""
        if not self.model.bars and self.chance(0.7):
            return self._item("revive", self.revive())
        if self.chance(0.05):
            return self.malformed()
        [(_, what, make)] = self.rng.choices(self._kinds, self._weights)
        return self._item(what, make())

    def _item(self, what: str, tlp: Tlp) -> Item:
        dwords = build(tlp)
        return Item(dwords, flow_of(dwords), what)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def _decorated(self, tlp: T) -> T:
        """The packet with a requester, a tag and a digest or none."""
        return replace(tlp, requester=self.rng.getrandbits(16), tag=self.rng.getrandbits(10),
                       digest=self.rng.getrandbits(32) if self.chance(0.1) else None)

    def _styled(self, tlp: T) -> T:
        """As `_decorated`, with traffic class, attributes and address type where they are allowed."""
        tlp = self._decorated(tlp)
        if self.chance(0.7):
            return tlp
        return replace(tlp, traffic_class=self.rng.randrange(8), attributes=self.rng.randrange(8),
                       address_type=self.rng.randrange(4), lightweight=self.chance(0.2))

    # Accesses to BARs

    def base(self, bar: Bar) -> int:
        """Where a BAR stands now, enabled or not."""
        return self.model.space.base_address(bar.index, bar.kind is BarKind.MEMORY64)

    def place(self) -> tuple[Bar, Region, int]:
        """A BAR, a region of it, and a byte offset in the region that is worth an access."""
        bar = self.rng.choice(self.config.bars)
        weights = [{Space.LEGACY: 6, Space.COMMON: 6, Space.CONTROL: 3}.get(region.space, 1) for region in bar.regions]
        [region] = self.rng.choices(bar.regions, weights)
        used = {
            Space.LEGACY: legacy.HEADER.size + self.config.kind.config_size,
            Space.CONTROL: control.TABLE.size,
            Space.ISR: 4,
            Space.DEVICE: self.config.kind.config_size,
            Space.MSIX: msix.ENTRY_SIZE * self.config.msix_vectors,
            Space.COMMON: modern.COMMON.size,
            Space.NOTIFY: len(self.config.queues) * (region.stride or modern.NOTIFY_SIZE),
        }[region.space]
        end = region.size if self.chance(0.04) else min(used + 8, region.size)
        return bar, region, self.rng.randrange(end)

    def access(self) -> Tlp:
        """A read or write of up to 8 bytes, aligned or not, or of a dword with any byte enables."""
        bar, region, offset = self.place()
        write = self.chance(0.5)
        if bar.kind is BarKind.IO or self.chance(0.3):
            return self._dword_access(bar, region, offset & ~3, write)
        size = self.rng.choice((1, 1, 2, 2, 4, 4, 4, 8, 3, 5, 6, 7, 0))
        if self.chance(0.7):
            offset -= offset % (size or 1)
        start, length, first, last = extent(self.base(bar) + region.offset + offset, size)
        if start % PAGE + 4 * length > PAGE:
            length, last = 1, 0
        return self._memory(bar, region, start, length, first, last, write)

    def _dword_access(self, bar: Bar, region: Region, offset: int, write: bool) -> Tlp:
        """One dword with any byte enables, or two where gaps are allowed."""
        address = self.base(bar) + region.offset + offset
        first = self.rng.randrange(16)
        if bar.kind is BarKind.IO:
            data = self.value(region.space, offset) if write else 0
            return self._decorated(IoRequest(write=write, address=address, first_be=first, data=data))
        if address % 8 == 0 and self.chance(0.4):
            return self._memory(bar, region, address, 2, first or 1, self.rng.randrange(1, 16), write)
        return self._memory(bar, region, address, 1, first, 0, write)

    def _memory(self, bar: Bar, region: Region, address: int, length: int, first: int, last: int,
                write: bool) -> MemoryRequest:
        start = address - self.base(bar) - region.offset
        payload = tuple(self.value(region.space, start + 4 * index) for index in range(length)) if write else ()
        hint = not write and self.chance(0.05)
        if hint and self.chance(0.7):
            first, last = self.rng.randrange(16), self.rng.randrange(16)
        return self._styled(MemoryRequest(
            write=write, address=address, length=length, first_be=first, last_be=last, payload=payload,
            hint=hint or (write and self.chance(0.03)), wide=self.chance(0.1)))

    def burst(self) -> Tlp:
        """Many dwords: reads of up to 4096 bytes, writes of up to the payload now allowed."""
        bar, region, offset = self.place()
        if bar.kind is BarKind.IO:
            return self._dword_access(bar, region, offset & ~3, write=False)
        address = self.base(bar) + region.offset + (offset & ~3)
        if self.chance(0.15):
            address = self.base(bar) + 4 * self.rng.randrange(bar.decoded_size // 4)
        write = self.chance(0.4)
        most = self.model.max_payload // 4 if write else 1024
        length = max(2, min(self.rng.choice(READ_LENGTHS), most))
        if length == 1024:
            address -= address % PAGE
        length = min(length, (PAGE - address % PAGE) // 4)
        if length == 1:
            return self._memory(bar, region, address, 1, 0xF, 0, write)
        first, last = self.rng.choice(sorted(UP_TO_THE_END)), self.rng.choice(sorted(FROM_THE_START))
        return self._memory(bar, region, address, length, first, last, write)

    def bring_up(self) -> Tlp:
        """The next write of one of the courses that drivers and hypervisors take; other packets come between."""
        if not self._intended:
            self._intended = list(reversed(self.rng.choice((
                self._queue_life, self._queue_life, self._driver_life, self._recovery, self._policy,
                self._vectors_life, self._vectors_life, self._vectors_life,
                *((self._modern_life, self._modern_queue, self._modern_queue) if self.config.modern else ())))()))
        space, offset, size, value = self._intended.pop()
        shown = [(bar, region) for bar in self.config.bars for region in bar.regions if region.space is space]
        if not shown:
            return self.access()
        bar, region = self.rng.choice(shown)
        address, _, first, _ = extent(self.base(bar) + region.offset + offset, size)
        data = value << 8 * (offset % 4)
        if bar.kind is BarKind.IO:
            return self._decorated(IoRequest(write=True, address=address, first_be=first, data=data))
        return self._styled(MemoryRequest(write=True, address=address, first_be=first, payload=(data,)))

    def _queue_life(self) -> list[tuple[Space, int, int, int]]:
        """A queue is set up and notified a few times, and perhaps taken down."""
        queue = self.rng.randrange(len(self.config.queues))
        course = [(Space.LEGACY, 0x0E, 2, queue), (Space.LEGACY, 0x08, 4, self.rng.getrandbits(32) | 1)]
        course += [(Space.LEGACY, 0x10, 2, queue)] * self.rng.randrange(1, 4)
        if self.chance(0.3):
            course += [(Space.LEGACY, 0x0E, 2, queue), (Space.LEGACY, 0x08, 4, 0)]
        return course

    def _vectors_life(self) -> list[tuple[Space, int, int, int]]:
        """Queues and the configuration get vectors, whose table entries are filled and mostly unmasked."""
        rng, course = self.rng, []
        for queue in range(len(self.config.queues)):
            vector = rng.randrange(max(1, self.config.msix_vectors))
            at = msix.ENTRY_SIZE * vector
            window, select, places = Space.LEGACY, 0x0E, (0x14, 0x16, 0x16)
            if self.config.modern and self.chance(0.5):
                window, select, places = Space.COMMON, 0x16, (0x10, 0x1A, 0x1A)
            course += [
                (window, select, 2, queue), (window, rng.choice(places), 2, vector),
                (Space.MSIX, at, 4, rng.getrandbits(32)), (Space.MSIX, at + 4, 4, rng.choice((0, rng.getrandbits(32)))),
                (Space.MSIX, at + 8, 4, rng.getrandbits(16)), (Space.MSIX, at + 12, 4, int(self.chance(0.2)))]
        return course

    def _driver_life(self) -> list[tuple[Space, int, int, int]]:
        """Reset, features, DRIVER_OK."""
        features = self.config.features & self.rng.getrandbits(32)
        return [*((Space.LEGACY, 0x12, 1, status) for status in (0, 1, 3)), (Space.LEGACY, 0x04, 4, features),
                (Space.LEGACY, 0x12, 1, 7)]

    def _modern_life(self) -> list[tuple[Space, int, int, int]]:
        """Reset, features in two words, perhaps one that is not offered, FEATURES_OK, DRIVER_OK."""
        features = self.config.modern_features & (self.rng.getrandbits(64) | 1 << TransportFeature.VERSION_1)
        if self.chance(0.3):
            features |= 1 << self.rng.randrange(64)
        words = [word for index in (0, 1) for word in (
            (Space.COMMON, 0x08, 4, index), (Space.COMMON, 0x0C, 4, features >> 32 * index & 0xFFFF_FFFF))]
        return [*((Space.COMMON, 0x14, 1, status) for status in (0, 1, 3)), *words,
                *((Space.COMMON, 0x14, 1, status) for status in (0x0B, 0x0F))]

    def _modern_queue(self) -> list[tuple[Space, int, int, int]]:
        """A queue is set up and notified a few times, and perhaps reset."""
        queue = self.rng.randrange(len(self.config.queues))
        found = self.config.find(Space.NOTIFY)
        at = queue * found[1].stride if found else 0
        size = self.config.queues[queue] >> self.rng.randrange(3)
        course = [(Space.COMMON, 0x16, 2, queue), (Space.COMMON, 0x18, 2, size)]
        course += [(Space.COMMON, offset, 4, self.rng.getrandbits(32)) for offset in range(0x20, 0x38, 4)]
        course += [(Space.COMMON, 0x1C, 2, 1)]
        course += [(Space.NOTIFY, at, 4, self.rng.getrandbits(16) << 16 | queue)] * self.rng.randrange(1, 4)
        if self.chance(0.6):
            course += [(Space.COMMON, 0x16, 2, queue), (Space.COMMON, 0x3A, 2, 1)]
        return course

    def _recovery(self) -> list[tuple[Space, int, int, int]]:
        """The hypervisor takes every hindrance away."""
        return [(Space.LEGACY, 0x12, 1, 0), (Space.CONTROL, 0x14, 4, 0xFFFF_FFFF), (Space.CONTROL, 0x18, 4, 0),
                (Space.CONTROL, 0x1C, 4, 0), (Space.CONTROL, 0x24, 4, 0x100)]

    def _policy(self) -> list[tuple[Space, int, int, int]]:
        """The hypervisor makes a demand, or closes the gate for a while, or refuses."""
        bit = 1 << self.rng.randrange(32)
        return self.rng.choice((
            [(Space.LEGACY, 0x12, 1, 0), (Space.CONTROL, 0x1C, 4, bit), *self._driver_life()],
            [(Space.CONTROL, 0x18, 4, bit), *self._driver_life()],
            [(Space.CONTROL, 0x25, 1, 0), *self._queue_life(), (Space.CONTROL, 0x25, 1, 1)],
            [(Space.LEGACY, 0x12, 1, 0), (Space.CONTROL, 0x0C, 1, self.rng.randrange(2))],
            [(Space.CONTROL, 0x20, 4, 1)]))

    def value(self, space: Space, offset: int) -> int:
        """A dword worth writing at *offset* of a window."""
        choose, bits = self.rng.choice, self.rng.getrandbits
        queue = self.rng.randrange(len(self.config.queues) + 1)
        vector = choose((*range(self.config.msix_vectors + 1), 0xFFFF))
        if space is Space.LEGACY:
            worth = {
                0x04: (0, bits(32), self.config.legacy_features, self.config.features & bits(32)),
                0x08: (0, 0, bits(32), bits(20), 1),
                0x0C: (bits(16) << 16, queue << 16, queue << 16),
                0x10: (choose(STATUSES) << 16 | queue, choose(STATUSES) << 16 | bits(16)),
                0x14: (vector | vector << 16, vector << 16, bits(32)),
            }
        elif space is Space.CONTROL:
            worth = {
                0x0C: (0, 1, bits(32)),
                0x14: (0xFFFF_FFFF, 1 << self.rng.randrange(9), bits(32)),
                0x18: (0, 0, 1 << self.rng.randrange(32), self.config.features & bits(32)),
                0x1C: (0, 0, 1 << self.rng.randrange(32), self.config.features & bits(32)),
                0x20: (0, 0, 0, 1, bits(32)),
                0x24: (0, 0x100, 0x100, 0x100, bits(32)),
            }
        elif space is Space.COMMON:
            offered = self.config.modern_features >> 32 * self.rng.randrange(2) & 0xFFFF_FFFF
            size = self.rng.choice(self.config.queues) >> self.rng.randrange(4)
            worth = {
                0x00: (0, 1, 2, bits(32)),
                0x08: (0, 1, 1, 2, bits(32)),
                0x0C: (0, bits(32), offered, offered, offered & bits(32)),
                0x10: (vector, bits(32)),
                0x14: (queue << 16 | choose(STATUSES), bits(16) << 16 | choose(STATUSES), queue << 16 | 0x0F),
                0x18: (vector << 16 | size, size, bits(32)),
                0x1C: (1, 1, 1, 0, bits(32)),
                0x38: (1 << 16, 1 << 16, bits(32)),
            }
        elif space is Space.NOTIFY:
            worth = {offset: (bits(16) << 16 | queue,)}
        elif space is Space.MSIX and offset % msix.ENTRY_SIZE == 12:
            worth = {offset: (0, 0, 1, bits(32))}
        else:
            worth = {}
        return choose(worth.get(offset, (0, bits(32))))

    # Configuration space

    def _config(self, offset: int, data: int | None = None, first_be: int = 0xF) -> ConfigRequest:
        return self._decorated(ConfigRequest(
            write=data is not None, bus=self.rng.getrandbits(8), device=self.rng.getrandbits(5),
            offset=offset, first_be=first_be, data=data or 0))

    def _view(self, view: str) -> tuple[int, int] | None:
        """Dword offset and lowest bit of a field that hardware watches."""
        for register in self.model.space.layout.registers:
            for part in register.fields:
                if part.view_of == view:
                    return register.offset & ~3, 8 * (register.offset % 4) + part.lsb
        return None

    def config_read(self) -> Tlp:
        """Any dword, registers with state more often."""
        offset = self.rng.choice(self._registers).offset & ~3
        if self.chance(0.3):
            offset = 4 * self.rng.randrange(SPACE_SIZE // 4)
        return self._config(offset, first_be=self.rng.choice((0xF, 0xF, self.rng.randrange(16))))

    def config_write(self) -> Tlp:
        """Any register but those that switch the device off, which have their own kinds."""
        register = self.rng.choice(self._registers)
        offset = register.offset & ~3
        if self.chance(0.2):
            offset = 4 * self.rng.randrange(SPACE_SIZE // 4)
        power, initiate = self._view("control.power_state"), self._view("control.initiate_reset")
        data = self.rng.getrandbits(32)
        if initiate is not None and offset == initiate[0]:
            data &= ~(1 << initiate[1])
        if offset == COMMAND or BAR0 <= offset < BAR0 + 24 or (power is not None and offset == power[0]):
            return self._config(0x3C, data, 1)
        return self._config(offset, data, self.rng.choice((0xF, 0x3, 0xC, self.rng.randrange(16))))

    def msix_enable(self) -> Tlp:
        """Switch MSI-X on or off, with or without the function mask."""
        place = self._view("control.msix_enable")
        if place is None:
            return self.config_read()
        return self._config(place[0], self.rng.choice((0, 1, 2, 2, 2, 3)) << (place[1] - 1), 0xC)

    def window(self) -> Tlp:
        """The next step of a course: settings of the access window, sensible or not, then accesses through it."""
        data = self.model.space.window_data
        assert data is not None
        if not self._aimed:
            bar, region, offset = self.place()
            length = self.rng.choice((1, 2, 4))
            settings = [[4, bar.index], [8, region.offset + offset & ~(length - 1)], [12, length]]
            if self.chance(0.2):
                self.rng.choice(settings)[1] = self.rng.choice((self.rng.randrange(16), self.rng.getrandbits(31)))
            self.rng.shuffle(settings)
            value = self.value(region.space, offset & ~3)
            accesses = [(16, self.rng.choice((None, value, value >> 8 * (offset % 4)))) for _ in range(3)]
            self._aimed = [*accesses, *((at, setting) for at, setting in settings)]
        at, written = self._aimed.pop()
        enables = self.rng.choice((0xF, 0xF, 3, 1, self.rng.randrange(16))) if at == 16 else 0xF
        return self._config(data - 16 + at, written, enables)

    def bar_move(self) -> Tlp:
        """Give a BAR another address, sometimes that of another BAR, or ask for its size."""
        bar = self.rng.choice(self.config.bars)
        if bar.kind is BarKind.MEMORY64 and self.chance(0.3):
            return self._config(BAR0 + 4 * bar.index + 4, self.rng.choice((0, 0, 1, 0x12)))
        return self._config(BAR0 + 4 * bar.index, self.rng.choice((
            0xF000_0000, 0xE000_0000, 0xD123_4000, 0xC000, 0xFFFF_FFFF, self.rng.getrandbits(32))))

    def command(self) -> Tlp:
        """Change what the function decodes and may send."""
        return self._config(COMMAND, self.rng.choice((7, 7, 7, 3, 5, 2, 0x407, self.rng.getrandbits(16))), 3)

    def power_state(self) -> Tlp:
        """Change the power state, also to states that the function does not have."""
        place = self._view("control.power_state")
        assert place is not None
        return self._config(place[0], self.rng.choice((0, 0, 0, 1, 2, 3)) << place[1], 1)

    def function_level_reset(self) -> Tlp:
        """Start a function level reset, with other bits set beside it."""
        place = self._view("control.initiate_reset")
        assert place is not None
        return self._config(place[0], 1 << place[1] | self.rng.getrandbits(32), 0xF)

    def revive(self) -> Tlp:
        """One of the writes that bring a function back whose BARs do not decode."""
        power = self._view("control.power_state")
        if not self.model.function.control.d0 and power is not None:
            return self._config(power[0], 0)
        if self.chance(0.5):
            return self._config(COMMAND, 0x407, 3)
        return self.bar_move()

    # What is refused or dropped

    def _anywhere(self) -> int:
        """An address inside or outside the BARs."""
        if self.chance(0.5):
            bar, region, offset = self.place()
            return self.base(bar) + region.offset + (offset & ~3)
        return self.rng.choice((self.rng.getrandbits(32), self.rng.getrandbits(64))) & ~3

    def outside(self) -> Tlp:
        """A request just before or behind a BAR, or far away."""
        bar = self.rng.choice(self.config.bars)
        write = self.chance(0.5)
        address = self.rng.choice((
            self.base(bar) - 4, self.base(bar) + bar.decoded_size, self.rng.getrandbits(64) & ~3)) % 2**64
        if self.chance(0.3):
            return self._decorated(IoRequest(write=write, address=address % 2**32, first_be=self.rng.randrange(16)))
        length = min(self.rng.choice((1, 1, 2, 32)), (PAGE - address % PAGE) // 4)
        payload = tuple(self.rng.getrandbits(32) for _ in range(length)) if write else ()
        return self._styled(MemoryRequest(
            write=write, address=address, length=length, last_be=0xF if length > 1 else 0, payload=payload,
            wide=self.chance(0.3)))

    def other_function(self) -> Tlp:
        """A configuration request for another function, or for the far side of a bridge."""
        type1 = self.chance(0.5)
        function = self.rng.randrange(8) if type1 else self.rng.randrange(1, 8)
        return replace(self._config(4 * self.rng.randrange(64), self.rng.choice((None, 0, 0xFFFF_FFFF))),
                       type1=type1, function=function)

    def atomic(self) -> Tlp:
        """An atomic operation."""
        payload = tuple(self.rng.getrandbits(32) for _ in range(self.rng.choice((1, 2, 4))))
        return self._styled(AtomicRequest(
            operation=self.rng.choice((TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP)),
            address=self._anywhere(), payload=payload, last_be=0xF if len(payload) > 1 else 0))

    def locked_read(self) -> Tlp:
        """A locked read."""
        return self._styled(MemoryRequest(
            locked=True, address=self._anywhere(), first_be=self.rng.randrange(16), wide=self.chance(0.2)))

    def message(self) -> Tlp:
        """A message of any code, with data or without."""
        code = self.rng.choice((*sorted(MESSAGES_ACCEPTED), 0x7E, 0x7E, 0x7F, 0x7F, self.rng.randrange(256)))
        payload = tuple(self.rng.getrandbits(32) for _ in range(self.rng.choice((1, 2, 7))))
        return self._styled(Message(
            code=code, routing=self.rng.randrange(8), payload=payload if self.chance(0.4) else None,
            specific=(self.rng.getrandbits(32), self.rng.getrandbits(32))))

    def completion(self) -> Tlp:
        """A completion that nobody asked for."""
        payload = tuple(self.rng.getrandbits(32) for _ in range(self.rng.choice((0, 0, 1, 2, 16, 32))))
        return self._styled(Completion(
            completer=self.rng.getrandbits(16), status=self.rng.randrange(8), locked=self.chance(0.2),
            byte_count=self.rng.randrange(1, 4097), lower_address=self.rng.randrange(128), payload=payload,
            poisoned=self.chance(0.2)))

    def poisoned(self) -> Tlp:
        """Any packet with the poison bit, which means nothing where there is no data."""
        make = self.rng.choice((
            self.access, self.access, self.bring_up, self.burst, self.config_write, self.other_function, self.atomic,
            self.message, self.outside, self.config_read))
        return replace(make(), poisoned=True)

    # What is malformed

    def malformed(self) -> Item:
        """A packet that is malformed for one of the reasons, each as likely as the next."""
        why = self.rng.choice(list(Malformed))
        dwords = {
            Malformed.TYPE: self._no_such_type,
            Malformed.SIZE: self._wrong_size,
            Malformed.PAYLOAD: self._too_much_payload,
            Malformed.CROSSING: self._crossing,
            Malformed.FIXED_FIELDS: self._unfixed,
            Malformed.BYTE_ENABLES: self._bad_byte_enables,
        }[why]()
        literal = why is Malformed.BYTE_ENABLES and not self.config.datapath.check_byte_enables
        return Item(dwords, flow_of(dwords) if literal else Flow.POSTED, f"malformed: {why.name.lower()}")

    def _no_such_type(self) -> list[int]:
        dwords = build(self.rng.choice((self.access, self.config_read, self.message))())
        top = self.rng.choice([top for top in range(256) if top not in KNOWN])
        return [top << 24 | dwords[0] & 0xFF_FFFF, *dwords[1:]]

    def _wrong_size(self) -> list[int]:
        """A dword too many or too few, a digest that is announced and missing, or a wrong length."""
        dwords = build(self.rng.choice((self.access, self.burst, self.config_read, self.message, self.completion))())
        match self.rng.randrange(3):
            case 0:
                return [*dwords, self.rng.getrandbits(32)]
            case 1:
                return dwords[:-1]
            case _:
                return [dwords[0] ^ 1 << 15, *dwords[1:]]

    def _too_much_payload(self) -> list[int]:
        """One dword or many more than allowed; a completion or message as well as a write."""
        most = self.model.max_payload // 4
        if most >= 1024:
            return self._no_such_type()
        length = self.rng.choice((most + 1, min(2 * most, 1024), self.rng.randrange(most + 1, 1025)))
        payload = tuple(self.rng.getrandbits(32) for _ in range(length))
        address = self._anywhere() & ~(PAGE - 1)
        return build(self._styled(self.rng.choice((
            MemoryRequest(write=True, address=address, length=length, last_be=0xF, payload=payload),
            Completion(payload=payload), Message(code=0x7F, payload=payload)))))

    def _crossing(self) -> list[int]:
        write = self.chance(0.4)
        length = self.rng.choice((2, 3, 32, 1024))
        if write:
            length = min(length, self.model.max_payload // 4)
        address = (self._anywhere() & ~(PAGE - 1)) + PAGE - 4 * self.rng.randrange(1, length)
        payload = tuple(self.rng.getrandbits(32) for _ in range(length)) if write else ()
        return build(self._styled(MemoryRequest(
            write=write, locked=not write and self.chance(0.2), address=address % 2**64, length=length,
            last_be=0xF, payload=payload)))

    def _unfixed(self) -> list[int]:
        """An I/O or configuration request with a traffic class, attributes, or more than one dword."""
        request: Tlp = self.rng.choice((
            self._config(4 * self.rng.randrange(64)), self._config(4, 0),
            self._decorated(IoRequest(address=0xC000, write=self.chance(0.5))), self.other_function()))
        dwords = build(request)
        match self.rng.randrange(3):
            case 0:
                return [dwords[0] | self.rng.randrange(1, 8) << 20, *dwords[1:]]
            case 1:
                return [dwords[0] | self.rng.choice((1 << 12, 1 << 13, 1 << 18)), *dwords[1:]]
            case _:
                return [dwords[0], dwords[1] | self.rng.randrange(1, 16) << 4, *dwords[2:]]

    def _bad_byte_enables(self) -> list[int]:
        write = self.chance(0.5)
        gap_first = self.rng.choice([be for be in range(16) if be not in UP_TO_THE_END])
        gap_last = self.rng.choice([be for be in range(16) if be not in FROM_THE_START])
        any_ = self.rng.randrange(16)
        length, first, last = self.rng.choice((
            (1, any_, self.rng.randrange(1, 16)), (2, 0, any_), (2, any_, 0),
            (3, gap_first, 0xF), (3, 0xF, gap_last), (8, gap_first, gap_last)))
        address = self._anywhere()
        if address % PAGE + 4 * length > PAGE:
            address -= 4 * length
        payload = tuple(self.rng.getrandbits(32) for _ in range(length)) if write else ()
        return build(self._styled(MemoryRequest(
            write=write, address=address, length=length, first_be=first, last_be=last, payload=payload)))

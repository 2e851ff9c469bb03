"""Random packets for a device: everything that a host might send, wisely or not.

The generator looks at the golden model for where the BARs stand and what is enabled, so most packets
hit something. The same seed and the same model give the same packets. Each packet is meant for one
function: the physical one, one of a few favourites, so that accesses to one function meet, or any other.

How an item may be sent beside others is its `Flow`. The model finishes each packet before the next; a
device may let posted requests pass non-posted ones. Who compares the two therefore waits for all
completions before a posted item that follows non-posted ones, and before and after a barrier.
"""

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from virtio_mmr.config.device import Bar, BarKind, DeviceConfig, Region, Space
from virtio_mmr.spec import control, legacy, modern, msix
from virtio_mmr.spec.configuration import BAR0, COMMAND, SPACE_SIZE
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.register import Access, Register
from virtio_mmr.spec.sriov import MOST_VIRTUAL_FUNCTIONS, SUPPORTED_PAGE_SIZES, page_bytes
from virtio_mmr.spec.tlp import MESSAGES_ACCEPTED, TlpType

from .endpoint import EndpointModel, Unit
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

#: Bytes of the reads that read all registers, at most.
PIECE = 128

#: Virtual functions that are accessed more often than others.
FAVOURITES = 3

#: SR-IOV Control: VF Enable, VF MSE and ARI Capable Hierarchy.
_RUN, _RUN_WITH_ARI = 0x09, 0x19

#: Values of that register, those that let functions run more often.
_SRIOV_CONTROLS = (_RUN_WITH_ARI,) * 6 + (_RUN, 0x11, 0x08, 0x18, 0x00, 0x10)

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
        #: The function that the packet is meant for.
        self.unit = model.physical
        self._favourites = [rng.randrange(MOST_VIRTUAL_FUNCTIONS) for _ in range(FAVOURITES)]
        several = model.config.vf is not None
        self._kinds: tuple[tuple[float, str, Callable[[], Tlp]], ...] = (
            (30, "access", self.access),
            (32 if several else 16, "bring-up", self.bring_up),
            (6, "burst", self.burst),
            (8, "config read", self.config_read),
            (5, "config write", self.config_write),
            (1.5, "msix enable", self.msix_enable),
            (6 if model.space.window_data is not None else 0, "window", self.window),
            (0.7, "bar move", self.bar_move),
            (0.7 if several else 0, "virtual bar move", self.virtual_bar_move),
            (1.2 if several else 0, "virtual functions", self.virtual_functions),
            (0.7, "command", self.command),
            (0.3, "power", self.power_state),
            (0.3 if several else 0.1, "function level reset", self.function_level_reset),
            (2, "outside", self.outside),
            (1, "other function", self.other_function),
            (1, "atomic", self.atomic),
            (1, "locked read", self.locked_read),
            (2, "message", self.message),
            (1.5, "completion", self.completion),
            (2, "poisoned", self.poisoned),
        )
        self._weights = [weight for weight, _, _ in self._kinds]
        #: Writes that a driver or hypervisor is about to make, by function, the last one first.
        self._intended: dict[int, list[tuple[Space, int, int, int]]] = {}
        #: Accesses to the window in configuration space, the last one first: place in its capability, and a value.
        self._aimed: list[tuple[int, int | None]] = []

    @property
    def config(self) -> DeviceConfig:
        """What the function is that the packet is meant for."""
        return self.unit.config

    # Which function

    def choose_unit(self) -> Unit:
        """A function: often the one of the last time, or a favourite, now and then one that does not exist."""
        model = self.model
        if model.config.vf is None:
            return self.unit
        choice = self.rng.random()
        if not model.present:
            self.unit = self.rng.choice(model.units) if choice < 0.1 else model.physical
        elif choice < 0.1:
            self.unit = model.physical
        elif choice < 0.4:
            self.unit = model.units[1 + self.rng.choice(self._favourites) % model.present]
        elif choice < 0.5:
            self.unit = model.units[self.rng.randrange(1 + model.present)]
        elif choice < 0.52:
            self.unit = self.rng.choice(model.units)
        return self.unit

    # One packet

    def next(self) -> Item:
        """A packet of any kind."""
        self.choose_unit()
        asleep = not self.model.bars or (self.model.config.vf is not None and not self.model.present)
        if asleep and self.chance(0.7):
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
        """Where a BAR of the function stands now, enabled or not."""
        space, wide = self.model.space, bar.kind is BarKind.MEMORY64
        if self.unit is self.model.physical:
            return space.base_address(bar.index, wide)
        page = page_bytes(space.get("control.system_page_size"))
        return space.base_address(bar.index, wide, "vf_") + (self.unit.number - 1) * max(bar.decoded_size, page)

    def place(self) -> tuple[Bar, Region, int]:
        """A BAR, a region of it, and a byte offset in the region that is worth an access."""
        bar = self.rng.choice(self.config.bars)
        weights = [{Space.LEGACY: 6, Space.COMMON: 6, Space.CONTROL: 3}.get(region.space, 1) for region in bar.regions]
        [region] = self.rng.choices(bar.regions, weights)
        end = region.size if self.chance(0.04) else min(self._used(region) + 8, region.size)
        return bar, region, self.rng.randrange(end)

    def _used(self, region: Region) -> int:
        """Bytes from the start of a region that have registers."""
        return {
            Space.LEGACY: legacy.HEADER.size + self.config.kind.config_size,
            Space.CONTROL: control.TABLE.size,
            Space.ISR: 4,
            Space.DEVICE: self.config.kind.config_size,
            Space.MSIX: msix.ENTRY_SIZE * self.config.msix_vectors,
            Space.COMMON: modern.COMMON.size,
            Space.NOTIFY: len(self.config.queues) * (region.stride or modern.NOTIFY_SIZE),
        }[region.space]

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
        course = self._intended.setdefault(self.unit.number, [])
        control, enable = self.unit.function.control, self._view("control.msix_enable")
        if not course and not control.bus_master and self.chance(0.6):
            return self._config(COMMAND, 0x407, 3)
        if not course and not control.msix_enabled and enable is not None and self.chance(0.4):
            return self._config(enable[0], 1 << enable[1], 0xC)
        if not course:
            course += reversed(self.rng.choice((
                self._queue_life, self._queue_life, self._driver_life, self._recovery, self._policy, self._whole_life,
                *((self._vectors_life,) * 3 if self.config.msix_vectors else ()),
                *((self._modern_life, self._modern_queue, self._modern_queue) if self.config.modern else ())))())
        space, offset, size, value = course.pop()
        shown = [(bar, region) for bar in self.config.bars for region in bar.regions if region.space is space]
        if not shown:
            return self.access()
        bar, region = self.rng.choice(shown)
        return self._register_write(bar, region, offset, size, value)

    def _register_write(self, bar: Bar, region: Region, offset: int, size: int, value: int) -> Tlp:
        """A register of up to 4 bytes, as a driver writes it."""
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
        # Sometimes beside its address.
        course += [(Space.NOTIFY, at + 4 * self.chance(0.2), 4, self.rng.getrandbits(16) << 16 | queue)
                   for _ in range(self.rng.randrange(1, 4))]
        if self.chance(0.6):
            course += [(Space.COMMON, 0x16, 2, queue), (Space.COMMON, 0x3A, 2, 1)]
        return course

    def _recovery(self) -> list[tuple[Space, int, int, int]]:
        """The hypervisor takes every hindrance away."""
        return [(Space.LEGACY, 0x12, 1, 0), (Space.CONTROL, 0x14, 4, 0xFFFF_FFFF), (Space.CONTROL, 0x18, 4, 0),
                (Space.CONTROL, 0x1C, 4, 0), (Space.CONTROL, 0x24, 4, 0x100)]

    def _whole_life(self) -> list[tuple[Space, int, int, int]]:
        """The hypervisor takes every hindrance away, then a driver comes and uses a queue."""
        modern_life = self.config.modern and self.chance(0.5)
        return [*self._recovery(), *(
            (*self._modern_life(), *self._modern_queue()) if modern_life else
            (*self._driver_life(), *self._queue_life()))]

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

    def _config(self, offset: int, data: int | None = None, first_be: int = 0xF, unit: Unit | None = None
                ) -> ConfigRequest:
        """To *unit*, or else to the function that the packet is meant for."""
        number = (unit or self.unit).number
        device = self.rng.getrandbits(5) if self.model.config.vf is None else number >> 3
        return self._decorated(ConfigRequest(
            write=data is not None, bus=self.rng.getrandbits(8), device=device, function=number & 7,
            offset=offset, first_be=first_be, data=data or 0))

    def _view(self, view: str, unit: Unit | None = None) -> tuple[int, int] | None:
        """Dword offset and lowest bit of what hardware watches."""
        for register in (unit or self.unit).space.layout.registers:
            if register.view_of == view:
                return register.offset & ~3, 8 * (register.offset % 4)
            for part in register.fields:
                if part.view_of == view:
                    return register.offset & ~3, 8 * (register.offset % 4) + part.lsb
        return None

    def _physical(self, view: str, value: int, first_be: int = 0xF) -> ConfigRequest:
        """Write *value* to what hardware watches in the physical function, with zeros around it."""
        place = self._view(view, self.model.physical)
        assert place is not None
        return self._config(place[0], value << place[1] & 0xFFFF_FFFF, first_be, self.model.physical)

    def _stateful_register(self) -> int:
        """Dword offset of a register that is not constant."""
        return self.rng.choice([
            register.offset & ~3 for register in self.unit.space.layout.registers if _is_writable(register)])

    def config_read(self) -> Tlp:
        """Any dword, registers with state more often."""
        offset = self._stateful_register()
        if self.chance(0.3):
            offset = 4 * self.rng.randrange(SPACE_SIZE // 4)
        return self._config(offset, first_be=self.rng.choice((0xF, 0xF, self.rng.randrange(16))))

    def config_write(self) -> Tlp:
        """Any register but those that switch the device off, which have their own kinds."""
        offset = self._stateful_register()
        if self.chance(0.2):
            offset = 4 * self.rng.randrange(SPACE_SIZE // 4)
        initiate = self._view("control.initiate_reset")
        data = self.rng.getrandbits(32)
        if initiate is not None and offset == initiate[0]:
            data &= ~(1 << initiate[1])
        own_kinds = [self._view(f"control.{name}") for name in (
            "power_state", "vf_enable", *(f"vf_bar{index}" for index in range(6)))]
        if offset == COMMAND or BAR0 <= offset < BAR0 + 24 or offset in [place[0] for place in own_kinds if place]:
            return self._config(0x3C, data, 1)
        return self._config(offset, data, self.rng.choice((0xF, 0x3, 0xC, self.rng.randrange(16))))

    def msix_enable(self) -> Tlp:
        """Switch MSI-X on or off, with or without the function mask."""
        place = self._view("control.msix_enable")
        if place is None:
            return self.config_read()
        return self._config(place[0], self.rng.choice((0, 1, 2, 2, 2, 3)) << (place[1] - 1), 0xC)

    def window(self) -> Tlp:
        """The next step of a course: settings of the access window, sensible or not, then accesses through it.

        Only the physical function has one.
        """
        self.unit = self.model.physical
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
        bar, physical = self.rng.choice(self.model.config.bars), self.model.physical
        if bar.kind is BarKind.MEMORY64 and self.chance(0.3):
            return self._config(BAR0 + 4 * bar.index + 4, self.rng.choice((0, 0, 1, 0x12)), unit=physical)
        return self._config(BAR0 + 4 * bar.index, self.rng.choice((
            0xF000_0000, 0xE000_0000, 0xD123_4000, 0xC000, 0xFFFF_FFFF, self.rng.getrandbits(32))), unit=physical)

    def virtual_bar_move(self) -> Tlp:
        """Give a BAR of the virtual functions another address, perhaps among other BARs, or ask for its size."""
        assert self.model.config.vf is not None
        bar = self.rng.choice(self.model.config.vf.function.bars)
        if bar.kind is BarKind.MEMORY64 and self.chance(0.4):
            return self._physical(f"control.vf_bar{bar.index + 1}", self.rng.choice((0, 0, 1, 0x12)))
        place = self._view(f"control.vf_bar{bar.index}", self.model.physical)
        assert place is not None
        return self._config(place[0], self.rng.choice((
            0x8000_0000, 0x4000_0000, 0xA123_4000, 0xEFFF_8000, 0xFFFF_FFFF, self.rng.getrandbits(32))),
            unit=self.model.physical)

    def virtual_functions(self) -> Tlp:
        """Change how many virtual functions there are, or where; mostly that is not taken while they run."""
        assert self.model.config.vf is not None
        count, rng = self.model.config.vf.count, self.rng
        match rng.randrange(5):
            case 0:
                return self._physical("control.vf_enable", rng.choice((*_SRIOV_CONTROLS, rng.getrandbits(16))))
            case 1 | 2:
                return self._physical("control.num_vfs", rng.choice((
                    0, rng.randint(1, count), count, count, count + 1, rng.getrandbits(16))))
            case _:
                return self._physical("control.system_page_size", rng.choice((
                    1, 1 << rng.randrange(11), 1 << rng.randrange(32), rng.getrandbits(11), rng.getrandbits(32))))

    def command(self) -> Tlp:
        """Change what the function decodes and may send."""
        return self._config(COMMAND, self.rng.choice((7, 7, 7, 3, 5, 2, 0x407, self.rng.getrandbits(16))), 3)

    def power_state(self) -> Tlp:
        """Change the power state, also to states that the function does not have."""
        return self._physical("control.power_state", self.rng.choice((0, 0, 0, 1, 2, 3)), 1)

    def function_level_reset(self) -> Tlp:
        """Start a function level reset, with other bits set beside it."""
        place = self._view("control.initiate_reset")
        assert place is not None
        return self._config(place[0], 1 << place[1] | self.rng.getrandbits(32), 0xF)

    def revive(self) -> Tlp:
        """One of the writes that bring functions back whose BARs do not decode."""
        if not self.model.function.control.d0:
            return self._physical("control.power_state", 0)
        if self.model.config.vf is not None and self.chance(0.5 if self.model.bars else 0.1):
            return self._revive_virtual()
        if self.chance(0.5):
            return self._config(COMMAND, 0x407, 3, self.model.physical)
        return self.bar_move()

    def _revive_virtual(self) -> Tlp:
        """The next step toward virtual functions that run, with a few detours."""
        assert self.model.config.vf is not None
        count, rng, get = self.model.config.vf.count, self.rng, self.model.space.get
        if self.model.present:
            if not get("control.vf_memory_enable"):
                return self._physical("control.vf_enable", _RUN_WITH_ARI)
            return self.virtual_bar_move()
        if get("control.vf_enable"):
            return self._physical("control.vf_enable", 0)
        if not get("control.num_vfs") or self.chance(0.2):
            return self._physical("control.num_vfs", rng.choice((*(count,) * 6, rng.randint(1, count), 1)))
        if self.chance(0.2):
            pages = [1 << bit for bit in range(11) if SUPPORTED_PAGE_SIZES >> bit & 1]
            return self._physical("control.system_page_size", rng.choice((1, *pages)))
        return self._physical("control.vf_enable", rng.choice((_RUN, *(_RUN_WITH_ARI,) * 4)))

    # Everything that a function shows

    def select_queue(self, unit: Unit, queue: int) -> list[Tlp]:
        """Writes of the queue select of a function."""
        self.unit = unit
        places = {Space.LEGACY: 0x0E, Space.COMMON: 0x16}
        return [self._register_write(bar, region, places[region.space], 2, queue)
                for bar in self.config.bars for region in bar.regions if region.space in places]

    def read_registers(self, unit: Unit) -> list[Tlp]:
        """Reads of all registers of a function, in pieces that a completion boundary never cuts."""
        self.unit = unit
        found: list[Tlp] = []
        for bar in self.config.bars:
            for region in bar.regions:
                address = self.base(bar) + region.offset
                end = address + min((self._used(region) + 3) // 4 * 4, region.size)
                while address < end:
                    if bar.kind is BarKind.IO:
                        found.append(self._decorated(IoRequest(address=address)))
                        address += 4
                        continue
                    length = (min(end, address // PIECE * PIECE + PIECE) - address) // 4
                    found.append(self._decorated(MemoryRequest(
                        address=address, length=length, last_be=0xF if length > 1 else 0)))
                    address += 4 * length
        return found

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
        """A configuration request for a function that does not exist, or for the far side of a bridge."""
        type1, first = self.chance(0.5), self.model.present + 1
        request = self._config(4 * self.rng.randrange(64), self.rng.choice((None, 0, 0xFFFF_FFFF)))
        if type1 or first > MOST_VIRTUAL_FUNCTIONS:
            return replace(request, type1=True, function=self.rng.randrange(8))
        if self.model.config.vf is None:
            return replace(request, function=self.rng.randrange(1, 8))
        number = self.rng.choice((first, self.rng.randint(first, MOST_VIRTUAL_FUNCTIONS)))
        return replace(request, device=number >> 3, function=number & 7)

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
                return [dwords[0] | self.rng.choice((1 << 12, 1 << 13)), *dwords[1:]]
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


def _is_writable(register: Register) -> bool:
    return register.access is not Access.RO or any(part.access is not Access.RO for part in register.fields)

"""Walks requests dword by dword, one access a clock, and decides who goes next.

Specification: PCI Express Base 5.0, 2.3.1.1 (completions of reads) and 2.4.1 (ordering). Rules:

- A posted write waits for nothing but its turn, and never for the link.
- A non-posted request waits in a queue of its own until its completion has room. A single dword that
  finds the queue empty goes straight through, but a configuration request: its register is looked up
  for a clock while it is first in the queue.
- Long reads run in pieces that end at 128-byte boundaries. Between two pieces a waiting posted write
  goes first; after a posted write a waiting piece does.
- An event of the back end takes the clock behind one that no access wanted, and one in eight otherwise.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config.device import Bar
from virtio_mmr.spec.tlp import READ_COMPLETION_BOUNDARY

from .carryless import below
from .decoder import RegionDecoder
from .interface import CONFIG, NOWHERE, Access, CompletionDescriptor, Kind, Place, Request, RequestContext
from .queue import BlockQueue

#: Non-posted requests that may be inside at once, and how many must still fit while the link may send more.
QUEUE_DEPTH, QUEUE_RESERVE = 32, 16

_BOUNDARY = READ_COMPLETION_BOUNDARY // 4


class Operation(data.Struct):
    """One access with what its completion needs."""

    access: Access
    #: A completion follows; otherwise the access is posted.
    answered: unsigned(1)
    #: First and last dword of the completion.
    first: unsigned(1)
    last: unsigned(1)
    #: The request is refused because its payload is poisoned; see `completion.unsupported` for any refusal.
    poisoned: unsigned(1)
    completion: CompletionDescriptor
    context: RequestContext


class Waiting(data.Struct):
    """A non-posted request in the queue."""

    place: Place
    write: unsigned(1)
    #: Byte count and lower address are those of a memory read.
    memory: unsigned(1)
    poisoned: unsigned(1)
    #: One dword or a write, and not to configuration space: it needs no clock of preparation.
    simple: unsigned(1)
    #: Dwords; 0 stands for 1024.
    length: unsigned(10)
    first_be: unsigned(4)
    last_be: unsigned(4)
    data: unsigned(32)
    context: RequestContext


#: `Place` where there is one function with no BAR above 1 MiB: a RAM keeps bits that are always zero.
_NEAR_PLACE = data.StructLayout({"bar": 3, "offset": 18})


def _stored(*, several: bool) -> data.StructLayout:
    """What the queue keeps of a `Waiting`."""
    members = {name: field.shape for name, field in data.Layout.cast(Waiting)}
    return data.StructLayout({**members, "place": Place if several else _NEAR_PLACE})


def _connect(m: Module, target, source) -> None:
    """What both of them have of a `Waiting`."""
    parts = [{name for name, _ in data.Layout.cast(view.place.shape())} for view in (target, source)]
    for name, _ in data.Layout.cast(Waiting):
        if name == "place":
            m.d.comb += [target.place[part].eq(source.place[part]) for part in sorted(parts[0] & parts[1])]
        else:
            m.d.comb += target[name].eq(source[name])


def _looked_up(m: Module, enables, width: int, value):
    """A table over *enables*: *value* of each pattern. Synthesis makes one lookup table a bit of it, and no adders."""
    found = Signal(width)
    with m.Switch(enables):
        for pattern in range(16):
            with m.Case(pattern):
                m.d.comb += found.eq(value([i for i in range(4) if pattern >> i & 1]))
    return found


def lowest(m: Module, enables):
    """Number of the lowest enabled byte, 0 if there is none."""
    return _looked_up(m, enables, 2, lambda lanes: min(lanes, default=0))


def bytes_above(m: Module, enables):
    """How many bytes lie above the highest enabled one, 0 if there is none."""
    return _looked_up(m, enables, 2, lambda lanes: 3 - max(lanes, default=3))


def spanned(m: Module, enables):
    """Bytes from the lowest enabled one to the highest; 1 if there is none: PCI Express Base 5.0, 2.3.1.1."""
    return _looked_up(m, enables, 3, lambda lanes: max(lanes, default=0) - min(lanes, default=0) + 1)


class AccessSequencer(wiring.Component):
    """Turns requests into operations, one a clock, one clock later.

    Parameters
    ----------
    bars
        Where the windows are.
    virtual_bars
        Where those of a virtual function are.
    max_payload
        Largest payload of a write, in bytes.
    deferred
        The completion of a long read is stored two clocks behind its last dword, and not one.

    Members
    -------
    request : In(stream.Signature(Request))
    payload : In(32), step : Out(1)
        Payload of a request from its second dword on; `step` takes a dword.
    operation : Out(stream.Signature(Operation, always_ready=True))
    function_ahead : Out(8)
        The function of the operation, if there is one in the next clock.
    room : In(1)
        A completion of any length may be started.
    register_ahead : Out(10)
        Register number of a configuration request, in both clocks before that of its operation.
    captures : Out(1)
        A configuration write to this function was taken: its bus and device number are ours.
    dropped : Out(4)
        Pulses by `Outcome`: a request ended here without an access or a `discarded`.
    discarded : Out(1)
        In the clock in which its operation would come: a write to a virtual function is not applied, because its
        payload is poisoned.
    non_posted_ok : Out(1)
        At least `QUEUE_RESERVE` places are free.
    event_wanted : In(1), event_slot : Out(1)
        The clock belongs to an event; it is never an operation's clock.
    hold : In(1)
        Do nothing; the state of functions is being changed. What has begun goes on afterwards.
    """

    def __init__(self, bars: Sequence[Bar], *, virtual_bars: Sequence[Bar] = (), max_payload: int = 128,
                 deferred: bool = False):
        self._bars = tuple(bars)
        self._virtual_bars = tuple(virtual_bars)
        self._max_payload = max_payload
        self._deferred = deferred
        super().__init__({
            "request": In(stream.Signature(Request)),
            "payload": In(32),
            "step": Out(1),
            "operation": Out(stream.Signature(Operation, always_ready=True)),
            "function_ahead": Out(8),
            "room": In(1),
            "register_ahead": Out(10),
            "captures": Out(1),
            "dropped": Out(4),
            "discarded": Out(1),
            "non_posted_ok": Out(1),
            "event_wanted": In(1),
            "event_slot": Out(1),
            "hold": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.regions = regions = RegionDecoder(self._bars)
        several = bool(self._virtual_bars)
        stored = _stored(several=several)
        m.submodules.queue = queue = BlockQueue(stored, QUEUE_DEPTH)

        p, request = self.request.p, self.request
        valid = request.valid & ~self.hold
        single = p.single

        # --- What becomes of the request at hand --------------------------------------------------------
        # Whose turn it is follows from the kind alone; whether a BAR claims the request is known later.
        nowhere = (p.place.bar == NOWHERE) | p.poisoned
        is_write = (p.kind == Kind.MEMORY) & p.posted
        of_virtual = p.place.function != 0
        dropped = Signal(4)
        discard, non_posted = Signal(), Signal()
        with m.Switch(p.kind):
            with m.Case(Kind.MALFORMED):
                m.d.comb += [dropped.eq(0b0001), discard.eq(1)]
            with m.Case(Kind.IGNORE):
                m.d.comb += [dropped.eq(Mux(p.poisoned, 0b0010, 0)), discard.eq(1)]
            with m.Case(Kind.MESSAGE):
                m.d.comb += [dropped.eq(Mux(p.poisoned, 0b0010, 0b0100)), discard.eq(1)]
            with m.Case(Kind.COMPLETION):
                m.d.comb += [dropped.eq(0b1000), discard.eq(1)]
            with m.Case(Kind.MEMORY):
                with m.If(p.posted & nowhere & ~(p.poisoned & of_virtual)):
                    m.d.comb += dropped.eq(Mux(p.poisoned, 0b0010, 0b0100))
                m.d.comb += non_posted.eq(~p.posted)
            with m.Default():
                m.d.comb += non_posted.eq(1)
        w = Signal(Waiting)
        m.d.comb += [
            w.place.bar.eq(Mux(nowhere, NOWHERE, p.place.bar)),
            w.place.function.eq(p.place.function),
            w.place.offset.eq(p.place.offset),
            w.write.eq(p.write),
            w.memory.eq((p.kind == Kind.MEMORY) | p.locked),
            w.poisoned.eq(p.poisoned),
            w.simple.eq((p.write | single) & (p.kind != Kind.CONFIG)),
            w.length.eq(p.length),
            w.first_be.eq(p.first_be),
            w.last_be.eq(p.last_be),
            w.data.eq(p.data),
            w.context.requester.eq(p.requester),
            w.context.tag.eq(p.tag),
            w.context.traffic_class.eq(p.traffic_class),
            w.context.attributes.eq(p.attributes),
            w.context.locked.eq(p.locked),
        ]

        # --- The queue's head ---------------------------------------------------------------------------
        head = Signal(Waiting)
        _connect(m, head, queue.head.p)
        # A hold is late, so it is no matter for the choice: it only keeps it from going.
        waiting = queue.head.valid
        head_long = ~head.simple & below(head.place.bar, CONFIG)
        # A long read is prepared in one clock, its next piece cut in another, and then walked; a configuration request
        # is only prepared. A read is counted from the boundary in front of it: `owed` dwords from the start of this
        # piece's block on.
        prepared, cut, walking, first_piece = Signal(), Signal(), Signal(), Signal()
        owed, block = Signal(11), Signal(5)
        piece_left, ends = Signal(6), Signal()
        start = Signal(5)
        m.d.comb += start.eq(Mux(first_piece, head.place.offset[:5], 0))
        with m.If(waiting & ~head.simple & ~prepared):
            m.d.sync += [
                prepared.eq(1),
                cut.eq(~head_long),
                first_piece.eq(1),
                owed.eq(Cat(head.length, head.length == 0) + head.place.offset[:5]),
                block.eq(head.place.offset[5:10]),
            ]
        fits = below(owed, _BOUNDARY + 1)
        with m.If(prepared & ~cut):
            m.d.sync += [cut.eq(1), ends.eq(fits), piece_left.eq(Mux(fits, owed[:6], _BOUNDARY) - start)]
        piece_last = piece_left == 1

        # --- Who goes -----------------------------------------------------------------------------------
        # No completion starts in the clock behind a long one's last dword, which is still being stored; where that is
        # deferred, not in the next one either.
        resting, ended = Signal(), Signal()
        may_start = self.room & ~resting
        head_may_start = waiting & may_start & (head.simple | cut)
        writing = Signal()
        prefer_head = Signal()
        at_once = single & (p.kind != Kind.CONFIG) & may_start & queue.empty
        direct = request.valid & non_posted & at_once
        enqueue = valid & non_posted & ~at_once & queue.entries.ready
        wants_write = request.valid & is_write
        patience = self._patience = Signal(3)
        event_first = Signal()
        # The operation comes from the head, if there is one; otherwise from the request. A write waits for the head if
        # that `goes_first` among them.
        stopped = event_first | self.hold
        goes_first, from_head = Signal(), Signal()
        go_head = Signal()
        go_write = Signal()
        go_direct = Signal()
        m.d.comb += [
            goes_first.eq(walking | (head_may_start & ~writing & prefer_head)),
            from_head.eq(goes_first | (head_may_start & ~writing & ~wants_write)),
            go_head.eq(~stopped & from_head),
            go_write.eq(~stopped & wants_write & ~goes_first),
            go_direct.eq(~stopped & direct),
            self.event_slot.eq(event_first & ~self.hold),
        ]
        # Much follows from the choice, at the end of a long clock, so an event is chosen behind the clock that nobody
        # wanted.
        nobody = ~(go_head | go_write | go_direct)
        m.d.sync += event_first.eq(
            self.event_wanted & ~self.event_slot & (event_first | nobody | patience[1:].all()))
        with m.If(self.event_slot | ~self.event_wanted):
            m.d.sync += patience.eq(0)
        with m.Else():
            m.d.sync += patience.eq(patience + 1)

        # --- Progress -----------------------------------------------------------------------------------
        write_left = Signal(range(self._max_payload // 4))
        # What no BAR claims ends at once.
        write_last = Mux(writing, write_left == 1, single) | nowhere
        with m.If(go_write):
            m.d.sync += [
                write_left.eq(Mux(writing, write_left, p.length) - 1),
                writing.eq(~write_last),
            ]
            with m.If(write_last):
                m.d.sync += prefer_head.eq(1)
        long = go_head & head_long
        finished = go_head & (~head_long | (piece_last & ends))
        with m.If(go_head):
            m.d.sync += prefer_head.eq(0)
        with m.If(long):
            m.d.sync += [
                piece_left.eq(piece_left - 1),
                walking.eq(~piece_last),
                cut.eq(~piece_last),
            ]
            with m.If(~walking):
                m.d.sync += [owed[5:].eq(owed[5:] - 1), block.eq(block + 1), first_piece.eq(0)]
        with m.If(finished):
            m.d.sync += [prepared.eq(0), cut.eq(0)]
        m.d.sync += [
            ended.eq(long & piece_last),
            resting.eq((long & piece_last) | (ended if self._deferred else 0)),
            # Three more may be under way when the flag falls: in the request register, taken in the clock in which
            # it falls, and offered in the clock before.
            self.non_posted_ok.eq(below(queue.stored, QUEUE_DEPTH - QUEUE_RESERVE - 3)),
        ]
        m.d.comb += [
            # Nothing comes between the dwords of a write.
            self.step.eq(~stopped & writing),
            queue.entries.valid.eq(enqueue),
            queue.head.ready.eq(finished),
            request.ready.eq((valid & discard) | enqueue | go_direct | (go_write & write_last)),
            self.register_ahead.eq(head.place.offset),
            self.dropped.eq(Mux((valid & discard) | go_write, dropped, 0)),
            self.captures.eq(
                valid & request.ready & (p.kind == Kind.CONFIG) & (p.place.bar == CONFIG) & p.write & ~p.poisoned),
        ]

        _connect(m, queue.entries.p, w)

        # --- The operation ------------------------------------------------------------------------------
        chosen = Signal(Waiting)
        with m.If(from_head):
            m.d.comb += chosen.eq(head)
        with m.Else():
            m.d.comb += chosen.eq(w)
        # A request stays inside 4 KiB, so only the low bits of its place move.
        last_place = Signal(10)
        m.d.comb += [
            regions.place.eq(chosen.place),
            # The rows of several functions wait for this one, so it has a choice of its own: a head that may not start
            # yet does no harm here.
            self.function_ahead.eq(
                Mux(goes_first | (waiting & ~wants_write), head.place.function, p.place.function)),
        ]
        with m.If(walking | writing):
            m.d.comb += regions.place.offset[:10].eq(last_place + 1)
        with m.Elif(from_head & head_long):
            m.d.comb += regions.place.offset[:10].eq(Cat(start, block))
        with m.If(go_head | go_write):
            m.d.sync += last_place.eq(regions.place.offset)
        strobe = Signal(4)
        with m.If(walking | (from_head & head_long & ~first_piece)):
            m.d.comb += strobe.eq(Mux(piece_last & ends, head.last_be, 0b1111))
        with m.Elif(writing):
            m.d.comb += strobe.eq(Mux(write_last, p.last_be, 0b1111))
        with m.Else():
            m.d.comb += strobe.eq(chosen.first_be)

        space, offset = regions.space, regions.offset
        if several:
            m.submodules.virtual_regions = virtual = RegionDecoder(self._virtual_bars)
            m.d.comb += virtual.place.eq(regions.place)
            is_virtual = chosen.place.function != 0
            space = Mux(is_virtual, virtual.space.as_value(), space.as_value())
            offset = Mux(is_virtual, virtual.offset, offset)
        refused = chosen.place.bar == NOWHERE
        op = Signal(Operation)
        m.d.sync += [
            self.operation.valid.eq(go_head | (go_write & ~nowhere) | go_direct),
            op.access.space.eq(space),
            op.access.function.eq(chosen.place.function),
            op.access.offset.eq(offset),
            op.access.write.eq(chosen.write),
            op.access.strobe.eq(Mux(refused, 0, strobe)),
            op.answered.eq(~go_write),
            op.first.eq(~walking),
            op.last.eq(~from_head | ~head_long | piece_last),
            op.poisoned.eq(chosen.poisoned),
            self.discarded.eq(go_write & p.poisoned & of_virtual),
        ]
        # Wide parts have a register for each source, zero unless it goes: joining them costs an OR, choosing between
        # them would cost more.
        of_head, of_request, of_payload = Signal(Waiting), Signal(Waiting), Signal(32)
        m.d.sync += [of_head.eq(0), of_request.eq(0), of_payload.eq(0)]
        with m.If(from_head):
            m.d.sync += of_head.eq(head)
        with m.Elif(writing):
            m.d.sync += of_payload.eq(self.payload)
        with m.Else():
            m.d.sync += of_request.eq(w)
        m.d.comb += [
            self.operation.p.eq(op),
            self.operation.p.access.data.eq(of_head.data | of_request.data | of_payload),
            self.operation.p.context.eq(of_head.context.as_value() | of_request.context.as_value()),
        ]
        # Of a single dword: bytes from the first that is enabled to the last one, or 1, and where the first is.
        # Where the choice is late, both are looked up in front of it.
        span, low = (Mux(from_head, of(m, head.first_be), of(m, w.first_be)) if several else of(m, chosen.first_be)
                     for of in (spanned, lowest))
        bytes_left = Cat(0, 0, owed[:10]) - (Cat(lowest(m, head.first_be) & first_piece.replicate(2), start)
                                             + bytes_above(m, head.last_be))
        c = op.completion
        m.d.sync += [
            c.dwords.eq(Mux(from_head & head_long, piece_left, 1)),
            c.unsupported.eq(refused),
            c.has_data.eq(~chosen.write & ~refused),
            c.final.eq(~(from_head & head_long) | ends),
            c.lower_address.eq(Cat(low, chosen.place.offset[:5])),
            c.byte_count.eq(span),
        ]
        with m.If(~chosen.memory):
            m.d.sync += [c.byte_count.eq(4), c.lower_address.eq(0)]
        with m.Elif(from_head & ~head.simple):
            m.d.sync += c.byte_count.eq(bytes_left)
            with m.If(~first_piece):
                m.d.sync += c.lower_address.eq(0)
        return m

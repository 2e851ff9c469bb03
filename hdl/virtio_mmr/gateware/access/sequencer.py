"""Walks requests dword by dword, one access a clock, and decides who goes next.

Specification: PCI Express Base 5.0, 2.3.1.1 (completions of reads) and 2.4.1 (ordering). Rules:

- A posted write waits for nothing but its turn, and never for the link.
- A non-posted request waits in a queue of its own until its completion has room. A single dword that
  finds the queue empty goes straight through, but a configuration request: its register is looked up
  for a clock while it is first in the queue.
- Long reads run in pieces that end at 128-byte boundaries. Between two pieces a waiting posted write
  goes first; after a posted write a waiting piece does.
- Events of the back end take clocks that no access wants, and one in eight otherwise.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config.device import Bar
from virtio_mmr.spec.tlp import READ_COMPLETION_BOUNDARY

from .compare import below
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
    #: One dword, or a write.
    single: unsigned(1)
    first_be: unsigned(4)
    #: A write's payload; a read's length and last byte enables.
    data: unsigned(32)
    context: RequestContext

    @property
    def length(self):
        """Dwords of a read; 0 stands for 1024."""
        return self.data[:10]

    @property
    def last_be(self):
        """Byte enables of a read's last dword."""
        return self.data[10:14]


def lowest_byte(enables):
    """Number of the lowest enabled byte, 0 if there is none."""
    return Mux(enables[0], 0, Mux(enables[1], 1, Mux(enables[2], 2, Mux(enables[3], 3, 0))))


def bytes_above(enables):
    """How many bytes lie above the highest enabled one, 0 if there is none."""
    return Mux(enables[3], 0, Mux(enables[2], 1, Mux(enables[1], 2, Mux(enables[0], 3, 0))))


class AccessSequencer(wiring.Component):
    """Turns requests into operations, one a clock, one clock later.

    Parameters
    ----------
    bars
        Where the windows are.
    max_payload
        Largest payload of a write, in bytes.

    Members
    -------
    request : In(stream.Signature(Request))
    payload : In(32), step : Out(1)
        Payload of a request from its second dword on; `step` takes a dword.
    operation : Out(stream.Signature(Operation, always_ready=True))
    room : In(1)
        A completion of any length may be started.
    register_ahead : Out(10)
        Register number of a configuration request, in both clocks before that of its operation.
    captures : Out(1)
        A configuration write to this function was taken: its bus and device number are ours.
    dropped : Out(4)
        Pulses by `Outcome`: a request ended here without an access.
    non_posted_ok : Out(1)
        At least `QUEUE_RESERVE` places are free.
    event_wanted : In(1), event_slot : Out(1)
        The clock belongs to an event; it is never an operation's clock.
    hold : In(1)
        Start nothing; state is being initialised.
    """

    def __init__(self, bars: Sequence[Bar], *, max_payload: int = 128):
        self._bars = tuple(bars)
        self._max_payload = max_payload
        super().__init__({
            "request": In(stream.Signature(Request)),
            "payload": In(32),
            "step": Out(1),
            "operation": Out(stream.Signature(Operation, always_ready=True)),
            "room": In(1),
            "register_ahead": Out(10),
            "captures": Out(1),
            "dropped": Out(4),
            "non_posted_ok": Out(1),
            "event_wanted": In(1),
            "event_slot": Out(1),
            "hold": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        # One decoder for each source of accesses, so that the decoding does not wait for the choice.
        m.submodules.request_regions = request_regions = RegionDecoder(self._bars)
        m.submodules.head_regions = head_regions = RegionDecoder(self._bars)

        m.submodules.queue = queue = BlockQueue(Waiting, QUEUE_DEPTH)

        p, request = self.request.p, self.request
        valid = request.valid & ~self.hold
        single = p.length == 1

        # --- What becomes of the request at hand --------------------------------------------------------
        # Whose turn it is follows from the kind alone; whether a BAR claims the request is known later.
        nowhere = (p.place.bar == NOWHERE) | p.poisoned
        is_write = (p.kind == Kind.MEMORY) & p.posted
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
                with m.If(p.posted & nowhere):
                    m.d.comb += dropped.eq(Mux(p.poisoned, 0b0010, 0b0100))
                m.d.comb += non_posted.eq(~p.posted)
            with m.Default():
                m.d.comb += non_posted.eq(1)

        # --- The queue's head ---------------------------------------------------------------------------
        head = Signal(Waiting)
        m.d.comb += head.eq(queue.head.p)
        waiting = queue.head.valid & ~self.hold
        head_refused = head.place.bar == NOWHERE
        head_single = head.single
        head_looked_up = head.place.bar == CONFIG
        # A long read is prepared in one clock, its next piece cut in another, and then walked.
        prepared, cut, walking, first_piece = Signal(), Signal(), Signal(), Signal()
        left, piece_left, ends = Signal(11), Signal(6), Signal()
        # A request stays inside 4 KiB, so only the low bits of its place move.
        where = Signal(10)
        low = lowest_byte(head.first_be)
        with m.If(waiting & (~head_single | head_looked_up) & ~prepared):
            m.d.sync += [
                prepared.eq(1),
                first_piece.eq(1),
                left.eq(Cat(head.length, head.length == 0)),
                where.eq(head.place.offset[:10]),
            ]
        to_boundary, fits = Signal(6), Signal()
        m.d.comb += [
            to_boundary.eq(_BOUNDARY - where[:5]),
            fits.eq((left[6:] == 0) & (left[:6] <= to_boundary)),
        ]
        with m.If(prepared & ~cut):
            m.d.sync += [cut.eq(1), ends.eq(fits), piece_left.eq(Mux(fits, left[:6], to_boundary))]
        # Bytes that are left: the missing ones at the start count until the first piece has begun.
        byte_count = Signal(12)
        missing = Mux(first_piece, low, 0) + bytes_above(head.last_be)
        m.d.comb += byte_count.eq(Cat(0, 0, left[:10]) - missing)

        # --- Who goes -----------------------------------------------------------------------------------
        # No completion starts in the clock behind a long one's last dword, which is still being stored.
        resting = Signal()
        may_start = self.room & ~resting
        head_may_start = waiting & may_start & Mux(
            head_refused | head_single, prepared | (head_single & ~head_looked_up), cut)
        writing = Signal()
        prefer_head = Signal()
        at_once = single & (p.kind != Kind.CONFIG) & may_start & queue.empty
        direct = valid & non_posted & at_once
        enqueue = valid & non_posted & ~at_once & queue.entries.ready
        wants_write = valid & is_write
        patience = Signal(3)
        event_first = self.event_wanted & patience.all()
        go_head = Signal()
        go_write = Signal()
        go_direct = Signal()
        m.d.comb += [
            go_head.eq(~event_first & (walking | (head_may_start & ~writing & (~wants_write | prefer_head)))),
            go_write.eq(~event_first & wants_write & ~go_head & ~walking),
            go_direct.eq(~event_first & direct),
            self.event_slot.eq(~(go_head | go_write | go_direct) & ~self.hold),
        ]
        with m.If(self.event_slot | ~self.event_wanted):
            m.d.sync += patience.eq(0)
        with m.Else():
            m.d.sync += patience.eq(patience + 1)

        # --- A posted write -----------------------------------------------------------------------------
        write_where = Signal(10)
        write_left = Signal(range(self._max_payload // 4))
        # What no BAR claims ends at once.
        write_last = Mux(writing, write_left == 1, single) | nowhere
        with m.If(go_write):
            m.d.sync += [
                write_where.eq(Mux(writing, write_where, p.place.offset[:10]) + 1),
                write_left.eq(Mux(writing, write_left, p.length) - 1),
                writing.eq(~write_last),
            ]
            with m.If(write_last):
                m.d.sync += prefer_head.eq(1)
        m.d.comb += self.step.eq(go_write & writing)

        # --- A non-posted request -----------------------------------------------------------------------
        w = Signal(Waiting)
        m.d.comb += [
            w.place.bar.eq(Mux(nowhere, NOWHERE, p.place.bar)),
            w.place.offset.eq(Mux(p.place.bar == NOWHERE, p.address[:5], p.place.offset)),
            w.write.eq(p.write),
            w.memory.eq((p.kind == Kind.MEMORY) | p.locked),
            w.poisoned.eq(p.poisoned),
            w.single.eq(p.write | single),
            w.first_be.eq(p.first_be),
            w.data.eq(p.data),
            queue.entries.p.eq(w),
            queue.entries.p.data.eq(Mux(p.write, p.data, Cat(p.length, p.last_be))),
            queue.entries.valid.eq(enqueue),
            request.ready.eq((valid & discard) | enqueue | go_direct | (go_write & write_last)),
            w.context.requester.eq(p.requester),
            w.context.tag.eq(p.tag),
            w.context.traffic_class.eq(p.traffic_class),
            w.context.attributes.eq(p.attributes),
            w.context.locked.eq(p.locked),
        ]
        piece_last = piece_left == 1
        finished = go_head & (head_single | head_refused | (piece_last & ends))
        m.d.comb += queue.head.ready.eq(finished)
        with m.If(go_head):
            m.d.sync += prefer_head.eq(0)
            with m.If(~head_single & ~head_refused):
                m.d.sync += [
                    where.eq(where + 1),
                    piece_left.eq(piece_left - 1),
                    walking.eq(~piece_last),
                    cut.eq(~piece_last),
                ]
                with m.If(~walking):
                    m.d.sync += [left.eq(left - piece_left), first_piece.eq(0)]
        with m.If(finished):
            m.d.sync += [prepared.eq(0), cut.eq(0)]
        long = go_head & ~head_single & ~head_refused
        m.d.sync += resting.eq(long & piece_last)
        # Three more may be under way when the flag falls: in the request register, taken in the clock in which it
        # falls, and offered in the clock before.
        m.d.sync += self.non_posted_ok.eq(below(queue.stored, QUEUE_DEPTH - QUEUE_RESERVE - 3))

        # --- The operation ------------------------------------------------------------------------------
        chosen = Signal(Waiting)
        with m.If(go_head):
            m.d.comb += chosen.eq(head)
        with m.Else():
            m.d.comb += chosen.eq(w)
        strobe = Signal(4)
        m.d.comb += [
            request_regions.place.eq(w.place),
            head_regions.place.eq(head.place),
            self.register_ahead.eq(head.place.offset),
        ]
        with m.If(writing):
            m.d.comb += request_regions.place.offset[:10].eq(write_where)
        with m.If(~head_single):
            m.d.comb += head_regions.place.offset[:10].eq(where)
        at_start = ~walking & first_piece
        with m.If(go_head & ~head_single):
            m.d.comb += strobe.eq(Mux(at_start, head.first_be, Mux(piece_last & ends, head.last_be, 0b1111)))
        with m.Elif(writing):
            m.d.comb += strobe.eq(Mux(write_last, p.last_be, 0b1111))
        with m.Else():
            m.d.comb += strobe.eq(chosen.first_be)

        refused = chosen.place.bar == NOWHERE
        op = self.operation.p
        m.d.sync += [
            self.operation.valid.eq(go_head | (go_write & ~nowhere) | go_direct),
            op.access.space.eq(Mux(go_head, head_regions.space, request_regions.space)),
            op.access.function.eq(0),
            op.access.offset.eq(Mux(go_head, head_regions.offset, request_regions.offset)),
            op.access.write.eq(chosen.write),
            op.access.data.eq(Mux(writing, self.payload, chosen.data)),
            op.access.strobe.eq(Mux(refused, 0, strobe)),
            op.answered.eq(~go_write),
            op.first.eq(~walking),
            op.last.eq(~go_head | head_single | head_refused | piece_last),
            op.poisoned.eq(chosen.poisoned),
            op.context.eq(chosen.context),
        ]
        c = op.completion
        counted = chosen.memory
        m.d.sync += [
            c.dwords.eq(Mux(long, piece_left, 1)),
            c.unsupported.eq(refused),
            c.has_data.eq(~chosen.write & ~refused),
            c.final.eq(~long | ends),
        ]
        with m.If(~counted):
            m.d.sync += [c.byte_count.eq(4), c.lower_address.eq(0)]
        with m.Elif(go_head & ~head_single):
            m.d.sync += [
                c.byte_count.eq(byte_count),
                c.lower_address.eq(Cat(Mux(first_piece, low, 0)[:2], where[:5])),
            ]
        with m.Else():
            enables = chosen.first_be
            span = Signal(3)
            m.d.comb += span.eq(Mux(enables == 0, 1, 4 - lowest_byte(enables) - bytes_above(enables)))
            m.d.sync += [
                c.byte_count.eq(span),
                c.lower_address.eq(Cat(lowest_byte(enables)[:2], chosen.place.offset[:5])),
            ]
        m.d.comb += [
            self.dropped.eq(Mux((valid & discard) | go_write, dropped, 0)),
            self.captures.eq(
                valid & request.ready & (p.kind == Kind.CONFIG) & (p.place.bar == CONFIG) & p.write & ~p.poisoned),
        ]
        return m

"""Collects replies into completions and sends each as one packet without a gap.

Specification: PCI Express Base 5.0, 2.2.9 (completion rules) and 2.3.1.1 (data return).
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below, following
from virtio_mmr.gateware.access.interface import CompletionDescriptor, RequestContext
from virtio_mmr.spec.tlp import CompletionStatus, TlpType

from .beat import CompletionHeader, raw_beat

#: Rows of the packet store; a completion takes one for its header and first dword, and one for every four more.
ROWS = 128

#: Dwords of a completion's header.
_HEADER = 3


def _mark(lanes: int) -> data.StructLayout:
    """What goes with a beat's dwords.

    Which dwords there are, whether the beat ends its packet, and whether there is no such beat because the packet
    ended in the half row before.
    """
    return data.StructLayout({"keep": unsigned(lanes), "last": unsigned(1), "empty": unsigned(1)})


class CompletionBuilder(wiring.Component):
    """A ring of rows in block RAM into which packets are written as they will leave, dword by dword.

    The header is written together with the first dword, each further dword onto its own lane. A completion is
    offered when its last dword has been written, so its beats follow without a gap. The RAM's output is the
    packet's beat: latency from the last reply to the first beat is two clocks, three behind a long completion.
    Order is the order of the replies. Dwords are written a clock late, from a register, because a window's answer
    comes late in its clock; a single one passes the RAM by. On the lanes of the header a dword and another's header
    must not meet; therefore the clock after a long completion's last reply brings no other's first, and with `deferred`
    the clock after that does not, either.

    Parameters
    ----------
    width
        Of the stream, in bits.
    late
        A part of the replies comes a clock late.
    deferred
        With `late`: it comes so late in that clock that dwords on the lanes of the header are written one more clock
        later.

    Members
    -------
    reply_valid : In(1)
    reply : In(32)
        Payload dword, or nothing of meaning for a completion without data.
    late_reply : In(32)
        With `late`: bits of the dword of the clock before, beside those of `reply`.
    first, last : In(1)
        Position of the dword in its completion.
    completion : In(CompletionDescriptor)
        With every dword; ``dwords`` counts down.
    context : In(RequestContext)
        With `first`.
    room : Out(1)
        A completion of any length may be started, even if the one before it is still being written.
    completer : In(16)
        Bus, device and function number to answer with; looked at with `first`.
    beats : Out(stream.Signature(raw_beat(width)))
    complete, left : Out(range(ROWS))
        Where the next completion to be complete will begin, and the next to leave: equal if none waits.
    """

    def __init__(self, width: int, *, late: bool = False, deferred: bool = False):
        self._width = width
        self._late = late
        self._deferred = late and deferred
        super().__init__({
            "reply_valid": In(1),
            "reply": In(32),
            **({"late_reply": In(32)} if late else {}),
            "first": In(1),
            "last": In(1),
            "completion": In(CompletionDescriptor),
            "context": In(RequestContext),
            "room": Out(1, init=1),
            "completer": In(16),
            "beats": Out(stream.Signature(raw_beat(width))),
            "complete": Out(range(ROWS)),
            "left": Out(range(ROWS)),
        })

    def elaborate(self, platform):
        m = Module()
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}
        beat_lanes = self._width // 32
        # A row holds a whole header; it leaves as two beats where the stream is narrower than that.
        lanes = max(beat_lanes, _HEADER + 1)
        halves = lanes // beat_lanes
        c, context = self.completion, self.context
        begins = self.reply_valid & self.first

        # --- The packet's first dwords ------------------------------------------------------------------
        header = Signal(CompletionHeader)
        status = Mux(c.unsupported, CompletionStatus.UNSUPPORTED.value, CompletionStatus.SUCCESSFUL.value)
        m.d.comb += [
            header.type.eq(Mux(context.locked, TlpType.COMPLETION_LOCKED.value, TlpType.COMPLETION.value)),
            header.fmt.eq(Cat(0, c.has_data)),
            header.length.eq(Mux(c.has_data, c.dwords, 0)),
            header.attributes_low.eq(context.attributes[:2]),
            header.attribute_high.eq(context.attributes[2]),
            header.traffic_class.eq(context.traffic_class),
            header.tag.eq(context.tag[:8]),
            header.tag_8.eq(context.tag[8]),
            header.tag_9.eq(context.tag[9]),
            header.requester.eq(context.requester),
            header.completer.eq(self.completer),
            header.status.eq(status),
            header.byte_count.eq(c.byte_count),
            header.lower_address.eq(c.lower_address),
        ]
        first_words = [Mux(begins, header.as_value()[32 * i:32 * i + 32], 0) for i in range(_HEADER)]

        # --- Rows that are written ----------------------------------------------------------------------
        # The lane of a dword behind the first; the first stands behind the header.
        lane = Signal(range(lanes))
        here = Mux(self.first, _HEADER, lane)
        row, after, committed = Signal(range(ROWS)), Signal(range(ROWS)), Signal(range(ROWS))
        late, late_first, late_last, late_row = Signal(), Signal(), Signal(), Signal.like(row)
        late_lane, in_time = Signal.like(lane), Signal(32)
        m.d.comb += after.eq(following(row))
        m.d.sync += [
            late.eq(self.reply_valid),
            late_first.eq(self.first),
            late_last.eq(self.last),
            late_row.eq(row),
            late_lane.eq(here),
            in_time.eq(self.reply),
        ]
        in_late = self.late_reply if self._late else C(0, 32)
        late_reply = in_time | in_late
        # A dword behind the first that goes onto a lane of the header. What comes late joins the rest last.
        now = written = (late & ~late_first, late_last, late_row, late_lane, in_time, in_late)
        if self._deferred:
            now = (*now[:4], late_reply, C(0, 32))
            written = tuple(Signal.like(value) for value in now)
            m.d.sync += [later.eq(value) for later, value in zip(written, now, strict=True)]
        behind, behind_last, behind_row, behind_lane, behind_in_time, behind_late = written
        with m.If(self.reply_valid):
            m.d.sync += lane.eq(Mux(self.first, (_HEADER + 1) % lanes, following(lane)))
            with m.If(self.last | (here == lanes - 1)):
                m.d.sync += row.eq(after)
        with m.If(begins & self.last):
            m.d.sync += committed.eq(after)
        with m.If(behind & behind_last):
            m.d.sync += committed.eq(row)

        # --- Rows that are read -------------------------------------------------------------------------
        out = Signal(range(ROWS * halves))
        offered, fetch = Signal(), Signal()
        beats = self.beats
        m.d.comb += fetch.eq((out[halves - 1:] != committed) & (~beats.valid | beats.ready))
        with m.If(~beats.valid | beats.ready):
            m.d.sync += offered.eq(fetch)
        with m.If(fetch):
            m.d.sync += out.eq(following(out))
        # Behind a packet's last beat, what is fetched next is the next packet; an empty half row is nobody's.
        m.d.comb += self.complete.eq(committed)
        with m.If(beats.valid & beats.ready & beats.p.last):
            m.d.sync += self.left.eq((out + (halves - 1))[halves - 1:])
        # The writer keeps out of the quarter of the ring in front of the reader, as both stood a clock ago. Until it
        # hears of that it may go on by what three completions take: one that is being written, and two that begin.
        m.d.sync += self.room.eq(following(row[-2:]) != out[-2:])

        # The half of a row that the stores' outputs are to be taken from.
        half_shown = Signal()
        if halves > 1:
            with m.If(fetch):
                m.d.sync += half_shown.eq(out[0])

        def lane_store(number: int, addresses, value, enables):
            """One word of each row and half row. Both halves of a row may be written at once, so each has its RAM."""
            shown = []
            for half in range(halves):
                store = memory.Memory(shape=value[half].shape(), depth=ROWS, init=[], attrs=in_block_ram)
                m.submodules[f"lane_{number}_{half}" if halves > 1 else f"lane_{number}"] = store
                port = store.write_port()
                m.d.comb += [port.addr.eq(addresses[half]), port.data.eq(value[half]), port.en.eq(enables[half])]
                port = store.read_port()
                m.d.comb += [port.addr.eq(out[halves - 1:]), port.en.eq(fetch)]
                shown.append(port.data)
            return Mux(half_shown, shown[1], shown[0]) if halves > 1 else shown[0]

        words = []
        for number in range(beat_lanes):
            places = range(number, lanes, beat_lanes)
            words.append(lane_store(
                number,
                [Mux(behind, behind_row, row) if i < _HEADER else late_row for i in places],
                [(Mux(behind, behind_in_time, 0) | first_words[i]) | Mux(behind, behind_late, 0) if i < _HEADER
                 else late_reply for i in places],
                [begins | (behind & (behind_lane == i)) if i < _HEADER else late & (late_lane == i) for i in places]))
        if halves == 1:
            # A completion of one dword is read while that is being written.
            passes, passed = Signal(), Signal(32)
            with m.If(fetch):
                m.d.sync += [passes.eq(late & late_first & (out == late_row)), passed.eq(late_reply)]
            words[_HEADER] = Mux(passes, passed, words[_HEADER])

        # A row's first dword brings the marks of its beats, because it knows how many are to come.
        def more_than(count: int):
            """The packet has more than *count* dwords from this row on."""
            left = Mux(c.has_data, c.dwords, 0)
            return Mux(self.first, ~below(left, count - _HEADER + 1), ~below(left, count + 1))

        layout = _mark(beat_lanes)
        marks = [Signal(layout, name=f"mark_{half}") for half in range(halves)]
        for half, mark in enumerate(marks):
            start = half * beat_lanes
            m.d.comb += [
                mark.keep.eq(Cat(more_than(start + i) for i in range(beat_lanes))),
                mark.last.eq(~more_than(start + beat_lanes)),
                mark.empty.eq(~more_than(start)),
            ]
        mark = layout(lane_store(
            beat_lanes, [row] * halves, [mark.as_value() for mark in marks],
            [self.reply_valid & (self.first | (lane == 0))] * halves))
        m.d.comb += [
            beats.valid.eq(offered & ~mark.empty if halves > 1 else offered),
            beats.p.data.eq(Cat(words)),
            beats.p.keep.eq(mark.keep),
            beats.p.last.eq(mark.last),
        ]
        return m

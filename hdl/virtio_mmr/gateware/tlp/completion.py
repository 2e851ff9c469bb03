"""Collects replies into completions and sends each as one packet without a gap.

Specification: PCI Express Base 5.0, 2.2.9 (completion rules) and 2.3.1.1 (data return).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.compare import below
from virtio_mmr.gateware.access.interface import CompletionDescriptor, RequestContext
from virtio_mmr.spec.tlp import CompletionStatus, TlpType

from .beat import CompletionHeader, tlp_beat

#: Completions that may be started before the first of them has left, and how many may be longer than a dword.
DEPTH, LONG_DEPTH = 16, 2

#: Dwords of a long completion behind its first.
_TAIL = 32


class _Entry(data.Struct):
    completion: CompletionDescriptor
    data: unsigned(32)


class CompletionBuilder(wiring.Component):
    """Three small stores: descriptors with their first dword, tails of long completions, contexts.

    A completion is complete before its first beat is offered, so its beats follow without a gap. Latency
    from the last reply to the first beat: one clock, two above 128 bits. Order is the order of the replies.

    Members
    -------
    context : In(RequestContext), remember : In(1)
        A request was taken; its completions follow in the order of the requests.
    forget : Out(1)
        The last completion of the oldest request leaves.
    reply_valid : In(1)
    reply : In(32)
        Payload dword, or nothing of meaning for a completion without data.
    first, last : In(1)
        Position of the dword in its completion.
    completion : In(CompletionDescriptor)
        Valid with `first`.
    room, room_long : Out(1)
    admit, admit_long : In(1)
        Reserve room for a completion; its replies will come.
    completer : In(16)
        Bus, device and function number to answer with; looked at when the completion leaves.
    beats : Out(stream.Signature(tlp_beat(width)))
    """

    def __init__(self, width: int, *, contexts: int):
        self._width = width
        self._contexts = contexts
        super().__init__({
            "context": In(RequestContext),
            "remember": In(1),
            "forget": Out(1),
            "reply_valid": In(1),
            "reply": In(32),
            "first": In(1),
            "last": In(1),
            "completion": In(CompletionDescriptor),
            "room": Out(1),
            "room_long": Out(1),
            "admit": In(1),
            "admit_long": In(1),
            "completer": In(16),
            "beats": Out(stream.Signature(tlp_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        beats = self.beats
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}

        # --- Room -----------------------------------------------------------------------------------
        entries, tails = Signal(range(DEPTH + 1)), Signal(range(LONG_DEPTH + 1))
        left, left_long = Signal(), Signal()
        m.d.sync += [
            entries.eq(entries + self.admit - left),
            tails.eq(tails + self.admit_long - left_long),
        ]
        # A clock late, so one place is kept for what is admitted meanwhile; long ones are clocks apart.
        m.d.sync += [
            self.room.eq(entries < DEPTH - 1),
            self.room_long.eq((entries < DEPTH - 1) & (tails != LONG_DEPTH)),
        ]

        # --- Descriptors and first dwords -------------------------------------------------------------
        m.submodules.entries = store = memory.Memory(shape=_Entry, depth=DEPTH, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        head, tail = Signal(range(DEPTH)), Signal(range(DEPTH))
        waiting = Signal(range(DEPTH + 1))
        m.d.comb += [
            write.addr.eq(tail),
            write.data.completion.eq(self.completion),
            write.data.data.eq(self.reply),
            write.en.eq(self.reply_valid & self.first),
            read.addr.eq(head),
        ]
        done = self.reply_valid & self.last
        is_long = done & ~self.first
        # A tail is written a clock late. Above 128 bits the first beat shows some of it, which takes another
        # clock; then short completions wait as well, so that none overtakes.
        short_complete, long_complete = Signal(), Signal()
        if lanes > 4:
            long_written = Signal()
            m.d.sync += [short_complete.eq(done & self.first), long_written.eq(is_long), long_complete.eq(long_written)]
        else:
            m.d.comb += short_complete.eq(done & self.first)
            m.d.sync += long_complete.eq(is_long)
        m.d.sync += [
            tail.eq(tail + done),
            head.eq(head + left),
            waiting.eq(waiting + (short_complete + long_complete) - left),
        ]

        # --- Contexts ---------------------------------------------------------------------------------
        m.submodules.contexts = contexts = memory.Memory(
            shape=RequestContext, depth=self._contexts, init=[], attrs=in_block_ram)
        context_write, context_read = contexts.write_port(), contexts.read_port()
        newest, oldest = Signal(range(self._contexts)), Signal(range(self._contexts))
        # One ahead of the oldest, so that the read address costs one gate.
        after = Signal(range(self._contexts), init=1)
        m.d.comb += [
            context_write.addr.eq(newest),
            context_write.data.eq(self.context),
            context_write.en.eq(self.remember),
            context_read.addr.eq(Mux(self.forget, after, oldest)),
            context_read.en.eq(1),
        ]
        m.d.sync += newest.eq(newest + self.remember)
        with m.If(self.forget):
            m.d.sync += [oldest.eq(after), after.eq(after + 1)]

        # --- Tails ------------------------------------------------------------------------------------
        # Payload dword i of a completion stands at dword 3 + i of its packet, so its lane is fixed. Rows are
        # counted from the one that holds dword 1.
        low = lanes.bit_length() - 1
        start = 4 % lanes
        row_bits = ((start + _TAIL - 2) >> low).bit_length()
        position = Signal(range(start + _TAIL))
        late_position, late_slot, late_data, late = Signal.like(position), Signal(), Signal(32), Signal()
        slot_in, slot_out = Signal(), Signal()
        row = Signal(row_bits)
        with m.If(self.reply_valid):
            m.d.sync += position.eq(Mux(self.first, start, position + 1))
        m.d.sync += [
            slot_in.eq(slot_in ^ is_long),
            slot_out.eq(slot_out ^ left_long),
            late_position.eq(position),
            late_slot.eq(slot_in),
            late_data.eq(self.reply),
            late.eq(self.reply_valid & ~self.first),
        ]
        words = []
        for lane in range(lanes):
            m.submodules[f"tail_{lane}"] = part = memory.Memory(
                shape=32, depth=2 << row_bits, init=[], attrs=in_block_ram)
            part_write, part_read = part.write_port(), part.read_port()
            m.d.comb += [
                part_write.addr.eq(Cat(late_position[low:], late_slot)),
                part_write.data.eq(late_data),
                part_write.en.eq(late & (late_position[:low] == lane)),
                part_read.addr.eq(Cat(row, slot_out ^ left_long)),
                part_read.en.eq(1),
            ]
            words.append(part_read.data)

        # --- Packets ----------------------------------------------------------------------------------
        c = read.data.completion
        context = context_read.data
        header = Signal(CompletionHeader)
        dwords = Mux(c.has_data, c.dwords, 0)
        status = Mux(c.unsupported, CompletionStatus.UNSUPPORTED.value, CompletionStatus.SUCCESSFUL.value)
        m.d.comb += [
            header.type.eq(Mux(context.locked, TlpType.COMPLETION_LOCKED.value, TlpType.COMPLETION.value)),
            header.fmt.eq(Cat(0, c.has_data)),
            header.length.eq(dwords),
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
        first = Signal(init=1)
        rest = Signal(6)
        beside = 1 if lanes < 4 else lanes - 3
        fits = ~c.has_data | below(c.dwords, beside + 1)
        rest_fits = below(rest, lanes + 1)
        # Row whose data will be wanted in the next clock.
        following = Signal(row_bits)
        m.d.comb += [
            beats.valid.eq(waiting != 0),
            beats.p.header.eq(header),
            beats.p.first.eq(first),
        ]
        with m.If(first):
            # Lanes that the header leaves no room for show anything.
            behind_header = [read.data.data, *(words[4:] if lanes > 4 else words[1:]), *words[:3]][:lanes]
            m.d.comb += [
                beats.p.data.eq(Cat(behind_header)),
                beats.p.dwords.eq(Mux(fits, dwords, beside)),
                beats.p.last.eq(fits),
            ]
        with m.Else():
            m.d.comb += [
                beats.p.data.eq(Cat(words)),
                beats.p.dwords.eq(Mux(rest_fits, rest, lanes)),
                beats.p.last.eq(rest_fits),
            ]
        moves = beats.valid & beats.ready
        m.d.comb += [
            left.eq(moves & beats.p.last),
            left_long.eq(left & c.has_data & ~below(c.dwords, 2)),
            self.forget.eq(left & c.final),
            row.eq(Mux(left, 0, following + moves)),
        ]
        first_row = 0 if lanes > 4 else -1
        m.d.sync += following.eq(Mux(left | (first & ~moves), first_row, row))
        with m.If(moves):
            m.d.sync += [
                first.eq(beats.p.last),
                rest.eq(Mux(first, dwords, rest) - beats.p.dwords),
            ]
        return m

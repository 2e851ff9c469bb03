"""Collects replies into completions and sends each as one packet without a gap.

Specification: PCI Express Base 5.0, 2.2.9 (completion rules) and 2.3.1.1 (data return).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import CompletionDescriptor
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
    """Two small stores: descriptors with their first dword, and the tails of long completions.

    A completion is complete before its first beat is offered, so its beats follow without a gap. Latency
    from the last reply to the first beat: one clock. Order is the order of the replies.

    Members
    -------
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

    def __init__(self, width: int):
        self._width = width
        super().__init__({
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

        # --- Room -----------------------------------------------------------------------------------
        entries, tails = Signal(range(DEPTH + 1)), Signal(range(LONG_DEPTH + 1))
        left, left_long = Signal(), Signal()
        m.d.sync += [
            entries.eq(entries + self.admit - left),
            tails.eq(tails + self.admit_long - left_long),
        ]
        m.d.comb += [
            self.room.eq(entries != DEPTH),
            self.room_long.eq((entries != DEPTH) & (tails != LONG_DEPTH)),
        ]

        # --- Stores ---------------------------------------------------------------------------------
        m.submodules.entries = store = memory.Memory(shape=_Entry, depth=DEPTH, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        head, tail = Signal(range(DEPTH)), Signal(range(DEPTH))
        waiting = Signal(range(DEPTH + 1))
        is_long = self.reply_valid & self.last & ~self.first
        m.d.comb += [
            write.addr.eq(tail),
            write.data.completion.eq(self.completion),
            write.data.data.eq(self.reply),
            write.en.eq(self.reply_valid & self.first),
            read.addr.eq(head),
        ]
        done = self.reply_valid & self.last
        m.d.sync += [
            tail.eq(tail + done),
            head.eq(head + left),
            waiting.eq(waiting + done - left),
        ]

        # Payload dword i of a completion stands at dword 3 + i of its packet, so its lane is fixed.
        rows = -(-(_TAIL + 3) // lanes)
        at = Signal(range((rows + 1) * lanes))
        slot_in, slot_out = Signal(), Signal()
        position = Mux(self.first, 3, at)
        with m.If(self.reply_valid):
            m.d.sync += at.eq(position + 1)
        m.d.sync += [slot_in.eq(slot_in ^ is_long), slot_out.eq(slot_out ^ left_long)]
        row_bits = (rows - 1).bit_length() or 1
        row = Signal(range(max(rows, 2)))
        low = lanes.bit_length() - 1
        tail_words = []
        for lane in range(lanes):
            m.submodules[f"tail_{lane}"] = part = memory.Memory(shape=32, depth=2 << row_bits, init=[])
            part_write, part_read = part.write_port(), part.read_port(domain="comb")
            m.d.comb += [
                part_write.addr.eq(Cat((position >> low)[:row_bits], slot_in)),
                part_write.data.eq(self.reply),
                part_write.en.eq(self.reply_valid & ~self.first & (position[:low] == lane)),
                part_read.addr.eq(Cat(row[:row_bits], slot_out)),
            ]
            tail_words.append(part_read.data)

        # --- Packets --------------------------------------------------------------------------------
        c = Signal(CompletionDescriptor)
        header = Signal(CompletionHeader)
        dwords = Mux(c.has_data, c.dwords, 0)
        m.d.comb += [
            c.eq(read.data.completion),
            header.type.eq(Mux(c.locked, TlpType.COMPLETION_LOCKED.value, TlpType.COMPLETION.value)),
            header.fmt.eq(Cat(0, c.has_data)),
            header.length.eq(dwords),
            header.attributes_low.eq(c.attributes[:2]),
            header.attribute_high.eq(c.attributes[2]),
            header.traffic_class.eq(c.traffic_class),
            header.tag.eq(c.tag[:8]),
            header.tag_8.eq(c.tag[8]),
            header.tag_9.eq(c.tag[9]),
            header.requester.eq(c.requester),
            header.completer.eq(self.completer),
            header.status.eq(Mux(c.unsupported, CompletionStatus.UNSUPPORTED.value, CompletionStatus.SUCCESSFUL.value)),
            header.byte_count.eq(c.byte_count),
            header.lower_address.eq(c.lower_address),
        ]
        first = Signal(init=1)
        rest = Signal(6)
        beside = 1 if lanes < 4 else lanes - 3
        first_row = 1 if lanes == 2 else 0
        m.d.comb += [beats.valid.eq(waiting != 0), beats.p.header.eq(header), beats.p.first.eq(first)]
        with m.If(first):
            words = [read.data.data, *(tail_words[3 + i] for i in range(1, beside))]
            m.d.comb += [
                row.eq(first_row),
                beats.p.data.eq(Cat(*words)),
                beats.p.dwords.eq(Mux(dwords > beside, beside, dwords)),
                beats.p.last.eq(dwords <= beside),
            ]
        with m.Else():
            following = Signal.like(row)
            with m.If(beats.ready):
                m.d.sync += following.eq(following + 1)
            m.d.comb += [
                row.eq(following),
                beats.p.data.eq(Cat(*tail_words)),
                beats.p.dwords.eq(Mux(rest > lanes, lanes, rest)),
                beats.p.last.eq(rest <= lanes),
            ]
            m.d.comb += left_long.eq(beats.ready & beats.p.last)
        with m.If(beats.valid & beats.ready):
            m.d.sync += [
                first.eq(beats.p.last),
                rest.eq(Mux(first, dwords, rest) - beats.p.dwords),
            ]
            m.d.comb += left.eq(beats.p.last)
            with m.If(first):
                m.d.sync += following.eq(first_row + 1)
                if beside > 1:
                    m.d.comb += left_long.eq(beats.p.last & (dwords > 1))
        return m

"""Makes packets of the back end's writes, each whole before it is offered.

Specification: PCI Express Base 5.0, 2.2.7 (memory requests) and 2.2.5 (byte enables).
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaWrite, DmaWriteDone, dma_write_data
from virtio_mmr.gateware.tlp.beat import TICKET, MemoryHeader, tlp_beat

from .cutter import Cutter
from .gate import Gate
from .lanes import rotated

#: Packets that may wait.
_SLOTS = 8

_EXTRA = data.StructLayout({
    "function": unsigned(8), "epoch": unsigned(2), "context": unsigned(16), "report": unsigned(1)})


def _packet(lanes: int, rows: int) -> data.StructLayout:
    """What is known about a packet that waits."""
    return data.StructLayout({
        "header": 128,
        # Payload dwords beside the header and in the last beat; rows of payload behind the first beat.
        "beside": range(lanes + 1), "tail": range(lanes + 1), "rows": range(rows),
        "ticket": TICKET,
        # Nothing is sent; the packet is the last of its write.
        "void": 1, "final": 1,
    })


class WriteBuilder(wiring.Component):
    """Puts the bytes of a write into dwords, the dwords into the lanes of their packets, packets into a queue.

    A write has been handed in when the last beat of its data has been taken; then no read that is taken
    later may leave before it. The gate is asked when a packet is queued. If it
    says no, this packet and the rest of the write are swallowed, and the write is reported as blocked.

    Parameters
    ----------
    width
    largest
        Bytes of the largest payload.

    Members
    -------
    write : In(stream.Signature(DmaWrite))
    data : In(stream.Signature(dma_write_data(width)))
        All beats but the last are full; the last comes where the bytes of the write end.
    done : Out(stream.Signature(DmaWriteDone))
        While one waits, no data are taken; so a write that has been handed in waits for the link alone.
    gate : Out(Gate())
    size : In(3)
        Max_Payload_Size.
    now : In(TICKET)
        Ticket of whatever is queued in this clock.
    packets : Out(stream.Signature(tlp_beat(width)))
    ticket : Out(TICKET)
        Of the packet whose first beat is on offer.
    pending : Out(1)
        A packet is queued, on offer or not yet.
    taken : Out(1), left : Out(1)
        A write has been handed in; the oldest such write has left, or was swallowed.
    """

    def __init__(self, width: int, largest: int, *, long_headers: bool = False):
        self._width, self._largest, self._long_headers = width, largest, long_headers
        super().__init__({
            "write": In(stream.Signature(DmaWrite)),
            "data": In(stream.Signature(dma_write_data(width))),
            "done": Out(stream.Signature(DmaWriteDone)),
            "gate": Out(Gate()),
            "size": In(3),
            "now": In(TICKET),
            "packets": Out(stream.Signature(tlp_beat(width))),
            "ticket": Out(TICKET),
            "pending": Out(1),
            "taken": Out(1),
            "left": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width, lanes = self._width, self._width // 32
        lane_bits = lanes.bit_length() - 1
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}
        # Payload dwords beside the header. A slot has room for a packet that begins in the last lane, and the fill
        # writes whole rows, so it is twice as large as it need be.
        beside_short = 1 if lanes < 4 else lanes - 3
        beside_long = 0 if lanes < 5 else lanes - 4
        rows = 2 * self._largest // (4 * lanes)
        place_shape = unsigned((rows * lanes - 1).bit_length())

        # --- Pieces -----------------------------------------------------------------------------------
        m.submodules.cutter = cutter = Cutter(_EXTRA, self._largest)
        write, pieces = self.write, cutter.pieces
        m.d.comb += [
            cutter.size.eq(self.size),
            cutter.request.valid.eq(write.valid),
            cutter.request.p.address.eq(write.p.address),
            cutter.request.p.bytes.eq(write.p.bytes),
            cutter.request.p.extra.function.eq(write.p.function),
            cutter.request.p.extra.epoch.eq(write.p.epoch),
            cutter.request.p.extra.context.eq(write.p.context),
            cutter.request.p.extra.report.eq(write.p.report),
            write.ready.eq(cutter.request.ready),
        ]
        busy, p = Signal(), Signal(pieces.p.shape())
        is_long, need, place = Signal(), Signal(11), Signal(place_shape)
        slots = Signal(range(_SLOTS + 1))
        slot_in, slot_out = Signal(range(_SLOTS)), Signal(range(_SLOTS))
        finishes, queued, freed = Signal(), Signal(), Signal()
        next_long = C(1) if self._long_headers else pieces.p.address[32:].any()
        m.d.comb += pieces.ready.eq((~busy | finishes) & (slots < _SLOTS - 1))
        with m.If(queued & ~freed):
            m.d.sync += slots.eq(slots + 1)
        with m.Elif(freed & ~queued):
            m.d.sync += slots.eq(slots - 1)
        with m.If(pieces.ready):
            m.d.sync += [
                busy.eq(pieces.valid),
                p.eq(pieces.p),
                is_long.eq(next_long),
                need.eq(pieces.p.dwords),
                place.eq(Mux(next_long, lanes - beside_long if beside_long else 0, lanes - beside_short)),
            ]
        with m.Elif(finishes):
            m.d.sync += busy.eq(0)

        # --- Bytes to dwords: the write's first byte goes where its address says ------------------------
        given, done = self.data, self.done
        word, filled, carry = Signal(width), Signal(), Signal(24)
        # The last beat of the write has been taken; what is still missing stands in `carry`.
        drained = Signal()
        kept_shift, shift = Signal(2), Signal(2)
        emptied, takes, loads, ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            shift.eq(Mux(p.first, p.address[:2], kept_shift)),
            takes.eq(busy & (~filled | emptied) & ~ends),
            given.ready.eq(takes & ~drained & (~done.valid | done.ready)),
            loads.eq((takes & drained) | (given.valid & given.ready)),
            self.taken.eq(given.valid & given.ready & given.p.last),
        ]
        with m.If(busy):
            m.d.sync += kept_shift.eq(shift)
        # One byte up, then two.
        once = Signal(width + 24)
        m.d.comb += once.eq(Mux(shift[0], Cat(C(0, 8), carry, given.p.data), Cat(carry, given.p.data)))
        with m.If(loads):
            m.d.sync += carry.eq(Mux(drained, 0, given.p.data[width - 24:]))
            m.d.sync += word.eq(Mux(shift[1], once[8:][:width], once[24:]))
        with m.If(ends):
            m.d.sync += [filled.eq(0), drained.eq(0), carry.eq(0)]
        with m.Else():
            m.d.sync += [filled.eq(loads | (filled & ~emptied)), drained.eq(drained | self.taken)]

        # --- Dwords to lanes: all of them go into the slot, and what is too much is written again or never read --
        lane = Signal(lane_bits)
        steps = Signal()
        available, after = Signal(lane_bits + 1), Signal(lane_bits + 1)
        completes = need <= available
        m.d.comb += [
            available.eq(lanes - lane),
            after.eq(lane + need[:lane_bits + 1]),
            steps.eq(busy & filled),
            finishes.eq(steps & completes),
            ends.eq(finishes & p.last),
            emptied.eq(steps & (~completes | (after == lanes))),
        ]
        with m.If(steps):
            m.d.sync += lane.eq(Mux(completes & ~p.last, after, 0))
            with m.If(~finishes):
                m.d.sync += [need.eq(need - available), place.eq(place + available)]
        row, place_lane, turn = place[lane_bits:], place[:lane_bits], Signal(lane_bits)
        next_row = Signal.like(row)
        m.d.comb += [next_row.eq(row + 1), turn.eq(place_lane - lane)]
        banks, turned = [], rotated(m, [word[32 * lane:32 * lane + 32] for lane in range(lanes)], turn)
        for bank in range(lanes):
            m.submodules[f"bank_{bank}"] = part = memory.Memory(
                shape=unsigned(32), depth=_SLOTS * rows, init=[], attrs=in_block_ram)
            part_write, part_read = part.write_port(), part.read_port()
            m.d.comb += [
                part_write.data.eq(turned[bank]),
                part_write.addr.eq(Cat(Mux(bank < place_lane, next_row, row), slot_in)),
                part_write.en.eq(steps),
            ]
            banks.append(part_read)

        # --- The packet is whole: ask the gate, and queue it -----------------------------------------------
        gate = self.gate
        swallowed, blocked = Signal(), Signal()
        header = Signal(MemoryHeader)
        packet = _packet(lanes, rows)
        m.submodules.waiting = waiting = memory.Memory(shape=packet, depth=_SLOTS, init=[], attrs=in_block_ram)
        entry_write, entry_read = waiting.write_port(), waiting.read_port()
        entry = entry_write.data
        last_place = Signal(place_shape)
        last_row = last_place[lane_bits:]
        room = Mux(is_long, beside_long, beside_short)
        low = Cat(C(0, 2), p.address[2:32])
        m.d.comb += [
            gate.function.eq(p.extra.function),
            blocked.eq(swallowed | ~gate.may_request | (gate.epoch != p.extra.epoch)),
            header.fmt.eq(Cat(is_long, 1)),
            header.length.eq(p.dwords),
            header.first_be.eq(p.first_be),
            header.last_be.eq(p.last_be),
            header.requester.eq(gate.requester),
            last_place.eq(place + need - 1),
            entry.header.eq(Cat(header, Mux(is_long, p.address[32:], low), low)),
            entry.beside.eq(Mux(p.dwords < room, p.dwords, room)),
            entry.rows.eq(last_row if beside_long else last_row + is_long),
            entry.tail.eq(last_place[:lane_bits] + 1),
            entry.ticket.eq(self.now),
            entry.void.eq(blocked),
            entry.final.eq(p.last),
            entry_write.addr.eq(slot_in),
            queued.eq(finishes & (~blocked | p.last)),
            entry_write.en.eq(queued),
        ]
        with m.If(finishes):
            m.d.sync += [slot_in.eq(slot_in + queued), swallowed.eq(blocked & ~p.last)]
        with m.If(done.ready):
            m.d.sync += done.valid.eq(0)
        with m.If(ends):
            m.d.sync += [
                done.valid.eq(p.extra.report),
                done.p.context.eq(p.extra.context),
                done.p.status.eq(blocked),
            ]

        # --- Out ------------------------------------------------------------------------------------------
        packets = self.packets
        head, holding, fetching = Signal(packet), Signal(), Signal()
        unread, next_read = Signal(range(_SLOTS + 1)), Signal(range(_SLOTS))
        fetch, begun, drops, moves = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            fetch.eq((unread != 0) & ~holding & ~fetching),
            entry_read.addr.eq(next_read),
            entry_read.en.eq(1),
        ]
        m.d.sync += [
            unread.eq(unread + queued - fetch),
            next_read.eq(next_read + fetch),
            fetching.eq(fetch),
        ]
        with m.If(fetching):
            m.d.sync += [head.eq(entry_read.data), holding.eq(1)]
        body, rest, final = Signal(), Signal.like(head.rows), Signal()
        tail, is_final = Signal.like(head.tail), Signal()
        shown, wanted = Signal(len(row)), Signal(len(row))
        all_words = Cat(part.data for part in banks)
        beside_first = all_words[width - 32 * beside_short:]
        if beside_long:
            beside_first = Mux(head.header[29], all_words[width - 32 * beside_long:], beside_first)
        behind = len(beside_first)
        m.d.comb += [
            self.ticket.eq(head.ticket),
            self.pending.eq(slots != 0),
            moves.eq(packets.valid & packets.ready),
            drops.eq(holding & head.void & ~body),
            begun.eq(moves & ~body),
            packets.valid.eq(body | (holding & ~head.void)),
            packets.p.header.eq(head.header),
            packets.p.first.eq(~body),
            packets.p.last.eq(Mux(body, final, head.rows == 0)),
            packets.p.dwords.eq(Mux(body, Mux(final, tail, lanes), head.beside)),
            packets.p.data.eq(Cat(Mux(body, all_words[:behind], beside_first), all_words[behind:])),
            freed.eq((moves & packets.p.last) | drops),
            self.left.eq(drops & head.final | (moves & packets.p.last & Mux(body, is_final, head.final))),
        ]
        with m.If(~body):
            m.d.comb += wanted.eq(begun & ((head.beside != 0) | bool(beside_long)) & ~packets.p.last)
        with m.Else():
            m.d.comb += wanted.eq(Mux(moves & final, 0, shown + moves))
        m.d.sync += shown.eq(wanted)
        for part in banks:
            m.d.comb += [
                part.addr.eq(Cat(wanted, Mux(freed, slot_out + 1, slot_out))),
                part.en.eq(1),
            ]
        m.d.sync += slot_out.eq(slot_out + freed)
        with m.If(begun | drops):
            m.d.sync += holding.eq(0)
        with m.If(begun):
            m.d.sync += [
                body.eq(head.rows != 0),
                rest.eq(head.rows),
                final.eq(head.rows == 1),
                tail.eq(head.tail),
                is_final.eq(head.final),
            ]
        with m.Elif(moves):
            m.d.sync += [body.eq(~final), rest.eq(rest - 1), final.eq(rest == 2)]
        return m

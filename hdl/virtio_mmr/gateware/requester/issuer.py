"""Gives each piece of a read its tag, its rows and its packet.

Specification: PCI Express Base 5.0, 2.2.7 (memory requests: three-dword headers below 4 GiB).
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaStatus
from virtio_mmr.gateware.tlp.beat import MemoryHeader, tlp_beat

from .age import STAMP
from .cutter import piece
from .gate import Gate
from .read_state import placement, progress

#: What travels with the pieces of a read.
READ_EXTRA = data.StructLayout({
    "function": unsigned(8), "epoch": unsigned(2), "owner": unsigned(3), "context": unsigned(16)})


class ReadIssuer(wiring.Component):
    """Takes a piece when it has all that it needs, and asks the gate in that very clock.

    A piece that the gate holds back gets a tag all the same, and its rows say that it has ended: so it keeps
    its place in the order of its owner. Takes two clocks a piece.

    Parameters
    ----------
    width, slot, tags
    long_headers
        See `Requester`.

    Members
    -------
    pieces : In(stream.Signature(piece(READ_EXTRA)))
    free : In(stream.Signature(range(tags)))
    gate : Out(Gate())
    now : In(4)
        From `Age`.
    may_write : In(1)
        Rows can be written in this clock.
    may_leave : In(1)
        No earlier write is in the way, and the completions have room.
    issued : Out(1)
        Rows are written: `tag`, `owner`, `requester`, `progress` and `placement` hold.
    tag : Out(range(tags))
    owner : Out(3)
    requester : Out(16)
    progress, placement : Out
        See `rows`.
    requests : Out(stream.Signature(tlp_beat(width)))
    """

    def __init__(self, width: int, slot: int, tags: int, *, long_headers: bool = False):
        self._width, self._slot, self._long_headers = width, slot, long_headers
        tag = unsigned((tags - 1).bit_length())
        super().__init__({
            "pieces": In(stream.Signature(piece(READ_EXTRA))),
            "free": In(stream.Signature(tag)),
            "gate": Out(Gate()),
            "now": In(STAMP),
            "may_write": In(1),
            "may_leave": In(1),
            "issued": Out(1),
            "tag": Out(tag),
            "owner": Out(3),
            "requester": Out(16),
            "progress": Out(progress(width, slot)),
            "placement": Out(placement(width, slot)),
            "requests": Out(stream.Signature(tlp_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, row_bytes = self._width // 32, self._width // 8
        row_bits = row_bytes.bit_length() - 1
        pieces, requests = self.pieces, self.requests
        p = pieces.p

        # Bytes of the request's last row so far, and its address below a dword.
        filled, shift = Signal(row_bits), Signal(2)
        begin, unaligned = Signal(row_bits), Signal()
        reach, bytes_now = Signal(13), Signal(row_bits + 1)
        m.d.comb += [
            begin.eq(Mux(p.first, 0, filled)),
            unaligned.eq(p.first & (p.address[:2] != 0)),
            reach.eq(begin + p.reach),
            bytes_now.eq(reach[:row_bits] + 1),
        ]
        place = Signal(self.placement.shape())
        is_long = Signal()
        judged = Signal()
        m.d.comb += [
            self.gate.function.eq(p.extra.function),
            self.tag.eq(self.free.payload),
            self.owner.eq(p.extra.owner),
            self.requester.eq(self.gate.requester),
            self.placement.eq(place),
            self.placement.since.eq(self.now),
            self.progress.position.eq(place.lane),
            self.progress.left.eq(p.dwords),
        ]
        blocked = Signal()
        m.d.comb += [
            blocked.eq(~self.gate.may_request | (self.gate.epoch != p.extra.epoch)),
            self.progress.done.eq(blocked),
            self.progress.status.eq(Mux(blocked, DmaStatus.BLOCKED, DmaStatus.OK)),
            self.issued.eq(judged & self.free.valid & self.may_write
                           & (blocked | (self.may_leave & (~requests.valid | requests.ready)))),
            self.free.ready.eq(self.issued),
            pieces.ready.eq(self.issued),
        ]
        m.d.sync += judged.eq(pieces.valid & ~self.issued)
        with m.If(~judged):
            m.d.sync += [
                place.context.eq(p.extra.context),
                place.shift.eq(Mux(p.first, p.address[:2], shift)),
                place.lane.eq(Mux(unaligned, lanes - 1, begin[2:])),
                place.steps.eq(reach[row_bits:] + unaligned),
                place.tail.eq(Mux(p.empty, 0, bytes_now)),
                place.first.eq(p.first),
                place.last.eq(p.last),
                is_long.eq(self._long_headers or p.address[32:].any()),
            ]
        with m.Else():
            m.d.sync += [filled.eq(place.tail), shift.eq(place.shift)]

        header = Signal(MemoryHeader)
        low = Cat(C(0, 2), p.address[2:32])
        m.d.comb += [
            header.fmt.eq(is_long),
            header.length.eq(p.dwords),
            header.first_be.eq(p.first_be),
            header.last_be.eq(p.last_be),
            header.tag.eq(self.tag),
            header.requester.eq(self.gate.requester),
        ]
        with m.If(requests.ready):
            m.d.sync += requests.valid.eq(0)
        # What is held back leaves alone what waits on its way out.
        with m.If(self.issued & ~blocked):
            m.d.sync += [
                requests.valid.eq(1),
                requests.p.header[:64].eq(header),
                requests.p.header[64:96].eq(Mux(is_long, p.address[32:], low)),
                requests.p.header[96:].eq(low),
                requests.p.first.eq(1),
                requests.p.last.eq(1),
            ]
        return m

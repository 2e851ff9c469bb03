"""Cuts a range of memory into pieces that one packet may carry.

Specification: PCI Express Base 5.0, 2.2.7 (no request crosses 4 KiB or exceeds the sizes that software
set) and 2.2.5 (byte enables).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def cut_request(extra) -> data.StructLayout:
    """A range of memory, and what travels with each of its pieces."""
    return data.StructLayout({"address": unsigned(64), "bytes": unsigned(13), "extra": extra})


def piece(extra) -> data.StructLayout:
    """One packet's part of a range.

    Fields
    ------
    address
        Of the first byte.
    reach
        Bytes minus one; of no meaning if ``empty``.
    dwords
        Length of the packet.
    first_be, last_be
    empty
        No byte at all: a packet of one dword without byte enables.
    first, last
        Position in its range.
    extra
    """
    return data.StructLayout({
        "address": unsigned(64), "reach": unsigned(12), "dwords": unsigned(11), "first_be": unsigned(4),
        "last_be": unsigned(4), "empty": unsigned(1), "first": unsigned(1), "last": unsigned(1), "extra": extra,
    })


class Cutter(wiring.Component):
    """Cuts at every multiple of the largest packet, which divides 4 KiB, and nowhere else.

    So all pieces but the first begin at such a multiple. One piece takes three clocks, and the next
    one is cut while the last is on offer.

    Parameters
    ----------
    extra
        Shape of what travels with each piece.
    largest
        Bytes of the largest piece, 128 to 4096, whatever `size` says.

    Members
    -------
    request : In(stream.Signature(cut_request(extra)))
    size : In(3)
        Largest packet as in Device Control: 0 for 128 bytes, each step doubles. It may change at any time; a piece
        has the size that was set when its cutting began.
    pieces : Out(stream.Signature(piece(extra)))
    """

    def __init__(self, extra, largest: int):
        self._extra = extra
        self._largest = largest
        super().__init__({
            "request": In(stream.Signature(cut_request(extra))),
            "size": In(3),
            "pieces": Out(stream.Signature(piece(extra))),
        })

    def elaborate(self, platform):
        m = Module()
        pieces, request = self.pieces, self.request
        # Offset bits below the place of the next cut; the seven lowest always are.
        mask, size = Signal(12), Signal(3)
        m.d.comb += mask[:7].eq(0x7F)
        for bit in range(7, (self._largest - 1).bit_length()):
            m.d.comb += mask[bit].eq(size > bit - 7)

        # At most two page borders lie within a request; counting them is cheaper than a page number that is loaded.
        page, pages, address = Signal(52), Signal(2), Signal(12)
        rest, empty, extra = Signal(13), Signal(), Signal(self._extra)
        busy, first = Signal(), Signal()
        # Last byte of the range, counted from the multiple below its first.
        end = Signal(14)
        beyond = Signal()
        low = address & mask
        following = Signal(13)
        m.d.comb += following.eq((address | mask) + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += request.ready.eq(1)
                m.d.sync += [
                    size.eq(self.size),
                    Cat(address, page).eq(request.p.address),
                    pages.eq(0),
                    rest.eq(Mux(request.p.bytes == 0, 0, request.p.bytes - 1)),
                    empty.eq(request.p.bytes == 0),
                    extra.eq(request.p.extra),
                    first.eq(1),
                ]
                with m.If(request.valid):
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                m.d.sync += end.eq(low + rest)
                m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += beyond.eq((end & ~Cat(mask, 0, 0)).any())
                m.next = "CUT"
            with m.State("CUT"):
                m.d.comb += busy.eq(~pieces.valid | pieces.ready)
                with m.If(busy):
                    m.d.sync += [
                        size.eq(self.size),
                        address.eq(following),
                        pages.eq(pages + following[12]),
                        # Only whole multiples of 128 bytes have gone from what was counted from a multiple.
                        rest.eq(Cat(end[:7], end[7:] - mask[7:] - 1)),
                        first.eq(0),
                    ]
                    m.next = "IDLE"
                    with m.If(beyond):
                        m.next = "MEASURE"
        reach, stop = Signal(12), Signal(12)
        m.d.comb += [
            reach.eq(Mux(beyond, mask & ~address, rest)),
            stop.eq(reach + address[:2]),
        ]
        first_be, last_be = Signal(4), Signal(4)
        with m.Switch(address[:2]):
            for lane in range(4):
                with m.Case(lane):
                    m.d.comb += first_be.eq(0b1111 << lane & 0b1111)
        with m.Switch(stop[:2]):
            for lane in range(4):
                with m.Case(lane):
                    m.d.comb += last_be.eq(0b1111 >> 3 - lane)
        single = Signal()
        m.d.comb += single.eq(stop[2:] == 0)
        with m.If(pieces.ready):
            m.d.sync += pieces.valid.eq(0)
        with m.If(busy):
            m.d.sync += [
                pieces.valid.eq(1),
                pieces.p.address.eq(Cat(address, page + pages)),
                pieces.p.reach.eq(reach),
                pieces.p.dwords.eq(stop[2:] + 1),
                pieces.p.first_be.eq(Mux(empty, 0, Mux(single, first_be & last_be, first_be))),
                pieces.p.last_be.eq(Mux(single, 0, last_be)),
                pieces.p.empty.eq(empty),
                pieces.p.first.eq(first),
                pieces.p.last.eq(~beyond),
                pieces.p.extra.eq(extra),
            ]
        return m

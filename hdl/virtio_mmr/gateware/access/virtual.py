"""Finds the virtual function that an address belongs to, and says so to the request.

Specification: SR-IOV 1.1, 2.1.1.1 (base addresses of virtual functions) and 3.3.14. Virtual function n stands
(n - 1) strides above the base address, and a stride is a BAR's size or a system page, whichever is more.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config.device import Bar, BarKind
from virtio_mmr.spec.sriov import MOST_VIRTUAL_FUNCTIONS, SUPPORTED_PAGE_SIZES

from .interface import NOWHERE, Kind, Request

#: Bits of the offset inside a stride, in dwords: the largest page has 4 MiB.
OFFSET_BITS = 20


class VirtualDecoder(wiring.Component):
    """Subtracts every base address, a clock later cuts the differences into function and offset.

    The base address of a BAR is aligned to one stride and not to all of them, so this is no comparison of bits. If
    several BARs claim an address, the lowest number wins.

    Latency: one clock, from the address to everything. What says which functions there are counts a clock after it has
    changed; in that clock nothing is claimed if the page size has changed, so no function is named that there is not.
    Until the next address is taken, the outputs are about the last one.

    Parameters
    ----------
    bars
        The BARs of a virtual function.

    Members
    -------
    take : In(1), address : In(62)
        Dword address of a memory request, to be looked at from now on.
    base : In(64).array(6)
        Base addresses in the SR-IOV capability; a 64-bit one stands at its lower number. Bits below a stride are zero.
    page_size : In(11)
        System Page Size: one bit of those that are supported.
    memory_enabled : In(1)
        VF MSE, and power state D0.
    present : In(8)
        Functions that exist, from number 1 on.
    claimed : Out(1)
    function : Out(8), bar : Out(3)
        Of the claiming BAR; of no meaning without one.
    offset : Out(20)
        Dwords from the start of the function's stride. What is behind the BAR's own size is nobody's.
    """

    def __init__(self, bars: Sequence[Bar]):
        self._bars = sorted(bars, key=lambda bar: bar.index)
        super().__init__({
            "take": In(1),
            "address": In(62),
            "base": In(64).array(6),
            "page_size": In(11),
            "memory_enabled": In(1),
            "present": In(range(MOST_VIRTUAL_FUNCTIONS + 1)),
            "claimed": Out(1),
            "function": Out(8),
            "bar": Out(3),
            "offset": Out(OFFSET_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        pages = [bit for bit in range(len(self.page_size)) if SUPPORTED_PAGE_SIZES >> bit & 1]
        # What is claimed was counted in the page size of the last clock.
        counted_in = Signal.like(self.page_size)
        m.d.sync += counted_in.eq(self.page_size)
        steady = counted_in == self.page_size
        for bar in reversed(self._bars):
            size_bits = (bar.decoded_size - 1).bit_length()
            wide = 64 if bar.kind is BarKind.MEMORY64 else 32
            # No base address has bits below its size. A carry out of the top means that the address lies below.
            above = Cat(0, 0, self.address)[size_bits:]
            difference = Signal(64 - size_bits + 1, name=f"difference_{bar.index}")
            within = Signal(size_bits - 2, name=f"within_{bar.index}")
            with m.If(self.take):
                m.d.sync += [
                    difference.eq(above - self.base[bar.index][size_bits:wide]),
                    within.eq(self.address[:size_bits - 2]),
                ]
            index = Signal.like(difference, name=f"index_{bar.index}")
            offset = Signal(OFFSET_BITS, name=f"offset_{bar.index}")
            # So many of the BAR's sizes are claimed; whoever compares with that need not know the page.
            sizes = Signal(len(self.present) + max(12 + pages[-1] - size_bits, 0), name=f"sizes_{bar.index}")
            m.d.sync += sizes.eq(0)
            for page in pages:
                # The difference counts the BAR's sizes; the rest of a larger page is in its lowest bits.
                more = max(12 + page - size_bits, 0)
                with m.If(self.page_size[page]):
                    m.d.comb += [index.eq(difference >> more), offset.eq(Cat(within, difference[:more]))]
                    m.d.sync += sizes.eq(Mux(self.memory_enabled, self.present << more, 0))
            # A carry is late: what else is asked for stands ready.
            near = Signal(name=f"near_{bar.index}", attrs={"keep": 1})
            m.d.comb += near.eq(~difference[len(sizes):].any() & steady)
            with m.If(near & (difference[:len(sizes)] < sizes)):
                m.d.comb += [
                    self.claimed.eq(1),
                    self.function.eq(index[:8] + 1),
                    self.bar.eq(bar.index),
                    self.offset.eq(offset),
                ]
        return m


class VirtualStage(wiring.Component):
    """Registers for two requests, in which those that no BAR of the physical function claims find a virtual one.

    A request of one dword passes in one clock, one a clock; the second register takes it if the output stops, so
    whether the input may go on does not wait for the output's word. A longer write stays on offer at the input until
    the clock behind that in which it was taken at the output, because its payload stays where it is; so it costs two
    clocks more.

    Members
    -------
    heading : In(1), heading_address : In(62), heading_long : In(1)
        The request that comes next has this dword address; its header has four dwords.
    base, page_size, memory_enabled, present
        See `VirtualDecoder`.
    request : In(stream.Signature(Request)), onward : Out(stream.Signature(Request))
    """

    def __init__(self, bars: Sequence[Bar], *, strict_64bit: bool = False):
        self._bars = tuple(bars)
        self._strict_64bit = strict_64bit
        super().__init__({
            "heading": In(1),
            "heading_address": In(62),
            "heading_long": In(1),
            "base": In(64).array(6),
            "page_size": In(11),
            "memory_enabled": In(1),
            "present": In(range(MOST_VIRTUAL_FUNCTIONS + 1)),
            "request": In(stream.Signature(Request)),
            "onward": Out(stream.Signature(Request)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = VirtualDecoder(self._bars)
        m.d.comb += [
            decoder.take.eq(self.heading),
            decoder.address.eq(self.heading_address),
            decoder.page_size.eq(self.page_size),
            decoder.memory_enabled.eq(self.memory_enabled),
            decoder.present.eq(self.present),
        ]
        for its, mine in zip(decoder.base, self.base, strict=True):
            m.d.comb += its.eq(mine)
        allowed = Signal(init=1)
        if self._strict_64bit:
            with m.If(self.heading):
                m.d.sync += allowed.eq(~self.heading_long | self.heading_address[30:].any())

        request, onward = self.request, self.onward
        spare, spare_valid = Signal(Request), Signal()
        long = (request.p.kind == Kind.MEMORY) & request.p.posted & ~request.p.single
        # The long write at the input has been copied; its copy has left.
        passed, done = Signal(), Signal()
        moves = ~onward.valid | onward.ready
        load = request.valid & ~passed & ~spare_valid
        self._loads = load
        m.d.comb += request.ready.eq(done | (~long & ~spare_valid))
        m.d.sync += done.eq(passed & ~spare_valid & onward.ready & ~done)
        with m.If(load):
            m.d.sync += passed.eq(long)
        with m.If(done):
            m.d.sync += passed.eq(0)

        found = Signal(Request)
        looks = Signal(attrs={"keep": 1})
        m.d.comb += [
            found.eq(request.p),
            looks.eq((request.p.kind == Kind.MEMORY) & (request.p.place.bar == NOWHERE) & allowed),
        ]
        with m.If(looks & decoder.claimed):
            m.d.comb += [
                found.place.bar.eq(decoder.bar),
                found.place.function.eq(decoder.function),
                found.place.offset.eq(decoder.offset),
            ]
        with m.If(moves):
            m.d.sync += [
                onward.valid.eq(load | spare_valid),
                onward.p.eq(Mux(spare_valid, spare, found)),
                spare_valid.eq(0),
            ]
        with m.Elif(load):
            m.d.sync += spare_valid.eq(1)
        with m.If(~spare_valid):
            m.d.sync += spare.eq(found)
        return m

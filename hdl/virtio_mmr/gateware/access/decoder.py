"""Finds the base address register that claims a request, and the window behind an offset.

Specification: PCI Express Base 5.0, 2.3.1 (request handling) and PCI Local Bus 3.0, 6.2.5 (base
address registers). Both halves are combinational: the first stands between a header's arrival and its
request, the second in the sequencer's clock, because a burst may walk from one window into another.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config.device import Bar, BarKind

from .interface import CONFIG, NOWHERE, Kind, Place, Space


class BarDecoder(wiring.Component):
    """Compares an address with every enabled base address register; the lowest number wins.

    A request is decoded by its first dword. Without virtual functions, configuration requests belong to function 0
    alone, whatever the device number; with them, device and function number are one number (ARI).

    Members
    -------
    kind : In(Kind)
    address : In(62)
        Dword address; of a configuration request {bus, device, function, -, register}.
    long_address : In(1)
        The header has four dwords.
    base : In(64).array(6)
        Contents of the base address registers; a 64-bit one stands at its lower number.
    memory_enabled, io_enabled : In(1)
        Decoding is on: enable bit set and power state D0.
    present : In(8)
        With virtual functions: how many of them exist, from number 1 on.
    place : Out(Place)
        Of a BAR, always one of the physical function; see `VirtualStage` for the others.
    """

    def __init__(self, bars: Sequence[Bar], *, strict_64bit: bool = False, virtual: bool = False):
        self._bars = tuple(sorted(bars, key=lambda bar: bar.index))
        self._strict_64bit = strict_64bit
        self._virtual = virtual
        super().__init__({
            "kind": In(Kind),
            "address": In(62),
            "long_address": In(1),
            "base": In(64).array(6),
            "memory_enabled": In(1),
            "io_enabled": In(1),
            **({"present": In(8)} if virtual else {}),
            "place": Out(Place),
        })

    def elaborate(self, platform):
        m = Module()
        refused = self.long_address & (self.address[30:] == 0) if self._strict_64bit else 0
        bar_number, offset = Signal(3, name="bar"), Signal(20)
        function = C(0, 8)
        m.d.comb += [bar_number.eq(NOWHERE), offset.eq(self.address[:10])]
        for bar in reversed(self._bars):
            low = (bar.decoded_size - 1).bit_length()
            wide = bar.kind is BarKind.MEMORY64
            base = self.base[bar.index][:64 if wide else 32]
            claimed = Signal(name=f"claims_{bar.index}")
            same = (Cat(0, 0, self.address)[low:] == base[low:])
            if bar.kind is BarKind.IO:
                enabled = self.io_enabled & (self.kind == Kind.IO)
            else:
                enabled = self.memory_enabled & (self.kind == Kind.MEMORY)
                if self._strict_64bit:
                    enabled = enabled & ~refused
            m.d.comb += claimed.eq(enabled & same)
            with m.If(claimed):
                m.d.comb += [bar_number.eq(bar.index), offset.eq(self.address[:low - 2])]
        asked = (self.kind == Kind.CONFIG) & (self.address[14:17] == 0)
        if self._virtual:
            number = self.address[14:22]
            asked = (self.kind == Kind.CONFIG) & (number <= self.present)
            function = Mux(asked, number, 0)
        with m.If(asked):
            m.d.comb += bar_number.eq(CONFIG)
        # One statement, so that no bit of it is left to a process that never runs.
        m.d.comb += self.place.eq(Cat(bar_number, function, offset))
        return m


class HitDecoder(wiring.Component):
    """Says where a request points, as hard IP has found out.

    Members
    -------
    kind : In(Kind)
    address : In(62)
        Dword address; of a configuration request {bus, device, function, -, register}.
    bar : In(3), function : In(8)
        Of a memory or I/O request: the BAR that claims it, and whose. An offset is the address modulo the BAR's size.
    present : In(8)
        With virtual functions: how many of them exist, from number 1 on.
    place : Out(Place)
        A configuration request belongs to the physical function, whatever its number; the IP has looked at that.
    """

    def __init__(self, bars: Sequence[Bar], virtual_bars: Sequence[Bar] = ()):
        self._kinds = [tuple(bars), *([tuple(virtual_bars)] if virtual_bars else [])]
        super().__init__({
            "kind": In(Kind),
            "address": In(62),
            "bar": In(3),
            "function": In(8),
            **({"present": In(8)} if virtual_bars else {}),
            "place": Out(Place),
        })

    def elaborate(self, platform):
        m = Module()
        bar_number, function, offset = Signal(3, name="bar_number"), Signal(8, name="owner"), Signal(20)
        m.d.comb += [bar_number.eq(NOWHERE), offset.eq(self.address[:10])]
        with m.If(self.kind == Kind.CONFIG):
            m.d.comb += bar_number.eq(CONFIG)
        for number, bars in enumerate(self._kinds):
            mine = self.function == 0 if number == 0 else (self.function != 0) & (self.function <= self.present)
            for bar in bars:
                wanted = Kind.IO if bar.kind is BarKind.IO else Kind.MEMORY
                with m.If((self.kind == wanted) & mine & (self.bar == bar.index)):
                    low = (bar.decoded_size - 1).bit_length()
                    m.d.comb += [
                        bar_number.eq(bar.index), function.eq(self.function), offset.eq(self.address[:low - 2])]
        # One statement, so that no bit of it is left to a process that never runs.
        m.d.comb += self.place.eq(Cat(bar_number, function, offset))
        return m


class RegionDecoder(wiring.Component):
    """Finds the window at a place, and the offset inside it.

    What no region claims is `Space.HOLE`; it still needs a reply.

    Members
    -------
    place : In(Place)
    space : Out(Space)
    offset : Out(20)
        Bytes from the start of the window; of no meaning in a hole.
    """

    def __init__(self, bars: Sequence[Bar]):
        self._bars = tuple(bars)
        super().__init__({"place": In(Place), "space": Out(Space), "offset": Out(20)})

    def elaborate(self, platform):
        m = Module()
        # Nobody looks at the offset of a hole, and configuration space has 10 bits of it.
        m.d.comb += [self.space.eq(Space.HOLE), self.offset.eq(Cat(0, 0, self.place.offset[:10]))]
        with m.If(self.place.bar == CONFIG):
            m.d.comb += self.space.eq(Space.CONFIG)
        for bar in self._bars:
            for region in bar.regions:
                inside = Signal(name=f"inside_{bar.index}_{region.space.value}")
                size = 1 << (region.size - 1).bit_length()
                if region.size == size and region.offset % size == 0:
                    low = size.bit_length() - 3
                    m.d.comb += inside.eq(self.place.offset[low:] == region.offset // size)
                    within = Cat(0, 0, self.place.offset[:low])
                else:
                    m.d.comb += inside.eq((self.place.offset >= region.offset // 4)
                                          & (self.place.offset < region.end // 4))
                    within = Cat(0, 0, (self.place.offset - region.offset // 4)[:18])
                with m.If((self.place.bar == bar.index) & inside):
                    m.d.comb += [self.space.eq(Space[region.space.name]), self.offset.eq(within)]
        return m

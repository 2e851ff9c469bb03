"""The window in configuration space through which a driver reaches a BAR that nobody mapped.

Specification: virtio 1.4, 4.1.4.9 (PCI configuration access capability). A configuration access to the
capability's data becomes an access to the place that the capability names, and its reply becomes the
configuration completion; so it has every side effect of an access to the BAR.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config.device import Bar
from virtio_mmr.gateware.state.merge import masked

from .decoder import RegionDecoder
from .interface import AccessPort, Space


class ConfigDetour(wiring.Component):
    """Stands between the sequencer and the router; without latency. All other accesses pass as they are.

    A read makes one access of the width that the capability names, whichever bytes of its data are
    enabled; a write one of those of them that are enabled. Where the BAR, the offset or the length makes
    no sense there is no access, and a read gives zero. Enables of the command register do not matter.
    Virtual functions have no such capability.

    Parameters
    ----------
    bars
        What may be reached.
    data_offset
        Where the capability's data is in configuration space.
    late
        Some windows answer in the clock behind the access.

    Members
    -------
    port : In(AccessPort())
    onward : Out(AccessPort())
    bar : In(8), offset : In(32), length : In(32)
        As the driver set them.
    onward_late : In(32), late : Out(32)
        The answer of those windows. With `late`.
    """

    def __init__(self, bars: Sequence[Bar], data_offset: int, *, late: bool = False):
        self._bars = tuple(bars)
        self._late = late
        self._data_offset = data_offset
        super().__init__({
            "port": In(AccessPort()),
            "onward": Out(AccessPort()),
            "bar": In(8),
            "offset": In(32),
            "length": In(32),
            **({"onward_late": In(32), "late": Out(32)} if late else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.regions = regions = RegionDecoder(self._bars)
        access = self.port.access.p
        low = self.offset[:2]
        lanes, legal = Signal(4), Signal()
        with m.Switch(self.length):
            for length in (1, 2, 4):
                with m.Case(length):
                    m.d.comb += lanes.eq((1 << length) - 1)
        known = C(0)
        for bar in self._bars:
            inside = self.offset[(bar.decoded_size - 1).bit_length():] == 0
            known = known | ((self.bar == bar.index) & inside)
        m.d.comb += [
            # Aligned: no bit of the offset below the length.
            legal.eq(known & lanes[0] & ((self.offset[:2] & (self.length - 1)[:2]) == 0)),
            regions.place.bar.eq(self.bar),
            regions.place.offset.eq(self.offset[2:]),
        ]
        enabled = Mux(access.write, access.strobe & lanes, Mux(access.strobe.any(), lanes, 0))
        taken = Signal()
        onward = self.onward.access.p
        m.d.comb += [
            taken.eq((access.space == Space.CONFIG) & (access.function == 0) & (access.offset == self._data_offset)
                     & legal & enabled.any()),
            self.onward.access.valid.eq(self.port.access.valid),
            onward.space.eq(Mux(taken, regions.space, access.space)),
            onward.function.eq(access.function),
            onward.offset.eq(Mux(taken, regions.offset, access.offset)),
            onward.write.eq(access.write),
            onward.data.eq(Mux(taken, access.data << Cat(C(0, 3), low), access.data)),
            onward.strobe.eq(Mux(taken, enabled << low, access.strobe)),
            self.port.reply.valid.eq(self.onward.reply.valid),
            self.port.reply.p.data.eq(Mux(
                taken, masked(self.onward.reply.p.data >> Cat(C(0, 3), low), access.strobe),
                self.onward.reply.p.data)),
        ]
        if self._late:
            was_taken, was_low, was_strobe = Signal.like(taken), Signal.like(low), Signal.like(access.strobe)
            m.d.sync += [was_taken.eq(taken), was_low.eq(low), was_strobe.eq(access.strobe)]
            m.d.comb += self.late.eq(Mux(
                was_taken, masked(self.onward_late >> Cat(C(0, 3), was_low), was_strobe), self.onward_late))
        return m

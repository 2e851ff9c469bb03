"""The account of room for completions in the receiver of a hard block that does not wait.

Specification: PCI Express Base 5.0, 2.6.1 (an endpoint advertises infinite credits for completions, so it may
ask only for what it has room for).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out


class CompletionSpace(wiring.Component):
    """Lets a read go while the receiver has room for all of its completions, cut as small as they may be.

    A read takes its room when it is issued and gives it back with its tag. Three clocks after a piece came,
    `room` speaks for it.

    Parameters
    ----------
    tags
    headers
        Completions that the receiver has room for, at least 9.
    units
        Payload that it has room for, in units of 16 bytes; at least what one read may need.

    Members
    -------
    waits : In(1), address : In(12), reach : In(12)
        A piece waits to be issued, from here, of so many bytes less one.
    boundary : In(1)
        Read Completion Boundary: 0 for 64 bytes, 1 for 128.
    room : Out(1)
    issued : In(1), leaves : In(1), tag : In(range(tags))
        The piece has got its tag, and with ``leaves`` its completions will come.
    returned : In(1), returned_tag : In(range(tags))
    """

    def __init__(self, tags: int, headers: int, units: int):
        self._tags, self._headers, self._units = tags, headers, units
        super().__init__({
            "waits": In(1), "address": In(12), "reach": In(12), "boundary": In(1), "room": Out(1), "issued": In(1),
            "leaves": In(1), "tag": In(range(tags)), "returned": In(1), "returned_tag": In(range(tags)),
        })

    def elaborate(self, platform):
        m = Module()
        need_shape = data.StructLayout({"headers": 7, "units": 9})
        need, back = Signal(need_shape), Signal(need_shape)
        used_headers, used_units = Signal(range(self._headers + 1)), Signal(range(self._units + 1))
        shorter, longer, rows = Signal(13), Signal(13), Signal(13)
        m.d.comb += [
            shorter.eq(self.address[:6] + self.reach),
            longer.eq(self.address[:7] + self.reach),
            rows.eq(self.address[:4] + self.reach),
        ]
        m.d.sync += [
            need.headers.eq(Mux(self.boundary, longer[7:], shorter[6:]) + 1),
            need.units.eq(rows[4:] + 1),
        ]
        m.submodules.taken = taken = memory.Memory(
            shape=need_shape, depth=self._tags, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
        write, read = taken.write_port(), taken.read_port()
        given_back = Signal()
        m.d.comb += [
            write.addr.eq(self.tag),
            write.data.eq(Mux(self.leaves, need, 0)),
            write.en.eq(self.issued),
            read.addr.eq(self.returned_tag),
            read.en.eq(1),
        ]
        m.d.comb += back.eq(Mux(given_back, read.data, 0))
        m.d.sync += [
            given_back.eq(self.returned),
            used_headers.eq(used_headers + Mux(self.issued & self.leaves, need.headers, 0) - back.headers),
            used_units.eq(used_units + Mux(self.issued & self.leaves, need.units, 0) - back.units),
        ]
        # Needs and what is used stand still for a clock before they are compared.
        settled = Signal(2)
        fits = Signal()
        m.d.comb += fits.eq((used_headers + need.headers <= self._headers) & (used_units + need.units <= self._units))
        with m.If(self.issued | ~self.waits):
            m.d.sync += [settled.eq(0), self.room.eq(0)]
        with m.Else():
            m.d.sync += [settled.eq((settled << 1) | 1), self.room.eq(settled[0] & fits)]
        return m

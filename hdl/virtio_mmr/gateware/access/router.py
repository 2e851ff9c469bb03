"""Hands an access to the window that it is for, and brings the answer back."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import AccessPort, Space


class AccessRouter(wiring.Component):
    """Fans out by space; combinational. Windows that are not accessed answer zero.

    Bytes that the access does not enable come back as zero, whatever the window shows: a read touches
    exactly the enabled bytes (PCI Express Base 5.0, 2.2.5).

    Members
    -------
    port : In(AccessPort())
    windows : Out(AccessPort()), one member ``window_<space>`` for each space
    hole : Out(1)
        The access of this clock is for no window.
    """

    def __init__(self, spaces: Iterable[Space]):
        self._spaces = tuple(spaces)
        super().__init__({
            "port": In(AccessPort()),
            "hole": Out(1),
            **{f"window_{space.name.lower()}": Out(AccessPort()) for space in self._spaces},
        })

    def elaborate(self, platform):
        m = Module()
        access = self.port.access
        answers = []
        m.d.comb += self.hole.eq(access.valid)
        for space in self._spaces:
            window = getattr(self, f"window_{space.name.lower()}")
            answers.append(window.reply.p.data)
            m.d.comb += window.access.p.eq(access.p)
            with m.If(access.p.space == space):
                m.d.comb += [window.access.valid.eq(access.valid), self.hole.eq(0)]
        answer = Signal(32)
        m.d.comb += answer.eq(reduce(or_, answers))
        for lane in range(4):
            m.d.comb += self.port.reply.p.data[8 * lane:8 * lane + 8].eq(
                Mux(access.p.strobe[lane], answer[8 * lane:8 * lane + 8], 0))
        m.d.comb += self.port.reply.valid.eq(access.valid)
        return m

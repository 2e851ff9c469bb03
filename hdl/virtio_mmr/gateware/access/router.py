"""Hands an access to the window that it is for, and brings the answer back."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.state.merge import masked

from .interface import AccessPort, Space


class AccessRouter(wiring.Component):
    """Fans out by space; combinational. Windows that are not accessed answer zero.

    Bytes that the access does not enable come back as zero, whatever the window shows: a read touches
    exactly the enabled bytes (PCI Express Base 5.0, 2.2.5).

    Parameters
    ----------
    spaces
        Those that have a window.
    late
        Those of them whose windows answer in the clock behind the access.

    Members
    -------
    port : In(AccessPort())
    windows : Out(AccessPort()), one member ``window_<space>`` for each space
    hole : Out(1)
        The access of this clock is for no window.
    late : Out(32)
        Answer to the access of the clock before, if that was for a late window; else zero. Only if there is one.
    """

    def __init__(self, spaces: Iterable[Space], *, late: Iterable[Space] = ()):
        self._spaces = tuple(spaces)
        self._late = tuple(late)
        super().__init__({
            "port": In(AccessPort()),
            "hole": Out(1),
            **({"late": Out(32)} if self._late else {}),
            **{f"window_{space.name.lower()}": Out(AccessPort()) for space in self._spaces},
        })

    def elaborate(self, platform):
        m = Module()
        access = self.port.access
        answers, late_answers = [], []
        m.d.comb += self.hole.eq(access.valid)
        for space in self._spaces:
            window = getattr(self, f"window_{space.name.lower()}")
            (late_answers if space in self._late else answers).append(window.reply.p.data)
            m.d.comb += window.access.p.eq(access.p)
            with m.If(access.p.space == space):
                m.d.comb += [window.access.valid.eq(access.valid), self.hole.eq(0)]
        answer = Signal(32)
        m.d.comb += answer.eq(reduce(or_, answers))
        m.d.comb += self.port.reply.p.data.eq(masked(answer, access.p.strobe))
        m.d.comb += self.port.reply.valid.eq(access.valid)
        if self._late:
            strobe = Signal(4)
            m.d.sync += strobe.eq(access.p.strobe)
            m.d.comb += self.late.eq(masked(reduce(or_, late_answers), strobe))
        return m

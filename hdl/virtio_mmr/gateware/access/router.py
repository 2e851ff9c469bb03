"""Hands an access to the window that it is for, and brings the answer back."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import Access, AccessPort, Space


class AccessRouter(wiring.Component):
    """Fans out by space, without latency. Windows that are not accessed answer zero.

    Bytes that the access does not enable come back as zero, whatever the window shows: a read touches
    exactly the enabled bytes (PCI Express Base 5.0, 2.2.5).

    Parameters
    ----------
    spaces
        Those that have a window.
    late
        Those of them whose windows give a part of their answer in the clock behind the access.
    reach
        The window that an access is for is found out in the clock before it. What is said here of a space is the number
        of offset bits that its window needs: accesses above do not reach it, and it would answer zero.

    Members
    -------
    port : In(AccessPort())
    coming : In(stream.Signature(Access, always_ready=True))
        With `reach`: the access of the next clock.
    windows : Out(AccessPort()), one member ``window_<space>`` for each space
    hole : Out(1)
        The access of this clock is for no window.
    late_windows : In(32), one member ``late_<space>`` for each space of `late`
        That part of the answer to the access of the clock before: of its enabled bytes; zero if it was for others.
    late : Out(32)
        The same, if there are such windows.
    """

    def __init__(self, spaces: Iterable[Space], *, late: Iterable[Space] = (),
                 reach: Mapping[Space, int] | None = None):
        self._spaces = tuple(spaces)
        self._late = tuple(late)
        self._reach = reach
        super().__init__({
            "port": In(AccessPort()),
            "hole": Out(1),
            **({"late": Out(32)} if self._late else {}),
            **{f"late_{space.name.lower()}": In(32) for space in self._late},
            **({"coming": In(stream.Signature(Access, always_ready=True))} if reach is not None else {}),
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
            if self._reach is None:
                with m.If(access.p.space == space):
                    m.d.comb += [window.access.valid.eq(access.valid), self.hole.eq(0)]
            else:
                coming = self.coming
                bits = self._reach.get(space, len(coming.p.offset))
                named = coming.valid & (coming.p.space == space)
                claimed = Signal(name=f"claimed_{space.name.lower()}")
                m.d.sync += [
                    window.access.valid.eq(named & (coming.p.offset[bits:] == 0)),
                    claimed.eq(named),
                ]
                m.d.comb += window.access.p.offset.eq(access.p.offset[:bits])
                with m.If(claimed):
                    m.d.comb += self.hole.eq(0)
        answer = Signal(32)
        m.d.comb += answer.eq(reduce(or_, answers))
        for lane in range(4):
            m.d.comb += self.port.reply.p.data[8 * lane:8 * lane + 8].eq(
                Mux(access.p.strobe[lane], answer[8 * lane:8 * lane + 8], 0))
        m.d.comb += self.port.reply.valid.eq(access.valid)
        if self._late:
            m.d.comb += self.late.eq(reduce(or_, (getattr(self, f"late_{space.name.lower()}") for space in self._late)))
        return m

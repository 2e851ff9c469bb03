"""Visits one function after the other, where something concerns them all.

Specification: SR-IOV 1.1, 3.3.3.1 (VF Enable). While functions are visited nothing else happens to any of them,
so nobody sees some of them changed and others not.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out

from .function import Event, EventKind


class _Reason(Enum, shape=2):
    """Why functions are visited."""

    #: The core was reset: every function starts.
    START = 0
    #: VF Enable was cleared: the virtual functions there were vanish.
    VANISH = 1
    #: What kept every function silent has gone: each is asked whether it has something to tell.
    WAKE = 2


class Sweep(wiring.Component):
    """One function a clock, by events.

    Parameters
    ----------
    functions
        Number of functions, at least 2.

    Members
    -------
    wanted : In(range(functions))
        Virtual functions that ought to exist; only ever none or NumVFs.
    present : Out(range(functions))
        Virtual functions that exist. It follows *wanted*, downwards when they have all been reset.
    reachable : Out(range(functions))
        Those of them that a request which comes now may be for: none from the clock on in which they are to vanish.
    wakes : In(1)
        Functions that could not tell something may be able to from now on.
    active : Out(1)
        Functions are being visited.
    event : Out(Event)
        The visit of this clock, if `active`.
    """

    def __init__(self, functions: int):
        if functions < 2:
            raise ValueError(f"a sweep over {functions} functions; it takes at least 2")
        self._functions = functions
        super().__init__({
            "wanted": In(range(functions)),
            "present": Out(range(functions)),
            "reachable": Out(range(functions)),
            "wakes": In(1),
            "active": Out(1, init=1),
            "event": Out(Event),
        })

    def elaborate(self, platform):
        m = Module()
        reason, number, last = Signal(_Reason), Signal(range(self._functions)), Signal(range(self._functions))
        waking = self._waking = Signal()
        m.d.comb += self.event.function.eq(number)
        with m.Switch(reason):
            with m.Case(_Reason.START):
                m.d.comb += [self.event.kind.eq(EventKind.INITIALISE), last.eq(self._functions - 1)]
            with m.Case(_Reason.VANISH):
                m.d.comb += [self.event.kind.eq(EventKind.VANISH), last.eq(self.present)]
            with m.Default():
                m.d.comb += [self.event.kind.eq(EventKind.NONE), last.eq(self.present)]
        vanishing = Signal()
        m.d.comb += vanishing.eq(self.active & (reason == _Reason.VANISH))
        m.d.sync += self.reachable.eq(Mux(vanishing, 0, self.wanted))
        with m.If(self.wakes):
            m.d.sync += waking.eq(1)
        with m.If(self.active):
            m.d.sync += number.eq(number + 1)
            with m.If(number == last):
                m.d.sync += self.active.eq(0)
                with m.If(reason == _Reason.VANISH):
                    m.d.sync += self.present.eq(0)
        with m.Elif(self.wanted < self.present):
            m.d.sync += [self.active.eq(1), reason.eq(_Reason.VANISH), number.eq(1)]
        with m.Elif(waking):
            m.d.sync += [self.active.eq(1), reason.eq(_Reason.WAKE), number.eq(0), waking.eq(self.wakes)]
        with m.Else():
            m.d.sync += self.present.eq(self.wanted)
        return m

"""Functions that have something to tell the back end take turns."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .access.queue import BlockQueue
from .state.rows import RowStore


class Turns(wiring.Component):
    """A queue of functions in which each stands at most once, so that it never overflows.

    A function goes to the end when it gets something to tell, and again as long as its turn leaves something.

    Parameters
    ----------
    functions
        Number of functions, at least 2.

    Members
    -------
    look : In(8)
        What `function` will be two clocks later.
    function : In(8)
        Whose row is shown in this clock, whether or not something happens to it.
    initialise : In(1)
        It starts: the core was reset. Functions have this clock one behind the other; what is shown before the first
        of them is not looked at.
    turn : In(1)
        This clock is its turn.
    work : In(1), queue : In(16)
        This clock leaves it something to tell; of this queue, if of any.
    next : Out(stream.Signature(StructLayout({"function": 8, "queue": 16})))
    """

    def __init__(self, functions: int):
        self._functions = functions
        self._entry = data.StructLayout({"function": 8, "queue": 16})
        super().__init__({
            "look": In(8),
            "function": In(8),
            "initialise": In(1),
            "turn": In(1),
            "work": In(1),
            "queue": In(16),
            "next": Out(stream.Signature(self._entry)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.standing = self._standing = standing = RowStore(
            1, self._functions, latency=2, behind=True, late_bits=0)
        m.submodules.waiting = waiting = BlockQueue(self._entry, 1 << (self._functions - 1).bit_length())
        self._enters, self._entered = enters, entry = Signal(), Signal(self._entry)
        # A reset does not reach what RAMs show.
        started = Signal()
        with m.If(self.initialise):
            m.d.sync += started.eq(1)
        m.d.comb += [
            standing.look.eq(self.look),
            standing.change.eq(1),
            standing.new.eq(~self.initialise & (self.work | (standing.row & ~self.turn))),
            waiting.entries.valid.eq(enters),
            waiting.entries.p.eq(entry),
        ]
        m.d.sync += [
            enters.eq(self.work & started & ~self.initialise & (self.turn | ~standing.row)),
            entry.function.eq(self.function),
            entry.queue.eq(self.queue),
        ]
        wiring.connect(m, waiting.head, wiring.flipped(self.next))
        return m

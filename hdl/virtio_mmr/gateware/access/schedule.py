"""The clocks between the choice of an operation, or of an event, and its execution.

A single function's state stands ready: what is chosen in one clock is executed in the next. The rows of
several functions are looked up: the choice names the function, its row comes out of block RAM in the
clock after that, where it says which queue to look up, and a clock later everything meets.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.state.function import Event, EventKind
from virtio_mmr.gateware.state.sweep import Sweep

from .sequencer import Operation


class Schedule(wiring.Component):
    """One operation or event a clock, in the order in which they were chosen.

    Parameters
    ----------
    functions
        Number of functions.

    Members
    -------
    operation : In(stream.Signature(Operation, always_ready=True))
        From the sequencer, a clock after its choice.
    function_ahead : In(8), event_slot : In(1)
        The sequencer's choice of this clock: whose operation comes, or that none does.
    dropped_ahead : In(4), discarded_ahead : In(1)
        What the sequencer drops and discards.
    dropped : Out(4), discarded : Out(1)
        The same, as late as operations are.
    hold : Out(1)
        The sequencer is to do nothing.
    candidate : In(stream.Signature(Event))
        What wants a clock of its own.
    executed : Out(stream.Signature(Operation, always_ready=True)), event : Out(Event)
        What happens in this clock; never both.
    eventful, reporting : Out(1)
        There is an event, perhaps of kind NONE; it is a REPORT. Both come early in the clock.
    function : Out(8)
        Whose row it happens to.
    wanted : In(range(functions)), wakes : In(1), present, reachable : Out(8)
        With several functions: see `Sweep`. To a function that has gone, what was on its way does nothing.
    look : Out(8)
        With several functions: what `function` will be two clocks later.
    coming_function : Out(8), coming_eventful : Out(1), coming : Out(Event)
    coming_executed : Out(stream.Signature(Operation, always_ready=True))
        With several functions: what the members without "coming" will be a clock later.
    """

    def __init__(self, functions: int):
        self._functions = functions
        super().__init__({
            "operation": In(stream.Signature(Operation, always_ready=True)),
            "function_ahead": In(8),
            "event_slot": In(1),
            "dropped_ahead": In(4),
            "discarded_ahead": In(1),
            "dropped": Out(4),
            "discarded": Out(1),
            "hold": Out(1),
            "candidate": In(stream.Signature(Event)),
            "executed": Out(stream.Signature(Operation, always_ready=True)),
            "event": Out(Event),
            "eventful": Out(1),
            "reporting": Out(1),
            "function": Out(8),
            **({"wanted": In(range(functions)), "wakes": In(1), "present": Out(8), "reachable": Out(8), "look": Out(8),
                "coming_function": Out(8), "coming_eventful": Out(1), "coming": Out(Event),
                "coming_executed": Out(stream.Signature(Operation, always_ready=True))} if functions > 1 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        candidate = self.candidate
        if self._functions == 1:
            starting, goes, kind = Signal(init=1), Signal(), Signal(EventKind, init=EventKind.INITIALISE)
            m.d.sync += [starting.eq(0), goes.eq(0), kind.eq(EventKind.NONE), self.reporting.eq(0)]
            with m.If(self.event_slot & candidate.valid & ~goes & ~starting):
                m.d.sync += [
                    goes.eq(1), kind.eq(candidate.p.kind), self.reporting.eq(candidate.p.kind == EventKind.REPORT)]
            m.d.comb += [
                self.hold.eq(starting),
                candidate.ready.eq(goes),
                self.eventful.eq(goes),
                self.dropped.eq(self.dropped_ahead),
                self.discarded.eq(self.discarded_ahead),
                self.executed.valid.eq(self.operation.valid),
                self.executed.p.eq(self.operation.p),
                self.event.eq(candidate.p),
                self.event.kind.eq(kind),
            ]
            return m

        m.submodules.sweep = sweep = Sweep(self._functions)
        coming = self.coming
        m.d.comb += [
            sweep.wanted.eq(self.wanted),
            sweep.wakes.eq(self.wakes),
            self.present.eq(sweep.present),
            self.reachable.eq(sweep.reachable),
            self.hold.eq(sweep.active),
            candidate.ready.eq(self.event_slot & ~sweep.active),
            self.look.eq(self.function_ahead),
        ]
        m.d.sync += [coming.kind.eq(EventKind.NONE), self.coming_eventful.eq(0)]
        with m.If(sweep.active):
            m.d.comb += self.look.eq(sweep.event.function)
            m.d.sync += [coming.eq(sweep.event), self.coming_eventful.eq(1)]
        with m.Elif(self.event_slot & candidate.valid):
            m.d.comb += self.look.eq(candidate.p.function)
            m.d.sync += [coming.eq(candidate.p), self.coming_eventful.eq(1)]
        m.d.sync += [
            self.coming_function.eq(self.look),
            self.function.eq(self.coming_function),
            self.event.eq(coming),
            self.eventful.eq(self.coming_eventful),
            self.reporting.eq(coming.kind == EventKind.REPORT),
            self.dropped.eq(self.dropped_ahead),
            self.discarded.eq(self.discarded_ahead),
            self.executed.valid.eq(self.coming_executed.valid),
            self.executed.p.eq(self.coming_executed.p),
        ]
        m.d.comb += [
            self.coming_executed.valid.eq(self.operation.valid),
            self.coming_executed.p.eq(self.operation.p),
        ]
        # No byte of a function that is not there any more is touched.
        with m.If(self.operation.p.access.function > self.present):
            m.d.comb += self.coming_executed.p.access.strobe.eq(0)
        return m

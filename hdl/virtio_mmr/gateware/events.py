"""What the back end, and the core itself, want of a function's row: one after the other."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from . import backend
from .access.carryless import below
from .adapters.link import FunctionChange
from .state.function import Event, EventKind


class EventChooser(wiring.Component):
    """Takes one event after the other from whoever has one, in the order of the members below.

    What was taken waits in a register until a clock without an access comes; the next is taken in the clock after, so
    that nobody's ``ready`` comes late in a clock.

    What names a function that does not exist is taken and forgotten.

    Parameters
    ----------
    functions
        Number of functions.
    modern
        Somebody resets queues; otherwise the back end's word that one is quiet goes nowhere.
    steps
        Interrupts are told in several steps, each an event.
    changes
        Hard IP owns configuration space and tells of changes.

    Members
    -------
    clock_wanted : In(1)
        Somebody needs a clock without an access, and nothing else.
    step : In(stream.Signature(Event)), settled : In(1)
        With `steps`: see `SharedInterruptUnit`. A step goes before the others of this list or, if they want something,
        in turns with them.
    change : In(stream.Signature(FunctionChange)), changed : In(1)
        With `changes`: taken in the clock of its event, which `changed` tells. The function has to exist.
    reset_done, fault, interrupt_cause, queue_quiet : In(stream)
    update_waiting : In(1), update_function : In(8)
        An update of the device configuration; only one is under way at a time.
    report_wanted : In(1), report_function : In(8), report_queue : In(16)
        Somebody has something to tell the back end.
    report_taken : Out(1)
    applied : In(1)
        This clock's event is the update.
    event : Out(stream.Signature(Event))
    """

    def __init__(self, *, functions: int = 1, modern: bool, steps: bool = False, changes: bool = False):
        self._functions = functions
        self._modern = modern
        self._steps = steps
        self._changes = changes
        super().__init__({
            "clock_wanted": In(1),
            **({"step": In(stream.Signature(Event)), "settled": In(1)} if steps else {}),
            **({"change": In(stream.Signature(FunctionChange)), "changed": In(1)} if changes else {}),
            "reset_done": In(stream.Signature(backend.ResetDone)),
            "fault": In(stream.Signature(backend.Fault)),
            "interrupt_cause": In(stream.Signature(backend.InterruptCause)),
            "queue_quiet": In(stream.Signature(backend.QueueQuiet)),
            "update_waiting": In(1),
            "update_function": In(8),
            "report_wanted": In(1),
            "report_function": In(8),
            "report_queue": In(16),
            "report_taken": Out(1),
            "applied": In(1),
            "event": Out(stream.Signature(Event)),
        })

    def elaborate(self, platform):
        m = Module()
        event, p = self.event, self.event.p
        def known(source):
            return below(source.p.function, self._functions)

        updating = self._updating = Signal()
        # Behind a step one of the others goes first; a cause waits until the one before it has settled.
        step, stepped, unsettled = Signal(), Signal(), Signal()
        if self._steps:
            others = Cat(
                self.reset_done.valid, self.update_waiting & ~updating, self.fault.valid,
                self.interrupt_cause.valid & ~unsettled, self.queue_quiet.valid, self.report_wanted)
            m.d.comb += step.eq(self.step.valid & ~(stepped & others.any()))
            with m.If(self.settled):
                m.d.sync += unsettled.eq(0)
        if not self._modern:
            m.d.comb += self.queue_quiet.ready.eq(1)
        with m.If(self.applied):
            m.d.sync += updating.eq(0)
        changing = Signal()
        if self._changes:
            m.d.comb += self.change.ready.eq(changing & self.changed)
            with m.If(self.changed):
                m.d.sync += changing.eq(0)
        with m.If(event.ready):
            m.d.sync += event.valid.eq(0)
        with m.If(~event.valid):
            m.d.sync += stepped.eq(step)
            with m.If(self.clock_wanted):
                m.d.sync += [event.valid.eq(1), p.kind.eq(EventKind.NONE), p.function.eq(0)]
            if self._steps:
                with m.Elif(step):
                    m.d.comb += self.step.ready.eq(1)
                    m.d.sync += [event.valid.eq(1), p.eq(self.step.p)]
            if self._changes:
                with m.Elif(self.change.valid & ~changing):
                    said = self.change.p
                    m.d.sync += [
                        changing.eq(1), event.valid.eq(1), p.kind.eq(EventKind.CONTROL),
                        p.function.eq(said.function),
                        p.value.eq(Cat(said.reset, said.bus_master, said.msix_enable, said.msix_mask))]
            with m.Elif(self.reset_done.valid):
                m.d.comb += self.reset_done.ready.eq(1)
                m.d.sync += [event.valid.eq(known(self.reset_done)), p.kind.eq(EventKind.RESET_DONE),
                             p.function.eq(self.reset_done.p.function), p.epoch.eq(self.reset_done.p.epoch)]
            with m.Elif(self.update_waiting & ~updating):
                m.d.sync += [updating.eq(1), event.valid.eq(1), p.kind.eq(EventKind.UPDATE),
                             p.function.eq(self.update_function)]
            with m.Elif(self.fault.valid):
                m.d.comb += self.fault.ready.eq(1)
                m.d.sync += [event.valid.eq(known(self.fault)), p.kind.eq(EventKind.FAULT),
                             p.function.eq(self.fault.p.function), p.epoch.eq(self.fault.p.epoch),
                             p.value.eq(self.fault.p.cause)]
            with m.Elif(self.interrupt_cause.valid & ~unsettled):
                cause = self.interrupt_cause.p
                m.d.comb += self.interrupt_cause.ready.eq(1)
                m.d.sync += [event.valid.eq(known(self.interrupt_cause)), p.kind.eq(EventKind.INTERRUPT),
                             p.function.eq(cause.function), p.epoch.eq(cause.epoch),
                             p.value.eq(cause.config_change), p.queue.eq(cause.queue)]
                if self._steps:
                    m.d.sync += unsettled.eq(known(self.interrupt_cause))
            with m.Elif(self.queue_quiet.valid & self._modern):
                m.d.comb += self.queue_quiet.ready.eq(1)
                m.d.sync += [event.valid.eq(known(self.queue_quiet)), p.kind.eq(EventKind.QUIET),
                             p.function.eq(self.queue_quiet.p.function), p.queue.eq(self.queue_quiet.p.queue)]
            with m.Elif(self.report_wanted):
                m.d.comb += self.report_taken.eq(1)
                m.d.sync += [event.valid.eq(1), p.kind.eq(EventKind.REPORT), p.function.eq(self.report_function),
                             p.queue.eq(self.report_queue)]
        return m

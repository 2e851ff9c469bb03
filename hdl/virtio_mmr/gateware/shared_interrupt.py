"""Interrupts of several functions: each step from a cause to a message is an event that finds its rows looked up.

Specification: PCI Local Bus 3.0, 6.8.3; virtio 1.3, 4.1.4.5 and 4.1.5.1.2. As in `InterruptUnit` a cause becomes a
pending bit, and a pending bit a message as soon as it may leave. A row can be changed only where it was looked up
ahead, so a queue's cause, whose vector is known no earlier than the queue's row, comes back as an event PEND; and a
message takes two: VISIT looks at a group of vectors, SEND at the vector that was chosen.

All of it happens in the clock behind that of the access or the event: what a row in block RAM shows, and what
happens to it, come out of registers. The order is the same, so nobody can tell.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out

from .access.carryless import below
from .state.function import Event, EventKind
from .state.shared_vectors import SharedVectorTable, vector_groups
from .state.vectors import VectorAccess
from .tlp.message import MsixMessage
from .turns import Turns


class _Visit(Enum, shape=unsigned(3)):
    """How far the visit of a group has come."""

    #: Nobody is visited.
    NONE = 0
    #: An event wants to be taken; it is on its way.
    VISIT = 1
    VISITING = 2
    #: The group's vectors have been seen: one is chosen.
    CHOOSE = 3
    SEND = 4
    SENDING = 5


#: What happens to vectors in one clock.
_HAPPENING = data.StructLayout({
    "kind": EventKind, "function": 8, "cause": 2, "names_vector": 1, "msix_enable": 1, "forget": 1, "restore": 1,
    "may_send": 1, "gate": 1, "opened": 1, "strobe": 16, "data": 32})


class SharedInterruptUnit(wiring.Component):
    """Vectors of several functions, and the register in front of the link.

    A message that is offered on `message` has lost its pending bit; a cause that comes later sets it anew. Functions
    with something to send take turns, a message each, and so do the groups of a function and the vectors of a group.

    Parameters
    ----------
    vectors
        Entries of the largest table of a function.
    functions
        Number of functions, at least 2.

    Members
    -------
    look : In(8)
        What `function` will be two clocks later.
    function_ahead : In(8), config_vector_ahead : In(16)
        What `function` and `config_vector` will be a clock later.
    event_ahead : In(Event)
        What `event` will be a clock later.
    asked_ahead : In(1), vector_ahead : In(11)
        The window wants this vector in the next clock.
    table : In(VectorAccess())
        From the window; of the vector that it wanted.
    function : In(8), event : In(Event)
        Of this clock.
    cause : In(2)
        There is a reason to interrupt: bit 0 for a queue, by an event alone; bit 1 for the configuration; not both.
    config_vector : In(16), queue_vector : In(16)
        Whom the reason is for; a number without a vector stands for none. A queue's vector comes in the clock behind.
    msix_enable : In(1)
        Of `function`: without it a reason sets no pending bit.
    forget : In(1)
        Forget the function's pending bits, but for this clock's cause. Never together with a write to the table.
    restore : In(1)
        Return the function's table and pending bits to their reset values. Only together with `forget`, or in the first
        clock of a function after a reset of the core, before which there was no cause.
    may_send : In(1)
        Messages of `function` may leave: MSI-X Enable set, Function Mask clear, bus master enabled, power state D0.
    may_send_then : In(1)
        The same of the function of the clock before, as that clock left it.
    gate : In(1)
        Messages of the function's queues may leave, too.
    opened : In(1)
        From the next clock on they may, whether or not they did before. Never together with a reason to interrupt or a
        reset.
    step : Out(stream.Signature(Event))
        An event that the unit wants to see; it keeps `queue` for the vector.
    settled : Out(1)
        The event of the clock before was an INTERRUPT without a PEND behind it, or that PEND. From an INTERRUPT until
        then there must not be another.
    message : Out(stream.Signature(MsixMessage))
    """

    def __init__(self, vectors: int, *, functions: int):
        self._vectors = vectors
        self._functions = functions
        super().__init__({
            "look": In(8),
            "function_ahead": In(8),
            "config_vector_ahead": In(16),
            "event_ahead": In(Event),
            "asked_ahead": In(1),
            "vector_ahead": In(11),
            "table": In(VectorAccess()),
            "function": In(8),
            "event": In(Event),
            "cause": In(2),
            "queue_vector": In(16),
            "config_vector": In(16),
            "msix_enable": In(1),
            "forget": In(1),
            "restore": In(1),
            "may_send": In(1),
            "may_send_then": In(1),
            "gate": In(1),
            "opened": In(1),
            "step": Out(stream.Signature(Event)),
            "settled": Out(1),
            "message": Out(stream.Signature(MsixMessage)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.vectors = vectors = SharedVectorTable(self._vectors, functions=self._functions)
        width, groups, place_bits, _ = vector_groups(self._vectors)
        message, step = self.message, self.step
        self._shown = vectors

        # What happened in the clock before, which is what happens here in this one.
        self._now = now = Signal(_HAPPENING)
        kind = now.kind
        m.d.sync += [
            now.kind.eq(self.event.kind),
            now.strobe.eq(self.table.strobe),
            now.data.eq(self.table.data),
            now.names_vector.eq(below(self.config_vector, self._vectors)),
            *(now[name].eq(getattr(self, name)) for name in (
                "function", "cause", "msix_enable", "forget", "restore", "may_send", "gate", "opened")),
        ]

        # --- The row that the next clock needs ------------------------------------------------------------
        ahead = self.event_ahead
        of_step = Signal()
        m.d.comb += [
            of_step.eq((ahead.kind == EventKind.PEND) | (ahead.kind == EventKind.VISIT)
                       | (ahead.kind == EventKind.SEND)),
            vectors.look.eq(self.look),
            vectors.function_ahead.eq(self.function_ahead),
            # A cause needs no entry.
            vectors.entry_ahead.eq(Mux(self.asked_ahead, self.vector_ahead, ahead.queue)),
            vectors.vector_ahead.eq(Mux(
                self.asked_ahead | of_step, vectors.entry_ahead, self.config_vector_ahead)),
        ]

        # --- Causes ---------------------------------------------------------------------------------------
        # A queue's waits in these registers for its PEND; a reset in between forgets it.
        owed, asks, whose, vector = Signal(), Signal(), Signal(8), Signal(11)
        queue_cause = Signal()
        m.d.comb += [
            queue_cause.eq(now.cause[0] & now.msix_enable & below(self.queue_vector, self._vectors)),
            self.settled.eq(((kind == EventKind.INTERRUPT) & ~queue_cause) | (kind == EventKind.PEND)),
            vectors.pend[0].eq((kind == EventKind.PEND) & owed),
            vectors.pend[1].eq(now.cause[1] & now.msix_enable & now.names_vector),
        ]
        self._owed, self._whose, self._vector = owed, whose, vector
        with m.If((kind == EventKind.PEND) | (now.forget & (now.function == whose))):
            m.d.sync += owed.eq(0)
        with m.If(queue_cause):
            m.d.sync += [owed.eq(1), asks.eq(1), whose.eq(now.function), vector.eq(self.queue_vector)]

        # --- The group that is visited --------------------------------------------------------------------
        m.submodules.turns = turns = Turns(self._functions)
        visit, visited, place, group = Signal(_Visit), Signal(8), Signal(range(width)), Signal(range(groups))
        ready, last = Signal(width), Signal(range(width))
        self._visit = visit
        with m.Switch(visit):
            with m.Case(_Visit.NONE):
                m.d.sync += [visited.eq(turns.next.p.function), group.eq(turns.next.p.queue), place.eq(0)]
                # The link's word comes late in a clock; a visit takes so many that this one does not matter.
                with m.If(turns.next.valid & ~message.valid):
                    m.d.comb += turns.next.ready.eq(1)
                    m.d.sync += visit.eq(_Visit.VISIT)
            with m.Case(_Visit.VISITING):
                m.d.sync += [ready.eq(vectors.ready), last.eq(vectors.last)]
                with m.If(kind == EventKind.VISIT):
                    m.d.sync += visit.eq(_Visit.CHOOSE)
            with m.Case(_Visit.CHOOSE):
                # The first that is ready behind the one that was sent last, or else the first of all.
                for candidates in (ready, ready & Cat(last < i for i in range(width))):
                    for i in reversed(range(width)):
                        with m.If(candidates[i]):
                            m.d.sync += place.eq(i)
                m.d.sync += visit.eq(_Visit.SEND)
            with m.Case(_Visit.SENDING):
                with m.If(kind == EventKind.SEND):
                    m.d.sync += visit.eq(_Visit.NONE)

        # --- Events ---------------------------------------------------------------------------------------
        # A cause goes first, but for every other time, so that neither waits for long.
        wants_visit, caused = Signal(), Signal()
        m.d.comb += wants_visit.eq((visit == _Visit.VISIT) | (visit == _Visit.SEND))
        with m.If(step.ready):
            m.d.sync += step.valid.eq(0)
        with m.If(~step.valid | step.ready):
            with m.If(asks & ~(caused & wants_visit)):
                m.d.sync += [
                    asks.eq(0), caused.eq(1), step.valid.eq(1), step.p.kind.eq(EventKind.PEND),
                    step.p.function.eq(whose), step.p.queue.eq(vector)]
            with m.Elif(wants_visit):
                m.d.sync += [
                    caused.eq(0), step.valid.eq(1), step.p.function.eq(visited), step.p.queue.eq(Cat(place, group)),
                    step.p.kind.eq(Mux(visit == _Visit.VISIT, EventKind.VISIT, EventKind.SEND)),
                    visit.eq(Mux(visit == _Visit.VISIT, _Visit.VISITING, _Visit.SENDING))]

        # --- What changes ---------------------------------------------------------------------------------
        self._sends = sends = Signal()
        m.d.comb += [
            sends.eq((kind == EventKind.SEND) & now.may_send & vectors.sendable),
            vectors.gate.eq(now.gate),
            vectors.opened.eq(now.opened),
            vectors.sent.eq(sends),
            vectors.visited.eq(kind == EventKind.SEND),
            vectors.forget.eq(now.forget),
            vectors.restore.eq(now.restore),
            vectors.strobe.eq(now.strobe),
            vectors.data.eq(now.data),
            self.table.entry.eq(vectors.stored),
            self.table.written.eq(vectors.written),
            self.table.pending.eq(vectors.pending),
        ]
        with m.If(message.ready):
            m.d.sync += message.valid.eq(0)
        with m.If(kind == EventKind.SEND):
            m.d.sync += [
                message.valid.eq(sends),
                message.p.function.eq(now.function),
                message.p.vector.eq(vectors.vector),
                message.p.address.eq(vectors.entry.address),
                message.p.dword.eq(vectors.entry.data),
            ]

        # --- Whose turn it is -----------------------------------------------------------------------------
        # A row is judged in the clock behind that of its change.
        waiting, behind = Signal(groups), Signal(range(groups))
        looked, may_send_then = Signal(8), Signal()
        m.d.sync += [
            looked.eq(self.look),
            may_send_then.eq(self.may_send_then),
            turns.look.eq(looked),
            turns.function.eq(now.function),
            turns.initialise.eq(kind == EventKind.INITIALISE),
            turns.turn.eq(kind == EventKind.SEND),
            waiting.eq(vectors.waiting),
            behind.eq(vectors.vector[place_bits:]),
        ]
        m.d.comb += turns.work.eq(waiting.any() & may_send_then)
        for candidates in (waiting, waiting & Cat(behind < i for i in range(groups))):
            for i in reversed(range(groups)):
                with m.If(candidates[i]):
                    m.d.comb += turns.queue.eq(i)
        return m

"""Interrupts of a single function: a cause becomes a pending bit, and a pending bit a message as soon as it may leave.

Specification: PCI Local Bus 3.0, 6.8.3; virtio 1.3, 4.1.4.5 and 4.1.5.1.2. A cause never waits: it sets the pending
bit of its vector, whether or not the vector is masked. While there are pending bits, their groups are visited one
behind the other, and the messages that may leave do. Behind a closed gate what is pending for queues waits.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .access.carryless import below
from .state.vectors import GROUP, VectorAccess, VectorTable
from .tlp.message import MsixMessage

#: Clocks that the unit waits for one without an access before it asks for one.
PATIENCE = 7


#: What happens to vectors. A cause is a queue's (bit 0) or the configuration's, and counts if `named` says of the same
#: bit that there is such a vector.
_HAPPENING = data.StructLayout({
    "busy": 1, "strobe": 16, "data": 32, "cause": 2, "named": 2, "queue_vector": 11, "config_vector": 11, "forget": 1,
    "restore": 1})


class InterruptUnit(wiring.Component):
    """The function's vectors, and the register in front of the link.

    What is asked of the vectors and done to them has its effect in the clock behind, in order: so nothing of it is on
    the long way from an access to its effects. In a clock behind an access or an event the table is theirs; in the
    others it is the unit's. A message that is offered on `message` has lost its pending bit; a cause that comes later
    sets it anew.

    Parameters
    ----------
    vectors
        Entries of the table.

    Members
    -------
    table : In(VectorAccess())
        From the window, in the clock of an access. Reasons to interrupt are in others.
    busy : In(1)
        This clock has an access or an event.
    cause : In(2)
        It is a reason to interrupt: bit 0 for a queue, bit 1 for the configuration; not both.
    queue_vector, config_vector : In(16)
        Whom the reason is for; a number without a vector stands for none.
    msix_enable : In(1)
        Without it a reason sets no pending bit.
    forget : In(1)
        Forget the pending bits, but for this clock's cause.
    restore : In(1)
        Return the table and the pending bits to their reset values.
    may_send : In(1)
        Messages may leave: MSI-X Enable set, Function Mask clear, bus master enabled, power state D0. If an access or
        an event changes it, from the clock behind on.
    gate : In(1)
        Those of queues, too; changed likewise.
    starved : Out(1)
        A clock without an access is needed.
    message : Out(stream.Signature(MsixMessage))
    """

    def __init__(self, vectors: int):
        self._vectors = vectors
        super().__init__({
            "table": In(VectorAccess()),
            "busy": In(1),
            "cause": In(2),
            "queue_vector": In(16),
            "config_vector": In(16),
            "msix_enable": In(1),
            "forget": In(1),
            "restore": In(1),
            "may_send": In(1),
            "gate": In(1),
            "starved": Out(1),
            "message": Out(stream.Signature(MsixMessage)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.vectors = vectors = VectorTable(self._vectors)
        groups = -(-self._vectors // GROUP)
        width = min(self._vectors, GROUP)
        group, place = Signal(range(groups)), Signal(range(width))
        message = self.message

        # --- What an access or an event did in the clock before -------------------------------------------
        # The cause comes late in its clock, so what follows from it waits for the next one.
        self._now = now = Signal(_HAPPENING)
        m.d.sync += [
            now.busy.eq(self.busy),
            now.strobe.eq(self.table.strobe),
            now.data.eq(self.table.data),
            now.cause.eq(self.cause),
            now.named.eq(Cat(self.busy & self.msix_enable & below(vector, self._vectors)
                             for vector in (self.queue_vector, self.config_vector))),
            now.queue_vector.eq(self.queue_vector),
            now.config_vector.eq(self.config_vector),
            now.forget.eq(self.busy & self.forget),
            now.restore.eq(self.busy & self.restore),
        ]

        # --- Visits ---------------------------------------------------------------------------------------
        # There may be pending bits that no visit has seen, or that this one leaves; one goes on; a vector is chosen.
        wanted, visiting, picked = Signal(), Signal(), Signal()
        self._wanted, self._visiting, self._picked = wanted, visiting, picked
        # A visit that has moved on sees its vector in the clock behind.
        moved = Signal()
        self._turn = turn = ~now.busy & ~moved
        m.d.sync += moved.eq(0)
        # A vector sends once in a visit, so that none keeps the others waiting for ever.
        sent = Signal(width)
        eligible = vectors.ready[:width] & ~sent
        # The link's word comes late in a clock, and a vector is chosen in the clock that it costs.
        free = ~message.valid
        sends = Signal()
        self._sends, self._place, self._group, self._vectors_shown = sends, place, group, vectors
        left = vectors.pending.any()
        m.d.comb += [
            self.table.entry.eq(vectors.stored),
            self.table.written.eq(vectors.written),
            self.table.pending.eq(vectors.pending),
            vectors.vector_ahead.eq(Mux(self.busy, self.table.vector, Cat(place, group))),
            vectors.gate.eq(self.gate),
            vectors.strobe.eq(now.strobe),
            vectors.data.eq(now.data),
            vectors.pend.eq(now.cause & now.named),
            vectors.reason.eq(Mux(now.cause[1], now.config_vector, now.queue_vector)),
            vectors.sent.eq(sends),
            vectors.forget.eq(now.forget),
            vectors.restore.eq(now.restore),
        ]

        with m.If(~visiting):
            with m.If(wanted):
                m.d.sync += [visiting.eq(1), wanted.eq(0), group.eq(0), sent.eq(0), moved.eq(1)]
        with m.Elif(turn & ~picked):
            # The lowest vector that may leave; masks may change before it does, so it is looked at again.
            m.d.sync += moved.eq(1)
            with m.If(self.may_send & eligible.any()):
                m.d.sync += picked.eq(1)
                for i in reversed(range(width)):
                    with m.If(eligible[i]):
                        m.d.sync += place.eq(i)
            with m.Else():
                m.d.sync += [wanted.eq(wanted | left), group.eq(group + 1), sent.eq(0)]
                with m.If(group == groups - 1):
                    m.d.sync += visiting.eq(0)
        with m.Elif(turn & free):
            chosen = Cat(place == i for i in range(width))
            m.d.comb += sends.eq(self.may_send & vectors.sendable)
            m.d.sync += [picked.eq(0), sent.eq(sent | chosen)]
        # A cause may be behind the place that the visit has reached.
        with m.If(vectors.pend.any()):
            m.d.sync += wanted.eq(1)

        # --- The message ----------------------------------------------------------------------------------
        with m.If(message.ready):
            m.d.sync += message.valid.eq(0)
        with m.If(sends):
            m.d.sync += [
                message.valid.eq(1),
                message.p.vector.eq(vectors.vector),
                message.p.address.eq(vectors.entry.address),
                message.p.dword.eq(vectors.entry.data),
            ]

        patience = Signal(range(PATIENCE + 1))
        m.d.comb += self.starved.eq(patience == PATIENCE)
        with m.If(turn | ~visiting | (picked & ~free)):
            m.d.sync += patience.eq(0)
        with m.Elif(~self.starved):
            m.d.sync += patience.eq(patience + 1)
        return m

"""Interrupts of a single function: a cause becomes a pending bit, and a pending bit a message as soon as it may leave.

Specification: PCI Local Bus 3.0, 6.8.3; virtio 1.3, 4.1.4.5 and 4.1.5.1.2. A cause never waits: it sets the pending
bit of its vector, whether or not the vector is masked. While there are pending bits, their groups are visited one
behind the other, and the messages that may leave do. Behind a closed gate what is pending for queues waits.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .access.carryless import below
from .state.vectors import GROUP, VectorAccess, VectorTable
from .tlp.message import MsixMessage

#: Clocks that the unit waits for one without an access before it asks for one.
PATIENCE = 7


class InterruptUnit(wiring.Component):
    """The function's vectors, and the register in front of the link.

    In a clock with an access or an event the table is theirs; in the others it is the unit's. A message that is
    offered on `message` has lost its pending bit; a cause that comes later sets it anew.

    Parameters
    ----------
    vectors
        Entries of the table.

    Members
    -------
    table : In(VectorAccess())
        From the window, in the clock of an access.
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
        Messages may leave: MSI-X Enable set, Function Mask clear, bus master enabled, power state D0.
    gate : In(1)
        Those of queues, too.
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
        message = self.message

        # --- What an access or an event does --------------------------------------------------------------
        reason = Signal(16)
        m.d.comb += reason.eq(Mux(self.cause[1], self.config_vector, self.queue_vector))
        self._raised = raised = Signal()
        m.d.comb += raised.eq(self.busy & self.cause.any() & self.msix_enable & below(reason, self._vectors))

        # --- Visits ---------------------------------------------------------------------------------------
        # There may be pending bits that no visit has seen, or that this one leaves; one goes on; a vector is chosen.
        wanted, visiting, picked = Signal(), Signal(), Signal()
        self._wanted, self._visiting, self._picked = wanted, visiting, picked
        turn = ~self.busy
        width = min(self._vectors, GROUP)
        group, place = Signal(range(groups)), Signal(range(width))
        # A vector sends once in a visit, so that none keeps the others waiting for ever.
        sent = Signal(width)
        eligible = vectors.ready[:width] & ~sent
        free = ~message.valid | message.ready
        sends = Signal()
        self._sends, self._place, self._vectors_shown = sends, place, vectors
        left = vectors.pending.any()
        m.d.comb += [
            vectors.data.eq(self.table.data),
            self.table.entry.eq(vectors.entry),
            self.table.pending.eq(vectors.pending),
            vectors.vector.eq(Cat(place, group)),
        ]
        # Whether the table is asked comes late in a clock, but not whether anything is: so an access for others looks
        # up a vector, too, and shows nothing of it.
        with m.If(self.busy):
            m.d.comb += vectors.vector.eq(self.table.vector)
        with m.If(self.table.asked):
            m.d.comb += vectors.strobe.eq(self.table.strobe)
        m.d.comb += [
            vectors.gate.eq(self.gate),
            vectors.pend.eq(Mux(raised, self.cause, 0)),
            vectors.reason.eq(reason),
            vectors.sent.eq(sends),
            vectors.forget.eq(self.busy & self.forget),
            vectors.restore.eq(self.busy & self.restore),
        ]

        with m.If(~visiting):
            with m.If(wanted):
                m.d.sync += [visiting.eq(1), wanted.eq(0), group.eq(0), sent.eq(0)]
        with m.Elif(turn & ~picked):
            # The lowest vector that may leave; masks may change before it does, so it is looked at again.
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
            m.d.comb += sends.eq(self.may_send & (vectors.ready & chosen).any())
            m.d.sync += [picked.eq(0), sent.eq(sent | chosen)]
        # A cause may be behind the place that the visit has reached.
        with m.If(raised):
            m.d.sync += wanted.eq(1)

        # --- The message ----------------------------------------------------------------------------------
        with m.If(message.ready):
            m.d.sync += message.valid.eq(0)
        with m.If(sends):
            m.d.sync += [
                message.valid.eq(1),
                message.p.vector.eq(Cat(place, group)),
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

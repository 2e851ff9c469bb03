"""Interrupts: a cause becomes a pending bit, and a pending bit a message as soon as it may leave.

Specification: PCI Local Bus 3.0, 6.8.3; virtio 1.3, 4.1.4.5 and 4.1.5.1.2. A cause never waits: it sets the pending
bit of its vector, whether or not the vector is masked. Functions with pending bits stand in a queue, each at most
once; the one in front is looked at, its messages that may leave do, and it goes to the back while bits are left.
So the queue never overflows, and every function has its turn.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .access.carryless import below
from .state.vectors import GROUP, VectorAccess, VectorTable
from .tlp.message import MsixMessage

#: Clocks that the unit waits for one without an access before it asks for one.
PATIENCE = 7


class InterruptUnit(wiring.Component):
    """Vectors of every function, and the register in front of the link.

    In a clock with an access or an event the table is theirs; in the others it is the unit's. A message that is
    offered on `message` has lost its pending bit; a cause that comes later sets it anew.

    Parameters
    ----------
    vectors
        Entries of a function's table.
    functions
        Number of functions.

    Members
    -------
    table : In(VectorAccess())
        From the window, in the clock of an access.
    busy : In(1)
        This clock has an access or an event.
    function : In(8)
        Whose it is.
    cause : In(2)
        It is a reason to interrupt: bit 0 for a queue, bit 1 for the configuration; not both.
    queue_vector, config_vector : In(16)
        Whom the reason is for; a number without a vector stands for none.
    msix_enable : In(1)
        Of `function`: without it a reason sets no pending bit.
    forget : In(1)
        Forget the function's pending bits, but for this clock's cause.
    restore : In(1)
        Return the function's table and pending bits to their reset values.
    initialise : In(1)
        The first clock of the function after a reset of the core, together with `restore`.
    visited : Out(8)
        The function whose messages may leave now, if `may_send`.
    may_send : In(1)
        It may: MSI-X Enable set, Function Mask clear, bus master enabled, power state D0.
    starved : Out(1)
        A clock without an access is needed.
    message : Out(stream.Signature(MsixMessage))
    """

    def __init__(self, vectors: int, *, functions: int = 1):
        self._vectors = vectors
        self._functions = functions
        super().__init__({
            "table": In(VectorAccess()),
            "busy": In(1),
            "function": In(8),
            "cause": In(2),
            "queue_vector": In(16),
            "config_vector": In(16),
            "msix_enable": In(1),
            "forget": In(1),
            "restore": In(1),
            "initialise": In(1),
            "visited": Out(8),
            "may_send": In(1),
            "starved": Out(1),
            "message": Out(stream.Signature(MsixMessage)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.vectors = vectors = VectorTable(self._vectors, functions=self._functions)
        groups = -(-self._vectors // GROUP)
        message = self.message

        # --- What an access or an event does --------------------------------------------------------------
        reason = Signal(16)
        m.d.comb += reason.eq(Mux(self.cause[1], self.config_vector, self.queue_vector))
        self._raised = raised = Signal()
        m.d.comb += raised.eq(self.busy & self.cause.any() & self.msix_enable & below(reason, self._vectors))

        # --- The queue of functions -----------------------------------------------------------------------
        m.submodules.waiting = queue = memory.Memory(shape=8, depth=self._functions, init=[])
        m.submodules.queued = queued = memory.Memory(shape=1, depth=self._functions, init=[])
        front, back = queue.read_port(domain="comb"), queue.write_port()
        is_queued, set_queued = queued.read_port(domain="comb"), queued.write_port()
        head, tail = Signal(range(self._functions)), Signal(range(self._functions))
        self._count = count = Signal(range(self._functions + 1))
        last = self._functions - 1

        def after(place):
            return Mux(place == last, 0, place + 1)

        visiting, picked, found = Signal(), Signal(), Signal()
        self._visiting, self._picked, self._queued_now = visiting, picked, is_queued.data
        visited = self.visited
        turn = ~self.busy
        enters = raised & ~is_queued.data
        m.d.comb += [
            front.addr.eq(head),
            back.addr.eq(tail),
            is_queued.addr.eq(self.function),
        ]

        # --- The function in front ------------------------------------------------------------------------
        width = min(self._vectors, GROUP)
        group, place = Signal(range(groups)), Signal(range(width))
        # A vector sends once in a visit, so that no function keeps the others waiting for ever.
        sent = Signal(width)
        eligible = vectors.ready[:width] & ~sent
        free = ~message.valid | message.ready
        ends, sends = Signal(), Signal()
        self._sends, self._place, self._vectors_shown = sends, place, vectors
        left = vectors.pending.any()
        m.d.comb += [
            vectors.function.eq(Mux(turn, visited, self.function)),
            vectors.data.eq(self.table.data),
            self.table.entry.eq(vectors.entry),
            self.table.pending.eq(vectors.pending),
        ]
        with m.If(self.table.asked):
            m.d.comb += [vectors.vector.eq(self.table.vector), vectors.strobe.eq(self.table.strobe)]
        with m.Elif(self.busy):
            m.d.comb += vectors.vector.eq(reason)
        with m.Else():
            m.d.comb += vectors.vector.eq(Cat(place, group))
        m.d.comb += [
            vectors.pend.eq(raised),
            vectors.sent.eq(sends),
            vectors.forget.eq(self.busy & self.forget),
            vectors.restore.eq(self.busy & self.restore),
        ]

        with m.If(~visiting):
            with m.If(count != 0):
                m.d.sync += [visiting.eq(1), visited.eq(front.data), group.eq(0), found.eq(0), sent.eq(0)]
        with m.Elif(turn & ~picked):
            # The lowest vector that may leave; masks may change before it does, so it is looked at again.
            with m.If(self.may_send & eligible.any()):
                m.d.sync += picked.eq(1)
                for i in reversed(range(width)):
                    with m.If(eligible[i]):
                        m.d.sync += place.eq(i)
            with m.Else():
                m.d.sync += [found.eq(found | left), group.eq(group + 1), sent.eq(0)]
                m.d.comb += ends.eq(group == groups - 1)
        with m.Elif(turn & free):
            chosen = Cat(place == i for i in range(width))
            m.d.comb += sends.eq(self.may_send & (vectors.ready & chosen).any())
            m.d.sync += [picked.eq(0), sent.eq(sent | chosen)]
        # A cause behind the place that the visit has reached counts as seen.
        with m.If(raised & visiting & (self.function == visited)):
            m.d.sync += found.eq(1)
        with m.If(ends):
            m.d.sync += [visiting.eq(0), head.eq(after(head))]

        stays = ends & (found | left)
        m.d.comb += [
            back.data.eq(Mux(enters, self.function, visited)),
            back.en.eq(enters | stays),
            set_queued.addr.eq(Mux(ends, visited, self.function)),
            set_queued.data.eq(enters),
            set_queued.en.eq(enters | (ends & ~stays) | (self.busy & self.initialise)),
        ]
        with m.If(back.en):
            m.d.sync += tail.eq(after(tail))
        m.d.sync += count.eq(count + enters - (ends & ~stays))

        # --- The message ----------------------------------------------------------------------------------
        with m.If(message.ready):
            m.d.sync += message.valid.eq(0)
        with m.If(sends):
            m.d.sync += [
                message.valid.eq(1),
                message.p.function.eq(visited),
                message.p.vector.eq(Cat(place, group)),
                message.p.address.eq(vectors.entry.address),
                message.p.dword.eq(vectors.entry.data),
            ]

        patience = Signal(range(PATIENCE + 1))
        wanted = visiting & (~picked | free)
        m.d.comb += self.starved.eq(patience == PATIENCE)
        with m.If(turn | ~wanted):
            m.d.sync += patience.eq(0)
        with m.Elif(~self.starved):
            m.d.sync += patience.eq(patience + 1)
        return m

"""Of several functions each is told its own causes, at its own addresses, whatever the others do."""

from amaranth.hdl import Mux, Signal
from formal.proof import proof
from virtio_mmr.gateware.shared_interrupt import SharedInterruptUnit, _Visit
from virtio_mmr.gateware.state.function import Event, EventKind
from virtio_mmr.gateware.state.shared_vectors import SharedVectorTable
from virtio_mmr.gateware.state.vectors import GROUP, STORED
from virtio_mmr_sim.formal import Harness, Mode, StreamContract

FUNCTIONS = 2
STEPS = (EventKind.PEND, EventKind.VISIT, EventKind.SEND)


def entry_of(h, its, starts, strobe, data, byte):
    """Mask and one byte of an entry as last written, and whether they are known: (unmasked, value, known).

    *its* clocks write the bytes of *strobe*, and a clock in which the function *starts* over clears them.
    """
    unmasked, value, known = Signal(), Signal(8), Signal()
    with h.m.If(its & strobe[STORED]):
        h.m.d.sync += unmasked.eq(~data[0])
    with h.m.If(its & (strobe >> byte)[0]):
        stored = (data >> (byte[:2] << 3))[:8]
        # Bits 1:0 of the address are zero.
        h.m.d.sync += value.eq(Mux(byte == 0, stored & ~3, stored))
    with h.m.If(starts):
        h.m.d.sync += [unmasked.eq(0), value.eq(0), known.eq(1)]
    return unmasked, value, known


def unit(vectors):
    """The unit in the pipeline that it stands in, and what the driver of one function is owed of one vector.

    Returns the harness, whether that vector's message is sent, and the unit.
    """
    h = Harness()
    dut = h.add(SharedInterruptUnit(vectors, functions=FUNCTIONS), driven={
        "function_ahead", "function", "event_ahead", "event", "step", "table"})
    d, past = h.m.d, h.past

    # --- Two clocks of warning, and each step comes back once ---------------------------------------------
    coming = h.free(Event, "coming")
    d.comb += [
        dut.function_ahead.eq(past(dut.look)), dut.function.eq(past(dut.function_ahead)),
        dut.event_ahead.eq(coming), dut.event.eq(past(coming)),
    ]
    h.assume(dut.look < FUNCTIONS)
    h.assume((coming.kind == EventKind.NONE) | (coming.function == dut.function_ahead))
    taken, step = Signal(), Signal(Event)
    is_step = Signal()
    d.comb += [
        is_step.eq((coming.kind == STEPS[0]) | (coming.kind == STEPS[1]) | (coming.kind == STEPS[2])),
        dut.step.ready.eq(h.free(1, "takes") & ~taken)]
    with h.m.If(is_step):
        d.sync += taken.eq(0)
    with h.m.Elif(dut.step.valid & dut.step.ready):
        d.sync += [taken.eq(1), step.eq(dut.step.p)]
    h.assume(~is_step | (taken & (coming.kind == step.kind) & (coming.function == step.function)
                         & (coming.queue == step.queue)))
    unsettled = Signal()
    interrupts = dut.event.kind == EventKind.INTERRUPT
    h.assume(~(interrupts & unsettled))
    with h.m.If(interrupts):
        d.sync += unsettled.eq(1)
    with h.m.Elif(dut.settled):
        d.sync += unsettled.eq(0)

    # --- What may happen in a clock -----------------------------------------------------------------------
    asked, strobe = past(dut.asked_ahead), h.free(16, "strobe")
    stepping = past(is_step)
    h.assume(~asked | (dut.event.kind == EventKind.NONE))
    h.assume(~strobe.any() | (asked & (past(dut.vector_ahead) < vectors) & ~dut.forget & ~dut.restore))
    d.comb += [dut.table.strobe.eq(strobe), dut.table.data.eq(h.free(32, "data"))]
    h.assume((dut.cause == 0) | ((dut.cause != 3) & ~asked & ~stepping & ~dut.restore))
    h.assume(~dut.cause[0] | interrupts)
    h.assume(~(dut.cause[1] & (dut.config_vector < vectors)) | (dut.config_vector == past(dut.config_vector_ahead)))
    h.assume(~((dut.forget | dut.restore) & stepping))
    h.assume(~dut.opened | ~(stepping | (dut.cause != 0) | dut.forget | dut.restore | strobe.any()))
    # After a reset each function starts, and nothing else happens until all have.
    starts, begun = dut.event.kind == EventKind.INITIALISE, Signal()
    with h.m.If(~starts & h.started()):
        d.sync += begun.eq(1)
    h.assume(~starts | (dut.restore & ~begun))
    h.assume(begun | ((starts | (dut.event.kind == EventKind.NONE)) & ~asked & (dut.cause == 0) & ~dut.forget))
    h.assume(~dut.restore | starts | dut.forget)

    # --- What a slow reader of the inputs would note ------------------------------------------------------
    mine, vector, byte = h.constant(8, "mine"), h.constant(11, "vector"), h.constant(4, "byte")
    h.assume((mine < FUNCTIONS) & (vector < vectors) & (byte < STORED))
    # Everything has its effect a clock later.
    here = past(dut.function == mine)
    its_entry = here & past(asked & (past(dut.vector_ahead) == vector))
    ended = here & past(dut.forget | dut.restore)
    enabled = past(dut.msix_enable)
    told = here & past(dut.cause[1]) & enabled & (past(dut.config_vector) == vector)
    queued = here & past(dut.cause[0]) & enabled & (dut.queue_vector == vector)
    unmasked, value, known = entry_of(
        h, its_entry, here & past(dut.restore), past(strobe), past(dut.table.data), byte)
    # A queue's cause; what the vector is pending for: a queue, the configuration.
    promised, owed, sends = Signal(), Signal(2), Signal()
    d.comb += sends.eq(dut._sends & here & (dut._shown.vector == vector))
    with h.m.If(past(past(coming.kind == EventKind.PEND))):
        d.sync += [promised.eq(0), owed[0].eq(owed[0] | promised)]
    with h.m.If(ended):
        d.sync += [promised.eq(0), owed.eq(0)]
    gate = past(dut.gate)
    with h.m.If(sends):
        d.sync += owed.eq(Mux(gate, 0, owed & 0b01))
    with h.m.If(told):
        d.sync += owed[1].eq(1)
    with h.m.If(queued):
        d.sync += promised.eq(1)

    # --- What must be so ----------------------------------------------------------------------------------
    shown = dut._shown
    in_sight = known & here & (shown.vector[5:] == vector[5:])
    bit = vector[:5]
    h.check(~in_sight | ((shown.pending >> bit)[0] == owed.any()))
    h.check(~in_sight | ((shown._now.unmasked >> bit)[0] == unmasked))
    h.check(~in_sight | ((shown.ready >> bit)[0] == ((owed[1] | (owed[0] & gate)) & unmasked)))
    read = known & its_entry
    h.check(~read | ((dut.table.pending >> bit)[0] == owed.any()))
    h.check(~read | (dut.table.entry.masked == ~unmasked))
    h.check(~read | (Mux(dut.table.written, (dut.table.entry.as_value() >> (byte << 3))[:8], 0) == value))
    StreamContract.watch(h, "step", dut.step)
    return h, known & sends, dut


@proof("of two functions, each cause becomes the pending bit of its own vector once, unless a reset comes first, and "
       "nothing else does; pending bits, masks and entries read as what happened to them (MSX-03, MSX-04, LEG-13)",
       block="SharedInterruptUnit, SharedVectorTable", mode=Mode.BOUNDED, depth=12, cover=24, stage="broad")
def test_causes_of_two_functions():
    h, sends, dut = unit(2)
    h.cover(sends & dut.message.ready)
    return h


@proof("a message is sent in a clock of its own function, only for a pending bit that is not masked, and if the "
       "function may send in that clock; it says what that vector's entry says, and stays until it is taken (MSX-04)",
       block="SharedInterruptUnit", depth=3, cover=20)
def test_messages_of_many_functions():
    h = Harness()
    dut = h.add(SharedInterruptUnit(3, functions=FUNCTIONS))
    past, shown, message = h.past, dut._shown, dut.message
    sending = past(dut.event.kind == EventKind.SEND)
    now = sending & past(dut.may_send) & shown.sendable
    # That comes only as the answer to a step, once.
    h.assume(~sending | (dut._visit == _Visit.SENDING))
    h.check((dut._visit == _Visit.NONE) | ~message.valid)
    loaded = message.valid & ~past(message.valid & ~message.ready)
    h.check(loaded == past(now))
    h.check(~loaded | ((message.p.function == past(past(dut.function))) & (message.p.vector == past(shown.vector))))
    h.check(~loaded | ((message.p.address == past(shown.entry.address)) & (message.p.dword == past(shown.entry.data))))
    StreamContract.watch(h, "message", message)
    return h


def table(vectors):
    """The rows alone, in which anything may be sent that can be, and one vector of one function as it should be."""
    h = Harness()
    dut = h.add(SharedVectorTable(vectors, functions=FUNCTIONS), driven={"function_ahead", "pend", "sent"})
    d, past = h.m.d, h.past
    d.comb += dut.function_ahead.eq(past(dut.look))
    h.assume((dut.look < FUNCTIONS) & (dut.vector_ahead < vectors))
    wanted = dut.entry_ahead == dut.vector_ahead
    function, wanted = past(past(dut.function_ahead)), past(past(wanted))
    pend, sent = h.free(2, "pend"), h.free(1, "sent")
    d.comb += [dut.pend.eq(pend), dut.sent.eq(sent & dut.sendable)]
    writes = dut.strobe.any()
    h.assume(pend[0] + pend[1] + sent + writes <= 1)
    h.assume(~(dut.restore | dut.opened) | ~(pend.any() | sent | writes))
    h.assume(~dut.opened | ~(dut.forget | dut.restore))
    h.assume(~writes | (wanted & ~dut.forget))
    h.assume(~sent | (wanted & ~dut.forget))

    mine, vector, byte = h.constant(8, "mine"), h.constant(11, "vector"), h.constant(4, "byte")
    h.assume((mine < FUNCTIONS) & (vector < vectors) & (byte < STORED))
    here = function == mine
    its = here & (dut.vector == vector)
    unmasked, value, known = entry_of(h, its, here & dut.restore, dut.strobe, dut.data, byte)
    pending = Signal(2)
    for reason, told in enumerate((dut.sent & dut.gate, dut.sent)):
        with h.m.If(here & (dut.forget | dut.restore) | (its & told)):
            d.sync += pending[reason].eq(0)
        with h.m.If(its & pend[reason]):
            d.sync += pending[reason].eq(1)
    # The gate stands open or closed until it is moved; what it leaves open at the end of the clock.
    gate = Signal()
    with h.m.If(here & dut.opened):
        d.sync += gate.eq(1)
    with h.m.If(here & h.free(1, "closes")):
        d.sync += gate.eq(0)
    with h.m.If(here & dut.restore):
        d.sync += gate.eq(h.free(1, "opens"))
    h.assume(~here | (dut.gate == gate))
    able = pending[1] | (pending[0] & gate)

    bit = vector[:5]
    in_sight = known & here & (dut.vector[5:] == vector[5:])
    h.check(~in_sight | ((dut.pending >> bit)[0] == pending.any()))
    h.check(~in_sight | ((dut.ready >> bit)[0] == (able & unmasked)))
    h.check(~(known & its) | ((dut.sendable == (able & unmasked)) & (dut.entry.masked == ~unmasked)))
    h.check(~(known & its & wanted) | ((dut.entry.as_value() >> (byte << 3))[:8] == value))
    # A group with a vector that could be sent is worth a visit.
    group = (dut.waiting >> vector[5:])[0] if vectors > GROUP else dut.waiting
    changes = its & (dut.sent | dut.strobe[STORED])
    h.check(~in_sight | ~(able & unmasked) | changes | dut.forget | dut.restore | (group != 0))
    h.cover(known & its & dut.sent & past(known & ~here))
    return h


ROWS = ("pending bits, masks and entries of a vector are what happened to it last, whatever happens to other vectors "
        "and functions, at every distance; a group with a vector that could be sent is worth a visit")


@proof(ROWS, block="SharedVectorTable", mode=Mode.BOUNDED, depth=10, cover=10, stage="broad")
def test_vectors_of_two_functions():
    return table(2)


@proof(f"{ROWS} (two groups)", block="SharedVectorTable", mode=Mode.BOUNDED, depth=10, cover=10, stage="full")
def test_groups_of_two_functions():
    return table(GROUP + 1)

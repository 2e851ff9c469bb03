"""A cause is told once, or pending, or forgotten for a reason; and nothing is told without one."""

from amaranth.hdl import C, Cat, Mux, Signal
from formal.proof import proof
from virtio_mmr.gateware.interrupt import InterruptUnit
from virtio_mmr.gateware.state.vectors import GROUP
from virtio_mmr.gateware.tlp.message import IntxMessenger, MessageBuilder
from virtio_mmr_sim.formal import Harness, Mode, PacketContract, Side, StreamContract


def unit(vectors):
    """The unit, and one vector with what the driver is owed of it, and may be told now, but for masks.

    Returns the harness, the unit, what it shows, and of the vector: pending, owed, able, sends.
    """
    h = Harness()
    dut = h.add(InterruptUnit(vectors))
    table, shown, past = dut.table, dut._vectors_shown, h.past
    h.assume(~table.asked | (dut.busy & (dut.cause == 0) & ~dut.forget & ~dut.restore & (table.vector < vectors)))
    h.assume((dut.cause != 3) & (~dut.restore | (dut.cause == 0)))
    h.assume(~table.strobe.any() | table.asked)
    vector = h.constant(11, "vector")
    h.assume(vector < vectors)
    # What a slow reader of the unit's inputs would note, a clock late: owed for a queue, for the configuration.
    owed, unmasked = Signal(2), Signal()
    busy = past(dut.busy)
    reason = Mux(past(dut.cause[1]), past(dut.config_vector), past(dut.queue_vector))
    caused = busy & past(dut.msix_enable) & (reason == vector)
    sends = Signal()
    h.m.d.comb += sends.eq(dut._sends & (shown.vector == vector))
    for bit, told in enumerate((sends & dut.gate, sends)):
        with h.m.If(busy & past(dut.forget | dut.restore) | told):
            h.m.d.sync += owed[bit].eq(0)
        with h.m.If(caused & past(dut.cause[bit])):
            h.m.d.sync += owed[bit].eq(1)
    able = owed[1] | (owed[0] & dut.gate)
    with h.m.If(busy & past(table.asked & (table.vector == vector) & table.strobe[12])):
        h.m.d.sync += unmasked.eq(~past(table.data[0]))
    with h.m.If(busy & past(dut.restore)):
        h.m.d.sync += unmasked.eq(0)
    # A visit's turn is one in which it sees the vector that it has come to.
    h.check(~dut._turn | (shown.vector == Cat(dut._place, dut._group)))
    group = Mux(shown.pend.any(), shown.reason, shown.vector)[5:]
    in_sight = group == vector[5:] if vectors > GROUP else C(1)
    pending = (shown.pending >> vector[:5])[0]
    h.check(~in_sight | (pending == owed.any()))
    for bit, kept in enumerate((shown._now.for_queues, shown._now.for_configuration)):
        h.check(~in_sight | ((kept >> vector[:5])[0] == owed[bit]))
    h.check(~in_sight | ((shown._now.unmasked >> vector[:5])[0] == unmasked))
    h.check(~in_sight | ((shown.ready >> vector[:5])[0] == (able & unmasked)))
    # Told only if it is owed, and may be told in that very clock.
    h.check(~sends | (able & unmasked & dut.may_send & ~busy))
    loaded = dut.message.valid & ~h.past(dut.message.valid & ~dut.message.ready)
    h.check(loaded == h.past(dut._sends))
    StreamContract.watch(h, "message", dut.message)
    return h, dut, shown, pending, owed.any(), able, sends


@proof("a cause sets its vector's pending bit, and nothing else does; the bit goes when the message is sent or by a "
       "reset; a message is sent only for a bit that is set, unmasked and allowed in that clock, and for queues if the "
       "gate is open; whatever is pending wants a visit or gets one (MSX-03, MSX-04, LEG-13, MMR-25)",
       block="InterruptUnit, VectorTable", depth=2, cover=9)
def test_causes():
    h, dut, shown, _, _owed, _able, sends = unit(3)
    h.check(~shown.pending.any() | dut._wanted | dut._visiting)
    h.check(~dut._picked | dut._visiting)
    h.check(dut._place < 3)
    h.cover(sends)
    return h


@proof("the same with two groups of pending bits: bounded, since a visit takes many clocks",
       block="InterruptUnit, VectorTable", mode=Mode.BOUNDED, depth=8, cover=10, stage="full")
def test_two_groups():
    h, dut, shown, _, owed, _able, sends = unit(34)
    h.check(~owed | dut._wanted | dut._visiting)
    h.cover(sends & (shown.vector == 33))
    return h


@proof("what may be sent is sent within 14 clocks of the unit's own, if the link takes it, whatever waits beside it; a "
       "unit that gets no clock asks for one within 9", block="InterruptUnit", mode=Mode.BOUNDED, depth=32, cover=9)
def test_bounded_wait():
    h, dut, shown, _, _owed, able, sends = unit(2)
    waits, denied = Signal(6), Signal(6)
    able &= dut.may_send & dut.message.ready & shown.ready.any()
    h.m.d.sync += waits.eq(Mux(able & ~sends & ~dut.busy, waits + 1, 0))
    h.check(waits <= 14)
    waiting = (shown.pending != 0) & dut.busy & dut.message.ready
    h.m.d.sync += denied.eq(Mux(waiting & ~dut.starved, denied + 1, 0))
    h.check(denied <= 9)
    h.cover(sends)
    return h


@proof("messages of interrupts are packets without a gap, and stay until they are taken", block="MessageBuilder",
       depth=2, cover=8)
def test_packets():
    h = Harness()
    for width in (64, 128):
        dut = h.add(MessageBuilder(width), f"dut_{width}")
        StreamContract.watch(h, f"message_{width}", dut.message, Side.ASSUME)
        StreamContract.watch(h, f"beats_{width}", dut.beats)
        packets = PacketContract.watch(h, f"packets_{width}", dut.beats, gapless=True)
        h.check(packets.inside == (dut._packet._beat != 0))
        h.check(~packets.inside | dut.message.valid)
        h.check(dut._packet._beat * (width // 32) < Mux(dut._packet.five, 5, 4))
    return h


@proof("messages of INTA take turns, stay until they are taken, and end at the level (LEG-42)", block="IntxMessenger",
       depth=2, cover=8)
def test_levels():
    h = Harness()
    dut = h.add(IntxMessenger(128))
    StreamContract.watch(h, "beats", dut.beats)
    raised = Signal()
    taken = dut.beats.valid & dut.beats.ready
    code = dut.beats.p.data[32:40]
    with h.m.If(taken):
        h.m.d.sync += raised.eq(~raised)
    h.check(~dut.beats.valid | (code == Mux(raised, 0x24, 0x20)))
    h.check(dut.beats.valid | (raised == dut.level))
    h.check(raised == dut._told)
    h.check(dut._packet._beat == 0)
    h.cover(taken & raised)
    return h

"""What the back end sees: streams that keep the rules, in the order that the boundary promises."""

from amaranth.hdl import Mux, Signal, Value
from formal.proof import proof
from virtio_mmr.gateware.backend import QueueChange
from virtio_mmr.gateware.notify import NotifyUnit
from virtio_mmr.gateware.windows.device import DeviceWindow
from virtio_mmr.spec.device_types import NET
from virtio_mmr_sim.formal import Harness, Mode, Side, StreamContract

STREAMS = ("driver_update", "queue_update", "notification", "reset_request")

IMAGE = bytes(range(0x10, 0x10 + NET.config_size))


@proof("what is offered stays until it is taken; nothing of a new epoch is offered before its reset is acknowledged, "
       "no reset before everything older has been taken; a notification waits for gate, bus mastering and all updates",
       block="NotifyUnit", depth=3, cover=6)
def test_order_of_the_boundary():
    h = Harness()
    dut = h.add(NotifyUnit(2))
    row = dut.row
    rises = {}
    for name in STREAMS:
        port = getattr(dut, name)
        StreamContract.watch(h, name, port)
        rises[name] = port.valid & ~h.past(port.valid & ~port.ready)

    def reported_when(name, value):
        """*value* in the clock of the report that *name* rises from: a queue's update takes a clock more."""
        return h.past(h.past(value)) if name == "queue_update" else h.past(value)

    for name in STREAMS:
        h.check(~rises[name] | reported_when(name, dut.report))
    for name in STREAMS[:3]:
        waits = getattr(dut, name).valid
        h.check(~rises[name] | ~reported_when(name, row.reset_outstanding))
        h.check(~rises["reset_request"] | ~h.past(waits))
    h.check(~rises["reset_request"] | h.past(row.reset_unsent))
    notified = dut.notification
    pending = row.tell_driver_ok | row.tell_features | row.tell_gate
    allowed = dut.may_request & row.gate & (row.badstate == 0) & ~pending
    h.check(~rises["notification"] | h.past(allowed & ~dut.driver_update.valid & ~dut.queue_update.valid))
    h.check(~((rises["notification"] | rises["reset_request"]) & rises["queue_update"]))
    for i in range(2):
        mine = notified.p.queue == i
        h.check(~(rises["notification"] & mine) | h.past(row.notified[i] & ~row.tell_queue[i]))
        changed = rises["queue_update"] & (dut.queue_update.p.queue == i)
        h.check(~changed | reported_when("queue_update", row.tell_queue[i]))
        enabled = row.queue_page_bytes[4 * i:4 * i + 4].any()
        enables = Value.cast(dut.queue_update.p.change) == QueueChange.ENABLE.value
        h.check(~changed | (enables == reported_when("queue_update", enabled)))
    # What is taken over is what clears the row's flag.
    reported = dut.reported
    for name, taken in (("notification", reported.notification), ("queue_update", reported.queue),
                        ("reset_request", reported.reset),
                        ("driver_update", reported.driver_ok | reported.features | reported.gate)):
        h.check(reported_when(name, taken) == rises[name])
    h.cover(rises["notification"] & h.past(h.past(dut.queue_update.valid & dut.queue_update.ready)))
    h.cover(rises["reset_request"] & (dut.reset_request.p.epoch == 2))
    return h


@proof("no flag waits for another for ever: with a back end that takes everything, a function with three queues has "
       "told all of it within 24 clocks of its own", block="NotifyUnit", mode=Mode.BOUNDED, depth=26, cover=6)
def test_no_flag_waits_for_another():
    h = Harness()
    dut = h.add(NotifyUnit(3), driven={"row", "report", "scan"})
    row, reported = dut.row, dut.reported
    h.m.d.comb += [dut.report.eq(dut.wanted), dut.scan.eq(dut.next_queue)]
    fields = dict(row.shape())
    kept = Signal.like(row)
    cleared = Signal.like(row)
    first = ~h.started()
    free = h.free(row.shape(), "row")
    h.m.d.comb += [row.eq(kept), cleared.eq(row)]
    with h.m.If(first):
        h.m.d.comb += row.eq(free)
    assert {"tell_queue", "notified"} <= set(fields)
    for i in range(3):
        with h.m.If(reported.queue & (dut.scan == i)):
            h.m.d.comb += cleared.tell_queue[i].eq(0)
        with h.m.If(reported.notification & (dut.scan == i)):
            h.m.d.comb += cleared.notified[i].eq(0)
    for name, flag in (("tell_driver_ok", reported.driver_ok), ("tell_features", reported.features),
                       ("tell_gate", reported.gate), ("reset_unsent", reported.reset)):
        with h.m.If(flag):
            h.m.d.comb += cleared[name].eq(0)
    h.m.d.sync += kept.eq(cleared)
    # The back end takes everything at once.
    for name in STREAMS:
        h.assume(getattr(dut, name).ready)
    h.assume(dut.may_request)
    age = Signal(5)
    h.m.d.sync += age.eq(age + 1)
    h.check(~(dut.wanted & (age == 24)))
    h.cover(~dut.wanted & h.past(dut.wanted))
    return h


@proof("every byte of the device configuration shows what its owner wrote last, in either byte order, and nobody else "
       "changes it; what the driver wrote is offered until it is taken", block="DeviceWindow", mode=Mode.BOUNDED,
       depth=6, cover=7)
def test_device_configuration():
    h = Harness()
    dut = h.add(DeviceWindow(NET, IMAGE, big_endian=True))
    legacy, direct = dut.legacy, dut.direct
    StreamContract.watch(h, "write", dut.write)
    StreamContract.watch(h, "update", dut.update, Side.ASSUME)
    accessed = legacy.access.valid | direct.access.valid
    h.assume(~(legacy.access.valid & direct.access.valid))
    h.assume(~((dut.apply | dut.restore) & accessed))
    h.assume(~(dut.report & (dut.apply | dut.restore | accessed)))
    h.assume(~dut.apply | dut.update_waiting)
    h.assume(dut.function == 0)
    access = Signal.like(direct.access.p)
    h.m.d.comb += access.eq(Mux(legacy.access.valid, legacy.access.p, direct.access.p))
    reply = Mux(legacy.access.valid, legacy.reply.p.data, direct.reply.p.data)
    big = dut.big & legacy.access.valid
    # One byte, whichever it is. The address is six bytes that no order swaps; the rest are 16-bit fields.
    byte = h.constant(4, "byte")
    h.assume(byte < NET.config_size)
    at = Mux(big & (byte >= 6), byte ^ 1, byte)
    value, staged, staged_here = Signal(8), Signal(8), Signal()
    begun = h.started()
    initial = Signal(8)
    h.m.d.comb += initial.eq(byte + IMAGE[0])
    shown = Mux(begun, value, initial)
    here = accessed & (access.offset[2:] == at[2:])
    driver = byte < 6
    device = (byte >= 6) & (byte < 8)
    written = Signal()
    h.m.d.comb += written.eq(here & access.write & access.strobe.bit_select(at[:2], 1) & driver)
    beat = dut.update.p
    stages = (dut.update.valid & dut.update.ready & (beat.offset[2:] == byte[2:])
              & beat.strobe.bit_select(byte[:2], 1) & (driver | device))
    h.m.d.sync += value.eq(shown)
    with h.m.If(dut.restore):
        h.m.d.sync += value.eq(initial)
    with h.m.Elif(dut.apply):
        with h.m.If(staged_here):
            h.m.d.sync += value.eq(staged)
    with h.m.Elif(written):
        h.m.d.sync += value.eq(access.data.word_select(at[:2], 8))
    # An update for a function that does not exist is taken and forgotten.
    forgotten = dut.update.valid & dut.update.ready & beat.last & (beat.function != 0)
    h.check(~dut.update_waiting | (dut.update_function == 0))
    with h.m.If(dut.apply | forgotten):
        h.m.d.sync += staged_here.eq(0)
    with h.m.Elif(stages):
        h.m.d.sync += [staged.eq(beat.data.word_select(byte[:2], 8)), staged_here.eq(1)]
    h.check(~here | (reply.word_select(at[:2], 8) == shown))
    h.check(~written | dut.driver_wrote)
    h.cover(here & (shown != initial) & device & big)
    h.cover(here & (shown == initial) & driver & h.past(h.past(written) & (value != initial)) & h.past(dut.restore))
    return h

"""A function answers, emits and keeps what its own inputs say, whatever the others do."""

from amaranth.hdl import C, Cat
from formal.isolation import SharedPath, same
from formal.proof import proof
from virtio_mmr.gateware.state.function import EventKind
from virtio_mmr_sim.formal import Engine, Harness, Mode


@proof("in every clock, also around a reset, each store shows and changes the row of the function whose operation or "
       "event this is: state, device configuration, permits, and a clock later queues and turns; what the back end is "
       "told of is told of it",
       block="Schedule, FunctionState, DeviceWindow, QueueTable, Turns, SharedGate, NotifyUnit", depth=3, cover=8)
def test_every_write_goes_to_its_functions_row():
    h = Harness(with_reset=True)
    path = SharedPath(h, "path")
    path.promises()
    schedule, function = path.schedule, path.function
    coming = schedule.coming_function
    state, device, queues, standing = path.state._rows, path.device._rows, path.table._rows, path.turns._standing
    # Queues and turns are a clock late.
    before = path.turns.function
    looks = ((state, coming, function), (device, coming, function), (standing, function, before))
    for rows, then, now in looks:
        h.check(rows.coming_number == then[0])
        h.check(rows.number == now[0])
    h.check(queues.coming_number[1:] == function[0])
    h.check(queues.number[1:] == before[0])
    h.check(~path.eventful | (schedule.event.function == function))
    h.check(~path.executed.valid | (path.executed.p.access.function == function))
    h.check(function < 2)
    h.check((path.gate.function == function) & same(path.gate.row, path.state.new))
    h.cover(queues.change & (before == 1) & h.past(h.past(path.eventful & (function == 0))))
    return h


def twins(*, with_modern: bool = False) -> Harness:
    """Two paths; one function's inputs, whichever it is, are equal in both, and so are the clocks that are taken."""
    h = Harness()
    mine = h.constant(1, "mine")
    one, two = paths = [SharedPath(h, name, with_modern=with_modern) for name in ("one", "two")]
    for path in paths:
        path.promises()

    always = C(1)

    def equal(pick, condition=always):
        h.assume(~condition | same(pick(one), pick(two)))

    # Clocks: what is chosen when, for whom.
    for name in ("function_ahead", "event_slot", "wanted", "wakes"):
        equal(lambda path, name=name: getattr(path.schedule, name))
    equal(lambda path: path.schedule.operation.valid)
    equal(lambda path: path.schedule.operation.p.access.function, one.schedule.operation.valid)
    equal(lambda path: path.schedule.candidate.valid)
    equal(lambda path: path.schedule.candidate.p.function, one.schedule.candidate.valid)
    equal(lambda path: path.schedule.candidate.p.kind == EventKind.UPDATE, one.schedule.candidate.valid)
    equal(lambda path: Cat(path.device.update.valid, path.device.update.p.last, path.device.update.p.function))
    # What the one function is asked and told.
    equal(lambda path: path.schedule.operation.p, one.schedule.operation.p.access.function == mine)
    equal(lambda path: path.schedule.candidate.p, one.schedule.candidate.p.function == mine)
    equal(lambda path: path.device.update.p, one.device.update.p.function == mine)
    for name in ("config_change", "errors"):
        equal(lambda path, name=name: path.inputs[name], (one.function == mine) & (mine == 1))
    for name in ("flr", "msix_toggled", "bus_master", "msix_enable"):
        equal(lambda path, name=name: path.inputs[name], mine == 0)
    equal(lambda path: path.inputs["awake"])
    equal(lambda path: path.gate.bus)
    equal(lambda path: path.gate.gates[0].function)
    # The other's reports take a place in the same streams two clocks before they are offered there.
    equal(lambda path: path.notify.reported, one.function[0] != mine)
    for left, right in zip(one.streams, two.streams, strict=True):
        h.assume(left.ready == right.ready)
        theirs = [port.valid & (port.p.function[0] != mine) for port in (left, right)]
        own = [port.valid & (port.p.function[0] == mine) for port in (left, right)]
        h.assume(theirs[0] == theirs[1])
        h.check(own[0] == own[1])
        h.check(~own[0] | same(left.p, right.p))

    # Its rows, on their way and when they are shown; that is what the rest follows from.
    filled = h.past(h.past(h.past(h.past(h.started()))))
    for pick in (lambda path: path.state._rows, lambda path: path.device._rows, lambda path: path.turns._standing):
        left, right = pick(one), pick(two)
        h.check(left.number == right.number)
        h.check(~(filled & (left.number == mine)) | same(left.row, right.row))
        h.check(~(filled & (left.coming_number == mine)) | same(left.coming, right.coming))

    if with_modern:
        left, right = one.table._rows, two.table._rows
        h.check(~(filled & (one.function[0] == mine)) | (left.number == right.number) & same(left.row, right.row))

    # What it answers, keeps and emits.
    happens = (one.function[0] == mine) & (one.executed.valid | one.eventful)
    answers = (one.function[0] == mine) & one.executed.valid
    h.check(one.executed.valid == two.executed.valid)
    h.check(one.eventful == two.eventful)
    h.check(~answers | same(one.reply, two.reply))
    h.check(~h.past(answers) | (one.late_reply == two.late_reply))
    # Before it starts there may be anything in its row.
    starts = one.schedule.event.kind == EventKind.INITIALISE
    for name in ("row", "new", "restore", "fenced", "cause"):
        h.check(~happens | (starts & (name != "new")) | same(getattr(one.state, name), getattr(two.state, name)))
    called = [path.turns._enters & (path.turns._entered.function[0] == mine) for path in paths]
    h.check(called[0] == called[1])
    h.check(~called[0] | same(one.turns._entered, two.turns._entered))
    gates = [path.gate.gates[0] for path in paths]
    asked = h.past(gates[0].function == mine)
    ready = h.past(h.past(h.past(~one.schedule.hold)))
    for name in ("may_request", "epoch", "requester"):
        h.check(~(asked & ready) | (getattr(gates[0], name) == getattr(gates[1], name)))
    # It is about something: the other's rows differ, and then this one's are looked at.
    other = (one.function[0] != mine) & ~same(one.state.row, two.state.row)
    h.cover(answers & h.past(other & one.executed.valid) & one.reply.data[:8].any())
    h.cover(own[0])
    return h


CLAIM = ("of two functions, one answers, keeps, tells the back end and may reach memory by its own inputs alone: "
         "windows, events, resets of either, virtual functions that vanish; the other's accesses, events and rows may "
         "be anything, only the clocks that they take are equal")


@proof(CLAIM, block="Schedule, FunctionState, QueueTable, DeviceWindow, windows, NotifyUnit, Turns, SharedGate",
       mode=Mode.BOUNDED, depth=6, cover=7, engine=Engine.BOOLECTOR)
def test_functions_are_isolated():
    return twins()


@proof(CLAIM, block="Schedule, FunctionState, QueueTable, DeviceWindow, windows, NotifyUnit, Turns, SharedGate",
       mode=Mode.BOUNDED, depth=9, engine=Engine.BOOLECTOR, stage="full")
def test_functions_are_isolated_for_longer():
    return twins()


@proof(f"{CLAIM}; with the modern windows beside the legacy ones",
       block="Schedule, FunctionState, ModernQueueTable, DeviceWindow, windows, NotifyUnit, Turns, SharedGate",
       mode=Mode.BOUNDED, depth=6, cover=7, engine=Engine.BOOLECTOR, stage="broad")
def test_transitional_functions_are_isolated():
    return twins(with_modern=True)

"""What many functions share on the way to their rows: who comes when, and nothing is lost, doubled or mixed up."""

from amaranth.hdl import Cat, Mux, Signal, Value
from formal.path import BARS
from formal.proof import proof
from virtio_mmr.config.device import Bar, BarKind, Region, Space
from virtio_mmr.gateware.access.interface import NOWHERE, Kind
from virtio_mmr.gateware.access.schedule import Schedule
from virtio_mmr.gateware.access.sequencer import AccessSequencer
from virtio_mmr.gateware.access.virtual import VirtualStage
from virtio_mmr.gateware.events import EventChooser
from virtio_mmr.gateware.requester.gate import SharedGate
from virtio_mmr.gateware.state.function import EventKind, function_row
from virtio_mmr.gateware.state.sweep import Sweep
from virtio_mmr.gateware.turns import Turns
from virtio_mmr.spec.status import Status
from virtio_mmr_sim.formal import Harness, Mode, Side, StreamContract

#: Functions of a scaled-down endpoint.
FUNCTIONS = 4
#: Functions that take turns, where every clock counts.
TURNING = 2


def bits(struct):
    """A struct as a plain value."""
    return Value.cast(struct)


def as_sequencer(h: Harness, dut) -> None:
    """Assume what the sequencer promises about a clock's choice and the operation behind it."""
    chose = h.past(~dut.hold & ~dut.event_slot, "chose")
    h.assume(~dut.operation.valid | chose)
    h.assume(~dut.operation.valid | (dut.operation.p.access.function == h.past(dut.function_ahead)))
    h.assume(~dut.event_slot | ~dut.hold)
    # Every chooser of events names a function that there is.
    h.assume(~dut.candidate.valid | (dut.candidate.p.function < FUNCTIONS))


@proof("an operation or an event that is chosen comes two clocks later, as it was and in a clock of its own, with its "
       "function and nothing else between; an operation for a function that has gone has no byte enabled",
       block="Schedule", depth=4, cover=12)
def test_schedule():
    h = Harness()
    dut = h.add(Schedule(FUNCTIONS))
    as_sequencer(h, dut)
    candidate, coming = dut.candidate, dut.coming
    operation, executed = dut.operation, dut.executed
    # Operations.
    h.check(executed.valid == h.past(operation.valid))
    h.check(~executed.valid | (executed.p.access.function == dut.function))
    access = executed.p.access
    untouched = Signal.like(executed.p)
    h.m.d.comb += [untouched.eq(h.past(operation.p)), untouched.access.strobe.eq(access.strobe)]
    h.check(~executed.valid | (bits(executed.p) == bits(untouched)))
    gone = h.past(operation.p.access.function > dut.present)
    h.check(~executed.valid | (access.strobe == Mux(gone, 0, h.past(operation.p.access.strobe))))
    # Events: of a visit, or the one that was taken.
    taken = candidate.valid & candidate.ready
    happens = Mux(dut.hold, 1, taken)
    h.check(~taken | ~dut.hold)
    h.check(dut.coming_eventful == h.past(happens))
    h.check(dut.eventful == h.past(h.past(happens)))
    h.check(~h.past(taken) | (bits(coming) == h.past(bits(candidate.p))))
    h.check(dut.eventful | (bits(dut.event.kind) == EventKind.NONE.value))
    h.check(dut.reporting == (bits(dut.event.kind) == EventKind.REPORT.value))
    # What meets in a clock belongs together, and was announced.
    h.check(~(executed.valid & dut.eventful))
    h.check(~dut.eventful | (dut.event.function == dut.function))
    h.check(~dut.coming_eventful | (coming.function == dut.coming_function))
    h.check(dut.function == h.past(h.past(dut.look)))
    h.check(dut.coming_function == h.past(dut.look))
    h.check(dut.function == h.past(dut.coming_function))
    h.check(~h.started() | (bits(dut.event) == h.past(bits(coming))))
    h.check(dut.dropped == h.past(dut.dropped_ahead))
    h.check(dut.discarded == h.past(dut.discarded_ahead))
    h.check(~dut.eventful | (dut.function < FUNCTIONS))
    h.cover(executed.valid & (dut.function == 2) & h.past(dut.eventful) & (h.past(dut.function) == 1)
            & (access.strobe == 15))
    h.cover(executed.valid & gone)
    h.cover(dut.eventful & dut.hold & h.past(h.past(taken)))
    return h


@proof("an event gets the eighth clock at the latest, whatever accesses there are and whose they are, but while "
       "functions are visited", block="AccessSequencer", depth=2, cover=16)
def test_events_wait_for_eight_clocks():
    return eighth_clock()


@proof("an event gets the eighth clock at the latest, whatever accesses there are and whose they are, but while "
       "functions are visited (several functions)", block="AccessSequencer", depth=2, cover=16)
def test_events_among_several_functions_wait_for_eight_clocks():
    return eighth_clock(virtual_bars=BARS)


def eighth_clock(**options) -> Harness:
    """A sequencer with these options, and whoever wants events."""
    h = Harness()
    dut = h.add(AccessSequencer(BARS, **options))
    waits = dut.event_wanted & ~dut.event_slot & ~dut.hold
    waited = Signal(4)
    h.m.d.sync += waited.eq(Mux(waits, waited + 1, 0))
    h.check(waited <= dut._patience)
    h.check(~waits | (waited < 7))
    h.cover(dut.event_wanted & dut.event_slot & (waited == 7))
    return h


@proof("after a reset every function is visited once, in a clock of its own; when VF Enable falls, every virtual "
       "function that there was is, and only then it is gone; when functions may speak again, every one that there is "
       "is asked, however often that happens", block="Sweep", depth=8, cover=14)
def test_sweep():
    h = Harness()
    dut = h.add(Sweep(FUNCTIONS))
    event = dut.event
    kind = bits(event.kind)
    mine = h.constant(2, "mine")
    begins = dut.active & ~h.past(dut.active)
    visits = Signal(2)
    here = dut.active & (event.function == mine)
    total = visits + here
    h.m.d.sync += visits.eq(Mux(dut.active, total, 0))
    ends = h.past(dut.active) & ~dut.active & h.started()
    concerned = Mux(kind == EventKind.INITIALISE.value, 1, Mux(
        kind == EventKind.VANISH.value, (mine != 0) & (mine <= dut.present), mine <= dut.present))
    h.check(~ends | h.past(total == concerned))
    h.check(~dut.active | (visits == (concerned & (mine < event.function))))
    h.check(~dut.active | begins | (kind == h.past(kind)))
    h.check(~dut.active | (kind == EventKind.INITIALISE.value) | (event.function <= dut.present))
    h.check(~dut.active | (kind != EventKind.VANISH.value) | (event.function != 0))
    h.check(h.past(dut.active) | ~begins | ~h.started() | (kind != EventKind.INITIALISE.value))
    h.check(h.started() | (dut.active & (kind == EventKind.INITIALISE.value)))
    h.check(~(h.started() & h.past(dut.active & (event.function == 3))) | ~dut.active)
    # Functions that there are.
    was = h.past(dut.present, "was")
    vanished = h.past(dut.active & (kind == EventKind.VANISH.value)) & ~dut.active
    h.check(~(dut.present < was) | (dut.present == 0) & vanished)
    h.check(~(dut.present > was) | h.past(~dut.active) & (dut.present == h.past(dut.wanted)))
    h.check(~(dut.active & (kind == EventKind.INITIALISE.value)) | (dut.present == 0))
    # No wish is forgotten: a visit that began behind it asks everybody.
    owed = Signal()
    asks = begins & (kind == EventKind.NONE.value)
    h.m.d.sync += owed.eq(dut.wakes | owed & ~asks)
    idle = Signal(range(4))
    h.m.d.sync += idle.eq(Mux(dut.active | ~owed, 0, idle + (idle != 3)))
    h.check(idle < 2)
    h.check(~owed | asks | dut._waking)
    h.cover(ends & h.past(kind == EventKind.VANISH.value) & (was == 3) & (mine == 2))
    h.cover(asks & owed & (dut.present == 2) & h.past(dut.wakes))
    return h


@proof("a function with something to tell comes up within 4 clocks and one turn of each other, once for each turn that "
       "it gets, with the queue that it was about; the queue never overflows",
       block="Turns", mode=Mode.BOUNDED, depth=14, cover=15)
def test_turns():
    h = Harness()
    dut = h.add(Turns(TURNING), driven={"function"})
    h.m.d.comb += dut.function.eq(h.past(h.past(dut.look)))
    h.assume(dut.look < TURNING)
    clock = Signal(range(32))
    h.m.d.sync += clock.eq(clock + (clock != 31))
    # Everybody starts, and then nobody does.
    filled = clock >= 2
    starts = filled & (clock < 2 + TURNING)
    h.assume(dut.initialise == starts)
    h.assume(~starts | (dut.function == (clock - 2)[:1]))
    h.assume(~dut.turn | (clock >= 2 + TURNING))
    # A turn is that of one who was called up.
    offered, entry = dut.next, dut.next.p
    taken = offered.valid & offered.ready
    called = Signal(TURNING)
    turns = Cat(dut.turn & (dut.function == i) for i in range(TURNING))
    calls = Cat(taken & (entry.function == i) for i in range(TURNING))
    h.assume(~(turns & ~called).any())
    h.m.d.sync += called.eq(called & ~turns | calls)
    StreamContract.watch(h, "next", offered)

    mine = h.constant(1, "mine")
    here = filled & (dut.function == mine)
    stands, about = Signal(), Signal(16)
    with h.m.If(here):
        h.m.d.sync += stands.eq(~dut.initialise & (dut.work | stands & ~dut.turn))
        with h.m.If(dut.work & (dut.turn | ~stands)):
            h.m.d.sync += about.eq(dut.queue)
    waits = stands & ~called.bit_select(mine, 1)
    called_up = offered.valid & (entry.function == mine)
    h.check(~offered.valid | (entry.function < TURNING))
    h.check(~called_up | waits & (entry.queue == about))
    others, quiet = Signal(3), Signal(3)
    with h.m.If(~waits):
        h.m.d.sync += [others.eq(0), quiet.eq(0)]
    with h.m.Else():
        h.m.d.sync += [others.eq(others + (taken & ~called_up)), quiet.eq(quiet + ~offered.valid)]
    h.check(~waits | (others <= TURNING - 1) & (quiet <= 4))
    h.cover(called_up & (others == 1))
    again = Signal()
    h.m.d.sync += again.eq(again | here & dut.turn & dut.work)
    h.cover(called_up & again)
    h.cover(called_up & taken & h.past(stands) & (about == 7))
    return h


@proof("what is taken from the back end or the core becomes one event, as it was and in the order of taking, unless "
       "its function does not exist; an event waits until it is taken, names a function that there is, and one update "
       "is under way at a time", block="EventChooser", depth=3, cover=8)
def test_events():
    h = Harness()
    dut = h.add(EventChooser(functions=3, modern=True))
    event = dut.event
    p, kind = event.p, bits(event.p.kind)
    StreamContract.watch(h, "event", event)
    known = {}
    for name, event_kind in (("reset_done", EventKind.RESET_DONE), ("fault", EventKind.FAULT),
                             ("interrupt_cause", EventKind.INTERRUPT), ("queue_quiet", EventKind.QUIET)):
        source = getattr(dut, name)
        StreamContract.watch(h, name, source, Side.ASSUME)
        taken = source.valid & source.ready
        came = h.past(taken & (source.p.function < 3))
        known[name] = taken
        h.check(~came | event.valid & (kind == event_kind.value) & (p.function == h.past(source.p.function)))
        for part, theirs in {"reset_done": {"epoch": "epoch"}, "fault": {"epoch": "epoch", "value": "cause"},
                             "interrupt_cause": {"epoch": "epoch", "value": "config_change", "queue": "queue"},
                             "queue_quiet": {"queue": "queue"}}[name].items():
            h.check(~came | (p[part] == h.past(source.p[theirs])))
        h.check(~h.past(taken & (source.p.function >= 3)) | ~event.valid)
        h.cover(came)
    reported = dut.report_taken
    h.check(~reported | dut.report_wanted)
    h.check(~h.past(reported) | event.valid & (kind == EventKind.REPORT.value)
            & (p.function == h.past(dut.report_function)) & (p.queue == h.past(dut.report_queue)))
    h.assume((dut.report_function < 3) & (dut.update_function < 3))
    h.check(~event.valid | (p.function < 3))
    # Each clock takes from one; a new event has been taken from somebody.
    sources = Cat(*known.values(), reported)
    h.check((sources & (sources - 1)[:len(sources)]) == 0)
    free = ~event.valid | event.ready
    h.check(~sources.any() | free)
    fresh = event.valid & h.past(free)
    updates = fresh & (kind == EventKind.UPDATE.value)
    h.check(~fresh | h.past(sources.any()) | updates & h.past(dut.update_waiting)
            | (kind == EventKind.NONE.value) & h.past(dut.clock_wanted))
    h.check(~fresh | (kind != EventKind.NONE.value) | h.past(dut.clock_wanted))
    # An update is under way from here until it is applied; then nobody waits for it any more.
    under_way = Signal()
    h.assume(~dut.applied | under_way & ~(event.valid & (kind == EventKind.UPDATE.value)))
    h.m.d.sync += under_way.eq(~dut.applied & (under_way | updates))
    h.check(~updates | ~under_way & (p.function == h.past(dut.update_function)))
    h.check(dut._updating == under_way | updates)
    h.check(~(event.valid & (kind == EventKind.UPDATE.value)) | dut._updating)
    h.cover(updates & h.past(h.past(dut.applied)))
    h.cover(h.past(dut.clock_wanted) & fresh)
    return h


#: A BAR of a virtual function, of a page.
VIRTUAL_BARS = (Bar(index=2, kind=BarKind.MEMORY64, regions=(Region(space=Space.LEGACY, offset=0, size=0x1000),)),)


@proof("requests leave in the order in which they came, each once; what is offered stays until it is taken; nothing "
       "but the place of a memory request that no BAR of the physical function claims is changed, and that only to one "
       "of a virtual function that there is; a long write stays at the input until the clock behind that in which it "
       "left",
       block="VirtualStage", mode=Mode.BOUNDED, depth=9, cover=9)
def test_virtual_stage():
    h = Harness()
    dut = h.add(VirtualStage(VIRTUAL_BARS))
    request, onward = dut.request, dut.onward
    StreamContract.watch(h, "request", request, Side.ASSUME)
    StreamContract.watch(h, "onward", onward)
    chosen = h.constant(3, "chosen")
    came, left = Signal(4), Signal(4)
    enters, leaves = request.valid & request.ready, onward.valid & onward.ready
    h.m.d.sync += [came.eq(came + enters), left.eq(left + leaves)]
    kept, known = Signal.like(request.p), Signal()
    with h.m.If(request.valid & (came == chosen)):
        h.m.d.sync += [kept.eq(request.p), known.eq(1)]
    long = (kept.kind == Kind.MEMORY) & kept.posted & ~kept.single
    mine = onward.valid & (left == chosen)
    searched = (kept.kind == Kind.MEMORY) & (kept.place.bar == NOWHERE)
    moved = Signal.like(request.p)
    h.m.d.comb += [moved.eq(kept), moved.place.eq(onward.p.place)]
    same_place = bits(onward.p.place) == bits(kept.place)
    place = onward.p.place
    # Functions that there were in the clock before its place was looked up, whatever changes meanwhile.
    there = Signal.like(dut.present)
    with h.m.If(dut._loads & (came == chosen)):
        h.m.d.sync += there.eq(h.past(Mux(dut.memory_enabled, dut.present, 0)))
    h.check(~mine | known & (bits(onward.p) == bits(moved)))
    first = mine & ~h.past(mine)
    h.check(~first | same_place | searched & (place.bar == 2) & (place.function != 0)
            & (place.function <= there))
    h.check(~mine | (long == (came == left)))
    h.check(~(mine & long) | (request.valid & ~request.ready))
    h.check(~h.past(mine & long & leaves) | enters)
    # A long write may have left that has not entered; no more than two are inside.
    h.check((came - left + 1)[:4] <= 3)
    h.cover(mine & ~same_place & (chosen == 2))
    h.cover(mine & long & leaves & (chosen == 1))
    h.cover(came - left == 2)
    return h


@proof("an answer is the permit of the function that was asked for, as the last change of its row left it, up to the "
       "clock of the question; a function that does not exist may not", block="SharedGate", mode=Mode.BOUNDED,
       depth=9, cover=8)
def test_shared_gate():
    h = Harness()
    row_layout = function_row(2, several=True)
    dut = h.add(SharedGate(row_layout, 3, modern=False))
    h.assume(dut.function < 3)
    mine = h.constant(8, "mine")
    row = dut.row
    own, bus_master, epoch, known = Signal(), Signal(), Signal(2), Signal()
    with h.m.If(dut.function == mine):
        h.m.d.sync += [
            known.eq(1), epoch.eq(row.epoch), bus_master.eq(row.configuration.bus_master),
            own.eq(row.gate & (row.badstate == 0) & ~row.reset_outstanding
                   & ((row.status & Status.DRIVER_OK) | row.queue_page_bytes).any()),
        ]
    for number, gate in enumerate(dut.gates):
        asked = h.past(gate.function == mine)
        masters = Mux(mine == 0, h.past(dut.bus_master), bus_master & h.past(dut.virtual_open))
        here = asked & known
        h.check(~here | (gate.may_request == (own & masters)) & (gate.epoch == epoch))
        h.check(~(asked & (mine >= 3)) | ~gate.may_request)
        h.check(~asked | (gate.requester == Cat(mine, h.past(dut.bus))))
        away = h.past(dut.function != mine)
        h.cover(here & gate.may_request & (mine == 2) & away & h.past(away)
                & h.past(h.past(h.past((dut.function == mine) & known & ~own))))
        if number == 0:
            h.cover(here & gate.may_request & h.past((dut.function == mine) & known & ~own))
    return h

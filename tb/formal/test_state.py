"""What may change a function's row, and what a reset leaves behind."""

from amaranth.hdl import Cat, Mux, Signal, Value
from formal.proof import proof
from formal.state import GATE_OPEN, HEADER, ISR, OFFERED, SIZES, TABLES, StateHarness
from virtio_mmr.gateware.state.function import EventKind
from virtio_mmr.gateware.windows.register import item_name
from virtio_mmr.spec import control, legacy
from virtio_mmr.spec.register import Access
from virtio_mmr_sim.formal import Mode

#: Items that the device file decides, not the table.
BUILD_VALUES = {
    "device.features": OFFERED,
    "queue.size": SIZES[0],
    "build.supported": sum(control.Supported),
    "build.big_endian": 1,
    "function.gate": int(GATE_OPEN),
}

#: Items that a reset through the status byte leaves alone: the control page's, and the offer less what it forbids.
SURVIVE_STATUS = {
    "function.big_endian", "function.generation", "function.badstate", "function.required", "function.forbidden",
    "function.gate", "device.features",
}
#: Items that a function level reset leaves alone; only power-on returns them.
SURVIVE_FUNCTION_RESET = {"function.generation"}


def reset_items():
    """Every state item of every table with its reset value; the tables are the only list."""
    for table in TABLES:
        for register in table:
            if register.access is Access.WO:
                continue
            for part in (register, *register.fields):
                if part.view_of:
                    yield part.view_of, BUILD_VALUES.get(part.view_of, part.reset)


def same(left, right):
    """Two structs hold the same bits."""
    return Value.cast(left) == Value.cast(right)


def reads_isr(h):
    """This clock's access reads an ISR byte."""
    return ~h.write & (h.byte(HEADER, 0x13) | h.byte(ISR, 0))


@proof("an access without an enabled byte changes nothing; neither does a read, but for the ISR byte, which it "
       "clears (LEG-16, LEG-17, LEG-20, LEG-39, LEG-40)",
       block="FunctionState, RegisterWindow, QueueTable", depth=2, cover=5)
def test_harmless_accesses_change_nothing():
    h = StateHarness()
    touches = [h.state.touch[name] for name in dict(h.state.touch.shape())]
    empty = h.access & (h.strobe == 0)
    plain_read = h.access & ~h.write & ~reads_isr(h)
    only_isr_written = h.access & h.write & h.byte(HEADER, 0x13) & (h.strobe == 0b1000)
    h.check(~empty | ~Cat(*(Cat(touch.write, touch.read) for touch in touches)).any())
    harmless = (empty | plain_read | only_isr_written) & h.quiet_beside
    h.check(~harmless | ((h.state.write_page == 0) & ~h.state.write_vector & ~h.state.restore))
    h.check(~h.past(harmless) | same(h.row, h.before))
    # A read of the ISR byte clears it, and that is all.
    cleared = Signal.like(h.row)
    h.m.d.comb += [cleared.eq(h.before), cleared.isr.eq(0)]
    clearing = h.access & h.quiet_beside & reads_isr(h)
    h.check(~h.past(clearing) | same(h.row, cleared))
    h.cover(h.past(clearing) & (h.before.isr != 0))
    h.cover(h.past(plain_read & (h.strobe != 0)) & (h.row.isr != 0))
    h.cover(h.past(empty & h.write) & (h.row.status != 0))
    return h


@proof("interrupt status bits fall only by a read of their byte or a reset, and rise only for the present epoch with "
       "no reset outstanding, or when the function stops; stale interrupts and faults change nothing",
       block="FunctionState, RegisterWindow", depth=2, cover=6)
def test_interrupt_status():
    h = StateHarness()
    was, now = h.before.isr, h.row.isr
    h.check(~(was & ~now).any() | h.past(reads_isr(h) | h.resets))
    current = (h.event.epoch == h.row.epoch) & ~h.row.reset_outstanding
    interrupt, fault = h.happens(EventKind.INTERRUPT), h.happens(EventKind.FAULT)
    stale = (interrupt | fault) & ~current & h.quiet_beside
    h.check(~h.past(stale) | same(h.row, h.before))
    used = interrupt & current & ~h.event.value[0] & (h.row.badstate == 0)
    changed = interrupt & current & h.event.value[0]
    h.check(now[0] == (was[0] & ~h.past(reads_isr(h) | h.resets) | h.past(used)))
    h.check(~(now[1] & ~was[1]) | h.past(changed) | h.row.status[6])
    h.check(~h.past(changed) | now[1])
    h.cover(h.past(stale & (h.event.epoch != h.row.epoch)) & (now != 3))
    h.cover((now == 3) & (was == 1))
    h.cover((now == 0) & (was == 3) & h.past(reads_isr(h)))
    return h


@proof("only an enabled queue is notified, and only by its own index; status acts before the notification of the same "
       "dword, and status 0 suppresses it (LEG-09, LEG-36); page 0 drops the notification (LEG-31)",
       block="FunctionState, RegisterWindow", depth=2, cover=6)
def test_notifications():
    h = StateHarness()
    row, before = h.row, h.before
    index = Signal(16)
    h.m.d.comb += index.eq(Mux(h.strobe[1], h.data[:16], h.data[:8]))
    kick = h.byte(HEADER, 0x10) & h.write & ~h.status_reset
    for i in range(len(SIZES)):
        page = row.queue_page_bytes[4 * i:4 * i + 4]
        kicked = kick & (index == i) & page.any()
        h.check(~(row.notified[i] & ~before.notified[i]) | h.past(kicked))
        h.check(~h.past(kicked) | row.notified[i])
        h.check(~row.notified[i] | page.any())
        # What changes about a queue is told.
        was = before.queue_page_bytes[4 * i:4 * i + 4]
        h.check((page == was) | h.past(h.resets) | row.tell_queue[i])
    h.check(~h.past(h.resets) | ((row.notified == 0) & (row.status == 0) & (row.tell_queue == 0)))
    # The status written beside a notification is stored, but for NEEDS_RESET, which is the device's.
    both = kick & h.byte(HEADER, 0x12)
    h.check(~h.past(both) | ((row.status & 0xBF) == (h.past(h.lane(0x12)) & 0xBF)))
    h.cover(row.notified == 3)
    h.cover(h.past(both) & (row.notified == 1) & (before.status != row.status))
    h.cover(h.past(h.status_reset & h.strobe[0] & (index == 0)) & (before.queue_page_bytes[:4] != 0))
    return h


@proof("after power-on, a function level reset and a status reset, every item of every register table shows the "
       "table's reset value; no queue shows anything older (LEG-12, LEG-25, LEG-32, LEG-48)",
       block="FunctionState, RegisterWindow, QueueTable", depth=3, cover=6)
def test_reset_restores_every_table_value():
    h = StateHarness()
    state, view = h.state, h.state.view
    power_on = h.happens(EventKind.INITIALISE)
    seen = set()
    for item, value in reset_items():
        seen.add(item_name(item))
        shown = view[item_name(item)]
        mine = power_on
        if item not in SURVIVE_FUNCTION_RESET:
            mine = mine | state.flr
        if item not in SURVIVE_STATUS:
            mine = mine | h.status_reset
        elif item != "function.generation":
            h.check(~h.past(h.status_reset) | (shown == h.past(shown)))
        # A report looks at another queue than the driver selected.
        h.check(~h.past(mine) | (h.event.kind == EventKind.REPORT) | (shown == value))
    assert seen == set(dict(view.shape())), "the views show items that no table names"

    page_untouched, vector_untouched = Signal(), Signal()
    with h.m.If(h.resets):
        h.m.d.sync += [page_untouched.eq(1), vector_untouched.eq(1)]
    with h.m.Else():
        with h.m.If(state.write_page != 0):
            h.m.d.sync += page_untouched.eq(0)
        with h.m.If(state.write_vector):
            h.m.d.sync += vector_untouched.eq(0)
    h.check(~page_untouched | ((view.queue_page == 0) & (h.row.queue_page_bytes == 0)))
    h.check(~vector_untouched | ((view.queue_vector == legacy.NO_VECTOR) & (h.row.queue_vector_valid == 0)))
    for cause in (power_on, state.flr, h.status_reset):
        h.cover(h.past(cause) & (h.before.status != 0) & (h.before.queue_select == 1))
    h.cover(page_untouched & (h.row.queue_select == 1) & h.past(~h.resets))
    return h


@proof("a reset or a stop opens a new epoch unless the last request has not left yet; an epoch changes in no other "
       "way, and only its own acknowledgement ends the wait", block="FunctionState", depth=2, cover=9, stage="broad")
def test_epochs():
    h = StateHarness()
    row, before = h.row, h.before
    power_on = h.happens(EventKind.INITIALISE)
    changed = row.epoch != before.epoch
    opened = row.reset_unsent & ~before.reset_unsent
    h.check(h.past(power_on) | ~h.started_flag | (changed == opened))
    h.check(h.past(power_on) | ~changed | ((row.epoch == (before.epoch + 1)[:2]) & row.reset_outstanding))
    acknowledged = h.happens(EventKind.RESET_DONE) & (h.event.epoch == h.row.epoch)
    h.check(~(before.reset_outstanding & ~row.reset_outstanding) | h.past(acknowledged | power_on))
    h.check(~h.past(h.status_reset | h.state.flr) | (row.reset_outstanding & row.reset_unsent))
    h.cover(changed & (row.epoch == 2))
    h.cover(before.reset_outstanding & ~row.reset_outstanding & h.past(acknowledged))
    return h


@proof("a function's row is what its last clock left, and changes in no clock of another function; its selected queue "
       "is announced a clock ahead, and where another row was asked for, nothing of the selected queue counts",
       block="FunctionState", mode=Mode.BOUNDED, depth=7, cover=8)
def test_rows_belong_to_their_function():
    h = StateHarness(functions=4)
    mine = h.constant(2, "mine")
    kept, known = Signal.like(h.row), Signal()
    here = h.looked & (h.function == mine)
    with h.m.If(here):
        h.m.d.sync += [known.eq(1), kept.eq(h.state.new)]
        with h.m.If(known):
            h.check(same(h.row, kept))
    # What has moved the generation is added by the next clock.
    left, rows = h.state.new, h.row
    unchanged = Cat(same(left[name], rows[name]) for name in rows.shape().members if not name.startswith("generation"))
    moved = (left.generation == (rows.generation + rows.generation_moves)[:32]) & ~left.generation_moves
    h.check(~(here & h.quiet & ~h.access) | unchanged.all() & moved)
    # The queue that was announced is the one that is selected; where another's row was asked for, nothing of it counts.
    state = h.state
    asked = h.past(Mux(state.queue_second, *reversed(state.queue_fetch)) == state.queue_ahead)
    h.check(~h.looked | h.past(state.eventful_ahead) | (state.queue_select == h.past(state.queue_ahead)))
    h.check(~h.looked | asked | ~Cat(h.row.queue_page_bytes, h.row.queue_vector_valid).any())
    was_other = h.past(h.function != mine)
    h.cover(h.looked & ~asked)
    h.cover(known & here & (h.row.status == 4) & was_other & h.past(h.status_reset) & h.past(h.past(~was_other)))
    h.cover(known & here & (h.row.badstate == 1) & h.past(here & h.access) & (h.past(h.row.badstate) == 0))
    return h


def test_tables_name_what_survives():
    assert {name for name, _ in reset_items()} > SURVIVE_STATUS

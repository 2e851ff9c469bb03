"""The state of a function with the windows over it, wired as in the endpoint, every input free."""

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from virtio_mmr.gateware.state.function import EventKind, FunctionOptions, FunctionState
from virtio_mmr.gateware.state.queues import QueueTable
from virtio_mmr.gateware.windows.register import RegisterWindow, merge, touch_layout, view_layout
from virtio_mmr.spec import control, legacy, modern
from virtio_mmr_sim.formal import Harness

TABLES = (legacy.HEADER, control.TABLE, modern.ISR)
OFFERED = 1 << 27 | 1 << 16 | 1 << 5
SIZES = (128, 256)
VECTORS = 3
GATE_OPEN = True

#: Values of `StateHarness.chosen`.
HEADER, CONTROL, ISR = range(3)


class StateHarness(Harness):
    """One access to one of the windows, or one event, or neither, in every clock.

    Attributes
    ----------
    state, table, windows
        The blocks; ``windows`` by the name of their register table. There is a queue table with one function only:
        with more it may say anything.
    access, write, offset, strobe, data
        This clock's access to the window ``chosen``; `HEADER`, `CONTROL`, `ISR`, or none.
    function, looked
        Whose row is shown; with several functions what was looked at two clocks ago, if there was such a clock.
    quiet_beside
        Neither configuration space nor the device configuration reports anything in this clock.
    quiet
        The same, and there is no event.
    started_flag
        There was a clock before this one.
    resets, status_reset
        This clock returns the row to its reset values; by the status byte.
    row, before
        The function's row now and a clock ago.
    """

    def __init__(self, *, functions: int = 1):
        super().__init__()
        view, touch = view_layout(TABLES), touch_layout(TABLES)
        self.state = state = self.add(FunctionState(
            view, touch, FunctionOptions(
                queues=len(SIZES), offered=OFFERED, vectors=VECTORS, control_page=True, big_endian=True,
                gate_open=GATE_OPEN), functions=functions), "state", driven={
                "touch", "access", "function", "look", "data_ahead",
                *(("queue_exists", "queue_size", "queue_page", "queue_vector") if functions == 1 else ())})
        d = self.m.d
        self.function, self.looked = Signal(8), Const(1)
        if functions > 1:
            look = self.free(range(functions), "look")
            d.comb += [state.look.eq(look), self.function.eq(self.past(self.past(look, "looked")))]
            self.looked = self.past(self.started())
        self.access, self.write = self.free(1, "access"), self.free(1, "write")
        self.chosen = self.free(2, "chosen")
        self.offset, self.strobe = self.free(20, "offset"), self.free(4, "strobe")
        self.data = data = self.free(32, "data")
        if functions > 1:
            d.comb += state.data_ahead.eq(data)
            self.data = self.past(data)
        self.windows = {}
        msix_enabled = self.free(1, "msix_enabled")
        for number, table_ in enumerate(TABLES):
            window = self.add(RegisterWindow(table_, view, touch), f"window_{table_.name}",
                              driven={"port", "view", "msix_enabled"})
            self.windows[table_.name] = window
            access = window.port.access
            d.comb += [
                access.valid.eq(self.access & (self.chosen == number)), access.p.write.eq(self.write),
                access.p.offset.eq(Cat(Const(0, 2), self.offset[2:])), access.p.strobe.eq(self.strobe),
                access.p.data.eq(self.data), window.view.eq(state.view), window.msix_enabled.eq(msix_enabled),
            ]
        merge(self.m, state.touch, [window.touch for window in self.windows.values()])
        reporting = state.event.kind == EventKind.REPORT
        d.comb += [state.access.eq(self.access), state.function.eq(self.function)]
        if functions == 1:
            self.table = table = self.add(QueueTable(SIZES), "table", driven={
                "function", "queue", "page_bytes", "write_page", "new_page", "write_vector", "new_vector"})
            d.comb += [
                table.function.eq(self.function), table.queue.eq(Mux(reporting, state.scan, state.queue_select)),
                table.page_bytes.eq(state.queue_page_bytes), table.write_page.eq(state.write_page),
                table.new_page.eq(state.new_page), table.write_vector.eq(state.write_vector),
                table.new_vector.eq(state.new_vector), state.queue_exists.eq(table.exists),
                state.queue_size.eq(table.size), state.queue_page.eq(table.page), state.queue_vector.eq(table.vector),
            ]
        # Of a virtual function's configuration space.
        beside = Const(1)
        if functions > 1:
            beside = ~Cat(Value.cast(state.config_change), Value.cast(state.errors)).any()
        self.event = state.event
        self.eventful = Signal()
        self.quiet_beside = Signal()
        d.comb += [
            self.eventful.eq(state.event.kind != EventKind.NONE),
            self.quiet_beside.eq(~state.flr & ~state.msix_toggled & ~state.driver_wrote & beside),
        ]
        self.quiet = self.quiet_beside & ~self.eventful
        self.started_flag = self.started()
        # An event has its clock to itself; a function level reset is an access to configuration space.
        self.assume(~(self.access & self.eventful))
        self.assume(~state.flr | (~self.access & ~self.eventful))
        # Nothing happens before a row is shown.
        self.assume(self.looked | (self.quiet & ~self.access))
        self.assume(state.event.function == self.function)
        if functions > 1:
            self.assume(self.past(state.reset_ahead, "reset_ahead") == (state.flr | state.config_change.reset))
            self.assume(Value.cast(state.event.kind) == self.past(Value.cast(state.event_ahead.kind), "kind"))
        self.row = state.row
        self.status_reset = self.byte(HEADER, 0x12) & self.write & (self.lane(0x12) == 0)
        self.resets = self.status_reset | state.flr | self.happens(EventKind.INITIALISE)
        self.before = self.past(state.row, "row_before")

    def happens(self, kind: EventKind):
        """This clock's event is of this kind."""
        return self.event.kind == kind

    def byte(self, window: int, at: int):
        """This clock's access enables byte *at* of the window."""
        return self.access & (self.chosen == window) & (self.offset[2:] == at // 4) & self.strobe[at % 4]

    def lane(self, at: int):
        """What a write puts into byte *at*."""
        return self.data[8 * (at % 4):8 * (at % 4) + 8]

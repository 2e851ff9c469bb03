"""The state of a function behind all its windows, wired as in the endpoint, for builds with a modern interface."""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.gateware.state.function import (
    Event,
    EventKind,
    FunctionOptions,
    FunctionState,
    Reported,
    function_row,
)
from virtio_mmr.gateware.state.modern_queues import ModernQueueTable
from virtio_mmr.gateware.windows.notify import NotifyWindow
from virtio_mmr.gateware.windows.register import RegisterWindow, merge, touch_layout, view_layout
from virtio_mmr.spec import control, legacy, modern

TABLES = {"legacy": legacy.HEADER, "control": control.TABLE, "isr": modern.ISR, "common": modern.COMMON}


class ModernState(wiring.Component):
    """Windows ``legacy``, ``control``, ``isr``, ``common`` and ``notify`` over one function's state."""

    def __init__(self, config, *, stride):
        self.config, self.stride = config, stride
        queues = len(config.queues)
        super().__init__({
            **{name: In(AccessPort()) for name in (*TABLES, "notify")},
            "event": In(Event), "scan": In(16), "reported": In(Reported),
            "flr": In(1), "driver_wrote": In(1), "driver_read": In(1), "msix_enabled": In(1),
            "row": Out(function_row(queues, modern=True)),
        })

    def elaborate(self, platform):
        m = Module()
        config, tables = self.config, TABLES.values()
        view, touch = view_layout(tables), touch_layout(tables)
        m.submodules.state = state = FunctionState(
            view, touch, FunctionOptions(
                queues=len(config.queues), offered=config.legacy_features, vectors=config.msix_vectors,
                control_page=True, big_endian=True, gate_open=True, modern=config.modern_features,
                stride=self.stride))
        m.submodules.table = table = ModernQueueTable(config.queues, has_data=True)
        m.submodules.notify_window = notify = NotifyWindow(self.stride)
        wiring.connect(m, wiring.flipped(self.notify), notify.port)
        touches, accessed = [notify.touch], self.notify.access.valid
        for name, registers in TABLES.items():
            window = RegisterWindow(registers, view, touch_layout([registers]))
            m.submodules[name] = window
            wiring.connect(m, wiring.flipped(getattr(self, name)), window.port)
            m.d.comb += [window.view.eq(state.view), window.msix_enabled.eq(self.msix_enabled)]
            touches.append(window.touch)
            accessed = accessed | getattr(self, name).access.valid
        merge(m, state.touch, touches)
        reporting = self.event.kind == EventKind.REPORT
        m.d.comb += [
            state.access.eq(accessed), state.event.eq(self.event), state.scan.eq(self.scan),
            state.reported.eq(self.reported), state.flr.eq(self.flr), state.driver_wrote.eq(self.driver_wrote),
            state.driver_read.eq(self.driver_read), state.through_common.eq(self.common.access.valid),
            state.queue_exists.eq(table.exists), state.queue_size.eq(table.size), state.queue_page.eq(table.page),
            state.queue_vector.eq(table.vector), state.queue_most.eq(table.most), state.queue_rings.eq(table.rings),
            table.queue.eq(Mux(reporting, self.scan, state.queue_select)),
            table.new_data.eq(Mux(state.takes_data, notify.data, 0)), self.row.eq(state.row),
            *(getattr(table, name).eq(getattr(state, name)) for name in (
                "write_page", "new_page", "write_vector", "new_vector", "write_areas", "new_areas", "write_size",
                "new_size", "kick", "kicked")),
            table.addressed.eq(state.queue_addressed), table.sized.eq(state.queue_sized),
        ]
        return m

"""What two functions share, wired as in the endpoint: the clocks of an operation, the rows, the windows over them, the
back end's streams, turns, and the gate of DMA.

Configuration space of the physical function stands outside, with what it says of all functions; so do the constants of
a virtual one, of which only the changes of state come in.
"""

from dataclasses import replace

from amaranth.hdl import Mux, Signal, Value
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.access.router import AccessRouter
from virtio_mmr.gateware.access.schedule import Schedule
from virtio_mmr.gateware.notify import NotifyUnit
from virtio_mmr.gateware.requester.gate import SharedGate
from virtio_mmr.gateware.state.function import LATE, LATE_OF_QUEUES, EventKind, FunctionOptions, FunctionState
from virtio_mmr.gateware.state.modern_queues import ModernQueueTable
from virtio_mmr.gateware.state.queues import QueueTable
from virtio_mmr.gateware.state.virtual import VirtualConfigChange, VirtualErrors
from virtio_mmr.gateware.turns import Turns
from virtio_mmr.gateware.windows.device import DeviceWindow
from virtio_mmr.gateware.windows.legacy import LegacyWindow
from virtio_mmr.gateware.windows.notify import NotifyWindow
from virtio_mmr.gateware.windows.register import RegisterWindow, merge, touch_layout, view_layout
from virtio_mmr.spec import control, legacy, modern
from virtio_mmr.spec.device_types import NET
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr_sim.formal import Harness

FUNCTIONS = 2
#: Queues of the physical function, and of the virtual one.
SIZES, VIRTUAL_SIZES = (8, 16), (32, 64)

_TABLES = (legacy.HEADER, control.TABLE, modern.ISR)
_OPTIONS = FunctionOptions(queues=2, offered=1 << 27 | 1 << 5, vectors=2, control_page=True, big_endian=True)
#: In builds with a modern interface a driver of version 1 is shown more.
_MODERN = replace(_OPTIONS, stride=4, modern=sum(1 << feature for feature in (
    5, TransportFeature.VERSION_1, TransportFeature.RING_RESET, TransportFeature.NOTIFICATION_DATA)))
_IMAGE = bytes(range(0x10, 0x10 + NET.config_size))


def same(left, right):
    """Two structs hold the same bits."""
    return Value.cast(left) == Value.cast(right)


class SharedPath:
    """One endpoint's worth of it, in *h*; every input is free.

    Parameters
    ----------
    h, name
        Where it is added, and a word in front of the names of its signals.
    with_modern
        The functions have the modern windows, too.

    Attributes
    ----------
    schedule, state, table, device, notify, turns, gate
        The blocks.
    inputs
        What comes from outside by name, as signals.
    executed, function, eventful
        What happens in this clock, and to whom.
    reply, late_reply
        What the windows answer, and what they add a clock later.
    """

    def __init__(self, h: Harness, name: str, *, with_modern: bool = False):
        self._h, self._name = h, name
        d = h.m.d
        self.inputs = {}
        tables = (*_TABLES, *((modern.COMMON,) if with_modern else ()))
        options = _MODERN if with_modern else _OPTIONS
        view, touch = view_layout(tables), touch_layout(tables)
        self.schedule = schedule = h.add(Schedule(FUNCTIONS), f"{name}_schedule")
        self.state = state = self._add(FunctionState(
            view, touch, options, virtual=options, functions=FUNCTIONS), "state")
        table_of, more = (ModernQueueTable, {"has_data": True}) if with_modern else (QueueTable, {})
        self.table = table = self._add(
            table_of(SIZES, functions=FUNCTIONS, virtual_sizes=VIRTUAL_SIZES, **more), "table")
        self.device = device = h.add(
            DeviceWindow(NET, _IMAGE, functions=FUNCTIONS, big_endian=True, virtual_image=_IMAGE[::-1]),
            f"{name}_device", driven={
                "legacy", "direct", "coming", "msix_enabled", "big", "restore", "look", "report", "apply"})
        self.notify = notify = h.add(
            NotifyUnit(2, modern=with_modern, functions=FUNCTIONS), f"{name}_notify", driven={
                "new", "may_request_then", "behind", "row", "function", "may_request", "report", "scan", "queue_size",
                "vector", "rings", "data"})
        self.turns = turns = h.add(Turns(FUNCTIONS), f"{name}_turns", driven={
            "look", "function", "initialise", "turn", "work", "queue"})
        self.gate = gate = h.add(SharedGate(state.row.shape(), FUNCTIONS, modern=with_modern, gates=1),
                                 f"{name}_gate", driven={"function", "row", "bus_master", "awake"})
        # Rows of a modern build's queues are not late.
        late_spaces = (Space.CONTROL,) if with_modern else (Space.LEGACY, Space.CONTROL)
        router = self._add(AccessRouter(
            (Space.LEGACY, Space.CONTROL, Space.ISR, Space.DEVICE, Space.CONFIG,
             *((Space.COMMON, Space.NOTIFY) if with_modern else ())), late=late_spaces), "router")
        window = self._add(LegacyWindow(NET.config_size), "legacy")
        registers = {
            part.name: self._add(RegisterWindow(
                part, view, touch_layout([part]), late=late, ahead=True), f"registers_{part.name}")
            for part, late in zip(tables, (() if with_modern else LATE_OF_QUEUES, LATE, (), ()), strict=False)}

        self.executed, self.function, self.eventful = schedule.executed, schedule.function, schedule.eventful
        executed, function, event = self.executed, self.function, schedule.event
        access, row = executed.p.access, state.row
        master, awake = self.take(1, "bus_master"), self.take(1, "awake")
        physical_msix = self.take(1, "msix_enable")
        configures = executed.valid & (access.space == Space.CONFIG)

        # Windows.
        msix = Mux(function == 0, physical_msix, row.configuration.msix_enable)
        d.comb += [router.port.access.valid.eq(executed.valid), router.port.access.p.eq(access),
                   window.msix_enabled.eq(msix)]
        ports = [(router.window_legacy, window.port), (window.header, registers[legacy.HEADER.name].port),
                 (window.config, device.legacy), (router.window_device, device.direct),
                 (router.window_control, registers[control.TABLE.name].port),
                 (router.window_isr, registers[modern.ISR.name].port)]
        touches = [register.touch for register in registers.values()]
        if with_modern:
            kicks = self._add(NotifyWindow(options.stride), "kicks")
            ports += [(router.window_common, registers[modern.COMMON.name].port), (router.window_notify, kicks.port)]
            touches.append(kicks.touch)
        for outer, inner in ports:
            d.comb += [inner.access.valid.eq(outer.access.valid), inner.access.p.eq(outer.access.p),
                       outer.reply.valid.eq(inner.reply.valid), outer.reply.p.eq(inner.reply.p)]
        for register in registers.values():
            d.comb += [register.view.eq(state.view), register.msix_enabled.eq(msix)]
        coming = schedule.coming_executed
        for space, table_ in zip((Space.LEGACY, Space.CONTROL, Space.ISR, Space.COMMON), tables, strict=False):
            register = registers[table_.name]
            d.comb += [register.coming.valid.eq(coming.valid & (coming.p.access.space == space)),
                       register.coming.p.eq(coming.p.access)]
        d.comb += [device.coming.valid.eq(coming.valid), device.coming.p.eq(coming.p.access),
                   device.msix_enabled.eq(msix)]
        merge(h.m, state.touch, touches)
        d.comb += router.late_control.eq(registers[control.TABLE.name].late_reply)
        self.reply, self.late_reply = router.port.reply.p, router.late

        # State.
        change, errors = self.take(VirtualConfigChange, "config_change"), self.take(VirtualErrors, "errors")
        flr, toggled = self.take(1, "flr"), self.take(1, "msix_toggled")
        physical = configures & (function == 0)
        d.comb += [
            state.look.eq(schedule.look), state.event_ahead.eq(schedule.coming),
            state.eventful_ahead.eq(schedule.coming_eventful),
            state.function.eq(function), state.access.eq(executed.valid),
            state.event.eq(event), state.flr.eq(physical & flr), state.msix_toggled.eq(physical & toggled),
            state.driver_wrote.eq(device.driver_wrote), state.queue_exists.eq(table.exists),
            state.queue_size.eq(table.size), state.queue_page.eq(table.page), state.queue_vector.eq(table.vector),
            state.scan.eq(event.queue), state.reported.eq(notify.reported),
            table.look_function.eq(schedule.coming_function),
            table.look_queue.eq(state.queue_ahead),
            table.write_page.eq(state.write_page), table.new_page.eq(state.new_page),
            table.write_vector.eq(state.write_vector), table.new_vector.eq(state.new_vector),
            device.look.eq(schedule.look), device.big.eq(row.big_endian), device.restore.eq(state.restore),
            device.apply.eq(event.kind == EventKind.UPDATE), device.report.eq(schedule.reporting),
        ]
        for name_ in ("addressed", "sized") if with_modern else ("page_bytes",):
            d.comb += getattr(table, name_).eq(
                Mux(schedule.eventful, getattr(notify, name_), getattr(state, f"queue_{name_}")))
        if with_modern:
            d.comb += [
                state.through_common.eq(router.window_common.access.valid), state.driver_read.eq(device.driver_read),
                state.queue_most.eq(table.most), state.queue_rings.eq(table.rings),
                table.new_data.eq(Mux(state.takes_data, kicks.data, 0)), notify.data.eq(table.data),
                *(getattr(table, name_).eq(getattr(state, name_)) for name_ in (
                    "write_areas", "new_areas", "write_size", "new_size", "kick", "kicked")),
            ]
        else:
            d.comb += [
                router.late_legacy.eq(registers[legacy.HEADER.name].late_reply),
                state.data_ahead.eq(coming.p.access.data), table.second.eq(state.queue_second),
                *(its.eq(mine) for its, mine in zip(table.fetch_queue, state.queue_fetch, strict=True)),
            ]
        with h.m.If(configures & (function != 0)):
            d.comb += [state.config_change.eq(change), state.errors.eq(errors)]
        d.comb += state.reset_ahead.eq(h.free(1, f"{name}_reset_ahead"))
        comes = state.reset_ahead if h.reset is None else state.reset_ahead & ~h.reset
        h.assume(h.past(comes) == (state.flr | state.config_change.reset))

        # The back end, and who is next.
        unreported = Signal()
        d.sync += [turns.look.eq(schedule.look), turns.function.eq(function),
                   turns.initialise.eq(event.kind == EventKind.INITIALISE), turns.turn.eq(schedule.reporting),
                   notify.new.eq(state.new), notify.behind.eq(event.queue), unreported.eq(device.unreported)]
        d.comb += [
            notify.row.eq(row), notify.function.eq(function), notify.report.eq(schedule.reporting),
            notify.scan.eq(event.queue), notify.queue_size.eq(table.size), notify.vector.eq(table.vector),
            notify.rings.eq(table.rings),
            notify.may_request.eq(Mux(function == 0, master, row.configuration.bus_master & awake)),
            notify.may_request_then.eq(
                Mux(turns.function == 0, master, notify.new.configuration.bus_master & awake)),
            turns.work.eq(notify.work | unreported), turns.queue.eq(notify.next_queue),
            gate.function.eq(function), gate.row.eq(state.new), gate.bus_master.eq(master), gate.virtual_open.eq(awake),
        ]
        #: Streams to the back end.
        self.streams = [
            notify.driver_update, notify.queue_update, notify.notification, notify.reset_request, device.write]

    def _add(self, component, name: str):
        """A block that is wired here completely."""
        return self._h.add(component, f"{self._name}_{name}", driven=component.signature.members)

    def take(self, shape, name: str):
        """An input from outside."""
        self.inputs[name] = signal = self._h.free(shape, f"{self._name}_{name}")
        return signal

    def promises(self) -> None:
        """Assume what sequencer, chooser and back end promise."""
        h, schedule = self._h, self.schedule
        candidate, operation, update = schedule.candidate, schedule.operation, self.device.update
        h.assume(~operation.valid | h.past(~schedule.hold & ~schedule.event_slot))
        h.assume(~operation.valid | (operation.p.access.function == h.past(schedule.function_ahead)))
        if h.reset is not None:
            h.assume(~h.past(h.reset) | ~operation.valid)
        h.assume(schedule.function_ahead < FUNCTIONS)
        h.assume(~schedule.event_slot | ~schedule.hold)
        kind = Value.cast(candidate.p.kind)
        h.assume(~candidate.valid | (candidate.p.function < FUNCTIONS) & (kind != EventKind.INITIALISE.value)
                 & (kind < EventKind.VANISH.value) & (candidate.p.queue < 2))
        # An update is one function's, whole, and waits for its event, of which there is one.
        inside, owner = Signal(), Signal(8)
        with h.m.If(update.valid & update.ready):
            h.m.d.sync += [inside.eq(~update.p.last), owner.eq(update.p.function)]
        h.assume(~(update.valid & inside) | (update.p.function == owner))
        updates = schedule.event.kind == EventKind.UPDATE
        h.assume(~updates | self.device.update_waiting & (self.device.update_function == self.function))

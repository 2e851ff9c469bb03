"""The endpoint: every block, wired. No logic of its own beyond the choice of the clock's event.

The path of a TLP is the order of this file: receiver, ingress, decoder, sequencer, router and
windows, state, completion, egress.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config import ConfigError, DeviceConfig
from virtio_mmr.config import device as build
from virtio_mmr.layout import place
from virtio_mmr.spec import control as control_page
from virtio_mmr.spec import legacy, modern
from virtio_mmr.spec.features import TransportFeature

from . import backend
from .access.decoder import BarDecoder
from .access.detour import ConfigDetour
from .access.interface import Space
from .access.router import AccessRouter
from .access.sequencer import AccessSequencer
from .adapters.raw import RawReceiver
from .errors import ErrorReporter
from .interrupt import InterruptUnit
from .notify import NotifyUnit
from .requester.port import RequesterPort
from .state.function import EventKind, FunctionState
from .state.modern_queues import ModernQueueTable
from .state.queues import QueueTable
from .tlp.beat import raw_beat
from .tlp.completion import CompletionBuilder
from .tlp.egress import TlpEgress
from .tlp.ingress import TlpIngress
from .tlp.message import IntxMessenger, MessageBuilder
from .windows.config import ConfigSpace
from .windows.device import DeviceWindow
from .windows.legacy import LegacyWindow
from .windows.msix import MsixWindow
from .windows.notify import NotifyWindow
from .windows.register import RegisterWindow, merge, touch_layout, view_layout

#: Tables whose items make up a function's view.
_TABLES = (legacy.HEADER, control_page.TABLE, modern.ISR)

_COUNTERS = ("count_malformed", "count_poisoned", "count_unsupported", "count_unexpected", "count_hole")
_ERRORS = ("error_correctable", "error_nonfatal", "error_fatal")


def backend_streams(width: int) -> dict[str, wiring.Member]:
    """The streams of the back-end boundary by name, as members of the endpoint."""
    out = {
        "driver_update": backend.DriverUpdate,
        "notification": backend.Notification,
        "queue_update": backend.QueueUpdate,
        "reset_request": backend.ResetRequest,
        "config_write": backend.ConfigWrite,
        "dma_read_data": backend.dma_read_data(width),
        "dma_write_done": backend.DmaWriteDone,
    }
    into = {
        "queue_quiet": backend.QueueQuiet,
        "reset_done": backend.ResetDone,
        "config_update": backend.ConfigUpdate,
        "interrupt_cause": backend.InterruptCause,
        "fault": backend.Fault,
        "dma_read": backend.DmaRead,
        "dma_write": backend.DmaWrite,
        "dma_write_data": backend.dma_write_data(width),
    }
    return {**{name: Out(stream.Signature(shape)) for name, shape in out.items()},
            **{name: In(stream.Signature(shape)) for name, shape in into.items()}}


class Endpoint(wiring.Component):
    """A virtio-pci transitional MMR device behind raw TLP streams.

    One clock; its reset is synchronous and legal at any time, also in the middle of a packet.

    Parameters
    ----------
    config
        The device to build.

    Members
    -------
    rx : In(stream.Signature(raw_beat(width)))
        From the link.
    tx : Out(stream.Signature(raw_beat(width)))
        To the link.
    rx_np_ok : Out(1)
        While it is high, 16 more non-posted requests will be taken, whatever happens to `tx`.
    count_malformed, count_poisoned, count_unsupported, count_unexpected, count_hole : Out(16)
    error_correctable, error_nonfatal, error_fatal : Out(1)
    intx : Out(1)
        INTA as a level; `tx` carries the same as messages. Low if the device has no interrupt pin.
    backend streams
        See `backend_streams`.

    Raises
    ------
    ConfigError
        If the device has virtual functions, which the gateware does not build yet.
    """

    def __init__(self, config: DeviceConfig):
        if config.vf is not None:
            raise ConfigError("vf", None, "virtual functions have no gateware yet",
                              "remove the section; check and inspect show what it describes")
        self._config = config
        width = config.datapath.width
        super().__init__({
            "rx": In(stream.Signature(raw_beat(width))),
            "tx": Out(stream.Signature(raw_beat(width))),
            "rx_np_ok": Out(1),
            **{name: Out(16) for name in _COUNTERS},
            **{name: Out(1) for name in _ERRORS},
            "intx": Out(1),
            **backend_streams(width),
        })

    def _modern_options(self) -> dict:
        """What `FunctionState` has to know of the modern interface."""
        if not self._config.modern:
            return {}
        stride = self._config.find(build.Space.NOTIFY)[1].stride
        return {"modern": self._config.modern_features, "stride": stride}

    def elaborate(self, platform):
        m = Module()
        config, width = self._config, self._config.datapath.width
        page = config.control
        layout = place(config)
        queues = len(config.queues)
        # Register tables whose items make up a function's view.
        tables = [*_TABLES, *([modern.COMMON] if config.modern else [])]

        # --- Link to requests -----------------------------------------------------------------------------
        m.submodules.receiver = receiver = RawReceiver(width)
        m.submodules.ingress = ingress = TlpIngress(
            width, max_payload=config.datapath.max_payload, check_byte_enables=config.datapath.check_byte_enables)
        m.submodules.decoder = decoder = BarDecoder(config.bars, strict_64bit=config.datapath.strict_64bit)
        m.submodules.sequencer = sequencer = AccessSequencer(
            config.bars, max_payload=config.datapath.max_payload)
        m.submodules.config_space = config_space = ConfigSpace(layout)
        control = config_space.control
        wiring.connect(m, wiring.flipped(self.rx), receiver.raw)
        wiring.connect(m, receiver.beats, ingress.beats)
        wiring.connect(m, ingress.request, sequencer.request)
        request = ingress.request.p
        m.d.comb += [
            ingress.truncated.eq(receiver.truncated),
            ingress.max_payload_size.eq(control.max_payload_size),
            ingress.step.eq(sequencer.step),
            sequencer.payload.eq(ingress.payload),
            decoder.kind.eq(ingress.heading_kind),
            decoder.address.eq(ingress.heading_address),
            decoder.long_address.eq(ingress.heading_long),
            ingress.heading_place.eq(decoder.place),
            decoder.memory_enabled.eq(control.memory_enabled),
            decoder.io_enabled.eq(control.io_enabled),
            config_space.ahead.eq(sequencer.register_ahead),
            config_space.capture.eq(sequencer.captures),
            config_space.capture_id.eq(request.device),
            self.rx_np_ok.eq(sequencer.non_posted_ok),
        ]
        for mine, its in zip(decoder.base, control.base, strict=True):
            m.d.comb += mine.eq(its)

        # --- Operations to windows ------------------------------------------------------------------------
        operation = sequencer.operation
        spaces = [Space.CONFIG, *(
            space for space in Space if space not in (Space.CONFIG, Space.HOLE)
            and config.find(build.Space[space.name]) is not None)]
        m.submodules.router = router = AccessRouter(spaces)
        entrance = router.port
        if config.modern:
            m.submodules.detour = detour = ConfigDetour(config.bars, layout["modern_access_data"].offset)
            wiring.connect(m, detour.onward, router.port)
            m.d.comb += [
                detour.bar.eq(config_space.window_bar),
                detour.offset.eq(config_space.window_offset),
                detour.length.eq(config_space.window_length),
            ]
            entrance = detour.port
        m.d.comb += [
            entrance.access.valid.eq(operation.valid & ~operation.p.completion.unsupported),
            entrance.access.p.eq(operation.p.access),
        ]
        view, touch = view_layout(tables), touch_layout(tables)
        m.submodules.device = device = DeviceWindow(
            config.kind, config.config_image, functions=config.functions,
            big_endian=page is not None and page.big_endian)
        m.submodules.state = state = FunctionState(
            view, touch, queues=queues, offered=config.legacy_features, vectors=config.msix_vectors,
            control_page=page is not None, big_endian=page is not None and page.big_endian,
            gate_open=page is None or page.gate_open, functions=config.functions,
            **self._modern_options())
        self._state = state
        m.submodules.legacy = legacy_window = LegacyWindow(config.kind.config_size)
        m.submodules.header = header = RegisterWindow(legacy.HEADER, view, touch_layout([legacy.HEADER]))
        register_windows = [header]
        wiring.connect(m, router.window_config, config_space.port)
        wiring.connect(m, router.window_legacy, legacy_window.port)
        wiring.connect(m, legacy_window.header, header.port)
        wiring.connect(m, legacy_window.config, device.legacy)
        m.d.comb += legacy_window.msix_enabled.eq(control.msix_enable)
        if Space.DEVICE in spaces:
            wiring.connect(m, router.window_device, device.direct)
        if Space.MSIX in spaces:
            m.submodules.msix = msix = MsixWindow(config.msix_vectors, config.find(build.Space.MSIX)[1].size)
            wiring.connect(m, router.window_msix, msix.port)
        for space, table, name in ((Space.CONTROL, control_page.TABLE, "control"), (Space.ISR, modern.ISR, "isr"),
                                   (Space.COMMON, modern.COMMON, "common")):
            if space in spaces:
                window = RegisterWindow(table, view, touch_layout([table]))
                m.submodules[name] = window
                register_windows.append(window)
                wiring.connect(m, getattr(router, f"window_{name}"), window.port)
        for window in register_windows:
            m.d.comb += [window.view.eq(state.view), window.msix_enabled.eq(control.msix_enable)]
        touches = [window.touch for window in register_windows]
        if config.modern:
            m.submodules.notify_window = notify_window = NotifyWindow(config.find(build.Space.NOTIFY)[1].stride)
            wiring.connect(m, router.window_notify, notify_window.port)
            touches.append(notify_window.touch)
        merge(m, state.touch, touches)

        # --- State ----------------------------------------------------------------------------------------
        if config.modern:
            table = ModernQueueTable(
                config.queues, functions=config.functions,
                has_data=bool(config.features >> TransportFeature.NOTIFICATION_DATA & 1))
        else:
            table = QueueTable(config.queues, functions=config.functions)
        m.submodules.queues = table
        m.submodules.notify = notify = NotifyUnit(queues, modern=config.modern)
        event = state.event
        # This clock's event, if there is no access; see below.
        chosen = Signal(EventKind, init=EventKind.INITIALISE)
        # It is a REPORT; a register of its own, because the queue that the windows see hangs on it.
        reporting = Signal()
        function = Signal(8)
        m.d.comb += [
            function.eq(0),
            state.function.eq(function),
            state.access.eq(operation.valid),
            state.flr.eq(control.reset),
            state.msix_toggled.eq(config_space.msix_toggled),
            state.driver_wrote.eq(device.driver_wrote),
            device.function.eq(function),
            device.restore.eq(state.restore),
            device.big.eq(state.row.big_endian),
            config_space.interrupt_status.eq((state.row.isr != 0) & ~control.msix_enable),
            table.function.eq(function),
            table.queue.eq(state.queue_select),
            table.write_page.eq(state.write_page),
            table.new_page.eq(state.new_page),
            table.write_vector.eq(state.write_vector),
            table.new_vector.eq(state.new_vector),
            state.queue_exists.eq(table.exists),
            state.queue_size.eq(table.size),
            state.queue_page.eq(table.page),
            state.queue_vector.eq(table.vector),
            state.scan.eq(notify.scan),
            state.reported.eq(notify.reported),
            notify.row.eq(state.row),
            notify.function.eq(function),
            notify.may_request.eq(control.bus_master),
            notify.report.eq(reporting),
            notify.queue_size.eq(table.size),
            notify.vector.eq(table.vector),
            notify.rings.eq(table.rings),
        ]
        # Which parts of the row in the queue table count.
        counting = ("addressed", "sized") if config.modern else ("page_bytes",)
        for name in counting:
            m.d.comb += getattr(table, name).eq(getattr(state, f"queue_{name}"))
        with m.If(reporting):
            m.d.comb += [
                table.queue.eq(notify.scan), *(getattr(table, name).eq(getattr(notify, name)) for name in counting)]
        if config.modern:
            m.d.comb += [
                state.through_common.eq(router.window_common.access.valid),
                state.driver_read.eq(device.driver_read),
                state.queue_most.eq(table.most),
                state.queue_rings.eq(table.rings),
                table.new_data.eq(Mux(state.takes_data, notify_window.data, 0)),
                notify.data.eq(table.data),
                *(getattr(table, name).eq(getattr(state, name)) for name in (
                    "write_areas", "new_areas", "write_size", "new_size", "kick", "kicked")),
            ]

        # --- The clock's event ----------------------------------------------------------------------------
        # Chosen a clock ahead, with the sequencer's word that no access will come.
        starting = Signal(init=1)
        sources = (
            (EventKind.RESET_DONE, self.reset_done.valid),
            (EventKind.UPDATE, device.update_waiting),
            (EventKind.FAULT, self.fault.valid),
            (EventKind.INTERRUPT, self.interrupt_cause.valid),
            *([(EventKind.QUIET, self.queue_quiet.valid)] if config.modern else []),
            (EventKind.REPORT, notify.wanted),
            # The device window only needs the clock.
            (EventKind.NONE, device.report_wanted),
        )
        if Space.MSIX in spaces:
            m.submodules.interrupt = interrupt = InterruptUnit(config.msix_vectors, functions=config.functions)
            # It only needs the clock, and needs it before anything that could take every clock.
            sources = ((EventKind.NONE, interrupt.starved), *sources)
        m.d.sync += [
            starting.eq(0),
            chosen.eq(EventKind.NONE),
            reporting.eq(0),
            sequencer.event_wanted.eq(Cat(wanted for _, wanted in sources).any()),
        ]
        with m.If(sequencer.event_slot):
            for kind, wanted in reversed(sources):
                with m.If(wanted):
                    m.d.sync += [chosen.eq(kind), reporting.eq(kind == EventKind.REPORT)]
        m.d.comb += sequencer.hold.eq(starting)
        if not config.modern:
            m.d.comb += self.queue_quiet.ready.eq(1)
        # What was chosen may have been taken a clock ago: then nothing happens.
        with m.Switch(chosen):
            with m.Case(EventKind.INITIALISE, EventKind.REPORT):
                m.d.comb += event.kind.eq(chosen)
            with m.Case(EventKind.UPDATE):
                m.d.comb += device.apply.eq(device.update_waiting)
                with m.If(device.update_waiting):
                    m.d.comb += [event.kind.eq(chosen), event.function.eq(device.update_function)]
            for kind, taken, value, queue in (
                (EventKind.RESET_DONE, self.reset_done, 0, 0),
                (EventKind.FAULT, self.fault, self.fault.p.cause, 0),
                (EventKind.INTERRUPT, self.interrupt_cause, self.interrupt_cause.p.config_change,
                 self.interrupt_cause.p.queue),
            ):
                with m.Case(kind):
                    m.d.comb += taken.ready.eq(1)
                    with m.If(taken.valid):
                        m.d.comb += [event.kind.eq(kind), event.function.eq(taken.p.function),
                                     event.epoch.eq(taken.p.epoch), event.value.eq(value), event.queue.eq(queue)]
            if config.modern:
                with m.Case(EventKind.QUIET):
                    m.d.comb += self.queue_quiet.ready.eq(1)
                    with m.If(self.queue_quiet.valid):
                        m.d.comb += [event.kind.eq(EventKind.QUIET), event.function.eq(self.queue_quiet.p.function),
                                     event.queue.eq(self.queue_quiet.p.queue)]

        # --- Interrupts -----------------------------------------------------------------------------------
        if config.intx:
            # In its first clock the row may still show what was there before the reset.
            m.d.comb += self.intx.eq(
                (state.row.isr != 0) & ~control.msix_enable & ~control.interrupt_disable & ~starting)
        if Space.MSIX in spaces:
            interrupted = self.interrupt_cause.p.queue
            with m.If(chosen == EventKind.INTERRUPT):
                m.d.comb += table.queue.eq(interrupted)
            has_vector = Cat(
                (interrupted == queue) & state.row.queue_vector_valid[queue] for queue in range(queues)).any()
            wiring.connect(m, msix.table, interrupt.table)
            m.d.comb += [
                interrupt.busy.eq(operation.valid | (chosen != EventKind.NONE)),
                interrupt.function.eq(function),
                interrupt.cause.eq(state.cause),
                interrupt.queue_vector.eq(Mux(has_vector, table.vector, legacy.NO_VECTOR)),
                interrupt.config_vector.eq(state.row.config_vector),
                interrupt.msix_enable.eq(control.msix_enable),
                interrupt.forget.eq(state.fenced),
                interrupt.restore.eq(state.restore),
                interrupt.initialise.eq(event.kind == EventKind.INITIALISE),
                interrupt.may_send.eq(control.msix_enable & ~control.msix_mask & control.bus_master),
            ]

        # --- Completions and interrupts to the link -------------------------------------------------------
        m.submodules.completion = completion = CompletionBuilder(width)
        m.d.comb += [
            completion.context.eq(operation.p.context),
            completion.reply_valid.eq(operation.valid & operation.p.answered),
            completion.reply.eq(entrance.reply.p.data),
            completion.first.eq(operation.p.first),
            completion.last.eq(operation.p.last),
            completion.completion.eq(operation.p.completion),
            completion.completer[3:8].eq(control.device),
            completion.completer[8:].eq(control.bus),
            sequencer.room.eq(completion.room),
        ]
        # Interrupts first: so none is overtaken by a completion that was handed in after it.
        ways_out = []
        if config.intx:
            m.submodules.messenger = messenger = IntxMessenger(width)
            m.d.comb += [messenger.level.eq(self.intx), messenger.requester.eq(completion.completer)]
            ways_out.append(messenger.beats)
        if Space.MSIX in spaces:
            m.submodules.messages = messages = MessageBuilder(width)
            wiring.connect(m, interrupt.message, messages.message)
            m.d.comb += messages.requester.eq(
                completion.completer | (interrupt.message.p.function if config.functions > 1 else 0))
            ways_out.append(messages.beats)
        ways_out.append(completion.beats)
        m.submodules.egress = egress = TlpEgress(width, len(ways_out))
        for way, source in zip(ways_out, egress.sources, strict=True):
            wiring.connect(m, way, source)
        wiring.connect(m, egress.beats, wiring.flipped(self.tx))

        # --- Errors, and the streams that go straight through -----------------------------------------------
        m.submodules.errors = errors = ErrorReporter()
        m.d.comb += [
            errors.dropped.eq(sequencer.dropped),
            errors.refused.eq(operation.valid & operation.p.completion.unsupported),
            errors.poisoned.eq(operation.p.poisoned),
            errors.hole.eq(router.hole),
            config_space.detected_parity_error.eq(errors.detected_parity_error),
            config_space.correctable_detected.eq(errors.correctable_detected),
            config_space.nonfatal_detected.eq(errors.nonfatal_detected),
            config_space.fatal_detected.eq(errors.fatal_detected),
            config_space.unsupported_detected.eq(errors.unsupported_detected),
            *(getattr(self, name).eq(getattr(errors, name)) for name in (*_COUNTERS, *_ERRORS)),
        ]
        m.submodules.requester = requester = RequesterPort(width)
        for owner, names in (
            (notify, ("driver_update", "queue_update", "notification", "reset_request")),
            (requester, ("dma_read", "dma_read_data", "dma_write", "dma_write_data", "dma_write_done")),
        ):
            for name in names:
                wiring.connect(m, getattr(owner, name), wiring.flipped(getattr(self, name)))
        wiring.connect(m, device.write, wiring.flipped(self.config_write))
        wiring.connect(m, device.update, wiring.flipped(self.config_update))
        return m

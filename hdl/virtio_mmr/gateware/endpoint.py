"""The endpoint: every block, wired, with no more logic than which function's registers count.

The path of a TLP is the order of this file: receiver, ingress, decoder, the stage that finds virtual
functions, sequencer, schedule, router and windows, state, interrupts, completion, egress, requester, errors.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config import DeviceConfig
from virtio_mmr.config import device as build
from virtio_mmr.layout import place
from virtio_mmr.spec import control as control_page
from virtio_mmr.spec import legacy, modern
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.msix import ENTRY_SIZE
from virtio_mmr.spec.sriov import MOST_WITHOUT_ARI

from . import backend
from .access.decoder import BarDecoder, HitDecoder
from .access.detour import ConfigDetour
from .access.interface import Space
from .access.router import AccessRouter
from .access.schedule import Schedule
from .access.sequencer import AccessSequencer
from .access.virtual import VirtualStage
from .adapters.link import FunctionChange, Link
from .adapters.raw import RawReceiver
from .errors import ErrorReporter
from .events import EventChooser
from .interrupt import InterruptUnit
from .notify import NotifyUnit
from .requester.gate import FunctionGate, SharedGate
from .requester.port import RequesterPort
from .requester.requester import Requester
from .shared_interrupt import SharedInterruptUnit
from .state.function import LATE, LATE_OF_QUEUES, EventKind, FunctionOptions, FunctionState
from .state.modern_queues import ModernQueueTable
from .state.queues import QueueTable
from .tlp.beat import raw_beat
from .tlp.completion import CompletionBuilder
from .tlp.egress import TlpEgress
from .tlp.ingress import TlpIngress
from .tlp.message import IntxMessenger, MessageBuilder
from .tlp.order import OrderedEgress
from .turns import Turns
from .windows.config import EVENTS, ConfigSpace
from .windows.device import DeviceWindow
from .windows.extension import ConfigExtension
from .windows.legacy import LegacyWindow
from .windows.msix import MsixLook, MsixWindow
from .windows.notify import NotifyWindow
from .windows.register import RegisterWindow, merge, touch_layout, view_layout
from .windows.virtual_config import VirtualConfigSpace

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


def _options(config: DeviceConfig) -> FunctionOptions:
    """What the function state has to know of a function."""
    page = config.control
    return FunctionOptions(
        queues=len(config.queues), offered=config.legacy_features, vectors=config.msix_vectors,
        control_page=page is not None, big_endian=page is not None and page.big_endian,
        gate_open=page is not None and page.gate_open,
        modern=config.modern_features if config.modern else None,
        stride=config.find(build.Space.NOTIFY)[1].stride if config.modern else 0)


def _msix(config: DeviceConfig) -> tuple[int, int]:
    """MSI-X vectors of a function, and the size of their window."""
    found = config.find(build.Space.MSIX)
    return (config.msix_vectors, found[1].size) if found else (0, 2 * ENTRY_SIZE)


def link_signature(config: DeviceConfig) -> Link:
    """The boundary between the endpoint of a device and the adapter to its hard IP."""
    return Link(config.datapath.width,
                completions=config.datapath.hard_ip.described and config.requester is not None)


class Endpoint(wiring.Component):
    """A virtio-pci transitional MMR device behind raw TLP streams, or behind an adapter to hard IP.

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
    link : In(Link(width))
        Instead of these three, if hard IP owns the header; see `link_signature`.
    count_malformed, count_poisoned, count_unsupported, count_unexpected, count_hole : Out(16)
    error_correctable, error_nonfatal, error_fatal : Out(1)
    intx : Out(1)
        INTA as a level; without `link`, `tx` carries the same as messages. Low if the device has no interrupt pin.
    backend streams
        See `backend_streams`.
    """

    def __init__(self, config: DeviceConfig):
        self._config = config
        width = config.datapath.width
        raw = {
            "rx": In(stream.Signature(raw_beat(width))),
            "tx": Out(stream.Signature(raw_beat(width))),
            "rx_np_ok": Out(1),
        }
        super().__init__({
            **({"link": In(link_signature(config))} if config.datapath.hard_ip.owns_header else raw),
            **{name: Out(16) for name in _COUNTERS},
            **{name: Out(1) for name in _ERRORS},
            "intx": Out(1),
            **backend_streams(width),
        })

    def elaborate(self, platform):
        m = Module()
        config, width = self._config, self._config.datapath.width
        # The physical function, and what each virtual one is.
        kinds = [config] if config.vf is None else [config, config.vf.function]
        functions, several = config.functions, config.vf is not None
        layout = place(config)
        queues = max(len(kind.queues) for kind in kinds)
        with_modern = any(kind.modern for kind in kinds)
        hard_ip = config.datapath.hard_ip
        owned, described = hard_ip.owns_header, hard_ip.described
        big_endian = any(kind.control is not None and kind.control.big_endian for kind in kinds)
        # Register tables whose items make up a function's view.
        tables = [*_TABLES, *([modern.COMMON] if with_modern else [])]
        spaces = [Space.CONFIG, *(
            space for space in Space if space not in (Space.CONFIG, Space.HOLE)
            and any(kind.find(build.Space[space.name]) is not None for kind in kinds))]
        # Vectors are shown a clock late, and so are rows of queues of several functions.
        late_queues = several and not with_modern
        late = [*([Space.LEGACY] if late_queues else []),
                *([Space.CONTROL] if several and Space.CONTROL in spaces else []),
                *([Space.MSIX] if Space.MSIX in spaces else [])]

        # --- Link to requests -----------------------------------------------------------------------------
        if owned:
            source, control = self.link, self.link.control
            m.submodules.decoder = decoder = HitDecoder(config.bars, kinds[-1].bars if several else ())
        else:
            m.submodules.receiver = source = RawReceiver(width)
        m.submodules.ingress = ingress = TlpIngress(
            width, max_payload=config.datapath.max_payload, check_byte_enables=config.datapath.check_byte_enables,
            requests=config.requester is not None and not described)
        if not owned:
            m.submodules.decoder = decoder = BarDecoder(
                config.bars, strict_64bit=config.datapath.strict_64bit, virtual=several)
        m.submodules.sequencer = sequencer = AccessSequencer(
            config.bars, virtual_bars=kinds[-1].bars if several else (), max_payload=config.datapath.max_payload,
            deferred=bool(late))
        m.submodules.schedule = schedule = Schedule(functions)
        if owned:
            m.submodules.extension = config_space = ConfigExtension(
                [place(kind) for kind in kinds], functions)
            wiring.connect(m, wiring.flipped(self.link.door), config_space.door)
            wiring.connect(m, wiring.flipped(self.link.beats), ingress.beats)
        else:
            m.submodules.config_space = config_space = ConfigSpace(layout, early=several)
            control = config_space.control
            wiring.connect(m, wiring.flipped(self.rx), source.raw)
            wiring.connect(m, source.beats, ingress.beats)
        m.d.comb += [
            ingress.truncated.eq(source.truncated),
            ingress.max_payload_size.eq(control.max_payload_size),
            ingress.step.eq(sequencer.step),
            sequencer.payload.eq(ingress.payload),
            decoder.kind.eq(ingress.heading_kind),
            decoder.address.eq(ingress.heading_address),
            ingress.heading_place.eq(decoder.place),
            (self.link.np_ok if owned else self.rx_np_ok).eq(sequencer.non_posted_ok),
            schedule.function_ahead.eq(sequencer.function_ahead),
            schedule.event_slot.eq(sequencer.event_slot),
            schedule.dropped_ahead.eq(sequencer.dropped),
            schedule.discarded_ahead.eq(sequencer.discarded),
            # Nothing has come yet in the first clock, which is all that a single function needs.
            sequencer.hold.eq(schedule.hold if several else 0),
        ]
        if owned:
            m.d.comb += [decoder.bar.eq(self.link.hit.bar), decoder.function.eq(self.link.hit.function)]
        else:
            m.d.comb += [
                decoder.long_address.eq(ingress.heading_long),
                decoder.memory_enabled.eq(control.memory_enabled),
                decoder.io_enabled.eq(control.io_enabled),
                config_space.capture.eq(sequencer.captures),
                config_space.capture_id.eq(sequencer.request.p.device),
            ]
            for mine, its in zip(decoder.base, control.base, strict=True):
                m.d.comb += mine.eq(its)
        wiring.connect(m, sequencer.operation, schedule.operation)
        if several:
            # Functions that can be reached at all; hard IP sees to that by itself.
            numbered = control.num_vfs if owned else Mux(
                control.ari_hierarchy | (control.num_vfs < MOST_WITHOUT_ARI), control.num_vfs, MOST_WITHOUT_ARI)
            could_speak, can_speak = Signal(2), Signal(2)
            m.d.comb += [
                can_speak.eq(Cat(control.bus_master, control.awake)),
                decoder.present.eq(schedule.reachable),
                # Waking up concerns every function.
                schedule.wakes.eq((can_speak & ~could_speak).any()),
            ]
            m.d.sync += [could_speak.eq(can_speak), schedule.wanted.eq(Mux(control.vf_enable, numbered, 0))]
        if several and not owned:
            m.submodules.virtual = virtual = VirtualStage(
                kinds[1].bars, strict_64bit=config.datapath.strict_64bit)
            wiring.connect(m, ingress.request, virtual.request)
            wiring.connect(m, virtual.onward, sequencer.request)
            m.d.comb += [
                virtual.heading.eq(ingress.heading_taken),
                virtual.heading_address.eq(ingress.heading_address),
                virtual.heading_long.eq(ingress.heading_long),
                virtual.page_size.eq(control.page_size),
                virtual.memory_enabled.eq(control.vf_memory_enable & control.awake),
                virtual.present.eq(schedule.reachable),
            ]
            for mine, its in zip(virtual.base, control.vf_base, strict=True):
                m.d.comb += mine.eq(its)
        else:
            wiring.connect(m, ingress.request, sequencer.request)

        # --- Operations to windows ------------------------------------------------------------------------
        operation, function = schedule.executed, schedule.function
        m.submodules.router = router = AccessRouter(spaces, late=late, reach={
            Space.LEGACY: (legacy.CONFIG_OFFSET[True] + config.kind.config_size - 1).bit_length(),
            Space.DEVICE: max(config.kind.config_size - 1, 0).bit_length(),
            Space.CONTROL: (control_page.TABLE.size - 1).bit_length(),
        } if several else None)
        entrance = router.port
        # The access window is a capability of one's own configuration space.
        windowed = config.modern and not owned
        if windowed:
            m.submodules.detour = detour = ConfigDetour(
                config.bars, layout["modern_access_data"].offset, late=bool(late))
            wiring.connect(m, detour.onward, router.port)
            m.d.comb += [
                detour.bar.eq(config_space.window_bar),
                detour.offset.eq(config_space.window_offset),
                detour.length.eq(config_space.window_length),
            ]
            entrance = detour.port
        m.d.comb += [
            # What is refused is for no window.
            entrance.access.valid.eq(operation.valid),
            entrance.access.p.eq(operation.p.access),
        ]
        if several:
            # The access of the next clock, for whoever has to know.
            coming = schedule.coming_executed
            m.d.comb += [
                router.coming.valid.eq(coming.valid),
                router.coming.p.eq(coming.p.access),
            ]
            if windowed:
                # The access window's registers are those of the next clock: no two configuration accesses follow each
                # other at once.
                m.submodules.detour_look = detour_look = ConfigDetour(
                    config.bars, layout["modern_access_data"].offset)
                m.d.comb += [
                    detour_look.port.access.valid.eq(coming.valid),
                    detour_look.port.access.p.eq(coming.p.access),
                    detour_look.bar.eq(config_space.window_bar),
                    detour_look.offset.eq(config_space.window_offset),
                    detour_look.length.eq(config_space.window_length),
                    router.coming.p.eq(detour_look.onward.access.p),
                ]
        view, touch = view_layout(tables), touch_layout(tables)
        m.submodules.device = device = DeviceWindow(
            config.kind, config.config_image, functions=functions, big_endian=big_endian,
            **({"virtual_image": kinds[1].config_image} if several else {}))
        options = [_options(kind) for kind in kinds]
        m.submodules.state = state = FunctionState(
            view, touch, options[0], virtual=options[1] if several else None, functions=functions)
        self._state = state
        m.submodules.legacy = legacy_window = LegacyWindow(config.kind.config_size)
        m.submodules.header = header = RegisterWindow(
            legacy.HEADER, view, touch_layout([legacy.HEADER]), late=LATE_OF_QUEUES if late_queues else (),
            ahead=several)
        if late_queues:
            m.d.comb += router.late_legacy.eq(header.late_reply)
        register_windows = {Space.LEGACY: header}
        msix_enable = control.msix_enable
        if several:
            own = state.row.configuration
            # Whether this clock is the physical function's; much follows from that.
            physical_now = Signal(init=1)
            m.d.sync += physical_now.eq(schedule.coming_function == 0)
            msix_enable = Mux(physical_now, control.msix_enable, own.msix_enable)
        if several and not owned:
            m.submodules.virtual_config = virtual_config = VirtualConfigSpace(place(kinds[1]))
            configuration, register_ahead = router.window_config, Signal(10)
            m.d.sync += register_ahead.eq(sequencer.register_ahead)
            coming_is_physical = schedule.coming_function == 0
            for space, mine, comes in ((config_space, physical_now, coming_is_physical),
                                       (virtual_config, ~physical_now, ~coming_is_physical)):
                m.d.comb += [
                    space.coming.p.eq(router.coming.p),
                    space.coming.valid.eq(router.coming.valid & (router.coming.p.space == Space.CONFIG) & comes),
                    space.ahead.eq(register_ahead),
                    space.port.access.p.eq(configuration.access.p),
                    space.port.access.valid.eq(configuration.access.valid & mine),
                ]
            m.d.comb += [
                configuration.reply.valid.eq(configuration.access.valid),
                configuration.reply.p.data.eq(config_space.port.reply.p.data | virtual_config.port.reply.p.data),
                virtual_config.state.eq(own),
                state.config_change.eq(virtual_config.change),
                state.reset_ahead.eq(config_space.reset_ahead | virtual_config.reset_ahead),
            ]
        else:
            wiring.connect(m, router.window_config, config_space.port)
            m.d.comb += config_space.ahead.eq(sequencer.register_ahead)
        wiring.connect(m, router.window_legacy, legacy_window.port)
        wiring.connect(m, legacy_window.header, header.port)
        wiring.connect(m, legacy_window.config, device.legacy)
        m.d.comb += legacy_window.msix_enabled.eq(msix_enable)
        if Space.DEVICE in spaces:
            wiring.connect(m, router.window_device, device.direct)
        if Space.MSIX in spaces:
            windows = [_msix(kind) for kind in kinds]
            m.submodules.msix = msix = MsixWindow(*windows[0], **({"virtual": windows[1]} if several else {}))
            wiring.connect(m, router.window_msix, msix.port)
            m.d.comb += router.late_msix.eq(msix.late)
        for space, table, name in ((Space.CONTROL, control_page.TABLE, "control"), (Space.ISR, modern.ISR, "isr"),
                                   (Space.COMMON, modern.COMMON, "common")):
            if space in spaces:
                shown_late = LATE if several and space is Space.CONTROL else ()
                m.submodules[name] = window = RegisterWindow(
                    table, view, touch_layout([table]), late=shown_late, ahead=several)
                if shown_late:
                    m.d.comb += router.late_control.eq(window.late_reply)
                register_windows[space] = window
                wiring.connect(m, getattr(router, f"window_{name}"), window.port)
        for space, window in register_windows.items():
            m.d.comb += [window.view.eq(state.view), window.msix_enabled.eq(msix_enable)]
            if several:
                m.d.comb += [
                    window.coming.valid.eq(router.coming.valid & (router.coming.p.space == space)),
                    window.coming.p.eq(router.coming.p),
                ]
        touches = [window.touch for window in register_windows.values()]
        if with_modern:
            m.submodules.notify_window = notify_window = NotifyWindow(
                options[0].stride, virtual_stride=options[-1].stride)
            wiring.connect(m, router.window_notify, notify_window.port)
            touches.append(notify_window.touch)
        merge(m, state.touch, touches)

        # --- State ----------------------------------------------------------------------------------------
        sizes = {"virtual_sizes": kinds[1].queues} if several else {}
        if with_modern:
            table = ModernQueueTable(
                config.queues, functions=functions, **sizes,
                has_data=any(kind.features >> TransportFeature.NOTIFICATION_DATA & 1 for kind in kinds))
        else:
            table = QueueTable(config.queues, functions=functions, **sizes)
        m.submodules.queues = table
        m.submodules.notify = notify = NotifyUnit(queues, modern=with_modern, functions=functions)
        m.submodules.events = events = EventChooser(
            functions=functions, modern=with_modern, steps=several and Space.MSIX in spaces, changes=owned)
        wiring.connect(m, events.event, schedule.candidate)
        event = schedule.event
        may_request = control.bus_master
        if several:
            may_request = Mux(physical_now, control.bus_master, own.bus_master & control.awake)
        m.d.comb += [
            # With one function an event is still on offer in its own clock; it wants no other.
            sequencer.event_wanted.eq(events.event.valid & ~events.event.ready),
            events.update_waiting.eq(device.update_waiting),
            events.update_function.eq(device.update_function),
            events.applied.eq(device.apply),
            state.event.eq(event),
            state.function.eq(function),
            state.access.eq(operation.valid),
            state.driver_wrote.eq(device.driver_wrote),
            device.apply.eq(event.kind == EventKind.UPDATE),
            device.restore.eq(state.restore),
            device.big.eq(state.row.big_endian),
            table.write_page.eq(state.write_page),
            table.new_page.eq(state.new_page),
            table.write_vector.eq(state.write_vector),
            table.new_vector.eq(state.new_vector),
            state.queue_exists.eq(table.exists),
            state.queue_size.eq(table.size),
            state.queue_page.eq(table.page),
            state.queue_vector.eq(table.vector),
            state.scan.eq(event.queue),
            state.reported.eq(notify.reported),
            notify.row.eq(state.row),
            notify.function.eq(function),
            notify.may_request.eq(may_request),
            notify.report.eq(schedule.reporting),
            notify.scan.eq(event.queue),
            notify.queue_size.eq(table.size),
            notify.vector.eq(table.vector),
            notify.rings.eq(table.rings),
        ]
        if owned:
            # What the IP says of a function is an event of that function.
            said = FunctionChange(Cat(event.function, event.value))
            changes, physical_msix = event.kind == EventKind.CONTROL, Signal()
            wiring.connect(m, wiring.flipped(self.link.change), events.change)
            m.d.comb += events.changed.eq(changes)
            with m.If(changes & (said.function == 0)):
                m.d.comb += [state.flr.eq(said.reset), state.msix_toggled.eq(said.msix_enable != physical_msix)]
                m.d.sync += physical_msix.eq(said.msix_enable)
            if several:
                will_say = FunctionChange(Cat(schedule.coming.function, schedule.coming.value))
                m.d.comb += state.reset_ahead.eq((schedule.coming.kind == EventKind.CONTROL) & will_say.reset)
                with m.If(changes & (said.function != 0)):
                    m.d.comb += [
                        state.config_change.bus_master_write.eq(~said.reset),
                        state.config_change.bus_master.eq(said.bus_master),
                        state.config_change.msix_write.eq(~said.reset),
                        state.config_change.msix_enable.eq(said.msix_enable),
                        state.config_change.msix_mask.eq(said.msix_mask),
                        state.config_change.reset.eq(said.reset),
                    ]
        else:
            m.d.comb += [state.flr.eq(control.reset), state.msix_toggled.eq(config_space.msix_toggled)]
        # Which parts of the row in the queue table count.
        for name in ("addressed", "sized") if with_modern else ("page_bytes",):
            m.d.comb += getattr(table, name).eq(
                Mux(schedule.eventful, getattr(notify, name), getattr(state, f"queue_{name}")))
        if with_modern:
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
        if several:
            m.submodules.turns = turns = Turns(functions)
            # A row is judged in the clock behind that of its change.
            unreported, physical_then = Signal(), Signal(init=1)
            m.d.sync += [
                physical_then.eq(physical_now),
                turns.look.eq(schedule.look),
                turns.function.eq(function),
                turns.initialise.eq(event.kind == EventKind.INITIALISE),
                turns.turn.eq(schedule.reporting),
                notify.new.eq(state.new),
                notify.behind.eq(event.queue),
                unreported.eq(device.unreported),
            ]
            m.d.comb += [
                notify.may_request_then.eq(
                    Mux(physical_then, control.bus_master, notify.new.configuration.bus_master & control.awake)),
                turns.work.eq(notify.work | unreported),
                turns.queue.eq(notify.next_queue),
            ]
        # The interrupt line follows the physical function's row, which is not always shown.
        interrupts = Signal()

        def interrupting(row):
            """The driver has something to hear; of queues, if their gate is open."""
            return row.isr[1] | (row.isr[0] & row.gate)

        if several:
            # Before the row is initialised it may still show what was there before the reset.
            starts, started = event.kind == EventKind.INITIALISE, Signal()
            with m.If(starts):
                m.d.sync += started.eq(1)
            with m.If(physical_now & (starts | started)):
                m.d.sync += interrupts.eq(interrupting(state.new))
            m.d.comb += [
                state.look.eq(schedule.look),
                state.event_ahead.eq(schedule.coming),
                state.eventful_ahead.eq(schedule.coming_eventful),
                *([] if with_modern else [state.data_ahead.eq(router.coming.p.data)]),
                device.look.eq(schedule.look),
                device.coming.valid.eq(router.coming.valid),
                device.coming.p.eq(router.coming.p),
                device.msix_enabled.eq(msix_enable),
                table.look_function.eq(schedule.coming_function),
                table.look_queue.eq(state.queue_ahead),
                *([] if with_modern else [
                    *(its.eq(mine) for its, mine in zip(table.fetch_queue, state.queue_fetch, strict=True)),
                    table.second.eq(state.queue_second),
                ]),
                turns.next.ready.eq(events.report_taken),
                device.report.eq(schedule.reporting),
                events.report_wanted.eq(turns.next.valid & notify.wanted & (~device.write.valid)),
                events.report_function.eq(turns.next.p.function),
                events.report_queue.eq(turns.next.p.queue),
            ]
        else:
            m.d.comb += [
                table.function.eq(function),
                device.function.eq(function),
                device.report.eq(~operation.valid & (event.kind == EventKind.NONE)),
                table.queue.eq(Mux(schedule.eventful, event.queue, state.queue_select)),
                interrupts.eq(interrupting(state.row)),
                events.report_wanted.eq(notify.wanted),
                events.report_queue.eq(notify.next_queue),
            ]
            if Space.MSIX not in spaces:
                m.d.comb += events.clock_wanted.eq(device.report_wanted)
        status_bit = self.link.interrupt_status if owned else config_space.interrupt_status
        m.d.comb += status_bit.eq(interrupts & ~control.msix_enable)

        # --- Interrupts -----------------------------------------------------------------------------------
        if config.intx:
            # In its first clock a single row may still show what was there before the reset.
            shown = interrupts if several else interrupts & ~schedule.hold
            m.d.comb += self.intx.eq(shown & ~control.msix_enable & ~control.interrupt_disable)
        if Space.MSIX in spaces:
            has_vector = Cat(
                (event.queue == queue) & state.row.queue_vector_valid[queue] for queue in range(queues)).any()
            vectors = max(kind.msix_vectors for kind in kinds)
            pf_may_send = control.msix_enable & ~control.msix_mask & control.bus_master
            if several:
                m.submodules.interrupt = interrupt = SharedInterruptUnit(vectors, functions=functions)
                m.submodules.msix_look = msix_look = MsixLook(*windows[0], virtual=windows[1])
                m.d.comb += [msix_look.access.valid.eq(coming.valid), msix_look.access.p.eq(router.coming.p)]

                def may_send(is_physical, configuration):
                    virtual_may = (configuration.msix_enable & ~configuration.msix_mask & configuration.bus_master
                                   & control.awake & control.vf_enable)
                    return Mux(is_physical, pf_may_send, virtual_may)

                wiring.connect(m, interrupt.step, events.step)
                m.d.comb += [
                    events.settled.eq(interrupt.settled),
                    interrupt.look.eq(schedule.look),
                    interrupt.function.eq(function),
                    interrupt.function_ahead.eq(schedule.coming_function),
                    interrupt.event_ahead.eq(schedule.coming),
                    interrupt.config_vector_ahead.eq(state.config_vector_ahead),
                    interrupt.asked_ahead.eq(msix_look.asked),
                    interrupt.vector_ahead.eq(msix_look.vector),
                    interrupt.event.eq(event),
                    interrupt.may_send.eq(may_send(physical_now, own)),
                    interrupt.may_send_then.eq(may_send(physical_then, notify.new.configuration)),
                    interrupt.opened.eq(state.gate_opens),
                ]
            else:
                m.submodules.interrupt = interrupt = InterruptUnit(vectors)
                m.d.comb += [
                    # It only needs the clock, and needs it before anything that could take every clock.
                    events.clock_wanted.eq(interrupt.starved | device.report_wanted),
                    interrupt.busy.eq(operation.valid | (event.kind != EventKind.NONE)),
                    interrupt.may_send.eq(pf_may_send),
                ]
            # A queue's vector: with several functions it is used in the clock behind the cause. A row that is shown
            # late is there by then, and whether it has a vector is kept for a clock; otherwise the vector itself is.
            named = Signal.like(has_vector)
            domain = m.d.sync if late_queues else m.d.comb
            domain += named.eq(has_vector)
            domain = m.d.sync if several and not late_queues else m.d.comb
            domain += interrupt.queue_vector.eq(Mux(named, table.vector, legacy.NO_VECTOR))
            wiring.connect(m, msix.table, interrupt.table)
            m.d.comb += [
                interrupt.cause.eq(state.cause),
                interrupt.config_vector.eq(state.row.config_vector),
                interrupt.gate.eq(state.row.gate),
                interrupt.msix_enable.eq(msix_enable),
                interrupt.forget.eq(state.fenced),
                interrupt.restore.eq(state.restore),
            ]

        # --- Completions and interrupts to the link -------------------------------------------------------
        m.submodules.completion = completion = CompletionBuilder(width, late=bool(late), deferred=bool(late))
        if late and windowed:
            m.d.comb += [detour.onward_late.eq(router.late), completion.late_reply.eq(detour.late)]
        elif late:
            m.d.comb += completion.late_reply.eq(router.late)
        m.d.comb += [
            completion.context.eq(operation.p.context),
            completion.reply_valid.eq(operation.valid & operation.p.answered),
            completion.reply.eq(entrance.reply.p.data),
            completion.first.eq(operation.p.first),
            completion.last.eq(operation.p.last),
            completion.completion.eq(operation.p.completion),
            completion.completer.eq(
                Cat(function, control.bus) if several else Cat(C(0, 3), control.device, control.bus)),
            sequencer.room.eq(completion.room),
        ]
        # What interrupts is the physical function, or adds its number.
        physical = Cat(C(0, 8), control.bus) if several else completion.completer
        # Interrupts first: so none is overtaken by a completion that was handed in after it.
        messages = []
        if owned:
            m.d.comb += self.link.intx.eq(self.intx)
        elif config.intx:
            m.submodules.messenger = messenger = IntxMessenger(width)
            m.d.comb += [messenger.level.eq(self.intx), messenger.requester.eq(physical)]
            messages.append(messenger.beats)
        if Space.MSIX in spaces:
            m.submodules.messages = builder = MessageBuilder(
                width, several=several, long_headers=described)
            wiring.connect(m, interrupt.message, builder.message)
            m.d.comb += builder.requester.eq(physical)
            messages.append(builder.beats)
        if config.requester is None:
            ways_out = [*messages, completion.beats]
            m.submodules.egress = egress = TlpEgress(width, len(ways_out))
            for way, entrance in zip(ways_out, egress.sources, strict=True):
                wiring.connect(m, way, entrance)
            m.submodules.requester = requester = RequesterPort(width)
        else:
            m.submodules.egress = egress = OrderedEgress(width, len(messages))
            m.submodules.requester = requester = Requester(
                width, reads=config.requester.reads, largest=config.requester.largest_read,
                payload=config.datapath.max_payload, timeout=config.requester.timeout,
                space=config.requester.completion_space, long_headers=described)
            for way, entrance in zip(messages, egress.messages, strict=True):
                wiring.connect(m, way, entrance)
            wiring.connect(m, completion.beats, egress.completions)
            wiring.connect(m, requester.writes, egress.writes)
            wiring.connect(m, requester.reads, egress.reads)
            wiring.connect(m, wiring.flipped(self.link.completions) if described else ingress.completions,
                           requester.completions)
            if described:
                m.d.comb += [
                    requester.reads_ok.eq(self.link.reads_ok),
                    self.link.read_leaves.eq(requester.read_leaves),
                ]
            m.d.comb += [
                egress.complete.eq(completion.complete),
                egress.left.eq(completion.left),
                # A clock late, as the gate is: the completion of the access that closes it comes behind the last
                # request.
                requester.now.eq(egress.now),
                requester.read_held.eq(egress.read_held),
                requester.mark.eq(egress.mark),
                egress.clear.eq(requester.clear),
                egress.ticket.eq(requester.ticket),
                egress.read_ticket.eq(requester.read_ticket),
                egress.pending.eq(requester.pending),
                requester.max_payload_size.eq(control.max_payload_size),
                requester.max_read_request_size.eq(control.max_read_request_size),
                requester.extended_tag.eq(control.extended_tag),
                requester.read_completion_boundary.eq(control.read_completion_boundary),
                requester.timeout_disable.eq(control.completion_timeout_disable),
            ]
            if several:
                gate = SharedGate(state.new.shape(), functions, modern=with_modern)
                m.d.comb += [
                    gate.function.eq(function),
                    gate.row.eq(state.new),
                    # Visiting all that vanish takes a while, and none of them may request anything from now on.
                    gate.virtual_open.eq(control.awake & control.vf_enable),
                    gate.bus.eq(control.bus),
                ]
            else:
                gate = FunctionGate(state.row.shape(), modern=with_modern)
                m.d.comb += [gate.row.eq(state.row), gate.requester.eq(Cat(C(0, 3), control.device, control.bus))]
            m.submodules.gate = gate
            m.d.comb += gate.bus_master.eq(control.bus_master)
            wiring.connect(m, requester.read_gate, gate.gates[0])
            wiring.connect(m, requester.write_gate, gate.gates[1])
        wiring.connect(m, egress.beats, wiring.flipped(self.link.tx if owned else self.tx))

        # --- Errors, and the streams that go straight through -----------------------------------------------
        m.submodules.errors = errors = ErrorReporter()
        m.d.comb += [
            errors.dropped.eq(schedule.dropped),
            errors.refused.eq(operation.valid & operation.p.completion.unsupported),
            errors.poisoned.eq(operation.p.poisoned),
            errors.hole.eq(router.hole & ~operation.p.completion.unsupported),
            *(getattr(self, name).eq(getattr(errors, name)) for name in (*_COUNTERS, *_ERRORS)),
        ]
        if not owned:
            m.d.comb += [getattr(config_space, name).eq(getattr(errors, name)) for name in EVENTS]
        if config.requester is not None:
            m.d.comb += [
                errors.completion_malformed.eq(self.link.completions.p.malformed & self.link.completions.valid
                                               if described else ingress.completion_malformed),
                errors.completion_unexpected.eq(requester.unexpected),
                errors.completion_poisoned.eq(requester.poisoned),
            ]
        if several:
            # One that has gone logs nothing; what was on its way to it is logged by the physical function.
            virtual_now = Signal()
            m.d.sync += virtual_now.eq((schedule.coming_function != 0) & (schedule.coming_function <= schedule.present))
            m.d.comb += [
                errors.virtual.eq(virtual_now),
                errors.discarded.eq(schedule.discarded),
                state.errors.eq(errors.virtual_errors),
            ]
        for owner, names in (
            (events, ("reset_done", "fault", "interrupt_cause", "queue_quiet")),
            (notify, ("driver_update", "queue_update", "notification", "reset_request")),
            (requester, ("dma_read", "dma_read_data", "dma_write", "dma_write_data", "dma_write_done")),
        ):
            for name in names:
                wiring.connect(m, getattr(owner, name), wiring.flipped(getattr(self, name)))
        wiring.connect(m, device.write, wiring.flipped(self.config_write))
        wiring.connect(m, device.update, wiring.flipped(self.config_update))
        return m

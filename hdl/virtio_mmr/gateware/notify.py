"""Tells the back end what has become pending, one function's row at a time.

A driver never waits for the back end: everything that concerns the back end is a flag in the
function's row, together with the state that the flag refers to. A REPORT event looks at one queue
and moves what it may into the output registers; flags of queues are visited in turn, so no queue
waits for another.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.spec import legacy
from virtio_mmr.spec.features import TransportFeature

from .backend import DriverEvent, DriverUpdate, Notification, QueueChange, QueueUpdate, ResetRequest
from .state.function import Reported, function_row
from .state.modern import is_modern, negotiated, served
from .state.queues import RingAddresses


class NotifyUnit(wiring.Component):
    """Output registers of the four streams that follow the driver, and the rules of their order.

    A reset request waits until everything of the old epoch has been taken; nothing of the new epoch is
    offered before the reset has been acknowledged. A notification waits until the driver's and the
    queue's updates before it have been taken, and until the function may do DMA at all.

    Parameters
    ----------
    queues
        Number of queues of a function.
    modern
        The build has a modern interface.

    Members
    -------
    row : In(function_row(queues))
    function : In(8)
    may_request : In(1)
        Bus master enabled and power state D0.
    report : In(1)
        Look at `scan` and at the function's flags in this clock.
    reported : Out(Reported)
        What was taken over.
    wanted : Out(1)
        A REPORT would take something, now or after some more of them.
    scan : Out(16)
    page_bytes : Out(4)
        Bytes of its page that are not zero.
    queue_size : In(16), vector : In(16), rings : In(RingAddresses)
        Of queue `scan`.
    addressed, sized : Out(1), data : In(16)
        With a modern interface: whether addresses and size of queue `scan` count; its notification data.
    driver_update, queue_update, notification, reset_request : Out(stream)
    """

    def __init__(self, queues: int, *, modern: bool = False):
        self._queues = queues
        self._modern = modern
        super().__init__({
            **({"addressed": Out(1), "sized": Out(1), "data": In(16)} if modern else {}),
            "row": In(function_row(queues, modern=modern)),
            "function": In(8),
            "may_request": In(1),
            "report": In(1),
            "reported": Out(Reported),
            "wanted": Out(1),
            "scan": Out(16),
            "queue_size": In(16),
            "page_bytes": Out(4),
            "vector": In(16),
            "rings": In(RingAddresses),
            "driver_update": Out(stream.Signature(DriverUpdate)),
            "queue_update": Out(stream.Signature(QueueUpdate)),
            "notification": Out(stream.Signature(Notification)),
            "reset_request": Out(stream.Signature(ResetRequest)),
        })

    def elaborate(self, platform):
        m = Module()
        row, scan = self.row, self.scan
        driver_update, queue_update = self.driver_update, self.queue_update
        notification, reset_request = self.notification, self.reset_request

        scanned = Signal(range(max(self._queues, 2)))
        m.d.comb += scan.eq(scanned)
        here = [Signal(name=f"scans_{i}") for i in range(self._queues)]
        for i in range(self._queues):
            m.d.comb += here[i].eq(scan == i)
        told = Cat(here)
        queue_changed = (row.tell_queue & told).any()
        changes = Mux(self.page_bytes.any(), QueueChange.ENABLE, QueueChange.DISABLE)
        # Of notifications: queues that may be served, the kind of driver, its notification data.
        ready, is_legacy, extra = C(-1, self._queues), C(1), C(0)
        if self._modern:
            m.d.comb += [
                self.addressed.eq((row.queue_addressed & told).any()),
                self.sized.eq((row.queue_sized & told).any()),
            ]
            changes = Mux((row.queue_resetting & told).any(), QueueChange.RESET, Mux(
                (row.queue_enabled & told).any(), QueueChange.ENABLE, QueueChange.DISABLE))
            ready, is_legacy = served(row), ~is_modern(row)
            extra = Mux(negotiated(row, TransportFeature.NOTIFICATION_DATA), self.data, 0)
        else:
            for i in range(self._queues):
                with m.If(here[i]):
                    m.d.comb += self.page_bytes.eq(row.queue_page_bytes[4 * i:4 * i + 4])
        has_vector = (row.queue_vector_valid & told).any() & (self.vector != legacy.NO_VECTOR)

        queue_notified = (row.notified & told & ready).any()

        may_tell = ~row.reset_outstanding
        driver_flags = Cat(row.tell_driver_ok, row.tell_features, row.tell_gate)
        may_update = may_tell & ~driver_update.valid
        may_change = may_tell & ~queue_update.valid
        settled = ~driver_update.valid & ~queue_update.valid & ~driver_flags.any()
        may_notify = (may_tell & ~notification.valid & settled
                      & self.may_request & row.gate & (row.badstate == 0))
        may_reset = (row.reset_unsent & ~driver_update.valid & ~queue_update.valid & ~notification.valid
                     & ~reset_request.valid)
        m.d.comb += self.wanted.eq(
            may_reset | (may_update & driver_flags.any()) | (may_change & row.tell_queue.any())
            | (may_notify & (row.notified & ~row.tell_queue & ready).any()))

        reported = self.reported
        with m.If(self.report):
            m.d.sync += scanned.eq(Mux(scanned == self._queues - 1, 0, scanned + 1))
            m.d.comb += [
                reported.reset.eq(may_reset),
                reported.driver_ok.eq(may_update & row.tell_driver_ok),
                reported.features.eq(may_update & ~row.tell_driver_ok & row.tell_features),
                reported.gate.eq(may_update & ~row.tell_driver_ok & ~row.tell_features & row.tell_gate),
                reported.queue.eq(may_change & queue_changed),
                reported.notification.eq(may_notify & queue_notified & ~queue_changed),
            ]

        for out in (driver_update, queue_update, notification, reset_request):
            with m.If(out.ready):
                m.d.sync += out.valid.eq(0)
        with m.If(reported.reset):
            m.d.sync += [
                reset_request.valid.eq(1),
                reset_request.p.function.eq(self.function),
                reset_request.p.epoch.eq(row.epoch),
                reset_request.p.cause.eq(row.reset_cause),
            ]
        with m.If(reported.driver_ok | reported.features | reported.gate):
            m.d.sync += [
                driver_update.valid.eq(1),
                driver_update.p.function.eq(self.function),
                driver_update.p.event.eq(Mux(
                    reported.driver_ok, DriverEvent.DRIVER_OK, Mux(
                        reported.features, DriverEvent.FEATURES, Mux(
                            row.gate, DriverEvent.GATE_OPEN, DriverEvent.GATE_CLOSE)))),
                driver_update.p.epoch.eq(row.epoch),
                driver_update.p.features.eq(row.driver_features),
                driver_update.p.legacy.eq(is_legacy),
                driver_update.p.big_endian.eq(row.big_endian & is_legacy),
                driver_update.p.driver_ok.eq(row.status[2]),
            ]
        flat = Cat(scan[:(self._queues - 1).bit_length()], self.function)
        with m.If(reported.queue):
            m.d.sync += [
                queue_update.valid.eq(1),
                queue_update.p.function.eq(self.function),
                queue_update.p.queue.eq(scan),
                queue_update.p.row.eq(flat),
                queue_update.p.change.eq(changes),
                queue_update.p.size.eq(self.queue_size),
                queue_update.p.descriptors.eq(self.rings.descriptors),
                queue_update.p.available.eq(self.rings.available),
                queue_update.p.used.eq(self.rings.used),
                queue_update.p.vector_valid.eq(has_vector),
            ]
        with m.If(reported.notification):
            m.d.sync += [
                notification.valid.eq(1),
                notification.p.function.eq(self.function),
                notification.p.queue.eq(scan),
                notification.p.row.eq(flat),
                notification.p.extra.eq(extra),
                notification.p.legacy.eq(is_legacy),
            ]
        return m

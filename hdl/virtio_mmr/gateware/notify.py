"""Tells the back end what has become pending, one function's row at a time.

A driver never waits for the back end: everything that concerns the back end is a flag in the
function's row, together with the state that the flag refers to. A REPORT event looks at one queue
and moves what it may into the output registers; flags of queues are visited in turn, so no queue
waits for another. One function's flags are watched all the time; those of several are judged when its row
changes, and the function takes its turn (`Turns`).
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
    functions
        Number of functions.

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
        A REPORT would take something, now or after some more of them; with several functions, of whichever has
        something to tell.
    next_queue : Out(16)
        The queue to look at then.
    new : In(function_row(queues)), may_request_then : In(1), behind : In(16)
        With several functions: a row as some clock left it, `may_request` of the same function, and the `scan` of that
        clock.
    work : Out(1)
        With several functions: that row holds something that a REPORT would take, of queue `next_queue` if of any: the
        first queue behind that one, or else the first of all.
    scan : In(16)
        A queue of the function.
    page_bytes : Out(4)
        Bytes of its page that are not zero.
    queue_size : In(16), vector : In(16), rings : In(RingAddresses)
        Of queue `scan`. Without a modern interface `rings` is that of the clock before, and a queue's update is offered
        a clock later; with several functions `vector` is, too.
    addressed, sized : Out(1), data : In(16)
        With a modern interface: whether addresses and size of queue `scan` count; its notification data.
    driver_update, queue_update, notification, reset_request : Out(stream)
    """

    def __init__(self, queues: int, *, modern: bool = False, functions: int = 1):
        self._queues = queues
        self._modern = modern
        self._functions = functions
        row = function_row(queues, modern=modern, several=functions > 1)
        super().__init__({
            **({"new": In(row), "may_request_then": In(1), "behind": In(16), "work": Out(1)} if functions > 1 else {}),
            **({"addressed": Out(1), "sized": Out(1), "data": In(16)} if modern else {}),
            "row": In(row),
            "function": In(8),
            "may_request": In(1),
            "report": In(1),
            "reported": Out(Reported),
            "wanted": Out(1),
            "next_queue": Out(16),
            "scan": In(16),
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
        row, scan = self.row, self.scan[:(self._queues - 1).bit_length()]
        driver_update, queue_update = self.driver_update, self.queue_update
        notification, reset_request = self.notification, self.reset_request

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
        vector_valid, named = (row.queue_vector_valid & told).any(), self.vector != legacy.NO_VECTOR
        # An update is offered, or waits for what comes late of its queue.
        filling, late = Signal(), not self._modern
        changing = queue_update.valid | filling if late else queue_update.valid

        queue_notified = (row.notified & told & ready).any()

        may_tell = ~row.reset_outstanding
        driver_flags = Cat(row.tell_driver_ok, row.tell_features, row.tell_gate)
        may_update = may_tell & ~driver_update.valid
        may_change = may_tell & ~changing
        settled = ~driver_update.valid & ~changing & ~driver_flags.any()
        may_notify = (may_tell & ~notification.valid & settled
                      & self.may_request & row.gate & (row.badstate == 0))
        may_reset = row.reset_unsent & ~driver_update.valid & ~changing & ~notification.valid & ~reset_request.valid
        if self._functions == 1:
            turn = Signal(range(max(self._queues, 2)))
            m.d.comb += [
                self.next_queue.eq(turn),
                self.wanted.eq(
                    may_reset | (may_update & driver_flags.any()) | (may_change & row.tell_queue.any())
                    | (may_notify & (row.notified & ~row.tell_queue & ready).any())),
            ]
            with m.If(self.report):
                m.d.sync += turn.eq(Mux(turn == self._queues - 1, 0, turn + 1))
        else:
            self._judge(m, changing)

        reported = self.reported
        with m.If(self.report):
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
        flat = Cat(scan, self.function)
        with m.If(reported.queue):
            m.d.sync += [
                queue_update.p.function.eq(self.function),
                queue_update.p.queue.eq(scan),
                queue_update.p.row.eq(flat),
                queue_update.p.change.eq(changes),
                queue_update.p.size.eq(self.queue_size),
            ]
            if not late:
                m.d.sync += self._fill(vector_valid & named)
        if late:
            late_valid, late_named = Signal(), Signal()
            m.d.sync += [filling.eq(reported.queue), late_valid.eq(vector_valid), late_named.eq(named)]
            with m.If(filling):
                m.d.sync += self._fill(late_valid & (named if self._functions > 1 else late_named))
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

    def _fill(self, has_vector) -> list:
        """What an update takes of its queue's row."""
        queue_update = self.queue_update
        return [
            queue_update.valid.eq(1),
            queue_update.p.descriptors.eq(self.rings.descriptors),
            queue_update.p.available.eq(self.rings.available),
            queue_update.p.used.eq(self.rings.used),
            queue_update.p.vector_valid.eq(has_vector),
        ]

    def _judge(self, m: Module, changing) -> None:
        """Whether a row holds something to tell, and of which queue first."""
        new = self.new
        outputs = (self.driver_update, self.notification, self.reset_request)
        ready = served(new) if self._modern else C(-1, self._queues)
        may_tell = ~new.reset_outstanding
        may_notify = may_tell & self.may_request_then & new.gate & (new.badstate == 0)
        waiting = Signal(self._queues)
        m.d.comb += [
            waiting.eq(Mux(may_tell, new.tell_queue, 0)
                       | Mux(may_notify, new.notified & ~new.tell_queue & ready, 0)),
            self.work.eq(new.reset_unsent | waiting.any()
                         | (may_tell & Cat(new.tell_driver_ok, new.tell_features, new.tell_gate).any())),
            # One turn fills what it can; the next comes when all of that has been taken.
            self.wanted.eq(~Cat(changing, *(out.valid for out in outputs)).any()),
        ]
        for among in (lambda i: C(1), lambda i: i > self.behind[:(self._queues - 1).bit_length()]):
            for i in reversed(range(self._queues)):
                with m.If(waiting[i] & among(i)):
                    m.d.comb += self.next_queue.eq(i)

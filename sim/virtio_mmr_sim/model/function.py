"""The state of one function, what drivers and back end do to it, and what it tells the back end.

Windows (`virtio_mmr_sim.model.windows`) are views of this state and hold none of their own. Every
event toward the back end is a pending mark here; its payload is the state at the moment of delivery,
so changes that the back end did not yet hear of melt into one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.device_types import DeviceType, Owner
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.legacy import NO_VECTOR, PAGE_SHIFT, available_ring_offset, used_ring_offset
from virtio_mmr.spec.status import Isr, Status

from .events import STREAMS, DriverEvent, Event, QueueChange, ResetCause
from .vectors import Message, VectorTable

#: Epochs count modulo this.
EPOCHS = 4

#: Faults that a back end may report; the number is the bit of BADSTATE.
FAULTS = frozenset({1, 2, 3})

#: Order in which driver updates are delivered.
DRIVER_UPDATES = ("driver_ok", "features", "gate")


@dataclass
class Queue:
    """One queue as the driver set it up, through whichever interface."""

    #: Most entries.
    most: int
    size: int
    #: Where its three areas are.
    descriptors: int = 0
    available: int = 0
    used: int = 0
    enabled: bool = False
    #: Enabled by a page number, which needs no DRIVER_OK.
    by_page: bool = False
    #: The back end is to let go of it.
    resetting: bool = False
    vector: int = NO_VECTOR
    #: Newest notification data.
    extra: int = 0
    #: The back end has not heard of the latest change.
    changed: bool = False
    #: The back end has not heard of the latest notification.
    notified: bool = False

    @property
    def page(self) -> int:
        """The descriptor area as a legacy driver sees it."""
        return self.descriptors >> PAGE_SHIFT & 0xFFFF_FFFF

    @property
    def settable(self) -> bool:
        """Size and addresses may change."""
        return not self.enabled and not self.resetting

    def place(self, page: int) -> None:
        """Lay the three areas out from a page number; zero for none."""
        base = page << PAGE_SHIFT
        self.descriptors = base
        self.available = base + available_ring_offset(self.size) if page else 0
        self.used = base + used_ring_offset(self.size) if page else 0

    def start_over(self) -> None:
        """Back to the values after reset; what the back end has to hear is not touched."""
        self.size = self.most
        self.place(0)
        self.enabled = self.by_page = self.resetting = False
        self.vector = NO_VECTOR


@dataclass
class Fence:
    """Resets as the back end sees them: a request with an epoch, and its acknowledgement."""

    epoch: int = 0
    #: A request waits to be accepted by the back end.
    requested: bool = False
    #: The back end has not acknowledged the current epoch.
    outstanding: bool = False
    cause: ResetCause = ResetCause.STATUS

    def start(self, cause: ResetCause) -> None:
        """A request that still waits is reused; otherwise a new epoch begins."""
        if not self.requested:
            self.epoch = (self.epoch + 1) % EPOCHS
        self.requested = True
        self.outstanding = True
        self.cause = cause


@dataclass
class Control:
    """What configuration space says about the function."""

    bus_master: bool = False
    d0: bool = True
    msix_enabled: bool = False
    msix_masked: bool = False
    interrupt_disable: bool = False


@dataclass(frozen=True)
class ConfigBeat:
    """One dword of a configuration update by the device."""

    offset: int
    data: int
    strobe: int


def owners(kind: DeviceType) -> tuple[Owner, ...]:
    """Who may change each byte of the device configuration."""
    found = [Owner.FIXED] * kind.config_size
    for part in kind.config:
        for index in range(part.offset, part.offset + part.size):
            found[index] = part.owner
    return tuple(found)


@dataclass
class Driver:
    """Virtio state that a reset by status clears."""

    #: The driver's part of device status.
    status: int = 0
    needs_reset: bool = False
    features: int = 0
    device_feature_select: int = 0
    driver_feature_select: int = 0
    #: Words in which bits were written that are not offered.
    unsupported: set[int] = field(default_factory=set)
    queue_select: int = 0
    isr: int = 0
    config_vector: int = NO_VECTOR
    #: The policy was judged since the last reset.
    judged: bool = False
    #: Driver updates that the back end has not heard of.
    updates: set[str] = field(default_factory=set)


@dataclass
class Hypervisor:
    """State of the control page; survives a reset by status."""

    big_endian: bool = False
    badstate: int = 0
    required: int = 0
    forbidden: int = 0
    gate: bool = True


class FunctionModel:
    """One function of a device; *first_row* is the flat index of its queue 0."""

    def __init__(self, config: DeviceConfig, number: int = 0, first_row: int = 0):
        self.config = config
        self.number = number
        self._first_row = first_row
        self.owners = owners(config.kind)
        self.control = Control()
        self.fence = Fence()
        self.table = VectorTable(config.msix_vectors)
        self.generation = 0
        #: Bytes of device configuration that the driver wrote and the back end has not heard of.
        self.config_written: set[int] = set()
        self._staged: list[ConfigBeat] = []
        self._take_reset_values()

    def _take_reset_values(self) -> None:
        self._reset_driver(set())
        self.config_generation = 0
        #: The device configuration changed since a driver read any of it.
        self.config_changed = False
        self.hypervisor = Hypervisor(gate=self.config.control is None or self.config.control.gate_open)
        self.device_config = bytearray(self.config.config_image)
        self.config_written.clear()
        self.table.reset()

    def _reset_driver(self, updates: set[str]) -> None:
        self.driver = Driver(updates=updates)
        self.queues = [Queue(size, size) for size in self.config.queues]

    # What the driver sees and does

    @property
    def status(self) -> int:
        """Device status as it reads."""
        return self.driver.status | (Status.DEVICE_NEEDS_RESET if self.driver.needs_reset else 0)

    @property
    def offered(self) -> int:
        """Feature bits that a legacy driver is shown."""
        return self.config.legacy_features & ~self.hypervisor.forbidden

    def offered_word(self, index: int) -> int:
        """Feature bits 32 * index and up that a modern driver is shown."""
        return (self.config.modern_features & ~self.hypervisor.forbidden) >> 32 * index & 0xFFFF_FFFF

    @property
    def modern(self) -> bool:
        """The driver has agreed to version 1."""
        return self._negotiated(TransportFeature.VERSION_1)

    def _negotiated(self, feature: TransportFeature) -> bool:
        return bool(self.driver.features >> feature & 1 and self.driver.status & Status.FEATURES_OK)

    @property
    def legacy_byte_order(self) -> bool:
        """The back end is to treat rings and headers as big-endian."""
        return self.hypervisor.big_endian and not self.modern

    @property
    def interrupt_status(self) -> bool:
        """Interrupt Status of the configuration header; what queues have to tell waits behind a closed gate."""
        told = self.driver.isr if self.hypervisor.gate else self.driver.isr & Isr.CONFIG
        return told != 0 and not self.control.msix_enabled

    @property
    def intx(self) -> bool:
        """INTA is to be raised: a level, and not a matter of bus mastering."""
        control = self.control
        return self.config.intx and self.interrupt_status and control.d0 and not control.interrupt_disable

    def messages(self) -> list[Message]:
        """MSI-X messages that may leave now; their vectors are pending no longer."""
        control = self.control
        if not control.bus_master or not control.d0 or not control.msix_enabled or control.msix_masked:
            return []
        return self.table.send(self.hypervisor.gate)

    @property
    def selected(self) -> Queue | None:
        """The queue that the banked registers show; None if it does not exist."""
        return self._queue(self.driver.queue_select)

    def _queue(self, index: int) -> Queue | None:
        return self.queues[index] if index < len(self.queues) else None

    def read_isr(self) -> int:
        """ISR, which the read clears."""
        value, self.driver.isr = self.driver.isr, 0
        return value

    def write_features(self, merged: int, written: int) -> None:
        """A legacy driver accepts *merged*; *written* are the bits of the bytes that it wrote itself."""
        if self.driver.status & Status.FEATURES_OK:
            return
        self.driver.features = merged & self.offered
        self.driver.updates.add("features")
        if written & self.hypervisor.forbidden:
            self.stop(BadState.POLICY)

    def write_feature_word(self, merged: int, written: int) -> None:
        """A modern driver accepts *merged* in the word that it selected."""
        word = self.driver.driver_feature_select
        if self.driver.status & Status.FEATURES_OK or word > 1:
            return
        offered, shift = self.offered_word(word), 32 * word
        self.driver.features = self.driver.features & ~(0xFFFF_FFFF << shift) | (merged & offered) << shift
        self.driver.unsupported.discard(word)
        if written & ~offered:
            self.driver.unsupported.add(word)
        self.driver.updates.add("features")
        if word == 0 and written & self.hypervisor.forbidden:
            self.stop(BadState.POLICY)

    def write_page(self, page: int) -> None:
        """Load or stop the selected queue."""
        queue = self.selected
        if queue is None or queue.resetting:
            return
        if page != 0 or queue.enabled:
            queue.changed = True
        queue.place(page)
        queue.enabled = queue.by_page = page != 0
        if page == 0:
            queue.notified = False

    def write_size(self, size: int) -> None:
        """Take fewer entries, a power of two."""
        queue = self.selected
        if queue is not None and queue.settable and size.bit_count() == 1 and size <= queue.most:
            queue.size = size

    def write_address(self, area: str, address: int) -> None:
        """Place one area of the selected queue."""
        queue = self.selected
        if queue is not None and queue.settable:
            setattr(queue, area, address)

    def enable_queue(self) -> None:
        """Start the selected queue where its three addresses say."""
        queue = self.selected
        if queue is not None and queue.settable:
            queue.enabled = queue.changed = True

    def reset_queue(self) -> None:
        """The selected queue starts over, once the back end has let go of it."""
        queue = self.selected
        if queue is None or queue.resetting or not self._negotiated(TransportFeature.RING_RESET):
            return
        if queue.enabled:
            queue.resetting = queue.changed = True
            queue.notified = False
        else:
            queue.start_over()

    def _known_vector(self, value: int) -> int:
        """What a vector register stores when *value* is written."""
        return value if value < self.config.msix_vectors else NO_VECTOR

    def write_config_vector(self, written: int, enabled: int) -> None:
        """The driver writes the bits *enabled* of the vector for configuration changes."""
        self.driver.config_vector = self._known_vector(self.driver.config_vector & ~enabled | written)

    def write_queue_vector(self, written: int, enabled: int) -> None:
        """The same for the selected queue."""
        if self.selected is not None:
            self.selected.vector = self._known_vector(self.selected.vector & ~enabled | written)

    def notify(self, index: int, extra: int = 0) -> None:
        """The driver says that queue *index* has new buffers; *extra* says where it will go on."""
        queue = self._queue(index)
        if queue is None or not queue.enabled or queue.resetting:
            return
        queue.notified = True
        queue.extra = extra if self._negotiated(TransportFeature.NOTIFICATION_DATA) else 0
        if not self.driver.judged:
            self._judge()

    def write_modern_status(self, value: int) -> None:
        """As `write_status`, but FEATURES_OK is not taken with features that a modern driver cannot have."""
        acceptable = self.driver.features >> TransportFeature.VERSION_1 & 1 and not self.driver.unsupported
        if not acceptable and not self.driver.status & Status.FEATURES_OK and value:
            self._store_status(value & ~Status.FEATURES_OK)
        else:
            self.write_status(value)

    def write_status(self, value: int) -> None:
        """Zero resets; anything else is stored, except the bit that is the device's."""
        if value == 0:
            self._reset_by_status()
        else:
            self._store_status(value)

    def _store_status(self, value: int) -> None:
        before = self.driver.status
        self.driver.status = value & ~Status.DEVICE_NEEDS_RESET
        if self.driver.status & ~before & Status.DRIVER_OK:
            self.driver.updates.add("driver_ok")
            self._judge()
            if self.hypervisor.badstate:
                self._need_reset()

    def write_config(self, written: dict[int, int]) -> None:
        """Bytes of device configuration, by their place in the image; only the driver's own are taken."""
        taken = {
            index: value for index, value in written.items()
            if self._owner(index) is Owner.DRIVER
        }
        for index, value in taken.items():
            self.device_config[index] = value
        if taken:
            self.config_written |= taken.keys()
            self.config_changed = True
            self._changed()

    def read_config(self) -> None:
        """A driver reads some of the device configuration: what it sees now has a generation of its own."""
        if self.config_changed:
            self.config_generation = (self.config_generation + 1) & 0xFF
            self.config_changed = False

    # What the hypervisor does

    def write_gate(self, gate: bool) -> None:
        """Open or close the way for DMA requests and queue interrupts."""
        if gate != self.hypervisor.gate:
            self.hypervisor.gate = gate
            self.driver.updates.add("gate")

    def stop(self, cause: BadState) -> None:
        """Enter a bad state: no DMA and no queue interrupt until it is cleared."""
        # Without a control page nobody could clear the reason: a device reset must be cure enough.
        if self.config.control is not None:
            self.hypervisor.badstate |= cause
        self._fence(ResetCause.BAD_STATE)
        if self.status:
            self._need_reset()

    def set_msix_enabled(self, enabled: bool) -> None:
        """MSI-X Enable moves the device configuration in the legacy window."""
        if enabled != self.control.msix_enabled:
            self.control.msix_enabled = enabled
            self._changed()

    # Inner workings

    def _owner(self, index: int) -> Owner:
        """Who may change a byte of the device configuration; nobody, where there is none."""
        return self.owners[index] if index < len(self.owners) else Owner.FIXED

    def _row(self, queue: int) -> int:
        """Index of a queue among the queues of all functions."""
        return self._first_row + queue

    def _fence(self, cause: ResetCause) -> None:
        """Nothing of what was on its way is sent any more; the back end is told."""
        self.fence.start(cause)
        self.table.forget()

    def _changed(self) -> None:
        self.generation = (self.generation + 1) & 0xFFFF_FFFF

    def _need_reset(self) -> None:
        """Set DEVICE_NEEDS_RESET and raise a configuration interrupt."""
        if not self.driver.needs_reset:
            self.driver.needs_reset = True
            self._changed()
        self._interrupt_config()

    def _interrupt_config(self) -> None:
        self.driver.isr |= Isr.CONFIG
        if self.control.msix_enabled:
            self.table.pend_for_configuration(self.driver.config_vector)

    def _judge(self) -> None:
        """Compare what the driver accepted with what the hypervisor requires."""
        self.driver.judged = True
        if self.hypervisor.required & ~self.driver.features:
            self.stop(BadState.POLICY)

    def _reset_by_status(self) -> None:
        if self.driver.needs_reset:
            self._changed()
        # What the hypervisor has done to the gate stays, and so does the news of it.
        self._reset_driver(self.driver.updates & {"gate"})
        self._fence(ResetCause.STATUS)

    def function_level_reset(self, cause: ResetCause = ResetCause.FLR) -> None:
        """Everything but the epoch and the generation returns to its value after reset."""
        self._take_reset_values()
        self.control = Control()
        self._changed()
        self._fence(cause)

    # What the back end does

    def _heeds(self, epoch: int) -> bool:
        """Causes and faults count only in their own epoch, and only after the reset is acknowledged."""
        return epoch == self.fence.epoch and not self.fence.outstanding

    def interrupt_cause(self, epoch: int, config_change: bool, index: int = 0) -> None:
        """The device used a buffer of queue *index*, or changed its configuration."""
        if not self._heeds(epoch):
            return
        queue = self._queue(index)
        if config_change:
            self._interrupt_config()
        elif not self.hypervisor.badstate and self._may_interrupt(queue):
            self.driver.isr |= Isr.QUEUE
            if queue is not None and self.control.msix_enabled:
                self.table.pend_for_queue(queue.vector)

    def _waits(self, queue: Queue) -> bool:
        """The queue's buffers must not be used yet: its driver, a modern one, is not ready."""
        return queue.enabled and not queue.by_page and not self.driver.status & Status.DRIVER_OK

    def _may_interrupt(self, queue: Queue | None) -> bool:
        """A used buffer of the queue counts. A modern driver hears nothing of a queue that is not enabled.

        Nothing, then, of one whose reset is over; while it lasts, the back end may still use buffers.
        """
        if queue is None or not queue.enabled:
            return not self.modern
        return not self._waits(queue)

    def may_request(self, epoch: int) -> bool:
        """The function may reach host memory for the back end, which believes itself in *epoch*."""
        started = any(queue.by_page for queue in self.queues) or self.driver.status & Status.DRIVER_OK
        return bool(self.control.bus_master and self.control.d0 and self.hypervisor.gate and started
                    and not self.hypervisor.badstate and self._heeds(epoch))

    def queue_quiet(self, index: int) -> None:
        """The back end has let go of a queue that is being reset."""
        queue = self._queue(index)
        if queue is not None and queue.resetting and not queue.changed:
            queue.start_over()

    def fault(self, epoch: int, cause: int) -> None:
        """The device cannot go on."""
        if self._heeds(epoch) and cause in FAULTS:
            self.stop(BadState(1 << cause))

    def config_update(self, offset: int, data: int, strobe: int, last: bool) -> None:
        """The device changes its configuration; beats are applied together at the last one."""
        self._staged.append(ConfigBeat(offset & ~3, data, strobe))
        if not last:
            return
        for beat in self._staged:
            for lane in range(4):
                if beat.strobe >> lane & 1 and self._owner(beat.offset + lane) is not Owner.FIXED:
                    self.device_config[beat.offset + lane] = beat.data >> 8 * lane & 0xFF
        self._staged.clear()
        self.config_changed = True
        self._changed()

    def reset_done(self, epoch: int) -> None:
        """The back end is ready for the epoch."""
        if epoch == self.fence.epoch:
            self.fence.outstanding = False

    # What the back end is told

    def take(self, accept: Collection[str] = STREAMS) -> Event | None:
        """The next event on one of the streams *accept*, which is then no longer pending."""
        for stream, deliver in (
            ("reset_request", self._take_reset_request),
            ("driver_update", self._take_driver_update),
            ("queue_update", self._take_queue_update),
            ("config_write", self._take_config_write),
            ("notification", self._take_notification),
        ):
            if stream in accept:
                fields = deliver()
                if fields is not None:
                    return stream, {"function": self.number, **fields}
        return None

    def _take_reset_request(self) -> dict[str, int] | None:
        if not self.fence.requested:
            return None
        self.fence.requested = False
        return {"epoch": self.fence.epoch, "cause": self.fence.cause}

    def _take_driver_update(self) -> dict[str, int] | None:
        if self.fence.outstanding:
            return None
        for name in DRIVER_UPDATES:
            if name in self.driver.updates:
                self.driver.updates.remove(name)
                return {
                    "event": self._driver_event(name),
                    "epoch": self.fence.epoch,
                    "features": self.driver.features,
                    "legacy": int(not self.modern),
                    "big_endian": int(self.legacy_byte_order),
                    "driver_ok": int(self.driver.status & Status.DRIVER_OK != 0),
                }
        return None

    def _driver_event(self, name: str) -> DriverEvent:
        if name == "driver_ok":
            return DriverEvent.DRIVER_OK
        if name == "features":
            return DriverEvent.FEATURES
        return DriverEvent.GATE_OPEN if self.hypervisor.gate else DriverEvent.GATE_CLOSE

    def _take_queue_update(self) -> dict[str, int] | None:
        """Queues in ascending order; which goes first is not part of the contract."""
        if self.fence.outstanding:
            return None
        for index, queue in enumerate(self.queues):
            if queue.changed:
                queue.changed = False
                change = QueueChange.ENABLE if queue.enabled else QueueChange.DISABLE
                return {
                    "queue": index,
                    "row": self._row(index),
                    "change": QueueChange.RESET if queue.resetting else change,
                    "size": queue.size,
                    "descriptors": queue.descriptors,
                    "available": queue.available,
                    "used": queue.used,
                    "first_available": 0,
                    "first_used": 0,
                    "vector_valid": int(queue.vector != NO_VECTOR),
                }
        return None

    def _take_config_write(self) -> dict[str, int] | None:
        """Dwords in ascending order, with the bytes as they are now and zero in the lanes not written."""
        if not self.config_written:
            return None
        offset = min(self.config_written) & ~3
        lanes = [lane for lane in range(4) if offset + lane in self.config_written]
        self.config_written -= {offset + lane for lane in lanes}
        return {
            "offset": offset,
            "data": sum(self.device_config[offset + lane] << 8 * lane for lane in lanes),
            "strobe": sum(1 << lane for lane in lanes),
        }

    def _take_notification(self) -> dict[str, int] | None:
        """Queues in ascending order; which goes first is not part of the contract."""
        open_ = self.control.bus_master and self.control.d0 and self.hypervisor.gate
        if not open_ or self.hypervisor.badstate or self.fence.outstanding or self.driver.updates:
            return None
        for index, queue in enumerate(self.queues):
            if queue.notified and not queue.changed and not self._waits(queue):
                queue.notified = False
                # As everything that is told, it is of now: a driver may have taken FEATURES_OK back since.
                extra = queue.extra if self._negotiated(TransportFeature.NOTIFICATION_DATA) else 0
                return {"queue": index, "row": self._row(index), "extra": extra, "legacy": int(not self.modern)}
        return None

    def state(self) -> dict[str, int | bytes]:
        """Everything that can be observed from outside, and what is pending."""
        driver, hypervisor, fence = self.driver, self.hypervisor, self.fence
        found: dict[str, int | bytes] = {
            "device_status": self.status,
            "driver_features": driver.features,
            "queue_select": driver.queue_select,
            "isr_status": driver.isr,
            "config_vector": driver.config_vector,
            "generation": self.generation,
            "config_generation": self.config_generation,
            "endian": int(hypervisor.big_endian),
            "badstate": hypervisor.badstate,
            "required": hypervisor.required,
            "forbidden": hypervisor.forbidden,
            "gate": int(hypervisor.gate),
            "device_config": bytes(self.device_config),
            "epoch": fence.epoch,
            "reset_outstanding": int(fence.outstanding),
            "msix_table": self.table.image(),
            "msix_pending": sum(vector.pending << number for number, vector in enumerate(self.table.vectors)),
            "intx": int(self.intx),
            "pending.reset_request": int(fence.requested),
            "pending.config_write": sum(1 << index for index in self.config_written),
        }
        for name in DRIVER_UPDATES:
            found[f"pending.driver_update.{name}"] = int(name in driver.updates)
        for index, queue in enumerate(self.queues):
            found[f"queue{index}.page"] = queue.page
            found[f"queue{index}.vector"] = queue.vector
            if self.config.modern:
                found[f"queue{index}.size"] = queue.size
                found[f"queue{index}.enable"] = int(queue.enabled)
                found[f"queue{index}.reset"] = int(queue.resetting)
                found[f"queue{index}.available"] = queue.available
                found[f"queue{index}.used"] = queue.used
            found[f"pending.queue_update.{index}"] = int(queue.changed)
            found[f"pending.notification.{index}"] = int(queue.notified)
        return found

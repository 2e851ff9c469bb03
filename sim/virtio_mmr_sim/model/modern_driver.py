"""A modern driver as scripts of register accesses, which anybody can run.

As in `virtio_mmr_sim.model.driver`, a script yields an operation and is sent the value read. Here an
operation names the window as well, since a modern driver uses several. Order and widths are those of
Linux 6.12, drivers/virtio/virtio_pci_modern.c and virtio_pci_modern_dev.c.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from virtio_mmr.config.device import Space
from virtio_mmr.spec.device_types import DeviceType
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.legacy import NO_VECTOR
from virtio_mmr.spec.modern import COMMON
from virtio_mmr.spec.status import Status

from .driver import DriverRefused, SetMsix, fields_of


@dataclass(frozen=True)
class Get:
    """Read *width* bytes at *offset* of a window."""

    space: Space
    offset: int
    width: int


@dataclass(frozen=True)
class Put:
    """Write *width* bytes at *offset* of a window."""

    space: Space
    offset: int
    width: int
    value: int


Operation = Get | Put | SetMsix
T = TypeVar("T")
Script = Generator[Operation, int, T]


class Port(Protocol):
    """Synchronous access to the windows of a function."""

    def get(self, space: Space, offset: int, width: int) -> int:
        """Read *width* bytes as a little-endian number."""

    def put(self, space: Space, offset: int, width: int, value: int) -> None:
        """Write *width* bytes."""

    def set_msix(self, enable: bool) -> None:
        """Set MSI-X Enable."""


def run(script: Script[T], port: Port) -> T:
    """Run a script to its end; gives what it returns."""
    try:
        operation = next(script)
        while True:
            answer = 0
            match operation:
                case Get(space, offset, width):
                    answer = port.get(space, offset, width)
                case Put(space, offset, width, value):
                    port.put(space, offset, width, value)
                case SetMsix(enable):
                    port.set_msix(enable)
            operation = script.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


@dataclass(frozen=True, kw_only=True)
class ModernPlan:
    """What the driver is to do with a device."""

    kind: DeviceType
    #: Descriptor, driver and device area of each queue; as many queues are set up.
    areas: Sequence[tuple[int, int, int]]
    #: Feature bits that the driver knows.
    features: int = (1 << 64) - 1
    #: Most entries that the driver wants in a queue.
    most_entries: int = 1 << 15
    #: MSI-X vectors that the operating system gives the driver; 0: it uses INTx.
    vectors: int = 0
    #: Bytes between two notification addresses, from the capability.
    multiplier: int = 0


@dataclass
class ModernBound:
    """What the driver found out about the device."""

    features: int = 0
    #: Entries of each queue, as the driver uses them.
    sizes: list[int] = field(default_factory=list)
    #: Where in the notification region each queue is notified.
    notify_at: list[int] = field(default_factory=list)
    #: Configuration fields by name, as bytes in the order of the window.
    config: dict[str, bytes] = field(default_factory=dict)


def get(name: str, part: int = 0, width: int = 0) -> Script[int]:
    """Read a register of the common configuration, or *width* bytes of it."""
    register = COMMON[name]
    return (yield Get(Space.COMMON, register.offset + part, width or register.size))


def put(name: str, value: int, part: int = 0, width: int = 0) -> Script[None]:
    """Write a register of the common configuration, or *width* bytes of it."""
    register = COMMON[name]
    yield Put(Space.COMMON, register.offset + part, width or register.size, value)


class LinuxModern:
    """Selects the queue anew before every access to a banked register; enables all queues at the end."""

    def __init__(self, plan: ModernPlan) -> None:
        self.plan = plan
        self.bound = ModernBound()
        self.msix = False

    # Status

    def reset(self) -> Script[None]:
        """Write zero, and read until it is there."""
        yield from put("device_status", 0)
        while (yield from get("device_status")):
            pass

    def add_status(self, bits: int) -> Script[None]:
        """Set status bits by reading the register first."""
        status = yield from get("device_status")
        yield from put("device_status", status | bits)

    def negotiate(self) -> Script[None]:
        """Accept what both sides know, and have it confirmed.

        Raises
        ------
        DriverRefused
            If the device is not one of version 1, or does not agree.
        """
        offered = 0
        for word in (0, 1):
            yield from put("device_feature_select", word)
            offered |= (yield from get("device_feature")) << 32 * word
        self.bound.features = offered & self.plan.features
        if not self.bound.features >> TransportFeature.VERSION_1 & 1:
            raise DriverRefused("the device does not offer VERSION_1")
        for word in (0, 1):
            yield from put("driver_feature_select", word)
            yield from put("driver_feature", self.bound.features >> 32 * word & 0xFFFF_FFFF)
        yield from self.add_status(Status.FEATURES_OK)
        if not (yield from get("device_status")) & Status.FEATURES_OK:
            raise DriverRefused("the device does not agree to the features")

    # Configuration

    def read_field(self, offset: int, width: int, count: int) -> Script[bytes]:
        """Read *count* elements of *width* bytes until the generation stands still meanwhile."""
        generation = yield from get("config_generation")
        while True:
            before, data = generation, bytearray()
            for at in range(offset, offset + width * count, width):
                for half in range(at, at + width, 4):
                    value = yield Get(Space.DEVICE, half, min(width, 4))
                    data += value.to_bytes(min(width, 4), "little")
            generation = yield from get("config_generation")
            if generation == before:
                return bytes(data)

    # Queues

    def select(self, index: int) -> Script[None]:
        """Show a queue in the banked registers."""
        yield from put("queue_select", index)

    def set_vector(self, name: str, vector: int) -> Script[None]:
        """Write a vector register and read it back.

        Raises
        ------
        DriverRefused
            If the device did not take the vector.
        """
        yield from put(name, vector)
        if (stored := (yield from get(name))) != vector:
            raise DriverRefused(f"the device stored vector {stored:#x} instead of {vector:#x}")

    def set_up_queue(self, index: int) -> Script[None]:
        """Check, place and connect one queue.

        Raises
        ------
        DriverRefused
            If it does not exist or is in use.
        """
        if index >= (yield from get("num_queues")):
            raise DriverRefused(f"queue {index} does not exist")
        yield from self.select(index)
        size = yield from get("queue_size")
        yield from self.select(index)
        if size == 0 or (yield from get("queue_enable")):
            raise DriverRefused(f"queue {index} is in use or has no size")
        size = min(size, self.plan.most_entries)
        self.bound.sizes[index:] = [size]
        yield from self.activate(index)
        yield from self.select(index)
        self.bound.notify_at[index:] = [(yield from get("queue_notify_off")) * self.plan.multiplier]

    def activate(self, index: int) -> Script[None]:
        """Give the device size, addresses and vector of a queue."""
        yield from self.select(index)
        yield from put("queue_size", self.bound.sizes[index])
        yield from self.select(index)
        for name, address in zip(("queue_desc", "queue_driver", "queue_device"), self.plan.areas[index], strict=True):
            yield from put(name, address & 0xFFFF_FFFF, width=4)
            yield from put(name, address >> 32, part=4, width=4)
        if self.msix:
            yield from self.select(index)
            yield from self.set_vector("queue_msix_vector", 1 + index if self.plan.vectors > index + 1 else 1)

    def enable(self, index: int) -> Script[None]:
        """Start a queue."""
        yield from self.select(index)
        yield from put("queue_enable", 1)

    def reset_queue(self, index: int) -> Script[None]:
        """Have the device let go of a queue, and wait for it."""
        yield from self.select(index)
        yield from put("queue_reset", 1)
        while (yield from get("queue_reset")):
            pass
        while (yield from get("queue_enable")):
            pass

    # A driver's life

    def probe(self) -> Script[ModernBound]:
        """Find out about the device and set it up to the point where its queues run.

        Raises
        ------
        DriverRefused
            Where Linux gives up.
        """
        plan, bound = self.plan, self.bound
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        yield from self.negotiate()
        for part in fields_of(plan.kind, bound.features):
            bound.config[part.name] = yield from self.read_field(part.offset, part.width // 8, part.count)
        self.msix = plan.vectors > 1
        if self.msix:
            yield SetMsix(True)
            yield from self.set_vector("config_msix_vector", 0)
        for index in range(len(plan.areas)):
            yield from self.set_up_queue(index)
        for index in range(len(plan.areas)):
            yield from self.enable(index)
        yield from self.add_status(Status.DRIVER_OK)
        return bound

    def notify(self, index: int, data: int = 0) -> Script[None]:
        """Tell the device of new buffers."""
        wide = self.bound.features >> TransportFeature.NOTIFICATION_DATA & 1
        at = self.bound.notify_at[index]
        yield Put(Space.NOTIFY, at, 4 if wide else 2, index | data << 16 if wide else index)

    def interrupt(self) -> Script[int]:
        """What the handler of a line interrupt does first: read and clear the interrupt status."""
        return (yield Get(Space.ISR, 0, 1))

    def remove(self) -> Script[None]:
        """Let go of the device."""
        yield from self.reset()
        if self.msix:
            for index in range(len(self.plan.areas)):
                yield from self.select(index)
                yield from self.set_vector("queue_msix_vector", NO_VECTOR)
            yield from self.set_vector("config_msix_vector", NO_VECTOR)
            yield SetMsix(False)
            self.msix = False

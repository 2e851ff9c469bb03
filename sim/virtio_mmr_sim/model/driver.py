"""Legacy drivers as scripts of register accesses, which anybody can run.

A script is a generator: it yields an operation and is sent the value read (0 after anything else). So
the same script drives the golden model, a native simulation and a cocotb bench. Offsets are bytes from
the start of the legacy window, widths are bytes.

The scripts repeat the order and width of the accesses that the real drivers make at the transport.
The real ones bind to a few device types only; here each takes any type and reads its configuration
fields in the driver's own manner.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from virtio_mmr.spec.device_types import ConfigField, DeviceType
from virtio_mmr.spec.legacy import CONFIG_OFFSET, HEADER


@dataclass(frozen=True)
class Read:
    """Read *width* bytes."""

    offset: int
    width: int


@dataclass(frozen=True)
class Write:
    """Write *width* bytes."""

    offset: int
    width: int
    value: int


@dataclass(frozen=True)
class SetMsix:
    """Set MSI-X Enable in configuration space, which the operating system does for its driver."""

    enable: bool


Operation = Read | Write | SetMsix
T = TypeVar("T")
Script = Generator[Operation, int, T]


class DriverRefused(Exception):
    """The driver would not bind to this device; the text says why."""


class Port(Protocol):
    """Synchronous access to a legacy window."""

    def read(self, offset: int, width: int) -> int:
        """Read *width* bytes as a little-endian number."""

    def write(self, offset: int, width: int, value: int) -> None:
        """Write *width* bytes."""

    def set_msix(self, enable: bool) -> None:
        """Set MSI-X Enable."""


def run(script: Script[T], port: Port) -> T:
    """Run a script to its end; gives what it returns."""
    answer = 0
    try:
        operation = next(script)
        while True:
            match operation:
                case Read(offset, width):
                    answer = port.read(offset, width)
                case Write(offset, width, value):
                    port.write(offset, width, value)
                    answer = 0
                case SetMsix(enable):
                    port.set_msix(enable)
                    answer = 0
            operation = script.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the driver is to do with a device."""

    kind: DeviceType
    #: Page number of each queue's rings; as many queues are set up.
    pages: Sequence[int]
    #: Feature bits that the driver knows.
    features: int = 0xFFFF_FFFF
    #: MSI-X vectors that the operating system gives the driver; 0: it uses INTx.
    vectors: int = 0


@dataclass
class Bound:
    """What the driver found out about the device."""

    features: int = 0
    #: Entries of each queue.
    sizes: list[int] = field(default_factory=list)
    #: Configuration fields by name, as bytes in the order of the window.
    config: dict[str, bytes] = field(default_factory=dict)
    #: Vector of each queue, if MSI-X is used.
    vectors: list[int] = field(default_factory=list)


def _register(name: str) -> tuple[int, int]:
    """Offset and width in bytes of a legacy register."""
    register = HEADER[name]
    return register.offset, register.size


DEVICE_FEATURES, DRIVER_FEATURES = _register("device_features"), _register("driver_features")
QUEUE_ADDRESS, QUEUE_SIZE = _register("queue_address"), _register("queue_size")
QUEUE_SELECT, QUEUE_NOTIFY = _register("queue_select"), _register("queue_notify")
DEVICE_STATUS, ISR_STATUS = _register("device_status"), _register("isr_status")
CONFIG_VECTOR, QUEUE_VECTOR = _register("config_vector"), _register("queue_vector")

#: Fields that drivers read before they set up queues; the others they read after it.
EARLY_FIELDS = frozenset({"mac", "mtu", "max_virtqueue_pairs", "seg_max", "num_queues", "max_nr_ports"})


def fields_of(kind: DeviceType, features: int) -> list[ConfigField]:
    """The configuration fields that have a meaning with these *features*."""
    return [
        part for part in kind.config
        if not part.name.startswith("unused")
        and (part.feature is None or features >> kind.features[part.feature] & 1)
    ]


def get(register: tuple[int, int]) -> Script[int]:
    """Read a register at its natural width."""
    return (yield Read(*register))


def put(register: tuple[int, int], value: int) -> Script[None]:
    """Write a register at its natural width."""
    yield Write(*register, value)


class LegacyDriver(ABC):
    """One driver; its methods are scripts. An object drives one device."""

    #: What the driver is called in test names.
    name: str

    def __init__(self) -> None:
        #: The driver's own idea of MSI-X Enable.
        self.msix = False

    @abstractmethod
    def probe(self, plan: Plan) -> Script[Bound]:
        """Find out about the device and set it up to the point where its queues run.

        Raises
        ------
        DriverRefused
            Where the real driver gives up.
        """

    @abstractmethod
    def remove(self, plan: Plan) -> Script[None]:
        """Let go of the device."""

    def notify(self, queue: int) -> Script[None]:
        """Tell the device of new buffers."""
        yield from put(QUEUE_NOTIFY, queue)

    def interrupt(self) -> Script[int]:
        """What the handler of a line interrupt does first: read and clear the interrupt status."""
        return (yield from get(ISR_STATUS))

    # What most of them share

    def add_status(self, bits: int) -> Script[None]:
        """Set status bits by reading the register first."""
        status = yield from get(DEVICE_STATUS)
        yield from put(DEVICE_STATUS, status | bits)

    def negotiate(self, plan: Plan) -> Script[int]:
        """Accept what both sides know."""
        features = (yield from get(DEVICE_FEATURES)) & plan.features
        yield from put(DRIVER_FEATURES, features)
        return features

    def config_offset(self) -> int:
        """Where the driver believes the device configuration to start."""
        return CONFIG_OFFSET[self.msix]

    def read_config(self, offset: int, size: int) -> Script[bytes]:
        """Read bytes of device configuration; here one by one."""
        data = bytearray()
        for index in range(size):
            data.append((yield Read(self.config_offset() + offset + index, 1)))
        return bytes(data)

    def write_config(self, offset: int, data: bytes) -> Script[None]:
        """Write bytes of device configuration; here one by one."""
        for index, value in enumerate(data):
            yield Write(self.config_offset() + offset + index, 1, value)

    def read_field(self, part: ConfigField) -> Script[bytes]:
        """Read one field of the device configuration."""
        return (yield from self.read_config(part.offset, part.size))

    def read_fields(self, plan: Plan, features: int, *, early: bool) -> Script[Mapping[str, bytes]]:
        """Read the fields of one phase of the probe."""
        found = {}
        for part in fields_of(plan.kind, features):
            if (part.name in EARLY_FIELDS) == early:
                found[part.name] = yield from self.read_field(part)
        return found

    def find_queue(self, index: int, *, check_page: bool = True) -> Script[int]:
        """Select a queue and give its size.

        Raises
        ------
        DriverRefused
            If it does not exist or, with *check_page*, is in use.
        """
        yield from put(QUEUE_SELECT, index)
        size = yield from get(QUEUE_SIZE)
        if size == 0:
            raise DriverRefused(f"queue {index} does not exist: its size is 0")
        if check_page:
            yield from self.refuse_active(index)
        return size

    def refuse_active(self, index: int) -> Script[None]:
        """Give up if the selected queue has a page already."""
        page = yield from get(QUEUE_ADDRESS)
        if page != 0:
            raise DriverRefused(f"queue {index} is already in use: its page is {page:#x}")

    def set_vector(self, register: tuple[int, int], vector: int) -> Script[None]:
        """Write a vector register and read it back.

        Raises
        ------
        DriverRefused
            If the device did not take the vector.
        """
        yield from put(register, vector)
        if (stored := (yield from get(register))) != vector:
            raise DriverRefused(f"the device stored vector {stored:#x} instead of {vector:#x}")

    def enable_msix(self, enable: bool) -> Script[None]:
        """Have the operating system switch MSI-X on or off."""
        yield SetMsix(enable)
        self.msix = enable


def queue_vectors(plan: Plan) -> list[int]:
    """Vector of each queue, behind vector 0 for the configuration: one each if there are enough, else one for all.

    Empty if there are not even two: then the driver uses INTx.
    """
    count = len(plan.pages)
    if plan.vectors < 2:
        return []
    return [1 + index for index in range(count)] if plan.vectors > count else [1] * count


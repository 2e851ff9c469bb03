"""What a device file says, as data.

`virtio_mmr.config.load` reads it from a file and `virtio_mmr.config.check` holds the rules;
`virtio_mmr.layout` gives places.
"""

import enum
from dataclasses import dataclass, field

from virtio_mmr.spec import configuration
from virtio_mmr.spec.device_types import DeviceType
from virtio_mmr.spec.features import LEGACY_ONLY, TransportFeature
from virtio_mmr.spec.hard_ip import ADAPTERS, HardIp
from virtio_mmr.spec.profiles import mmr_v1

#: Least bytes that a BAR may claim: PCI Local Bus 3.0, 6.2.5.1, and PCI Express Base 5.0, 7.5.1.2.1.
LEAST_IO, LEAST_MEMORY = 4, 128


class Identity(enum.Enum):
    """Which ids the device shows, and so which drivers bind to it."""

    MMR = "mmr"                        #: 0x10F9 to 0x10FF: no driver binds, a hypervisor drives it
    LEGACY_MEMORY = "legacy-memory"    #: 0x1000-series with the legacy window in memory BAR 0
    LEGACY_IO = "legacy-io"            #: 0x1000-series with the legacy window in I/O BAR 0


class BarKind(enum.Enum):
    """What a base address register decodes."""

    MEMORY32 = "memory32"
    MEMORY64 = "memory64"
    IO = "io"


class Space(enum.Enum):
    """Register window that a region of a BAR shows."""

    LEGACY = "legacy"
    CONTROL = "control"
    ISR = "isr"
    DEVICE = "device"
    MSIX = "msix"
    COMMON = "common"
    NOTIFY = "notify"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A window inside a BAR, in bytes."""

    space: Space
    offset: int
    size: int
    #: Bytes between the notification addresses of two queues; 0 if all share one. Only of "notify".
    stride: int = 0

    @property
    def end(self) -> int:
        """First byte behind the region."""
        return self.offset + self.size


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One base address register. Its size is the least power of two that holds its regions."""

    index: int
    kind: BarKind
    regions: tuple[Region, ...]
    prefetchable: bool = False
    #: Least size in bytes, a power of two; 0 for "as small as it can be".
    size: int = 0

    @property
    def decoded_size(self) -> int:
        """Bytes that the BAR claims."""
        least = LEAST_IO if self.kind is BarKind.IO else LEAST_MEMORY
        used = max((region.end for region in self.regions), default=0)
        return max(least, self.size, 1 << (used - 1).bit_length() if used > 1 else 1)


@dataclass(frozen=True, kw_only=True)
class Control:
    """The control page's build options."""

    #: The back end can serve big-endian guests.
    big_endian: bool = False
    #: Reset value of the DMA gate.
    gate_open: bool = False


@dataclass(frozen=True, kw_only=True)
class Datapath:
    """Width and strictness of the TLP path."""

    #: Bits of the raw TLP streams: 64, 128, 256 or 512.
    width: int = 128
    #: Bus toward the link.
    adapter: str = "raw"
    #: Largest payload in bytes that the device advertises.
    max_payload: int = 128
    #: Drop requests whose byte enables break the rules as malformed.
    check_byte_enables: bool = True
    #: Answer 64-bit requests below 4 GiB with "unsupported request".
    strict_64bit: bool = False

    @property
    def hard_ip(self) -> HardIp:
        """What the adapter's IP has."""
        return ADAPTERS[self.adapter]


@dataclass(frozen=True, kw_only=True)
class Requester:
    """DMA of the back end."""

    #: Reads in flight: 32, 64, 128 or 256.
    reads: int = 64
    #: Bytes that one read asks for at most, whatever software allows.
    largest_read: int = 512
    #: Clock cycles that the host has for a read.
    timeout: int = 1 << 21
    #: Completions, and bytes of their payload, that the hard block has room for; 0: any number.
    completion_headers: int = 0
    completion_bytes: int = 0

    @property
    def completion_space(self) -> tuple[int, int] | None:
        """Completions and 16-byte units of their payload that may be on their way, or None for any number."""
        return (self.completion_headers, self.completion_bytes // 16) if self.completion_headers else None


@dataclass(frozen=True, kw_only=True)
class VirtualFunctions:
    """The virtual functions of a device; they are all alike."""

    count: int
    #: One of them. Its BARs are the base addresses of the SR-IOV capability.
    function: "DeviceConfig"


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """A complete, checked device, or one of its virtual functions."""

    kind: DeviceType
    identity: Identity
    revision: int = 0
    profile: str = "mmr-v1"
    serial: int = 0
    #: Bits that the device offers, 63:0.
    features: int = 1 << TransportFeature.ANY_LAYOUT
    queues: tuple[int, ...] = (128,)
    msix_vectors: int = 0
    intx: bool = False
    bars: tuple[Bar, ...] = ()
    #: Initial device configuration, exactly `kind.config_size` bytes, little-endian.
    config_image: bytes = b""
    #: MMR layouts to place, by name: "literal", "vsec", "classic".
    mmr_capabilities: tuple[str, ...] = ("vsec", "literal", "classic")
    #: False: place what fits and say what was left out. True: refuse what does not fit.
    mmr_explicit: bool = False
    control: Control | None = field(default_factory=Control)
    datapath: Datapath = field(default_factory=Datapath)
    #: Absent: each request of the back end is answered "blocked".
    requester: Requester | None = None
    #: Absent: no SR-IOV.
    vf: VirtualFunctions | None = None
    #: This is what `VirtualFunctions.function` describes, not a device.
    virtual: bool = False

    @property
    def device_id(self) -> int:
        """PCI device id."""
        if self.identity is Identity.MMR:
            return mmr_v1.device_id(self.kind.virtio_id)
        assert self.kind.transitional_id is not None
        return self.kind.transitional_id

    @property
    def vendor_id(self) -> int:
        """PCI vendor id."""
        return configuration.VENDOR_ID

    @property
    def functions(self) -> int:
        """Number of functions, the physical one among them."""
        return 1 if self.vf is None else 1 + self.vf.count

    @property
    def queue_bits(self) -> int:
        """Bits of a queue's number; a queue's flat index is its function's number and then these."""
        return max((len(self.of(function).queues) - 1).bit_length() for function in (0, 1))

    def of(self, function: int) -> "DeviceConfig":
        """What function number *function* is: the physical one is 0, virtual ones follow."""
        if function == 0 or self.vf is None:
            return self
        return self.vf.function

    def image_of(self, function: int) -> bytes:
        """Initial device configuration of function number *function*: a MAC address counts up by it."""
        image = bytearray(self.of(function).config_image)
        for part in self.kind.config:
            if part.name == "mac":
                place = slice(part.offset, part.offset + part.size)
                number = int.from_bytes(image[place], "big") + function
                image[place] = (number % (1 << 8 * part.size)).to_bytes(part.size, "big")
        return bytes(image)

    @property
    def modern(self) -> bool:
        """The device has the modern interface beside the legacy one."""
        return self.find(Space.COMMON) is not None

    @property
    def legacy_features(self) -> int:
        """The offered bits that the legacy interface shows: 31:0."""
        return self.features & 0xFFFF_FFFF

    @property
    def modern_features(self) -> int:
        """The offered bits that the modern interface shows."""
        hidden = sum(1 << bit for bit in LEGACY_ONLY) | sum(1 << self.kind.features[n] for n in self.kind.legacy_only)
        return self.features & ~hidden

    def find(self, space: Space) -> tuple[Bar, Region] | None:
        """The first region that shows *space*, with its BAR."""
        for bar in self.bars:
            for region in bar.regions:
                if region.space is space:
                    return bar, region
        return None

    def find_in_memory(self, space: Space) -> tuple[Bar, Region] | None:
        """As `find`, among the memory BARs alone."""
        for bar in self.bars:
            for region in bar.regions:
                if region.space is space and bar.kind is not BarKind.IO:
                    return bar, region
        return None

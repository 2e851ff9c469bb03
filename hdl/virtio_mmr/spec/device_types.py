"""Device types: ids, class codes, feature bits, queues and device configuration (virtio 1.3, 5).

Only net, block, console and entropy are described in full. Offsets are bytes from the start of the
device configuration, which is little-endian here; legacy guests see it in their own byte order.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class Owner(enum.Enum):
    """Who may change a configuration field after reset."""

    FIXED = "fixed"      #: nobody
    DRIVER = "driver"    #: the driver, byte by byte; the device hears of it
    DEVICE = "device"    #: the device, in updates that are applied as one


@dataclass(frozen=True)
class ConfigField:
    """One field of the device configuration.

    ``count`` elements of ``width`` bits each; a MAC address is six elements of 8 bits, which no byte
    order swaps. ``feature`` names the feature bit that gives the field its meaning, if any.
    """

    name: str
    offset: int
    width: int
    owner: Owner = Owner.FIXED
    count: int = 1
    feature: str | None = None
    reset: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return self.width // 8 * self.count


@dataclass(frozen=True)
class DeviceType:
    """What virtio says about one kind of device."""

    name: str
    virtio_id: int
    #: 0x1000-series id; None if the type has no transitional device.
    transitional_id: int | None
    #: Base class, sub class, programming interface.
    class_code: int
    features: Mapping[str, int]
    config: tuple[ConfigField, ...]
    #: Names of the queues in order; the last may repeat.
    queues: tuple[str, ...]
    clause: str
    #: Features that the modern interface does not show.
    legacy_only: frozenset[str] = frozenset()

    @property
    def config_size(self) -> int:
        """Bytes of device configuration."""
        return max((field.offset + field.size for field in self.config), default=0)

    def field(self, name: str) -> ConfigField:
        """The configuration field called *name*."""
        for field in self.config:
            if field.name == name:
                return field
        raise KeyError(name)


def _features(**bits: int) -> Mapping[str, int]:
    return MappingProxyType(bits)


_F, _DRIVER, _DEVICE = ConfigField, Owner.DRIVER, Owner.DEVICE

NET = DeviceType(
    name="net", virtio_id=1, transitional_id=0x1000, class_code=0x020000, clause="virtio 1.3, 5.1",
    queues=("receiveq", "transmitq", "controlq"),
    features=_features(
        NET_CSUM=0, NET_GUEST_CSUM=1, NET_CTRL_GUEST_OFFLOADS=2, NET_MTU=3, NET_MAC=5, NET_GSO=6, NET_GUEST_TSO4=7,
        NET_GUEST_TSO6=8, NET_GUEST_ECN=9, NET_GUEST_UFO=10, NET_HOST_TSO4=11, NET_HOST_TSO6=12, NET_HOST_ECN=13,
        NET_HOST_UFO=14, NET_MRG_RXBUF=15, NET_STATUS=16, NET_CTRL_VQ=17, NET_CTRL_RX=18, NET_CTRL_VLAN=19,
        NET_CTRL_RX_EXTRA=20, NET_GUEST_ANNOUNCE=21, NET_MQ=22, NET_CTRL_MAC_ADDR=23,
    ),
    legacy_only=frozenset({"NET_GSO"}),
    config=(
        _F("mac", 0, 8, _DRIVER, count=6, feature="NET_MAC"),
        _F("status", 6, 16, _DEVICE, feature="NET_STATUS", reset=1),
        _F("max_virtqueue_pairs", 8, 16, feature="NET_MQ"),
        _F("mtu", 10, 16, feature="NET_MTU"),
    ),
)

BLOCK = DeviceType(
    name="block", virtio_id=2, transitional_id=0x1001, class_code=0x010000, clause="virtio 1.3, 5.2",
    queues=("requestq",),
    features=_features(
        BLK_BARRIER=0, BLK_SIZE_MAX=1, BLK_SEG_MAX=2, BLK_GEOMETRY=4, BLK_RO=5, BLK_BLK_SIZE=6, BLK_SCSI=7,
        BLK_FLUSH=9, BLK_TOPOLOGY=10, BLK_CONFIG_WCE=11, BLK_MQ=12, BLK_DISCARD=13, BLK_WRITE_ZEROES=14,
        BLK_LIFETIME=15, BLK_SECURE_ERASE=16,
    ),
    legacy_only=frozenset({"BLK_BARRIER", "BLK_SCSI"}),
    config=(
        _F("capacity", 0, 64, _DEVICE),
        _F("size_max", 8, 32, feature="BLK_SIZE_MAX"),
        _F("seg_max", 12, 32, feature="BLK_SEG_MAX"),
        _F("cylinders", 16, 16, feature="BLK_GEOMETRY"),
        _F("heads", 18, 8, feature="BLK_GEOMETRY"),
        _F("sectors", 19, 8, feature="BLK_GEOMETRY"),
        _F("blk_size", 20, 32, feature="BLK_BLK_SIZE"),
        _F("physical_block_exp", 24, 8, feature="BLK_TOPOLOGY"),
        _F("alignment_offset", 25, 8, feature="BLK_TOPOLOGY"),
        _F("min_io_size", 26, 16, feature="BLK_TOPOLOGY"),
        _F("opt_io_size", 28, 32, feature="BLK_TOPOLOGY"),
        _F("writeback", 32, 8, _DRIVER, feature="BLK_CONFIG_WCE"),
        _F("unused0", 33, 8),
        _F("num_queues", 34, 16, feature="BLK_MQ"),
        _F("max_discard_sectors", 36, 32, feature="BLK_DISCARD"),
        _F("max_discard_seg", 40, 32, feature="BLK_DISCARD"),
        _F("discard_sector_alignment", 44, 32, feature="BLK_DISCARD"),
        _F("max_write_zeroes_sectors", 48, 32, feature="BLK_WRITE_ZEROES"),
        _F("max_write_zeroes_seg", 52, 32, feature="BLK_WRITE_ZEROES"),
        _F("write_zeroes_may_unmap", 56, 8, feature="BLK_WRITE_ZEROES"),
        _F("unused1", 57, 8, count=3),
    ),
)

CONSOLE = DeviceType(
    name="console", virtio_id=3, transitional_id=0x1003, class_code=0x078000, clause="virtio 1.3, 5.3",
    queues=("receiveq", "transmitq"),
    features=_features(CONSOLE_SIZE=0, CONSOLE_MULTIPORT=1, CONSOLE_EMERG_WRITE=2),
    config=(
        _F("cols", 0, 16, _DEVICE, feature="CONSOLE_SIZE"),
        _F("rows", 2, 16, _DEVICE, feature="CONSOLE_SIZE"),
        _F("max_nr_ports", 4, 32, feature="CONSOLE_MULTIPORT"),
        _F("emerg_wr", 8, 32, _DRIVER, feature="CONSOLE_EMERG_WRITE"),
    ),
)

ENTROPY = DeviceType(
    name="rng", virtio_id=4, transitional_id=0x1005, class_code=0x00FF00, clause="virtio 1.3, 5.4",
    queues=("requestq",), features=_features(), config=(),
)

#: Every type that a device file may name.
DEVICE_TYPES: Mapping[str, DeviceType] = MappingProxyType({kind.name: kind for kind in (NET, BLOCK, CONSOLE, ENTROPY)})

"""The modern interface: common configuration, notification region, interrupt status.

Source: virtio 1.4, 4.1.4. Registers keep to this core's own rule of byte enables: a byte that an access
does not enable is neither shown nor changed. Resets marked as build values come from the device file.
"""

import enum
from types import MappingProxyType

from .legacy import NO_VECTOR
from .register import Access, Effect, Register, RegisterTable

_CLAUSE = "virtio 1.4, 4.1.4.3"


#: Bytes that a queue's notification address takes.
NOTIFY_SIZE = 4

#: Least distance of two notification addresses, if they are not all one.
LEAST_STRIDE = 4


class Structure(enum.IntEnum):
    """Types of virtio structures that a capability may announce (virtio 1.4, 4.1.4)."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4
    PCI = 5


def _register(name: str, offset: int, width: int, access: Access, view_of: str, doc: str, *, linux: str = "",
              reset: int = 0, banked_by: str | None = None, effect: Effect | None = None) -> Register:
    aliases = {"linux": f"VIRTIO_PCI_COMMON_{linux}"} if linux else {}
    return Register(name=name, offset=offset, width=width, access=access, view_of=view_of, doc=doc, reset=reset,
                    banked_by=banked_by, effect=effect, aliases=MappingProxyType(aliases), clause=_CLAUSE)


_RO, _RW = Access.RO, Access.RW
_QUEUE = "queue_select"

COMMON = RegisterTable("common", 0x40, (
    _register("device_feature_select", 0x00, 32, _RW, "function.device_feature_select", linux="DFSELECT",
              doc="Which 32 offered bits to show."),
    _register("device_feature", 0x04, 32, _RO, "device.feature_word", linux="DF",
              doc="Offered bits of the selected word, without those that only legacy drivers know.",
              banked_by="device_feature_select"),
    _register("driver_feature_select", 0x08, 32, _RW, "function.driver_feature_select", linux="GFSELECT",
              doc="Which 32 accepted bits to show."),
    _register("driver_feature", 0x0C, 32, _RW, "function.driver_feature_word", linux="GF",
              doc="Accepted bits of the selected word; stores what is written and offered.",
              banked_by="driver_feature_select"),
    _register("config_msix_vector", 0x10, 16, _RW, "function.config_vector", linux="MSIX", reset=NO_VECTOR,
              doc="Vector for configuration changes; a value beyond the table stores 0xffff."),
    _register("num_queues", 0x12, 16, _RO, "device.queues", linux="NUMQ",
              doc="Number of queues, administration queues apart."),
    _register("device_status", 0x14, 8, _RW, "function.status", linux="STATUS", effect=Effect.RESET_WHEN_ZERO,
              doc="Status bits of the driver; writing zero resets the function's virtio state."),
    _register("config_generation", 0x15, 8, _RO, "function.config_generation", linux="CFGGENERATION",
              doc="Changes with the first read of the device configuration after a change of it."),
    _register("queue_select", 0x16, 16, _RW, "function.queue_select", linux="Q_SELECT",
              doc="Index of the queue that the banked registers show."),
    _register("queue_size", 0x18, 16, _RW, "queue.size", linux="Q_SIZE", banked_by=_QUEUE,
              doc="Entries of the selected queue; zero if it does not exist. While the queue is not enabled it takes "
                  "any power of two up to the value after reset."),
    _register("queue_msix_vector", 0x1A, 16, _RW, "queue.vector", linux="Q_MSIX", reset=NO_VECTOR, banked_by=_QUEUE,
              doc="Vector of the selected queue; a value beyond the table stores 0xffff."),
    _register("queue_enable", 0x1C, 16, _RW, "queue.enable", linux="Q_ENABLE", banked_by=_QUEUE,
              effect=Effect.LOAD_QUEUE, doc="1 starts the selected queue; other values are not taken."),
    _register("queue_notify_off", 0x1E, 16, _RO, "queue.notify_offset", linux="Q_NOFF", banked_by=_QUEUE,
              doc="Times the multiplier of the capability: where in the notification region the queue is notified."),
    _register("queue_desc", 0x20, 64, _RW, "queue.descriptors", linux="Q_DESCLO", banked_by=_QUEUE,
              doc="Address of the descriptor area, fixed while the queue is enabled."),
    _register("queue_driver", 0x28, 64, _RW, "queue.available", linux="Q_AVAILLO", banked_by=_QUEUE,
              doc="Address of the driver area, fixed while the queue is enabled."),
    _register("queue_device", 0x30, 64, _RW, "queue.used", linux="Q_USEDLO", banked_by=_QUEUE,
              doc="Address of the device area, fixed while the queue is enabled."),
    _register("queue_notif_config_data", 0x38, 16, _RO, "queue.notify_data", linux="Q_NDATA", banked_by=_QUEUE,
              doc="Value to write when notifying, once NOTIF_CONFIG_DATA is accepted: the queue's index."),
    _register("queue_reset", 0x3A, 16, _RW, "queue.reset", linux="Q_RESET", banked_by=_QUEUE,
              doc="1 resets the selected queue, once RING_RESET is accepted; reads 1 until the device has let go of "
                  "it."),
    _register("admin_queue_index", 0x3C, 16, _RO, "", linux="ADM_Q_IDX", doc="First administration queue: none."),
    _register("admin_queue_num", 0x3E, 16, _RO, "", linux="ADM_Q_NUM", doc="Number of administration queues."),
), doc="Modern common configuration.")

NOTIFY = RegisterTable("notify", NOTIFY_SIZE, (
    Register(name="queue_notify", offset=0x00, width=16, access=Access.WO, effect=Effect.KICK,
             clause="virtio 1.4, 4.1.5.2",
             doc="Index of the queue that has new buffers. Acts if its low byte is written; where queues have "
                 "addresses of their own, the address alone says which queue is meant."),
    Register(name="notification_data", offset=0x02, width=16, access=Access.WO, clause="virtio 1.4, 2.9",
             doc="Where the driver will go on, once NOTIFICATION_DATA is accepted."),
), doc="One notification address.")

ISR = RegisterTable("isr", 4, (
    Register(name="isr_status", offset=0, width=8, access=Access.RC, view_of="function.isr", effect=Effect.CLEAR_ISR,
             clause="virtio 1.3, 4.1.4.5", doc="Bit 0: a queue was used. Bit 1: the configuration changed."),
), doc="Interrupt status, the same byte as in the legacy header.")

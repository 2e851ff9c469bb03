"""The legacy virtio header: 20 bytes, 24 while MSI-X is enabled, then the device's configuration.

Source: virtio 1.3, 4.1.4.10 "Legacy Interfaces: A Note on PCI Device Layout". All registers are
little-endian. Resets marked as build values come from the device file.
"""

from types import MappingProxyType

from .register import Access, Effect, Present, Register, RegisterTable

_CLAUSE = "virtio 1.3, 4.1.4.10"

#: Where the device configuration starts, by the function's MSI-X Enable bit.
CONFIG_OFFSET = MappingProxyType({False: 0x14, True: 0x18})

#: Interrupt vector that stands for "none".
NO_VECTOR = 0xFFFF

#: A legacy queue address is a page number of this many bits' shift.
PAGE_SHIFT = 12

#: The used ring starts on the next multiple of this many bytes.
RING_ALIGNMENT = 4096

#: Least size of the whole legacy structure that the proposal recommends.
WINDOW_SIZE = 0x1000

HEADER = RegisterTable("legacy", 0x18, (
    Register(name="device_features", offset=0x00, width=32, access=Access.RO, view_of="device.features",
             aliases=MappingProxyType({"linux": "VIRTIO_PCI_HOST_FEATURES"}), clause=_CLAUSE,
             doc="Feature bits 31:0 that the device offers."),
    Register(name="driver_features", offset=0x04, width=32, access=Access.RW, view_of="function.driver_features",
             aliases=MappingProxyType({"linux": "VIRTIO_PCI_GUEST_FEATURES"}), clause=_CLAUSE,
             doc="Feature bits that the driver accepts; stores what is written and offered."),
    Register(name="queue_address", offset=0x08, width=32, access=Access.RW, view_of="queue.page",
             banked_by="queue_select", effect=Effect.LOAD_QUEUE,
             aliases=MappingProxyType({"linux": "VIRTIO_PCI_QUEUE_PFN"}), clause=_CLAUSE,
             doc="Page number of the selected queue's rings; zero means inactive."),
    Register(name="queue_size", offset=0x0C, width=16, access=Access.RO, view_of="queue.size",
             banked_by="queue_select", aliases=MappingProxyType({"linux": "VIRTIO_PCI_QUEUE_NUM"}), clause=_CLAUSE,
             doc="Entries of the selected queue; zero if it does not exist."),
    Register(name="queue_select", offset=0x0E, width=16, access=Access.RW, view_of="function.queue_select",
             aliases=MappingProxyType({"linux": "VIRTIO_PCI_QUEUE_SEL"}), clause=_CLAUSE,
             doc="Index of the queue that the banked registers show."),
    Register(name="queue_notify", offset=0x10, width=16, access=Access.WO, effect=Effect.KICK,
             aliases=MappingProxyType({"linux": "VIRTIO_PCI_QUEUE_NOTIFY"}), clause=_CLAUSE,
             doc="Index of a queue that has new buffers. Acts if its low byte is written."),
    Register(name="device_status", offset=0x12, width=8, access=Access.RW, view_of="function.status",
             effect=Effect.RESET_WHEN_ZERO, aliases=MappingProxyType({"linux": "VIRTIO_PCI_STATUS"}), clause=_CLAUSE,
             doc="Status bits of the driver; writing zero resets the function's virtio state."),
    Register(name="isr_status", offset=0x13, width=8, access=Access.RC, view_of="function.isr",
             effect=Effect.CLEAR_ISR, aliases=MappingProxyType({"linux": "VIRTIO_PCI_ISR"}), clause=_CLAUSE,
             doc="Bit 0: a queue was used. Bit 1: the configuration changed. Cleared by a read of this byte."),
    Register(name="config_vector", offset=0x14, width=16, access=Access.RW, reset=NO_VECTOR,
             view_of="function.config_vector", present=Present.MSIX_ENABLED,
             aliases=MappingProxyType({"linux": "VIRTIO_MSI_CONFIG_VECTOR"}), clause=_CLAUSE,
             doc="Vector for configuration changes; a value beyond the table stores 0xffff."),
    Register(name="queue_vector", offset=0x16, width=16, access=Access.RW, reset=NO_VECTOR,
             view_of="queue.vector", banked_by="queue_select", present=Present.MSIX_ENABLED,
             aliases=MappingProxyType({"linux": "VIRTIO_MSI_QUEUE_VECTOR"}), clause=_CLAUSE,
             doc="Vector of the selected queue; a value beyond the table stores 0xffff."),
), doc="Legacy virtio header.")


def used_ring_offset(size: int) -> int:
    """Bytes from the start of a legacy queue of *size* entries to its used ring (virtio 1.3, 2.7.2)."""
    return -(-(16 * size + 2 * (3 + size)) // RING_ALIGNMENT) * RING_ALIGNMENT


def available_ring_offset(size: int) -> int:
    """Bytes from the start of a legacy queue of *size* entries to its available ring (virtio 1.3, 2.7.2)."""
    return 16 * size

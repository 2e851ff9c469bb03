"""Feature bits that belong to the transport and the rings (virtio 1.3, 6 and 6.3)."""

import enum


class TransportFeature(enum.IntEnum):
    """Bit numbers; device types have their own below 24."""

    NOTIFY_ON_EMPTY = 24
    ANY_LAYOUT = 27
    RING_INDIRECT_DESC = 28
    RING_EVENT_IDX = 29
    VERSION_1 = 32
    ACCESS_PLATFORM = 33
    RING_PACKED = 34
    IN_ORDER = 35
    ORDER_PLATFORM = 36
    SR_IOV = 37
    NOTIFICATION_DATA = 38
    NOTIF_CONFIG_DATA = 39
    RING_RESET = 40
    ADMIN_VQ = 41


#: Old name of a bit that drivers must not negotiate; never offered.
UNUSED_BIT = 30

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


#: First of the bits that only the modern interface reaches.
FIRST_MODERN = 32

#: Bits that this core, or the back end behind it, keeps its word on.
OFFERED_MODERN = frozenset({
    TransportFeature.VERSION_1,
    TransportFeature.ACCESS_PLATFORM,
    TransportFeature.IN_ORDER,
    TransportFeature.ORDER_PLATFORM,
    TransportFeature.SR_IOV,
    TransportFeature.NOTIFICATION_DATA,
    TransportFeature.NOTIF_CONFIG_DATA,
    TransportFeature.RING_RESET,
})

#: Offered wherever there is a modern interface: what hardware has to say for itself (virtio 1.4, 6.1).
ALWAYS_MODERN = (
    TransportFeature.VERSION_1,
    TransportFeature.ACCESS_PLATFORM,
    TransportFeature.ORDER_PLATFORM,
)


#: Old name of a bit that drivers must not negotiate; never offered.
UNUSED_BIT = 30

#: Bits that the modern interface does not show (virtio 1.4, 6.3).
LEGACY_ONLY = frozenset({TransportFeature.NOTIFY_ON_EMPTY, TransportFeature.ANY_LAYOUT})

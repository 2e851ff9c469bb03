"""Features that make sense only with others (virtio 1.3, 2.2.1 and 5.1.3.1).

A device must not offer a feature without one of those that it requires.
"""

from collections.abc import Mapping
from types import MappingProxyType

#: For each feature: at least one of these must be offered too.
REQUIRES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "NET_GUEST_TSO4": ("NET_GUEST_CSUM",),
        "NET_GUEST_TSO6": ("NET_GUEST_CSUM",),
        "NET_GUEST_ECN": ("NET_GUEST_TSO4", "NET_GUEST_TSO6"),
        "NET_GUEST_UFO": ("NET_GUEST_CSUM",),
        "NET_HOST_TSO4": ("NET_CSUM",),
        "NET_HOST_TSO6": ("NET_CSUM",),
        "NET_HOST_ECN": ("NET_HOST_TSO4", "NET_HOST_TSO6"),
        "NET_HOST_UFO": ("NET_CSUM",),
        "NET_CTRL_RX": ("NET_CTRL_VQ",),
        "NET_CTRL_VLAN": ("NET_CTRL_VQ",),
        "NET_GUEST_ANNOUNCE": ("NET_CTRL_VQ",),
        "NET_MQ": ("NET_CTRL_VQ",),
        "NET_CTRL_MAC_ADDR": ("NET_CTRL_VQ",),
    }
)

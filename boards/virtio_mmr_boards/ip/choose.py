"""The IP core behind a link."""

from virtio_mmr_boards.board import Link

from .core import Ip
from .pcie_7x import pcie_7x
from .uscale_plus import uscale_plus


def ip_of(link: Link) -> Ip:
    """The core with the link's lanes and width."""
    if link.ip == "pcie_7x":
        return pcie_7x(len(link.lanes), link.width)
    return uscale_plus(link.ip, len(link.lanes), link.width)

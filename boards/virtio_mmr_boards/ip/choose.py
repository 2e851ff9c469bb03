"""The IP core behind a link, and the bytes of configuration space that it leaves to the core."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from virtio_mmr_boards.board import Link

from .core import Ip
from .pcie_7x import pcie_7x
from .uscale_plus import uscale_plus

#: Number of the first virtual function on UltraScale+ with ARI.
FIRST_VIRTUAL = 4


@dataclass(frozen=True)
class Windows:
    """First byte and first byte behind, of each of the two lists of capabilities."""

    classic: tuple[int, int]
    extended: tuple[int, int]


WINDOWS: Mapping[str, Windows] = MappingProxyType({
    "pcie_7x": Windows((0xA8, 0x100), (0x10C, 0x1000)),
    "pcie4_uscale_plus": Windows((0xB0, 0xC0), (0x480, 0x500)),
    "pcie4c_uscale_plus": Windows((0xB0, 0xC0), (0xE80, 0x1000)),
})


def ip_of(link: Link) -> Ip:
    """The core with the link's lanes and width."""
    if link.ip == "pcie_7x":
        return pcie_7x(len(link.lanes), link.width)
    return uscale_plus(link.ip, len(link.lanes), link.width)

"""What PCIe hard IP leaves to the logic beside it: widths, functions, and bytes of configuration space.

Sources: AMD PG213 (UltraScale+) with working public designs for where its windows begin, and generated `pcie_7x` cores
for 7-series. Nothing of this has been tried on hardware by this project.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .sriov import MOST_VIRTUAL_FUNCTIONS


@dataclass(frozen=True)
class HardIp:
    """Limits of an adapter, and of the IP behind it."""

    name: str
    #: Bits of its streams.
    widths: tuple[int, ...]
    #: It answers for the header and the standard capabilities; of configuration space only the windows are ours.
    owns_header: bool
    #: Bytes for capabilities, each (first byte, first byte behind).
    classic: tuple[int, int]
    extended: tuple[int, int]
    most_virtual_functions: int
    #: Bytes of the largest payload. UltraScale+ tells in two bits what software has set, so 1024; published cores of
    #: the 7 series choose up to 512, and no source at hand shows more than 1024.
    most_payload: int
    #: Its number for the first virtual function.
    first_virtual_function: int = 1
    #: It tells BAR and function of a request, and has one stream for each kind of packet.
    described: bool = False


_ULTRASCALE_WIDTHS = (64, 128, 256)

#: By the name in a device file.
ADAPTERS: Mapping[str, HardIp] = MappingProxyType({adapter.name: adapter for adapter in (
    HardIp("raw", (64, 128, 256, 512), owns_header=False, classic=(0x40, 0x100), extended=(0x100, 0x1000),
           most_virtual_functions=MOST_VIRTUAL_FUNCTIONS, most_payload=4096),
    HardIp("pcie4_uscale_plus", _ULTRASCALE_WIDTHS, owns_header=True, classic=(0xB0, 0xC0), extended=(0x480, 0x500),
           most_virtual_functions=252, most_payload=1024, first_virtual_function=4, described=True),
    HardIp("pcie4c_uscale_plus", _ULTRASCALE_WIDTHS, owns_header=True, classic=(0xB0, 0xC0), extended=(0xE80, 0x1000),
           most_virtual_functions=252, most_payload=1024, first_virtual_function=4, described=True),
    HardIp("pcie_7x", (64, 128), owns_header=True, classic=(0xA8, 0x100), extended=(0x10C, 0x1000),
           most_virtual_functions=0, most_payload=1024),
)})

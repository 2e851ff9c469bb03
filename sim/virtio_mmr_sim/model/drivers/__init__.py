"""The drivers that are known, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from virtio_mmr_sim.model.driver import LegacyDriver

from .dpdk import Dpdk, DpdkVfio
from .freebsd import FreeBsd
from .ipxe import NewIpxe, OldIpxe
from .linux import Linux
from .openbsd import OpenBsd
from .seabios import SeaBios
from .windows import BlindWindows, Windows

DRIVERS: Mapping[str, type[LegacyDriver]] = MappingProxyType({
    driver.name: driver
    for driver in (Linux, SeaBios, OldIpxe, NewIpxe, FreeBsd, OpenBsd, Windows, BlindWindows, Dpdk, DpdkVfio)
})

__all__ = [
    "DRIVERS", "BlindWindows", "Dpdk", "DpdkVfio", "FreeBsd", "Linux", "NewIpxe", "OldIpxe", "OpenBsd", "SeaBios",
    "Windows",
]

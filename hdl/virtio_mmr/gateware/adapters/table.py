"""Which adapter belongs to a name in a device file."""

from typing import Any

from virtio_mmr.config import DeviceConfig
from virtio_mmr.config.errors import ConfigError

from .series7 import Series7
from .ultrascale_plus import UltraScalePlus

#: Components by name. Each is made from a `DeviceConfig`. Its members are the ports of the hard IP, from the other
#: side and under the IP's names, and ``link : Out(Link)``; its ``PORT_DOCS`` say in a line what each port is for.
_ADAPTERS: dict[str, Any] = {
    "pcie4_uscale_plus": UltraScalePlus,
    "pcie4c_uscale_plus": UltraScalePlus,
    "pcie_7x": Series7,
}


def adapter_of(config: DeviceConfig) -> Any:
    """The adapter to the hard IP of *config*; None if it has raw TLP streams.

    Raises
    ------
    ConfigError
        If there is no such gateware.
    """
    name = config.datapath.adapter
    if not config.datapath.hard_ip.owns_header:
        return None
    if name not in _ADAPTERS:
        raise ConfigError("datapath.adapter", name, "this adapter is not built yet", 'write adapter = "raw"')
    return _ADAPTERS[name](config)

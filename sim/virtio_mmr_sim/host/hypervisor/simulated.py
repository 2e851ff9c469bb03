"""The cocotb host as a machine."""

from collections.abc import Mapping
from dataclasses import replace

from virtio_mmr_sim.host.host import SUCCESSFUL, Host
from virtio_mmr_sim.model.tlp import ConfigRequest, extent

from .interface import Unfit


def _request(function: int, offset: int, size: int) -> ConfigRequest:
    start, _, enables, _ = extent(offset, size)
    return ConfigRequest(
        bus=function >> 8, device=function >> 3 & 31, function=function & 7, offset=start, first_be=enables)


class SimulatedHost:
    """What is behind *host*'s link: its functions and memory BARs are those of *bars*, by routing id, then by index."""

    def __init__(self, host: Host, bars: Mapping[int, Mapping[int, int]]):
        self._host, self._bars = host, bars

    async def config_read(self, function: int, offset: int, size: int) -> int:
        """Read configuration space."""
        ones = (1 << 8 * size) - 1
        if function not in self._bars:
            return ones
        answer = await self._host.request(_request(function, offset, size))
        return answer.data >> 8 * (offset & 3) & ones if answer.status == SUCCESSFUL else ones

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        """Write configuration space; nothing happens if the function is not there."""
        if function in self._bars:
            data = value << 8 * (offset & 3)
            await self._host.request(replace(_request(function, offset, size), write=True, data=data))

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        """Read inside a BAR."""
        return await self._host.read_number(self._address(function, bar) + offset, size)

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        """Write inside a BAR; posted, so it may take effect later, but before the next read."""
        self._host.write(self._address(function, bar) + offset, value, size)

    def _address(self, function: int, bar: int) -> int:
        if bar not in self._bars.get(function, {}):
            raise Unfit(f"function {function:#06x} has no memory BAR {bar}")
        return self._bars[function][bar]

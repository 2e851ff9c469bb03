"""The cocotb host as a machine."""

from collections.abc import Mapping

from virtio_mmr_sim.host.host import SUCCESSFUL, Host

from .interface import Unfit


class SimulatedHost:
    """The device at *host*'s target: its functions and memory BARs are those of *bars*, by routing id, by index."""

    def __init__(self, host: Host, bars: Mapping[int, Mapping[int, int]]):
        self._host, self._bars = host, bars

    async def config_read(self, function: int, offset: int, size: int) -> int:
        """Read configuration space."""
        ones, lane = (1 << 8 * size) - 1, offset & 3
        if function not in self._bars:
            return ones
        answer = await self._host.config_request(offset, enables=(1 << size) - 1 << lane, function=function & 7)
        return answer.data >> 8 * lane & ones if answer.status == SUCCESSFUL else ones

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        """Write configuration space; nothing happens if the function is not there."""
        if function in self._bars:
            lane = offset & 3
            await self._host.config_request(
                offset, write=True, data=value << 8 * lane, enables=(1 << size) - 1 << lane, function=function & 7)

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

"""The native simulation of a generated design as a machine."""

from collections.abc import Mapping
from typing import Protocol

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.native.model import Unsupported

from .interface import Unfit


class Link(Protocol):
    """The register accesses of `NativeModel`, and of what stands for one."""

    def config_read(
        self, offset: int, enables: int = 0xF, *, bus: int = 0, device: int = 0, function: int = 0
    ) -> int:
        """Read a dword of configuration space."""

    def config_write(
        self, offset: int, data: int, enables: int = 0xF, *, bus: int = 0, device: int = 0, function: int = 0
    ) -> None:
        """Write a dword of configuration space."""

    def read(self, address: int, size: int) -> bytes:
        """Read memory space."""

    def write(self, address: int, data: bytes) -> None:
        """Write memory space."""


class NativeHost:
    """A design whose functions and memory BARs are those of *bars*: by routing id, then by index."""

    def __init__(self, model: Link, bars: Mapping[int, Mapping[int, int]]):
        self._model, self._bars = model, bars

    async def config_read(self, function: int, offset: int, size: int) -> int:
        """Read configuration space."""
        if function not in self._bars:
            return (1 << 8 * size) - 1
        try:
            dword = self._model.config_read(
                offset & ~3, tlp.extent(offset, size).first_be, bus=function >> 8, device=function >> 3 & 31,
                function=function & 7)
        except Unsupported:
            return (1 << 8 * size) - 1
        return dword >> 8 * (offset & 3) & (1 << 8 * size) - 1

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        """Write configuration space; nothing happens if the function is not there."""
        if function in self._bars:
            self._model.config_write(
                offset & ~3, value << 8 * (offset & 3), tlp.extent(offset, size).first_be, bus=function >> 8,
                device=function >> 3 & 31, function=function & 7)

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        """Read inside a BAR."""
        return int.from_bytes(self._model.read(self._address(function, bar) + offset, size), "little")

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        """Write inside a BAR."""
        self._model.write(self._address(function, bar) + offset, value.to_bytes(size, "little"))

    def _address(self, function: int, bar: int) -> int:
        if bar not in self._bars.get(function, {}):
            raise Unfit(f"function {function:#06x} has no memory BAR {bar}")
        return self._bars[function][bar]

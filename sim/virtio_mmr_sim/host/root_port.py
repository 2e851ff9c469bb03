"""cocotbext-pcie's root complex in front of the raw TLP ports.

The device that the root complex sees is a shim without functions of its own: every TLP goes to the
core and every answer comes from it, configuration space included. So enumeration, BAR assignment and
data placement are those of a program that was not written for this project. Of its known faults, the
lower address of `Tlp` is never asked for: completions are made by the core and checked by `Host`.
"""

import struct
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.queue import Queue
from cocotbext.pcie.core import Device, RootComplex
from cocotbext.pcie.core.tlp import Tlp
from cocotbext.pcie.core.utils import PcieId
from virtio_mmr.spec.tlp import TlpType

from virtio_mmr_sim.model.tlp import header_dwords, to_bytes, to_dwords

from .host import TAGS, Host

#: Where the root complex finds the device: behind its first port.
DEVICE = PcieId(1, 0, 0)


def from_library(tlp: Tlp) -> list[int]:
    """Dwords of one of the library's TLPs."""
    header = tlp.pack_header()
    dwords = [int(dword) for dword in struct.unpack(f">{len(header) // 4}I", header)]
    return dwords + (list(to_dwords(bytes(tlp.get_data()))) if tlp.has_data() else [])


def to_library(dwords: Sequence[int]) -> Tlp:
    """One of the library's TLPs."""
    count = header_dwords(dwords[0])
    return Tlp.unpack(struct.pack(f">{count}I", *dwords[:count]) + to_bytes(dwords[count:]))


class _Shim(Device):  # type: ignore[misc]
    """Hands TLPs to the core and takes its answers."""

    def __init__(self, host: Host):
        super().__init__()
        self._host = host
        self._answers: Queue[Tlp] = Queue()
        host.others = self._answer
        cocotb.start_soon(self._return())

    async def upstream_recv(self, tlp: Tlp) -> None:
        tlp.release_fc()
        self._host.put(from_library(tlp))

    def _answer(self, dwords: Sequence[int]) -> bool:
        # The library has no INTx; the host keeps its level.
        if dwords[0] >> 24 & TlpType.MESSAGE:
            return False
        self._answers.put_nowait(to_library(dwords))
        return True

    async def _return(self) -> None:
        while True:
            await self.upstream_send(await self._answers.get())


class RootPort:
    """A root complex with the core behind its first port.

    Tags below `TAGS` are the root complex's; the `Host` may go on sending requests of its own.
    """

    def __init__(self, host: Host):
        self.complex = RootComplex()
        assert self.complex.tag_count <= TAGS.start
        self.complex.make_port().connect(_Shim(host))
        self._host = host
        #: What enumeration found, once it has been done.
        self.device: Any = None

    async def enumerate(self) -> Any:
        """Scan the bus, size and place the BARs, walk the capabilities; returns the library's device."""
        await self.complex.enumerate()
        self.device = self.complex.find_device(DEVICE)
        assert self.device is not None, "enumeration found nothing"
        # Enumeration wrote configuration registers; the core has captured these numbers.
        self._host.target = DEVICE.bus, DEVICE.device
        self._host.captured = int(DEVICE)
        await self.device.enable_device()
        await self.device.set_master()
        return self.device

    def bars(self) -> dict[int, tuple[int, int]]:
        """Address and size in bytes of every BAR that enumeration found."""
        return {index: (self.device.bar_addr[index], size) for index, size in enumerate(self.device.bar_size) if size}

    async def config_read(self, offset: int, size: int) -> int:
        """Read bytes of configuration space."""
        return int.from_bytes(await self.device.config_read(offset, size), "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write bytes of configuration space."""
        await self.device.config_write(offset, value.to_bytes(size, "little"))

    async def read(self, address: int, size: int) -> bytes:
        """Read bytes of memory space; the library cuts the request and puts the completions together."""
        return bytes(await self.complex.mem_read(address, size))

    async def write(self, address: int, data: bytes) -> None:
        """Write bytes of memory space."""
        await self.complex.mem_write(address, data)

"""The guest's memory, as far as the client shares it: ranges of guest addresses behind file descriptors."""

import bisect
import mmap
from dataclasses import dataclass

from virtio_mmr_sim.native.host_memory import OutsideMemory


@dataclass(frozen=True)
class _Range:
    address: int
    size: int
    view: mmap.mmap
    #: Where the range starts in the view.
    start: int
    writable: bool

    @property
    def end(self) -> int:
        return self.address + self.size


class GuestMemory:
    """Reads and writes by guest address; a `virtio_mmr_sim.native.host_memory.Memory`."""

    def __init__(self) -> None:
        self._ranges: list[_Range] = []

    def map(self, address: int, size: int, descriptor: int, offset: int, *, writable: bool) -> None:
        """Show *size* bytes of a file from *offset* on at *address*; the descriptor may be closed afterwards.

        Raises
        ------
        ValueError, OSError, OverflowError
            If the file does not hold them, may not be accessed like this, or there is no room.
        """
        if not 0 < size <= (1 << 64) - address:
            raise ValueError(f"{size:#x} bytes at {address:#x} are not a range of addresses")
        start = offset % mmap.ALLOCATIONGRANULARITY
        view = mmap.mmap(descriptor, start + size, offset=offset - start,
                         access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        bisect.insort(self._ranges, _Range(address, size, view, start, writable), key=lambda found: found.address)

    def unmap(self, address: int, size: int) -> None:
        """Forget everything inside *size* bytes from *address* on."""
        for found in [found for found in self._ranges if address <= found.address and found.end <= address + size]:
            self._ranges.remove(found)
            found.view.close()

    def close(self) -> None:
        """Forget everything."""
        for found in self._ranges:
            found.view.close()
        self._ranges.clear()

    def _find(self, address: int, length: int) -> _Range:
        """The range that holds the first byte."""
        index = bisect.bisect_right(self._ranges, address, key=lambda found: found.address) - 1
        if index < 0 or address >= self._ranges[index].end:
            raise OutsideMemory(address, length)
        return self._ranges[index]

    def read(self, address: int, length: int) -> bytes:
        """Read; raises `OutsideMemory`."""
        found = self._find(address, length)
        start = found.start + address - found.address
        here = min(length, found.end - address)
        data = found.view[start:start + here]
        return data if here == length else data + self.read(address + here, length - here)

    def write(self, address: int, data: bytes) -> None:
        """Write; raises `OutsideMemory`, also for what is read-only."""
        found = self._find(address, len(data))
        if not found.writable:
            raise OutsideMemory(address, len(data))
        start = found.start + address - found.address
        here = min(len(data), found.end - address)
        found.view[start:start + here] = data[:here]
        if here < len(data):
            self.write(address + here, data[here:])

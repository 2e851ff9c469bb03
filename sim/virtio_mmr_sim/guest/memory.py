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

    def _find(self, address: int, length: int) -> list[tuple[_Range, int, int]]:
        """The ranges that hold these bytes, with where the bytes start in each one's view, and how many it holds."""
        parts: list[tuple[_Range, int, int]] = []
        at, end = address, address + length
        while at < end:
            index = bisect.bisect_right(self._ranges, at, key=lambda found: found.address) - 1
            if index < 0 or at >= self._ranges[index].end:
                raise OutsideMemory(address, length)
            found = self._ranges[index]
            here = min(end, found.end) - at
            parts.append((found, found.start + at - found.address, here))
            at += here
        return parts

    def read(self, address: int, length: int) -> bytes:
        """Read; raises `OutsideMemory`."""
        return b"".join(found.view[start:start + here] for found, start, here in self._find(address, length))

    def write(self, address: int, data: bytes) -> None:
        """Write all of it, or nothing: raises `OutsideMemory`, also for what is read-only."""
        parts = self._find(address, len(data))
        if not all(found.writable for found, _, _ in parts):
            raise OutsideMemory(address, len(data))
        done = 0
        for found, start, here in parts:
            found.view[start:start + here] = data[done:done + here]
            done += here

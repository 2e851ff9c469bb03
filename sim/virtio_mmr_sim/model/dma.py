"""DMA of a back end: which packets a request becomes.

Specification: PCI Express Base 5.0, 2.2.7 (no request crosses 4 KiB or is larger than software allows) and 2.2.5 (byte
enables).
"""

from collections.abc import Iterator

from .tlp import MemoryRequest, memory_read, memory_write


def parts(address: int, size: int, largest: int) -> Iterator[tuple[int, int]]:
    """Address and bytes of each packet: cut at every multiple of *largest*, which divides 4 KiB, and nowhere else."""
    end = address + size
    while address < end:
        following = min(end, (address // largest + 1) * largest)
        yield address, following - address
        address = following


def _empty(address: int, requester: int, payload: tuple[int, ...] = ()) -> MemoryRequest:
    """A request for no byte: a dword of which none is enabled."""
    return MemoryRequest(write=bool(payload), address=address & ~3, first_be=0, payload=payload, requester=requester)


def reads(address: int, size: int, largest: int, requester: int) -> list[MemoryRequest]:
    """Packets of a read; their tags are the requester's own choice and 0 here."""
    if not size:
        return [_empty(address, requester)]
    return [memory_read(start, count, requester=requester) for start, count in parts(address, size, largest)]


def writes(address: int, data: bytes, largest: int, requester: int) -> list[MemoryRequest]:
    """Packets of a write. Lanes that are not enabled carry zero here, and have no meaning."""
    if not data:
        return [_empty(address, requester, (0,))]
    return [memory_write(start, data[start - address:start - address + count], requester=requester)
            for start, count in parts(address, len(data), largest)]


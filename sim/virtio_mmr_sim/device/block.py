"""A block device (virtio 1.3, 5.2) whose sectors are those of an image file."""

import enum
import os
from pathlib import Path

from .function import FunctionDevice, Queue
from .split_ring import Causes, Chain, RingFault

SECTOR = 512

#: Bytes before the data, and behind it.
HEADER, STATUS = 16, 1

#: Bytes of the string that names the device.
ID = 20

#: Bytes that are moved at once.
PIECE = 1 << 17


class Kind(enum.IntEnum):
    """Types of request that are served."""

    READ = 0
    WRITE = 1
    FLUSH = 4
    GET_ID = 8


NAMES = {int(kind): kind.name.lower() for kind in Kind}


class Status(enum.IntEnum):
    """How a request ended."""

    OK = 0
    ERROR = 1
    UNSUPPORTED = 2


class _Refused(Exception):
    """The request cannot be served."""


class Block(FunctionDevice):
    """Serves the whole sectors of the file at *path*.

    A request may be cut into buffers in any way, as ANY_LAYOUT and modern drivers do; the fixed layout of other legacy
    drivers is one of them. What the driver asks wrongly ends with an
    error and has written nothing but the status; where the file fails, some of it may have been moved.

    Parameters
    ----------
    path
    read_only
        Refuse to write.
    serial
        What the driver is told the device is called; 20 bytes at most.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False, serial: str = "virtio-mmr"):
        self._file = os.open(path, os.O_RDONLY if read_only else os.O_RDWR)
        self._read_only = read_only
        self._serial = serial.encode()[:ID]
        self.sectors = os.fstat(self._file).st_size // SECTOR
        #: Requests by what became of them.
        self.served: dict[tuple[str, Status], int] = {}

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def attached(self) -> None:
        """Tell the capacity."""
        self.function.update_config(0, self.sectors.to_bytes(8, self.function.order))

    async def serve(self, queue: Queue) -> None:
        """Serve requests, one after the other."""
        while (chain := await queue.take()) is not None:
            if chain.readable_length < HEADER or chain.writable_length < STATUS:
                raise RingFault(Causes.CONTENTS, f"a request of {chain.readable_length} bytes to read and "
                                f"{chain.writable_length} to write: it needs {HEADER} and {STATUS}")
            await queue.use(chain, await self._request(queue, chain))

    async def _request(self, queue: Queue, chain: Chain) -> int:
        """Serve one request; how many bytes from the first writable one on were written."""
        header, order = await queue.read(chain, 0, HEADER), self.function.order
        kind, sector = int.from_bytes(header[:4], order), int.from_bytes(header[8:], order)
        room = chain.writable_length - STATUS
        written, status = 0, Status.OK
        try:
            match kind:
                case Kind.READ:
                    written = await self._read(queue, chain, sector, room)
                case Kind.WRITE:
                    await self._write(queue, chain, sector, chain.readable_length - HEADER)
                case Kind.FLUSH:
                    os.fsync(self._file)
                case Kind.GET_ID:
                    name = self._serial.ljust(ID, b"\0")[:room]
                    await queue.write(chain, 0, name)
                    written = len(name)
                case _:
                    status = Status.UNSUPPORTED
        except (_Refused, OSError):
            status = Status.ERROR
        await queue.write(chain, room, bytes([status]))
        what = NAMES.get(kind, "other")
        self.served[what, status] = self.served.get((what, status), 0) + 1
        return written + STATUS if written == room else written

    def _check(self, sector: int, length: int) -> None:
        if length % SECTOR or sector + length // SECTOR > self.sectors:
            raise _Refused

    async def _read(self, queue: Queue, chain: Chain, sector: int, length: int) -> int:
        self._check(sector, length)
        for at in range(0, length, PIECE):
            data = os.pread(self._file, min(PIECE, length - at), SECTOR * sector + at)
            if len(data) < min(PIECE, length - at):
                raise _Refused
            await queue.write(chain, at, data)
        return length

    async def _write(self, queue: Queue, chain: Chain, sector: int, length: int) -> None:
        self._check(sector, length)
        if self._read_only:
            raise _Refused
        for at in range(0, length, PIECE):
            data = await queue.read(chain, HEADER + at, min(PIECE, length - at))
            if os.pwrite(self._file, data, SECTOR * sector + at) < len(data):
                raise _Refused

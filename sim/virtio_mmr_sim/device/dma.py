"""The requester port as coroutines: reads and writes of host memory by one function in one epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from virtio_mmr_sim.native.dma import LARGEST, STATUSES
from virtio_mmr_sim.native.model import BackEnd, Item

from .tasks import Pending

#: Owners of reads. Those of one owner come back in order; a slow payload does not hold up an index.
RING, PAYLOAD = 0, 1

_CONTEXTS = 1 << 16


class DmaError(Exception):
    """A request ended badly; *status* is one of `STATUSES`."""

    def __init__(self, status: str, address: int, length: int):
        super().__init__(f"DMA of {length} bytes at {address:#x} ended as {status!r}")
        self.status, self.address, self.length = status, address, length


class Blocked(DmaError):
    """The function may not reach memory now: nobody is at fault, and it may be able to later."""


def dma_error(status: str, address: int, length: int) -> DmaError:
    """The exception for *status*."""
    return (Blocked if status == "blocked" else DmaError)(status, address, length)


@dataclass
class _Read:
    address: int
    length: int
    pending: Pending[bytes]
    data: bytearray = field(default_factory=bytearray)


@dataclass
class _Write:
    address: int
    length: int
    pending: Pending[None]


class DmaPort:
    """The five streams of the requester port, shared by all functions.

    A request of more than `LARGEST` bytes is cut. Writes are always reported: what is handed in behind an awaited
    write, on any stream, is behind it for the host as well.
    """

    def __init__(self, backend: BackEnd):
        self._backend = backend
        self._beat = backend.fields("dma_write_data")["data"] // 8
        self._reads: dict[int, _Read] = {}
        self._writes: dict[int, _Write] = {}
        self._next = 0

    @property
    def busy(self) -> bool:
        """Whether any request has not ended."""
        return bool(self._reads or self._writes)

    def _context(self, taken: "dict[int, _Read] | dict[int, _Write]") -> int:
        if len(taken) >= _CONTEXTS:
            raise RuntimeError(f"{len(taken)} requests are open: the context has 16 bits")
        while self._next in taken:
            self._next = (self._next + 1) % _CONTEXTS
        context, self._next = self._next, (self._next + 1) % _CONTEXTS
        return context

    def read(self, function: int, epoch: int, address: int, length: int, owner: int) -> Pending[bytes]:
        """Hand in a read of 1 to `LARGEST` bytes."""
        pending: Pending[bytes] = Pending()
        context = self._context(self._reads)
        self._reads[context] = _Read(address, length, pending)
        self._backend.put("dma_read", function=function, epoch=epoch, address=address, bytes=length, owner=owner,
                          context=context)
        return pending

    def write(self, function: int, epoch: int, address: int, data: bytes) -> Pending[None]:
        """Hand in a write of 1 to `LARGEST` bytes."""
        pending: Pending[None] = Pending()
        context = self._context(self._writes)
        self._writes[context] = _Write(address, len(data), pending)
        put, beat = self._backend.put, self._beat
        put("dma_write", function=function, epoch=epoch, address=address, bytes=len(data), context=context, report=1)
        for at in range(0, len(data), beat):
            part = data[at:at + beat]
            put("dma_write_data", data=int.from_bytes(part, "little"), bytes=len(part), last=at + beat >= len(data))
        return pending

    def take_read_data(self, items: Sequence[Item]) -> None:
        """Beats of ``dma_read_data``."""
        for _, fields in items:
            read = self._reads[fields["context"]]
            status = STATUSES[fields["status"]]
            if status == "ok":
                read.data += fields["data"].to_bytes(self._beat, "little")[:fields["bytes"]]
            if fields["last"]:
                del self._reads[fields["context"]]
                if status == "ok":
                    read.pending.set(bytes(read.data))
                else:
                    read.pending.fail(dma_error(status, read.address + len(read.data), read.length - len(read.data)))

    def take_write_done(self, items: Sequence[Item]) -> None:
        """Reports of ``dma_write_done``."""
        for _, fields in items:
            write = self._writes.pop(fields["context"])
            if fields["status"]:
                write.pending.fail(dma_error("blocked", write.address, write.length))
            else:
                write.pending.set(None)


class Dma:
    """Host memory as one function sees it in one epoch."""

    def __init__(self, port: DmaPort, function: int, epoch: int):
        self._port, self._function, self._epoch = port, function, epoch

    async def read(self, address: int, length: int, owner: int = PAYLOAD) -> bytes:
        """*length* bytes at *address*.

        Raises
        ------
        DmaError
            If they cannot all be had.
        """
        parts = [self._port.read(self._function, self._epoch, address + at, min(LARGEST, length - at), owner)
                 for at in range(0, length, LARGEST)]
        return b"".join([await part for part in parts])

    async def write(self, address: int, data: bytes) -> None:
        """Write *data* at *address*; returns when it is in the ordered queue.

        Raises
        ------
        DmaError
            If some of it may not leave. Whether there is memory nobody ever says.
        """
        parts = [self._port.write(self._function, self._epoch, address + at, data[at:at + LARGEST])
                 for at in range(0, len(data), LARGEST)]
        for part in parts:
            await part

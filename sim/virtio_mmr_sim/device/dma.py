"""The requester port as coroutines: reads and writes of host memory by one function in one epoch."""

from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from virtio_mmr_sim.native.dma import LARGEST, STATUSES
from virtio_mmr_sim.native.model import BackEnd, Item

from .tasks import Pending

#: Owners of reads. Those of one owner come back in order; a slow payload does not hold up an index.
RING, PAYLOAD = 0, 1

_CONTEXTS = 1 << 16

T = TypeVar("T")


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
class _Request(Generic[T]):
    user: "Dma"
    address: int
    length: int
    pending: Pending[T]
    data: bytearray = field(default_factory=bytearray)


class DmaPort:
    """The five streams of the requester port, shared by all functions.

    Beyond 65,536 reads or writes, which is as many as a context can tell apart, further ones wait until some have
    ended. Writes are always reported: what is handed in behind an awaited
    write, on any stream, is behind it for the host as well.
    """

    def __init__(self, backend: BackEnd):
        self._backend = backend
        self._beat = backend.fields("dma_write_data")["data"] // 8
        self._reads: dict[int, _Request[bytes]] = {}
        self._writes: dict[int, _Request[None]] = {}
        self._next = 0
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def busy(self) -> bool:
        """Whether any request has not ended."""
        return bool(self._reads or self._writes)

    def _hand_in(self, begin: Callable[[], None]) -> None:
        """*begin* a request, now or when there is a context for it; in the order of the calls."""
        self._waiting.append(begin)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and max(len(self._reads), len(self._writes)) < _CONTEXTS:
            self._waiting.popleft()()

    def _ended(self, user: "Dma") -> None:
        user.ended()
        self._go_on()

    def _context(self, taken: Container[int]) -> int:
        while self._next in taken:
            self._next = (self._next + 1) % _CONTEXTS
        context, self._next = self._next, (self._next + 1) % _CONTEXTS
        return context

    def read(self, user: "Dma", address: int, length: int, owner: int) -> Pending[bytes]:
        """Hand in a read of 1 to `LARGEST` bytes."""
        pending: Pending[bytes] = Pending()

        def begin() -> None:
            context = self._context(self._reads)
            self._reads[context] = _Request(user, address, length, pending)
            self._backend.put("dma_read", function=user.function, epoch=user.epoch, address=address, bytes=length,
                              owner=owner, context=context)

        self._hand_in(begin)
        return pending

    def write(self, user: "Dma", address: int, data: bytes) -> Pending[None]:
        """Hand in a write of 1 to `LARGEST` bytes."""
        pending: Pending[None] = Pending()

        def begin() -> None:
            context = self._context(self._writes)
            self._writes[context] = _Request(user, address, len(data), pending)
            put, beat = self._backend.put, self._beat
            put("dma_write", function=user.function, epoch=user.epoch, address=address, bytes=len(data),
                context=context, report=1)
            for at in range(0, len(data), beat):
                part = data[at:at + beat]
                put("dma_write_data", data=int.from_bytes(part, "little"), bytes=len(part), last=at + beat >= len(data))

        self._hand_in(begin)
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
                self._ended(read.user)
                if status == "ok":
                    read.pending.set(bytes(read.data))
                else:
                    read.pending.fail(dma_error(status, read.address + len(read.data), read.length - len(read.data)))

    def take_write_done(self, items: Sequence[Item]) -> None:
        """Reports of ``dma_write_done``."""
        for _, fields in items:
            write = self._writes.pop(fields["context"])
            self._ended(write.user)
            if fields["status"]:
                write.pending.fail(dma_error("blocked", write.address, write.length))
            else:
                write.pending.set(None)


class Dma:
    """Host memory as one user sees it: a function in one epoch, or one queue of it.

    The coroutines raise `DmaError` if not all bytes could be moved. Whether there is memory where something was written
    nobody ever says.
    """

    def __init__(self, port: DmaPort, function: int, epoch: int):
        self._port, self.function, self.epoch = port, function, epoch
        self._open = 0
        self._quiet: list[Pending[None]] = []

    def begin_read(self, address: int, length: int, owner: int = PAYLOAD) -> list[Pending[bytes]]:
        """Hand in a read; its parts in order."""
        parts = [self._port.read(self, address + at, min(LARGEST, length - at), owner)
                 for at in range(0, length, LARGEST)]
        self._open += len(parts)
        return parts

    def begin_write(self, address: int, data: bytes) -> list[Pending[None]]:
        """Hand in a write; its parts."""
        parts = [self._port.write(self, address + at, data[at:at + LARGEST]) for at in range(0, len(data), LARGEST)]
        self._open += len(parts)
        return parts

    async def read(self, address: int, length: int, owner: int = PAYLOAD) -> bytes:
        """*length* bytes at *address*."""
        return b"".join([await part for part in self.begin_read(address, length, owner)])

    async def write(self, address: int, data: bytes) -> None:
        """Write *data* at *address*; returns when it is in the ordered queue."""
        for part in self.begin_write(address, data):
            await part

    async def quiet(self) -> None:
        """Wait until everything has ended that was handed in."""
        if self._open:
            pending: Pending[None] = Pending()
            self._quiet.append(pending)
            await pending

    def ended(self) -> None:
        """A request has ended."""
        self._open -= 1
        if not self._open:
            quiet, self._quiet = self._quiet, []
            for pending in quiet:
                pending.set(None)

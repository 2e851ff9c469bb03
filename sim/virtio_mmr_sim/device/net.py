"""A network device (virtio 1.3, 5.1) with a link to whoever is at the other end of the cable.

It offloads nothing but checksums of what the driver sends, if the device file offers NET_CSUM.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from virtio_mmr.spec.device_types import NET

from .function import FunctionDevice, Queue
from .network.packets import checksum
from .split_ring import Chain
from .tasks import Pending

#: Indexes of queues.
RECEIVE, TRANSMIT, CONTROL = 0, 1, 2

#: Bytes of the header: with and without the number of buffers.
LONG_HEADER, SHORT_HEADER = 12, 10

#: Flag of the header: the checksum has to be completed.
NEEDS_CHECKSUM = 1

#: Bytes of the smallest and the largest frame.
SMALLEST, LARGEST = 14, 65550

#: Frames that wait for the driver's buffers; more are lost, as on any cable.
BACKLOG = 512

#: Frames that are fetched at once.
BATCH = 16

#: Answers of the control queue; classes of commands that need nothing here: receive modes, addresses, VLANs.
ACCEPTED, REFUSED = b"\0", b"\1"
CONTROL_CLASSES = (0, 1, 2)


class Link(Protocol):
    """The other end of the cable."""

    @property
    def wake_at(self) -> float | None:
        """Moment at which `wake` is due, if any."""

    def connect(self, send: Callable[[bytes], None]) -> None:
        """*send* takes frames to the driver."""

    def receive(self, frame: bytes) -> None:
        """The driver has sent *frame*."""

    def wake(self, now: float) -> None:
        """`wake_at` has come."""


class Net(FunctionDevice):
    """Moves Ethernet frames between the driver and *link*."""

    def __init__(self, link: Link):
        self._link = link
        self._backlog: deque[bytes] = deque()
        #: Frames so far: from the driver, to the driver, and lost on the way to it or unfit to be sent.
        self.sent = self.received = self.lost = 0
        link.connect(self.send)

    @property
    def wake_at(self) -> float | None:
        """The link's moment."""
        return self._link.wake_at

    def wake(self, now: float) -> None:
        """Let the link go on."""
        self._link.wake(now)

    def send(self, frame: bytes) -> None:
        """A frame for the driver."""
        if RECEIVE not in self.function.queues or len(self._backlog) >= BACKLOG:
            self.lost += 1
            return
        self._backlog.append(frame)
        if self.function.driver_ok:
            self.function.serve(RECEIVE)

    def driver_ready(self) -> None:
        """What came before can be received now."""
        self.function.serve(RECEIVE)

    def reset(self) -> None:
        """What was not received is lost."""
        self.lost += len(self._backlog)
        self._backlog.clear()

    @property
    def _mergeable(self) -> bool:
        return self.function.has(NET.features["NET_MRG_RXBUF"])

    @property
    def _header(self) -> int:
        """Bytes before each frame."""
        return LONG_HEADER if self._mergeable or not self.function.legacy else SHORT_HEADER

    async def serve(self, queue: Queue) -> None:
        """Serve the queue for what it is there for."""
        if queue.index == RECEIVE:
            await self._receive(queue)
        elif queue.index == TRANSMIT:
            await self._transmit(queue)
        else:
            await self._control(queue)

    # From the driver

    async def _transmit(self, queue: Queue) -> None:
        while (chain := await queue.take()) is not None:
            batch: list[tuple[Chain, list[Pending[bytes]]]] = []
            while chain is not None:
                fits = chain.readable_length <= self._header + LARGEST
                batch.append((chain, queue.begin_read(chain, 0, chain.readable_length) if fits else []))
                chain = await queue.ring.take() if len(batch) < BATCH else None
            for chain, parts in batch:
                self._emit(b"".join([await part for part in parts]))
                queue.ring.use(chain, 0)
            await queue.publish()

    def _emit(self, data: bytes) -> None:
        """Send a frame with its header on the link."""
        header, frame = data[:self._header], data[self._header:]
        if len(frame) < SMALLEST:
            self.lost += 1
            return
        if header[0] & NEEDS_CHECKSUM:
            frame = self._with_checksum(header, frame)
        self.sent += 1
        self._link.receive(frame)

    def _with_checksum(self, header: bytes, frame: bytes) -> bytes:
        """*frame* with the checksum that the driver has left to us."""
        order = self.function.order
        start, offset = int.from_bytes(header[6:8], order), int.from_bytes(header[8:10], order)
        if start + offset + 2 > len(frame):
            return frame
        # The field holds the sum of the pseudo header already.
        value = checksum(frame[start:]) or 0xFFFF
        return frame[:start + offset] + value.to_bytes(2, "big") + frame[start + offset + 2:]

    # To the driver

    async def _receive(self, queue: Queue) -> None:
        room: list[Chain] = []
        more = True
        while more and self._backlog:
            parts: list[Pending[None]] = []
            for _ in range(BATCH):
                more = bool(self._backlog) and await self._make_room(queue, room)
                if not more:
                    break
                data = self._backlog.popleft()
                if _size(room) < self._header + len(data):
                    # They will never hold it.
                    self.lost += 1
                    break
                data = self._new_header(len(room)) + data
                for chain in room:
                    part, data = data[:chain.writable_length], data[chain.writable_length:]
                    parts += queue.begin_write(chain, 0, part)
                    queue.ring.use(chain, len(part))
                room.clear()
                self.received += 1
            for pending in parts:
                await pending
            await queue.publish()
            if room:
                # Taken in vain: they come again.
                queue.rewind()
                room.clear()

    async def _make_room(self, queue: Queue, room: list[Chain]) -> bool:
        """Take buffers until *room* holds the oldest frame, or never will; False if the driver has to lend more."""
        while _size(room) < self._header + len(self._backlog[0]):
            if len(room) >= (queue.size if self._mergeable else 1):
                return True
            chain = await queue.take()
            if chain is None:
                return False
            room.append(chain)
        return True

    def _new_header(self, buffers: int) -> bytes:
        if self._header == SHORT_HEADER:
            return bytes(SHORT_HEADER)
        return bytes(SHORT_HEADER) + buffers.to_bytes(2, self.function.order)

    # Commands

    async def _control(self, queue: Queue) -> None:
        while (chain := await queue.take()) is not None:
            command = await queue.read(chain, 0, 2)
            answer = ACCEPTED if command and command[0] in CONTROL_CLASSES else REFUSED
            await queue.write(chain, 0, answer)
            await queue.use(chain, min(1, chain.writable_length))


def _size(chains: list[Chain]) -> int:
    """Bytes that *chains* take."""
    return sum(chain.writable_length for chain in chains)

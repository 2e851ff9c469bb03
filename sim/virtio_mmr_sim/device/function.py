"""One function as its device sees it: what the driver decided, its queues, interrupts, configuration."""

from collections.abc import Callable
from typing import Literal

from virtio_mmr.spec.features import TransportFeature

from virtio_mmr_sim.native.model import BackEnd

from .dma import RING, Blocked, Dma, DmaError, DmaPort
from .split_ring import Causes, Chain, RingFault, RingFeatures, SplitRing, Unreachable
from .tasks import Pending, Task, Tasks


class FunctionDevice:
    """What a device does; derive from it. One object is one function's device.

    Methods that are coroutines may await the methods of their `Queue`; whatever these raise is not theirs to handle.
    """

    #: The function that it belongs to; there from `attached` on.
    function: "Function"
    def attached(self) -> None:
        """The function is there, with the configuration of the device file: the moment to change it. Called again when
        a function level reset has brought that back."""

    async def serve(self, queue: "Queue") -> None:
        """There may be requests in *queue*: take them until there is none.

        It runs once at a time for each queue. It may be abandoned at any await, by a reset or because memory is out of
        reach; requests that were not shown as used then come again.
        """
        raise NotImplementedError

    def driver_ready(self) -> None:
        """The driver has set DRIVER_OK."""

    def reset(self) -> None:
        """The driver has gone: forget what it wanted."""

    def config_written(self, offset: int, value: int) -> None:
        """The driver wrote a byte of the configuration that is its own."""

    @property
    def wake_at(self) -> float | None:
        """Moment on the clock of `Device` at which `wake` is due, if any."""
        return None

    def wake(self, now: float) -> None:
        """`wake_at` has come."""


class _RingMemory:
    """The rings' way to host memory."""

    def __init__(self, dma: Dma):
        self._dma = dma

    async def read(self, address: int, length: int) -> bytes:
        try:
            return await self._dma.read(address, length, RING)
        except DmaError as error:
            if error.status == "unsupported":
                raise Unreachable(str(error)) from error
            raise

    async def write(self, address: int, data: bytes) -> None:
        await self._dma.write(address, data)


class Queue:
    """A queue from the moment in which the driver starts it."""

    def __init__(self, function: "Function", index: int, size: int, descriptors: int, available: int, used: int,
                 first_available: int, first_used: int, dma: Dma):
        self.function, self.index, self.size, self.dma = function, index, size, dma
        self._where = size, descriptors, available, used
        self._first = first_available, first_used
        self._ring: SplitRing | None = None
        #: `FunctionDevice.serve` at work; whether it has to look again; whether memory went out of reach; whether the
        #: driver broke the ring.
        self.task: Task | None = None
        self.again = self.stalled = self.broken = False

    @property
    def ring(self) -> SplitRing:
        """The ring; with the features that hold when it is used first."""
        if self._ring is None:
            first_available, first_used = self._first
            self._ring = SplitRing(_RingMemory(self.dma), *self._where, self.function.ring_features,
                                   first_available=first_available, first_used=first_used)
        return self._ring

    async def take(self) -> Chain | None:
        """The next request, or None: then a notification comes with the next one."""
        while (chain := await self.ring.take()) is None:
            if not await self.ring.watch():
                return None
        return chain

    def begin_read(self, chain: Chain, start: int, length: int) -> list[Pending[bytes]]:
        """Ask for readable bytes of *chain*; their parts in order."""
        parts: list[Pending[bytes]] = []
        for buffer in chain.readable:
            skipped = min(start, buffer.length)
            part = min(buffer.length - skipped, length)
            parts += self.dma.begin_read(buffer.address + skipped, part)
            start, length = start - skipped, length - part
        return parts

    async def read(self, chain: Chain, start: int, length: int) -> bytes:
        """The readable bytes of *chain* from *start* on; fewer than *length* if there are no more."""
        return b"".join([await part for part in self.begin_read(chain, start, length)])

    def begin_write(self, chain: Chain, start: int, data: bytes) -> list[Pending[None]]:
        """Hand in writable bytes of *chain*."""
        parts: list[Pending[None]] = []
        for buffer in chain.writable:
            skipped = min(start, buffer.length)
            part = data[:buffer.length - skipped]
            parts += self.dma.begin_write(buffer.address + skipped, part)
            start, data = start - skipped, data[len(part):]
        return parts

    async def write(self, chain: Chain, start: int, data: bytes) -> None:
        """Fill the writable bytes of *chain* from *start* on; what is beyond them is lost."""
        for part in self.begin_write(chain, start, data):
            await part

    async def use(self, chain: Chain, written: int) -> None:
        """*chain* is done, with *written* bytes from its first writable one on; tell the driver."""
        self.ring.use(chain, written)
        await self.publish()

    async def publish(self) -> None:
        """Tell the driver of what `ring.use` was called for."""
        if await self.ring.publish():
            self.interrupt()

    def interrupt(self) -> None:
        """Tell the driver that something was used."""
        self.function.interrupt(self.index)

    def rewind(self) -> None:
        """What was taken and not shown as used comes again."""
        if self._ring is not None:
            self._ring.rewind()


class Function:
    """The boundary's streams, for one function. `Device` makes it and feeds it."""

    def __init__(self, number: int, backend: BackEnd, port: DmaPort, tasks: Tasks, device: FunctionDevice | None):
        self.number = number
        self._backend, self._port, self._tasks, self._device = backend, port, tasks, device
        self.epoch = 0
        self.features = 0
        self.legacy, self.big_endian, self.driver_ok = True, False, False
        self.queues: dict[int, Queue] = {}
        #: How often the driver or the gate changed.
        self._updates = 0
        #: Called with a queue's index, a cause and a reason when the function is given up.
        self.on_fault: Callable[[int, int, str], None] | None = None
        if device is not None:
            device.function = self
            device.attached()

    # For devices

    @property
    def order(self) -> Literal["big", "little"]:
        """Byte order of what driver and device tell each other in buffers."""
        return "big" if self.big_endian else "little"

    def has(self, feature: int) -> bool:
        """Whether a feature bit was negotiated."""
        return self.features >> feature & 1 == 1

    @property
    def ring_features(self) -> RingFeatures:
        """What was negotiated about rings."""
        return RingFeatures(
            indirect=self.has(TransportFeature.RING_INDIRECT_DESC),
            event_index=self.has(TransportFeature.RING_EVENT_IDX),
            notify_on_empty=self.legacy and self.has(TransportFeature.NOTIFY_ON_EMPTY),
            big_endian=self.big_endian,
        )

    def serve(self, index: int) -> None:
        """Have the device look at a queue, if the driver has started it."""
        queue = self.queues.get(index)
        if queue is None or queue.broken or self._device is None:
            return
        queue.again = True
        if queue.task is None or queue.task.done:
            queue.task = self._tasks.start(self._serve(queue, self._device))

    def interrupt(self, queue: int) -> None:
        """Tell the driver that buffers of *queue* were used."""
        self._backend.put("interrupt_cause", function=self.number, epoch=self.epoch, queue=queue)

    def update_config(self, offset: int, data: bytes, *, tell: bool = False) -> None:
        """Change bytes of the configuration at once; *tell* the driver."""
        start, end = offset & ~3, offset + len(data)
        padded = bytes(offset - start) + data + bytes(-end % 4)
        for at in range(start, end, 4):
            strobe = sum(1 << lane for lane in range(4) if offset <= at + lane < end)
            self._backend.put(
                "config_update", function=self.number, offset=at, strobe=strobe, last=at + 4 >= end,
                data=int.from_bytes(padded[at - start:at - start + 4], "little"))
        if tell:
            self._backend.put("interrupt_cause", function=self.number, epoch=self.epoch, config_change=1)

    # For the boundary

    async def _serve(self, queue: Queue, device: FunctionDevice) -> None:
        while queue.again:
            queue.again, updates = False, self._updates
            try:
                if queue.stalled:
                    # Whether the driver wanted to hear of what was used last was perhaps out of reach, too.
                    queue.stalled = False
                    queue.interrupt()
                await device.serve(queue)
            except Blocked:
                queue.stalled = True
                queue.rewind()
                # The gate may have opened again before we heard that it had been closed.
                queue.again |= self._updates != updates
            except RingFault as fault:
                self._give_up(queue, fault.cause, str(fault))
            except DmaError as error:
                self._give_up(queue, Causes.DMA, str(error))

    def _give_up(self, queue: Queue, cause: int, why: str) -> None:
        queue.broken, queue.again = True, False
        self._backend.put("fault", function=self.number, epoch=self.epoch, queue=queue.index, cause=cause)
        if self.on_fault is not None:
            self.on_fault(queue.index, cause, why)

    def driver_update(self, fields: dict[str, int]) -> None:
        """An item of ``driver_update``."""
        self._updates += 1
        self.features, self.big_endian = fields["features"], fields["big_endian"] == 1
        self.legacy = fields["legacy"] == 1
        ready, self.driver_ok = fields["driver_ok"] and not self.driver_ok, fields["driver_ok"] == 1
        if ready and self._device is not None:
            self._device.driver_ready()
        for index, queue in self.queues.items():
            if queue.stalled:
                self.serve(index)

    def queue_update(self, fields: dict[str, int]) -> None:
        """An item of ``queue_update``."""
        index = fields["queue"]
        old = self.queues.pop(index, None)
        if old is not None and old.task is not None:
            old.task.cancel()
        if fields["change"] == 0:
            self.queues[index] = Queue(
                self, index, fields["size"], fields["descriptors"], fields["available"], fields["used"],
                fields["first_available"], fields["first_used"], Dma(self._port, self.number, self.epoch))
        elif fields["change"] == 2:
            self._tasks.start(self._let_go(index, self.epoch, old))

    async def _let_go(self, index: int, epoch: int, queue: Queue | None) -> None:
        """Say that a queue is quiet once nothing of it is on its way."""
        if queue is not None:
            await queue.dma.quiet()
        if epoch == self.epoch:
            self._backend.put("queue_quiet", function=self.number, queue=index)

    def notification(self, fields: dict[str, int]) -> None:
        """An item of ``notification``."""
        self.legacy = fields["legacy"] == 1
        self.serve(fields["queue"])

    def config_write(self, fields: dict[str, int]) -> None:
        """An item of ``config_write``."""
        if self._device is not None:
            for lane in range(4):
                if fields["strobe"] >> lane & 1:
                    self._device.config_written(fields["offset"] + lane, fields["data"] >> 8 * lane & 0xFF)

    def reset_request(self, fields: dict[str, int]) -> None:
        """An item of ``reset_request``: let go of everything, and say so."""
        for queue in self.queues.values():
            if queue.task is not None:
                queue.task.cancel()
        self.queues.clear()
        self.epoch, self.features = fields["epoch"], 0
        self.legacy, self.big_endian, self.driver_ok = True, False, False
        if self._device is not None:
            self._device.reset()
            if fields["cause"] in (1, 2):
                self._device.attached()
        self._backend.put("reset_done", function=self.number, epoch=self.epoch)

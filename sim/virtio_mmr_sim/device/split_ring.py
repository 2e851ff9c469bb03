"""The device's side of a split virtqueue (virtio 1.3, 2.7), whoever drives it.

A ring is given by three addresses and a size, so one built from a legacy page number looks like any other. Nothing the
driver writes is trusted: what breaks a rule raises `RingFault` before anything is done with it. Buffers are used in the
order in which they were made available, as IN_ORDER demands and as everybody may.
"""

import struct
from collections import deque
from dataclasses import dataclass
from typing import Protocol

#: Bytes of an entry of the descriptor table, of the available and of the used ring; of what stands before both rings.
DESCRIPTOR, AVAILABLE, USED, HEAD = 16, 2, 8, 4

#: Flags of a descriptor.
NEXT, WRITE, INDIRECT = 1, 2, 4

#: Flag of the available ring: no interrupts, please; of the used ring: no notifications.
NO_INTERRUPT, NO_NOTIFY = 1, 1

#: Most buffers of one chain, or as many as the queue has entries if that is more. An indirect table is read no further.
LONGEST = 1024

#: Descriptors that are read at once: the rest of a chain often stands behind its head.
BURST = 4

#: Most descriptors of an indirect table that are read at once.
INDIRECT_BURST = 64


class Causes:
    """Why a device cannot go on: the bits of BADSTATE that a back end may set."""

    ADDRESS, DMA, CONTENTS = 1, 2, 3


class RingFault(Exception):
    """The driver has broken a rule of the ring, or the ring cannot be reached; *cause* is one of `Causes`."""

    def __init__(self, cause: int, why: str):
        super().__init__(why)
        self.cause = cause


class Unreachable(Exception):
    """What a `RingMemory` raises for memory that is not there, or derives its exceptions from."""


class RingMemory(Protocol):
    """Memory that the driver shares.

    Exceptions other than `Unreachable` pass through the ring, which can then be rewound.
    """

    async def read(self, address: int, length: int) -> bytes:
        """*length* bytes; raises `Unreachable`."""

    async def write(self, address: int, data: bytes) -> None:
        """Store *data*. Writes take effect in order, and before a later read."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that the driver lends."""

    address: int
    length: int


@dataclass(eq=False, slots=True)
class Chain:
    """One request: buffers to read, then buffers to write."""

    head: int
    readable: tuple[Buffer, ...]
    writable: tuple[Buffer, ...]
    #: Bytes written, once it is done.
    written: int | None = None

    @property
    def readable_length(self) -> int:
        """Bytes to read."""
        return sum(buffer.length for buffer in self.readable)

    @property
    def writable_length(self) -> int:
        """Bytes that may be written."""
        return sum(buffer.length for buffer in self.writable)


@dataclass(frozen=True, kw_only=True)
class RingFeatures:
    """What was negotiated about rings."""

    #: RING_INDIRECT_DESC.
    indirect: bool = False
    #: RING_EVENT_IDX.
    event_index: bool = False
    #: NOTIFY_ON_EMPTY.
    notify_on_empty: bool = False
    #: The rings of a big-endian legacy guest are in its own byte order.
    big_endian: bool = False


class SplitRing:
    """A queue from the moment in which it is enabled.

    Call `take` for requests, `use` for each of them when it is done, `publish` to show the driver what was used.

    Parameters
    ----------
    memory
    size
        Entries: a power of two up to 32768.
    descriptors, available, used
        Addresses of the three areas.
    first_available, first_used
        Indexes to start from; a reset driver starts from zero.

    Raises
    ------
    RingFault
        From every coroutine. Nothing may be called afterwards.
    """

    def __init__(self, memory: RingMemory, size: int, descriptors: int, available: int, used: int,
                 features: RingFeatures | None = None, *, first_available: int = 0, first_used: int = 0):
        self._memory, self._size = memory, size
        self._descriptors, self._available, self._used = descriptors, available, used
        self.features = features or RingFeatures()
        order = ">" if self.features.big_endian else "<"
        self._descriptor = struct.Struct(f"{order}QIHH")
        self._element = struct.Struct(f"{order}II")
        self._number = struct.Struct(f"{order}H")
        for name, address, length, alignment in (
            ("descriptors", descriptors, DESCRIPTOR * size, 16),
            ("available ring", available, HEAD + AVAILABLE * size + 2, 2),
            ("used ring", used, HEAD + USED * size + 2, 4),
        ):
            if address % alignment or address + length > 1 << 64:
                raise RingFault(Causes.ADDRESS, f"{name} at {address:#x}: no multiple of {alignment}, or beyond memory")
        if not 0 < size <= 1 << 15 or size & size - 1:
            raise RingFault(Causes.ADDRESS, f"a queue of {size} entries: no power of two up to {1 << 15}")
        #: Index behind the newest entry that the driver is known to have made available.
        self._seen = first_available
        #: Index of the oldest entry that the driver was not shown as used.
        self._oldest = first_available
        #: Index behind the newest used element that the driver was shown.
        self._shown = first_used
        #: Heads that were read and not taken; chains that were taken and whose turn to be shown has not come; used ones
        #: whose has.
        self._heads: deque[int] = deque()
        self._taken: deque[Chain] = deque()
        self._used_chains: list[Chain] = []
        self._suppressed = False

    # Reading what the driver has made

    async def take(self) -> Chain | None:
        """The next request, or None if there is none yet."""
        if not self._heads and not await self._look():
            return None
        chain = await self._chain(self._heads[0])
        self._heads.popleft()
        self._taken.append(chain)
        return chain

    async def _look(self) -> bool:
        """Read what the driver has made available since; True if there is something."""
        index = await self._read_number(self._available + 2)
        count = (index - self._seen) & 0xFFFF
        if count == 0:
            return False
        if count + (self._seen - self._oldest & 0xFFFF) > self._size:
            raise RingFault(Causes.CONTENTS, f"the available index went from {self._seen} to {index}: "
                            f"more than the {self._size} entries of the queue are outstanding")
        start = self._seen % self._size
        first = min(count, self._size - start)
        data = await self._read(self._available + HEAD + AVAILABLE * start, AVAILABLE * first)
        if first < count:
            data += await self._read(self._available + HEAD, AVAILABLE * (count - first))
        self._heads.extend(head for head, in self._number.iter_unpack(data))
        self._seen = index
        return True

    async def _chain(self, head: int) -> Chain:
        """Walk the chain that begins with descriptor *head*."""
        if head >= self._size:
            raise RingFault(Causes.CONTENTS, f"chain {head} begins outside the {self._size} descriptors")
        readable: list[Buffer] = []
        writable: list[Buffer] = []
        table = _Table(self._descriptors, self._size, BURST, Causes.ADDRESS)
        index, steps, longest = head, 0, max(LONGEST, self._size)
        while True:
            address, length, flags, following = await table.entry(self, index)
            if flags & INDIRECT:
                table, index, steps = self._indirect(table, address, length, flags), 0, 0
                continue
            steps += 1
            if steps > min(table.size, longest):
                raise RingFault(Causes.CONTENTS, f"chain {head} has more than {steps - 1} descriptors")
            if address + length > 1 << 64:
                raise RingFault(Causes.CONTENTS, f"a buffer of {length} bytes at {address:#x} ends beyond all memory")
            if flags & WRITE:
                writable.append(Buffer(address, length))
            elif writable:
                raise RingFault(Causes.CONTENTS, f"chain {head} has a buffer to read behind one to write")
            else:
                readable.append(Buffer(address, length))
            if not flags & NEXT:
                return Chain(head, tuple(readable), tuple(writable))
            if following >= table.size:
                raise RingFault(Causes.CONTENTS,
                                f"chain {head} goes on outside the {table.size} descriptors, at {following}")
            index = following

    def _indirect(self, table: "_Table", address: int, length: int, flags: int) -> "_Table":
        """The table that a descriptor refers to; whether the descriptor has WRITE does not matter."""
        if not self.features.indirect:
            raise RingFault(Causes.CONTENTS, "an indirect descriptor, which was not negotiated")
        if table.cause != Causes.ADDRESS:
            raise RingFault(Causes.CONTENTS, "an indirect descriptor in an indirect table")
        if flags & NEXT:
            raise RingFault(Causes.CONTENTS, "an indirect descriptor that goes on")
        if length == 0 or length % DESCRIPTOR:
            raise RingFault(Causes.CONTENTS, f"an indirect table of {length} bytes: no multiple of {DESCRIPTOR}")
        if address + length > 1 << 64:
            raise RingFault(Causes.CONTENTS, f"an indirect table at {address:#x} ends beyond all memory")
        return _Table(address, length // DESCRIPTOR, INDIRECT_BURST, Causes.DMA)

    # Giving back

    def use(self, chain: Chain, written: int) -> None:
        """*chain* is done, and its first *written* writable bytes are; nobody hears of it before `publish`.

        A chain that is done before an older one waits for that.
        """
        chain.written = written
        while self._taken and self._taken[0].written is not None:
            self._used_chains.append(self._taken.popleft())

    async def publish(self) -> bool:
        """Show the driver what was used since; True if it wants an interrupt for it."""
        chains = self._used_chains
        if not chains:
            return False
        count, old = len(chains), self._shown
        start = old % self._size
        packed = b"".join(self._element.pack(chain.head, chain.written) for chain in chains)
        behind = USED * (self._size - start)
        await self._write(self._used + HEAD + USED * start, packed[:behind])
        if packed[behind:]:
            await self._write(self._used + HEAD, packed[behind:])
        new = old + count & 0xFFFF
        await self._write(self._used + 2, self._number.pack(new))
        self._shown, self._oldest = new, self._oldest + count & 0xFFFF
        del chains[:count]
        return await self._wants_interrupt(old, new)

    async def _wants_interrupt(self, old: int, new: int) -> bool:
        """Whether the driver wants to hear of the used elements from *old* to *new*."""
        if self.features.notify_on_empty and not self._taken and not self._heads:
            if await self._read_number(self._available + 2) == self._seen:
                return True
        if self.features.event_index:
            event = await self._read_number(self._available + HEAD + AVAILABLE * self._size)
            return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF
        return not await self._read_number(self._available) & NO_INTERRUPT

    # Notifications

    async def suppress(self) -> None:
        """Ask not to be notified; with event indexes that needs no word."""
        if not self.features.event_index and not self._suppressed:
            await self._write(self._used, self._number.pack(NO_NOTIFY))
            self._suppressed = True

    async def watch(self) -> bool:
        """Ask to be notified of the next request. True if there is one already: then it may not be told."""
        if self.features.event_index:
            await self._write(self._used + HEAD + USED * self._size, self._number.pack(self._seen))
        elif self._suppressed:
            await self._write(self._used, self._number.pack(0))
            self._suppressed = False
        return bool(self._heads) or await self._look()

    def rewind(self) -> None:
        """Forget what was taken and not shown: `take` gives it again. For when memory was out of reach for a while."""
        self._heads.clear()
        self._taken.clear()
        self._used_chains.clear()
        self._seen = self._oldest

    # Memory

    async def _read(self, address: int, length: int, cause: int = Causes.ADDRESS) -> bytes:
        try:
            return await self._memory.read(address, length)
        except Unreachable as error:
            raise RingFault(cause, str(error)) from error

    async def read_descriptors(self, address: int, count: int, cause: int) -> list[tuple[int, int, int, int]]:
        """Address, length, flags and next of *count* descriptors."""
        return list(self._descriptor.iter_unpack(await self._read(address, DESCRIPTOR * count, cause)))

    async def _read_number(self, address: int) -> int:
        number: int = self._number.unpack(await self._read(address, 2))[0]
        return number

    async def _write(self, address: int, data: bytes) -> None:
        try:
            await self._memory.write(address, data)
        except Unreachable as error:
            raise RingFault(Causes.ADDRESS, str(error)) from error


class _Table:
    """Descriptors in memory, read a few at a time while one chain is walked."""

    def __init__(self, address: int, size: int, burst: int, cause: int):
        self.size, self.cause = size, cause
        self._address, self._burst = address, burst
        self._start = 0
        self._entries: list[tuple[int, int, int, int]] = []

    async def entry(self, ring: SplitRing, index: int) -> tuple[int, int, int, int]:
        """Address, length, flags and next of descriptor *index*."""
        if not self._start <= index < self._start + len(self._entries):
            count = min(self._burst, self.size - index)
            self._entries = await ring.read_descriptors(self._address + DESCRIPTOR * index, count, self.cause)
            self._start = index
        return self._entries[index - self._start]

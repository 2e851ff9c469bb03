"""Memory behind a root port: answers what a native design sends out of its requester."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from virtio_mmr.spec.tlp import CompletionStatus

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.tlp import Completion, MemoryRequest

from .model import NativeError, NativeModel


class OutsideMemory(Exception):
    """There is no memory at some of these bytes."""

    def __init__(self, address: int, length: int):
        super().__init__(f"no memory at {address:#x} to {address + length:#x}")
        self.address, self.length = address, length


class Memory(Protocol):
    """What a host's memory can do. A request that is not wholly inside changes nothing.

    A write TLP with gaps in its byte enables is a request for each run of bytes.
    """

    def read(self, address: int, length: int) -> bytes:
        """*length* bytes; raises `OutsideMemory`."""

    def write(self, address: int, data: bytes) -> None:
        """Store *data*; raises `OutsideMemory`."""


class Ram:
    """*size* bytes of memory from *base* up, zero at first."""

    def __init__(self, size: int, base: int = 0):
        self.base, self.bytes = base, bytearray(size)

    def _place(self, address: int, length: int) -> int:
        place = address - self.base
        if place < 0 or place + length > len(self.bytes):
            raise OutsideMemory(address, length)
        return place

    def read(self, address: int, length: int) -> bytes:
        """*length* bytes; raises `OutsideMemory`."""
        place = self._place(address, length)
        return bytes(self.bytes[place:place + length])

    def write(self, address: int, data: bytes) -> None:
        """Store *data*; raises `OutsideMemory`."""
        place = self._place(address, len(data))
        self.bytes[place:place + len(data)] = data


class HostMemory:
    """Answers the memory requests of a design, in the order in which they were sent.

    A read is answered with completions that end at multiples of *cut* bytes, with "unsupported request" where there
    is no memory. A write takes effect, or is counted in `dropped`.

    Parameters
    ----------
    memory
        What requests reach.
    spaces
        Other memory for single requesters, by requester id, as an IOMMU would have it.
    interrupts
        Addresses that are no memory: writes of one whole dword into them go to *message*.
    message
        Called with address, data and requester id.
    other
        Called with the dwords of a message TLP, such as Assert_INTA.
    completion
        Called with the dwords of a completion; without it there must be none: who reads registers with the methods of
        `NativeModel` never sees any here.
    cut
        64 or 128 is a root complex with that read completion boundary; larger multiples need a Max_Payload_Size of
        as much.

    Raises
    ------
    NativeError
        From `step`, for a TLP that an endpoint has no business to send.
    """

    def __init__(
        self,
        model: NativeModel,
        memory: Memory,
        *,
        spaces: Mapping[int, Memory] | None = None,
        interrupts: Sequence[range] = (),
        message: Callable[[int, int, int], None] | None = None,
        other: Callable[[Sequence[int]], None] | None = None,
        completion: Callable[[Sequence[int]], None] | None = None,
        cut: int = 128,
    ):
        self._model, self._memory = model, memory
        self.spaces = {} if spaces is None else spaces
        self.interrupts = list(interrupts)
        self._message, self._other, self._completion = message, other, completion
        self.cut = cut
        #: Writes that reached no memory, reads that were refused, and how many there were of each.
        self.dropped = self.refused = 0
        self.reads = self.writes = self.messages = 0

    def step(self) -> bool:
        """Take what the design has sent; True if there was something."""
        received = self._model.take()
        for dwords in received:
            self._take(dwords)
        return bool(received)

    def _take(self, dwords: Sequence[int]) -> None:
        packet = tlp.parse(dwords)
        match packet:
            case MemoryRequest(write=False, locked=False):
                self._read(packet)
            case MemoryRequest(write=True, locked=False, poisoned=False):
                self._write(packet)
            case Completion() if self._completion is not None:
                self._completion(dwords)
            case tlp.Message():
                if self._other is not None:
                    self._other(dwords)
            case _:
                raise NativeError(f"the design has sent {packet}: only memory requests and messages were due")

    def _memory_of(self, requester: int) -> Memory:
        return self.spaces.get(requester, self._memory)

    def _read(self, request: MemoryRequest) -> None:
        self.reads += 1
        try:
            payload = tlp.to_dwords(self._memory_of(request.requester).read(request.address, 4 * request.length))
        except OutsideMemory:
            self.refused += 1
            self._model.send(tlp.build(Completion(
                requester=request.requester, tag=request.tag, traffic_class=request.traffic_class,
                attributes=request.attributes, status=CompletionStatus.UNSUPPORTED)))
            return
        first, last = tlp.enables(request)
        self._model.send(*(
            tlp.build(Completion(
                requester=request.requester, tag=request.tag, traffic_class=request.traffic_class,
                attributes=request.attributes, byte_count=piece.byte_count, lower_address=piece.lower_address,
                payload=payload[piece.start:piece.start + piece.length]))
            for piece in tlp.pieces(request.address, request.length, first, last, self.cut)))

    def _write(self, request: MemoryRequest) -> None:
        whole_dword = request.length == 1 and request.first_be == 0xF
        if self._message is not None and whole_dword and any(request.address in part for part in self.interrupts):
            self.messages += 1
            self._message(request.address, request.payload[0], request.requester)
            return
        self.writes += 1
        memory, data = self._memory_of(request.requester), tlp.to_bytes(request.payload)
        try:
            for start, end in _enabled(request):
                memory.write(request.address + start, data[start:end])
        except OutsideMemory:
            self.dropped += 1


def _enabled(request: MemoryRequest) -> Iterator[tuple[int, int]]:
    """Runs of enabled bytes of a write: offsets of the first byte and behind the last."""
    size = 4 * request.length
    if request.length > 1 and request.first_be in (0xF, 0xE, 0xC, 8) and request.last_be in (0xF, 7, 3, 1):
        yield 4 - request.first_be.bit_count(), size - 4 + request.last_be.bit_count()
        return
    start = None
    for at in range(size):
        on = tlp.strobe(request.length, request.first_be, request.last_be, at // 4) >> at % 4 & 1
        if on and start is None:
            start = at
        elif not on and start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, size

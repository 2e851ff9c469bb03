"""A host on the other end of the raw TLP ports: requests, and completions that are checked in full.

Every completion is compared with what the request calls for (requester, tag, traffic class, attributes,
completer, status, byte count, lower address, cuts), computed by `virtio_mmr_sim.model.tlp`.
"""

import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, Event, with_timeout
from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA, MESSAGE_LOCAL, CompletionStatus, TlpType

from virtio_mmr_sim.bus.raw import RawTlpSink, RawTlpSource
from virtio_mmr_sim.model import tlp as codec
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Message,
    Tlp,
)

SUCCESSFUL, UNSUPPORTED = CompletionStatus.SUCCESSFUL, CompletionStatus.UNSUPPORTED

#: Tags that the host draws from; lower ones are left to a root complex that shares the link.
TAGS = range(0x40, 0x400)

#: Longest wait for a completion, in clocks of 4 ns.
PATIENCE = 20_000


class Unsupported(Exception):
    """The endpoint answered "unsupported request"."""


@dataclass(frozen=True)
class Answer:
    """All completions of one request."""

    status: int
    #: Payload dwords of all completions, in order.
    payload: tuple[int, ...]
    completions: tuple[Completion, ...]

    @property
    def data(self) -> int:
        """The first dword."""
        return self.payload[0]


def expected_completions(request: Tlp, completer: int, status: int) -> list[Completion]:
    """Headers that the completions of *request* must have; their payload is zero dwords."""
    locked = False
    cuts = [codec.Piece(0, 0, 4, 0)]
    if isinstance(request, MemoryRequest):
        first, last = codec.enables(request)
        locked = request.locked
        cuts = codec.pieces(request.address, request.length, first, last)
        if status != SUCCESSFUL:
            cuts = [cuts[0]._replace(length=0)]
    elif isinstance(request, ConfigRequest | IoRequest) and not request.write and status == SUCCESSFUL:
        cuts = [codec.Piece(0, 1, 4, 0)]
    return [
        Completion(
            requester=request.requester,
            tag=request.tag,
            traffic_class=request.traffic_class,
            attributes=request.attributes,
            completer=completer,
            status=status,
            locked=locked,
            byte_count=cut.byte_count,
            lower_address=cut.lower_address,
            payload=(0,) * cut.length,
        )
        for cut in cuts
    ]


def bdf(bus: int, device: int, function: int = 0) -> int:
    """Requester or completer id."""
    return bus << 8 | device << 3 | function


class Host:
    """Sends requests and matches completions.

    Parameters
    ----------
    requester
        Id that requests carry.
    tags
        Tags to draw from.
    log
        Called with ``(what, fields)`` for every TLP.
    """

    def __init__(
        self,
        dut: Any,
        source: RawTlpSource,
        sink: RawTlpSink,
        *,
        rng: random.Random,
        requester: int = 0,
        tags: range = TAGS,
        log: Callable[[str, dict[str, Any]], None] = lambda what, fields: None,
    ):
        self._clock, self._source, self._sink, self._rng, self._log = dut.clk, source, sink, rng, log
        self.requester = requester
        #: Bus and device that configuration requests name, and that the endpoint has captured.
        self.target = (1, 0)
        self.captured = 0
        #: The endpoint has virtual functions: device and function number are one number, and no device is captured.
        self.routed_by_function = False
        #: Memory writes of the endpoint: its MSI-X messages.
        self.messages: deque[MemoryRequest] = deque()
        #: INTA is raised, by the messages of the endpoint.
        self.intx = False
        #: What else came up unasked, such as completions that nobody waits for.
        self.unasked: deque[Tlp] = deque()
        #: Takes what this host did not ask for, if it wants it (see `RootPort`).
        self.others: Callable[[Sequence[int]], bool] = lambda dwords: False
        self._waiting: dict[int, tuple[Event, list[Completion]]] = {}
        self._tags = list(tags)
        rng.shuffle(self._tags)
        cocotb.start_soon(self._dispatch())

    async def _dispatch(self) -> None:
        while True:
            dwords = await self._sink.receive()
            self._log("from endpoint", {"tlp": hexadecimal(dwords)})
            dw0 = dwords[0]
            expected = codec.header_dwords(dw0) + codec.payload_dwords(dw0) + (dw0 >> 15 & 1)
            assert len(dwords) == expected, (
                f"a TLP of {len(dwords)} dwords whose header promises {expected}: {dwords}"
            )
            found = codec.parse(dwords)
            if isinstance(found, Completion) and found.tag in self._waiting:
                event, completions = self._waiting[found.tag]
                completions.append(found)
                event.set()
            elif self.others(dwords):
                pass
            elif isinstance(found, Message) and found.code in (ASSERT_INTA, DEASSERT_INTA):
                self._take_intx(found)
            elif isinstance(found, MemoryRequest) and found.write:
                self.messages.append(found)
            else:
                self.unasked.append(found)

    def _take_intx(self, message: Message) -> None:
        """Follow Assert_INTA and Deassert_INTA, which must take turns and carry nothing but their code."""
        assert message == Message(code=message.code, routing=MESSAGE_LOCAL, requester=self.captured), message
        assert self.intx != (message.code == ASSERT_INTA), f"INTA is told twice: {message}"
        self.intx = not self.intx

    @property
    def outstanding(self) -> int:
        """Requests that still wait for completions."""
        return len(self._waiting)

    def forget(self) -> None:
        """Drop everything under way; only for resets, which leave no request waiting."""
        self._waiting.clear()
        self.unasked.clear()
        self.messages.clear()
        self.intx = False

    # Packets as they are.

    def put(self, dwords: Sequence[int]) -> None:
        """Send dwords as they are."""
        self._log("to endpoint", {"tlp": hexadecimal(dwords)})
        self._source.put(dwords)

    def post(self, request: Tlp) -> None:
        """Send a request that wants no completion."""
        self.put(codec.build(request))

    async def settle(self, clocks: int = 200) -> None:
        """Wait until everything is sent, and some clocks more."""
        await self._source.drained()
        await ClockCycles(self._clock, clocks)

    async def silence(self, clocks: int = 200) -> None:
        """Check that nothing comes up unasked while everything is sent and for some clocks more."""
        before = len(self.unasked), len(self.messages)
        await self.settle(clocks)
        sent = list(self.unasked)[before[0]:] + list(self.messages)[before[1]:]
        assert not sent, f"the endpoint sent {sent}"

    # Requests with completions.

    async def request(self, request: Tlp, *, keep_tag: bool = False, virtual: int = 0) -> Answer:
        """Send a request, wait for all its completions, and check them.

        A fresh tag is drawn unless *keep_tag*. If it succeeds, the virtual function of this number has to answer.

        Raises
        ------
        AssertionError
            If a completion is not as the request calls for, or does not come.
        """
        if not keep_tag:
            request = replace(request, tag=self._take_tag())
        if not request.requester:
            request = replace(request, requester=self.requester)
        event = Event()
        completions: list[Completion] = []
        self._waiting[request.tag] = event, completions
        if isinstance(request, ConfigRequest) and request.write and not request.poisoned:
            # Completions are in order, so from this one on the endpoint answers under this number.
            if self.routed_by_function:
                self.captured = bdf(request.bus, 0)
            elif not request.type1 and not request.function:
                self.captured = bdf(request.bus, request.device)
        captured = self.captured
        self.put(codec.build(request))
        while not completions or not self._complete(request, completions):
            event.clear()
            await with_timeout(event.wait(), PATIENCE * 4, "ns")
        del self._waiting[request.tag]
        if not keep_tag:
            self._tags.append(request.tag)
        found = [replace(completion, payload=(0,) * len(completion.payload)) for completion in completions]
        answers = virtual if completions[-1].status == SUCCESSFUL else 0
        expected = expected_completions(request, captured | answers, completions[-1].status)
        assert found == expected, f"completions of {request}:\n  found    {found}\n  expected {expected}"
        return Answer(
            completions[-1].status,
            tuple(dword for c in completions for dword in c.payload),
            tuple(completions),
        )

    def _take_tag(self) -> int:
        return next(self._tags.pop(index) for index, tag in enumerate(self._tags) if tag not in self._waiting)

    @staticmethod
    def _complete(request: Tlp, completions: list[Completion]) -> bool:
        if completions[-1].status != SUCCESSFUL or not isinstance(request, MemoryRequest) or request.locked:
            return True
        return sum(len(completion.payload) for completion in completions) >= request.length

    # Configuration space.

    async def config_request(
        self,
        offset: int,
        *,
        write: bool = False,
        data: int = 0,
        enables: int = 0xF,
        function: int = 0,
        type1: bool = False,
        poisoned: bool = False,
    ) -> Answer:
        """One configuration request to the target, whatever its answer."""
        bus, device = self.target
        virtual = function if self.routed_by_function else 0
        return await self.request(
            ConfigRequest(
                bus=bus,
                device=device | function >> 3,
                function=function & 7,
                offset=offset & ~3,
                write=write,
                data=data,
                first_be=enables,
                type1=type1,
                poisoned=poisoned,
            ),
            virtual=virtual,
        )

    async def config_read(self, offset: int, size: int = 4, *, function: int = 0) -> int:
        """Read 1, 2 or 4 bytes of configuration space.

        Raises
        ------
        Unsupported
            If the endpoint says so.
        """
        lane = offset & 3
        answer = await self.config_request(offset, enables=(1 << size) - 1 << lane, function=function)
        if answer.status != SUCCESSFUL:
            raise Unsupported(f"configuration read at {offset:#x}")
        return answer.data >> 8 * lane & (1 << 8 * size) - 1

    async def config_write(self, offset: int, value: int, size: int = 4, *, function: int = 0) -> None:
        """Write 1, 2 or 4 bytes of configuration space.

        Raises
        ------
        Unsupported
            If the endpoint says so.
        """
        lane = offset & 3
        answer = await self.config_request(
            offset, write=True, data=value << 8 * lane, enables=(1 << size) - 1 << lane, function=function
        )
        if answer.status != SUCCESSFUL:
            raise Unsupported(f"configuration write at {offset:#x}")

    # Memory and I/O.

    async def read(self, address: int, size: int, *, virtual: int = 0) -> bytes:
        """Read *size* bytes with one request, which must not cross 4 KiB, of the virtual function of this number.

        Raises
        ------
        Unsupported
            If the endpoint says so.
        """
        answer = await self.request(codec.memory_read(address, size), virtual=virtual)
        if answer.status != SUCCESSFUL:
            raise Unsupported(f"memory read at {address:#x}")
        lane = address & 3
        return codec.to_bytes(answer.payload)[lane : lane + size]

    async def read_number(self, address: int, size: int) -> int:
        """`read` as a little-endian number."""
        return int.from_bytes(await self.read(address, size), "little")

    def write(self, address: int, value: "int | bytes", size: int = 4) -> None:
        """Write bytes, or *size* bytes of a number, with one posted request."""
        data = value if isinstance(value, bytes) else value.to_bytes(size, "little")
        self.post(
            replace(codec.memory_write(address, data), requester=self.requester, tag=self._rng.choice(TAGS))
        )

    async def io_read(self, address: int, enables: int = 0xF) -> Answer:
        """One I/O read, whatever its answer."""
        return await self.request(IoRequest(address=address & ~3, first_be=enables))

    async def io_write(self, address: int, data: int, enables: int = 0xF) -> Answer:
        """One I/O write, whatever its answer."""
        return await self.request(IoRequest(write=True, address=address & ~3, data=data, first_be=enables))

    async def atomic(self, address: int, operation: TlpType, payload: Sequence[int]) -> Answer:
        """One atomic operation, whatever its answer."""
        return await self.request(AtomicRequest(operation=operation, address=address, payload=tuple(payload)))

    async def play(self, script: Generator[Any, Any, Any], perform: Callable[[Any], Any]) -> Any:
        """Run a driver: *perform* carries out each operation that *script* yields and returns its result."""
        result = None
        while True:
            try:
                operation = script.send(result)
            except StopIteration as end:
                return end.value
            result = await perform(operation)


def hexadecimal(dwords: Sequence[int]) -> str:
    """Dwords as text."""
    return "_".join(f"{dword:08x}" for dword in dwords)

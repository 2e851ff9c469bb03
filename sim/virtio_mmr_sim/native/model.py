"""The generated design as a Python object: TLPs in and out, registers, the back end, the clock.

The design runs only inside calls. Nothing is remembered between `reset` and `reset` but the random
settings; what the design sends is kept until it is taken.
"""

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.spec.tlp import CompletionStatus

from virtio_mmr_sim.model import tlp

from . import build
from .library import Library, Request

#: Names of glue.cpp's violations, in its order.
VIOLATIONS = ("gap inside a packet", "valid withdrawn", "payload changed while waiting", "tkeep not legal",
              "length not as in the header")

#: Clocks without movement after which the design counts as quiet: a read of 128 bytes is walked unseen.
QUIET = 64

#: Clocks after which the design counts as hung.
PATIENCE = 100_000

_CAPACITY = 4096
_WORDS = 1 << 16


class NativeError(RuntimeError):
    """The design did not do what the access needs: no completion, a wrong one, no end."""


class Unsupported(NativeError):
    """A request ended with a status other than "successful"."""


class Received(NamedTuple):
    """A TLP that the design has sent."""

    dwords: tuple[int, ...]
    #: Clock in which its first beat was offered.
    first: int
    #: Clock in which its last beat was taken.
    last: int


class Item(NamedTuple):
    """An item of a back-end stream."""

    clock: int
    fields: dict[str, int]


@dataclass(frozen=True)
class Violation:
    """A broken rule of the transmit stream."""

    rule: str
    clock: int


class _Stream:
    """Packs one stream's fields into words and back."""

    def __init__(self, index: int, description: Mapping[str, Any]) -> None:
        self.index = index
        self.name: str = description["name"]
        self.is_output: bool = description["direction"] == "out"
        self.widths: dict[str, int] = {field["name"]: field["width"] for field in description["fields"]}
        self.words = (ctypes.c_uint32 * build.stream_words(description["fields"]))()

    def pack(self, fields: Mapping[str, int]) -> None:
        """Raises `ValueError` for an unknown field or a value that does not fit; absent fields are 0."""
        if unknown := set(fields) - set(self.widths):
            raise ValueError(f"stream {self.name} has no field {', '.join(sorted(unknown))}")
        place = 0
        for name, width in self.widths.items():
            value = int(fields.get(name, 0))
            if value >> width or value < 0:
                raise ValueError(f"{self.name}.{name} = {value:#x} does not fit {width} bits")
            for _ in range((width + 31) // 32):
                self.words[place] = value & 0xFFFF_FFFF
                value >>= 32
                place += 1

    def unpack(self) -> dict[str, int]:
        fields, place = {}, 0
        for name, width in self.widths.items():
            count = (width + 31) // 32
            fields[name] = sum(self.words[place + i] << 32 * i for i in range(count))
            place += count
        return fields


class BackEnd:
    """The streams of the back-end boundary. Outputs are collected, unless `accept` says otherwise."""

    def __init__(self, library: Library, handle: ctypes.c_void_p, interface: Mapping[str, Any]) -> None:
        self._library, self._handle = library, handle
        self._streams = {
            description["name"]: _Stream(index, description)
            for index, description in enumerate(interface["streams"])
        }
        self._clock = ctypes.c_uint64()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Streams that leave the core."""
        return tuple(name for name, stream in self._streams.items() if stream.is_output)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Streams that enter the core."""
        return tuple(name for name, stream in self._streams.items() if not stream.is_output)

    def _stream(self, name: str, is_output: bool) -> _Stream:
        stream = self._streams[name]
        if stream.is_output is not is_output:
            raise ValueError(f"stream {name} is an {'output' if stream.is_output else 'input'} of the core")
        return stream

    def fields(self, name: str) -> dict[str, int]:
        """Widths in bits of a stream's fields."""
        return dict(self._streams[name].widths)

    def take(self, name: str) -> list[Item]:
        """Everything that a stream has delivered since the last call, the oldest first."""
        stream, items = self._stream(name, True), []
        while self._library.stream_take(self._handle, stream.index, stream.words, self._clock):
            items.append(Item(self._clock.value, stream.unpack()))
        return items

    def take_all(self) -> dict[str, list[Item]]:
        """`take` of every output that has something."""
        waiting = self._library.streams(self._handle)
        if not waiting:
            return {}
        return {name: self.take(name) for name, stream in self._streams.items()
                if stream.is_output and waiting >> stream.index & 1}

    def put(self, name: str, *, delay: int = 0, **fields: int) -> None:
        """Queue one item, to be offered *delay* clocks from now or later; fields not named are 0."""
        stream = self._stream(name, False)
        stream.pack(fields)
        self._library.stream_put(self._handle, stream.index, stream.words, delay)

    def waiting(self, name: str) -> int:
        """Items that an input stream still has to deliver, or that an output has collected."""
        return int(self._library.stream_size(self._handle, self._streams[name].index))

    def accept(self, name: str, on: bool = True) -> None:
        """Whether an output stream's ``ready`` is given."""
        self._library.accept(self._handle, self._stream(name, True).index, on)

    @property
    def lost(self) -> int:
        """Items that were dropped because nobody took them."""
        return int(self._library.lost(self._handle))


class NativeModel:
    """A running design.

    Parameters
    ----------
    config
        What to generate, unless *verilog* and *interface* are given, which then are of that device.
    waves
        File to write waves to (VCD); slow.
    optimize
        False: build faster, run slower.

    Raises
    ------
    build.BuildError
        If the design cannot be built.
    """

    def __init__(
        self,
        config: DeviceConfig | None = None,
        *,
        verilog: str | None = None,
        interface: Mapping[str, Any] | None = None,
        waves: Path | None = None,
        optimize: bool = True,
    ) -> None:
        if config is not None and verilog is None:
            from virtio_mmr.gateware import shell

            generated = shell.generate(config)
            verilog, interface = generated.verilog, generated.interface
        if verilog is None or interface is None:
            raise TypeError("NativeModel needs a device, or Verilog with its interface")
        self.config = config
        self.interface = interface
        library = build.build(verilog, interface, trace=waves is not None, optimize=optimize)
        self._library = Library(library)
        self._handle = ctypes.c_void_p(self._library.create())
        self.backend = BackEnd(self._library, self._handle, interface)
        self._outputs = {name: index for index, name in enumerate(build.scalar_outputs(interface))}
        self._pulses = {name: index for index, name in enumerate(build.pulse_outputs(interface))}
        self._words = (ctypes.c_uint32 * _WORDS)()
        self._view = memoryview(self._words).cast("B").cast("I")
        self._lengths = (ctypes.c_uint32 * _CAPACITY)()
        self._clocks = (ctypes.c_uint64 * (3 * _CAPACITY))()
        self._tag = 0
        self._read32, self._write32 = self._library.read32, self._library.write32
        #: What came while a completion was waited for; it has still to be taken.
        self._beside: list[Received] = []
        if waves is not None:
            self._library.trace(self._handle, str(waves).encode())

    @property
    def library(self) -> tuple[Library, ctypes.c_void_p]:
        """The C interface, and the handle of this design in it."""
        return self._library, self._handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the design; no method may be called afterwards."""
        if self._handle:
            self._library.destroy(self._handle)
            self._handle = ctypes.c_void_p()

    # Time ------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Clocks since the model was made."""
        return int(self._library.now(self._handle))

    def reset(self, clocks: int = 4) -> None:
        """Raise ``rst`` at once, whatever is on its way; everything queued or collected is dropped."""
        self._beside.clear()
        self._library.reset(self._handle, clocks)

    def clock(self, count: int = 1) -> None:
        """Let *count* clocks pass."""
        self._library.clock(self._handle, count)

    def settle(self, quiet: int = QUIET, limit: int = PATIENCE) -> int:
        """Run until nothing has moved for *quiet* clocks; the clocks that took.

        Raises
        ------
        NativeError
            If the design is still busy after *limit* clocks.
        """
        clocks: int = self._library.run(self._handle, quiet, limit)
        if clocks < 0:
            raise NativeError(f"not quiet after {limit} clocks; {self.unsent} TLPs not accepted")
        return clocks

    def wait(self, tlps: int, limit: int = PATIENCE) -> bool:
        """Run until that many TLPs can be taken; False if they did not come within *limit* clocks."""
        return int(self._library.wait(self._handle, tlps, limit)) >= 0

    def randomize(
        self, seed: int, *,
        rx_gap: float = 0.0, tx_stall: float = 0.0, be_stall: float = 0.0, be_gap: float = 0.0,
    ) -> None:
        """Stall at random, with these probabilities per clock (below 1): gaps between received beats,
        back-pressure on sent ones, back-pressure on back-end outputs, gaps between back-end inputs."""
        parts = [int(part * 65536) for part in (rx_gap, tx_stall, be_stall, be_gap)]
        self._library.random(self._handle, seed & (1 << 64) - 1, *parts)

    def hold_tx(self, held: bool = True) -> None:
        """Take nothing from the design until released."""
        self._library.hold_tx(self._handle, held)

    def np_slack(self, tlps: int) -> None:
        """How many non-posted requests the link still sends after ``rx_np_ok`` fell; 0 at first."""
        self._library.slack(self._handle, tlps)

    # TLPs ------------------------------------------------------------------------------------------

    def send(self, *tlps: Sequence[int]) -> None:
        """Queue TLPs; posted ones pass non-posted ones that ``rx_np_ok`` holds back."""
        packed = b"".join(_pack(dwords) for dwords in tlps)
        self._library.send(self._handle, packed, _pack([len(dwords) for dwords in tlps]), len(tlps))

    @property
    def unsent(self) -> int:
        """TLPs that the design has not accepted."""
        return int(self._library.unsent(self._handle))

    @property
    def unsent_posted(self) -> int:
        """Posted ones among `unsent`."""
        return int(self._library.unsent_posted(self._handle))

    def log_sent(self, on: bool = True) -> None:
        """Remember when each TLP was offered and accepted, for `sent`."""
        self._library.log_sent(self._handle, on)

    def sent(self) -> list[tuple[int, int, int]]:
        """(number since reset, clock of its first offer, clock of its last beat) of TLPs accepted since."""
        rows: list[tuple[int, int, int]] = []
        while count := self._library.sent(self._handle, self._clocks, _CAPACITY):
            for i in range(0, 3 * count, 3):
                rows.append((self._clocks[i], self._clocks[i + 1], self._clocks[i + 2]))
        return rows

    def take_stamped(self) -> list[Received]:
        """TLPs that the design has sent, the oldest first, with their clocks."""
        found, self._beside = self._beside, []
        while count := self._library.take(
            self._handle, self._words, _WORDS, self._lengths, self._clocks, _CAPACITY
        ):
            for index, dwords in enumerate(self._unpack(count)):
                found.append(Received(dwords, self._clocks[2 * index], self._clocks[2 * index + 1]))
        return found

    def take(self) -> list[tuple[int, ...]]:
        """TLPs that the design has sent, the oldest first."""
        return [received.dwords for received in self.take_stamped()]

    def _unpack(self, count: int) -> Iterable[tuple[int, ...]]:
        place = 0
        for length in self._lengths[:count]:
            yield tuple(self._view[place:place + length])
            place += length

    def exchange(
        self, dwords: Sequence[int], quiet: int = QUIET, *, expected: int = 0
    ) -> list[tuple[int, ...]]:
        """Send one TLP, run until *expected* TLPs came and nothing moves, and return every TLP that came.

        Who knows what to expect may ask for fewer *quiet* clocks.
        """
        count = self._library.exchange(
            self._handle, _pack(dwords), len(dwords), expected, quiet, PATIENCE,
            self._words, _WORDS, self._lengths, self._clocks, _CAPACITY,
        )
        if count < 0:
            raise NativeError(f"not quiet after {PATIENCE} clocks; {self.unsent} TLPs not accepted")
        return list(self._unpack(count))

    def send_batch(self, tlps: Sequence[Sequence[int]], quiet: int = QUIET) -> list[Received]:
        """Send TLPs as fast as they are accepted, run until quiet; every TLP that came."""
        self.send(*tlps)
        self.settle(quiet, PATIENCE + 1000 * len(tlps))
        return self.take_stamped()

    # Registers -------------------------------------------------------------------------------------

    def read32(self, address: int, enables: int = 0xF) -> int:
        """Read one dword; the completion is checked in full. Fast.

        Raises
        ------
        Unsupported
            If the completion says so.
        NativeError
            If there is none, or a wrong one.
        """
        value: int = self._read32(self._handle, address, address >> 32, enables)
        if value < 0:
            raise _error(f"read of {address:#x}", value)
        return value

    def write32(self, address: int, data: int, enables: int = 0xF) -> None:
        """Write one dword; returns when the design has accepted it, maybe before it takes effect."""
        if self._write32(self._handle, address, address >> 32, data, enables):
            raise NativeError(f"write to {address:#x} was not accepted")

    def requests(self, accesses: "ctypes.Array[Request]") -> "ctypes.Array[ctypes.c_uint32]":
        """Perform packed register accesses, pipelined; values read, 0 for writes.

        Every completion is checked. A write may overtake a read that waits inside the design.
        """
        values = (ctypes.c_uint32 * len(accesses))()
        done = self._library.requests(self._handle, accesses, len(accesses), values)
        if done < 0:
            raise NativeError(f"access {-1 - done} of the batch got no right completion")
        return values

    def read(self, address: int, size: int) -> bytes:
        """Read *size* bytes of memory space, in requests that cross no 4-KiB boundary."""
        data = b""
        while len(data) < size:
            at = address + len(data)
            data += self._read(at, min(size - len(data), 4096 - at % 4096))
        return data

    def _read(self, address: int, size: int) -> bytes:
        request = tlp.memory_read(address, size, tag=self._next_tag())
        expected = tlp.pieces(request.address, request.length, request.first_be, request.last_be)
        payload: list[int] = []
        for piece in expected:
            completion = self._completion(tlp.build(request) if not payload else None, request.tag)
            if (completion.byte_count, completion.lower_address, len(completion.payload)) != (
                piece.byte_count, piece.lower_address, piece.length
            ):
                raise NativeError(f"read of {address:#x}: {completion} where {piece} was due")
            payload += completion.payload
        start = address - request.address
        return tlp.to_bytes(payload)[start:start + size]

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory space, 128 at most in one request; returns when they are accepted."""
        while data:
            size = min(len(data), 128 - address % 128)
            self.send(tlp.build(tlp.memory_write(address, data[:size])))
            address, data = address + size, data[size:]
        clocks = 0
        while self.unsent:
            self.clock()
            clocks += 1
            if clocks > PATIENCE:
                raise NativeError(f"write before {address:#x} was not accepted")

    def io_read(self, address: int, size: int) -> int:
        """Read 1, 2 or 4 bytes of I/O space, inside one dword."""
        start, _, enables, _ = tlp.extent(address, size)
        request = tlp.IoRequest(address=start, first_be=enables, tag=self._next_tag())
        dword = self._completion(tlp.build(request), request.tag).payload[0]
        return dword >> 8 * (address - start) & (1 << 8 * size) - 1

    def io_write(self, address: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of I/O space, inside one dword, and wait for the completion."""
        start, _, enables, _ = tlp.extent(address, size)
        request = tlp.IoRequest(
            write=True, address=start, data=value << 8 * (address - start), first_be=enables, tag=self._next_tag())
        self._completion(tlp.build(request), request.tag)

    def config_read(
        self, offset: int, enables: int = 0xF, *, bus: int = 0, device: int = 0, function: int = 0
    ) -> int:
        """Read a dword of configuration space."""
        request = tlp.ConfigRequest(
            offset=offset, first_be=enables, bus=bus, device=device, function=function, tag=self._next_tag(),
        )
        return self._completion(tlp.build(request), request.tag).payload[0]

    def config_write(
        self, offset: int, data: int, enables: int = 0xF, *, bus: int = 0, device: int = 0, function: int = 0
    ) -> None:
        """Write a dword of configuration space and wait for the completion."""
        request = tlp.ConfigRequest(
            write=True, offset=offset, data=data, first_be=enables, bus=bus, device=device, function=function,
            tag=self._next_tag(),
        )
        self._completion(tlp.build(request), request.tag)

    def _next_tag(self) -> int:
        self._tag = (self._tag + 1) & 0xFF
        return self._tag

    def _keep_requests(self) -> None:
        """Put aside what the device has sent of its own accord; a completion would belong to nobody."""
        for received in self.take_stamped():
            if isinstance(tlp.parse(received.dwords), tlp.Completion):
                raise NativeError("TLPs are waiting to be taken")
            self._beside.append(received)

    def _completion(self, request: Sequence[int] | None, tag: int) -> tlp.Completion:
        """Send what there is to send, wait for the next completion; it must be the right one, and successful."""
        if request is not None:
            self._keep_requests()
            self.send(request)
        while True:
            if self._library.wait(self._handle, 1, PATIENCE) < 0:
                raise NativeError(f"no completion after {PATIENCE} clocks")
            if not self._library.take(self._handle, self._words, _WORDS, self._lengths, self._clocks, 1):
                raise NativeError("a TLP longer than any completion arrived")
            dwords = next(iter(self._unpack(1)))
            completion = tlp.parse(dwords)
            if isinstance(completion, tlp.Completion):
                break
            self._beside.append(Received(dwords, self._clocks[0], self._clocks[1]))
        if completion.tag != tag:
            raise NativeError(f"{[f'{dword:08x}' for dword in dwords]} where a completion was due")
        if completion.status:
            raise Unsupported(f"the completion says {CompletionStatus(completion.status).name}")
        return completion

    # What else there is to see ---------------------------------------------------------------------

    def output(self, name: str) -> int:
        """A scalar output of the core, such as ``count_hole`` or ``rx_np_ok``."""
        return int(self._library.output(self._handle, self._outputs[name]))

    def pulses(self, name: str) -> int:
        """Clocks since reset in which an error output was high."""
        return int(self._library.pulses(self._handle, self._pulses[name]))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names for `output`."""
        return tuple(self._outputs)

    @property
    def pulse_names(self) -> tuple[str, ...]:
        """Names for `pulses`."""
        return tuple(self._pulses)

    def violation_counts(self) -> dict[str, int]:
        """How often rules of the transmit stream were broken since reset; rules that held are left out."""
        counts = [int(self._library.violations(self._handle, kind)) for kind in range(len(VIOLATIONS))]
        return {rule: count for rule, count in zip(VIOLATIONS, counts, strict=True) if count}

    def violations(self) -> list[Violation]:
        """The first 64 broken rules since reset, in order of time."""
        count = self._library.violation_log(self._handle, self._clocks, 64)
        return [Violation(VIOLATIONS[self._clocks[2 * i]], self._clocks[2 * i + 1]) for i in range(count)]


def _pack(dwords: Sequence[int]) -> bytes:
    return b"".join([dword.to_bytes(4, "little") for dword in dwords])


def _error(what: str, code: int) -> NativeError:
    if code <= -16:
        return Unsupported(f"{what}: the completion says {CompletionStatus(-16 - code).name}")
    return NativeError(f"{what}: {'no completion' if code == -1 else 'the completion is wrong'}")

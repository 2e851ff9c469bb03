"""Random DMA of a simulated device: the part of dma.hpp that Python sees."""

import ctypes
from collections.abc import Mapping
from ctypes import c_uint32, c_uint64
from dataclasses import dataclass, field

from virtio_mmr.config.device import DeviceConfig

from .model import NativeModel

#: Ends of a read, in the order of the status field.
STATUSES = ("ok", "unsupported", "aborted", "poisoned", "timed_out", "blocked")

#: How the root port answers a read, in the order of dma.hpp: as asked; with a status; poisoned; with a dword too many,
#: without data, with "unsupported" behind some data; not to the end; not at all; after the time-out; to a stranger.
FATES = ("good", "unsupported", "retry", "reserved", "aborted", "poisoned", "surplus", "empty", "unsupported_later",
         "short", "forgotten", "late", "stranger")

#: Bytes of the largest request that a back end may hand in.
LARGEST = 4096

#: Where messages of interrupts go: no DMA does. As many vectors as dma.hpp knows.
MESSAGES, MOST_VECTORS = 1 << 63, 8

_STREAMS = ("dma_read", "dma_read_data", "dma_write", "dma_write_data", "dma_write_done", "interrupt_cause")


class _Settings(ctypes.Structure):
    _fields_ = [
        *((name, c_uint32) for name in _STREAMS),
        ("tags", c_uint32), ("largest", c_uint32), ("payload", c_uint32), ("timeout", c_uint32),
        ("most", c_uint32), ("open", c_uint32), ("fates", c_uint32 * len(FATES)),
        ("noise", c_uint32), ("broken", c_uint32),
        ("steady", c_uint32), ("delay", c_uint32), ("headers", c_uint32), ("units", c_uint32),
    ]


class Live(ctypes.Structure):
    """What software has set. Where there are two values, both may hold.

    ``limit`` is the largest payload of a completion. ``may_block``: the gate may be closed; ``must_block``: it is.
    ``vectors``: so many interrupt at random, vector *n* by a message to ``MESSAGES + 4 * n``.
    """

    _fields_ = [
        ("payload", c_uint32 * 2), ("request", c_uint32 * 2), ("limit", c_uint32), ("boundary", c_uint32),
        ("wide", c_uint32), ("requester", c_uint32), ("epoch", c_uint32), ("may_block", c_uint32),
        ("must_block", c_uint32), ("paused", c_uint32), ("vectors", c_uint32),
    ]


class _Counts(ctypes.Structure):
    _fields_ = [
        ("reads", c_uint64 * len(STATUSES)), ("writes", c_uint64), ("writes_blocked", c_uint64),
        ("bytes_read", c_uint64), ("bytes_written", c_uint64), ("read_packets", c_uint64), ("write_packets", c_uint64),
        ("completions", c_uint64), ("fates", c_uint64 * len(FATES)), ("malformed", c_uint64), ("poisoned", c_uint64),
        ("unexpected", c_uint64), ("perhaps_unexpected", c_uint64), ("messages", c_uint64),
    ]


@dataclass
class Transfers:
    """What became of random DMA, in sum."""

    #: Reads by their status, writes that left and that were blocked.
    reads: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    writes: dict[str, int] = field(default_factory=lambda: {"ok": 0, "blocked": 0})
    #: Read packets by the way in which they were answered.
    fates: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FATES, 0))
    bytes_read: int = 0
    bytes_written: int = 0
    read_packets: int = 0
    write_packets: int = 0
    completions: int = 0
    #: Interrupts.
    messages: int = 0
    #: Changes of what software sets, by their kind.
    changes: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Requests of the back end that have ended."""
        return sum(self.reads.values()) + sum(self.writes.values())


class RandomDma:
    """DMA at random on a model that has just been reset; it ends with the next reset.

    Parameters
    ----------
    fates
        Probability of each way to answer a read; the rest is "good".
    noise, broken
        Probability in a clock of a completion that belongs to no read, and of a malformed copy before a good one.
    steady
        "read" or "write": nothing else, each of `LARGEST` bytes from a whole page, the host answering in order *delay*
        clocks after each packet. Otherwise everything is random.
    """

    def __init__(self, native: NativeModel, config: DeviceConfig, seed: int, *, fates: Mapping[str, float],
                 noise: float = 0.0, broken: float = 0.0, open_: int = 24,
                 steady: str = "", delay: int = 0):
        assert config.requester is not None
        self._library, self._handle = native.library
        names = [stream["name"] for stream in native.interface["streams"]]
        headers, units = config.requester.completion_space or (0, 0)
        settings = _Settings(
            **{name: names.index(name) for name in _STREAMS}, tags=config.requester.reads,
            largest=config.requester.largest_read, payload=config.datapath.max_payload,
            timeout=config.requester.timeout, most=LARGEST, open=open_,
            fates=tuple(int(65536 * fates.get(name, 0.0)) for name in FATES),
            noise=int(65536 * noise), broken=int(65536 * broken), steady=("", "read", "write").index(steady),
            delay=delay, headers=headers, units=units)
        self._library.dma_start(self._handle, ctypes.byref(settings), seed & (1 << 64) - 1)
        self.live = Live.from_address(self._library.dma_live(self._handle))
        self._counts = _Counts.from_address(self._library.dma_counts(self._handle))

    def run(self, requests: int, clocks: int, *, expected: int = 0) -> bool:
        """Run until so many requests have ended or clocks have passed, or *expected* completions can be taken.

        False if a rule was broken; see `failure`.
        """
        return int(self._library.dma_run(self._handle, requests, clocks, expected)) >= 0

    def finish(self) -> bool:
        """Whether everything that was begun has ended as it should."""
        return bool(self._library.dma_finish(self._handle))

    @property
    def failure(self) -> str:
        """The first rule that was broken, with its clock."""
        return bytes(self._library.dma_failure(self._handle)).decode()

    @property
    def open(self) -> int:
        """Requests that have not ended."""
        return int(self._library.dma_open(self._handle))

    @property
    def inbound(self) -> dict[str, int]:
        """Completions that a core must count, by the counter; some "unexpected" ones may count or not."""
        return {name: int(getattr(self._counts, name))
                for name in ("malformed", "poisoned", "unexpected", "perhaps_unexpected")}

    def add_to(self, sums: Transfers) -> None:
        """Add what has become of the requests so far."""
        counts = self._counts
        for names, numbers, into in ((STATUSES, counts.reads, sums.reads), (FATES, counts.fates, sums.fates)):
            for name, number in zip(names, numbers, strict=True):
                into[name] += number
        sums.writes["ok"] += counts.writes
        sums.writes["blocked"] += counts.writes_blocked
        for name in ("bytes_read", "bytes_written", "read_packets", "write_packets", "completions", "messages"):
            setattr(sums, name, getattr(sums, name) + int(getattr(counts, name)))

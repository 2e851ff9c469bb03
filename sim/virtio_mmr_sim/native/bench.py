"""Measures a generated design: clocks of register accesses, and how fast the native model runs.

Clocks are counted on the raw TLP streams with nothing held back:

- latency: from the clock in which the first beat of a 1-dword read is offered to an idle core to the
  clock in which the first beat of its completion is offered;
- rates: 1000 TLPs back to back; from the first beat offered to the last completion taken, less the
  time that one access takes alone, over 999. A read of the same register closes a run of writes,
  so that a write counts when it has taken effect.
"""

import ctypes
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from virtio_mmr import config
from virtio_mmr.config.device import DeviceConfig, Space
from virtio_mmr.spec import legacy

from virtio_mmr_sim.model import tlp

from .library import Request
from .model import NativeModel
from .setup import ABOVE_4G, BELOW_4G, bring_up

WIDTHS = (64, 128)
RUN = 1000

#: A register that keeps what is written and wakes nobody.
REGISTER = legacy.HEADER["queue_select"]
_ENABLES = 0b1100
_SHIFT = 16

DEVICE = """
schema = 1
[device]
kind = "net"
[datapath]
width = {width}
"""


class BenchError(RuntimeError):
    """The design gave a wrong answer while it was measured."""


@dataclass(frozen=True)
class Clocks:
    """Figures of one design, in clocks; "wide" ones are of requests with four header dwords."""

    width: int
    latency: int
    read: float
    write: float
    alternating: float
    wide_read: float
    wide_write: float
    wide_alternating: float


@dataclass(frozen=True)
class Rate:
    """Checked register TLPs a second of wall-clock time: over all that were measured, and in the fastest 1000.

    On a machine that does other work the first says how busy it was, the second what the model can do.
    """

    average: float
    fastest: float


@dataclass(frozen=True)
class Speed:
    """How fast the native model of one width runs."""

    width: int
    one_call_each: Rate
    batched: Rate


def device(width: int) -> DeviceConfig:
    """The measured device."""
    return config.loads(DEVICE.format(width=width))


def write(address: int, value: int) -> list[int]:
    """A write of *value* to `REGISTER`, which stands at *address*."""
    return tlp.build(tlp.MemoryRequest(
        write=True, address=address & ~3, first_be=_ENABLES, payload=(value << _SHIFT,)))


def read(address: int, tag: int) -> list[int]:
    """A read of `REGISTER`, which stands at *address*."""
    return tlp.build(tlp.MemoryRequest(address=address & ~3, first_be=_ENABLES, tag=tag & 0x3FF))


def span(model: NativeModel, tlps: Sequence[Sequence[int]], expected: Sequence[int]) -> tuple[int, int]:
    """Send TLPs back to back: latency of the first completion, clocks from first offer to last completion."""
    model.log_sent()
    received = model.send_batch(tlps)
    offered = min(first for _, first, _ in model.sent())
    found = [item.dwords[3] >> _SHIFT if len(item.dwords) == 4 else None for item in received]
    if found != list(expected):
        pairs = enumerate(itertools.zip_longest(found, expected))
        wrong = next(index for index, (one, other) in pairs if one != other)
        raise BenchError(f"read {wrong} of {len(expected)} gave a wrong value")
    return received[0].first - offered, received[-1].last - offered


def _rates(model: NativeModel, address: int) -> Iterator[float]:
    """Read, write, alternating."""
    address += REGISTER.offset
    span(model, [write(address, 0x1234), read(address, 0)], [0x1234])
    _, alone = span(model, [read(address, 0)], [0x1234])
    _, took = span(model, [read(address, i) for i in range(RUN)], [0x1234] * RUN)
    yield (took - alone) / (RUN - 1)
    writes = [write(address, i) for i in range(RUN)]
    _, took = span(model, [*writes, read(address, 0)], [RUN - 1])
    yield (took - alone) / RUN
    pairs = [part for i in range(RUN // 2) for part in (write(address, i), read(address, i))]
    _, took = span(model, pairs, range(RUN // 2))
    yield (took - alone) / (RUN - 1)


def measure_clocks(model: NativeModel, described: DeviceConfig) -> Clocks:
    """Latency and rates of a design that nobody else uses meanwhile.

    Raises
    ------
    BenchError
        If a value read is wrong.
    """
    model.reset()
    low = bring_up(model, described, BELOW_4G)[Space.LEGACY]
    latency, _ = span(model, [read(low + REGISTER.offset, 0)], [0])
    narrow = tuple(_rates(model, low))
    high = bring_up(model, described, ABOVE_4G)[Space.LEGACY]
    return Clocks(described.datapath.width, latency, *narrow, *_rates(model, high))


def measure_speed(model: NativeModel, described: DeviceConfig, seconds: float = 1.0) -> Speed:
    """Accesses a second, writing one register and reading it back, values checked; for *seconds* each way.

    Raises
    ------
    BenchError
        If a value read is wrong.
    """
    model.reset()
    address = (bring_up(model, described)[Space.LEGACY] + REGISTER.offset) & ~3
    read32, write32 = model.read32, model.write32

    def one_call_each() -> None:
        for value in range(RUN // 2):
            write32(address, value << _SHIFT, _ENABLES)
            if read32(address, _ENABLES) >> _SHIFT != value:
                raise BenchError(f"a register that was written with {value:#x} reads otherwise")

    batch = (Request * RUN)(*[
        Request(address, value << _SHIFT, _ENABLES, is_write)
        for value in range(RUN // 2) for is_write in (True, False)
    ])
    expected = (ctypes.c_uint32 * RUN)(*[
        0 if is_write else value << _SHIFT for value in range(RUN // 2) for is_write in (True, False)
    ])

    def batched() -> None:
        if bytes(model.requests(batch)) != bytes(expected):
            raise BenchError("a batch of writes and reads of one register gave a wrong value")

    return Speed(described.datapath.width, _rate(one_call_each, seconds), _rate(batched, seconds))


def _rate(run: Callable[[], None], seconds: float) -> Rate:
    """*run* makes `RUN` accesses; it is called again and again for *seconds*."""
    took: list[float] = []
    while sum(took) < seconds:
        start = time.perf_counter()
        run()
        took.append(time.perf_counter() - start)
    return Rate(len(took) * RUN / sum(took), RUN / min(took))


def measure(widths: Sequence[int] = WIDTHS, seconds: float = 1.0) -> Iterator[tuple[Clocks, Speed]]:
    """Generate, build and measure the device at each width."""
    for width in widths:
        described = device(width)
        with NativeModel(described) as model:
            yield measure_clocks(model, described), measure_speed(model, described, seconds)


def as_json(clocks: Sequence[Clocks], speeds: Sequence[Speed]) -> dict[str, object]:
    """Everything that was measured, with the peers' recorded figures."""
    from . import peers

    return {
        "clocks": [asdict(item) for item in clocks],
        "simulation_speed": [asdict(item) for item in speeds],
        "peers": {
            "recorded": peers.RECORDED,
            "versions": dict(peers.VERSIONS),
            "clocks": [asdict(peer) for peer in peers.PEERS],
            "simulation_speed": dict(peers.SIMULATION_SPEED),
        },
    }


def as_text(clocks: Sequence[Clocks], speeds: Sequence[Speed]) -> str:
    """The same as a table."""
    from . import peers

    names = ("width", "latency", "read", "write", "alternating", "wide_read", "wide_write")
    heading = ("core", "bits", "latency", "read", "write", "altern.", "4-DW rd", "4-DW wr")
    rows: list[tuple[str, ...]] = [heading]
    for item in clocks:
        rows.append(("virtio-mmr", *(_figure(getattr(item, name)) for name in names)))
    for peer in peers.PEERS:
        rows.append((peer.core, *(_figure(getattr(peer, name, None)) for name in names)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["Clocks: latency of a 1-DW read, then clocks per 1-DW access, sustained over 1000", ""]
    lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    lines += ["", f"Other cores recorded {peers.RECORDED}: {'; '.join(peers.VERSIONS.values())}.", ""]
    lines.append("Simulation speed, checked register TLPs a second")
    for speed in speeds:
        for name, rate in (("one call each", speed.one_call_each), ("batched", speed.batched)):
            lines.append(f"  {speed.width} bit, {name}: {rate.average:,.0f}; fastest 1000: {rate.fastest:,.0f}")
    for name, recorded in peers.SIMULATION_SPEED.items():
        lines.append(f"  recorded, {name}: {recorded:,}")
    return "\n".join(lines)


def _figure(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)

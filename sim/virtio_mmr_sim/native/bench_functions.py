"""Measures what more functions cost in clocks: on one register of one function, and on functions at random.

Counted as in `bench`, with requests of three header dwords: a write and a read by turns.
"""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.layout import place

from . import bench
from .model import NativeModel
from .setup import BELOW_4G, bring_up

#: Where the virtual functions' BARs go: behind those of the physical function.
VIRTUAL_BASE = 0x8000_0000


@dataclass(frozen=True)
class FunctionClocks:
    """Figures of one design, in clocks."""

    functions: int
    latency: int
    #: A register of the last function, written and read by turns.
    one_function: float
    #: The same of functions at random, with values that are checked.
    random_functions: float


def enable(model: NativeModel, described: DeviceConfig) -> list[int]:
    """Bring the device up as firmware and a driver of the physical function do; its legacy windows by function."""
    windows = [bring_up(model, described, BELOW_4G)[Space.LEGACY]]
    if described.vf is None:
        return windows
    layout, virtual = place(described), described.vf.function
    found = virtual.find(Space.LEGACY)
    assert found is not None
    base = VIRTUAL_BASE
    for bar in virtual.bars:
        if bar is found[0]:
            windows += [base + number * bar.decoded_size + found[1].offset for number in range(described.vf.count)]
        at = layout[f"vf_bar{bar.index}"].offset
        model.config_write(at, base & 0xFFFF_FFFF)
        if bar.kind is BarKind.MEMORY64:
            model.config_write(at + 4, base >> 32)
        base += -(-described.vf.count * bar.decoded_size // 0x1000_0000) * 0x1000_0000
    model.config_write(layout["num_vfs"].offset, described.vf.count, 0b0011)
    # VF Enable, VF MSE, ARI.
    model.config_write(layout["sriov_control"].offset, 1 | 8 | 16, 0b0011)
    return windows


def measure(model: NativeModel, described: DeviceConfig) -> FunctionClocks:
    """Latency and rates of a design that nobody else uses meanwhile.

    Raises
    ------
    bench.BenchError
        If a value read is wrong.
    """
    model.reset()
    registers = [window + bench.REGISTER.offset for window in enable(model, described)]
    latency, alone = bench.span(model, [bench.read(registers[-1], 0)], [0])

    def rate(chosen: Sequence[int]) -> float:
        requests, expected, held = [], [], dict.fromkeys(registers, 0)
        for number in range(bench.RUN // 2):
            written, looked_at = chosen[2 * number:2 * number + 2]
            requests += [bench.write(written, number), bench.read(looked_at, number)]
            held[written] = number
            expected.append(held[looked_at])
        _, clocks = bench.span(model, requests, expected)
        return (clocks - alone) / (bench.RUN - 1)

    rng = random.Random(described.functions)
    one = rate([registers[-1]] * bench.RUN)
    # The last function holds what was written last.
    bench.span(model, [bench.write(registers[-1], 0), bench.read(registers[-1], 0)], [0])
    return FunctionClocks(described.functions, latency, one, rate(rng.choices(registers, k=bench.RUN)))


def as_json(found: Sequence[FunctionClocks]) -> list[dict[str, object]]:
    """Everything that was measured."""
    return [asdict(item) for item in found]


def as_text(found: Sequence[FunctionClocks]) -> str:
    """The same as a table."""
    lines = ["clocks by number of functions; rates are of writes and reads by turns, 3-DW headers", "",
             f"{'functions':>9}  {'latency':>7}  {'one function':>12}  {'at random':>9}"]
    lines += [f"{item.functions:>9}  {item.latency:>7}  {item.one_function:>12.2f}  {item.random_functions:>9.2f}"
              for item in found]
    return "\n".join(lines)

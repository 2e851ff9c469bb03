"""Runs yosys and nextpnr on generated Verilog and reads their answers.

Area is that of the module alone, packed but not placed. The clock is that of the module between
registers (`virtio_mmr_sim.area.harness`), placed and routed; nextpnr's model of an ECP5, speed grade 8.
Every run is kept by a hash of its inputs, its arguments and the tool's version.
"""

import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virtio_mmr_sim import toolchain

from .harness import TOP as HARNESS

#: The part, and a clock that no design reaches, so that the router never rests.
PART = ("--85k", "--speed", "8", "--package", "CABGA756", "--freq", "250", "--timing-allow-fail")

#: Families of the other vendor that yosys maps to.
XILINX = ("xc7", "xcup")

#: What a tool printed, in the folder of its outputs.
LOG = "log.txt"


class AreaError(RuntimeError):
    """A tool refused a design; the text ends with what it said."""


@dataclass(frozen=True)
class Area:
    """What a module takes on an ECP5."""

    lut4: int
    ccu2c: int
    dpr16x4: int
    #: Packed TRELLIS_COMB: lookup tables, two for each carry cell, and those that LUT RAM takes.
    comb: int
    ff: int
    dp16kd: int


@dataclass(frozen=True)
class Hop:
    """One step of a path: the cell's delay or the wire's, in nanoseconds, and the net that carries it."""

    kind: str
    delay: float
    net: str


@dataclass(frozen=True)
class Routed:
    """One place and route run: the clock in MHz, and the path that limits it."""

    seed: int
    fmax: float
    path: tuple[Hop, ...]


@dataclass(frozen=True)
class Clock:
    """Runs with different seeds, in the order of their seeds."""

    runs: tuple[Routed, ...]

    @property
    def median(self) -> float:
        """Median clock in MHz."""
        return statistics.median(run.fmax for run in self.runs)

    @property
    def slowest(self) -> Routed:
        """The run with the lowest clock."""
        return min(self.runs, key=lambda run: run.fmax)

    @property
    def fastest(self) -> Routed:
        """The run with the highest clock."""
        return max(self.runs, key=lambda run: run.fmax)


@dataclass(frozen=True)
class XilinxArea:
    """Lookup tables that yosys maps to, and LUT RAM cells beside them."""

    family: str
    lut: int
    lut_ram: int


def area(verilog: str, top: str, target: float | None = None) -> Area:
    """Area of module *top* of *verilog*.

    Without a *target* clock in MHz, logic is mapped for the shortest delay, which is what yosys does unless
    told otherwise; with one, whatever leaves the clock at that rate is mapped for size.

    Raises
    ------
    AreaError
        If a tool refuses the design.
    virtio_mmr_sim.toolchain.ToolMissing
        If a tool is not there.
    """
    folder = _synthesise(verilog, top, target)
    packed = step("nextpnr-ecp5", (*PART, "--json", "net.json", "--pack-only", "--out-of-context"),
                   {"net.json": (folder / "net.json").read_text()})
    cells = read_cells((folder / "stat.json").read_text())
    used = read_utilisation((packed / LOG).read_text())
    return Area(lut4=cells.get("LUT4", 0), ccu2c=cells.get("CCU2C", 0), dpr16x4=cells.get("TRELLIS_DPR16X4", 0),
                comb=used["TRELLIS_COMB"], ff=used["TRELLIS_FF"], dp16kd=used["DP16KD"])


def netlist(verilog: str, top: str, target: float | None = None) -> dict[str, Any]:
    """The flattened netlist that `area` counts, as yosys writes it: the module *top*."""
    module: dict[str, Any] = json.loads((_synthesise(verilog, top, target) / "net.json").read_text())["modules"][top]
    return module


def hierarchy(verilog: str, top: str) -> dict[str, Any]:
    """The modules of the design before synthesis, by name."""
    folder = _yosys(verilog, f"hierarchy -check -top {top}; proc; write_json modules.json")
    modules: dict[str, Any] = json.loads((folder / "modules.json").read_text())["modules"]
    return modules


def clock(verilog: str, harness: str, seeds: int, target: float | None = None) -> Clock:
    """Clock of the design inside *harness*, from *seeds* runs; *target* as for `area`."""
    net = (_synthesise(f"{verilog}\n{harness}", HARNESS, target) / "net.json").read_text()
    runs = []
    for seed in range(1, seeds + 1):
        folder = step("nextpnr-ecp5",
                       (*PART, "--json", "net.json", "--seed", str(seed), "--report", "report.json"),
                       {"net.json": net})
        runs.append(read_routed(seed, (folder / "report.json").read_text()))
    return Clock(tuple(runs))


def xilinx(verilog: str, top: str, family: str) -> XilinxArea:
    """Lookup tables of module *top* on a Xilinx family, mapped but not packed."""
    script = f"synth_xilinx -family {family} -noiopad -noclkbuf -flatten -top {top}; tee -q -o stat.json stat -json"
    return read_xilinx(family, (_yosys(verilog, script) / "stat.json").read_text())


def _synthesise(verilog: str, top: str, target: float | None) -> Path:
    goal = f"scratchpad -set abc9.D {round(1e6 / target)}; " if target else ""
    script = f"hierarchy -check -top {top}; {goal}synth_ecp5 -top {top} -json net.json; tee -q -o stat.json stat -json"
    return _yosys(verilog, script)


def _yosys(verilog: str, script: str) -> Path:
    return step("yosys", ("-q", "-p", f"read_verilog -sv design.v; {script}"), {"design.v": verilog})


def step(name: str, arguments: Sequence[str], inputs: Mapping[str, str]) -> Path:
    """Folder with the outputs of a run of tool *name*, kept from an earlier run if there was one.

    Tools may see no other folder than the one that they are started in, so paths are relative to it. What the
    tool printed is in `LOG`.

    Raises
    ------
    AreaError
        If the tool refuses its inputs.
    virtio_mmr_sim.toolchain.ToolMissing
        If it is not there.
    """
    tool = toolchain.require(name)
    digest = hashlib.sha256("\0".join([name, tool.version, *arguments]).encode())
    for file, text in inputs.items():
        digest.update(f"\0{file}\0{text}".encode())
    kept = toolchain.folder() / "area" / digest.hexdigest()[:20]
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="new-", dir=kept.parent))
    try:
        for file, text in inputs.items():
            (work / file).write_text(text)
        done = subprocess.run([*tool.command, *arguments], cwd=work, env=toolchain.environment(), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            tail = "\n".join(done.stdout.strip().splitlines()[-5:])
            raise AreaError(f"{name} ended with {done.returncode}:\n{tail}")
        for file in inputs:
            (work / file).unlink()
        (work / LOG).write_text(done.stdout)
        try:
            os.rename(work, kept)
        except OSError:
            # Another process was first; its result is the same.
            if not kept.exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return kept


def read_cells(statistics_json: str) -> dict[str, int]:
    """Cells by type from yosys' ``stat -json``."""
    cells: dict[str, int] = json.loads(statistics_json)["design"]["num_cells_by_type"]
    return cells


def read_utilisation(log: str) -> dict[str, int]:
    """Cells by type from nextpnr's table of what the device has.

    Raises
    ------
    AreaError
        If there is no such table.
    """
    used = {name: int(count) for name, count in re.findall(r"^Info:\s+(\w+):\s*(\d+)/\s*\d+", log, re.MULTILINE)}
    if "TRELLIS_COMB" not in used:
        raise AreaError("nextpnr-ecp5 printed no device utilisation")
    return used


def read_routed(seed: int, report: str) -> Routed:
    """Clock and limiting path from nextpnr's ``--report``.

    Raises
    ------
    AreaError
        If the design has not exactly one clock.
    """
    found = json.loads(report)
    clocks = list(found["fmax"].values())
    if len(clocks) != 1:
        raise AreaError(f"the harness has {len(clocks)} clocks; one was expected")
    inside = [path for path in found["critical_paths"]
              if path["from"] == path["to"] and path["from"].startswith("posedge")]
    hops = [Hop(step["type"], step["delay"], step.get("net", "")) for path in inside[:1] for step in path["path"]]
    return Routed(seed, clocks[0]["achieved"], tuple(hops))


def read_xilinx(family: str, statistics_json: str) -> XilinxArea:
    """Lookup tables and LUT RAM cells from yosys' ``stat -json``."""
    cells = read_cells(statistics_json)
    tables = sum(count for name, count in cells.items() if re.fullmatch(r"LUT[1-6]", name))
    memories = sum(count for name, count in cells.items() if re.match(r"RAM(16|32|64|128|256)", name))
    return XilinxArea(family, tables, memories)

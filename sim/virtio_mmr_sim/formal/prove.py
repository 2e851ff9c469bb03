"""Runs a proof: a harness becomes RTLIL, sby decides, the answer names the line that failed.

Memories that promise never to collide (``no_rw_check``) are taken at their word only as far as a proof
may: what such a memory reads in a clock in which the same row is written is *anything*.
"""

import enum
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from virtio_mmr_sim import toolchain

from .harness import Harness


class Mode(enum.Enum):
    """What is asked."""

    #: No failure within *depth* clocks from reset.
    BOUNDED = "bmc"
    #: No failure ever: induction over *depth* clocks.
    INDUCTION = "prove"
    #: Every cover is reached within *depth* clocks from reset.
    COVER = "cover"


class Engine(enum.Enum):
    """Which solver."""

    #: Memories as arrays. Quick for induction.
    YICES = "yices"
    #: Memories bit by bit. Better where small memories are written and read in many clocks; its WebAssembly build
    #: ends without an answer when its memory is full, so go deeper in small steps.
    BOOLECTOR = "boolector"


@dataclass(frozen=True)
class Result:
    """What sby found."""

    #: PASS, FAIL, UNKNOWN (induction did not close), TIMEOUT or ERROR.
    status: str
    seconds: float
    #: Lines of failed assertions or unreached covers, as ``file:line`` with the step if there is one.
    failures: tuple[str, ...]
    #: Value change dump of the counterexample, or of a cover.
    trace: Path | None
    #: Where everything is.
    folder: Path

    @property
    def passed(self) -> bool:
        """Whether the answer is the one hoped for."""
        return self.status == "PASS"

    def explain(self) -> str:
        """Text for a failing test."""
        lines = [f"{self.status} after {self.seconds:.1f} s", *self.failures]
        if self.trace:
            lines.append(f"trace: {self.trace}")
        lines.append(f"log: {self.folder / 'proof' / 'logfile.txt'}")
        return "\n".join(lines)


_SBY = """\
[options]
mode {mode}
depth {depth}
{options}
[engines]
smtbmc {engine_options} {engine}
[script]
read_rtlil design.il
prep -top top
memory_nordff
setundef -anyseq
{memories}
[files]
design.il
"""

_MEMORY = re.compile(r"attribute \\no_rw_check 1(?:\n\s*attribute [^\n]*)*\n\s*memory [^\n]* (\\\S+)")
_READ_PORT = re.compile(r"cell \$memrd_v2 .*?\n\s*end\n", re.DOTALL)
_MASK = re.compile(r"(\\COLLISION_X_MASK \d+)'([01x]+)")


def design(harness: Harness) -> str:
    """RTLIL of *harness*, in which a forbidden collision reads anything."""
    ports = [harness.domain.clk] + ([harness.reset] if harness.reset is not None else [])
    text = rtlil.convert(harness, name="top", ports=ports, emit_src=True)
    modules = []
    for module in re.split(r"(?m)^(?=module )", text):
        unchecked = set(_MEMORY.findall(module))

        def admit_anything(cell: re.Match[str], unchecked: set[str] = unchecked) -> str:
            name = re.search(r'\\MEMID "(.*?)"', cell[0])
            if name is None or name[1].replace("\\\\", "\\") not in unchecked or "\\CLK_ENABLE 0" in cell[0]:
                return cell[0]
            return _MASK.sub(lambda mask: f"{mask[1]}'{'1' * len(mask[2])}", cell[0])

        modules.append(_READ_PORT.sub(admit_anything, module))
    return "".join(modules)


def prove(harness: Harness, *, mode: Mode, depth: int, engine: Engine = Engine.YICES, name: str = "proof",
          timeout: int | None = None) -> Result:
    """Decide *harness*.

    Parameters
    ----------
    depth
        Clocks; see `Mode`.
    timeout
        Seconds after which sby gives up; None for never.

    Raises
    ------
    virtio_mmr_sim.toolchain.ToolMissing
        If sby, yosys or a solver is missing.
    """
    environment = toolchain.formal_environment()
    place = toolchain.folder() / "proofs"
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
    (folder / "design.il").write_text(design(harness))
    (folder / "proof.sby").write_text(_SBY.format(
        mode=mode.value, depth=depth, engine=engine.value,
        options=f"timeout {timeout}" if timeout else "",
        memories="memory_map" if engine is Engine.BOOLECTOR else "",
        engine_options="--nopresat" if mode is not Mode.COVER else ""))
    began = time.monotonic()
    done = subprocess.run(["sby", "-f", "proof.sby"], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)
    seconds = time.monotonic() - began
    log = done.stdout + done.stderr
    (folder / "sby.log").write_text(log)
    found = re.search(r"DONE \((\w+), rc=", log)
    failures = re.findall(r"summary: +(?:failed assertion )?top\S* at (.*)", log)
    traces = sorted((folder / "proof").glob("engine_0/trace*.vcd"))
    if not failures and not (found and found[1] == "PASS"):
        failures = [line for line in log.splitlines() if "ERROR" in line][:5]
    return Result(found[1] if found else "ERROR", seconds, tuple(dict.fromkeys(failures)),
                  traces[0] if traces else None, folder)

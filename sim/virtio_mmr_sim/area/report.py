"""What was measured, as a table and as plain data."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from . import peers
from .blocks import Block
from .run import Area, Clock, Routed, XilinxArea

#: What yosys adds to a net's name to name the cells beside it.
_CELLS = re.compile(r"_(?:LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_FF|TRELLIS_DPR16X4|DP16KD|D[IO]A?\d*|AD[AB]?\d*)(?:_.*)?$")
#: The harness and its instance of the design.
_AROUND = re.compile(r"^(?:dut\.)?(?:endpoint\.)?")


@dataclass(frozen=True)
class Measured:
    """Figures of one device."""

    name: str
    width: int
    area: Area
    clock: Clock | None = None
    xilinx: tuple[XilinxArea, ...] = ()
    blocks: tuple[Block, ...] = ()


def readable(net: str) -> str:
    """Name of the signal that a net of the netlist is, or lies behind: ``sequencer.writing``."""
    plain = "" if net.startswith("$nextpnr") else _AROUND.sub("", re.sub(r"\$\d+", "", net))
    return _CELLS.sub("", plain)


def stations(run: Routed) -> list[tuple[float, str]]:
    """Signals that the limiting path passes, each with the time of its arrival in nanoseconds."""
    found: list[tuple[float, str]] = []
    total = 0.0
    for hop in run.path:
        total += hop.delay
        name = readable(hop.net)
        if hop.kind == "setup":
            name = "setup"
        if name and found and found[-1][1] == name:
            found[-1] = (total, name)
        elif name:
            found.append((total, name))
    return found


def as_json(devices: Sequence[Measured], target: float | None = None) -> dict[str, object]:
    """Everything that was measured, with the peers' recorded figures."""
    return {
        "ok": True,
        "target_mhz": target,
        "devices": [_device(item) for item in devices],
        "peers": {
            "recorded": peers.RECORDED,
            "versions": dict(peers.VERSIONS),
            "tools": peers.TOOLS,
            "scope": peers.SCOPE,
            "cores": [asdict(peer) for peer in peers.PEERS],
        },
    }


def _device(item: Measured) -> dict[str, object]:
    clock = None
    if item.clock is not None:
        clock = {
            "median": item.clock.median,
            "seeds": {str(run.seed): run.fmax for run in item.clock.runs},
            "slowest_path": [asdict(hop) for hop in item.clock.slowest.path],
        }
    return {
        "name": item.name,
        "width": item.width,
        "area": asdict(item.area),
        "clock": clock,
        "xilinx": {found.family: {"lut": found.lut, "lut_ram": found.lut_ram} for found in item.xilinx},
        "blocks": [asdict(block) for block in item.blocks],
    }


def as_text(devices: Sequence[Measured], tools: Sequence[str], target: float | None = None) -> str:
    """The same as tables; *tools* says what it was measured with, *target* what clock it was mapped for."""
    families = [found.family for found in devices[0].xilinx] if devices else []
    heading = ("core", "bits", "LUT4", "CCU2C", "DPR16X4", "COMB", "FF", "DP16KD", "Fmax", "range",
               *(f"{family} LUT" for family in families))
    rows: list[tuple[str, ...]] = [heading]
    for item in devices:
        a = item.area
        row = [f"virtio-mmr {item.name}", item.width, a.lut4, a.ccu2c, a.dpr16x4, a.comb, a.ff, a.dp16kd]
        rows.append((*map(str, row), *_clock(item.clock), *(_tables(x.lut, x.lut_ram) for x in item.xilinx)))
    for peer in peers.PEERS:
        row = [peer.core, peer.width, peer.lut4, peer.ccu2c, peer.dpr16x4, peer.comb, peer.ff, peer.dp16kd]
        recorded = {"xc7": _tables(peer.xc7_lut, peer.xc7_lut_ram), "xcup": _tables(peer.xcup_lut, 0)}
        rows.append((*map(str, row), f"{peer.fmax:.1f}", f"{peer.slowest:.1f}-{peer.fastest:.1f}",
                     *(recorded[family] for family in families)))
    lines = ["ECP5, module alone, packed; Fmax in MHz, speed grade 8, median and range over seeds", ""]
    mapped = f"mapped for {target:g} MHz; the other cores for the shortest delay" if target else \
        "mapped for the shortest delay, as the other cores were"
    lines += [*_table(rows), "", f"Measured with {', '.join(tools)}; {mapped}."]
    lines.append(f"Other cores recorded {peers.RECORDED} with {peers.TOOLS}: {'; '.join(peers.VERSIONS.values())}.")
    lines.append(peers.SCOPE)
    for item in devices:
        if item.clock is not None:
            lines += ["", *_path(item.name, item.clock.slowest)]
        if item.blocks:
            lines += ["", *_blocks(item)]
    return "\n".join(lines)


def _clock(clock: Clock | None) -> tuple[str, str]:
    if clock is None:
        return "-", "-"
    return f"{clock.median:.1f}", f"{clock.slowest.fmax:.1f}-{clock.fastest.fmax:.1f}"


def _tables(lut: int, lut_ram: int) -> str:
    return f"{lut}+{lut_ram}" if lut_ram else str(lut)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _path(name: str, run: Routed) -> list[str]:
    logic = sum(hop.delay for hop in run.path if hop.kind != "routing")
    routing = sum(hop.delay for hop in run.path if hop.kind == "routing")
    lines = [f"{name}: slowest path, {run.fmax:.1f} MHz (seed {run.seed}): "
             f"{logic:.1f} ns logic and setup, {routing:.1f} ns routing"]
    return lines + [f"  {time:6.2f} ns  {station}" for time, station in stations(run)]


def _blocks(item: Measured) -> list[str]:
    rows: list[tuple[str, ...]] = [("block", "LUT4", "CCU2C", "DPR16X4", "FF", "DP16KD")]
    rows += [(block.name, *map(str, (block.lut4, block.ccu2c, block.dpr16x4, block.ff, block.dp16kd)))
             for block in item.blocks]
    return [f"{item.name}: cells by block", *(f"  {line}" for line in _table(rows))]

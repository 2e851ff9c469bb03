"""From Verilog to a bitstream with yosys, nextpnr and ecppack, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from virtio_mmr_sim.area import run

from virtio_mmr_boards.board import Board, BoardError

from .top import TOP

_PLACE = ("--um5g-45k", "--speed", "8", "--package", "CABGA381")


@dataclass(frozen=True)
class Routed:
    """A placed and routed design."""

    seed: int
    #: Slowest clock in MHz, and what was asked for.
    fmax: float
    target: float
    #: Cells by type.
    used: Mapping[str, int]
    #: Text that `pack` makes a bitstream from.
    configuration: str

    @property
    def met(self) -> bool:
        """Whether it is fast enough."""
        return self.fmax >= self.target


def route(board: Board, design: str, constraints: str, mhz: float, seeds: Sequence[int]) -> Routed:
    """*design* placed and routed for *mhz*: the first of *seeds* that meets it, else the fastest.

    Raises
    ------
    virtio_mmr_sim.area.run.AreaError
        If a tool refuses the design.
    virtio_mmr_sim.toolchain.ToolMissing
        If a tool is not there.
    """
    script = f"read_verilog -sv design.v; synth_ecp5 -top {TOP} -json net.json"
    net = (run.step("yosys", ("-q", "-p", script), {"design.v": design}) / "net.json").read_text()
    best: Routed | None = None
    for seed in seeds:
        folder = run.step(
            "nextpnr-ecp5",
            (*_PLACE, "--freq", f"{mhz:g}", "--timing-allow-fail", "--json", "net.json", "--lpf", board.constraints,
             "--seed", str(seed), "--textcfg", "placed.cfg", "--report", "report.json"),
            {"net.json": net, board.constraints: constraints})
        report = json.loads((folder / "report.json").read_text())
        found = Routed(seed, min(clock["achieved"] for clock in report["fmax"].values()), mhz,
                       run.read_utilisation((folder / run.LOG).read_text()), (folder / "placed.cfg").read_text())
        if best is None or found.fmax > best.fmax:
            best = found
        if best.met:
            break
    if best is None:
        raise BoardError("no seed was given to place with; name one")
    return best


def pack(routed: Routed) -> bytes:
    """The bitstream, compressed."""
    folder = run.step("ecppack", ("--compress", "--freq", "38.8", "placed.cfg", "board.bit"),
                      {"placed.cfg": routed.configuration})
    return (folder / "board.bit").read_bytes()

"""The top module in yosys: ports of every instance against the IP's, and synthesis for the part's family.

The IP is a black box with the ports that its generated instances have; a port that does not exist, and one of
another width, is an error.
"""

from collections.abc import Mapping

from virtio_mmr_sim.area import run

from virtio_mmr_boards.board import Board
from virtio_mmr_boards.ip.choose import ip_of
from virtio_mmr_boards.vivado.top import TOP

_LIBRARY = "read_verilog -lib +/xilinx/cells_sim.v +/xilinx/cells_xtra.v"


def _sources(board: Board, files: Mapping[str, str]) -> dict[str, str]:
    assert board.link is not None
    return {"ip.v": ip_of(board.link).black_box(), "virtio_mmr.v": files["virtio_mmr.v"], "top.v": files[f"{TOP}.v"]}


def check(board: Board, files: Mapping[str, str]) -> list[str]:
    """What is wrong with the instances of the project's top module.

    Raises
    ------
    virtio_mmr_sim.toolchain.ToolMissing
        If yosys is not there.
    """
    sources = _sources(board, files)
    script = f"{_LIBRARY}; read_verilog -sv {' '.join(sources)}; hierarchy -check -top {TOP}; proc; check -assert"
    try:
        run.step("yosys", ("-q", "-e", "Resizing cell port", "-p", script), sources)
    except run.AreaError as error:
        return [next((line for line in str(error).splitlines() if "ERROR" in line), str(error))]
    return []


def family(board: Board) -> str:
    """yosys' name of the part's family."""
    return "xcup" if board.part.startswith("xcku") else "xc7"


def tables(board: Board, files: Mapping[str, str]) -> run.XilinxArea:
    """Lookup tables of the whole top module with the IP as a black box, mapped but not packed.

    Raises
    ------
    virtio_mmr_sim.area.run.AreaError
        If yosys refuses it.
    """
    sources = _sources(board, files)
    script = (f"{_LIBRARY}; read_verilog -sv {' '.join(sources)}; synth_xilinx -family {family(board)} -noiopad "
              f"-noclkbuf -flatten -top {TOP}; check -assert; tee -q -o stat.json stat -json")
    found = run.step("yosys", ("-q", "-p", script), sources)
    return run.read_xilinx(family(board), (found / "stat.json").read_text())

"""The ECP5 board's top module in yosys: ports of every instance, and synthesis."""

from collections.abc import Mapping

from virtio_mmr_sim.area import run

from virtio_mmr_boards.board import Board
from virtio_mmr_boards.ecp5.top import TOP

_LIBRARY = "read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v"


def _sources(files: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(".v")}


def check(board: Board, files: Mapping[str, str]) -> list[str]:
    """What is wrong with the instances of the project's top module."""
    sources = _sources(files)
    script = f"{_LIBRARY}; read_verilog -sv {' '.join(sources)}; hierarchy -check -top {TOP}; proc; check -assert"
    try:
        run.step("yosys", ("-q", "-e", "Resizing cell port", "-p", script), sources)
    except run.AreaError as error:
        return [next((line for line in str(error).splitlines() if "ERROR" in line), str(error))]
    return []


def tables(files: Mapping[str, str]) -> tuple[int, int]:
    """Lookup tables and LUT RAM cells, mapped but not packed."""
    sources = _sources(files)
    script = f"read_verilog -sv {' '.join(sources)}; synth_ecp5 -top {TOP}; tee -q -o stat.json stat -json"
    cells = run.read_cells((run.step("yosys", ("-q", "-p", script), sources) / "stat.json").read_text())
    return cells.get("LUT4", 0), cells.get("TRELLIS_DPR16X4", 0)

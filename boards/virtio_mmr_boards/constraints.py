"""Constraint files: where they are, and what is in them.

They are files for their readers, and made from the board's data, so that both never differ:
``python -m virtio_mmr_boards.constraints`` writes them anew in a checkout.
"""

from pathlib import Path

from .board import Board, BoardError, Flow, Pin
from .catalogue import BOARDS

_HERE = Path(__file__).resolve().parent

#: In the installed package, and in a checkout.
FOLDERS = (_HERE / "constraints", _HERE.parents[1] / "constraints")


def find(board: Board) -> Path:
    """The constraint file of *board*.

    Raises
    ------
    BoardError
        If it is in neither place.
    """
    for folder in FOLDERS:
        if (folder / board.constraints).is_file():
            return folder / board.constraints
    raise BoardError(f"{board.constraints} is not installed; looked in {' and '.join(map(str, FOLDERS))}")


def render(board: Board) -> str:
    """Text of the constraint file of *board*."""
    return _xdc(board) if board.flow is Flow.VIVADO else _lpf(board)


def _xdc(board: Board) -> str:
    assert board.link is not None
    lines = [f"# {board.title}, {board.part}", "", "# The link must be ready 100 ms after power is good."]
    lines += [f"set_property {name} {value} [current_design]" for name, value in board.configuration.properties]
    lines += ["", "# Reference clock, 100 MHz.",
              "create_clock -period 10.000 -name pcie_refclk [get_ports pcie_refclk_p]", "", "# Pins."]
    for pin in board.all_pins():
        lines.append(f"set_property PACKAGE_PIN {pin.site} [get_ports {_brace(pin)}]")
        if pin.standard:
            lines.append(f"set_property IOSTANDARD {pin.standard} [get_ports {_brace(pin)}]")
        if pin.pull:
            lines.append(f"set_property PULLTYPE PULL{pin.pull.upper()} [get_ports {_brace(pin)}]")
    lines += ["", "# These have no clock.", "set_false_path -from [get_ports pcie_reset_n]",
              "set_false_path -to [get_ports {led[*]}]", ""]
    return "\n".join(lines)


def _brace(pin: Pin) -> str:
    return f"{{{pin.port}}}" if "[" in pin.port else pin.port


def _lpf(board: Board) -> str:
    settings = " ".join(f"{name}={value}" for name, value in board.configuration.properties)
    lines = [f"# {board.title}, {board.part}", f"SYSCONFIG {settings};", 'FREQUENCY PORT "clk100" 100 MHZ;']
    for pin in board.all_pins():
        lines += [f'LOCATE COMP "{pin.port}" SITE "{pin.site}";',
                  f'IOBUF PORT "{pin.port}" IO_TYPE={pin.standard};']
    return "\n".join([*lines, ""])


def main() -> None:
    """Writes every constraint file of the checkout."""
    for board in BOARDS.values():
        (FOLDERS[1] / board.constraints).write_text(render(board), encoding="utf-8")


if __name__ == "__main__":
    main()

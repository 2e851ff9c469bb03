"""The checks that a board's project goes through."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from virtio_mmr_boards.board import Board
from virtio_mmr_boards.ecp5 import top as ecp5_top
from virtio_mmr_boards.vivado import top

from . import netlist, open_netlist, pins, tcl

#: Takes a board and its project's files, and gives what is wrong.
Check = Callable[[Board, Mapping[str, str]], list[str]]


def _pins(board: Board, files: Mapping[str, str]) -> list[str]:
    ports = top.ports(board) if board.link is not None else ecp5_top.ports(board)
    return pins.check(board, files[board.constraints], ports)


def checks(board: Board) -> Mapping[str, Check]:
    """The checks of *board* by what they look at."""
    if board.link is None:
        return MappingProxyType({"pins": _pins, "ports": open_netlist.check})
    return MappingProxyType({"scripts": tcl.check, "pins": _pins, "ports": netlist.check})


def tables(board: Board, files: Mapping[str, str]) -> tuple[str, int, int]:
    """Family, lookup tables and LUT RAM of the whole project, mapped but not packed."""
    if board.link is None:
        return ("ecp5", *open_netlist.tables(files))
    found = netlist.tables(board, files)
    return found.family, found.lut, found.lut_ram

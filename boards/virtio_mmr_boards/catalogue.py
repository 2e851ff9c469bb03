"""Every board, by name."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from . import (
    acorn_cle_215,
    acorn_cle_215_plus,
    kcu116,
    litefury,
    nitefury_ii,
    pcie_squirrel,
    rk_xcku5p_f,
    versa_ecp5_5g,
)
from .board import Board, BoardError

BOARDS: Mapping[str, Board] = MappingProxyType({
    module.BOARD.name: module.BOARD
    for module in (nitefury_ii, litefury, acorn_cle_215, acorn_cle_215_plus, pcie_squirrel, kcu116, rk_xcku5p_f,
                   versa_ecp5_5g)
})


def board(name: str) -> Board:
    """The board called *name*.

    Raises
    ------
    BoardError
        If there is none; the text names the nearest, or all.
    """
    if name in BOARDS:
        return BOARDS[name]
    near = [known for known in BOARDS if known.startswith(name)] or difflib.get_close_matches(name, BOARDS, 1)
    cure = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(BOARDS)}"
    raise BoardError(f'board "{name}" is not known; {cure}')

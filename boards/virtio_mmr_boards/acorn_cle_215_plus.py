"""Acorn CLE-215+: the CLE-215 with the faster speed grade."""

from .artix import m2_card

BOARD = m2_card(
    "acorn-cle-215-plus", "SQRL Acorn CLE-215+", "xc7a200tfbg484", "3",
    open_points=("speed grade 3: read the marking; a card that says 2 is an acorn-cle-215",),
)

"""Acorn CLE-215: the card that the NiteFury is made from."""

from .artix import m2_card

BOARD = m2_card(
    "acorn-cle-215", "SQRL Acorn CLE-215", "xc7a200tfbg484", "2",
    open_points=("openFPGALoader's own entry acornCle215 names another package, so the part is given by hand",),
)

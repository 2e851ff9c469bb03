"""NiteFury II: an M.2 card with an Artix-7 200T."""

from .artix import m2_card

BOARD = m2_card("nitefury-ii", "RHS Research NiteFury II", "xc7a200tfbg484", "2")

"""LiteFury: the NiteFury's little sister with an Artix-7 100T."""

from .artix import m2_card

BOARD = m2_card("litefury", "RHS Research LiteFury", "xc7a100tfgg484", "2")

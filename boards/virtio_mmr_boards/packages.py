"""Packages: which pins there can be, and which pins belong to which transceiver.

Balls stand in a grid whose rows are lettered without I, O, Q, S, X and Z. The tables of transceivers hold what
the boards here use, restated from published constraint files of several boards with the same package.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .board import Lane

_LETTERS = "ABCDEFGHJKLMNPRTUVWY"
_ROWS = (*_LETTERS, *(f"A{letter}" for letter in _LETTERS))


@dataclass(frozen=True)
class Package:
    """A ball grid of ``size`` rows and columns."""

    size: int
    #: Lane pins by transceiver, positive before negative.
    lanes: Mapping[str, Lane]
    #: Pairs that take a reference clock.
    references: tuple[tuple[str, str], ...]
    #: Number of the quad whose transceivers count from Y0, where the IP is told a quad.
    first_quad: int = 0

    def quad(self, transceiver: str) -> str:
        """The IP's name of the quad of an UltraScale+ *transceiver*; four have consecutive numbers."""
        return f"GTY_Quad_{self.first_quad + int(transceiver.rpartition('Y')[2]) // 4}"

    def has(self, pin: str) -> bool:
        """Whether the grid has a ball of that name."""
        found = re.fullmatch(r"([A-Z]{1,2})([1-9]\d?)", pin)
        return found is not None and found[1] in _ROWS[:self.size] and int(found[2]) <= self.size

    def serial(self) -> frozenset[str]:
        """Every pin of a lane or a reference clock: these have no I/O standard."""
        pins = [pin for lane in self.lanes.values() for pin in (*lane.rx, *lane.tx)]
        return frozenset(pins + [pin for pair in self.references for pin in pair])


def _lanes(*rows: tuple[str, str, str, str, str]) -> Mapping[str, Lane]:
    return MappingProxyType({
        row[0]: Lane(transceiver=row[0], rx=(row[1], row[2]), tx=(row[3], row[4])) for row in rows})


def _artix(first: int) -> Mapping[str, Lane]:
    """The one quad of an Artix-7 in 484 balls; its transceivers count from *first* in larger dice."""
    return _lanes(
        (f"GTPE2_CHANNEL_X0Y{first}", "B8", "A8", "B4", "A4"),
        (f"GTPE2_CHANNEL_X0Y{first + 1}", "D11", "C11", "D5", "C5"),
        (f"GTPE2_CHANNEL_X0Y{first + 2}", "B10", "A10", "B6", "A6"),
        (f"GTPE2_CHANNEL_X0Y{first + 3}", "D9", "C9", "D7", "C7"),
    )


_ARTIX_REFERENCES = (("F6", "E6"), ("F10", "E10"))

PACKAGES: Mapping[str, Package] = MappingProxyType({
    "xc7a200t-fbg484": Package(22, _artix(4), _ARTIX_REFERENCES),
    "xc7a100t-fgg484": Package(22, _artix(4), _ARTIX_REFERENCES),
    "xc7a35t-fgg484": Package(22, _artix(0), _ARTIX_REFERENCES),
    "xcku5p-ffvb676": Package(26, _lanes(
        ("GTYE4_CHANNEL_X0Y0", "AF2", "AF1", "AF7", "AF6"),
        ("GTYE4_CHANNEL_X0Y1", "AE4", "AE3", "AE9", "AE8"),
        ("GTYE4_CHANNEL_X0Y2", "AD2", "AD1", "AD7", "AD6"),
        ("GTYE4_CHANNEL_X0Y3", "AB2", "AB1", "AC5", "AC4"),
        ("GTYE4_CHANNEL_X0Y4", "Y2", "Y1", "AA5", "AA4"),
        ("GTYE4_CHANNEL_X0Y5", "V2", "V1", "W5", "W4"),
        ("GTYE4_CHANNEL_X0Y6", "T2", "T1", "U5", "U4"),
        ("GTYE4_CHANNEL_X0Y7", "P2", "P1", "R5", "R4"),
    ), (("AB7", "AB6"), ("V7", "V6")), first_quad=224),
    "lfe5um5g-45f-cabga381": Package(20, MappingProxyType({}), ()),
})

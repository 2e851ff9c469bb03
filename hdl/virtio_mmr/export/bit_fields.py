"""Pictures of registers as SVG: the bits of one, and the places of many.

Drawn by the Python package ``wavedrom``, which is imported here alone and only when a picture is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from virtio_mmr.spec.register import Register

from .parts import parts

#: Pixels: width of a lane, of the column of offsets, of a letter; height of a line of text.
_LANE, _MARGIN, _LETTER, _LINE = 1200, 64, 6.8, 11


@dataclass(frozen=True)
class Cell:
    """Consecutive bits with a name, counted from the start of what is drawn; ``note`` is written below."""

    name: str
    lsb: int
    width: int
    note: str = ""


def register_picture(register: Register) -> str:
    """The fields of *register*, bit 0 on the right, in lanes of at most 16 bits with the highest on top."""
    cells = [Cell(part.name, part.lsb, part.width, part.access.value) for part in parts(register)]
    return str(_drawing(cells, register.width, lane=min(register.width, 16)).tostring())


def layout_picture(cells: Iterable[Cell], first: int, size: int) -> str:
    """*size* bytes from offset *first* on as rows of four bytes, the lowest on top, offsets on the left."""
    rows = []
    top = 0
    placed = list(cells)
    for row in range(0, size, 4):
        drawing = _drawing(_clipped(placed, 8 * row, 32), 32, lane=32)
        drawing["x"], drawing["y"] = _MARGIN, top
        height = drawing["height"]
        rows.append(f'<text x="4" y="{top + height / 2:g}" font-family="monospace" font-size="12">{first + row:#05x}'
                    f"</text>{drawing.tostring()}")
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_MARGIN + _LANE + 9}" height="{top}" '
        f'viewBox="0 0 {_MARGIN + _LANE + 9} {top}">{"".join(rows)}</svg>'
    )


def _clipped(cells: Sequence[Cell], start: int, width: int) -> list[Cell]:
    """What of *cells* lies in the *width* bits from *start* on, counted from *start*."""
    found = []
    for cell in cells:
        lsb, end = max(cell.lsb, start), min(cell.lsb + cell.width, start + width)
        if lsb < end:
            found.append(Cell(cell.name, lsb - start, end - lsb, cell.note))
    return found


def _drawing(cells: Iterable[Cell], width: int, lane: int) -> Any:
    """The wavedrom drawing of *cells* in lanes of *lane* bits; bits that belong to none are grey."""
    from wavedrom.bitfield import BitField

    bits: list[dict[str, object]] = []
    at, lines = 0, 1
    for cell in sorted(cells, key=lambda cell: cell.lsb):
        if cell.lsb > at:
            bits.append({"bits": cell.lsb - at})
        label = label_lines(cell.name, min(cell.width, lane) * _LANE // lane)
        lines = max(lines, len(label))
        bits.append({"bits": cell.width, "name": "\n".join(label), "attr": cell.note})
        at = cell.lsb + cell.width
    if at < width:
        bits.append({"bits": width - at})
    config = {
        "bits": width, "lanes": width // lane, "hspace": _LANE, "vspace": max(64, 2 * _LINE * (lines + 1)),
        "fontsize": _LINE,
    }  # fmt: skip
    return BitField().renderJson({"reg": bits, "config": config})


def label_lines(name: str, pixels: int) -> list[str]:
    """*name* on as few lines as a cell of *pixels* allows; it is broken at underscores alone."""
    lines = [""]
    for word in name.split("_"):
        joined = f"{lines[-1]}_{word}" if lines[-1] else word
        if len(joined) * _LETTER <= pixels or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines

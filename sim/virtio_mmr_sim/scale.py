"""A device with other numbers of functions: what more of them cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.export.device_file import completed

#: Pixels of a plot, and of the frame around its lines.
_WIDTH, _HEIGHT, _LEFT, _FRAME = 640, 320, 70, 40

_COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")


def with_functions(config: DeviceConfig, functions: int) -> str:
    """The device file of *config* with this many functions; a single one is the physical function.

    Raises
    ------
    ValueError
        If there are to be several, and the device has no virtual functions.
    """
    if functions == 1:
        return completed(replace(config, vf=None))
    if config.vf is None:
        raise ValueError("the device file has no [vf] section; there is nothing to have more of")
    return completed(replace(config, vf=replace(config.vf, count=functions - 1)))


@dataclass(frozen=True)
class Curve:
    """One line of a plot: a value for each number of functions."""

    name: str
    values: Mapping[int, float]


def plot(title: str, curves: Sequence[Curve]) -> str:
    """SVG of *curves*: functions from left to right, each number as far from the next; values from zero up."""
    places = sorted({number for curve in curves for number in curve.values})
    most = max(value for curve in curves for value in curve.values.values()) or 1.0
    step = (_WIDTH - _LEFT - _FRAME) / max(len(places) - 1, 1)

    def x(number: int) -> float:
        return _LEFT + step * places.index(number)

    def y(value: float) -> float:
        return _HEIGHT - _FRAME - value / most * (_HEIGHT - 2 * _FRAME)

    parts = [f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>']
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = y(share * most)
        parts += [f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _FRAME}" y2="{at:.1f}" stroke="#ddd"/>',
                  f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{share * most:g}</text>']
    parts += [f'<text x="{x(number):.1f}" y="{_HEIGHT - _FRAME + 18}" text-anchor="middle">{number}</text>'
              for number in places]
    for i, curve in enumerate(curves):
        colour = _COLOURS[i % len(_COLOURS)]
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in sorted(curve.values.items()))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(number):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}">'
                  f"<title>{escape(curve.name)}, {number}: {value:g}</title></circle>"
                  for number, value in curve.values.items()]
        parts.append(f'<text x="{_LEFT + 12 + 150 * i}" y="{_HEIGHT - 4}" fill="{colour}">{escape(curve.name)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" font-family="sans-serif" font-size="11">{"".join(parts)}</svg>\n')

"""A trace as a picture: time runs down, the driver is on the left, the device on the right."""

from collections.abc import Sequence
from html import escape

from .trace import Step

_LEFT, _RIGHT, _WIDTH, _TOP, _ROW = 110, 610, 720, 46, 18

_STYLE = """text { font: 12px monospace; fill: #222 } .head { font-weight: bold; text-anchor: middle }
line { stroke: #888 } .write { stroke: #1f5fa8 } .read { stroke: #2e7d32 } .interrupt { stroke: #b3261e }
text.write { fill: #1f5fa8; stroke: none } text.read { fill: #2e7d32; stroke: none }
text.interrupt { fill: #b3261e; stroke: none }"""


def picture(title: str, steps: Sequence[Step]) -> str:
    """SVG of *steps*: a write goes to the device, what is read and interrupts come from it."""
    height = _TOP + _ROW * len(steps) + 20
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
        *(f'<text class="head" x="{x}" y="18">{name}</text><line x1="{x}" y1="26" x2="{x}" y2="{height - 8}"/>'
          for x, name in ((_LEFT, "driver"), (_RIGHT, "device"))),
    ]
    for number, step in enumerate(steps):
        y = _TOP + _ROW * number
        start, end = (_LEFT, _RIGHT) if step.operation == "write" else (_RIGHT, _LEFT)
        value = f" = {step.value:#x}" if step.size else ""
        words = f"{step.operation} {step.name}{value}{'  ' + step.meaning if step.meaning else ''}"
        rows.append(f'<line class="{step.operation}" x1="{start}" y1="{y}" x2="{end}" y2="{y}" '
                    f'marker-end="url(#tip)"/><text class="{step.operation}" x="{_LEFT + 12}" y="{y - 4}">'
                    f"{escape(words)}</text>")
    return "\n".join([*rows, "</svg>", ""])

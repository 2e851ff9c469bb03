"""Boards in words, as a table and as plain data."""

from collections.abc import Sequence
from dataclasses import asdict

from .board import Board, Flow

_HEADS = ("Board", "Part", "Link", "Simulated", "Checked", "Built", "Run on hardware")


def status(board: Board) -> tuple[str, str, str, str]:
    """Simulated, checked, built, run on hardware: four different things."""
    if board.flow is Flow.TRELLIS:
        return "whole top", "yes", "bitstream, open tools", "no"
    return "core with its adapter", "yes", "no", "no"


def link_text(board: Board) -> str:
    """The link in a few words."""
    link = board.link
    return "none" if link is None else (
        f"Gen{link.generation} x{len(link.lanes)}, {link.ip}, {link.width} bit at {link.clock:g} MHz")


def as_json(board: Board) -> dict[str, object]:
    """Everything that is known, as plain data."""
    names = ("simulated", "checked", "built", "hardware")
    return {**asdict(board), "flow": board.flow.value, "status": dict(zip(names, status(board), strict=True))}


def table(boards: Sequence[Board], *, markdown: bool) -> str:
    """One row for each board."""
    rows = [_HEADS, *((board.name, board.part, link_text(board), *status(board)) for board in boards)]
    if markdown:
        lines = [f"| {' | '.join(row)} |\n" for row in rows]
        return "".join([lines[0], "|---" * len(_HEADS) + "|\n", *lines[1:]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
                   for row in rows)


def text(board: Board) -> str:
    """Everything that is known, to read."""
    lines = [board.title, f"part           {board.part}", f"link           {link_text(board)}"]
    if board.link is not None:
        lines += [f"reset          {board.link.reset.site} {board.link.reset.standard}",
                  f"reference      {' '.join(pin.site for pin in board.link.reference)}, 100 MHz"]
        lines += [f"lane {number}         {lane.transceiver}, rx {' '.join(lane.rx)}, tx {' '.join(lane.tx)}"
                  for number, lane in enumerate(board.link.lanes)]
    lines += [f"pins           {', '.join(f'{pin.port} {pin.site}' for pin in board.pins)}",
              f"flash          {board.flash}",
              f"configuration  {board.configuration.rate:g} MHz"
              + (f", {board.configuration.milliseconds:.0f} ms uncompressed" if board.configuration.bits else ""),
              f"cable          {board.loader.cable or 'yours'}",
              f"bridge         {board.loader.bridge or 'none needed'}",
              *_section("Shown by somebody's working design", board.confirmed),
              *_section("To be found out", board.open_points)]
    simulated, checked, built, hardware = status(board)
    lines += ["", f"Simulated: {simulated}. Checked: {checked}. Built: {built}. Run on hardware: {hardware}."]
    return "\n".join([*lines, ""])


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {sentence}" for sentence in sentences)] if sentences else []

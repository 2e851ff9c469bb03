"""What all verbs do when they speak: JSON on standard output, progress on a terminal."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = Any


def add_verb(subparsers: Subparsers, name: str, run: Any, summary: str, example: str) -> argparse.ArgumentParser:
    """A parser for the verb *name*, with --json, a sentence on what it does and an example."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example: {example}",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)
    return parser


def print_json(value: object) -> None:
    """*value* as JSON on standard output."""
    print(json.dumps(value, indent=2))


def write_files(folder: Path, files: Mapping[str, str], as_json: bool) -> None:
    """Writes *files*, texts by path inside *folder*, and says what was written."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sizes = {name: len(text.encode()) for name, text in files.items()}
    if as_json:
        print_json({"ok": True, "folder": str(folder), "files": sizes})
    else:
        for name, size in sizes.items():
            print(f"{size:>9}  {folder / name}")


def progress(text: str) -> None:
    """One line on standard error if somebody is watching."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)

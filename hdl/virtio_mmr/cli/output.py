"""What all verbs do when they speak: JSON on standard output, progress on a terminal."""

import argparse
import json
import sys
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


def progress(text: str) -> None:
    """One line on standard error if somebody is watching."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)

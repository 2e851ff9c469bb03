"""What all verbs do when they speak: JSON on standard output, progress on a terminal."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import virtio_mmr
from virtio_mmr.spec.sriov import MOST_VIRTUAL_FUNCTIONS

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subparsers = Any


class Refused(Exception):
    """The question cannot be answered as put; the text says why and what to do. It ends with exit code 2."""


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


def count(text: str) -> int:
    """An argument that is a number from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1 up is needed")
    return int(text)


def function_counts(text: str) -> list[int]:
    """An argument like ``1,16,64,256``."""
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= 1 + MOST_VIRTUAL_FUNCTIONS for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r}: numbers of functions from 1 to {1 + MOST_VIRTUAL_FUNCTIONS} are needed, with commas between")
    return [int(part) for part in parts]


def examples() -> list[Path]:
    """The device files that come with this package, or with the source tree; area-mmr comes first."""
    package = Path(virtio_mmr.__file__).parent
    folders = (package / "examples", package.parents[1] / "examples")
    found = next((list(folder.glob("*.toml")) for folder in folders if folder.is_dir()), [])
    return sorted(found, key=lambda file: (file.stem != "area-mmr", file.stem))


def example(name: str) -> Path:
    """The example called *name*.

    Raises
    ------
    Refused
        If no examples are installed.
    """
    for file in examples():
        if file.stem == name:
            return file
    raise Refused(f"the example {name}.toml is not installed; name a device file, or use the source tree")


def write(path: Path, text: str) -> None:
    """Writes a file, and the folders on the way to it.

    Raises
    ------
    Refused
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror}); name another place with -o") from None


def write_files(folder: Path, files: Mapping[str, str], as_json: bool) -> None:
    """Writes *files*, texts by path inside *folder*, and says what was written."""
    for name, text in files.items():
        write(folder / name, text)
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

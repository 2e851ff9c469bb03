"""The command ``vmmr``: one module for each verb.

A verb module has ``add(subparsers)``, which declares its arguments and sets ``run`` as default, and
``run(args) -> int``, which gives the exit code: 0 for success, 1 for something that was checked and
is wrong, 2 for a question that cannot be answered as put.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

import virtio_mmr
from virtio_mmr.config.errors import ConfigError, UnreadableError, spell

from . import (
    area,
    bench,
    board,
    check,
    differ,
    docs,
    doctor,
    fuzz,
    generate,
    guest,
    inspect,
    new,
    regs,
    test,
    testplan,
    trace,
)
from .output import Refused

#: Verbs in the order in which ``vmmr --help`` shows them.
VERBS = (
    new, check, generate, docs, inspect, regs, test, testplan, differ, fuzz, guest, trace, bench, area, board, doctor)

WRONG, USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs ``vmmr`` with *arguments*, those of the command line by default, and gives its exit code."""
    parser = _parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        return int(args.run(args))
    except ConfigError as error:
        return _refuse(args, error)
    except Refused as refused:
        if getattr(args, "json", False):
            print(json.dumps({"ok": False, "error": str(refused)}, indent=2))
        else:
            print(f"vmmr: {refused}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        # The reader has gone, as `vmmr regs | head` does; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"vmmr: {error.filename or 'error'}: {error.strerror or error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("vmmr: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vmmr",
        allow_abbrev=False,
        description="Describes, checks and generates virtio-pci MMR endpoints. Start with `vmmr new net`.",
    )
    parser.add_argument("--version", action="version", version=f"vmmr {virtio_mmr.__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(subparsers)
    return parser


def _refuse(args: argparse.Namespace, error: ConfigError) -> int:
    if getattr(args, "json", False):
        parts = {
            "file": error.name,
            "path": error.path,
            "value": None if error.value is None else spell(error.value),
            "rule": error.rule,
            "cure": error.cure,
        }
        print(json.dumps({"ok": False, "error": parts}, indent=2))
    else:
        print(f"vmmr: {error}", file=sys.stderr)
    return USAGE if isinstance(error, UnreadableError) else WRONG

"""``vmmr board``: projects, checks and bitstreams of boards, and their flash."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from virtio_mmr.config import load

from .output import Refused, Subparsers, add_verb, count, example, print_json, progress, write, write_files

#: Exit code of a tool, and what JSON says of its run.
Ended = tuple[int, dict[str, Any]]

#: Device that a board is checked with if none is named, with and without a link.
_EXAMPLES = {True: "net", False: "area-mmr"}


def add(subparsers: Subparsers) -> None:
    """Declares the verb and its actions."""
    parser = add_verb(subparsers, "board", run, "build for a board, check it, flash it",
                      "vmmr board build pcie-squirrel examples/net.toml -o build/squirrel")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, does: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
        inner = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                   allow_abbrev=False)
        inner.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON")
        inner.set_defaults(action_run=does)
        return inner

    listing = action("list", _list, "list the boards and what has been done with each")
    listing.add_argument("--markdown", action="store_true", help="as a table for a page")
    action("show", _show, "print what is known of a board").add_argument("board")
    build = action("build", _build, "write the project, and build it if the tools are there")
    build.add_argument("board")
    build.add_argument("file", type=Path, help="device file")
    build.add_argument("-o", "--output", type=Path, help="folder to write into (default: build/<board>)")
    build.add_argument("--project-only", action="store_true", help="write the project and run nothing")
    build.add_argument("--clock", type=float, default=125.0, metavar="MHZ",
                       help="clock of a board without a link: 50, 75, 100 or 125 (default: 125)")
    build.add_argument("--seeds", type=count, default=5, metavar="N",
                       help="placements to try for that clock (default: 5)")
    check = action("check", _check, "check a board's project without vendor tools")
    check.add_argument("board")
    check.add_argument("file", type=Path, nargs="?", help="device file (default: an example)")
    check.add_argument("--synth", action="store_true", help="also map the whole project to lookup tables")
    flash = action("flash", _flash, "write a bitstream to the board's flash")
    flash.add_argument("board")
    flash.add_argument("--file", type=Path, help="bitstream (default: build/<board>/<board>.bit)")
    flash.add_argument("--cable", help="openFPGALoader's name of the cable")
    flash.add_argument("--dry-run", action="store_true", help="print the command and run nothing")


def run(args: argparse.Namespace) -> int:
    """Does the action; 1 for a device that does not fit or a check that fails, 2 for what cannot be asked."""
    try:
        from virtio_mmr_boards.board import BoardError
        from virtio_mmr_sim.area.run import AreaError
        from virtio_mmr_sim.toolchain import ToolMissing
    except ImportError as error:
        raise Refused(f"boards need the Python package {error.name}; pip install 'virtio-mmr[boards]'") from None
    try:
        return int(args.action_run(args))
    except (BoardError, AreaError) as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr: {error}", file=sys.stderr)
        return 1
    except ToolMissing as missing:
        raise Refused(str(missing)) from None


def _named(name: str) -> Any:
    from virtio_mmr_boards.board import BoardError
    from virtio_mmr_boards.catalogue import board

    try:
        return board(name)
    except BoardError as error:
        raise Refused(str(error)) from None


def _fitted(args: argparse.Namespace, board: Any) -> Any:
    from virtio_mmr_boards.fit import fitted

    device, said = fitted(board, load(args.file), str(args.file))
    if not args.json and args.action == "build":
        for sentence in said:
            print(f"note: {sentence}")
    return device


def _list(args: argparse.Namespace) -> int:
    from virtio_mmr_boards import describe
    from virtio_mmr_boards.catalogue import BOARDS

    if args.json:
        print_json({"ok": True, "boards": [describe.as_json(board) for board in BOARDS.values()]})
    else:
        print(describe.table(tuple(BOARDS.values()), markdown=args.markdown), end="")
    return 0


def _show(args: argparse.Namespace) -> int:
    from virtio_mmr_boards import describe

    board = _named(args.board)
    if args.json:
        print_json({"ok": True, **describe.as_json(board)})
    else:
        print(describe.text(board), end="")
    return 0


def _build(args: argparse.Namespace) -> int:
    from virtio_mmr_boards.board import Flow
    from virtio_mmr_boards.ecp5.top import CLOCKS
    from virtio_mmr_boards.project import project

    board = _named(args.board)
    if args.clock not in CLOCKS:
        raise Refused(f"--clock {args.clock:g}: must be one of {', '.join(f'{rate:g}' for rate in sorted(CLOCKS))}")
    device = _fitted(args, board)
    folder = args.output or Path("build") / board.name
    progress("generating Verilog ...")
    files = project(board, device, args.clock)
    if args.json:
        for name, text in files.items():
            write(folder / name, text)
    else:
        write_files(folder, files, False)
    code, more = (0, {}) if args.project_only else (
        _vivado(folder, args.json) if board.flow is Flow.VIVADO else _trellis(args, board, folder, files))
    if args.json:
        print_json({"ok": code == 0, "folder": str(folder), "files": list(files), **more})
    return code


def _vivado(folder: Path, as_json: bool) -> Ended:
    """Runs Vivado in the project, or says what to run; exit code, and what JSON says of it."""
    from virtio_mmr_sim import toolchain

    tool = toolchain.find("vivado")
    words = ("-mode", "batch", "-source", "build.tcl")
    command = f"cd {folder} && vivado {' '.join(words)}"
    if not tool.found:
        if not as_json:
            print(f"\nVivado is not on the search path. Where it is, run: {command}")
        return 0, {"command": command, "ran": False}
    done = subprocess.run([*tool.command, *words], cwd=folder, stdin=subprocess.DEVNULL, check=False,
                          stdout=sys.stderr if as_json else None)
    return 1 if done.returncode else 0, {"command": command, "ran": True}


def _trellis(args: argparse.Namespace, board: Any, folder: Path, files: Mapping[str, str]) -> Ended:
    """Makes the bitstream with the open tools; exit code, and what JSON says of it."""
    from virtio_mmr_boards.ecp5 import flow

    design = "".join(text for name, text in files.items() if name.endswith(".v"))
    progress(f"placing and routing, up to {args.seeds} times ...")
    routed = flow.route(board, design, files[board.constraints], args.clock, range(1, args.seeds + 1))
    bitstream = folder / f"{board.name}.bit"
    bitstream.write_bytes(flow.pack(routed))
    used = {name: routed.used[name] for name in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD")}
    if not args.json:
        print(f"\n{bitstream}: {routed.fmax:.1f} MHz of {routed.target:g} asked for, seed {routed.seed}; "
              + ", ".join(f"{count} {name.removeprefix('TRELLIS_')}" for name, count in used.items()))
        if not routed.met:
            print(f"vmmr: {routed.target:g} MHz is not met; take a smaller device, more --seeds or a slower --clock",
                  file=sys.stderr)
    return 0 if routed.met else 1, {"bitstream": str(bitstream), "mhz": routed.fmax, "target_mhz": routed.target,
                                    "seed": routed.seed, "cells": used}


def _check(args: argparse.Namespace) -> int:
    from virtio_mmr_boards.checks.all import checks, tables
    from virtio_mmr_boards.project import project

    board = _named(args.board)
    args.file = args.file or example(_EXAMPLES[board.link is not None])
    files = project(board, _fitted(args, board))
    found = {name: does(board, files) for name, does in checks(board).items()}
    used = tables(board, files) if args.synth else None
    if used:
        found["size"] = [] if used[1] <= board.tables else [
            f"{used[1]} lookup tables, and the part has {board.tables}; take a smaller device or another board"]
    wrong = [f"{name}: {sentence}" for name, sentences in found.items() for sentence in sentences]
    if args.json:
        print_json({"ok": not wrong, "board": board.name, "checks": found,
                    "tables": None if used is None else {"family": used[0], "lut": used[1], "lut_ram": used[2]}})
    else:
        for name, sentences in found.items():
            print("\n".join([f"{'✗' if sentences else '✓'} {name}", *(f"  {sentence}" for sentence in sentences)]))
        if used:
            print(f"  {used[1]} of {board.tables} lookup tables and {used[2]} LUT RAM, mapped for {used[0]}")
    return 1 if wrong else 0


def _flash(args: argparse.Namespace) -> int:
    from virtio_mmr_boards import flash
    from virtio_mmr_boards.board import BoardError
    from virtio_mmr_sim import toolchain

    board = _named(args.board)
    file = args.file or Path("build") / board.name / f"{board.name}.bit"
    tool = toolchain.find("openFPGALoader") if args.dry_run else toolchain.require("openFPGALoader")
    try:
        command = flash.command(board, tool.command or ("openFPGALoader",), file, args.cable)
    except BoardError as error:
        raise Refused(str(error)) from None
    if not args.dry_run and not file.is_file():
        raise Refused(f"{file}: no such bitstream; `vmmr board build {board.name} DEVICE` makes it, "
                      "--file names another")
    if not args.json:
        print(command)
    if not args.dry_run:
        done = subprocess.run(command.words, env={**os.environ, **command.environment}, stdin=subprocess.DEVNULL,
                              stdout=sys.stderr if args.json else None, check=False)
        if done.returncode:
            raise BoardError(f"openFPGALoader ended with {done.returncode}; is the board powered and the cable's name "
                             f"right ({' '.join(command.words[1:])})?")
    if args.json:
        print_json({"ok": True, "command": list(command.words), "ran": not args.dry_run,
                    "afterwards": flash.afterwards(board)})
    else:
        print(f"\n{flash.afterwards(board)}", end="")
    return 0

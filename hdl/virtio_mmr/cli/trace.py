"""``vmmr trace``: what a guest did to the device, register by register."""

import argparse
from dataclasses import asdict
from pathlib import Path

from virtio_mmr.config import loads

from .output import Refused, Subparsers, add_verb, count, print_json, write


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(subparsers, "trace", run, "show a guest's recorded accesses with the names of registers",
                      "vmmr trace rng.jsonl --bars")
    parser.add_argument("file", type=Path, help="what `vmmr guest ... --record FILE` has written")
    parser.add_argument("--bars", action="store_true", help="leave configuration space out")
    parser.add_argument("--first", type=count, metavar="N", help="show so many lines (default: all)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw them instead, as a sequence")


def run(args: argparse.Namespace) -> int:
    """Prints one line for each access."""
    from virtio_mmr_sim.guest import record, sequence, trace
    from virtio_mmr_sim.guest.designs import Show

    try:
        about, events = record.load(args.file)
        decoder = trace.Decoder(loads(about["device"], str(args.file)), Show(about["show"]))
    except record.NoRecording as error:
        raise Refused(str(error)) from None
    steps = [step for step in decoder.steps(events) if not (args.bars and step.name.startswith("config."))]
    steps = steps[:args.first]
    if args.svg is not None:
        write(args.svg, sequence.picture(about["guest"], steps))
        return 0
    if args.json:
        print_json({"guest": about["guest"], "show": about["show"], "steps": [asdict(step) for step in steps]})
        return 0
    print(about["guest"])
    for step in steps:
        print(f"  {step}")
    return 0

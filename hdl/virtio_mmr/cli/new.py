"""``vmmr new``: a first device file."""

import argparse
from pathlib import Path

from virtio_mmr.config.device import Identity
from virtio_mmr.export.new_device import new_device
from virtio_mmr.spec.device_types import DEVICE_TYPES

from .output import Refused, Subparsers, add_verb, print_json, write


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(subparsers, "new", run, "write a commented device file", "vmmr new net -o my-net.toml")
    parser.add_argument("kind", choices=[*DEVICE_TYPES], help="device type")
    parser.add_argument(
        "-i",
        "--identity",
        choices=[identity.value for identity in Identity],
        default="mmr",
        help="which ids it shows, and so which drivers bind (default: mmr)",
    )
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")
    parser.add_argument("-f", "--force", action="store_true", help="write over a file that is there")


def run(args: argparse.Namespace) -> int:
    """Writes the file, or prints it."""
    text = new_device(DEVICE_TYPES[args.kind], Identity(args.identity))
    if args.output is None:
        if args.json:
            print_json({"ok": True, "text": text})
        else:
            print(text, end="")
        return 0
    if args.output.exists() and not args.force:
        raise Refused(f"{args.output} is there already; give another name, or --force")
    write(args.output, text)
    if args.json:
        print_json({"ok": True, "file": str(args.output)})
    else:
        print(f"wrote {args.output}; next: vmmr check {args.output}")
    return 0

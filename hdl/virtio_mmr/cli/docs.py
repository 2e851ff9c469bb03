"""``vmmr docs``: register pages with pictures."""

import argparse
from pathlib import Path

from virtio_mmr.config import load
from virtio_mmr.export.pages import pages
from virtio_mmr.layout import place

from .output import Refused, Subparsers, add_verb, write_files


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers,
        "docs",
        run,
        "write pages on a device's registers and configuration space, with pictures of their bits",
        "vmmr docs examples/net.toml -o build/net/docs",
    )
    parser.add_argument("file", type=Path, help="device file")
    parser.add_argument(
        "-o", "--output", type=Path, help="folder to write into (default: build/<name of the file>/docs)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes all pages and pictures."""
    config = load(args.file)
    try:
        files = pages(config, place(config))
    except ImportError as error:
        raise Refused(f"pictures need the Python package {error.name}; pip install 'virtio-mmr[docs]'") from None
    write_files(args.output or Path("build") / args.file.stem / "docs", files, args.json)
    return 0

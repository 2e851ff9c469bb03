"""``vmmr generate``: Verilog and everything that goes with it."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from virtio_mmr.config import DeviceConfig, load
from virtio_mmr.export.c_header import c_header
from virtio_mmr.export.fusesoc import core_file
from virtio_mmr.export.json_map import device_json
from virtio_mmr.export.lint import lint_configuration
from virtio_mmr.export.lspci_dump import dump
from virtio_mmr.export.manifest import manifest
from virtio_mmr.export.markdown import register_pages
from virtio_mmr.export.system_rdl import system_rdl
from virtio_mmr.export.template import instance_template
from virtio_mmr.layout import place

from .output import Refused, Subparsers, add_verb, progress, write_files


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers,
        "generate",
        run,
        "write Verilog, header, register pages and maps",
        "vmmr generate examples/net.toml -o build/net",
    )
    parser.add_argument("file", type=Path, help="device file")
    parser.add_argument("-o", "--output", type=Path, help="folder to write into (default: build/<name of the file>)")


def run(args: argparse.Namespace) -> int:
    """Writes all files, or none if the device cannot be built."""
    config = load(args.file)
    folder = args.output or Path("build") / args.file.stem
    try:
        files = outputs(config)
    except ImportError as error:
        raise Refused(f"Verilog needs the Python package {error.name}; pip install 'virtio-mmr[verilog]'") from None
    write_files(folder, files, args.json)
    return 0


def outputs(config: DeviceConfig) -> Mapping[str, str]:
    """Name and text of every file; the same device gives the same bytes everywhere."""
    from virtio_mmr.gateware import shell

    space = place(config)
    progress("generating Verilog ...")
    generated = shell.generate(config)
    files = {
        "virtio_mmr.v": generated.verilog,
        "virtio_mmr_template.v": instance_template(generated.interface),
        "virtio_mmr.vlt": lint_configuration(),
        "virtio_mmr.core": core_file(config),
        "interface.json": json.dumps(generated.interface, indent=2) + "\n",
        "virtio_mmr.h": c_header(config, space),
        "virtio_mmr.rdl": system_rdl(config, space),
        "registers.md": register_pages(config, space),
        "config_space.txt": dump(space.reset_image()),
        "device.json": device_json(config, space),
    }
    return {**files, "manifest.json": manifest(files)}

"""``vmmr area``: size and clock on an ECP5, beside recorded figures of other cores."""

import argparse
import sys
from pathlib import Path

import virtio_mmr
from virtio_mmr.config import load

from .output import Refused, Subparsers, add_verb, count, print_json, progress


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "area", run, "measure size and clock with yosys and nextpnr", "vmmr area examples/area-mmr.toml"
    )
    parser.add_argument("file", nargs="*", type=Path, help="device files (default: all examples, area-mmr first)")
    parser.add_argument("--seeds", type=count, default=3, metavar="N", help="place and route runs (default: 3)")
    parser.add_argument(
        "--target", type=_rate, metavar="MHZ", help="map for size where this clock allows it (default: for delay)"
    )
    parser.add_argument("--no-fmax", action="store_true", help="area only; takes half a minute instead of several")
    parser.add_argument("--blocks", action="store_true", help="also say which block takes how much")
    parser.add_argument("--xilinx", action="store_true", help="also map to lookup tables of xc7 and xcup")


def run(args: argparse.Namespace) -> int:
    """Measures and prints; 1 if a tool refuses the design, 2 if one is missing."""
    try:
        from virtio_mmr_sim import design, toolchain
        from virtio_mmr_sim.area import blocks, harness, report
        from virtio_mmr_sim.area import run as tools
    except ImportError as error:
        raise Refused(f"area needs the Python package {error.name}; pip install 'virtio-mmr[area]'") from None
    files = args.file or examples()
    if not files:
        raise Refused("no examples are installed; name a device file")
    devices = []
    try:
        versions = [f"{tool.name} {tool.version}" for tool in map(toolchain.require, ("yosys", "nextpnr-ecp5"))]
        for file in files:
            load(file)
            progress(f"{file.stem}: generating and mapping ...")
            made = design.generate(file.read_text(encoding="utf-8"))
            verilog, top = made.verilog.read_text(), design.TOP
            area = tools.area(verilog, top, args.target)
            clock, families, parts = None, [], []
            if not args.no_fmax:
                progress(f"{file.stem}: placing and routing with {args.seeds} seeds ...")
                clock = tools.clock(verilog, harness.harness(made.interface), args.seeds, args.target)
            if args.xilinx:
                families = [tools.xilinx(verilog, top, family) for family in tools.XILINX]
            if args.blocks:
                parts = blocks.blocks(tools.netlist(verilog, top, args.target), tools.hierarchy(verilog, top), top)
            width = made.config.datapath.width
            devices.append(report.Measured(file.stem, width, area, clock, tuple(families), tuple(parts)))
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except tools.AreaError as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr area: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json(report.as_json(devices, args.target))
    else:
        print(report.as_text(devices, versions, args.target))
    return 0


def examples() -> list[Path]:
    """The device files that come with this package, or with the source tree; area-mmr comes first."""
    package = Path(virtio_mmr.__file__).parent
    folders = (package / "examples", package.parents[1] / "examples")
    found = next((list(folder.glob("*.toml")) for folder in folders if folder.is_dir()), [])
    return sorted(found, key=lambda file: (file.stem != "area-mmr", file.stem))


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a clock of 1 to 1000 MHz is needed")
    return rate

"""``vmmr area``: size and clock on an ECP5, beside recorded figures of other cores."""

import argparse
import sys
from pathlib import Path

from virtio_mmr.config import load

from .output import (
    Refused,
    Subparsers,
    add_verb,
    count,
    example,
    examples,
    function_counts,
    print_json,
    progress,
    write,
)


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
    parser.add_argument("--functions", type=function_counts, metavar="N,N,...",
                        help="measure a device with virtual functions (default: net-256) with so many of them instead")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="with --functions: also draw them, as SVG")
    parser.add_argument("--xilinx", action="store_true", help="also map to lookup tables of xc7 and xcup")


def run(args: argparse.Namespace) -> int:
    """Measures and prints; 1 if a tool refuses the design, 2 if one is missing."""
    try:
        from virtio_mmr_sim import design, scale, toolchain
        from virtio_mmr_sim.area import blocks, harness, report
        from virtio_mmr_sim.area import run as tools
    except ImportError as error:
        raise Refused(f"area needs the Python package {error.name}; pip install 'virtio-mmr[area]'") from None
    if args.plot and not args.functions:
        raise Refused("--plot draws what --functions measures; give numbers of functions")
    files = args.file or ([example("net-256")] if args.functions else examples())
    if not files:
        raise Refused("no examples are installed; name a device file")
    if args.functions and len(files) != 1:
        raise Refused(f"--functions changes one device file, and {len(files)} are given; name one")
    devices = []
    try:
        versions = [f"{tool.name} {tool.version}" for tool in map(toolchain.require, ("yosys", "nextpnr-ecp5"))]
        texts = {file.stem: file.read_text(encoding="utf-8") for file in files if load(file)}
        if args.functions:
            try:
                texts = {f"{files[0].stem} x {number}": scale.with_functions(load(files[0]), number)
                         for number in args.functions}
            except ValueError as error:
                raise Refused(f"{files[0]}: {error}") from None
        for name, text in texts.items():
            progress(f"{name}: generating and mapping ...")
            made = design.generate(text)
            verilog, top = made.verilog.read_text(), design.TOP
            area = tools.area(verilog, top, args.target)
            clock, families, parts = None, [], []
            if not args.no_fmax:
                progress(f"{name}: placing and routing with {args.seeds} seeds ...")
                clock = tools.clock(verilog, harness.harness(made.interface), args.seeds, args.target)
            if args.xilinx:
                families = [tools.xilinx(verilog, top, family) for family in tools.XILINX]
            if args.blocks:
                parts = blocks.blocks(tools.netlist(verilog, top, args.target), tools.hierarchy(verilog, top), top)
            width = made.config.datapath.width
            devices.append(report.Measured(name, width, area, clock, tuple(families), tuple(parts)))
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except tools.AreaError as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr area: {error}", file=sys.stderr)
        return 1
    if args.plot:
        write(args.plot, scale.plot("packed ECP5 cells by number of functions", [
            scale.Curve(unit, {number: float(getattr(item.area, unit.lower()))
                               for number, item in zip(args.functions, devices, strict=True)})
            for unit in ("COMB", "FF")]))
    if args.json:
        print_json(report.as_json(devices, args.target))
    else:
        print(report.as_text(devices, versions, args.target))
    return 0


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a clock of 1 to 1000 MHz is needed")
    return rate

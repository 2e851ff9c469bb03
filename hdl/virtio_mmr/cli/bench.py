"""``vmmr bench``: latency, rates and simulation speed, beside recorded figures of other cores."""

import argparse
import sys

from virtio_mmr import config

from .output import Refused, Subparsers, add_verb, example, function_counts, print_json, progress

#: Bits of the streams of the device whose DMA is measured.
DMA_WIDTH = 128


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "bench", run,
        "measure latency, rates, DMA and simulation speed of the default network device at 64 and 128 bit",
        "vmmr bench --json",
    )
    parser.add_argument("--functions", type=function_counts, metavar="N,N,...",
                        help="measure net-256 with so many functions instead: latency, and rates on one and on many")


def run(args: argparse.Namespace) -> int:
    """Measures and prints; 1 if the device gave a wrong answer or could not be built, 2 without the tools."""
    return _run_functions(args) if args.functions else _run(args)


def _run_functions(args: argparse.Namespace) -> int:
    from virtio_mmr_sim import scale, toolchain
    from virtio_mmr_sim.native import bench, bench_functions
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError, NativeModel

    base = config.load(example("net-256"))
    found = []
    try:
        for functions in args.functions:
            progress(f"building and measuring {functions} functions ...")
            described = config.loads(scale.with_functions(base, functions))
            with NativeModel(described) as native:
                found.append(bench_functions.measure(native, described))
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except (bench.BenchError, NativeError, BuildError) as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr bench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json({"ok": True, "functions": bench_functions.as_json(found)})
    else:
        print(bench_functions.as_text(found))
    return 0


def _run(args: argparse.Namespace) -> int:
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.native import bench, bench_dma
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError, NativeModel

    clocks, speeds = [], []
    try:
        for width in bench.WIDTHS:
            progress(f"building and measuring the device at {width} bit ...")
            for clock, speed in bench.measure([width]):
                clocks.append(clock)
                speeds.append(speed)
        progress(f"building and measuring DMA at {DMA_WIDTH} bit ...")
        described = bench_dma.device(DMA_WIDTH)
        with NativeModel(described) as native:
            sustained = list(bench_dma.measure(native, described))
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except (bench.BenchError, NativeError, BuildError) as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr bench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json({"ok": True, **bench.as_json(clocks, speeds), "dma": bench_dma.as_json(sustained)})
    else:
        print(bench.as_text(clocks, speeds), bench_dma.as_text(sustained), sep="\n\n")
    return 0

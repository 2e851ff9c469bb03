"""``vmmr bench``: latency, rates and simulation speed, beside recorded figures of other cores."""

import argparse
import sys

from .output import Refused, Subparsers, add_verb, print_json, progress


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    add_verb(
        subparsers, "bench", run,
        "measure latency, rates and simulation speed of the default network device at 64 and 128 bit",
        "vmmr bench --json",
    )


def run(args: argparse.Namespace) -> int:
    """Measures and prints; 1 if the device gave a wrong answer or could not be built, 2 without the tools."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.native import bench
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError

    clocks, speeds = [], []
    try:
        for width in bench.WIDTHS:
            progress(f"building and measuring the device at {width} bit ...")
            for clock, speed in bench.measure([width]):
                clocks.append(clock)
                speeds.append(speed)
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except (bench.BenchError, NativeError, BuildError) as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr bench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json({"ok": True, **bench.as_json(clocks, speeds)})
    else:
        print(bench.as_text(clocks, speeds))
    return 0

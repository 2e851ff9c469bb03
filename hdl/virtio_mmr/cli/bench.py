"""``vmmr bench``: latency, rates and simulation speed, beside recorded figures of other cores."""

import argparse
import json
import sys


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "bench",
        help="measure latency, rates and simulation speed of the default network device",
        description="Builds the default network device at 64 and 128 bit, and measures it simulated.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; 1 if the device gave a wrong answer or could not be built."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.native import bench
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError

    clocks, speeds = [], []
    try:
        for width in bench.WIDTHS:
            if sys.stderr.isatty():
                print(f"building and measuring the device at {width} bit ...", file=sys.stderr)
            for clock, speed in bench.measure([width]):
                clocks.append(clock)
                speeds.append(speed)
    except (bench.BenchError, NativeError, BuildError, toolchain.ToolMissing) as error:
        print(f"vmmr bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps(bench.as_json(clocks, speeds), indent=2) if args.json else bench.as_text(clocks, speeds))
    return 0

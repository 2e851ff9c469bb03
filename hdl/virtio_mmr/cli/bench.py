"""``vmmr bench``: latency, rates and simulation speed, beside recorded figures of other cores."""

import argparse
import sys
from collections.abc import Sequence

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
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.native import bench
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError

    try:
        figures, text = _of_functions(args.functions) if args.functions else _of_widths()
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except (bench.BenchError, NativeError, BuildError) as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr bench: {error}", file=sys.stderr)
        return 1
    if args.json:
        print_json({"ok": True, **figures})
    else:
        print(text)
    return 0


def _of_functions(counts: Sequence[int]) -> tuple[dict[str, object], str]:
    """Figures of net-256 with other numbers of functions, as data and as text."""
    from virtio_mmr_sim import scale
    from virtio_mmr_sim.native import bench_functions
    from virtio_mmr_sim.native.model import NativeModel

    base = config.load(example("net-256"))
    found = []
    for functions in counts:
        progress(f"building and measuring {functions} functions ...")
        described = config.loads(scale.with_functions(base, functions))
        with NativeModel(described) as native:
            found.append(bench_functions.measure(native, described))
    return {"functions": bench_functions.as_json(found)}, bench_functions.as_text(found)


def _of_widths() -> tuple[dict[str, object], str]:
    """Figures of the default network device at each width, and of DMA, as data and as text."""
    from virtio_mmr_sim.native import bench, bench_dma
    from virtio_mmr_sim.native.model import NativeModel

    clocks, speeds = [], []
    for width in bench.WIDTHS:
        progress(f"building and measuring the device at {width} bit ...")
        for clock, speed in bench.measure([width]):
            clocks.append(clock)
            speeds.append(speed)
    progress(f"building and measuring DMA at {DMA_WIDTH} bit ...")
    described = bench_dma.device(DMA_WIDTH)
    with NativeModel(described) as native:
        sustained = list(bench_dma.measure(native, described))
    return ({**bench.as_json(clocks, speeds), "dma": bench_dma.as_json(sustained)},
            f"{bench.as_text(clocks, speeds)}\n\n{bench_dma.as_text(sustained)}")

"""``vmmr fuzz``: random packets to the simulated device, compared with the golden model."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from virtio_mmr.config import load, loads

from .output import Refused, Subparsers, add_verb, count, print_json, progress

if TYPE_CHECKING:
    from virtio_mmr_sim.native.dma import Transfers
    from virtio_mmr_sim.native.fuzz import Statistics

#: Used if no device file is given.
DEFAULT = 'schema = 1\n[device]\nkind = "net"\n'

#: From so many packets or requests on, a fast model is worth the time that the compiler takes for it.
MANY = 200_000


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "fuzz", run, "compare the simulated device with the golden model under random packets",
        "vmmr fuzz examples/net.toml --tlps 100000 --seed 7",
    )
    parser.add_argument("file", type=Path, nargs="?", help="device file (default: the default network device)")
    parser.add_argument("--tlps", type=count, default=20_000, metavar="N", help="packets (default: 20000)")
    parser.add_argument("--dma", type=count, metavar="N", help="nothing but so many DMA requests of the back end")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of all randomness (default: 1)")
    parser.add_argument("--waves", type=Path, metavar="FILE", help="write waves (VCD); for short runs")


def run(args: argparse.Namespace) -> int:
    """Builds the device and drives it; 1 if it differs from the model."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.native import fuzz, fuzz_dma
    from virtio_mmr_sim.native.build import BuildError
    from virtio_mmr_sim.native.model import NativeError, NativeModel

    config = fuzz_dma.hurried(loads(DEFAULT) if args.file is None else load(args.file))
    if config.datapath.hard_ip.owns_header:
        raise Refused(f'datapath.adapter = "{config.datapath.adapter}": random traffic speaks raw TLPs; '
                      'write adapter = "raw", or use vmmr test')
    repeat = "vmmr fuzz" if args.file is None else f"vmmr fuzz {args.file}"
    with_dma = fuzz_dma.possible(config)
    if args.dma and not with_dma:
        raise Refused("--dma needs a device that does DMA and has its legacy registers in memory; "
                      "add a [requester] section to the device file, as in examples/net-dma.toml")
    progress("building the device ...")
    try:
        with NativeModel(config, waves=args.waves, optimize=(args.dma or args.tlps) >= MANY) as native:
            if args.dma:
                return _transfers(args, fuzz_dma.run(native, config, args.dma, args.seed, repeat=repeat), native.now)
            statistics = fuzz.run(
                native, config, args.tlps, args.seed, repeat=repeat,
                modes=fuzz_dma.MODES if with_dma else fuzz.MODES,
                round_type=fuzz_dma.DmaRound if with_dma else fuzz.Round,
                progress=lambda found: _show(found, args.tlps),
            )
    except fuzz.Mismatch as mismatch:
        return _wrong(args, str(mismatch))
    except toolchain.ToolMissing as missing:
        raise Refused(str(missing)) from None
    except (NativeError, BuildError) as error:
        return _wrong(args, str(error))
    if args.json:
        print_json({"ok": True, **asdict(statistics)})
    else:
        modes = ", ".join(f"{count} {mode}" for mode, count in sorted(statistics.modes.items()))
        print(f"{statistics.packets} packets agree with the model ({modes}): {statistics.completions} completions, "
              f"{statistics.messages} interrupt messages, {statistics.events} back-end events, "
              f"{statistics.clocks} clocks, {statistics.seconds:.0f} s")
    return 0


def _transfers(args: argparse.Namespace, found: "Transfers", clocks: int) -> int:
    """Says what became of random DMA."""
    if args.json:
        print_json({"ok": True, "seed": args.seed, "clocks": clocks, **asdict(found)})
        return 0

    def listed(numbers: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items() if number)

    print(f"{found.total} requests of the back end ended as they should in {clocks} clocks\n"
          f"reads:   {listed(found.reads)}; {found.bytes_read} bytes in {found.read_packets} packets\n"
          f"writes:  {listed(found.writes)}; {found.bytes_written} bytes in {found.write_packets} packets\n"
          f"host:    {found.completions} completions; {listed(found.fates)}\n"
          f"changes: {listed(found.changes)}")
    return 0


def _show(statistics: "Statistics", total: int) -> None:
    """One line that replaces itself, on a terminal."""
    if sys.stderr.isatty():
        rate = statistics.packets / statistics.seconds if statistics.seconds else 0.0
        end = "\n" if statistics.packets >= total else ""
        print(f"\r{statistics.packets} of {total} packets, {rate:.0f} a second ", end=end, file=sys.stderr, flush=True)


def _wrong(args: argparse.Namespace, text: str) -> int:
    if args.json:
        print_json({"ok": False, "seed": args.seed, "error": text})
    else:
        print(f"vmmr fuzz: {text}", file=sys.stderr)
    return 1

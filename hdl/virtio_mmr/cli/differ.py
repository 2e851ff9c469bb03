"""``vmmr differ``: random accesses to QEMU's legacy or modern window and to ours, compared."""

import argparse
import sys
from typing import Any

from .output import Refused, Subparsers, add_verb, count, print_json, progress


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "differ", run, "compare the legacy or the modern window with QEMU's own virtio devices",
        "vmmr differ --device net --accesses 100000 --seed 1 --target rtl",
    )
    parser.add_argument("--device", choices=("net", "blk", "rng"), default="net", help="default: net")
    parser.add_argument("--window", choices=("legacy", "modern"), default="legacy", help="default: legacy")
    parser.add_argument("--accesses", type=count, default=10_000, metavar="N", help="default: 10000")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    parser.add_argument("--target", choices=("model", "rtl"), default="model",
                        help="golden model (default), or the generated design, simulated")


def run(args: argparse.Namespace) -> int:
    """Prints how often each allowed difference was met; 1 at one that is not allowed, 2 without QEMU."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.oracle import differ, differences, modern_differ, modern_differences, qtest

    def done(number: int) -> None:
        progress(f"{number} of {args.accesses} accesses")

    try:
        if args.window == "modern":
            known = modern_differences.BY_NAME
            outcome = modern_differ.run(args.device, args.accesses, args.seed, args.target, progress=done)
        else:
            known = differences.BY_NAME
            outcome = differ.run(args.device, args.accesses, args.seed, args.target, progress=done)
    except differ.Unexplained as error:
        if args.json:
            print_json({"ok": False, "error": str(error)})
        else:
            print(f"vmmr differ: {error}", file=sys.stderr)
        return 1
    except (toolchain.ToolMissing, qtest.QtestError) as error:
        raise Refused(str(error)) from None
    met = [(name, outcome.met[name]) for name in known if outcome.met[name]]
    if args.json:
        print_json(_json(outcome, met))
        return 0
    print(f"{outcome.device}: {outcome.accesses} accesses to QEMU {outcome.qemu} and to the {outcome.target} agree, "
          f"seed {outcome.seed}; the whole state was compared {outcome.whole_state} times")
    print("allowed differences that were met:")
    for name, times in met:
        print(f"{times:8}  {name}: {known[name].applies}")
    progress(f"{outcome.accesses / outcome.seconds:.0f} accesses a second")
    return 0


def _json(outcome: Any, met: list[tuple[str, int]]) -> dict[str, Any]:
    """What the run found; nothing that would differ from run to run."""
    return {
        "ok": True, "device": outcome.device, "target": outcome.target, "seed": outcome.seed,
        "accesses": outcome.accesses, "qemu": outcome.qemu, "whole_state_compared": outcome.whole_state,
        "differences_met": dict(met),
    }

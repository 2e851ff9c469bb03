"""``vmmr test``: the benches on the user's own device file."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from .output import Refused, Subparsers, add_verb, count, print_json, progress

#: What pytest ends with if no test was chosen.
_NOTHING_CHOSEN = 5


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "test", run, "run the benches on a device file", "vmmr test dev.toml -k legacy --seed 7 --waves"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="device file")
    parser.add_argument("-k", metavar="EXPRESSION", help="only cases whose name matches, as pytest understands it")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice (default: 1)")
    parser.add_argument("--waves", action="store_true", help="record waves and say where they are")
    parser.add_argument(
        "-j", "--jobs", type=count, default=os.cpu_count() or 1, metavar="N", help="simulator runs at a time"
    )
    parser.add_argument(
        "--mutations", action="store_true", help="instead, check that faults planted in the core are found"
    )


def run(args: argparse.Namespace) -> int:
    """Runs pytest over the benches; 0 if all passed, 1 if one failed, 2 if they cannot run."""
    from virtio_mmr_sim import testplan, toolchain

    from virtio_mmr import config

    config.load(args.file)  # says what is wrong with the file before anything is built
    try:
        toolchain.verilator()
        import cocotb  # noqa: F401
        import pytest  # noqa: F401
    except (toolchain.ToolMissing, ImportError) as missing:
        raise Refused(f"the benches cannot run: {missing}; pip install 'virtio-mmr[sim]'") from None
    folder = testplan.benches()
    chosen = sorted(folder.glob("*/test_mutations.py" if args.mutations else "system/test_*.py"))
    chosen = [path for path in chosen if args.mutations or "BENCH = " in path.read_text()]
    if not chosen:
        raise Refused("this installation has no such benches; run it in a checkout")
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        wanted = [
            *(["--waves"] if args.waves else []), *(["--full"] if args.mutations else []),
            *(["-k", args.k] if args.k else []),
        ]  # fmt: skip
        command = [
            sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider",
            "--rootdir", str(folder), "-c", os.devnull, "-o", f"pythonpath={folder}", "--confcutdir", str(folder),
            "--seed", str(args.seed), "--jobs", str(args.jobs), "--device", str(args.file.resolve()),
            f"--junitxml={report}", *wanted,
            *map(str, chosen),
        ]  # fmt: skip
        progress(shlex.join(command))
        repeat = f"vmmr test {shlex.quote(str(args.file))}"
        done = subprocess.run(
            command,
            env={**os.environ, "VIRTIO_MMR_COMMAND": repeat},
            check=False,
            stdout=sys.stderr if args.json else None,
        )
        if args.json:
            print_json(_summary(report, args))
    if done.returncode == _NOTHING_CHOSEN:
        print(f"vmmr: no case matches -k {shlex.quote(args.k or '')}; leave -k out to run all", file=sys.stderr)
    return {0: 0, 1: 1}.get(done.returncode, 2)


def _summary(report: Path, args: argparse.Namespace) -> dict[str, object]:
    """What pytest's report says."""
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    results = {}
    for case in cases:
        kinds = {child.tag for child in case}
        status = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        results[str(case.get("name"))] = status
    return {
        "ok": bool(results) and "failed" not in results.values(),
        "file": str(args.file),
        "seed": args.seed,
        "passed": sum(status == "passed" for status in results.values()),
        "failed": sum(status == "failed" for status in results.values()),
        "skipped": sum(status == "skipped" for status in results.values()),
        "cases": results,
    }

"""Writes docs/proofs.md from the list of proofs: ``python -m formal.page`` with tb on the path.

Runs every proof and writes down how long it took; ``--keep`` takes the times from the page as it is and runs
what has none. A test compares the page with the list, times aside, so that it cannot fall behind.
"""

import argparse
import importlib
import re
import sys
import time
from pathlib import Path

from formal.proof import PROOFS, Proof

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proofs.md"

_HEAD = """\
# What is proved

Each row is a test in `tb/formal`; `make test-formal` runs those of stage *quick*, CI those of stage *broad* too,
`make test-full` all of them. A proof that fails prints the line that failed and where its trace is. Write one with
`virtio_mmr_sim.formal`: a `Harness` with free inputs, the contracts of our streams, `prove`.

- *induction*: holds in every state that can be reached, for ever. *bounded*: holds for so many clocks from reset; the
  blocks' queues are scaled down there, so that these clocks fill them.
- *Cover*: clocks within which every situation that the proof is about was reached. 0: another row covers it.
- What a block RAM shows when a row is read and written in one clock is *anything*, in every proof.
- Faults that are planted to see the proofs turn red are in `tb/mutation/faults.py`.

Bounded, because induction does not close without more of the blocks' inner state: the walks of the sequencer, the
stores of the completion builder and of the ingress, the order of the queue, rows of other functions, the bytes of
the device configuration, turns, the gate of many functions, and the two paths that agree about a function. The dwords
of a request are bounded there too.

Seconds are those of one run on two shared cores, proof and cover together.

"""

_TITLES = ("Claim", "Block", "Mode", "Clocks", "Cover", "Engine", "Stage", "Seconds", "Test")
_COLUMNS = f"| {' | '.join(_TITLES)} |\n{'|---' * len(_TITLES)}|\n"


def proofs() -> list[Proof]:
    """Every proof, once, by module and name."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"formal.{path.stem}")
    found = {(entry.module.rpartition(".")[2], entry.test): entry for entry in PROOFS}
    return [found[key] for key in sorted(found)]


def row(entry: Proof, seconds: str) -> str:
    """A line of the table."""
    mode = {"prove": "induction", "bmc": "bounded"}[entry.mode.value]
    test = f"`{entry.module.rpartition('.')[2]}.py::{entry.test}`"
    cells = (entry.claim, entry.block, mode, entry.depth, entry.cover, entry.engine.value, entry.stage, seconds, test)
    return f"| {' | '.join(map(str, cells))} |\n"


def page(seconds: dict[str, str]) -> str:
    """The page, with the seconds of each test."""
    return _HEAD + _COLUMNS + "".join(row(entry, seconds.get(entry.test, "")) for entry in proofs())


def recorded(text: str) -> dict[str, str]:
    """Seconds by test, from the page."""
    return {test: seconds for seconds, test in re.findall(r"\| (\d+) \| `\w+\.py::(\w+)` \|\n", text)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the recorded times; run only what has none")
    options = parser.parse_args()
    seconds = recorded(PAGE.read_text()) if options.keep and PAGE.exists() else {}
    failed = 0
    for entry in proofs():
        if entry.test in seconds:
            continue
        began = time.monotonic()
        wrong = entry.run()
        print(f"{entry.test}: {wrong or 'proved'}", file=sys.stderr, flush=True)
        failed += bool(wrong)
        if not wrong:
            seconds[entry.test] = f"{time.monotonic() - began:.0f}"
        PAGE.write_text(page(seconds))
    PAGE.write_text(page(seconds))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Every planted fault is found by the test that is named for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import MUTATIONS, PACKAGE
from virtio_mmr_sim import toolchain

TB = Path(__file__).parents[1]

by_fault = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.fault.replace(" ", "-"))


@by_fault
def test_place_of_the_fault_is_unambiguous(mutation):
    text = (PACKAGE / mutation.path).read_text()
    assert text.count(mutation.old) == 1, f"{mutation.file} must have {mutation.old!r} exactly once"


@by_fault
def test_test_that_finds_the_fault_exists(mutation):
    module, _, test = mutation.test.partition("::")
    assert f"def {test}(" in (TB / module).read_text()


def test_no_fault_is_listed_twice():
    assert len({(mutation.file, mutation.old) for mutation in MUTATIONS}) == len(MUTATIONS) >= 12


@pytest.mark.full
@by_fault
def test_fault_turns_its_test_red(mutation, tmp_path):
    toolchain.skip_or_fail("sby", "yosys", "yices-smt2", "boolector")
    copy = tmp_path / "virtio_mmr"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    place = copy / mutation.path
    place.write_text(place.read_text().replace(mutation.old, mutation.new))
    paths = [str(tmp_path), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--full", "-p", "no:cacheprovider", str(TB / mutation.test)],
        cwd=TB.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
    report = done.stdout + done.stderr
    assert done.returncode == 1, f"not found: {mutation.fault}\n{report}"
    assert "proof: FAIL" in report or "proof: UNKNOWN" in report or "cover: FAIL" in report, report

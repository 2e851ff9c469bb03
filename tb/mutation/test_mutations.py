"""Every planted fault is found by everything that is named for it in `faults.py`.

What is tested here are the tests: a fault that nobody notices is a hole in them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import virtio_mmr
from mutation.faults import FAULTS, TRAFFIC
from system.devices import DEVICES
from virtio_mmr_sim import testplan, toolchain

TB = Path(__file__).parents[1]
PACKAGE = Path(virtio_mmr.__file__).parent

#: Packets of random traffic until a fault must have been found.
PACKETS = 20_000

TOOLS = {"formal": ("sby", "yosys", "yices-smt2", "boolector"), "block": (), "system": ("verilator", "g++", "make"),
         TRAFFIC: ("verilator", "g++", "make")}

#: What the report of each says about a fault that it found, and not about one that kept it from running.
EVIDENCE = {"formal": ("proof: FAIL", "proof: UNKNOWN", "cover: FAIL"), "block": (" failed",), "system": (" failed",),
            TRAFFIC: ("seed",)}


def name(text):
    return text.replace(" ", "-")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: name(fault.effect))
def test_place_of_the_fault_is_unambiguous(fault):
    text = (PACKAGE / fault.path).read_text()
    assert text.count(fault.old) == 1, f"{fault.file} must have {fault.old!r} exactly once: update faults.py"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: name(fault.effect))
def test_somebody_is_named_and_exists(fault):
    assert fault.found_by
    for finder in fault.found_by:
        assert finder == TRAFFIC or not testplan.missing_test(f"tb/{finder}", TB.parent)


def test_no_fault_is_listed_twice():
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)


def test_every_block_on_the_way_of_an_access_has_a_fault():
    assert {fault.file for fault in FAULTS} >= {
        "tlp/ingress.py", "access/decoder.py", "access/sequencer.py", "tlp/completion.py", "windows/config.py",
        "windows/legacy.py", "windows/device.py", "state/function.py", "state/queues.py", "notify.py",
        "state/modern.py", "state/modern_queues.py", "windows/notify.py", "access/detour.py",
        "interrupt.py", "state/vectors.py", "tlp/message.py"}


def command(finder, place, device):
    """The command line that runs *finder* on the device called *device*."""
    if finder == TRAFFIC:
        file = place / "device.toml"
        file.write_text(DEVICES[device].text)
        return ["-m", "virtio_mmr.cli", "fuzz", str(file), "--tlps", str(PACKETS)]
    module, _, test = finder.partition("::")
    chosen = [str(TB / finder)]
    if module.startswith("system/"):
        chosen = [str(TB / module.replace("bench_", "test_")), "-k", f"{test} and {device}"]
    return ["-m", "pytest", "-q", "--full", "-p", "no:cacheprovider", *chosen]


def outcome(finder, place, fault=None, device="net-128"):
    """What *finder* says about a copy of the package with *fault* in it, on the fault's device."""
    kind = finder.partition("/")[0]
    toolchain.skip_or_fail(*TOOLS[kind])
    copy = place / "virtio_mmr"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if fault is not None:
        device = fault.device
        victim = copy / fault.path
        victim.write_text(victim.read_text().replace(fault.old, fault.new))
    done = subprocess.run(
        [sys.executable, *command(finder, place, device)],
        cwd=TB.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *filter(None, sys.path)])})
    report = done.stdout + done.stderr
    return done.returncode, report, any(sign in report for sign in EVIDENCE[kind])


@pytest.mark.full
@pytest.mark.parametrize(
    ("fault", "finder"),
    [pytest.param(fault, finder, id=f"{name(fault.effect)}-{finder.replace('/', '-')}")
     for fault in FAULTS for finder in fault.found_by])
def test_fault_is_found(tmp_path, fault, finder):
    code, report, found = outcome(finder, tmp_path, fault)
    assert code == 1, f"{finder} did not find that {fault.effect}\n{report}"
    assert found, f"{finder} failed for another reason\n{report}"


@pytest.mark.full
@pytest.mark.parametrize("device", sorted({fault.device for fault in FAULTS if TRAFFIC in fault.found_by}))
def test_random_traffic_finds_nothing_in_the_gateware_as_it_is(tmp_path, device):
    code, report, _ = outcome(TRAFFIC, tmp_path, device=device)
    assert code == 0, report

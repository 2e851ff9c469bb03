"""Faults of one line, planted in a copy of the gateware, must each be found by random traffic.

What is tested here are the tests: a fault that nobody notices is a hole in them.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import virtio_mmr
from system.devices import DEVICES
from virtio_mmr_sim import toolchain

PACKAGE = Path(virtio_mmr.__file__).parent

#: Packets until a fault must have been found.
PACKETS = 20_000


@dataclass(frozen=True)
class Mutation:
    """One line of the gateware and what it becomes."""

    name: str
    path: str
    old: str
    new: str


MUTATIONS = (
    Mutation("isr_keeps_what_was_read", "state/function.py",
             "m.d.comb += new.isr.eq(0)", "m.d.comb += new.isr.eq(row.isr & 2)"),
    Mutation("hidden_features_can_be_accepted", "state/function.py",
             "new.driver_features.eq(value & offered & ~hidden)", "new.driver_features.eq(value & offered)"),
    Mutation("a_kick_forgets_the_other_queues", "state/function.py",
             "new.notified.eq(row.notified | kicks)", "new.notified.eq(kicks)"),
    Mutation("causes_are_heard_behind_the_fence", "state/function.py",
             "current = (event.epoch == row.epoch) & ~row.reset_outstanding", "current = event.epoch == row.epoch"),
    Mutation("queue_interrupts_of_a_stopped_function", "state/function.py",
             "current & ~event.value[0] & (row.badstate == 0)", "current & ~event.value[0]"),
    Mutation("driver_sets_needs_reset", "state/function.py",
             "row.status[6], touch.function_status.data[7]",
             "touch.function_status.data[6], touch.function_status.data[7]"),
    Mutation("any_vector_is_taken", "state/function.py",
             "Mux(below(value, self._vectors), value, legacy.NO_VECTOR)", "value"),
    Mutation("byte_order_changes_under_a_driver", "state/function.py",
             "touch.function_big_endian.write[0] & idle", "touch.function_big_endian.write[0]"),
    Mutation("used_ring_one_page_late", "state/queues.py",
             "(page + used_pages) << shift", "(page + used_pages + 1) << shift"),
    Mutation("poison_without_data_matters", "tlp/ingress.py",
             "p.poisoned.eq(header.poisoned & with_data)", "p.poisoned.eq(header.poisoned)"),
    Mutation("requests_up_to_4_kib_are_malformed", "tlp/ingress.py",
             "reach[10] & reach[:10].any()", "reach[10]"),
    Mutation("a_closed_gate_lets_notifications_pass", "notify.py",
             "& self.may_request & row.gate & (row.badstate == 0))", "& self.may_request & (row.badstate == 0))"),
)  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_line_to_mutate_is_there_once(mutation):
    text = (PACKAGE / "gateware" / mutation.path).read_text()
    assert text.count(mutation.old) == 1, f"gateware/{mutation.path} has changed: update this list"


def fuzz(place, packets):
    """Random traffic to the gateware under *place*, in a process of its own."""
    (place / "device.toml").write_text(DEVICES["net-128"].text)
    path = os.pathsep.join([str(place), *filter(None, sys.path)])
    command = [sys.executable, "-m", "virtio_mmr.cli", "fuzz", str(place / "device.toml"), "--tlps", str(packets)]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, text=True, capture_output=True, check=False
    )


def copy(place):
    """A copy of the package, without what Python compiled."""
    for source in PACKAGE.rglob("*.py"):
        target = place / "virtio_mmr" / source.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text())


@pytest.mark.full
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_random_traffic_finds_the_fault(tmp_path, mutation):
    toolchain.skip_or_fail("verilator", "g++", "make")
    copy(tmp_path)
    victim = tmp_path / "virtio_mmr" / "gateware" / mutation.path
    victim.write_text(victim.read_text().replace(mutation.old, mutation.new))
    done = fuzz(tmp_path, PACKETS)
    assert done.returncode == 1, f"nobody noticed: {done.stdout}{done.stderr}"
    # A difference, not a build that failed.
    assert "vmmr fuzz" in done.stderr and "seed" in done.stderr, done.stderr


@pytest.mark.full
def test_random_traffic_finds_nothing_in_the_gateware_as_it_is(tmp_path):
    toolchain.skip_or_fail("verilator", "g++", "make")
    copy(tmp_path)
    done = fuzz(tmp_path, PACKETS)
    assert done.returncode == 0, done.stdout + done.stderr

"""The modern window against QEMU's: random accesses agree, and faults are found and reported."""

from collections import Counter

import pytest
from selection import full
from virtio_mmr import cli
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.model.function import FunctionModel, Queue
from virtio_mmr_sim.model.windows import CommonWindow
from virtio_mmr_sim.oracle import modern_differ, modern_differences
from virtio_mmr_sim.oracle.differ import Unexplained

DEVICES = ("net", "blk", "rng")


@pytest.fixture(scope="module", autouse=True)
def tools():
    toolchain.skip_or_fail("qemu")


@pytest.fixture(scope="module")
def met():
    """How often each difference was met, by device, in short runs."""
    return {device: modern_differ.run(device, 5000, seed=20).met for device in DEVICES}


def test_every_difference_of_the_table_is_met(met):
    everywhere = sum(met.values(), Counter())
    for difference in modern_differences.TABLE:
        assert everywhere[difference.name] > 0, difference.name
        for device in DEVICES:
            assert device == difference.kind or not difference.kind or not met[device][difference.name]


@pytest.mark.parametrize("device", ["net", *full("blk", "rng")])
def test_the_simulated_design_agrees(device):
    toolchain.skip_or_fail("verilator", "g++", "make")
    assert modern_differ.run(device, 4000, seed=21, target="rtl").whole_state == 9


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("target", ["model", "rtl"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_hundred_thousand_accesses_agree(device, target, seed):
    assert modern_differ.run(device, 100_000, seed=seed, target=target).accesses == 100_000


def forgets_the_upper_word(monkeypatch):
    monkeypatch.setattr(FunctionModel, "offered_word", lambda self, index: self.config.modern_features & 0xFFFF_FFFF)


def enables_at_once(monkeypatch):
    monkeypatch.setattr(Queue, "settable", property(lambda self: True))


def never_stores_the_device_area(monkeypatch):
    write = FunctionModel.write_address
    monkeypatch.setattr(FunctionModel, "write_address",
                        lambda self, area, address: area == "used" or write(self, area, address))


def counts_one_queue_too_few(monkeypatch):
    monkeypatch.setattr(CommonWindow, "_notify_offset", lambda self: 0)


def keeps_the_vector_of_a_reset_queue(monkeypatch):
    over = Queue.start_over

    def start_over(self):
        vector = self.vector
        over(self)
        self.vector = vector

    monkeypatch.setattr(Queue, "start_over", start_over)


@pytest.mark.parametrize("fault", [
    forgets_the_upper_word, enables_at_once, never_stores_the_device_area, counts_one_queue_too_few,
    keeps_the_vector_of_a_reset_queue], ids=lambda fault: fault.__name__)
def test_a_fault_is_found(monkeypatch, fault):
    fault(monkeypatch)
    with pytest.raises(Unexplained, match="again with: vmmr differ --window modern --device net --target model"):
        modern_differ.run("net", 20_000, seed=5)


def test_the_command_says_what_was_met(capsys):
    assert cli.main(["differ", "--window", "modern", "--device", "rng", "--accesses", "600"]) == 0
    out = capsys.readouterr().out
    assert "rng: 600 accesses to QEMU" in out and "selectors_survive_reset" in out

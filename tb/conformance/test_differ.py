"""The legacy window against QEMU's: random accesses agree, and faults are found and reported."""

import json
import random
import re
from dataclasses import replace

import pytest
from selection import broad
from virtio_mmr import cli
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle import differ, differences
from virtio_mmr_sim.oracle.qtest import Access, QtestDevice
from virtio_mmr_sim.oracle.snapshot import QemuState
from virtio_mmr_sim.oracle.stimulus import Stimulus
from virtio_mmr_sim.oracle.target import ModelTarget, device_config_like

DEVICES = ("net", "blk", "rng")

SELECT, PAGE, STATUS = 0x0E, 0x08, 0x12


@pytest.fixture(scope="module", autouse=True)
def tools():
    toolchain.skip_or_fail("qemu")


# Agreement

@pytest.fixture(scope="module")
def met():
    """How often each difference was met, by device, in short runs."""
    return {device: differ.run(device, 5000, seed=20).met for device in DEVICES}


def test_every_difference_of_the_table_is_met(met):
    for difference in differences.TABLE:
        devices = [difference.kind] if difference.kind else DEVICES
        if difference.seen is differences.Seen.RUN:
            for device in devices:
                assert met[device][difference.name] > 0, f"{difference.name} on {device}"


def test_differences_of_one_kind_are_met_on_that_kind_alone(met):
    for difference in differences.TABLE:
        for device in DEVICES:
            assert device == difference.kind or not difference.kind or not met[device][difference.name]


@pytest.mark.parametrize("device", ["blk", *broad("net", "rng")])
def test_the_simulated_design_agrees(device):
    toolchain.skip_or_fail("verilator", "g++", "make")
    assert differ.run(device, 5000, seed=21, target="rtl").whole_state == 6


@pytest.mark.full
@pytest.mark.parametrize("target", ["model", "rtl"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_hundred_thousand_accesses_agree(device, target):
    assert differ.run(device, 100_000, seed=22, target=target).accesses == 100_000


def test_runs_with_one_seed_are_equal_and_longer_ones_begin_alike():
    def steps(number):
        stimulus = Stimulus(7, queues=3, vectors=4, offered=0x79BF_8064, config_length=8)
        return [next(stimulus) for _ in range(number)]

    assert steps(500) == steps(700)[:500]
    first, second = (differ.run("rng", 1500, seed=7) for _ in range(2))
    assert first.met == second.met and first.qemu_accesses == second.qemu_accesses


# What is compared

def test_a_device_is_made_like_qemu_s():
    with QtestDevice("blk", queues=2, queue_size=64, vectors=5) as qemu:
        device = device_config_like(qemu)
        assert device.kind.name == "block"
        assert (device.queues, device.msix_vectors) == ((64, 64), 5)
        assert device.features == qemu.read(0, 4) & ~(1 << 30)
        assert device.config_image[:57] == qemu.config_bytes() and len(device.config_image) == 60


def test_qemu_s_state_can_be_taken_and_put_back():
    rng = random.Random(1)
    with QtestDevice("net") as qemu:
        state = QemuState(qemu, queues=3, writable=range(6))
        stimulus = Stimulus(3, queues=3, vectors=4, offered=0x79BF_8064, config_length=8)
        for _ in range(30):
            before = state.after([next(stimulus) for _ in range(40)])
            assert state.after() == before, "asking changes nothing"
            state.run([next(stimulus) for _ in range(rng.randrange(1, 40))])
            assert state.after(state.steps_to(before)) == replace(before, stray_vector=0xFFFF)


# Faults

class PageZeroResets(ModelTarget):
    def write(self, offset, width, value):
        super().write(offset, width, value)
        if offset == PAGE and value == 0:
            super().write(STATUS, 1, 0)


class NarrowWritesReplace(ModelTarget):
    def write(self, offset, width, value):
        super().write(offset, 4 if (offset, width) == (0x04, 1) else width, value)


class SelectKeepsTenBits(ModelTarget):
    def write(self, offset, width, value):
        super().write(offset, width, value & 0x3FF if offset == SELECT and width == 2 else value)


class MsixDoesNotMoveTheConfiguration(ModelTarget):
    def set_msix(self, enable):
        super().set_msix(False)


class ResetKeepsTheSelection(ModelTarget):
    def write(self, offset, width, value):
        selected = super().read(SELECT, 2)
        super().write(offset, width, value)
        if offset == STATUS and value & 0xFF == 0:
            super().write(SELECT, 2, selected)


class ResetKeepsQueueTwo(ModelTarget):
    def write(self, offset, width, value):
        super().write(SELECT, 2, 2) if (offset, width, value) == (STATUS, 1, 0) else None
        page = super().read(PAGE, 4)
        super().write(offset, width, value)
        if (offset, width, value) == (STATUS, 1, 0) and page:
            for step in ((SELECT, 2, 2), (PAGE, 4, page), (SELECT, 2, 0)):
                super().write(*step)


class FeaturesAreNotMasked(ModelTarget):
    def read(self, offset, width):
        value = super().read(offset, width)
        return value | 2 << 24 if (offset, width) == (0x04, 4) and value >> 24 & 1 else value


class UnalignedReadsLoseTheirLastByte(ModelTarget):
    def read(self, offset, width):
        value = super().read(offset, width)
        return value & 0xFF_FFFF if width == 4 and offset % 4 == 3 else value


FAULTS = (PageZeroResets, NarrowWritesReplace, SelectKeepsTenBits, MsixDoesNotMoveTheConfiguration,
          ResetKeepsTheSelection, ResetKeepsQueueTwo, FeaturesAreNotMasked, UnalignedReadsLoseTheirLastByte)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_can_be_seen_again(fault):
    with pytest.raises(differ.Unexplained) as error:
        differ.run("net", 20_000, seed=1, target=fault)
    text = str(error.value)
    assert len(re.findall(r"^  (?:[RW]\d+ |MSI-X )", text, re.MULTILINE)) == 10
    again = re.search(r"vmmr differ --device net --target \w+ --accesses (\d+) --seed 1", text)
    with pytest.raises(differ.Unexplained) as repeated:
        differ.run("net", int(again[1]), seed=1, target=fault)
    assert str(repeated.value) == text


def test_a_target_that_breaks_down_is_reported_with_the_seed():
    class Breaks(ModelTarget):
        def read(self, offset, width):
            if offset == STATUS:
                raise RuntimeError("out of order")
            return super().read(offset, width)

    with pytest.raises(RuntimeError, match="out of order") as error:
        differ.run("rng", 1000, seed=5, target=Breaks)
    assert "--seed 5" in error.value.__notes__[0]


# The verb

def call(*arguments):
    return cli.main(["differ", *arguments])


def test_the_verb_prints_what_was_met(capsys):
    assert call("--device", "rng", "--accesses", "2000", "--seed", "3", "--json") == 0
    printed = capsys.readouterr().out
    answer = json.loads(printed)
    assert answer["ok"] and answer["accesses"] == 2000 and answer["differences_met"]["unaligned"] > 0
    assert call("--device", "rng", "--accesses", "2000", "--seed", "3", "--json") == 0
    assert capsys.readouterr().out == printed
    assert call("--device", "rng", "--accesses", "100") == 0
    assert "rng: 100 accesses to QEMU" in capsys.readouterr().out


def test_the_verb_ends_with_1_at_a_difference_and_2_without_qemu(capsys, monkeypatch):
    monkeypatch.setitem(differ.MAKERS, "model", FeaturesAreNotMasked)
    assert call("--device", "net", "--accesses", "5000") == 1
    assert "again with: vmmr differ --device net" in capsys.readouterr().err
    assert call("--device", "net", "--accesses", "5000", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False

    def missing(name):
        raise toolchain.ToolMissing(f"{name} was not found")

    monkeypatch.setattr(toolchain, "require", missing)
    assert call("--device", "net") == 2
    assert "qemu was not found" in capsys.readouterr().err


def test_accesses_are_printed_as_they_are_read():
    assert str(Access(0x12, 1)) == "R8  0x012"
    assert str(Access(0x08, 4, 0x77)) == "W32 0x008 = 0x00000077"

"""The native model's interface, on a small endpoint that breaks rules on demand."""

import ctypes
import os
import subprocess
import sys

import pytest
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from native import planted  # noqa: E402
from virtio_mmr_sim.model import tlp  # noqa: E402
from virtio_mmr_sim.native import build  # noqa: E402
from virtio_mmr_sim.native.library import Request  # noqa: E402
from virtio_mmr_sim.native.model import NativeError, NativeModel, Unsupported  # noqa: E402

BASE = 0xF000_0000


@pytest.fixture
def model():
    with NativeModel(verilog=planted.VERILOG, interface=planted.INTERFACE, optimize=False) as running:
        yield running


def test_a_written_register_reads_back(model):
    model.write32(BASE + 8, 0x12345678)
    assert model.read32(BASE + 8) == 0x12345678
    assert model.read(BASE + 8, 4) == bytes.fromhex("78563412")


def test_a_read_of_two_dwords_crosses_two_beats(model):
    model.write(BASE + 8, bytes(range(4)))
    model.write(BASE + 12, bytes(range(4, 8)))
    assert model.read(BASE + 8, 8) == bytes(range(8))


def test_a_wrong_completion_is_noticed(model):
    """The stand-in ignores byte enables, so its byte count is wrong for one byte."""
    with pytest.raises(NativeError, match="wrong"):
        model.read32(BASE, 0b0010)


def test_a_missing_completion_is_noticed(model):
    model.hold_tx()
    with pytest.raises(NativeError, match="no completion"):
        model.read32(BASE)


def test_exchange_returns_the_completion(model):
    model.write32(BASE + 4, 5)
    request = tlp.build(tlp.memory_read(BASE + 4, 4, requester=0x1234, tag=0x56))
    assert model.exchange(request) == [(0x4A000001, 0x01000004, 0x12345604, 5)]


def test_batches_come_back_in_order_with_rising_clocks(model):
    tlps = [tlp.build(tlp.memory_write(BASE + 4 * i, bytes([i, 0, 0, 0]))) for i in range(1, 14)]
    tlps += [tlp.build(tlp.memory_read(BASE + 4 * i, 4, tag=i)) for i in range(1, 14)]
    model.randomize(3, rx_gap=0.3, tx_stall=0.4)
    received = model.send_batch(tlps)
    assert [item.dwords[3] for item in received] == list(range(1, 14))
    assert all(item.first <= item.last for item in received)
    assert [item.last for item in received] == sorted({item.last for item in received})
    assert model.violation_counts() == {}


def test_packed_requests_are_checked(model):
    accesses = (Request * 6)(*[
        Request(BASE + 4 * (1 + i % 3), 0x100 + i, 0xF, i < 3) for i in range(6)
    ])
    assert list(model.requests(accesses)) == [0, 0, 0, 0x100, 0x101, 0x102]
    accesses[4].enables = 0b0100
    with pytest.raises(NativeError, match="access 4 "):
        model.requests(accesses)


def test_sent_clocks_are_logged(model):
    model.log_sent()
    model.send_batch([tlp.build(tlp.memory_read(BASE, 4))] * 3)
    assert [number for number, _, _ in model.sent()] == [0, 1, 2]
    assert model.sent() == []


def test_an_output_stream_delivers_fields_of_any_width(model):
    for register, value in ((13, 0x13131313), (14, 0x14141414), (15, 0xCAFE0015)):
        model.write32(BASE + 4 * register, value)
    model.settle()
    [item] = model.backend.take("notification")
    assert item.fields == {
        "queue": 0x0015, "stamp": 0x14141414_CAFE0015, "wide": 0x5_13131313_14141414_CAFE0015,
    }
    assert 0 < item.clock < model.now
    assert model.backend.take("notification") == []


def test_a_stream_that_is_not_accepted_waits(model):
    model.backend.accept("notification", False)
    model.write32(BASE + 60, 1)
    model.settle()
    assert model.backend.take_all() == {}
    model.backend.accept("notification")
    model.clock(2)
    assert [name for name in model.backend.take_all()] == ["notification"]


def test_an_input_stream_reaches_the_core_after_its_delay(model):
    start = model.now
    model.backend.put("interrupt_cause", delay=20, function=0x0F, address=0x1234_5670_0000_0000)
    assert model.read32(BASE + 56) == 0
    model.settle()
    assert model.now > start + 20
    assert model.read32(BASE + 56) == 0x1234567F
    assert model.backend.waiting("interrupt_cause") == 0


def test_streams_refuse_what_they_cannot_carry(model):
    with pytest.raises(ValueError, match=r"interrupt_cause\.function = 0x100 does not fit 8 bits"):
        model.backend.put("interrupt_cause", function=0x100)
    with pytest.raises(ValueError, match="has no field colour"):
        model.backend.put("interrupt_cause", colour=1)
    with pytest.raises(ValueError, match="is an output of the core"):
        model.backend.put("notification")


def test_outputs_and_pulses_are_seen(model):
    model.write32(BASE + 60, 1)
    model.settle()
    assert model.output("count_hole") == 1
    assert model.pulses("error_fatal") == 1


def test_reset_forgets_everything_on_its_way(model):
    model.hold_tx()
    model.send(*[tlp.build(tlp.memory_read(BASE, 8))] * 4)
    model.clock(5)
    model.reset()
    model.hold_tx(False)
    model.settle()
    assert (model.take(), model.unsent, model.violation_counts()) == ([], 0, {})
    assert model.read32(BASE + 4) == 0


@pytest.mark.parametrize(("fault", "rule"), planted.FAULTS.items(), ids=list(planted.FAULTS.values()))
def test_each_rule_of_the_transmit_stream_is_watched(model, fault, rule):
    """With the fault planted its rule is reported, with the clock; without it nothing is."""
    model.randomize(1, tx_stall=0.5)
    reads = [tlp.build(tlp.memory_read(BASE + 8, 8, tag=i)) for i in range(8)]
    model.send_batch(reads)
    assert model.violations() == []
    model.write32(BASE, fault)
    start = model.now
    model.send(*reads)
    model.clock(200)
    assert rule in model.violation_counts()
    found = [violation for violation in model.violations() if violation.rule == rule]
    assert start <= found[0].clock < model.now


def test_the_link_stops_non_posted_requests_but_not_writes():
    """The core wants no more after the first read: two of slack follow, then only writes go."""
    verilog = planted.VERILOG.replace("rx_np_ok = 1", "rx_np_ok = left == 0").replace(
        "s_axis_rx_tready = left == 0 && !notify", "s_axis_rx_tready = 1")
    with NativeModel(verilog=verilog, interface=planted.INTERFACE, optimize=False) as model:
        model.np_slack(2)
        model.hold_tx()
        reads, writes = [tlp.memory_read(BASE, 4)] * 5, [tlp.memory_write(BASE, bytes(4))] * 7
        model.send(*map(tlp.build, reads + writes))
        model.clock(100)
        assert model.unsent == 2
        assert model.output("count_hole") == 7


@pytest.mark.broad
def test_two_builds_at_once_give_one_library(tmp_path, monkeypatch):
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    program = (
        "from native import planted; from virtio_mmr_sim.native import build; "
        "print(build.build(planted.VERILOG, planted.INTERFACE, optimize=False))"
    )
    builds = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    found = [process.communicate()[0].strip() for process in builds]
    assert found[0] == found[1]
    assert ctypes.CDLL(found[0]).vm_create
    left = sorted(path.name for path in (tmp_path / "native").iterdir())
    assert [name.split("-")[0] for name in left] == ["planted", "runtime"]


def test_a_failed_build_names_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    toolchain.forget()
    with pytest.raises(build.BuildError, match=r"Verilator failed: .*[Ss]yntax.*; the log is .*build\.log"):
        build.build("module planted(;", planted.INTERFACE)
    toolchain.forget()


def test_an_unsupported_request_is_an_error_of_its_own():
    verilog = planted.VERILOG.replace("16'h0100, 4'h0", "16'h0100, 4'h2").replace(
        "dw0 | 32'h4A000000", "32'h0A000000").replace("m_axis_tx_tkeep = ", "m_axis_tx_tkeep = 16'h0FFF & ")
    with NativeModel(verilog=verilog, interface=planted.INTERFACE, optimize=False) as model:
        with pytest.raises(Unsupported, match="UNSUPPORTED"):
            model.read32(BASE)
        with pytest.raises(Unsupported, match="UNSUPPORTED"):
            model.read(BASE, 4)


@pytest.mark.broad
def test_waves_are_written_on_request(tmp_path):
    waves = tmp_path / "run.vcd"
    with NativeModel(verilog=planted.VERILOG, interface=planted.INTERFACE, waves=waves, optimize=False) as model:
        model.write32(BASE, 0)
    assert "$enddefinitions" in waves.read_text()

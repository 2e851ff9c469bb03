"""A failing case says how to repeat it, and a simulator that stops is a failure whatever its exit status."""

import json

import pytest
from system.devices import DEVICES
from virtio_mmr_sim import bench, toolchain

MODULE = "system.bench_planted"
DEVICE = DEVICES["rng"]
CASES = ("reads_then_fails", "leaves_a_completion_behind", "passes")


@pytest.fixture(scope="module", params=[
    pytest.param(False, id="plain", marks=pytest.mark.broad), pytest.param(True, id="waves", marks=pytest.mark.full)])
def run(request, tmp_path_factory):
    toolchain.skip_or_fail("verilator", "g++", "make")
    output = tmp_path_factory.mktemp("planted")
    regression = bench.Regression(output, seed=5, waves=request.param, jobs=1, repeat="repeat -k {case} --seed {seed}")
    for case in CASES:
        regression.want(MODULE, DEVICE, case)
    yield regression, output / DEVICE.name / "bench_planted", request.param
    regression.close()


def failure(run, case):
    with pytest.raises(bench.BenchFailure) as failed:
        run[0].check(MODULE, DEVICE, case)
    return str(failed.value)


def test_a_failure_names_seed_command_waves_and_last_transactions(run):
    _, folder, waves = run
    text = failure(run, "reads_then_fails")
    lines = text.splitlines()
    assert "planted" in text
    assert "seed:    5" in lines
    assert "repeat:  repeat -k reads_then_fails --seed 5" in lines
    shown = lines[lines.index("last transactions:") + 1 :]
    assert len(shown) == 10 and all("endpoint" in line for line in shown)
    dump = folder / f"dump.{bench.wave_format()}"
    assert (f"waves:   {dump}" in lines) == waves
    assert dump.exists() == waves and (folder / "waves.gtkw").exists() == waves


def test_what_is_left_over_fails_the_case(run):
    assert "TLPs that came up unasked" in failure(run, "leaves_a_completion_behind")


def test_a_passing_case_passes_beside_failing_ones(run):
    assert run[0].check(MODULE, DEVICE, "passes").status == "passed"


def test_a_simulator_that_stops_with_status_0_is_a_failure(tmp_path):
    toolchain.skip_or_fail("verilator", "g++", "make")
    regression = bench.Regression(tmp_path, seed=5, waves=False, jobs=1, repeat="repeat")
    with pytest.raises(bench.BenchFailure, match="the simulator stopped before this case ended: SystemExit 0"):
        regression.check(MODULE, DEVICE, "stops_the_simulator")
    regression.close()


def test_save_file_names_ports_of_the_design(run):
    _, folder, waves = run
    if not waves:
        pytest.skip("without waves there is no save file")
    text = (folder / "waves.gtkw").read_text()
    assert "TOP.s_axis_rx_tdata[63:0]" in text and "-be_notification" in text


def test_transaction_log_is_json_lines(run):
    run[0].check(MODULE, DEVICE, "passes")
    lines = (run[1] / "transactions.jsonl").read_text().splitlines()
    assert {"case", "ns", "what"} <= json.loads(lines[0]).keys()

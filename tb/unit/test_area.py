"""Size and clock: what the tools print is read right, and the harness leaves nothing without a register."""

import json
import shutil
import subprocess

import pytest
from virtio_mmr import cli
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.area import blocks, peers, report, run
from virtio_mmr_sim.area.harness import harness

INTERFACE = {
    "module": "adder",
    "ports": [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "a", "direction": "input", "width": 3},
        {"name": "b", "direction": "input", "width": 1},
        {"name": "sum", "direction": "output", "width": 17},
        {"name": "carry", "direction": "output", "width": 1},
    ],
}

ADDER = """
module adder(input clk, input [2:0] a, input b, output reg [16:0] sum, output carry);
  assign carry = &sum & b;
  always @(posedge clk) sum <= sum + a;
endmodule
"""

UTILISATION = """
Info: Packing LUTs..
Info: Device utilisation:
Info: \t          TRELLIS_IO:       0/    365     0%
Info: \t              DP16KD:       9/    208     4%
Info: \t          TRELLIS_FF:    1200/  83640     1%
Info: \t        TRELLIS_COMB:    2723/  83640     3%
"""


def path_report(paths, clocks=1):
    return json.dumps({
        "fmax": {f"clk_{i}": {"achieved": 130.5, "constraint": 250.0} for i in range(clocks)},
        "critical_paths": paths,
    })


def step(kind, delay, net=None):
    return {"type": kind, "delay": delay} | ({"net": net} if net else {})


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    """A machine without synthesis tools, and with an empty cache."""
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(toolchain, "_locate", lambda recipe: None)
    toolchain.forget()
    yield
    toolchain.forget()


# --- The harness ----------------------------------------------------------------------------------------


def test_every_port_is_connected_to_its_own_bits():
    text = harness(INTERFACE)
    for connection in (".clk(clk)", ".a(fed[2:0])", ".b(fed[3:3])", ".sum(seen[16:0])", ".carry(seen[17:17])"):
        assert connection in text
    assert "reg [3:0] fed" in text and "wire [17:0] seen" in text


def test_outputs_are_joined_four_at_a_time_until_one_is_left():
    text = harness(INTERFACE)
    assert [f"reg [{width - 1}:0] stage_{i};" in text for i, width in enumerate((18, 5, 2, 1))] == [True] * 4
    assert "stage_1[4] <= ^stage_0[17:16];" in text, "the last group may be smaller"
    assert "assign q = stage_3;" in text


def test_a_module_without_outputs_has_no_harness():
    ports = [port for port in INTERFACE["ports"] if port["direction"] == "input"]
    with pytest.raises(ValueError, match="module adder has no inputs or no outputs"):
        harness({"module": "adder", "ports": ports})


def test_the_harness_is_clean_verilog(tmp_path):
    toolchain.skip_or_fail("verilator")
    (tmp_path / "h.v").write_text(harness(INTERFACE) + ADDER)
    command = [*toolchain.verilator(), "--lint-only", "-Wall", "-Wno-MULTITOP", "-Wno-DECLFILENAME",
               "-Wno-UNUSEDSIGNAL", "-Wno-WIDTHEXPAND", "--top-module", "harness", "h.v"]
    done = subprocess.run(command, cwd=tmp_path, env=toolchain.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- What the tools say -----------------------------------------------------------------------------------


def test_utilisation_is_read_from_the_log():
    assert run.read_utilisation(UTILISATION) == {
        "TRELLIS_IO": 0, "DP16KD": 9, "TRELLIS_FF": 1200, "TRELLIS_COMB": 2723}
    with pytest.raises(run.AreaError, match="no device utilisation"):
        run.read_utilisation("Info: Packing LUTs..")


def test_lookup_tables_of_the_other_vendor_leave_out_what_is_none():
    cells = {"LUT1": 1, "LUT2": 2, "LUT6": 40, "MUXF7": 9, "CARRY4": 5, "RAM32M": 3, "RAM64X1D": 2, "RAMB36E1": 1}
    found = run.read_xilinx("xc7", json.dumps({"design": {"num_cells_by_type": cells}}))
    assert found == run.XilinxArea("xc7", lut=43, lut_ram=5)


def test_the_path_inside_the_clock_is_the_one_that_is_read():
    paths = [
        {"from": "<async>", "to": "posedge clk_0", "path": [step("routing", 9.0, "d")]},
        {"from": "posedge clk_0", "to": "posedge clk_0", "path": [
            step("clk-to-q", 0.4),
            step("routing", 1.0, "dut.endpoint.sequencer.writing"),
            step("logic", 0.25),
            step("routing", 0.75, "dut.endpoint.state.row_TRELLIS_FF_Q_3_DI_LUT4_Z_D"),
            step("routing", 0.5, "dut.endpoint.state.row_TRELLIS_FF_Q_3_DI"),
            step("setup", 0.1),
        ]},
    ]
    routed = run.read_routed(7, path_report(paths))
    assert (routed.seed, routed.fmax, len(routed.path)) == (7, 130.5, 6)
    assert report.readable("$nextpnr_CCU2C_1$CIN") == ""
    assert report.stations(routed) == [
        (pytest.approx(1.4), "sequencer.writing"), (pytest.approx(2.9), "state.row"), (pytest.approx(3.0), "setup")]


def test_two_clocks_are_refused():
    with pytest.raises(run.AreaError, match="2 clocks"):
        run.read_routed(1, path_report([], clocks=2))


def test_the_clock_is_a_median_with_its_range():
    clock = run.Clock(tuple(run.Routed(seed, fmax, ()) for seed, fmax in enumerate((120.0, 150.0, 130.0), 1)))
    assert (clock.median, clock.slowest.seed, clock.fastest.seed) == (130.0, 1, 2)


# --- Blocks -----------------------------------------------------------------------------------------------


def cell(kind, **connections):
    """A cell whose output is Z or Q."""
    return {"type": kind, "connections": {port: [bit] for port, bit in connections.items()},
            "port_directions": {port: "output" if port in "ZQ" else "input" for port in connections}}


def test_cells_belong_to_the_block_that_drives_their_net():
    # top.feeder's register drives an input of top.taker, and the flat netlist knows it by that name only.
    modules = {
        "top": {"ports": {"in": {"direction": "input", "bits": [2]}}, "netnames": {"in": {"bits": [2]}}, "cells": {
            "feeder": {"type": "feeder", "connections": {"i": [2], "o": [3]}},
            "taker": {"type": "taker", "connections": {"i": [3]}}}},
        "feeder": {"ports": {"i": {"direction": "input", "bits": [2]}, "o": {"direction": "output", "bits": [3]}},
                   "netnames": {"i": {"bits": [2]}, "o": {"bits": [3]}}, "cells": {}},
        "taker": {"ports": {"i": {"direction": "input", "bits": [2]}},
                  "netnames": {"i": {"bits": [2]}, "\\$kept": {"bits": [3]}}, "cells": {}},
    }
    netlist = {
        "netnames": {"in": {"bits": [2]}, "taker.i": {"bits": [3]}, "taker.$kept": {"bits": [4]}},
        "cells": {
            "a": cell("LUT4", A=2, Z=10),                 # no name: goes where its result goes
            "b": cell("TRELLIS_FF", DI=10, Q=3),
            "c": cell("LUT4", A=3, Z=11),
            "d": cell("TRELLIS_FF", DI=11, Q=4),
            "taker.store.0": cell("TRELLIS_DPR16X4", DI=4, Z=12),
            "$scopeinfo": {"type": "$scopeinfo", "connections": {}, "port_directions": {}},
        },
    }
    found = {block.name: block for block in blocks.blocks(netlist, modules, "top")}
    assert found["feeder"] == blocks.Block("feeder", lut4=1, ccu2c=0, dpr16x4=0, ff=1, dp16kd=0)
    assert found["taker"] == blocks.Block("taker", lut4=1, ccu2c=0, dpr16x4=1, ff=1, dp16kd=0)
    assert set(found) == {"feeder", "taker"}


# --- Runs -------------------------------------------------------------------------------------------------


def test_a_run_is_kept_and_a_failure_is_not(monkeypatch, tmp_path):
    calls = tmp_path / "calls"
    program = tmp_path / "tool"
    program.write_text(f'#!/bin/sh\necho run >> {calls}\necho "$1"\ncat in.txt > out.txt\nexit $2\n')
    program.chmod(0o755)
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / "tools"))
    tool = toolchain.Tool("yosys", program, "1.0", "", "", (str(program),))
    monkeypatch.setattr(toolchain, "require", lambda name: tool)
    first = run.step("yosys", ("hello", "0"), {"in.txt": "one"})
    assert (first / "out.txt").read_text() == "one" and (first / "log.txt").read_text() == "hello\n"
    assert run.step("yosys", ("hello", "0"), {"in.txt": "one"}) == first
    assert run.step("yosys", ("hello", "0"), {"in.txt": "two"}) != first
    assert len(calls.read_text().split()) == 2
    for _ in range(2):
        with pytest.raises(run.AreaError, match="yosys ended with 3:\nbad luck"):
            run.step("yosys", ("bad luck", "3"), {"in.txt": "one"})
    assert len(calls.read_text().split()) == 4
    assert not list((tmp_path / "tools" / "area").glob("new-*")), "nothing half done is left"


def test_the_verb_says_what_is_missing(no_tools, capsys):
    assert cli.main(["area", "examples/rng.toml"]) == 2
    assert "yosys was not found" in capsys.readouterr().err


def test_at_least_one_seed_is_wanted_and_a_clock_that_can_be(capsys):
    assert cli.main(["area", "--seeds", "0"]) == 2
    assert "a whole number from 1 up is needed" in capsys.readouterr().err
    assert cli.main(["area", "--target", "0"]) == 2
    assert "1 to 1000 MHz" in capsys.readouterr().err


def test_a_target_clock_becomes_a_delay_in_picoseconds(monkeypatch):
    scripts = []
    monkeypatch.setattr(run, "_yosys", lambda verilog, script: scripts.append(script))
    run._synthesise("", "top", None)
    run._synthesise("", "top", 125.0)
    assert "abc9.D" not in scripts[0] and "scratchpad -set abc9.D 8000; synth_ecp5" in scripts[1]


def test_the_examples_are_found_and_the_compared_one_comes_first():
    found = [file.stem for file in cli.area.examples()]
    assert found[0] == "area-mmr" and {"net", "rng", "blk"} <= set(found)


# --- What is printed --------------------------------------------------------------------------------------

AREA = run.Area(lut4=100, ccu2c=10, dpr16x4=2, comb=140, ff=80, dp16kd=3)


def test_devices_stand_before_the_peers_and_the_scope_is_told():
    clock = run.Clock((run.Routed(1, 131.25, (run.Hop("routing", 1.0, "dut.endpoint.notify.scan"),)),))
    text = report.as_text([report.Measured("small", 64, AREA, clock)], ["yosys 1"])
    lines = text.splitlines()
    mine = next(line for line in lines if line.startswith("virtio-mmr small"))
    assert mine.split()[2:] == ["64", "100", "10", "2", "140", "80", "3", "131.2", "131.2-131.2"]
    assert lines.index(mine) < next(i for i, line in enumerate(lines) if line.startswith("verilog-pcie"))
    assert "for the shortest delay, as the other cores were" in text
    assert "mapped for 125 MHz" in report.as_text([report.Measured("small", 64, AREA)], ["yosys 1"], 125.0)
    assert peers.RECORDED in text and peers.SCOPE in text and "notify.scan" in text
    assert all(version in text for version in peers.VERSIONS.values())


def test_json_holds_what_the_table_holds():
    found = report.as_json([report.Measured("small", 64, AREA, None, (run.XilinxArea("xc7", 50, 1),))])
    assert found["devices"][0]["area"]["comb"] == 140
    assert found["devices"][0]["clock"] is None
    assert found["devices"][0]["xilinx"] == {"xc7": {"lut": 50, "lut_ram": 1}}
    assert len(found["peers"]["cores"]) == len(peers.PEERS)
    json.dumps(found)


def test_peers_were_recorded_whole():
    for peer in peers.PEERS:
        assert peer.slowest <= peer.fmax <= peer.fastest
        # Packed cells are lookup tables, two for each carry cell, LUT RAM, and two for the module's constants.
        assert peer.comb >= peer.lut4 + 2 * peer.ccu2c


@pytest.mark.full
def test_a_device_is_measured(tmp_path, monkeypatch):
    toolchain.skip_or_fail("yosys", "nextpnr-ecp5")
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    area = run.area(ADDER, "adder")
    assert area.ff == 17 and area.ccu2c >= 8 and area.comb >= area.lut4 + 2 * area.ccu2c
    clock = run.clock(ADDER, harness(INTERFACE), 2)
    assert [routed.seed for routed in clock.runs] == [1, 2]
    assert all(routed.fmax > 50 and routed.path for routed in clock.runs)
    assert run.xilinx(ADDER, "adder", "xc7").lut > 0
    parts = blocks.blocks(run.netlist(ADDER, "adder"), run.hierarchy(ADDER, "adder"), "adder")
    assert [(part.name, part.ff) for part in parts] == [("top", 17)]
    shutil.rmtree(tmp_path / "area")

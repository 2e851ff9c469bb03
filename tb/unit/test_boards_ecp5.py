"""The open flow: the top's clocks are legal, its pins are the board's, and the same sources give the same bitstream."""

import re
import subprocess
from pathlib import Path

import pytest
from virtio_mmr import config
from virtio_mmr_boards import constraints
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_boards.checks import pins
from virtio_mmr_boards.ecp5 import flow
from virtio_mmr_boards.ecp5.design import sources
from virtio_mmr_boards.ecp5.top import CLOCKS, ports
from virtio_mmr_sim import toolchain

VERSA = BOARDS["versa-ecp5-5g"]
DEVICE = Path(__file__).parents[2] / "examples" / "area-mmr.toml"


def test_clocks_are_what_the_pll_can_do():
    """ECP5 family data sheet: oscillator 400 to 800 MHz, phase detector from 10 MHz on."""
    for rate, clock in CLOCKS.items():
        assert clock.mhz == rate == 100 / clock.reference * clock.feedback
        assert 400 <= clock.oscillator <= 800
        assert 100 / clock.reference >= 10


def test_pins_are_those_of_the_top():
    assert pins.check(VERSA, constraints.find(VERSA).read_text(), ports(VERSA)) == []


@pytest.mark.full
def test_the_bitstream_meets_its_clock_and_is_the_same_each_time(tmp_path, monkeypatch):
    """Two builds, neither of which sees what the other kept."""
    toolchain.skip_or_fail("yosys", "nextpnr-ecp5", "ecppack")
    made = []
    for place in ("first", "second"):
        monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / place))
        toolchain.forget()
        design = "".join(sources(VERSA, config.load(DEVICE), 125.0).values())
        routed = flow.route(VERSA, design, constraints.find(VERSA).read_text(), 125.0, range(1, 6))
        assert routed.met, f"{routed.fmax} MHz with seed {routed.seed}"
        made.append(flow.pack(routed))
    toolchain.forget()
    assert made[0] == made[1]
    assert made[0].startswith(b"\xff\x00") and len(made[0]) > 100_000


_PLL = """
module EHXPLLL #(parameter CLKI_DIV=1, CLKFB_DIV=1, CLKOP_DIV=1, CLKOP_CPHASE=0, CLKOP_ENABLE="", FEEDBK_PATH="",
  PLLRST_ENA="", INTFB_WAKE="", STDBY_ENABLE="", DPHASE_SOURCE="")
  (input CLKI, CLKFB, RST, STDBY, ENCLKOP, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC,
   output CLKOP, output LOCK);
  assign CLKOP = CLKI;
  assign LOCK = 1'b1;
endmodule
"""

_BENCH = """
module bench;
  reg clk = 0, rst_n = 0;
  wire [7:0] led;
  board_top top (.clk100(clk), .rst_n(rst_n), .led(led));
  always #5 clk = !clk;
  initial begin
    #200 rst_n = 1;
    #60000 $display("passes %0d led %b", top.passes, led);
    $finish;
  end
endmodule
"""


@pytest.mark.full
def test_the_whole_top_goes_round_in_a_simulator(tmp_path):
    """The Verilog that is built, with a PLL that is a wire: passes are done, and the lights of faults stay dark."""
    toolchain.skip_or_fail("verilator", "g++", "make")
    for name, text in {**sources(VERSA, config.load(DEVICE), 125.0), "pll.v": _PLL, "bench.sv": _BENCH}.items():
        (tmp_path / name).write_text(text)
    command = [*toolchain.verilator(), "--binary", "-Wno-fatal", "--top-module", "bench", "bench.sv", "pll.v",
               "virtio_mmr.v", "traffic.v", "board_top.v"]
    built = subprocess.run(command, cwd=tmp_path, env=toolchain.environment(), capture_output=True, text=True,
                           check=False)
    assert built.returncode == 0, built.stderr
    said = subprocess.run([tmp_path / "obj_dir" / "Vbench"], capture_output=True, text=True, check=True).stdout
    passes, led = re.search(r"passes (\d+) led ([01]{8})", said).groups()
    # Active low, LED 0 rightmost: lit are the PLL's light and whatever the step shows; 4 and 5 are faults.
    assert int(passes) > 20
    assert (led[7], led[3], led[2]) == ("0", "1", "1")

"""The open flow: the top's clocks are legal, its pins are the board's, and the same sources give the same bitstream."""

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
module bench(input clk, input rst_n, output [31:0] passes, output [7:0] led);
  board_top top (.clk100(clk), .rst_n(rst_n), .led(led));
  assign passes = top.passes;
endmodule
"""

_MAIN = """
#include "Vbench.h"
#include "verilated.h"
#include <cstdio>
int main() {
  Vbench top;
  for (int clock = 0; clock < 6000; clock++) {
    top.rst_n = clock > 20;
    top.clk = 0; top.eval();
    top.clk = 1; top.eval();
  }
  std::printf("%u %u", top.passes, top.led);
}
"""


@pytest.mark.full
def test_the_whole_top_goes_round_in_a_simulator(tmp_path):
    """The Verilog that is built, with a PLL that is a wire: passes are done, and the lights of faults stay dark."""
    toolchain.skip_or_fail("verilator", "g++", "make")
    design = sources(VERSA, config.load(DEVICE), 125.0)
    for name, text in {**design, "pll.v": _PLL, "bench.v": _BENCH, "main.cpp": _MAIN}.items():
        (tmp_path / name).write_text(text)
    command = [*toolchain.verilator(), "--cc", "--exe", "--build", "-Wno-fatal", "--top-module", "bench", "bench.v",
               "pll.v", *design, "main.cpp"]
    built = subprocess.run(command, cwd=tmp_path, env=toolchain.environment(), capture_output=True, text=True,
                           check=False)
    assert built.returncode == 0, built.stderr
    said = subprocess.run([tmp_path / "obj_dir" / "Vbench"], capture_output=True, text=True, check=True).stdout
    passes, led = map(int, said.split())
    assert passes > 20
    # Active low: the PLL's light is on, those of a wrong and of a missing answer are off.
    assert (led & 1, led >> 4 & 1, led >> 5 & 1) == (0, 1, 1)

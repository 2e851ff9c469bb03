"""Top module for the ECP5: clock, reset, core, traffic generator and LEDs."""

from collections.abc import Mapping
from dataclasses import dataclass

from virtio_mmr_boards.board import Board
from virtio_mmr_boards.verilog import CORE, Interface, back_end, back_end_wires, instance, module, wire

TOP = "board_top"

#: Clock in MHz of the oscillator.
_OSCILLATOR = 100


@dataclass(frozen=True)
class Clock:
    """Settings of the PLL, whose voltage-controlled oscillator needs 400 to 800 MHz."""

    mhz: float
    reference: int
    feedback: int
    output: int

    @property
    def oscillator(self) -> float:
        """Frequency of the voltage-controlled oscillator in MHz."""
        return self.mhz * self.output


#: Clocks that the top can be built for, by their rate.
CLOCKS = {
    clock.mhz: clock for clock in (
        Clock(125.0, 4, 5, 5),
        Clock(100.0, 1, 1, 6),
        Clock(75.0, 4, 3, 8),
        Clock(50.0, 2, 1, 12),
    )
}


def ports(board: Board) -> Mapping[str, int | None]:
    """Ports of the top module by width; None for those without an index."""
    return {"clk100": None, "rst_n": None, "led": board.leds}


def top(board: Board, interface: Interface, mhz: float) -> str:
    """Verilog of the top module at *mhz*, one of `CLOCKS`."""
    clock = CLOCKS[mhz]
    width = interface["width"]
    streams = [(f"{side}_{name}", bits) for side in ("to_core", "from_core")
               for name, bits in (("tdata", width), ("tkeep", width // 8), ("tlast", 1), ("tvalid", 1), ("tready", 1))]
    core = {port["name"]: port["name"] if port["name"].startswith("be_") else "" for port in interface["ports"]}
    core |= {"clk": "clk", "rst": "rst"}
    for name in ("tdata", "tkeep", "tlast", "tvalid", "tready"):
        core |= {f"s_axis_rx_{name}": f"to_core_{name}", f"m_axis_tx_{name}": f"from_core_{name}"}
    traffic = {"clk": "clk", "rst": "rst", "passes": "passes", "wrong": "wrong", "silent": "silent", "step": "step"}
    for name in ("tdata", "tkeep", "tlast", "tvalid", "tready"):
        traffic |= {f"tx_{name}": f"to_core_{name}", f"rx_{name}": f"from_core_{name}"}
    lights = ["locked", "beat[25]", "passes[20]", "passes[14]", "wrong", "silent", "step[1]", "step[0]"]
    body = [
        "  wire clk, locked;",
        f"  // {_OSCILLATOR} MHz in, {clock.mhz:g} MHz out; the oscillator inside runs at {clock.oscillator:g} MHz.",
        f'  (* FREQUENCY_PIN_CLKI="{_OSCILLATOR}", FREQUENCY_PIN_CLKOP="{clock.mhz:g}" *)',
        f"  EHXPLLL #(.CLKI_DIV({clock.reference}), .CLKFB_DIV({clock.feedback}), .CLKOP_DIV({clock.output}),",
        f'    .CLKOP_ENABLE("ENABLED"), .CLKOP_CPHASE({clock.output - 1}), .FEEDBK_PATH("CLKOP"),',
        '    .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"))',
        "  pll (.CLKI(clk100), .CLKFB(clk), .CLKOP(clk), .LOCK(locked), .RST(1'b0), .STDBY(1'b0), .ENCLKOP(1'b0),",
        "    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0), .PHASELOADREG(1'b0),",
        "    .PLLWAKESYNC(1'b0));",
        "",
        "  // Reset ends in step with the clock, 255 clocks after the PLL has locked and the button is let go.",
        "  reg [7:0] held = 8'hff;",
        "  reg [1:0] ready = 2'b00;",
        "  always @(posedge clk) begin",
        "    ready <= {ready[0], locked & rst_n};",
        "    held <= ready[1] ? held - (held != 0) : 8'hff;",
        "  end",
        "  reg rst = 1'b1;",
        "  always @(posedge clk) rst <= held != 0;",
        "",
        *(wire(name, bits) for name, bits in streams),
        wire("passes", 32), wire("wrong", 1), wire("silent", 1), wire("step", 8),
        *back_end_wires(interface), "",
        *instance(CORE, "core", core), "",
        *instance("traffic", "generator", traffic), "",
        *back_end(interface), "",
        "  // PLL locked, clock, passes slow and fast; wrong answer, no answer, and the step's low bits.",
        "  reg [25:0] beat = 0;",
        "  always @(posedge clk) beat <= beat + 1;",
        f"  reg [{board.leds - 1}:0] lit = 0;",
        f"  always @(posedge clk) lit <= {{{', '.join(reversed(lights))}}};",
        f"  assign led = {'~' if board.leds_active_low else ''}lit;",
    ]
    declared = ["input wire clk100", "input wire rst_n", f"output wire [{board.leds - 1}:0] led"]
    return module(TOP, declared, body, f"{board.title}: the core beside a traffic generator. No PCIe link.")

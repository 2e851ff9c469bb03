"""Versa ECP5-5G: the target of the open tools.

The ECP5 has transceivers but no PCIe block, and no finished open stack exists for it. So this board gets the core
beside a small traffic generator in fabric: it serves area, timing and flashing practice, and is no PCIe link.
"""

from .board import Board, Configuration, Flow, Loader, Pin

BOARD = Board(
    name="versa-ecp5-5g",
    title="Lattice Versa ECP5-5G",
    flow=Flow.TRELLIS,
    part="LFE5UM5G-45F-8BG381C",
    package="lfe5um5g-45f-cabga381",
    tables=43_848,
    link=None,
    pins=(
        *(Pin(port=f"led[{number}]", site=site, standard="LVCMOS25")
          for number, site in enumerate(("E16", "D17", "D18", "E18", "F17", "F18", "E17", "F16"))),
        Pin(port="clk100", site="P3", standard="LVDS"),
        Pin(port="rst_n", site="T1", standard="LVCMOS33"),
    ),
    leds=8,
    leds_active_low=True,
    configuration=Configuration(rate=38.8, properties=(("MCCLK_FREQ", "38.8"), ("MASTER_SPI_PORT", "ENABLE"),)),
    loader=Loader(part="LFE5UM5G-45F", cable="ft2232"),
    flash="serial; which chip is not confirmed",
    confirmed=("pins of clock, reset and LEDs: amaranth-boards",),
    open_points=("JTAG of the kit as openFPGALoader's cable ft2232, past the kit's clock chip in the chain",),
)

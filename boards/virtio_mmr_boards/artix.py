"""What the Artix-7 boards with 484 balls have in common: link, pins of the M.2 cards, and how they load."""

from .board import Board, Configuration, Flow, Lane, Link, Loader, Pin

#: Lane 0 first: the cards are not wired in the transceivers' order.
M2_LANES = (
    Lane(transceiver="GTPE2_CHANNEL_X0Y6", rx=("B10", "A10"), tx=("B6", "A6")),
    Lane(transceiver="GTPE2_CHANNEL_X0Y4", rx=("B8", "A8"), tx=("B4", "A4")),
    Lane(transceiver="GTPE2_CHANNEL_X0Y5", rx=("D11", "C11"), tx=("D5", "C5")),
    Lane(transceiver="GTPE2_CHANNEL_X0Y7", rx=("D9", "C9"), tx=("D7", "C7")),
)

#: Bits of an uncompressed bitstream: UG470, table "bitstream length".
BITS = {"xc7a35t": 17_536_096, "xc7a100t": 30_606_304, "xc7a200t": 77_845_216}

#: Lookup tables: DS180, four for each slice.
TABLES = {"xc7a35t": 20_800, "xc7a100t": 63_400, "xc7a200t": 134_600}

REFERENCE = (Pin(port="pcie_refclk_p", site="F6"), Pin(port="pcie_refclk_n", site="E6"))


def configuration(rate: int, bits: int) -> Configuration:
    """Four wires, compressed, at *rate* MHz, from flash at 3.3 V."""
    return Configuration(rate=rate, bits=bits, properties=(
        ("CFGBVS", "VCCO"),
        ("CONFIG_VOLTAGE", "3.3"),
        ("BITSTREAM.GENERAL.COMPRESS", "TRUE"),
        ("BITSTREAM.CONFIG.SPI_BUSWIDTH", "4"),
        ("BITSTREAM.CONFIG.SPI_FALL_EDGE", "YES"),
        ("BITSTREAM.CONFIG.CONFIGRATE", str(rate)),
    ))


def m2_card(name: str, title: str, part: str, speed: str, *, open_points: tuple[str, ...] = ()) -> Board:
    """A card of the NiteFury family: the same pins, different dice."""
    die = part.partition("f")[0]
    package = part.removeprefix(die)
    return Board(
        name=name,
        title=title,
        flow=Flow.VIVADO,
        part=f"{part}-{speed}",
        package=f"{die}-{package}",
        tables=TABLES[die],
        link=Link(
            ip="pcie_7x", generation=2, lanes=M2_LANES, width=128, clock=125, block="X0Y0",
            reset=Pin(port="pcie_reset_n", site="J1", standard="LVCMOS33", pull="up"), reference=REFERENCE,
        ),
        pins=(
            *(Pin(port=f"led[{number}]", site=site, standard="LVCMOS33")
              for number, site in enumerate(("G3", "H3", "G4", "H4"))),
            Pin(port="pcie_clkreq_n", site="G1", standard="LVCMOS33"),
        ),
        leds=4,
        leds_active_low=False,
        configuration=configuration(33, BITS[die]),
        loader=Loader(part=part, bridge=f"spiOverJtag_{part}.bit.gz"),
        flash="S25FL256S, 32 MiB, four wires",
        confirmed=(
            "pins of link, reset, reference clock and LEDs: the maker's constraints, LiteX and amaranth-boards agree",
            "lane order 0 to 3 on transceivers X0Y6, X0Y4, X0Y5, X0Y7: the maker's constraints",
            "flash on four wires with the falling edge: the maker's constraints",
        ),
        open_points=(
            "configuration at 33 MHz: LiteX uses 16, the maker's design an oscillator on the card",
            "polarity of the LEDs",
            *open_points,
        ),
    )

"""What the boards with a Kintex UltraScale+ 5P in 676 balls have in common."""

from .board import Configuration, Lane
from .packages import PACKAGES

#: Lookup tables of the 5P: DS890.
TABLES = 216_960

_TRANSCEIVERS = PACKAGES["xcku5p-ffvb676"].lanes


def lanes(first: int, count: int) -> tuple[Lane, ...]:
    """*count* lanes, lane 0 on transceiver X0Y*first* and the others below it."""
    return tuple(_TRANSCEIVERS[f"GTYE4_CHANNEL_X0Y{first - number}"] for number in range(count))


def configuration(rate: float) -> Configuration:
    """Four wires, compressed, at *rate* MHz, from flash at 1.8 V."""
    return Configuration(rate=rate, properties=(
        ("CFGBVS", "GND"),
        ("CONFIG_VOLTAGE", "1.8"),
        ("CONFIG_MODE", "SPIx4"),
        ("BITSTREAM.GENERAL.COMPRESS", "TRUE"),
        ("BITSTREAM.CONFIG.SPI_BUSWIDTH", "4"),
        ("BITSTREAM.CONFIG.SPI_FALL_EDGE", "YES"),
        ("BITSTREAM.CONFIG.CONFIGRATE", str(rate)),
    ))

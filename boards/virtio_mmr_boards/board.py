"""What is known of a board, as data: part, pins, link, bitstream settings, and how it is flashed.

One module of this package describes one board; `virtio_mmr_boards.catalogue` lists them. No board and no vendor
tool was at hand when these were written, so each fact has a source, and what no source says is an open point.
"""

import enum
from dataclasses import dataclass


class BoardError(ValueError):
    """A board or a device for it that cannot be; the text says what, the rule and the cure."""


class Flow(enum.Enum):
    """Tools that make the bitstream."""

    VIVADO = "vivado"
    TRELLIS = "trellis"


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A port of the top module on a package pin."""

    port: str
    site: str
    #: I/O standard; empty for transceiver pins, which have none.
    standard: str = ""
    #: "up", or empty for none.
    pull: str = ""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """Pins of one lane of the link, and the transceiver that they belong to."""

    transceiver: str
    rx: tuple[str, str]
    tx: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Link:
    """The PCIe link and the hard block's streams behind it."""

    #: IP core: "pcie_7x", "pcie4_uscale_plus" or "pcie4c_uscale_plus".
    ip: str
    #: 2 is 5 GT/s a lane, 3 is 8 GT/s.
    generation: int
    #: Lane 0 first, which is seldom the transceivers' order.
    lanes: tuple[Lane, ...]
    #: Bits of the streams.
    width: int
    #: User clock in MHz.
    clock: float
    #: Place of the hard block.
    block: str
    reset: Pin
    #: Reference clock of 100 MHz, positive and negative side.
    reference: tuple[Pin, Pin]
    #: Transceiver quad that the IP names, where it wants one.
    quad: str = ""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """How the FPGA loads itself from flash: the link must be ready 100 ms after power is good."""

    #: Properties of the design, in the order in which they are written.
    properties: tuple[tuple[str, str], ...]
    #: Clock of the flash in MHz; 0 if an oscillator on the board gives it.
    rate: float
    #: Bits of an uncompressed bitstream; 0 if no source at hand says.
    bits: int = 0

    @property
    def milliseconds(self) -> float:
        """Time to load an uncompressed bitstream over four wires; 0 if it is not known."""
        return self.bits / (4e3 * self.rate) if self.bits and self.rate else 0.0


@dataclass(frozen=True, kw_only=True)
class Loader:
    """What openFPGALoader is told."""

    #: Part with package, as the bridge bitstream's name has it.
    part: str
    #: The cable on the board; empty if the user must name theirs.
    cable: str = ""
    #: Bridge bitstream that gets at the flash through JTAG; empty where none is needed.
    bridge: str = ""
    #: What is in the way, if anything.
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board."""

    name: str
    title: str
    flow: Flow
    #: As the tool spells it, speed grade and all.
    part: str
    #: Key of `virtio_mmr_boards.packages.PACKAGES`.
    package: str
    #: Lookup tables of the part, as its data sheet counts them.
    tables: int
    #: Absent: the board has no PCIe block that a bitstream could use.
    link: Link | None
    #: Pins beside the link: LEDs first.
    pins: tuple[Pin, ...]
    #: LEDs among `pins`, and whether a 0 lights them.
    leds: int
    leds_active_low: bool
    configuration: Configuration
    loader: Loader
    #: Flash chip.
    flash: str
    #: Facts that a published, working design of somebody else shows.
    confirmed: tuple[str, ...]
    #: What the first person with the board must find out.
    open_points: tuple[str, ...]

    @property
    def constraints(self) -> str:
        """Name of its constraint file."""
        return f"{self.name}.{'xdc' if self.flow is Flow.VIVADO else 'lpf'}"

    def all_pins(self) -> tuple[Pin, ...]:
        """Every pin that the top module has, in the order of the constraint file."""
        found: list[Pin] = []
        if self.link is not None:
            found += [self.link.reset, *self.link.reference]
            for number, lane in enumerate(self.link.lanes):
                for direction, pair in (("rx", lane.rx), ("tx", lane.tx)):
                    found += [Pin(port=f"pcie_{direction}_{side}[{number}]", site=site)
                              for side, site in zip("pn", pair, strict=True)]
        return (*found, *self.pins)

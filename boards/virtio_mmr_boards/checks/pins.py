"""Constraint files against the top module and the package.

Every port has one pin that the package has, no pin has two ports, each pin of fabric has an I/O standard, no pin of
a transceiver has one, and both directions of a lane belong to one transceiver, in the order that the board names. Where
the IP is told a quad, it is that of lane 0.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from virtio_mmr_boards.board import Board, Flow
from virtio_mmr_boards.packages import PACKAGES

_XDC_PIN = re.compile(r"^set_property (PACKAGE_PIN|IOSTANDARD) (\S+) \[get_ports \{?([^\s}]+?)\}?\]$")
_XDC_OTHER = re.compile(
    r"^(set_property [\w.]+ \S+ \[current_design\]"
    r"|set_property PULLTYPE PULL(UP|DOWN) \[get_ports \{?(?P<pulled>[^\s}]+?)\}?\]"
    r"|create_clock -period [\d.]+ -name \w+ \[get_ports (?P<clock>\w+)\]"
    r"|set_false_path -(from|to) \[get_ports \{?(?P<path>[^\s}]+?)\}?\])$")
_LPF_PIN = re.compile(r'^LOCATE COMP "([^"]+)" SITE "([^"]+)";$')
_LPF_STANDARD = re.compile(r'^IOBUF PORT "([^"]+)" IO_TYPE=(\w+);$')
_LPF_OTHER = re.compile(r'^(SYSCONFIG( \w+=[\w.]+)+|FREQUENCY PORT "\w+" [\d.]+ MHZ);$')


@dataclass(frozen=True)
class Located:
    """What a constraint file says: pins and standards by port, ports named in other lines, lines not understood."""

    pins: tuple[tuple[str, str], ...]
    standards: Mapping[str, str]
    mentioned: tuple[str, ...]
    strange: tuple[str, ...]


def read(text: str, flow: Flow) -> Located:
    """The pins of a constraint file."""
    pins: list[tuple[str, str]] = []
    standards: dict[str, str] = {}
    mentioned: list[str] = []
    strange: list[str] = []
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if flow is Flow.VIVADO:
            if found := _XDC_PIN.match(line):
                if found[1] == "PACKAGE_PIN":
                    pins.append((found[3], found[2]))
                else:
                    standards[found[3]] = found[2]
            elif other := _XDC_OTHER.match(line):
                mentioned += [name for name in (other["pulled"], other["clock"], other["path"]) if name]
            else:
                strange.append(line)
        elif found := _LPF_PIN.match(line):
            pins.append((found[1], found[2]))
        elif found := _LPF_STANDARD.match(line):
            standards[found[1]] = found[2]
        elif not _LPF_OTHER.match(line):
            strange.append(line)
    return Located(tuple(pins), standards, tuple(mentioned), tuple(strange))


def port_bits(ports: Mapping[str, int | None]) -> set[str]:
    """Names of single pins of the top module's *ports*, by width; None is a port without an index."""
    return {bit for name, width in ports.items()
            for bit in ([name] if width is None else [f"{name}[{index}]" for index in range(width)])}


def check(board: Board, text: str, ports: Mapping[str, int | None]) -> list[str]:
    """What is wrong with constraint file *text* for a top module with these *ports*."""
    found = read(text, board.flow)
    package = PACKAGES[board.package]
    bits = port_bits(ports)
    sites = dict(found.pins)
    wrong = [f"line not understood: {line}" for line in found.strange]
    wrong += _twice("port", (port for port, _ in found.pins)) + _twice("pin", (site for _, site in found.pins))
    wrong += [f"port {port} is not in the top module" for port in sorted({*sites, *found.standards} - bits)]
    wrong += [f"port {port} of the top module has no pin" for port in sorted(bits - set(sites))]
    wrong += [f"port {port} is not in the top module" for port in found.mentioned
              if port not in bits and port.removesuffix("[*]") not in ports]
    serial = package.serial()
    for port, site in found.pins:
        if not package.has(site):
            wrong.append(f"pin {site} of port {port} is not in package {board.package}")
        elif site in serial and port in found.standards:
            wrong.append(f"port {port} is on transceiver pin {site}, which has no I/O standard")
        elif site not in serial and port not in found.standards:
            wrong.append(f"port {port} on pin {site} has no I/O standard")
    return wrong + (_lanes(board, sites) if board.link else [])


def _twice(what: str, names: Iterable[str]) -> list[str]:
    return [f"{what} {name} is used {count} times" for name, count in Counter(names).items() if count > 1]


def _lanes(board: Board, sites: Mapping[str, str]) -> list[str]:
    """Lanes whose pins are not those of their transceiver, a quad without lane 0, a reference clock on other pins."""
    assert board.link is not None
    package = PACKAGES[board.package]
    wrong = []
    for number, lane in enumerate(board.link.lanes):
        known = package.lanes.get(lane.transceiver)
        for direction in ("rx", "tx"):
            pair = tuple(sites.get(f"pcie_{direction}_{side}[{number}]", "nothing") for side in "pn")
            if known is None or pair != getattr(known, direction):
                wrong.append(f"lane {number} {direction} on {' '.join(pair)} is not {lane.transceiver}")
    first = board.link.lanes[0].transceiver
    if board.link.quad and board.link.quad != package.quad(first):
        wrong.append(f"the IP is told {board.link.quad}, and lane 0 on {first} is in {package.quad(first)}")
    reference = (sites.get("pcie_refclk_p", "nothing"), sites.get("pcie_refclk_n", "nothing"))
    if reference not in package.references:
        wrong.append(f"reference clock on {' '.join(reference)}, which is no reference pair of {board.package}")
    return wrong

"""What is known of an IP core, as data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Port:
    """A port, its direction as seen from the IP."""

    name: str
    direction: str
    width: int = 1
    #: A port of one bit that is declared as a vector all the same.
    vector: bool = False

    @property
    def declaration(self) -> str:
        """As Verilog declares it."""
        bits = f" [{self.width - 1}:0]" if self.width > 1 or self.vector else ""
        return f"{self.direction}{bits} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Ip:
    """An IP core with one choice of link."""

    name: str
    #: Name of the instance's module: ``create_ip -module_name``.
    module: str
    ports: tuple[Port, ...]
    #: Every parameter that `create_ip` is known to take, without the leading "CONFIG.".
    parameters: frozenset[str]
    #: What the IP's inputs are tied to unless the design drives them: a Verilog constant, or an IP output.
    ties: Mapping[str, str]
    #: Clock and reset that it hands to the design, and whether a 1 resets.
    clock: str
    reset: str

    def port(self, name: str) -> Port | None:
        """The port called *name*, if there is one."""
        return next((port for port in self.ports if port.name == name), None)

    def black_box(self) -> str:
        """Verilog of a module with the same ports and nothing inside."""
        ports = ",\n  ".join(port.declaration for port in self.ports)
        return f"(* blackbox *)\nmodule {self.module}(\n  {ports}\n);\nendmodule\n"


def table(text: str, **widths: int) -> tuple[Port, ...]:
    """Ports from lines like ``out tdata[DATA] valid``; a name in brackets is looked up in *widths*."""
    ports = []
    for line in text.strip().splitlines():
        direction, *names = line.split()
        for name in names:
            plain, bracket, size = name.rstrip("]").partition("[")
            width = (widths[size] if size in widths else int(size)) if bracket else 1
            ports.append(Port(plain, {"in": "input", "out": "output"}[direction], width, vector=bool(bracket)))
    return tuple(ports)

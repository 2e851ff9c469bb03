"""Top module: reference clock, IP core, endpoint core, back end and LEDs, joined by the names of their ports."""

from collections.abc import Mapping, Sequence

from virtio_mmr_boards.board import Board, BoardError
from virtio_mmr_boards.ip.core import Ip, Port
from virtio_mmr_boards.verilog import CORE, Interface, back_end, back_end_wires, instance, module, wire

TOP = "board_top"

#: Inputs of the core that no port of the IP can feed. Without extended tags 32 reads of DMA are in flight, which is
#: always allowed; whether software has enabled more is in a register that the IP does not show.
_CHOSEN = {"extended_tag": "1'b0"}

_CLOCKS = {"pcie_7x": ("IBUFDS_GTE2", {"O": "sys_clk", "ODIV2": ""})}
_CLOCKS_OTHER = ("IBUFDS_GTE4", {"O": "sys_clk_gt", "ODIV2": "sys_clk"})


def ports(board: Board) -> Mapping[str, int | None]:
    """Ports of the top module by width; None for those without an index."""
    found: dict[str, int | None] = {}
    for pin in board.all_pins():
        plain, bracket, index = pin.port.rstrip("]").partition("[")
        found[plain] = max(found.get(plain) or 0, int(index) + 1) if bracket else None
    return found


def joined(ip: Ip, interface: Interface, tied: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What each port of the IP, and each of the core, is connected to, by port.

    Raises
    ------
    BoardError
        If ports of one name do not fit, or an input has no source.
    """
    core = {port["name"]: port for port in interface["ports"] if not port["name"].startswith("be_")}
    of_ip: dict[str, str] = {}
    for port in ip.ports:
        mate = core.get(port.name)
        if mate is not None:
            _check(port, mate)
        if mate is not None or port.direction == "output":
            of_ip[port.name] = port.name
        elif port.name in tied:
            of_ip[port.name] = _sized(tied[port.name], port)
        else:
            raise BoardError(f"input {port.name} of {ip.name} has no source: neither the core nor a constant drives it")
    own = {"clk": ip.clock, "rst": "rst", **_CHOSEN}
    of_core = {}
    for name, port in core.items():
        mate_port = ip.port(name)
        if name in own:
            of_core[name] = own[name]
        elif mate_port is not None:
            of_core[name] = name
        elif port["direction"] == "output":
            of_core[name] = ""
        else:
            raise BoardError(f"input {name} of the core is no port of {ip.name}; "
                             f'write datapath.adapter = "{ip.name}" in the device file')
    return of_ip, of_core


def _check(port: Port, mate: Mapping[str, object]) -> None:
    if mate["direction"] == port.direction:
        raise BoardError(f"port {port.name} is an {port.direction} of the core and of the IP")
    if mate["width"] != port.width:
        raise BoardError(f"port {port.name} has {mate['width']} bits at the core and {port.width} at the IP")


def _sized(value: str, port: Port) -> str:
    return f"{port.width}'d{value}" if value.isdecimal() else value


def top(board: Board, ip: Ip, interface: Interface, serial: int) -> str:
    """Verilog of the top module."""
    assert board.link is not None
    lanes = len(board.link.lanes)
    outside = {f"pci_exp_{direction}{side}": f"pcie_{direction}_{side}" for direction in ("rx", "tx") for side in "pn"}
    reset = "sys_rst_n" if ip.port("sys_rst_n") else "sys_reset"
    clocks = [port.name for port in ip.ports if port.name.startswith("sys_clk")]
    tied = {**ip.ties, **outside, **{name: name for name in clocks}, reset: "pcie_reset_n",
            "cfg_dsn": f"64'h{serial:016x}"}
    of_ip, of_core = joined(ip, interface, tied)
    of_ip |= outside
    buffer, made = _CLOCKS.get(ip.name, _CLOCKS_OTHER)
    shared = [port for port in ip.ports if of_ip[port.name] == port.name and port.name not in clocks]
    body = [
        "  wire " + ", ".join(clocks) + ";",
        *instance(buffer, "reference", {"I": "pcie_refclk_p", "IB": "pcie_refclk_n", "CEB": "1'b0", **made}), "",
        *(wire(port.name, port.width) for port in shared), *back_end_wires(interface), "",
        "  // The core rests while the link is down.",
        "  reg rst;",
        f"  always @(posedge {ip.clock}) rst <= {ip.reset} | ~user_lnk_up;", "",
        *instance(ip.module, "endpoint_block", of_ip), "",
        *instance(CORE, "core", {**of_core, **{port["name"]: port["name"] for port in interface["ports"]
                                               if port["name"].startswith("be_")}}), "",
        *back_end(interface), "",
        *_lights(board, ip),
    ]
    extra = [pin.port for pin in board.pins if not pin.port.startswith("led[")]
    body += [f"  assign {name} = 1'b0;" for name in extra]
    declared = [
        "input wire pcie_reset_n", "input wire pcie_refclk_p", "input wire pcie_refclk_n",
        *(f"input wire [{lanes - 1}:0] pcie_rx_{side}" for side in "pn"),
        *(f"output wire [{lanes - 1}:0] pcie_tx_{side}" for side in "pn"),
        *([f"output wire [{board.leds - 1}:0] led"] if board.leds else []),
        *(f"output wire {name}" for name in extra),
    ]
    return module(TOP, declared, body, f"{board.title}: {ip.name}, the core, and the least back end.")


def _lights(board: Board, ip: Ip) -> Sequence[str]:
    if not board.leds:
        return []
    shown = ["user_lnk_up", "beat[25]", *["1'b0"] * (board.leds - 2)][:board.leds]
    return [
        "  // Link up, and the user clock.",
        "  reg [25:0] beat;",
        f"  always @(posedge {ip.clock}) beat <= {ip.reset} ? 26'd0 : beat + 26'd1;",
        f"  assign led = {'~' if board.leds_active_low else ''}{{{', '.join(reversed(shown))}}};",
    ]

"""Pieces of Verilog that every top module has: the core's wires, its instance, and the least back end."""

from collections.abc import Mapping, Sequence
from typing import Any

Interface = Mapping[str, Any]

CORE = "virtio_mmr"


def wire(name: str, width: int) -> str:
    """Declaration of a wire."""
    return f"  wire {f'[{width - 1}:0] ' if width > 1 else ''}{name};"


def instance(module: str, name: str, connections: Mapping[str, str]) -> list[str]:
    """Lines of an instance with named connections; an empty expression leaves a port open."""
    lines = [f"    .{port}({value})" for port, value in connections.items()]
    return [f"  {module} {name} (", ",\n".join(lines), "  );"]


def back_end(interface: Interface) -> list[str]:
    """Assignments that stand for the device behind the core: they take everything and answer each reset.

    This is where your device goes.
    """
    ports = {port["name"]: port for port in interface["ports"]}
    lines = ["  // The least back end: it takes everything, answers each reset and asks for nothing. Put yours here."]
    for name, port in ports.items():
        if not name.startswith("be_") or port["direction"] != "input":
            continue
        if name == "be_reset_request_ready":
            value = "be_reset_done_ready"
        elif name.startswith("be_reset_done_"):
            value = name.replace("reset_done", "reset_request")
        elif name.endswith("_ready"):
            value = "1'b1"
        else:
            value = f"{port['width']}'d0"
        lines.append(f"  assign {name} = {value};")
    return lines


def back_end_wires(interface: Interface) -> list[str]:
    """Wires for every back-end port of the core, called as the port is."""
    return [wire(port["name"], port["width"]) for port in interface["ports"] if port["name"].startswith("be_")]


def module(name: str, ports: Sequence[str], body: Sequence[str], comment: str) -> str:
    """A module with these port declarations."""
    declared = ",\n  ".join(ports)
    return "\n".join([f"// {comment}", "`default_nettype none", f"module {name} (\n  {declared}\n);", *body,
                      "endmodule", "`default_nettype wire", ""])

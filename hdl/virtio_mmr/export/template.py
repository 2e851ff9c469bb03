"""A Verilog instance of the generated module, to copy and to connect."""

from collections.abc import Mapping, Sequence
from typing import Any


def instance_template(interface: Mapping[str, Any]) -> str:
    """Verilog text with one wire and one connection for each port of ``interface.json``."""
    module = interface["module"]
    ports: Sequence[Mapping[str, Any]] = interface["ports"]
    width = max(len(port["name"]) for port in ports)
    declarations = [
        f"wire {_range(port['width']):<9} {port['name']};{_comment(port)}" for port in ports if port["name"] != "clk"
    ]
    connections = [f"    .{port['name']:<{width}} ({port['name']})" for port in ports]
    return (
        f"// Connects {module}: copy it into your design and drive the inputs.\n"
        "// Inputs and outputs are named as seen from the core.\n\n"
        + "\n".join(declarations)
        + f"\n\n{module} {module}_0 (\n"
        + ",\n".join(connections)
        + "\n);\n"
    )


def _range(width: int) -> str:
    return f"[{width - 1}:0]" if width > 1 else ""


def _comment(port: Mapping[str, Any]) -> str:
    text = f"{port['direction']}; {port['doc']}" if port.get("doc") else port["direction"]
    return f"  // {' '.join(text.split())}"

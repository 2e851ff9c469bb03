"""A module between registers: what a place and route run needs to tell how fast its clock may be.

Every input comes from one shift register, every output goes into a register and from there, four at a
time, through registered exclusive ors to one pin. So no path is lost to optimisation, none is without a
clock, and three pins are enough.
"""

from collections.abc import Mapping
from typing import Any

#: Name of the module around the design.
TOP = "harness"

#: Outputs that one exclusive or joins: the inputs of a lookup table.
_JOINED = 4


def harness(interface: Mapping[str, Any]) -> str:
    """Verilog of the harness; *interface* describes the design's ports as ``interface.json`` does."""
    inputs, outputs = _ports(interface, "input"), _ports(interface, "output")
    if not inputs or not outputs:
        raise ValueError(f"module {interface['module']} has no inputs or no outputs to put registers at")
    fed, seen = sum(inputs.values()), sum(outputs.values())
    connections = ["    .clk(clk)", *_connections(inputs, "fed"), *_connections(outputs, "seen")]
    feed = f"fed <= {{fed[{fed - 2}:0], d}};" if fed > 1 else "fed <= d;"
    lines = [
        f"module {TOP}(input clk, input d, output q);",
        f"  reg [{fed - 1}:0] fed;",
        f"  wire [{seen - 1}:0] seen;",
        f"  {interface['module']} dut(",
        ",\n".join(connections),
        "  );",
        f"  reg [{seen - 1}:0] stage_0;",
        "  always @(posedge clk) begin",
        f"    {feed}",
        "    stage_0 <= seen;",
        "  end",
    ]
    width, stage = seen, 0
    while width > 1:
        narrower = -(-width // _JOINED)
        lines += [f"  reg [{narrower - 1}:0] stage_{stage + 1};", "  always @(posedge clk) begin"]
        for i in range(narrower):
            top = min(_JOINED * (i + 1), width) - 1
            lines.append(f"    stage_{stage + 1}[{i}] <= ^stage_{stage}[{top}:{_JOINED * i}];")
        lines.append("  end")
        width, stage = narrower, stage + 1
    return "\n".join([*lines, f"  assign q = stage_{stage};", "endmodule", ""])


def _ports(interface: Mapping[str, Any], direction: str) -> dict[str, int]:
    """Widths of the ports of one direction by name, without the clock."""
    return {
        port["name"]: port["width"]
        for port in interface["ports"]
        if port["direction"] == direction and port["name"] != "clk"
    }


def _connections(ports: Mapping[str, int], vector: str) -> list[str]:
    """One line for each port, which takes the next bits of *vector*."""
    lines, position = [], 0
    for name, width in ports.items():
        lines.append(f"    .{name}({vector}[{position + width - 1}:{position}])")
        position += width
    return lines

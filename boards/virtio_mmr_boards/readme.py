"""README of a project: what it is, how to build it, how it gets onto the board, and what nobody has tried."""

from .board import Board, Flow


def readme(board: Board) -> str:
    """Text of the project's README."""
    lines = [f"# virtio-mmr on {board.title}", ""]
    if board.flow is Flow.VIVADO:
        lines += [
            f"Part {board.part}. Build it, in this folder, with Vivado; no version of it has been tried:", "",
            "    vivado -mode batch -source build.tcl", "",
            f"That makes {board.name}.bit, utilization.txt and timing.txt; it ends with an error if timing is not met.",
            "", "| File | What |", "|---|---|",
            "| `virtio_mmr.v` | the core |",
            "| `board_top.v` | IP, core, the least back end; **put your device there** |",
            "| `ip.tcl` | IP parameters that the board decides |",
            "| `ip_config.tcl` | IP parameters that the device file decides |",
            "| `placement.tcl` | transceivers by lane, run before `opt_design` |",
            f"| `{board.constraints}` | pins, reference clock, bitstream settings |",
            "| `project.tcl`, `build.tcl` | make the project; go on to the bitstream |",
        ]
    else:
        lines += [
            f"Part {board.part}. The core beside a traffic generator in fabric: **no PCIe link**, as this FPGA has no",
            "PCIe block. `vmmr board build` runs yosys, nextpnr and ecppack by itself; by hand:", "",
            "    yosys -p 'read_verilog -sv virtio_mmr.v traffic.v board_top.v; "
            "synth_ecp5 -top board_top -json net.json'",
            f"    nextpnr-ecp5 --um5g-45k --speed 8 --package CABGA381 --json net.json --lpf {board.constraints} "
            "--textcfg placed.cfg",
            f"    ecppack --compress --freq 38.8 placed.cfg {board.name}.bit", "",
            "LEDs 0 to 7: PLL locked; clock; passes, slow and fast; wrong answer; no answer; two bits of the step.",
        ]
    load = board.configuration.milliseconds
    lines += ["", "Flash it, and hear how to make the host look again:", "",
              f"    vmmr board flash {board.name} --file {board.name}.bit", ""]
    if board.link is not None:
        speed = (f"At {board.configuration.rate:g} MHz over four wires an uncompressed bitstream takes {load:.0f} ms; "
                 "compression saves what the design leaves empty." if load else
                 "How long the bitstream takes to load is to be measured.")
        lines += ["The link must be ready 100 ms after power is good. " + speed, ""]
    lines += ["Nothing here has run on hardware.", "", "## Shown by somebody's working design", "",
              *(f"- {fact}" for fact in board.confirmed), "", "## To be found out", "",
              *(f"- {point}" for point in board.open_points), ""]
    return "\n".join(lines)

"""The Tcl of a project."""

from collections.abc import Mapping

from virtio_mmr.config import DeviceConfig

from virtio_mmr_boards.board import Board, Link
from virtio_mmr_boards.ip.core import Ip

from .settings import Settings, of_device, of_link
from .top import TOP


def _set(ip: Ip, settings: Settings) -> str:
    lines = [f"  CONFIG.{name} {{{value}}} \\" for name, value in settings.items()]
    return "\n".join(["set_property -dict [list \\", *lines, f"] [get_ips {ip.module}]", ""])


def scripts(board: Board, ip: Ip, device: DeviceConfig) -> Mapping[str, str]:
    """Text of every Tcl file by name.

    ``project.tcl`` makes the project from the others, ``build.tcl`` goes on to the bitstream.
    """
    assert board.link is not None
    return {
        "ip.tcl": _ip(board.link, ip),
        "ip_config.tcl": "# What the device file decides: ids, BARs, interrupts, windows of configuration space.\n"
                         + _set(ip, of_device(board.link, device)),
        "placement.tcl": _placement(board.link),
        "project.tcl": _project(board, ip),
        "build.tcl": _build(board),
    }


def _ip(link: Link, ip: Ip) -> str:
    return "\n".join([
        "# What the board decides: the link and which ports there are.",
        f"create_ip -name {ip.name} -vendor xilinx.com -library ip -module_name {ip.module}",
        _set(ip, of_link(link)),
    ])


def _placement(link: Link) -> str:
    """Transceivers by lane, where the IP's own constraints would put them elsewhere."""
    if link.ip != "pcie_7x":
        return ("# The quad that the IP is told places lane 0, and the others below it. Not tried: compare the sites\n"
                "# of the implemented design with these, lane 0 first.\n"
                f"# {' '.join(lane.transceiver for lane in link.lanes)}\n")
    sites = " ".join(lane.transceiver for lane in link.lanes)
    return "\n".join([
        "# The IP's own constraints take the default transceivers; this board's lanes are wired otherwise.",
        f"set sites [list {sites}]",
        "reset_property LOC [get_cells -hierarchical -filter {NAME =~ *gtp_common.gtpe2_common_i}]",
        "reset_property LOC [get_cells -hierarchical -filter {NAME =~ *bram36_tdp_bl*}]",
        "set lanes [lsort -dictionary [get_cells -hierarchical -filter {NAME =~ *gtp_channel.gtpe2_channel_i}]]",
        "if {[llength $lanes] != [llength $sites]} {",
        '  error "the IP has [llength $lanes] transceivers, and the board [llength $sites] lanes"',
        "}",
        "reset_property LOC $lanes",
        "foreach lane $lanes site $sites {",
        "  set_property LOC $site $lane",
        "}",
        "",
    ])


def _project(board: Board, ip: Ip) -> str:
    return "\n".join([
        f"# {board.title}",
        f"create_project -force vivado vivado -part {board.part}",
        f"add_files [list virtio_mmr.v {TOP}.v]",
        f"add_files -fileset constrs_1 {board.constraints}",
        "source ip.tcl",
        "source ip_config.tcl",
        f"generate_target all [get_ips {ip.module}]",
        f"set_property top {TOP} [current_fileset]",
        "# Placement must come behind the IP's constraints.",
        "set_property STEPS.OPT_DESIGN.TCL.PRE [file normalize placement.tcl] [get_runs impl_1]",
        "update_compile_order -fileset sources_1",
        "",
    ])


def _build(board: Board) -> str:
    return "\n".join([
        "source project.tcl",
        "launch_runs impl_1 -to_step write_bitstream",
        "wait_on_run impl_1",
        'if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {',
        '  error "implementation did not end; see vivado/vivado.runs/impl_1/runme.log"',
        "}",
        "open_run impl_1",
        "report_utilization -file utilization.txt",
        "report_timing_summary -file timing.txt",
        "set slack [get_property STATS.WNS [get_runs impl_1]]",
        f"file copy -force vivado/vivado.runs/impl_1/{TOP}.bit {board.name}.bit",
        'if {$slack < 0} {',
        '  error "timing is not met by [expr {-$slack}] ns; see timing.txt"',
        "}",
        f'puts "{board.name}.bit is ready"',
        "",
    ])

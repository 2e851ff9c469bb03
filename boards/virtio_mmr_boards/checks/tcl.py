"""Scripts run in a Tcl interpreter in which the vendor tool's commands are stand-ins.

A command that is no stand-in is an error, and so are a parameter that the IP does not have, another property or cell
than published designs name, a file that is not there, another IP than the board's and a number of transceivers that is
not the number of lanes. Scripts that Vivado would refuse for their values are not found.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from virtio_mmr_boards.board import Board, BoardError
from virtio_mmr_boards.ip.choose import ip_of

#: Commands of Vivado that the scripts and constraints use, and what their stand-ins give.
_STUBS = """
proc say {kind args} { puts stdout [join [concat [list $kind] $args] "\\t"] }
foreach name {create_project set_false_path create_clock generate_target launch_runs wait_on_run open_run
    report_utilization report_timing_summary update_compile_order} {
  proc $name args {}
}
foreach name {current_design current_fileset} { proc $name args "return $name" }
proc get_ports args { return [lindex $args end] }
proc get_runs args { return [lindex $args end] }
proc get_ips name { say ips $name; return $name }
proc get_cells args {
  say cells [lindex $args end]
  if {[string match "*channel*" $args]} {
    set found {}
    for {set i 0} {$i < $::lanes} {incr i} { lappend found "pipe_lane\\[$i\\]" }
    return $found
  }
  return [list common]
}
proc get_property {name object} {
  say read $name
  return [expr {$name eq "PROGRESS" ? "100%" : "0.1"}]
}
proc add_files args { foreach name [lindex $args end] { say file $name } }
proc create_ip args {
  foreach {option value} $args { if {$option in {-name -module_name}} { say create $option $value } }
}
proc set_property args {
  if {[lindex $args 0] eq "-dict"} {
    foreach {name value} [lindex $args 1] { say property $name $value }
  } else {
    say property [lindex $args 0] [lindex $args 1]
  }
}
proc reset_property {name args} { say property $name }
rename source tcl_source
proc source name { say file $name; tcl_source $name }
rename file tcl_file
proc file {what args} { if {$what eq "copy"} { return } ; tcl_file $what {*}$args }
proc unknown args { error "unknown command [lindex $args 0]" }
"""

#: Properties that are set, beside the IP's parameters, and those that are read.
_SET = frozenset("""
CFGBVS CONFIG_VOLTAGE CONFIG_MODE BITSTREAM.GENERAL.COMPRESS BITSTREAM.CONFIG.SPI_BUSWIDTH
BITSTREAM.CONFIG.SPI_FALL_EDGE BITSTREAM.CONFIG.CONFIGRATE PACKAGE_PIN IOSTANDARD PULLTYPE LOC top
STEPS.OPT_DESIGN.TCL.PRE
""".split())
_READ = frozenset(("PROGRESS", "STATS.WNS"))

#: Cells of the 7-series IP by the ends of their names, as published designs have them: what holds the quad's PLL, the
#: transceivers, and the block RAMs of the buffers.
_CELLS = frozenset(f"NAME =~ {name}" for name in (
    "*gtp_common.gtpe2_common_i", "*gtp_channel.gtpe2_channel_i", "*bram36_tdp_bl*"))

#: Runs a script where there is no tclsh: Python's own Tcl, which needs no display.
_TKINTER = (
    "import sys, tkinter\n"
    "tcl = tkinter.Tcl()\n"
    "try:\n    tcl.evalfile(sys.argv[1])\n"
    "except tkinter.TclError as error:\n    sys.exit(tcl.eval('set ::errorInfo'))\n")


def interpreter() -> list[str]:
    """Command that runs a Tcl file.

    Raises
    ------
    BoardError
        If there is none.
    """
    if program := shutil.which("tclsh") or shutil.which("tclsh8.6"):
        return [program]
    if importlib.util.find_spec("_tkinter"):
        return [sys.executable, "-c", _TKINTER]
    raise BoardError("scripts are checked in a Tcl interpreter, and there is neither tclsh nor Python's tkinter; "
                     "install your system's tcl or python3-tk package")


def check(board: Board, files: Mapping[str, str]) -> list[str]:
    """What is wrong with the scripts among *files*, a board's project."""
    assert board.link is not None
    ip = ip_of(board.link)
    wrong: list[str] = []
    seen_ip: dict[str, str] = {}
    for line in _run(board, files, wrong):
        kind, *rest = line.split("\t")
        if kind == "file" and rest[0] not in files:
            wrong.append(f"file {rest[0]} is not in the project")
        elif kind == "create":
            seen_ip[rest[0]] = rest[1]
        elif kind == "ips" and rest[0] != ip.module:
            wrong.append(f"get_ips {rest[0]}: the project's IP is called {ip.module}")
        elif kind == "property" and rest[0].startswith("CONFIG."):
            name = rest[0].removeprefix("CONFIG.")
            if name not in ip.parameters:
                wrong.append(f"parameter {name} is not known of {ip.name}")
        elif kind == "property" and rest[0] not in _SET:
            wrong.append(f"property {rest[0]} is not among those that projects set")
        elif kind == "read" and rest[0] not in _READ:
            wrong.append(f"property {rest[0]} is not among those that projects read")
        elif kind == "cells" and rest[0] not in _CELLS:
            wrong.append(f"no cell of the IP is known by {rest[0]}")
    if not wrong and seen_ip != {"-name": ip.name, "-module_name": ip.module}:
        wrong.append(f"create_ip makes {' '.join(seen_ip.values()) or 'nothing'}; the board has {ip.name}")
    return wrong


def _run(board: Board, files: Mapping[str, str], wrong: list[str]) -> list[str]:
    """Lines that the stand-ins print, with *wrong* told of every error."""
    assert board.link is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        lines = []
        for script in ("build.tcl", "placement.tcl", board.constraints):
            run = folder / "run_stubbed.tcl"
            run.write_text(f"set lanes {len(board.link.lanes)}\n{_STUBS}\ntcl_source {script}\n", encoding="utf-8")
            done = subprocess.run([*interpreter(), run.name], cwd=folder, capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL)
            if done.returncode:
                wrong.append(f"{script}: {next(iter(done.stderr.strip().splitlines()), 'failed without a word')}")
            lines += [line for line in done.stdout.splitlines() if "\t" in line]
    return lines

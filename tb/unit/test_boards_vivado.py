"""Vivado projects: IP parameters follow the device file, every piece joins, and the checks find what is planted."""

import re
import shutil
import subprocess
import sys

import pytest
from unit.board_projects import DISTINCT, changed, files, interface
from virtio_mmr import config
from virtio_mmr_boards.board import BoardError
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_boards.checks import netlist, pins, tcl
from virtio_mmr_boards.fit import fitted
from virtio_mmr_boards.ip.choose import ip_of
from virtio_mmr_boards.vivado import settings, top
from virtio_mmr_sim import toolchain

LINKED = [name for name, board in BOARDS.items() if board.link]
EACH = pytest.mark.parametrize("name", LINKED)

SRIOV = '''
[device]
kind = "net"
serial = 0x0123456789abcdef
[vf]
count = 9
msix_vectors = 5
'''

TWO_BARS = '''
[device]
kind = "rng"
identity = "legacy-io"
[interrupts]
intx = true
msix_vectors = 0
[bars.0]
kind = "io"
regions = [{ space = "legacy", offset = 0, size = 64 }]
[bars.2]
kind = "memory64"
prefetchable = true
size = 0x100000
regions = [{ space = "control", offset = 0, size = 0x1000 }]
'''


def device_settings(name, text):
    return settings.of_device(BOARDS[name].link, fitted(BOARDS[name], config.loads(text))[0])


# --- What the device file decides ---------------------------------------------------------------------------------


def test_series7_parameters_of_the_default_network_device():
    """Worked out by hand from the device file's defaults: three vectors in a table at 0x4000 of BAR 0, 32 KiB."""
    found = device_settings("nitefury-ii", '[device]\nkind = "net"\n')
    assert found.items() >= {
        "Vendor_ID": "1AF4", "Device_ID": "10F9", "Subsystem_Vendor_ID": "1AF4", "Subsystem_ID": "0001",
        "Class_Code_Base": "02", "Class_Code_Sub": "00", "Class_Code_Interface": "00",
        "Bar0_Enabled": "true", "Bar0_Type": "Memory", "Bar0_64bit": "true", "Bar0_Scale": "Kilobytes",
        "Bar0_Size": "32", "Bar2_Enabled": "false", "Bar5_Enabled": "false",
        "MSI_Enabled": "false", "MSIx_Enabled": "true", "MSIx_Table_Size": "3", "MSIx_Table_Offset": "4000",
        "MSIx_PBA_Offset": "4800", "MSIx_Table_BIR": "BAR_1:0", "IntX_Generation": "false",
        "Legacy_Interrupt": "NONE", "Max_Payload_Size": "128_bytes",
        "PCI_CFG_Space": "true", "PCI_CFG_Space_Addr": "2A", "EXT_PCI_CFG_Space": "true",
        "EXT_PCI_CFG_Space_Addr": "043",
    }.items()
    assert "Bar1_Enabled" not in found, "the upper half of BAR 0"


def test_io_and_prefetchable_bars():
    found = device_settings("pcie-squirrel", TWO_BARS)
    assert found.items() >= {
        "Bar0_Type": "IO", "Bar0_Scale": "Bytes", "Bar0_Size": "64", "Bar1_Enabled": "false",
        "Bar2_Type": "Memory", "Bar2_64bit": "true", "Bar2_Prefetchable": "true", "Bar2_Scale": "Megabytes",
        "Bar2_Size": "1", "MSIx_Enabled": "false", "IntX_Generation": "true", "Legacy_Interrupt": "INTA",
        "Device_Port_Type": "Legacy_PCI_Express_Endpoint_device", "Device_ID": "1005", "Class_Code_Base": "00",
        "Class_Code_Sub": "FF",
    }.items()
    assert "Bar0_64bit" not in found and "Bar3_Enabled" not in found and "MSIx_Table_Size" not in found


def test_an_io_bar_makes_a_legacy_endpoint_of_ultrascale_too():
    """PG213: "I/O BARs are only enabled for a Legacy PCI Express Endpoint"."""
    found = device_settings("kcu116", TWO_BARS)
    assert (found["pf0_bar0_type"], found["DEVICE_PORT_TYPE"]) == ("IO", "Legacy_PCI_Express_Endpoint_device")
    assert "DEVICE_PORT_TYPE" not in device_settings("kcu116", '[device]\nkind = "net"\n')


def test_ultrascale_parameters_of_a_device_with_virtual_functions():
    found = device_settings("kcu116", SRIOV)
    assert found.items() >= {
        "vendor_id": "1AF4", "PF0_DEVICE_ID": "10F9", "PF0_CLASS_CODE": "020000", "pf0_bar0_size": "32",
        "PF0_MSIX_CAP_TABLE_SIZE": "002", "PF0_MSIX_CAP_TABLE_BIR": "BAR_1:0", "PF0_MSIX_CAP_PBA_OFFSET": "00004800",
        "MSI_X_OPTIONS": "MSI-X_External", "legacy_ext_pcie_cfg_space_enabled": "true",
        "SRIOV_CAP_ENABLE": "true", "SRIOV_FIRST_VF_OFFSET": "4", "PF0_SRIOV_CAP_INITIAL_VF": "9",
        "PF0_SRIOV_VF_DEVICE_ID": "10F9", "pf0_ari_enabled": "true",
        "pf0_sriov_bar2_enabled": "true", "pf0_sriov_bar2_64bit": "true", "pf0_sriov_bar0_enabled": "false",
        "VFG0_MSIX_CAP_TABLE_SIZE": "004", "VFG0_MSIX_CAP_TABLE_BIR": "BAR_3:2",
    }.items()
    alone = device_settings("kcu116", '[device]\nkind = "net"\n')
    assert alone["SRIOV_CAP_ENABLE"] == "false"
    assert not [name for name in alone if "VFG" in name or name.startswith("PF0_SRIOV")]


def test_virtual_functions_may_be_alone_with_msix():
    """Where tables and messages come from is one choice of the IP for all functions."""
    found = device_settings("kcu116", SRIOV + "[interrupts]\nmsix_vectors = 0\n")
    assert found.items() >= {"pf0_msix_enabled": "false", "MSI_X_OPTIONS": "MSI-X_External", "msix_type": "SOFT",
                             "VFG0_MSIX_CAP_TABLE_SIZE": "004"}.items()
    assert "PF0_MSIX_CAP_TABLE_SIZE" not in found
    none = device_settings("kcu116", SRIOV.replace("msix_vectors = 5", "msix_vectors = 0")
                           + "[interrupts]\nmsix_vectors = 0\n")
    assert not [name for name in none if "MSI_X" in name or "MSIX" in name or name == "msix_type"]


@pytest.mark.parametrize(("size", "said"), [
    (128, (128, "Bytes")), (4096, (4, "Kilobytes")), (512 << 10, (512, "Kilobytes")), (1 << 20, (1, "Megabytes")),
    (8 << 30, (8, "Gigabytes"))])
def test_sizes_as_the_ip_spells_them(size, said):
    assert settings.size_and_scale(size) == said


@EACH
def test_link_and_device_share_no_parameter(name):
    """Each has one source."""
    link = settings.of_link(BOARDS[name].link)
    text = SRIOV if "ku" in name else TWO_BARS
    assert not set(link) & set(device_settings(name, text))
    assert {*link, *device_settings(name, text)} <= ip_of(BOARDS[name].link).parameters


# --- Every board ------------------------------------------------------------------------------------------------


@EACH
def test_scripts_run_and_every_parameter_is_known(name):
    assert tcl.check(BOARDS[name], files(name)) == []


def test_lanes_that_nothing_moves_are_listed():
    last = files("rk-xcku5p-f")["placement.tcl"].splitlines()[-1]
    assert last == "# " + " ".join(f"GTYE4_CHANNEL_X0Y{y}" for y in (3, 2, 1, 0))


def test_scripts_run_in_python_s_own_tcl(monkeypatch):
    pytest.importorskip("_tkinter", reason="Python has no tkinter here")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert tcl.interpreter()[0] == sys.executable
    assert tcl.check(BOARDS["kcu116"], files("kcu116")) == []
    wrong = tcl.check(BOARDS["kcu116"], changed("kcu116", "build.tcl", "wait_on_run", "wait_for_run"))
    assert wrong == ["build.tcl: unknown command wait_for_run"]


def test_without_any_tcl_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(tcl.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BoardError, match="neither tclsh nor Python's tkinter; install your system's tcl"):
        tcl.check(BOARDS["kcu116"], files("kcu116"))


@EACH
def test_top_has_the_ports_of_the_constraints(name):
    text = files(name)["board_top.v"]
    declared = {
        port: int(bits) + 1 if bits else None
        for bits, port in re.findall(r"^  (?:input|output) wire (?:\[(\d+):0\] )?(\w+)", text, re.MULTILINE)}
    assert declared == top.ports(BOARDS[name])
    assert pins.check(BOARDS[name], files(name)[BOARDS[name].constraints], declared) == []


@EACH
def test_every_input_of_the_ip_is_connected(name):
    """An open input would be a constant that nobody chose."""
    ip = ip_of(BOARDS[name].link)
    block = files(name)["board_top.v"].partition(f"{ip.module} endpoint_block")[2].partition(");\n")[0]
    connected = dict(re.findall(r"\.(\w+)\(([^)]*)\)", block))
    assert set(connected) == {port.name for port in ip.ports}
    assert all(connected[port.name] for port in ip.ports if port.direction == "input")
    assert connected.get("cfg_dsn") == "64'h0000000000001234"


def test_ports_that_do_not_fit_are_refused():
    name = "kcu116"
    ip = ip_of(BOARDS[name].link)

    def refused(change):
        found = interface(name)
        change(found["ports"])
        with pytest.raises(BoardError) as error:
            top.top(BOARDS[name], ip, found, 0)
        return str(error.value)

    def port(ports, called):
        return next(port for port in ports if port["name"] == called)

    assert refused(lambda ports: port(ports, "s_axis_cc_tuser").update(width=81)) == (
        "port s_axis_cc_tuser has 81 bits at the core and 33 at the IP")
    assert refused(lambda ports: port(ports, "s_axis_cc_tuser").update(direction="input")) == (
        "port s_axis_cc_tuser is an input of the core and of the IP")
    assert refused(lambda ports: ports.append({"name": "s_axis_rx_tdata", "direction": "input", "width": 128})) == (
        'input s_axis_rx_tdata of the core is no port of pcie4_uscale_plus; write datapath.adapter = '
        '"pcie4_uscale_plus" in the device file')
    assert "input s_axis_cc_tlast of pcie4_uscale_plus has no source" in refused(
        lambda ports: ports.remove(port(ports, "s_axis_cc_tlast")))


# --- Planted faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), [
    ("nitefury-ii", "ip_config.tcl", "EXT_PCI_CFG_Space_Addr", "EXT_PCI_CFG_SpaceAddr",
     "parameter EXT_PCI_CFG_SpaceAddr is not known of pcie_7x"),
    ("kcu116", "ip.tcl", "CONFIG.axisten_if_width", "CONFIG.axisten_width",
     "parameter axisten_width is not known of pcie4_uscale_plus"),
    ("kcu116", "ip.tcl", "-name pcie4_uscale_plus", "-name pcie4c_uscale_plus",
     "create_ip makes pcie4c_uscale_plus pcie4_uscale_plus_0; the board has pcie4_uscale_plus"),
    ("kcu116", "ip_config.tcl", "[get_ips pcie4_uscale_plus_0]", "[get_ips pcie]",
     "get_ips pcie: the project's IP is called pcie4_uscale_plus_0"),
    ("kcu116", "project.tcl", "add_files [list virtio_mmr.v", "add_files [list core.v",
     "file core.v is not in the project"),
    ("nitefury-ii", "placement.tcl", " GTPE2_CHANNEL_X0Y7", "",
     "placement.tcl: the IP has 4 transceivers, and the board 3 lanes"),
    ("nitefury-ii", "placement.tcl", "reset_property", "reset_properties",
     "placement.tcl: unknown command reset_properties"),
    ("nitefury-ii", "placement.tcl", "*gtp_channel.gtpe2_channel_i", "*gtp_channel.gtpe2_i",
     "no cell of the IP is known by NAME =~ *gtp_channel.gtpe2_i"),
    ("nitefury-ii", "placement.tcl", "  set_property LOC", "  set_property LOCK",
     "property LOCK is not among those that projects set"),
    ("nitefury-ii", "placement.tcl", "reset_property LOC $lanes", "reset_property LOCK $lanes",
     "property LOCK is not among those that projects set"),
    ("nitefury-ii", "nitefury-ii.xdc", "BITSTREAM.CONFIG.SPI_BUSWIDTH", "BITSTREAM.CONFIG.SPI_BUS_WIDTH",
     "property BITSTREAM.CONFIG.SPI_BUS_WIDTH is not among those that projects set"),
    ("kcu116", "project.tcl", "STEPS.OPT_DESIGN.TCL.PRE", "STEPS.OPT_DESIGN.PRE",
     "property STEPS.OPT_DESIGN.PRE is not among those that projects set"),
    ("kcu116", "build.tcl", "STATS.WNS", "STATS.SLACK", "property STATS.SLACK is not among those that projects read"),
    ("nitefury-ii", "nitefury-ii.xdc", "create_clock", "create_clok", "nitefury-ii.xdc: unknown command create_clok"),
])
def test_planted_script_fault_is_found(name, file, old, new, said):
    assert said in tcl.check(BOARDS[name], changed(name, file, old, new))


@pytest.mark.parametrize(("name", "old", "new", "said"), [
    ("pcie-squirrel", ".cfg_mgmt_di(32'd0)", ".cfg_mgmt_data(32'd0)", "cfg_mgmt_data"),
    ("pcie-squirrel", "wire [63:0] m_axis_rx_tdata", "wire [127:0] m_axis_rx_tdata", "Resizing cell port"),
    ("pcie-squirrel", "input wire [0:0] pcie_rx_p", "input wire [3:0] pcie_rx_p", "Resizing cell port"),
    ("rk-xcku5p-f", "IBUFDS_GTE4 reference", "IBUFDS_GTE5X reference", "IBUFDS_GTE5X"),
])
def test_planted_port_fault_is_found(name, old, new, said):
    toolchain.skip_or_fail("yosys")
    [sentence] = netlist.check(BOARDS[name], changed(name, "board_top.v", old, new))
    assert said in sentence and "ERROR" in sentence


# --- A second opinion --------------------------------------------------------------------------------------------

_PRIMITIVES = """
(* blackbox *) module IBUFDS_GTE2(input I, input IB, input CEB, output O, output ODIV2); endmodule
(* blackbox *) module IBUFDS_GTE4(input I, input IB, input CEB, output O, output ODIV2); endmodule
"""


def lint(folder, name, project):
    """What Verilator says of the top module beside empty modules for all that it names."""
    empty = ip_of(BOARDS[name].link).black_box() + project["virtio_mmr.v"] + _PRIMITIVES
    (folder / "empty.v").write_text(empty)
    (folder / "top.v").write_text(project["board_top.v"])
    (folder / "quiet.vlt").write_text('`verilator_config\nlint_off -file "*/empty.v"\nlint_off -file "empty.v"\n')
    command = [*toolchain.verilator(), "--lint-only", "-Wall", "-Wno-UNUSEDSIGNAL", "-Wno-DECLFILENAME",
               "-Wno-PINCONNECTEMPTY", "--top-module", "board_top", "quiet.vlt", "empty.v", "top.v"]
    done = subprocess.run(command, cwd=folder, env=toolchain.environment(), capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.parametrize("name", DISTINCT)
def test_verilator_has_nothing_against_the_top(name, tmp_path):
    toolchain.skip_or_fail("verilator")
    assert lint(tmp_path, name, files(name)) == ""


def test_verilator_sees_a_wrong_width(tmp_path):
    toolchain.skip_or_fail("verilator")
    wrong = changed("kcu116", "board_top.v", "wire [255:0] m_axis_cq_tdata", "wire [127:0] m_axis_cq_tdata")
    assert "WIDTH" in lint(tmp_path, "kcu116", wrong)

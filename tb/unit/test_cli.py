"""The command line: what each verb prints, its exit codes, and that it never shows a traceback."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import virtio_mmr.gateware
from virtio_mmr import cli
from virtio_mmr.cli import doctor
from virtio_mmr.config import load, loads
from virtio_mmr.export.lspci_dump import dump
from virtio_mmr.layout import place

EXAMPLES = Path(__file__).parents[2] / "examples"
NET = EXAMPLES / "net.toml"

OUTPUTS = [
    "config_space.txt",
    "device.json",
    "interface.json",
    "manifest.json",
    "registers.md",
    "virtio_mmr.core",
    "virtio_mmr.h",
    "virtio_mmr.rdl",
    "virtio_mmr.v",
    "virtio_mmr.vlt",
    "virtio_mmr_template.v",
]


@pytest.fixture
def vmmr(capsys):
    """Runs the command; gives exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def shell(monkeypatch):
    """A stand-in for the gateware, so that these tests need no synthesis."""
    ports = [{"name": "clk", "direction": "input", "width": 1, "doc": "Clock."}]
    generated = SimpleNamespace(
        verilog="module virtio_mmr(input clk);\nendmodule\n",
        interface={"module": "virtio_mmr", "width": 128, "ports": ports, "streams": []},
    )
    module = ModuleType("virtio_mmr.gateware.shell")
    module.generate = lambda config: generated
    monkeypatch.setitem(sys.modules, "virtio_mmr.gateware.shell", module)
    monkeypatch.setattr(virtio_mmr.gateware, "shell", module, raising=False)


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text('[device]\nkind = "net"\n[datapath]\nwidth = 100\n')
    return path


def test_every_verb_explains_itself(vmmr):
    for verb in cli.VERBS:
        name = verb.__name__.rpartition(".")[2]
        code, out, _ = vmmr(name, "--help")
        assert code == 0
        assert out.startswith(f"usage: vmmr {name}")
        assert "--json" in out


def test_version(vmmr):
    assert vmmr("--version") == (0, "vmmr 0.1.0\n", "")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check"], ["check", "--jso", NET], ["new", "fax"]])
def test_wrong_usage_ends_with_2(vmmr, arguments):
    code, out, err = vmmr(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: vmmr")


@pytest.mark.parametrize("verb", ["check", "generate", "inspect"])
def test_missing_file_ends_with_2(vmmr, verb):
    code, out, err = vmmr(verb, "nowhere.toml")
    assert (code, out) == (2, "")
    assert err == (
        "vmmr: nowhere.toml: cannot be read (No such file or directory); "
        "give the path of a device file; `vmmr new net` writes one\n"
    )


@pytest.mark.parametrize("verb", ["check", "generate", "inspect"])
def test_mistake_in_the_file_ends_with_1_and_its_message(vmmr, broken, verb):
    assert vmmr(verb, broken) == (
        1,
        "",
        f"vmmr: {broken}: datapath.width = 100: must be 64, 128, 256 or 512; write width = 128\n",
    )


def test_mistake_in_json(vmmr, broken):
    code, out, err = vmmr("check", "--json", broken)
    assert (code, err) == (1, "")
    assert json.loads(out) == {
        "ok": False,
        "error": {
            "file": str(broken),
            "path": "datapath.width",
            "value": "100",
            "rule": "must be 64, 128, 256 or 512",
            "cure": "write width = 128",
        },
    }


def test_file_with_control_characters_gets_a_message(vmmr, tmp_path):
    path = tmp_path / "strange.toml"
    path.write_bytes(b"\0\1\2")
    code, out, err = vmmr("check", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"vmmr: {path}: is not valid TOML")


def test_new_prints_a_file_that_passes(vmmr):
    code, out, _ = vmmr("new", "net")
    assert code == 0
    assert loads(out) == load(NET)


def test_new_writes_a_file_and_does_not_write_over_it(vmmr, tmp_path):
    path = tmp_path / "mine.toml"
    assert vmmr("new", "block", "-i", "legacy-io", "-o", path) == (0, f"wrote {path}; next: vmmr check {path}\n", "")
    assert load(path) == load(EXAMPLES / "blk-io.toml")
    assert vmmr("new", "net", "-o", path) == (2, "", f"vmmr: {path} is there already; give another name, or --force\n")
    assert vmmr("new", "net", "-o", path, "--force", "--json") == (
        0,
        json.dumps({"ok": True, "file": str(path)}, indent=2) + "\n",
        "",
    )
    assert load(path) == load(NET)


def test_new_in_json(vmmr):
    code, out, _ = vmmr("new", "rng", "--json")
    assert code == 0
    assert loads(json.loads(out)["text"]).kind.name == "rng"


def test_new_makes_the_folder(vmmr, tmp_path):
    path = tmp_path / "missing" / "mine.toml"
    assert vmmr("new", "net", "-o", path) == (0, f"wrote {path}; next: vmmr check {path}\n", "")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_pass_without_remarks(vmmr, path):
    code, out, err = vmmr("check", path)
    assert (code, err) == (0, "")
    assert out.endswith("\nok\n")
    # More virtual functions than three bits can name need a port with ARI, which is worth saying of any device.
    virtual = load(path).vf
    assert ("second look" in out) == (virtual is not None and virtual.count > 7)


def test_check_prints_map_and_capabilities(vmmr):
    _, out, _ = vmmr("check", NET)
    lines = out.splitlines()
    assert lines[0] == "virtio net, identity mmr: 1af4:10f9, class 020000"
    assert "features  NET_MAC NET_STATUS ANY_LAYOUT" in lines
    assert "  0  memory64, 32 KiB" in lines
    assert "     0x01000    0x1000  control" in lines
    assert "  0x110   28 bytes  extended  mmr_vsec" in lines
    assert "Left out" not in lines
    assert "  AER and error messages: errors set status bits and pulse the error outputs." in lines


def test_check_says_what_was_left_out_and_why(vmmr):
    _, out, _ = vmmr("check", EXAMPLES / "blk-io.toml")
    assert "Left out\n  mmr_vsec: needs a legacy region in a memory BAR to point at\n" in out


def test_check_prints_remarks(vmmr, tmp_path):
    path = tmp_path / "dev.toml"
    path.write_text('[device]\nkind = "net"\n[queues]\nsizes = [8, 8, 8]\n')
    code, out, _ = vmmr("check", path)
    assert code == 0
    assert (
        "Worth a second look\n  queues.sizes: drivers use 2 (a receive and a transmit queue); 3 are built.\n"
    ) in out


def test_check_prints_the_completed_file(vmmr):
    _, out, _ = vmmr("check", "--completed", EXAMPLES / "area-mmr.toml")
    assert loads(out) == load(EXAMPLES / "area-mmr.toml")
    assert "check_byte_enables = true" in out


def test_check_in_json(vmmr):
    code, out, _ = vmmr("check", "--json", NET)
    described = json.loads(out)
    assert code == 0
    assert (described["ok"], described["remarks"], described["left_out"]) == (True, [], [])
    assert described["device"]["device_id"] == 0x10F9


def test_generate_writes_every_file(vmmr, shell, tmp_path):
    code, out, err = vmmr("generate", NET, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == OUTPUTS
    assert sorted(Path(line.split()[1]).name for line in out.splitlines()) == OUTPUTS
    written = (tmp_path / "out" / "config_space.txt").read_text()
    assert written == dump(place(load(NET)).reset_image())


def test_generate_twice_gives_the_same_bytes(vmmr, shell, tmp_path):
    found = []
    for name in ("one", "two"):
        code, out, _ = vmmr("generate", NET, "-o", tmp_path / name, "--json")
        assert code == 0
        assert sorted(json.loads(out)["files"]) == OUTPUTS
        found.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert found[0] == found[1]
    assert str(tmp_path).encode() not in b"".join(found[0].values())


def test_generate_into_build_by_default(vmmr, shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vmmr("generate", NET)[0] == 0
    assert sorted(path.name for path in (tmp_path / "build" / "net").iterdir()) == OUTPUTS


def test_generate_without_amaranth_says_what_is_missing(vmmr, tmp_path, monkeypatch):
    monkeypatch.delattr(virtio_mmr.gateware, "shell", raising=False)
    monkeypatch.setitem(sys.modules, "virtio_mmr.gateware.shell", None)
    code, out, err = vmmr("generate", NET, "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "pip install 'virtio-mmr[verilog]'" in err
    assert not (tmp_path / "out").exists()


def test_generate_over_a_file_ends_with_2(vmmr, shell, tmp_path):
    (tmp_path / "out").write_text("")
    code, _, err = vmmr("generate", NET, "-o", tmp_path / "out")
    assert code == 2
    path = tmp_path / "out" / "virtio_mmr.v"
    assert err == f"vmmr: {path}: cannot be written (File exists); name another place with -o\n"
    code, out, err = vmmr("generate", NET, "-o", tmp_path / "out", "--json")
    assert (code, err) == (2, "")
    assert json.loads(out) == {
        "ok": False, "error": f"{path}: cannot be written (File exists); name another place with -o"}


def test_docs_writes_pages_and_pictures(vmmr, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.docs, "pages", lambda config, space: {"index.md": "# é\n", "pictures/a.svg": "<svg/>\n"})
    folder = Path("build/net/docs")
    assert vmmr("docs", NET) == (0, f"        5  {folder}/index.md\n        7  {folder}/pictures/a.svg\n", "")
    assert (folder / "pictures" / "a.svg").read_text() == "<svg/>\n"
    code, out, _ = vmmr("docs", NET, "-o", "out", "--json")
    assert code == 0
    assert json.loads(out) == {"ok": True, "folder": "out", "files": {"index.md": 5, "pictures/a.svg": 7}}


def test_docs_without_wavedrom_says_what_is_missing(vmmr, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wavedrom.bitfield", None)
    monkeypatch.setitem(sys.modules, "wavedrom", None)
    code, out, err = vmmr("docs", NET, "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "pip install 'virtio-mmr[docs]'" in err
    assert not (tmp_path / "out").exists()


def test_inspect_draws_bars_and_capabilities(vmmr):
    code, out, _ = vmmr("inspect", NET)
    assert code == 0
    assert out.splitlines()[0] == f"{NET}  1af4:10f9  revision 00  class 0200  subsystem 0001"
    assert "BAR 0  32 KiB of 64-bit memory" in out
    assert "control page → BAR 0 + 0x1000" in out


def test_inspect_of_a_dump_draws_the_same_capabilities(vmmr, tmp_path):
    path = tmp_path / "dump.txt"
    path.write_text(vmmr("inspect", NET, "--format", "lspci")[1])
    drawn = vmmr("inspect", path)[1]
    assert (
        drawn.split("\n", 2)[2]
        == vmmr("inspect", NET)[1].partition("Capabilities")[1] + vmmr("inspect", NET)[1].partition("Capabilities")[2]
    )


def test_inspect_of_a_dump_without_a_whole_header_ends_with_1(vmmr, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("00: f4 1a 00 00\n")
    code, out, err = vmmr("inspect", path)
    assert (code, out) == (1, "")
    assert ": 4 bytes, and the header alone has 64; write the dump with `lspci -xxxx`;" in err


def test_inspect_takes_a_function_of_a_device_file_alone(vmmr, tmp_path):
    path = tmp_path / "dump.txt"
    path.write_text(dump(place(load(NET)).reset_image()))
    assert vmmr("inspect", path, "--function", "1") == (
        2, "", "vmmr: --function 1: a dump or a slot is one function; give a device file\n")


def test_inspect_in_json(vmmr):
    for option in ("--json", "--format=json"):
        described = json.loads(vmmr("inspect", NET, option)[1])
        assert bytes.fromhex(described["image"]) == place(load(NET)).reset_image()
        assert described["capabilities"][0] == {
            "kind": "classic",
            "id": 1,
            "offset": 0x40,
            "next": 0x48,
            "title": "Power management",
            "details": ["in D0"],
        }
        assert described["device"]["device"]["kind"] == "net"


def test_inspect_reads_a_slot_of_this_machine(vmmr, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.inspect, "_DEVICES", tmp_path)
    (tmp_path / "0000:05:00.0").mkdir()
    (tmp_path / "0000:05:00.0" / "config").write_bytes(place(load(NET)).reset_image()[:256])
    for slot in ("05:00.0", "0000:05:00.0"):
        code, out, _ = vmmr("inspect", slot)
        assert code == 0
        assert out.startswith(f"{slot}  1af4:10f9")


@pytest.mark.parametrize("source", ["nowhere.txt", "05:00.0", "0000:05:00.0"])
def test_inspect_of_something_that_is_not_there_ends_with_2(vmmr, source):
    assert vmmr("inspect", source) == (
        2,
        "",
        f"vmmr: {source}: cannot be read (No such file or directory); "
        "give a device file, the text of `lspci -xxxx`, or a slot\n",
    )


def test_inspect_of_a_text_that_is_no_dump_ends_with_1(vmmr, tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir,\n")
    assert vmmr("inspect", path) == (
        1,
        "",
        f"vmmr: {path}: is no dump of configuration space: no lines of the form `00: f4 1a ...`; write the "
        "dump with `lspci -xxxx`; give a device file (*.toml), the text of `lspci -xxxx`, or a slot\n",
    )


def test_diff_of_the_same_is_empty(vmmr, tmp_path):
    path = tmp_path / "dump.txt"
    path.write_text(dump(place(load(NET)).reset_image()))
    assert vmmr("inspect", NET, "--diff", path) == (0, "the same in all 4096 bytes\n", "")
    assert json.loads(vmmr("inspect", NET, "--diff", path, "--json")[1]) == {
        "ok": True,
        "compared": 4096,
        "differences": [],
    }


def test_diff_names_the_registers(vmmr, tmp_path):
    image = bytearray(place(load(NET)).reset_image())
    image[0x06] |= 1
    path = tmp_path / "dump.txt"
    path.write_text(dump(bytes(image[:64])))
    code, out, _ = vmmr("inspect", path, "--diff", NET)
    assert code == 1
    assert out.splitlines()[1] == "0x0004  00110000          00100000          command, status"
    code, out, _ = vmmr("inspect", NET, "--diff", path, "--json")
    assert code == 1
    assert json.loads(out) == {
        "ok": False,
        "compared": 64,
        "differences": [{"offset": 4, "left": 0x0010_0000, "right": 0x0011_0000, "registers": "command, status"}],
    }


def test_regs_shows_one_register(vmmr):
    assert vmmr("regs", "legacy.queue_vector") == (
        0,
        """\
legacy.queue_vector
  Vector of the selected queue; a value beyond the table stores 0xffff.
  offset   0x16
  width    16 bits
  access   rw, read and write
  reset    0xffff
  banked   by queue_select
  present  while MSI-X is enabled
  alias    VIRTIO_MSI_QUEUE_VECTOR (linux)
  clause   virtio 1.3, 4.1.4.10
""",
        "",
    )


def test_regs_shows_the_fields_of_a_register(vmmr):
    _, out, _ = vmmr("regs", "control.platform")
    what = "DMA requests, notifications and interrupts of queues may leave the function."
    assert f"        8  gate, rw: 1: {what}\n" in out


def test_regs_shows_a_configuration_field(vmmr):
    assert vmmr("regs", "net.mac") == (
        0,
        """\
net.mac
  offset   0x00 in the device window
           0x14 in the legacy window, 0x18 while MSI-X is enabled
  width    6x8 bits
  written  by the driver
  feature  NET_MAC, bit 5
  clause   virtio 1.3, 5.1
""",
        "",
    )


def test_regs_lists_a_window(vmmr):
    lines = vmmr("regs", "legacy")[1].splitlines()
    assert len(lines) == 10
    assert lines[4] == ("legacy.queue_select     0x0e    16  rw     Index of the queue that the banked registers show.")


def test_regs_lists_everything(vmmr):
    out = vmmr("regs")[1]
    assert "control.badstate" in out and "block.capacity" in out


def test_regs_in_json(vmmr):
    described = json.loads(vmmr("regs", "legacy.queue_select", "--json")[1])
    assert described["legacy.queue_select"]["offset"] == 0x0E


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("legacy.queue_selekt", "did you mean legacy.queue_select?"),
        ("xyz", "windows: legacy, control, isr, msix_entry, common, notify, net, block, console, rng"),
    ],
)
def test_regs_without_such_a_register_ends_with_2(vmmr, name, hint):
    assert vmmr("regs", name) == (2, "", f"vmmr: no register '{name}'; {hint}\n")


def test_statement_that_is_not_in_the_plan_ends_with_2(vmmr):
    code, out, err = vmmr("testplan", "LEG-16", "XXX-1")
    assert (code, out) == (2, "")
    assert err.startswith("vmmr: no statement is called XXX-1; groups: MMR, LEG, ")
    assert json.loads(vmmr("testplan", "XXX-1", "--json")[1])["ok"] is False


def test_function_that_the_device_does_not_have_ends_with_2(vmmr):
    assert vmmr("inspect", NET, "--function", "1") == (
        2, "", f"vmmr: --function 1: {NET} has 1, counted from 0; give one of these\n")


def test_check_and_inspect_show_the_part_that_hard_ip_leaves(vmmr):
    _, out, _ = vmmr("check", str(EXAMPLES / "net-ultrascale.toml"))
    assert "Capabilities in the part of configuration space that the hard IP leaves to the core\n  0x0b0" in out
    assert "\n  0x480   28 bytes  extended  mmr_vsec\n" in out
    code, out, _ = vmmr("inspect", str(EXAMPLES / "net-ultrascale.toml"))
    assert code == 0 and "the part of configuration space that the hard IP leaves to the core" in out
    assert "0x4b8" in out and "0x034" not in out


def test_random_traffic_needs_raw_streams(vmmr):
    assert vmmr("fuzz", str(EXAMPLES / "net-ultrascale.toml")) == (
        2, "", 'vmmr: datapath.adapter = "pcie4_uscale_plus": random traffic speaks raw TLPs; write adapter = "raw", '
        "or use vmmr test\n")


def test_options_that_exclude_each_other_end_with_2(vmmr):
    assert vmmr("testplan", "LEG", "--markdown") == (
        2, "", "vmmr: --markdown counts the whole plan; leave ids and --json out\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fuzz", "--tlps", "0"], "'0': a whole number from 1 up is needed"),
        (["differ", "--accesses", "many"], "'many': a whole number from 1 up is needed"),
        (["area", "--seeds", "-1"], "'-1': a whole number from 1 up is needed"),
        (["area", "--target", "fast"], "'fast': a clock of 1 to 1000 MHz is needed"),
        (["test", NET, "-j", "0"], "'0': a whole number from 1 up is needed"),
    ],
)
def test_number_that_makes_no_sense_ends_with_2(vmmr, arguments, message):
    code, out, err = vmmr(*arguments)
    assert (code, out) == (2, "")
    assert err.endswith(f": {message}\n")


@pytest.mark.parametrize("verb", ["fuzz", "bench", "area"])
def test_missing_tool_ends_with_2(vmmr, monkeypatch, verb):
    from virtio_mmr_sim import toolchain

    def missing(*names):
        raise toolchain.ToolMissing("nothing was found")

    for name in ("require", "verilator"):
        monkeypatch.setattr(toolchain, name, missing)
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, "/nowhere")
    assert vmmr(verb) == (2, "", "vmmr: nothing was found\n")
    assert json.loads(vmmr(verb, "--json")[1]) == {"ok": False, "error": "nothing was found"}


def test_doctor_lists_tools(vmmr):
    code, out, _ = vmmr("doctor")
    assert code == 0
    assert "✓ amaranth " in out


def test_doctor_in_json(vmmr):
    tools = json.loads(vmmr("doctor", "--json")[1])["tools"]
    assert {"name", "found", "version", "enables", "get"} == set(tools[0])


def test_doctor_says_what_a_missing_tool_would_enable(vmmr, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", {"no-such-package": "flying"})
    monkeypatch.setitem(sys.modules, "virtio_mmr_sim.toolchain", None)
    assert vmmr("doctor") == (
        0,
        "✗ no-such-package  missing: needed for flying\n                   get it: pip install no-such-package\n",
        "",
    )


def test_reader_that_goes_away_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m virtio_mmr.cli regs | head -1",
        shell=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("legacy.device_features")

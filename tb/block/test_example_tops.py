"""The example tops beside hard IP connect every port, with the right width."""

import re
import subprocess
from pathlib import Path

import pytest
from selection import broad
from virtio_mmr.config import load
from virtio_mmr.export.lint import lint_configuration
from virtio_mmr.export.template import instance_template
from virtio_mmr.gateware import shell
from virtio_mmr_sim import toolchain

EXAMPLES = Path(__file__).parents[2] / "examples"

TOPS = {"ultrascale": "net-ultrascale", "7series": "net-7series"}

#: For each of them, text whose change the linter has to notice, and what it calls that.
WRONG = {
    "ultrascale": (
        (r"wire \[87:0\]  m_axis_cq_tuser", "wire [84:0]  m_axis_cq_tuser", "WIDTH"),
        (r"\.cfg_flr_done\(cfg_flr_done\),", "", "PINMISSING"),
        (r"\.cfg_bus_number\(cfg_bus_number\)", ".cfg_bus_no(cfg_bus_number)", "PINNOTFOUND"),
    ),
    "7series": (
        (r"\.cfg_lcommand +\(cfg_lcommand\)", ".cfg_lcommand(cfg_bus_number)", "WIDTH"),
        (r"\.rx_np_req +\(1'b1\),", "", "PINMISSING"),
        (r"\.m_axis_rx_tuser +\(m_axis_rx_tuser\)", ".m_axis_rx_user(m_axis_rx_tuser)", "PINNOTFOUND"),
    ),
}


@pytest.fixture(scope="module", params=["7series", *broad("ultrascale")])
def top(request, tmp_path_factory):
    """Folder with everything that the linter wants, the name of the example, and the core's ports."""
    toolchain.skip_or_fail("verilator")
    folder = tmp_path_factory.mktemp(request.param)
    generated = shell.generate(load(EXAMPLES / f"{TOPS[request.param]}.toml"))
    (folder / "virtio_mmr.v").write_text(generated.verilog)
    (folder / "virtio_mmr.vlt").write_text(lint_configuration())
    (folder / "virtio_mmr_template.v").write_text(instance_template(generated.interface))
    for source in (EXAMPLES / request.param).glob("*.v"):
        (folder / source.name).write_text(source.read_text())
    return folder, request.param, generated.interface["ports"]


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    # The template is included.
    sources = sorted(str(path) for path in folder.glob("*.v") if "template" not in path.name)
    return subprocess.run(
        [*toolchain.require("verilator").command, "--lint-only", "-Wall", "-Wno-DECLFILENAME", "--top-module", "card",
         f"-I{folder}", str(folder / "virtio_mmr.vlt"), *sources],
        capture_output=True, text=True, check=False, env=toolchain.environment())


def test_verilator_has_nothing_to_say(top):
    done = lint(top[0])
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("mistake", range(3))
def test_it_has_if_a_port_is_wrong(top, tmp_path, mistake):
    folder, name, ports = top
    before, after, complaint = WRONG[name][mistake]
    for source in folder.iterdir():
        (tmp_path / source.name).write_text(source.read_text())
    # The inside of the core does not matter here, and takes seconds.
    declared = ", ".join(f"{port['direction']} [{port['width'] - 1}:0] {port['name']}" for port in ports)
    (tmp_path / "virtio_mmr.v").write_text(f"module virtio_mmr ({declared}); endmodule\n")
    card = tmp_path / "card.v"
    broken, changes = re.subn(before, after, card.read_text())
    assert changes
    card.write_text(broken)
    done = lint(tmp_path)
    assert done.returncode and complaint in done.stderr

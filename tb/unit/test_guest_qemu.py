"""QEMU's process, played by a shell: it may complain, hang or never start, and nothing of it stays."""

import os
import select
import subprocess
import time
from pathlib import Path

import pytest
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.guest import ipxe, linux, packages, qemu, seabios
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.memory import GuestMemory
from virtio_mmr_sim.guest.qemu import Qemu
from virtio_mmr_sim.oracle.fetch import FetchError


@pytest.fixture
def shell(monkeypatch):
    """Call it with a script: that is QEMU then."""
    def play(script):
        tool = toolchain.Tool("qemu", Path("/bin/sh"), "11.1.0", "guests", "nothing", ("/bin/sh", "-c", script, "qemu"))
        monkeypatch.setattr(toolchain, "find", lambda name: tool)
    return play


def run(**options):
    """Serve it until its output ends; the process, and what it has printed."""
    heard = []
    process = Qemu([], None, GuestMemory(), console=heard.append, **options)
    while not process.ended:
        sources = process.sources()
        ready, _, _ = select.select(list(sources), [], [], 30)
        assert ready
        for descriptor in ready:
            sources[descriptor]()
    return process, b"".join(heard)


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("version, words", [
    ("7.2.22", "is QEMU 7.2.22; guests need QEMU 10.2"), ("10.1.9", "is QEMU 10.1.9"), ("", "QEMU of unknown version"),
])
def test_one_that_is_too_old_is_replaced_or_refused(monkeypatch, version, words):
    old = toolchain.Tool("qemu", Path("/usr/bin/qemu"), version, "guests", "a package", ("/usr/bin/qemu",))
    monkeypatch.setattr(toolchain, "find", lambda name: old)

    def fail(progress):
        raise FetchError("no network")

    monkeypatch.setattr(qemu, "fetch", fail)
    with pytest.raises(qemu.QemuError, match=f"{words}.*a package; it could not be fetched: no network"):
        qemu.tool()
    new = toolchain.Tool("qemu", Path("/usr/bin/qemu"), "10.2.0", "guests", "a package", ("/usr/bin/qemu",))
    monkeypatch.setattr(qemu, "fetch", lambda progress: monkeypatch.setattr(toolchain, "find", lambda name: new))
    assert qemu.tool() is new


@pytest.mark.parametrize("run", [
    lambda: linux.run(linux.Boot("rng")), lambda: seabios.run(Show.RAW), lambda: ipxe.run(Show.RAW)])
def test_nothing_is_built_or_fetched_for_a_qemu_that_is_not_there(monkeypatch, run):
    def must_not(*arguments, **options):
        raise AssertionError("too early")

    def refuse(progress):
        raise FetchError("no network")

    monkeypatch.setattr(qemu, "fetch", refuse)
    monkeypatch.setattr(packages, "fetch_plan", must_not)
    monkeypatch.setattr("virtio_mmr_sim.design.generate", must_not)
    monkeypatch.setattr(toolchain, "find", lambda name: toolchain.Tool(name, None, "", "guests", "a package"))
    with pytest.raises(qemu.QemuError, match=r"qemu was not found; guests need QEMU 10\.2.*no network"):
        run()


def test_whatever_it_complains_it_goes_on(shell):
    shell("head -c 300000 /dev/zero | tr '\\0' x >&2; echo end")
    process, heard = run()
    assert heard == b"end\n"
    assert process.close() == "x" * 300_000


def test_one_that_does_not_end_by_itself_is_ended(shell, monkeypatch):
    monkeypatch.setattr(qemu, "_PARTING", 0.2)
    shell("exec >&-; exec sleep 1000")
    process, _ = run()
    process.close()
    assert process.process.returncode == -9


def test_one_that_still_runs_is_ended_at_once(shell):
    shell("exec sleep 1000")
    process, start = Qemu([], None, GuestMemory()), time.monotonic()
    process.close()
    assert time.monotonic() - start < qemu._PARTING / 2


def test_the_folder_for_temporary_files_may_have_any_name(shell, monkeypatch, tmp_path):
    folder = tmp_path / ("x" * 150)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    shell("echo end")
    run()[0].close()
    assert not list(folder.iterdir())


def test_nothing_stays_open(shell, monkeypatch):
    before = descriptors()
    shell("echo end")
    run(files={"image": b"abc"})[0].close()
    assert descriptors() == before

    def refuse(*arguments, **options):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(OSError, match="no more processes"):
        Qemu([], None, GuestMemory(), files={"image": b"abc"})
    assert descriptors() == before

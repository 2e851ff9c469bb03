"""QEMU's process, played by a shell: it may complain, hang or never start, and nothing of it stays."""

import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from virtio_mmr.cli import main
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.guest import dpdk, ipxe, linux, packages, qemu, record, seabios, session
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.memory import GuestMemory
from virtio_mmr_sim.guest.qemu import Qemu
from virtio_mmr_sim.guest.show import Shown
from virtio_mmr_sim.guest.vfio_user import ProtocolError
from virtio_mmr_sim.host.hypervisor import Unfit
from virtio_mmr_sim.native.model import NativeError
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
    lambda: linux.run(linux.Boot("rng")), lambda: seabios.run(Show.RAW), lambda: ipxe.run(Show.RAW),
    lambda: dpdk.run(Show.RAW, 1)])
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


class Rest:
    """A bridge with nothing behind it."""

    back_end = SimpleNamespace(wake_at=None)
    model = SimpleNamespace(now=0, close=lambda: None)

    def settle(self):
        return True

    def tlps(self):
        return {}


class Session(session.Session):
    """Without a design."""

    def __init__(self):
        self.bridge, self.model, self.machines, self.text, self._wall = Rest(), Rest.model, [], "no device", 0.0
        shown = Shown(1, True)
        shown.regions = {}
        self.machines.append(session.Machine(shown, GuestMemory(), keep=True))


@pytest.mark.parametrize("script, words", [
    ("echo bad option >&2; exit 1", "ended with status 1 before it asked for the device.*QEMU says:\n  bad option"),
    ("echo Booting; kill -9 $$", "ended by signal 9.*last lines:\n  Booting"),
])
def test_one_that_gives_up_is_named_with_its_words(shell, script, words):
    shell(script)
    with Session() as run:
        run.machines[0].start([])
        with pytest.raises(session.GuestFailed, match=f"(?s){words}") as failed:
            run.run(30)
        assert failed.value.outcome.device == "no device"


@pytest.mark.parametrize("error", [NativeError("no completion"), ProtocolError("a bad message"), Unfit("no VSEC")])
def test_what_the_design_or_the_client_must_not_do_fails_the_guest(shell, monkeypatch, error):
    def fail():
        raise error

    shell("exec sleep 1000")
    with Session() as run:
        run.machines[0].start([])
        monkeypatch.setattr(run.bridge, "settle", fail)
        with pytest.raises(session.GuestFailed, match=str(error)):
            run.run(30)


@pytest.fixture
def failing(monkeypatch):
    """`vmmr guest` has a guest that fails after one interrupt; what it is given comes back."""
    def fail(show, **options):
        summary = session.Summary({}, {}, 1, 1.0, 1.0)
        outcome = session.Outcome({}, {}, summary, [], "the device", [record.Interrupt(0)])
        raise session.GuestFailed("it hangs", outcome)

    monkeypatch.setattr(seabios, "run", fail)


def test_a_guest_that_fails_answers_in_json_and_leaves_its_recording(failing, tmp_path, capsys):
    file = tmp_path / "a.jsonl"
    assert main(["guest", "seabios", "--json", "--record", str(file)]) == 1
    assert json.loads(capsys.readouterr().out) == {"ok": False, "problems": ["it hangs"]}
    assert record.load(file) == (
        {"guest": "SeaBIOS, blk, raw", "show": "raw", "device": "the device"}, [record.Interrupt(0)])


@pytest.mark.parametrize("place", ["", "no/file"])
def test_a_recording_that_cannot_be_written_is_refused_before_the_guest_runs(failing, place, tmp_path, capsys):
    assert main(["guest", "seabios", "--record", str(tmp_path / place)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_problems_come_with_what_qemu_says():
    run = Session()
    run.machines[0].complaint = "a warning"
    assert run.outcome(run.machines[0], []).problems == []
    assert run.outcome(run.machines[0], ["wrong"]).problems == ["wrong", "QEMU says: a warning"]


@pytest.mark.parametrize("last", ["interrupts", "interrupts virtio0", "interrupts virtio0 x", "random", "random 0a0"])
def test_a_console_that_ends_anywhere_is_judged(last):
    machine = SimpleNamespace(said=session.said(f"guest: {last}"), marked={})
    task = linux.Rng()
    assert any("different random numbers were due" in text
               for text in linux.problems(linux.Boot("rng"), task, machine))


def test_ipxe_is_told_to_load_from_the_peer(monkeypatch, tmp_path):
    made = []

    def stop(*arguments, **options):
        raise StopIteration

    monkeypatch.setattr(ipxe, "tool", lambda progress: None)
    monkeypatch.setattr(packages, "bundle", lambda name, progress: tmp_path)
    monkeypatch.setattr(ipxe, "Net", made.append)
    monkeypatch.setattr(ipxe, "Session", stop)
    with pytest.raises(StopIteration):
        ipxe.run(Show.RAW)
    assert made[0].dhcp.boot_file == f"http://{made[0].host.address}/boot"

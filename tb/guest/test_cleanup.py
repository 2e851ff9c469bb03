"""However a run ends, no process and no file of it stays, and the next one works."""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from selection import broad


def children(parent):
    """Processes that *parent* has started."""
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = Path(stat).read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == parent:
            found.append(int(text.split()[0]))
    return found


def is_running(process):
    """Whether it is there, and not as a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what, run, output):
    """What *what* gives, as soon as there is anything, while *run* prints into *output*."""
    end = time.monotonic() + 300
    while not (found := what()):
        assert time.monotonic() < end, f"ended with {run.poll()}, printed: {printed(output)}"
        time.sleep(0.05)
    return found


def printed(output):
    output.seek(0)
    return output.read().decode(errors="replace")


def guests(run):
    """QEMU processes of *run*."""
    found = []
    for child in children(run.pid):
        try:
            if b"vfio-user-pci" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:
            pass
    return found


@contextmanager
def started(command, environment):
    """*command* as a process, and the file that it prints into; neither it nor a guest of it outlives the test."""
    with tempfile.TemporaryFile() as output, subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT) as run:
        try:
            yield run, output
        finally:
            for guest in guests(run):
                os.kill(guest, signal.SIGKILL)
            run.kill()


@pytest.fixture
def environment(guest_parts, tmp_path):
    """Of a run whose temporary files are in this test's folder."""
    guest_parts()
    return {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


COMMAND = [sys.executable, "-m", "virtio_mmr.cli", "guest", "seabios", "--show", "hypervisor"]


@pytest.mark.parametrize("victim", [
    "the server, by SIGKILL", "the server, by SIGTERM", *broad("the guest")])
def test_a_run_that_is_killed_leaves_nothing_behind(victim, environment, tmp_path):
    with started(COMMAND, environment) as (run, output):
        [guest] = wait_for(lambda: guests(run), run, output)
        if victim == "the guest":
            os.kill(guest, signal.SIGKILL)
            assert run.wait(60) == 1, printed(output)
            assert "vmmr guest: QEMU was ended by signal 9" in printed(output)
        else:
            run.send_signal(signal.SIGKILL if "SIGKILL" in victim else signal.SIGTERM)
            run.wait(60)
        wait_for(lambda: not is_running(guest), run, output)
    assert not list(tmp_path.iterdir())
    again = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("seconds", [0.2, 0.4])
def test_a_run_that_is_killed_before_it_has_a_guest_leaves_nothing_either(seconds, environment, tmp_path):
    with started(COMMAND, environment) as (run, output):
        time.sleep(seconds)
        if guests(run) or run.poll() is not None:
            assert run.wait(60) == 0, printed(output)
            pytest.skip("a fast machine: the guest was there already")
        run.kill()
        assert run.wait(60) == -signal.SIGKILL, printed(output)
    assert not list(tmp_path.iterdir())

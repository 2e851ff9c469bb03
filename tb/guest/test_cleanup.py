"""However a run ends, no process and no file of it stays, and the next one works."""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest


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


def wait_for(what):
    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("victim", ["the guest", "the server, by SIGKILL", "the server, by SIGTERM"])
def test_a_run_that_is_killed_leaves_nothing_behind(victim, guest_parts, tmp_path):
    guest_parts()
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "virtio_mmr.cli", "guest", "seabios", "--show", "hypervisor"]
    with tempfile.TemporaryFile() as output:
        run = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        [guest] = wait_for(lambda: [child for child in children(run.pid)
                                    if b"vfio-user-pci" in Path(f"/proc/{child}/cmdline").read_bytes()])
        if victim == "the guest":
            os.kill(guest, signal.SIGKILL)
            assert run.wait(60) == 1
            output.seek(0)
            assert b"vmmr guest: " in output.read()
        else:
            run.send_signal(signal.SIGKILL if "SIGKILL" in victim else signal.SIGTERM)
            run.wait(60)
    wait_for(lambda: not is_running(guest))
    assert not list(tmp_path.iterdir())
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 0

"""A QEMU process with one vfio-user device, whose other end is here. It leaves nothing behind, however it ends."""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle.fetch import FetchError, fetch

from .memory import GuestMemory
from .vfio_user import Disconnected, PciDevice, Server

#: Milliseconds that QEMU waits for an answer: a simulated device may be slow.
_PATIENCE = 600_000

#: Seconds that QEMU has to end once its output has ended.
_PARTING = 10


#: The first version that has vfio-user-pci, and ends with its parent.
_VERSION = (10, 2)


class QemuError(RuntimeError):
    """There is no QEMU that could run a guest; the text says why, and how to get one."""


def unfit(found: toolchain.Tool) -> str:
    """Why *found* cannot run a guest; empty if it can."""
    needed = f"guests need QEMU {_VERSION[0]}.{_VERSION[1]} or later, which has vfio-user-pci and ends with its parent"
    if not found.found:
        return f"qemu was not found; {needed}; get it with: {found.get}"
    if tuple(int(part) for part in found.version.split(".")[:2] if part) < _VERSION:
        return f"{found.path} is QEMU {found.version or 'of unknown version'}; {needed}; get it with: {found.get}"
    return ""


def tool(progress: Callable[[str], None] = lambda text: None) -> toolchain.Tool:
    """QEMU; fetched at the first request if none is there that can run a guest.

    Raises
    ------
    QemuError
        If it cannot be had.
    """
    if unfit(toolchain.find("qemu")):
        try:
            fetch(progress)
        except FetchError as error:
            raise QemuError(f"{unfit(toolchain.find('qemu'))}; it could not be fetched: {error}") from None
    found = toolchain.find("qemu")
    if why := unfit(found):
        raise QemuError(why)
    return found


def memory_file(name: str, data: bytes) -> int:
    """Descriptor of an unnamed file that holds *data*."""
    descriptor = os.memfd_create(name)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor


class Qemu:
    """Started at once; what is to be polled is in `sources`.

    Parameters
    ----------
    arguments
        Of the command line, without those for memory and for the device. A word ``@name`` is replaced by
        the path of that file of *files*.
    device, memory
        What the guest drives; where its memory appears.
    root_port
        The device sits behind a PCI Express root port; otherwise on a conventional bus.
    options
        More properties of QEMU's side of the device; ``@name`` here too.
    console
        Called with what the guest's serial console prints.
    """

    def __init__(self, arguments: Sequence[str], device: PciDevice, memory: GuestMemory, *, megabytes: int = 256,
                 files: dict[str, bytes] | None = None, machine: str = "q35", root_port: bool = True,
                 options: dict[str, object] | None = None, console: Callable[[bytes], None] = lambda text: None):
        self.device, self.memory = device, memory
        self._console = console
        self.server: Server | None = None
        program = tool().command
        self._listener = socket.socket(socket.AF_UNIX)
        # A file, for nobody reads a pipe's other end while QEMU runs.
        self._complaint = tempfile.TemporaryFile()
        # What is QEMU's alone goes in either case, what is ours too only if QEMU does not start.
        with ExitStack() as theirs, ExitStack() as ours:
            ours.callback(self._listener.close)
            ours.callback(self._complaint.close)
            kept: list[int] = []

            def keep(descriptor: int) -> str:
                theirs.callback(os.close, descriptor)
                kept.append(descriptor)
                return f"/proc/self/fd/{descriptor}"

            paths = {f"@{name}": keep(memory_file(name, data)) for name, data in (files or {}).items()}
            properties: dict[str, object] = {
                "driver": "vfio-user-pci", "x-msg-timeout": _PATIENCE,
                "socket": {"type": "unix", "path": keep(self._door())},
                **{name: paths.get(str(value), value) for name, value in (options or {}).items()}}
            bus: list[str] = []
            if root_port:
                bus, properties["bus"] = ["-device", "pcie-root-port,id=rp0,slot=1"], "rp0"
            # TCG by name: an acceleration that is there by half would hang.
            self.command = [
                *program, "-M", f"{machine},accel=tcg,memory-backend=mem", "-m", str(megabytes),
                "-object", f"memory-backend-memfd,id=mem,size={megabytes}M,share=on", "-nodefaults", "-nographic",
                "-no-reboot", "-serial", "stdio", "-run-with", "exit-with-parent=on",
                *(paths.get(word, word) for word in arguments), *bus, "-device", json.dumps(properties)]
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=self._complaint, pass_fds=kept)
            ours.pop_all()
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        #: The process has ended, and its output has been read.
        self.ended = False
        #: Why it ended without its guest's doing; known after `close`, empty if there is no such reason.
        self.gave_up = ""

    def _door(self) -> int:
        """Descriptor of the place at which the listener listens; the place's name goes as soon as there is one."""
        with tempfile.TemporaryDirectory(prefix="vmmr-") as folder:
            # An address has 107 characters at most, whatever the folder's name has.
            place = os.open(folder, os.O_PATH)
            try:
                self._listener.bind(f"/proc/self/fd/{place}/device")
                self._listener.listen(1)
                return os.open("device", os.O_PATH, dir_fd=place)
            finally:
                os.close(place)

    def sources(self) -> dict[int, Callable[[], None]]:
        """What to call when a descriptor can be read."""
        assert self.process.stdout is not None
        found: dict[int, Callable[[], None]] = {self.process.stdout.fileno(): self._read}
        if self.server is not None:
            found[self.server.fileno()] = self._serve
        elif self._listener.fileno() >= 0:
            found[self._listener.fileno()] = self._accept
        return found

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        self._listener.close()
        self.server = Server(connection, self.device, self.memory)

    def _serve(self) -> None:
        assert self.server is not None
        try:
            self.server.step()
        except Disconnected:
            self._disconnect()

    def _disconnect(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    def _read(self) -> None:
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if data:
            self._console(data)
        else:
            self.ended = True

    def close(self) -> str:
        """End the process if it runs, and let go of everything; what it complained of."""
        try:
            status = self.process.wait(_PARTING if self.ended else 0)
            if status < 0:
                self.gave_up = f"QEMU was ended by signal {-status}"
            elif self._listener.fileno() >= 0:
                self.gave_up = f"QEMU has ended with status {status} before it asked for the device"
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._complaint.seek(0)
        complaint = self._complaint.read().decode(errors="replace")
        self._complaint.close()
        self._disconnect()
        self._listener.close()
        self.memory.close()
        return complaint

"""A QEMU process with one vfio-user device, whose other end is here. It leaves nothing behind, however it ends."""

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence

from virtio_mmr_sim import toolchain

from .memory import GuestMemory
from .vfio_user import Disconnected, PciDevice, Server

#: Milliseconds that QEMU waits for an answer: a simulated device may be slow.
_PATIENCE = 600_000


class QemuError(RuntimeError):
    """QEMU did not do what it was to do; the text has its complaint."""


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
        self._listener = socket.socket(socket.AF_UNIX)
        descriptors = {name: memory_file(name, data) for name, data in (files or {}).items()}
        # The socket's name goes as soon as there is a descriptor of the place that it stood for.
        with tempfile.TemporaryDirectory(prefix="vmmr-") as folder:
            self._listener.bind(f"{folder}/device")
            self._listener.listen(1)
            door = os.open(f"{folder}/device", os.O_PATH)
        paths = {f"@{name}": f"/proc/self/fd/{descriptor}" for name, descriptor in descriptors.items()}
        properties: dict[str, object] = {
            "driver": "vfio-user-pci", "x-msg-timeout": _PATIENCE,
            "socket": {"type": "unix", "path": f"/proc/self/fd/{door}"},
            **{name: paths.get(str(value), value) for name, value in (options or {}).items()}}
        bus: list[str] = []
        if root_port:
            bus, properties["bus"] = ["-device", "pcie-root-port,id=rp0,slot=1"], "rp0"
        tool = toolchain.require("qemu")
        version = tuple(int(part) for part in tool.version.split(".")[:2])
        if version < (10, 1):
            raise QemuError(f"QEMU {tool.version} has no vfio-user-pci; 10.1 or later is needed: {tool.get}")
        parting = ["-run-with", "exit-with-parent=on"] if version >= (10, 2) else []
        # TCG by name: an acceleration that is there by half would hang.
        self.command = [
            *tool.command, "-M", f"{machine},accel=tcg,memory-backend=mem", "-m", str(megabytes),
            "-object", f"memory-backend-memfd,id=mem,size={megabytes}M,share=on", "-nodefaults", "-nographic",
            "-no-reboot", "-serial", "stdio", *parting, *(paths.get(word, word) for word in arguments), *bus,
            "-device", json.dumps(properties)]
        kept = [door, *descriptors.values()]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, pass_fds=kept)
        for descriptor in kept:
            os.close(descriptor)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        #: The process has ended, and its output has been read.
        self.ended = False

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
        if self.process.poll() is None and not self.ended:
            self.process.kill()
        assert self.process.stdout is not None and self.process.stderr is not None
        complaint = self.process.stderr.read().decode(errors="replace")
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        self._disconnect()
        self._listener.close()
        self.memory.close()
        return complaint

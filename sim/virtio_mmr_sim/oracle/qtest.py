"""QEMU's own transitional virtio devices, driven through qtest: no guest, no firmware, register by register.

QEMU runs with its processor stopped and answers one line for each command line on its standard
input. The device's I/O BAR 0 shows the legacy header, which is what is compared with our window.

A round trip costs 20 to 200 microseconds, a command in a batch 2 to 4: use `QtestDevice.run` for
more than one access.
"""

import os
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import IO, NamedTuple, Self

from virtio_mmr_sim import toolchain

#: Ports of configuration mechanism 1.
_CONFIG_ADDRESS, _CONFIG_DATA = 0xCF8, 0xCFC

#: Where BAR 0 is put; nothing else decodes I/O up to the end of the space behind it.
_IO_BASE = 0xC000

#: Commands that are sent before answers are read: few enough that neither pipe can fill up.
_BATCH = 1000

#: Letter of a command for ports or memory, by bytes.
_SIZE = MappingProxyType({1: "b", 2: "w", 4: "l", 8: "q"})

_VENDOR_VIRTIO, _CAPABILITY_MSIX = 0x1AF4, 0x11


class QtestError(RuntimeError):
    """QEMU did not start, ended early, or refused a command."""


class Access(NamedTuple):
    """One access to the legacy window: *width* bytes at *offset*; a read if *value* is None."""

    offset: int
    width: int
    value: int | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"R{8 * self.width:<2} {self.offset:#05x}"
        return f"W{8 * self.width:<2} {self.offset:#05x} = {self.value:#0{2 * self.width + 2}x}"


@dataclass(frozen=True)
class SetMsix:
    """Not an access to the window: MSI-X Enable is switched."""

    enable: bool

    def __str__(self) -> str:
        return f"MSI-X {'on' if self.enable else 'off'}"


Step = Access | SetMsix


@dataclass(frozen=True)
class _Kind:
    """How QEMU is asked for one kind of device. Property names are QEMU's; empty if it has none."""

    device: str
    backend: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    queues: str = ""
    queue_size: tuple[str, ...] = ()


_KINDS = MappingProxyType({
    "net": _Kind("virtio-net-pci", properties=(("romfile", ""), ("mac", "52:54:00:12:34:56")),
                 queue_size=("rx_queue_size", "tx_queue_size")),
    "blk": _Kind("virtio-blk-pci",
                 backend=("-blockdev", "driver=null-co,node-name=disk,size=1048576,read-zeroes=on"),
                 properties=(("drive", "disk"),), queues="num-queues", queue_size=("queue-size",)),
    "rng": _Kind("virtio-rng-pci"),
    "console": _Kind("virtio-serial-pci"),
})

#: Kinds of device that can be started.
KINDS = tuple(_KINDS)


def _command(kind: str, queues: int | None, queue_size: int | None, vectors: int | None,
             properties: Mapping[str, object]) -> list[str]:
    """QEMU's command line."""
    known = _KINDS[kind]
    values: dict[str, object] = {"disable-legacy": "off", "ioeventfd": "off", **dict(known.properties)}
    if queues is not None:
        if not known.queues:
            raise ValueError(f"the number of queues of QEMU's {known.device} cannot be chosen")
        values[known.queues] = queues
    if queue_size is not None:
        if not known.queue_size:
            raise ValueError(f"the queue size of QEMU's {known.device} cannot be chosen")
        values.update(dict.fromkeys(known.queue_size, queue_size))
    if vectors is not None:
        values["vectors"] = vectors
    values.update(properties)
    device = ",".join([known.device, *(f"{name}={value}" for name, value in values.items())])
    tool = toolchain.require("qemu")
    version = tuple(int(part) for part in tool.version.split(".")[:2])
    parting = ["-run-with", "exit-with-parent=on"] if version >= (10, 2) else []
    return [*tool.command, "-machine", "q35", "-accel", "tcg", "-S", "-nodefaults", "-display", "none", *parting,
            "-qtest", "stdio", "-qtest-log", "none", *known.backend, "-device", device]


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """End the process and close what belongs to it; does nothing the second time."""
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, log):
        if stream is not None:
            stream.close()


class QtestDevice:
    """One transitional virtio device inside a QEMU of its own.

    Parameters
    ----------
    kind
        ``net``, ``blk``, ``rng`` or ``console``.
    queues, queue_size
        Number and size of the queues, where QEMU lets them be chosen.
    vectors
        MSI-X vectors; QEMU's own choice if None; 0 for a device without MSI-X.
    properties
        More of QEMU's device properties, such as ``{"ctrl_vq": "off"}``.
    arguments
        More of QEMU's command line.

    Raises
    ------
    virtio_mmr_sim.toolchain.ToolMissing
        If there is no QEMU.
    QtestError
        If QEMU does not start, or shows no virtio device.
    """

    def __init__(self, kind: str, *, queues: int | None = None, queue_size: int | None = None,
                 vectors: int | None = None, properties: Mapping[str, object] | None = None,
                 arguments: Sequence[str] = ()) -> None:
        self.kind = kind
        self.version = toolchain.require("qemu").version
        #: Accesses to the legacy window so far.
        self.accesses = 0
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [*_command(kind, queues, queue_size, vectors, properties or {}), *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, bufsize=0)
        self._end = weakref.finalize(self, _end, self._process, self._log)
        self._rest = b""
        try:
            self._find()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End QEMU."""
        self._end()

    # Commands

    def _complaint(self, what: str) -> QtestError:
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()
        return QtestError(f"{what}; QEMU says: {said or 'nothing'}")

    def _exchange(self, lines: Sequence[str]) -> list[bytes]:
        """Send command lines; their answers, in order."""
        answers: list[bytes] = []
        for start in range(0, len(lines), _BATCH):
            answers += self._batch(lines[start:start + _BATCH])
        return answers

    def _batch(self, lines: Sequence[str]) -> list[bytes]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(("\n".join(lines) + "\n").encode())
        except BrokenPipeError:
            raise self._complaint("QEMU has ended") from None
        received = [self._rest]
        missing = len(lines) - self._rest.count(b"\n")
        while missing > 0:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise self._complaint("QEMU has ended")
            received.append(data)
            missing -= data.count(b"\n")
        *answers, self._rest = b"".join(received).split(b"\n")
        for line, answer in zip(lines, answers, strict=True):
            if not answer.startswith(b"OK"):
                raise self._complaint(f"{line!r} was answered {answer.decode()!r}")
        return answers

    # Configuration space

    def _config_lines(self, offset: int, width: int, value: int | None) -> list[str]:
        address = 0x8000_0000 | self._slot << 11 | offset & 0xFC
        port = _CONFIG_DATA | offset & 3
        access = f"in{_SIZE[width]} {port:#x}" if value is None else f"out{_SIZE[width]} {port:#x} {value:#x}"
        return [f"outl {_CONFIG_ADDRESS:#x} {address:#x}", access]

    def config_read(self, offset: int, width: int) -> int:
        """*width* bytes of configuration space, naturally aligned."""
        return int(self._exchange(self._config_lines(offset, width, None))[1][3:], 16)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """Write *width* bytes of configuration space, naturally aligned."""
        self._exchange(self._config_lines(offset, width, value))

    def _find(self) -> None:
        """Find the device on bus 0, place its BAR 0 and switch it on."""
        for self._slot in range(32):
            if self.config_read(0x00, 2) == _VENDOR_VIRTIO:
                break
        else:
            raise self._complaint("no virtio device on bus 0")
        self.device_id = self.config_read(0x02, 2)
        self.subsystem_id = self.config_read(0x2E, 2)
        self._msix_at = self.capability(_CAPABILITY_MSIX)
        #: MSI-X table entries; 0 without the capability.
        self.vectors = 0 if self._msix_at is None else (self.config_read(self._msix_at + 2, 2) & 0x7FF) + 1
        self.config_write(0x10, 4, 0xFFFF_FFFF)
        mask = self.config_read(0x10, 4)
        if not mask & 1:
            raise self._complaint("BAR 0 is not an I/O BAR")
        #: Bytes of BAR 0: beyond them the legacy window does not decode.
        self.window_size = -(mask & 0xFFFF_FFFC) & 0xFFFF_FFFF
        self.config_write(0x10, 4, _IO_BASE)
        self.config_write(0x04, 2, 0x0007)
        self.msix = False

    def capability(self, wanted: int) -> int | None:
        """Offset of the first capability with the id *wanted*."""
        at = self.config_read(0x34, 1)
        while at:
            found, following = self.config_read(at, 1), self.config_read(at + 1, 1)
            if found == wanted:
                return at
            at = following
        return None

    def _msix_lines(self, enable: bool) -> list[str]:
        if self._msix_at is None:
            raise QtestError(f"this {self.kind} device has no MSI-X")
        return self._config_lines(self._msix_at + 3, 1, 0x80 if enable else 0)

    def set_msix(self, enable: bool) -> None:
        """Switch MSI-X Enable, which moves the device configuration by four bytes.

        Raises
        ------
        QtestError
            If the device has no MSI-X capability.
        """
        self.run([SetMsix(enable)])

    # Guest memory

    def memory_read(self, address: int, size: int) -> bytes:
        """*size* bytes of the guest's memory, of which there are 128 MiB, all zero at first."""
        return bytes.fromhex(self._exchange([f"read {address:#x} {size:#x}"])[0][5:].decode())

    def memory_write(self, address: int, data: bytes) -> None:
        """Write *data* to the guest's memory."""
        self._exchange([f"write {address:#x} {len(data):#x} 0x{data.hex()}"])

    def place_bar(self, index: int, address: int) -> None:
        """Give a 32-bit memory BAR its address."""
        self.config_write(0x10 + 4 * index, 4, address)

    def load(self, address: int, width: int) -> int:
        """One access of *width* bytes (1, 2, 4 or 8) to memory space."""
        return int(self._exchange([f"read{_SIZE[width]} {address:#x}"])[0][3:], 16)

    def store(self, address: int, width: int, value: int) -> None:
        """One access of *width* bytes (1, 2, 4 or 8) to memory space."""
        self._exchange([f"write{_SIZE[width]} {address:#x} {value:#x}"])

    # The legacy window

    def run(self, steps: Sequence[Step]) -> list[int]:
        """Carry out *steps* in order, in one batch; what was read, and 0 for each that is no read."""
        lines: list[str] = []
        ends = []
        for step in steps:
            if isinstance(step, SetMsix):
                lines += self._msix_lines(step.enable)
                self.msix = step.enable
            elif step.value is None:
                lines.append(f"in{_SIZE[step.width]} {_IO_BASE + step.offset:#x}")
            else:
                lines.append(f"out{_SIZE[step.width]} {_IO_BASE + step.offset:#x} {step.value:#x}")
            ends.append(len(lines) - 1)
        answers = self._exchange(lines)
        self.accesses += len(steps)
        return [int(answers[end][3:] or b"0", 16) for end in ends]

    def read(self, offset: int, width: int) -> int:
        """*width* bytes (1, 2 or 4) at *offset* of the legacy window; QEMU splits what is not aligned."""
        return self.run([Access(offset, width)])[0]

    def write(self, offset: int, width: int, value: int) -> None:
        """Write *width* bytes at *offset* of the legacy window."""
        self.run([Access(offset, width, value)])

    def reset_device(self) -> None:
        """Reset by writing zero to the device status."""
        self.write(0x12, 1, 0)

    def config_bytes(self) -> bytes:
        """The device configuration.

        QEMU shows 0xff beyond its end, so 0xff bytes at the end of a configuration are taken for that.
        """
        start = 0x18 if self.msix else 0x14
        count = self.window_size - start
        return bytes(self.run([Access(start + at, 1) for at in range(count)])).rstrip(b"\xff")


#: Where the modern BAR is put, above the guest's memory.
_MODERN_BASE = 0xC000_0000


class ModernBar:
    """The modern BAR 4 of a `QtestDevice`: common configuration, then pages for the others."""

    def __init__(self, device: QtestDevice) -> None:
        self._device = device
        #: Accesses so far.
        self.accesses = 0
        device.config_write(0x20, 4, _MODERN_BASE)
        device.config_write(0x24, 4, 0)

    def read(self, offset: int, width: int) -> int:
        """*width* bytes (1, 2 or 4) at *offset*."""
        self.accesses += 1
        return self._device.load(_MODERN_BASE + offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """Write *width* bytes at *offset*."""
        self.accesses += 1
        self._device.store(_MODERN_BASE + offset, width, value)

    def set_msix(self, enable: bool) -> None:
        """Switch MSI-X Enable."""
        self._device.set_msix(enable)

"""Linux guests: what each device's stock driver is made to do, and what is expected of it.

The guest's script prints lines that start with ``guest: ``; a name follows, then what there is to say.
"""

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from virtio_mmr_sim.device.block import Block
from virtio_mmr_sim.device.entropy import Entropy
from virtio_mmr_sim.device.function import FunctionDevice

from . import initramfs, packages
from .qemu import memory_file

#: Kernel parameters: a console, an end instead of a hang, and nothing that takes time for nothing.
_PARAMETERS = "console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable no_timer_check"

_COMMON = """
slot=$(basename $(readlink -f /sys/bus/virtio/devices/virtio0/..))
echo "guest: kernel $(uname -r)"
echo "guest: pci $(cat /sys/bus/pci/devices/$slot/vendor) $(cat /sys/bus/pci/devices/$slot/device)"
echo "guest: driver $(basename $(readlink /sys/bus/pci/devices/$slot/driver)) \
$(basename $(readlink /sys/bus/virtio/devices/virtio0/driver))"
dmesg | grep -q 'leaving for legacy driver' && echo "guest: interface legacy" || echo "guest: interface modern"
"""

# A sum over all processors for each line of the device, in the order of vectors.
_INTERRUPTS = """
sleep 0.5
grep virtio0 /proc/interrupts | while read line; do
  set -- $line; shift; count=0
  while [ "$1" -eq "$1" ] 2>/dev/null; do count=$((count + $1)); shift; done
  for name in $*; do :; done
  echo "guest: interrupts $name $count"
done
"""

_RNG = """
for i in 1 2 3 4; do
  echo "guest: random $(dd if=/dev/hwrng bs=32 count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \\n')"
done
"""

_BLK = """
echo "guest: sectors $(cat /sys/block/vda/size)"
echo "guest: md5 $(dd if=/dev/vda bs=64k count=16 2>/dev/null | md5sum | cut -d' ' -f1)"
echo -n "written by $(uname -r)" | dd of=/dev/vda bs=512 seek=4096 conv=sync,fsync 2>/dev/null \
  || echo "guest: failed to write"
"""


class Task(Protocol):
    """One kind of device, from both sides."""

    #: Modules to load, and what the guest does with the device then.
    modules: tuple[str, ...]
    script: str

    def make(self) -> FunctionDevice:
        """The device itself."""

    def problems(self, said: dict[str, list[str]]) -> list[str]:
        """What is wrong with what the guest says, or with what it has left behind."""

    def close(self) -> None:
        """Let go of everything."""


class Rng:
    """The guest reads random numbers four times, and gets others each time."""

    modules: tuple[str, ...] = ("virtio-rng",)
    script = _RNG

    def __init__(self) -> None:
        self._given: list[bytes] = []

    def _source(self, size: int) -> bytes:
        self._given.append(os.urandom(size))
        return self._given[-1]

    def make(self) -> FunctionDevice:
        """An entropy device."""
        return Entropy(self._source)

    def problems(self, said: dict[str, list[str]]) -> list[str]:
        """All numbers must be the device's, and differ."""
        numbers = [bytes.fromhex(text) for text in said.get("random", [])]
        found = [] if len(set(numbers)) == 4 else [f"4 different random numbers were due, not {said.get('random')}"]
        given = b"".join(self._given)
        return found + [f"{number.hex()} is not what the device gave" for number in numbers if number not in given]

    def close(self) -> None:
        """Nothing to do."""


class Disk:
    """The guest reads a megabyte, and writes one sector.

    Without a *path* the image has no name, and 16 MiB that are the same each time.
    """

    modules: tuple[str, ...] = ("virtio_blk",)
    script = _BLK
    #: Where the guest writes, in sectors.
    SECTOR = 4096

    def __init__(self, path: Path | None = None):
        data = b"" if path else random.Random(4).randbytes(1 << 24)
        self._descriptor = os.open(path, os.O_RDWR) if path else memory_file("disk", data)
        self._first = os.pread(self._descriptor, 1 << 20, 0)
        self._size = os.fstat(self._descriptor).st_size
        self._block: Block | None = None

    def make(self) -> FunctionDevice:
        """A block device."""
        self._block = Block(Path(f"/proc/self/fd/{self._descriptor}"))
        return self._block

    def problems(self, said: dict[str, list[str]]) -> list[str]:
        """Size, checksum of what was read, and what was written, in the image."""
        expected = {"sectors": str(self._size // 512), "md5": hashlib.md5(self._first).hexdigest()}
        found = [f"{name} is {said.get(name)}, {value} was due" for name, value in expected.items()
                 if said.get(name) != [value]]
        text = f"written by {said.get('kernel', [''])[0]}".encode()
        if (written := os.pread(self._descriptor, 512, 512 * self.SECTOR)) != text.ljust(512, b"\0"):
            found.append(f"sector {self.SECTOR} of the image is {written[:40]!r}..., not {text!r}")
        return found

    def close(self) -> None:
        """Close the image."""
        if self._block is not None:
            self._block.close()
        os.close(self._descriptor)


#: What makes each device's task.
TASKS: MappingProxyType[str, Callable[[], Task]] = MappingProxyType({"rng": Rng, "blk": Disk})

_DRIVERS = MappingProxyType({"rng": "virtio_rng", "blk": "virtio_blk", "net": "virtio_net"})


@dataclass(frozen=True)
class Start:
    """What QEMU is started with."""

    arguments: list[str]
    files: dict[str, bytes]


def start(task: Task, version: str, *, msix: bool = True, parameters: str = "",
          progress: Callable[[str], None] = lambda text: None) -> Start:
    """A guest with kernel *version* that does *task*, without MSI-X if it is not to have it.

    Raises
    ------
    packages.PackagesMissing
        If kernel or tools cannot be had.
    """
    image, modules = packages.kernel(version, progress)
    packages.bundle("busybox", progress)
    words = " ".join([_PARAMETERS, *([] if msix else ["pci=nomsi"]), *([parameters] if parameters else [])])
    return Start(
        ["-smp", "1", "-kernel", "@kernel", "-initrd", "@initramfs", "-append", words],
        {"kernel": image.read_bytes(),
         "initramfs": initramfs.linux(modules, task.modules, _COMMON + task.script + _INTERRUPTS)})


def said(console: str) -> dict[str, list[str]]:
    """What the guest's script has printed, by name."""
    found: dict[str, list[str]] = {}
    for line in console.splitlines():
        _, marker, rest = line.partition("guest: ")
        if marker:
            name, _, text = rest.strip().partition(" ")
            found.setdefault(name, []).append(text)
    return found


def problems(task: Task, device: str, console: str, *, modern: bool, sent: dict[str, int]) -> list[str]:
    """What went wrong in a guest, judged by its console and by the interrupts *sent* to it."""
    words = said(console)
    expected = {"driver": [f"virtio-pci {_DRIVERS[device]}"], "interface": ["modern" if modern else "legacy"],
                "warnings": ["0"], "done": [""], "failed": None}
    found = [f"the guest says {name} {words.get(name)}, not {value}" for name, value in expected.items()
             if words.get(name) != value]
    heard = [line.split() for line in words.get("interrupts", [])]
    counts = {str(vector): int(count) for vector, (_, count) in enumerate(heard) if int(count)}
    if "line" in sent:
        counts = {"line": sum(counts.values())}
    if not counts or counts != sent:
        found.append(f"interrupts by vector: the guest has heard {counts}, {sent} were sent")
    return found + task.problems(words)

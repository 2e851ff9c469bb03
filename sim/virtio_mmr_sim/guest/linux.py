"""Linux guests: what each device's stock driver is made to do, and what is expected of it.

The guest's script prints lines that start with ``guest: ``; a name follows, then what there is to say.
"""

import hashlib
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from virtio_mmr_sim.device.block import Block
from virtio_mmr_sim.device.entropy import Entropy
from virtio_mmr_sim.device.function import FunctionDevice
from virtio_mmr_sim.device.net import Net
from virtio_mmr_sim.device.peer import Peer

from . import designs, initramfs, packages
from .designs import Show
from .qemu import memory_file, tool
from .session import Machine, Outcome, Session

#: Kernel parameters: a console, an end instead of a hang, and nothing that takes time for nothing.
PARAMETERS = "console=ttyS0 panic=-1 quiet mitigations=off tsc=reliable no_timer_check ipv6.disable=1"

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
sleep 0.3
grep virtio0 /proc/interrupts | while read line; do
  set -- $line; shift; count=0
  while [ "$1" -eq "$1" ] 2>/dev/null; do count=$((count + $1)); shift; done
  for name in $*; do :; done
  echo "guest: interrupts $name $count"
done
echo "guest: counted"
sleep 0.3
"""

#: What the guest prints when nothing is on its way and it has read its counts of interrupts.
_COUNTED = "guest: counted"

_RNG = """
for i in 1 2 3 4; do
  echo "guest: random $(dd if=/dev/hwrng bs=32 count=1 2>/dev/null | od -An -v -tx1 | tr -d ' \\n')"
done
"""

_BLK = """
echo "guest: sectors $(cat /sys/block/vda/size)"
echo -n "written by $(uname -r)" | dd of=/dev/vda bs=512 seek=4096 conv=sync,fsync 2>/dev/null \
  || echo "guest: failed to write"
"""

_BLK_BULK = """
echo "guest: md5 $(dd if=/dev/vda bs=64k count=16 2>/dev/null | md5sum | cut -d' ' -f1)"
"""

_NET = """
ip addr add {guest} dev eth0
ip link set eth0 up
echo "guest: mac $(cat /sys/class/net/eth0/address)"
echo "guest: ping $(ping -c 10 -i 0.1 -W 5 {peer} | grep -o '[0-9]* packets received')"
"""

_NET_BULK = """
echo "guest: file $(wget -q -O - http://{peer}/file | md5sum | cut -d' ' -f1)"
"""


class Task(Protocol):
    """One kind of device, from both sides."""

    #: Modules to load.
    modules: tuple[str, ...]
    #: What the guest does with the device: one thing after the other, so that each interrupt is heard; then, after the
    #: interrupts were counted, much at once, of which some interrupts may be one to the guest's processor.
    script: str
    bulk: str

    def make(self) -> FunctionDevice:
        """The device itself."""

    def problems(self, said: dict[str, list[str]]) -> list[str]:
        """What is wrong with what the guest says, or with what it has left behind."""

    def close(self) -> None:
        """Let go of everything."""


class Rng:
    """The guest reads random numbers four times, and gets others each time."""

    modules: tuple[str, ...] = ("virtio-rng",)
    script, bulk = _RNG, ""

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
        # The console may end in the middle of a line.
        numbers = [bytes.fromhex(text) for text in said.get("random", []) if re.fullmatch("[0-9a-f]{64}", text)]
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
    script, bulk = _BLK, _BLK_BULK
    #: Where the guest writes, in sectors.
    SECTOR = 4096

    def __init__(self, path: Path | None = None):
        data = b"" if path else random.Random(4).randbytes(512 * designs.SECTORS)
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


class Network:
    """The guest pings a peer, and fetches a file from it over HTTP.

    *function* is the number of the device's function; the addresses of all but the first count up.
    """

    modules: tuple[str, ...] = ("virtio_net",)

    def __init__(self, function: int = 0) -> None:
        #: That of the first function is the default of device files.
        self.mac = (0x525400123456 + function).to_bytes(6, "big").hex(":")
        self._file = random.Random(5).randbytes(200_000)
        self._peer = Peer({"file": self._file})
        peer = self._peer.host.address
        self.script, self.bulk = _NET.format(peer=peer, guest=f"{peer + 20}/24"), _NET_BULK.format(peer=peer)

    def make(self) -> FunctionDevice:
        """A network device with the peer at the other end of its cable."""
        return Net(self._peer)

    def problems(self, said: dict[str, list[str]]) -> list[str]:
        """The address of the device, answers, and the checksum of the file."""
        expected = {"mac": self.mac, "ping": "10 packets received", "file": hashlib.md5(self._file).hexdigest()}
        found = [f"{name} is {said.get(name)}, {value} was due" for name, value in expected.items()
                 if said.get(name) != [value]]
        if self._peer.host.pings != 10:
            found.append(f"the peer has answered {self._peer.host.pings} pings, 10 were due")
        return found

    def close(self) -> None:
        """Nothing to do."""


#: What makes each device's task.
TASKS: MappingProxyType[str, Callable[[], Task]] = MappingProxyType({"rng": Rng, "blk": Disk, "net": Network})

_DRIVERS = MappingProxyType({"rng": "virtio_rng", "blk": "virtio_blk", "net": "virtio_net"})


@dataclass(frozen=True)
class Boot:
    """What a guest is to be."""

    device: str
    show: Show = Show.RAW
    kernel: str = packages.KERNELS[-1]
    msix: bool = True

    def __str__(self) -> str:
        return f"Linux {self.kernel}, {self.device}, {self.show.value}, {'MSI-X' if self.msix else 'INTx'}"


def start(machine: Machine, boot: Boot, task: Task, *, parameters: str = "",
          echo: Callable[[str], None] | None = None, progress: Callable[[str], None] = lambda text: None) -> None:
    """Start the guest on *machine*, with more kernel *parameters*.

    Raises
    ------
    packages.PackagesMissing
        If kernel or tools cannot be had.
    """
    image, modules = packages.kernel(boot.kernel, progress)
    packages.bundle("busybox", progress)
    words = " ".join([PARAMETERS, *([] if boot.msix else ["pci=nomsi"]), *([parameters] if parameters else [])])
    script = _COMMON + task.script + _INTERRUPTS + task.bulk
    machine.mark(_COUNTED)
    machine.start(
        ["-smp", "1", "-kernel", "@kernel", "-initrd", "@initramfs", "-append", words], echo=echo,
        files={"kernel": image.read_bytes(), "initramfs": initramfs.linux(modules, task.modules, script)})


def problems(boot: Boot, task: Task, machine: Machine) -> list[str]:
    """What went wrong in the guest that has run on *machine*, in words."""
    words, sent = machine.said, machine.marked
    interface = "modern" if boot.show is Show.MODERN else "legacy"
    expected = {"driver": [f"virtio-pci {_DRIVERS[boot.device]}"], "interface": [interface], "warnings": ["0"],
                "done": [""], "failed": None}
    found = [f"the guest says {name} {words.get(name)}, not {value}" for name, value in expected.items()
             if words.get(name) != value]
    heard = [line.split() for line in words.get("interrupts", [])]
    numbers = [int(line[1]) if len(line) == 2 and line[1].isdecimal() else 0 for line in heard]
    counts = {str(vector): count for vector, count in enumerate(numbers) if count}
    if "line" in sent:
        counts = {"line": sum(counts.values())}
    if not counts or counts != sent:
        found.append(f"interrupts by vector: the guest has heard {counts}, {sent} were sent")
    if boot.msix is ("line" in sent):
        found.append(f"the guest was to have {'MSI-X' if boot.msix else 'INTx'}, not {sent}")
    return found + task.problems(words)


def run(boot: Boot, *, task: Task | None = None, limit: float = 300, keep: bool = False, parameters: str = "",
        echo: Callable[[str], None] | None = None, progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """Build the design, boot a guest, and judge what it has done; its accesses are kept if *keep* says so.

    Raises
    ------
    qemu.QemuError, packages.PackagesMissing
        If QEMU, kernel or tools cannot be had.
    GuestFailed
        If the guest does not come to its end.
    """
    task = task or TASKS[boot.device]()
    try:
        tool(progress)
        packages.kernel(boot.kernel, progress)
        progress("building the device ...")
        with Session(designs.text(boot.device, boot.show), lambda number: task.make(), keep=keep) as session:
            machine = session.show(boot.show)
            start(machine, boot, task, parameters=parameters, echo=echo, progress=progress)
            session.run(limit)
            return session.outcome(machine, problems(boot, task, machine))
    finally:
        task.close()

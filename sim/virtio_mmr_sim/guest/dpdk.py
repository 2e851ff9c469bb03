"""DPDK's testpmd polls the design with its own virtio driver, and sends every frame back with addresses exchanged."""

import re
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from virtio_mmr_sim.device.function import FunctionDevice
from virtio_mmr_sim.device.net import Net
from virtio_mmr_sim.device.network.mirror import Source

from . import designs, initramfs, packages
from .designs import Show
from .linux import PARAMETERS
from .qemu import tool
from .session import GuestFailed, Outcome, Session

KERNEL = "6.12"
MAC = bytes.fromhex("525400123456")

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"

#: Drivers of buses, memory pools and devices that are loaded; the program knows the folder.
_PLUGINS = ("bus_pci", "bus_vdev", "mempool_ring", "net_virtio")

#: What testpmd prints when it forwards.
_READY = "Press enter to exit"

_SCRIPT = """
slot=$(basename $(readlink -f /sys/bus/virtio/devices/virtio0/..))
echo $slot > /sys/bus/pci/drivers/virtio-pci/unbind
echo uio_pci_generic > /sys/bus/pci/devices/$slot/driver_override
echo $slot > /sys/bus/pci/drivers_probe
echo "guest: driver $(basename $(readlink /sys/bus/pci/devices/$slot/driver))"
chmod 755 /
mkdir -p /dev/hugepages /var/run
mount -t hugetlbfs hugetlbfs /dev/hugepages
dpdk-testpmd -l 0,1 -n 1 --iova-mode=pa --no-telemetry -a $slot -- \
  --forward-mode=macswap --auto-start --total-num-mbufs=4096 < /dev/ttyS0
"""


def _files(root: Path) -> Iterator[tuple[str, int, bytes]]:
    """testpmd with the libraries that it and the plugins need, as the package's own loader finds them."""
    libraries = root / _LIBRARIES
    program = root / "usr/bin/dpdk-testpmd"
    plugins = [path for name in _PLUGINS for path in libraries.glob(f"dpdk/pmds-*/librte_{name}.so.*.0")]
    needed: dict[str, Path] = {"libgcc_s.so.1": libraries / "libgcc_s.so.1"}
    for path in (program, *plugins):
        listed = subprocess.run([libraries / _LOADER, "--library-path", libraries, "--list", path],
                                capture_output=True, text=True, check=True).stdout
        needed |= {name: Path(found) for name, found in re.findall(r"(\S+) => (/\S+)", listed)}
    yield "bin/dpdk-testpmd", 0o755, program.read_bytes()
    yield f"lib64/{_LOADER}", 0o755, (libraries / _LOADER).read_bytes()
    for name, path in needed.items():
        yield f"{_LIBRARIES}/{name}", 0o755, path.read_bytes()
    for path in plugins:
        # What the program is linked with must not be there a second time, or its constructors run twice.
        if (name := path.name.removesuffix(".0")) in needed:
            yield str(path.relative_to(root)), stat.S_IFLNK | 0o777, f"/{_LIBRARIES}/{name}".encode()
        else:
            yield str(path.relative_to(root)), 0o755, path.read_bytes()


def run(show: Show, frames: int, *, limit: float = 600, keep: bool = False, echo: Callable[[str], None] | None = None,
        progress: Callable[[str], None] = lambda text: None) -> Outcome:
    """Send *frames* through testpmd; each must come back as it should.

    Raises
    ------
    qemu.QemuError, packages.PackagesMissing
        If QEMU, kernel or DPDK cannot be had.
    GuestFailed
        If testpmd does not start to forward, or frames stay away.
    """
    tool(progress)
    image, modules = packages.kernel(KERNEL, progress)
    packages.bundle("busybox", progress)
    archive = initramfs.linux(modules, ("uio", "uio_pci_generic"), _SCRIPT, _files(packages.bundle("dpdk", progress)))
    source = Source(MAC, frames, time.monotonic, patience=limit)
    device: FunctionDevice = Net(source)
    progress("building the device ...")
    with Session(designs.text("net", show), lambda number: device, keep=keep) as session:
        machine = session.show(show)
        started = False

        def hear(text: str) -> None:
            nonlocal started
            if echo is not None:
                echo(text)
            if not started and _READY in machine.console:
                started = True
                source.start()

        machine.start(
            ["-smp", "2", "-cpu", "max", "-kernel", "@kernel", "-initrd", "@initramfs", "-append",
             f"{PARAMETERS} hugepages=128"],
            megabytes=1024, echo=hear, files={"kernel": image.read_bytes(), "initramfs": archive})
        session.run(limit, lambda: source.done)
        if not started:
            raise GuestFailed("testpmd did not start to forward; look with --console\n  " +
                              "\n  ".join(machine.console.splitlines()[-8:]))
        problems = [] if (source.returned, source.lost, source.strange) == (frames, 0, 0) else [
            f"of {frames} frames {source.returned} came back, {source.lost} were lost, {source.strange} were others"]
        words = {"driver": machine.said.get("driver", []), "frames": [f"{source.returned} of {frames} came back"]}
        return session.outcome(machine, problems, words)

"""What guests are made of: kernels, a shell and boot ROMs from Debian's packages, in private folders, without root."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle.fetch import FetchError, Plan, fetch_plan

#: What a kernel's package depends on, and a guest that brings its own initramfs does not need.
_NOT_IN_A_GUEST = ("kmod", "linux-base", "initramfs-tools", "dracut", "linux-initramfs-tool", "debconf")


def _kernel(release: str) -> Plan:
    """The newest kernel of *release*: its version is part of the package's name, and this one depends on it."""
    return Plan((release,), ("linux-image-cloud-amd64",), ("linux",), _NOT_IN_A_GUEST)


#: By name: Linux kernels by version, a shell for their guests, DPDK's testpmd, and the boot ROMs of network cards.
BUNDLES = MappingProxyType({
    "6.12": _kernel("trixie"),
    "6.1": _kernel("bookworm"),
    "busybox": Plan(("trixie",), ("busybox-static",), ("busybox",)),
    "dpdk": Plan(("trixie",), ("dpdk-dev", "librte-net-virtio25", "librte-mempool-ring25", "libgcc-s1"), ("testpmd",),
                 ("libdpdk-dev", "python3", "sse4.2-support")),
    "ipxe": Plan(("trixie",), ("ipxe-qemu",), ("ipxe",), ()),
})

#: Linux versions that a guest can run.
KERNELS = ("6.1", "6.12")


class PackagesMissing(RuntimeError):
    """A guest lacks a part; the text says which, and how to get it."""


def bundle(name: str, progress: Callable[[str], None] = lambda text: None) -> Path:
    """Folder into which the bundle is unpacked; fetched at the first request.

    Raises
    ------
    PackagesMissing
        If it cannot be had.
    """
    prefix = toolchain.folder() / "guests" / name
    plan = BUNDLES[name]
    try:
        fetch_plan(plan, prefix, progress)
    except FetchError as error:
        raise PackagesMissing(
            f"this guest needs Debian's {', '.join(plan.packages)} from {plan.suites[-1]}, which could not be fetched: "
            f"{error}; unpack them below {prefix} yourself, and put a file {toolchain.PREFIX_STAMP} with {{}} "
            "in that folder"
        ) from None
    return prefix


def kernel(version: str, progress: Callable[[str], None] = lambda text: None) -> tuple[Path, Path]:
    """A kernel's image, and the folder of its modules.

    Raises
    ------
    PackagesMissing
        If it cannot be had.
    """
    root = bundle(version, progress)
    images = sorted(root.glob("boot/vmlinuz-*"))
    modules = sorted([*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")])
    if not images or not modules:
        raise PackagesMissing(f"{root} holds no Linux {version}: delete it, and it is fetched again")
    return images[-1], modules[-1]

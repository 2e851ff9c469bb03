"""The first and only file system of a Linux guest: a cpio archive in the kernel's "newc" format.

It holds busybox, the kernel modules that a device needs, and one script as ``/init``.
"""

import lzma
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import packages

#: In the order of loading. What a kernel has built in, it has no file of.
MODULES = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover",
           "net_failover")

_PREAMBLE = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in {modules}; do insmod /modules/$module.ko || echo "guest: failed $module"; done
"""

_END = """
echo "guest: warnings $(dmesg | grep -cE 'WARNING:|BUG:|Oops|Call Trace')"
echo "guest: done"
poweroff -f
"""


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """The archive of *files*: mode and contents by path, folders before what is in them."""
    parts: list[bytes] = []
    for number, (name, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0"
        parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]
    return b"".join(parts)


def _module(folder: Path, name: str) -> bytes | None:
    """A module's file; None if the kernel has it built in."""
    for path in (*folder.rglob(f"{name}.ko"), *folder.rglob(f"{name}.ko.xz")):
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    return None


def linux(modules_folder: Path, modules: Sequence[str], script: str, extra: Iterable[tuple[str, int, bytes]] = ()
          ) -> bytes:
    """The archive for a kernel whose modules are in *modules_folder*: it loads *modules*, then runs *script*.

    *extra* are more files: path, mode and contents; a link's are where it leads.
    """
    files: dict[str, tuple[int, bytes]] = {}
    for folder in ("bin", "dev", "proc", "sys", "modules", "mnt"):
        files[folder] = (stat.S_IFDIR | 0o755, b"")
    busybox = packages.bundle("busybox") / "usr/bin/busybox"
    files["bin/busybox"] = (stat.S_IFREG | 0o755, busybox.read_bytes())
    loaded = []
    for name in (*MODULES, *modules):
        if (data := _module(modules_folder, name)) is not None:
            files[f"modules/{name}.ko"] = (stat.S_IFREG | 0o644, data)
            loaded.append(name)
    for path, mode, data in extra:
        for parent in reversed(Path(path).parents[:-1]):
            files.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
        files[path] = (mode if stat.S_IFMT(mode) else stat.S_IFREG | mode, data)
    text = _PREAMBLE.format(modules=" ".join(loaded)) + script + _END
    files["init"] = (stat.S_IFREG | 0o755, text.encode())
    return archive(files)

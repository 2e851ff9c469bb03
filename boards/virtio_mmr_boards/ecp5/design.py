"""Everything that yosys reads for the ECP5 board."""

from collections.abc import Mapping

from virtio_mmr.config import DeviceConfig

from virtio_mmr_boards.board import Board

from .script import script
from .shell import traffic
from .top import TOP, top


def sources(board: Board, device: DeviceConfig, mhz: float) -> Mapping[str, str]:
    """Verilog files by name: core, traffic generator, top.

    Raises
    ------
    virtio_mmr_boards.board.BoardError
        If the traffic generator cannot drive such a device.
    """
    from virtio_mmr.gateware import shell

    steps = script(device)
    core = shell.generate(device)
    return {"virtio_mmr.v": core.verilog, "traffic.v": traffic(steps), f"{TOP}.v": top(board, core.interface, mhz)}

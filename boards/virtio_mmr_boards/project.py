"""Every file of a board's project, by name."""

from collections.abc import Mapping

from virtio_mmr.config import DeviceConfig

from . import constraints
from .board import Board, Flow
from .ecp5 import design
from .ip.choose import ip_of
from .readme import readme
from .vivado import scripts, top


def project(board: Board, device: DeviceConfig, mhz: float = 125.0) -> Mapping[str, str]:
    """The project of *device*, which must be fitted to *board*; the same inputs give the same bytes.

    *mhz* is the clock of boards without a link.

    Raises
    ------
    BoardError
        If core and IP do not fit each other.
    ConfigError
        If the gateware does not build such a device.
    """
    common = {board.constraints: constraints.find(board).read_text(encoding="utf-8"), "README.md": readme(board)}
    if board.flow is Flow.TRELLIS:
        return {**design.sources(board, device, mhz), **common}
    from virtio_mmr.gateware import shell

    assert board.link is not None
    ip = ip_of(board.link)
    core = shell.generate(device)
    return {
        "virtio_mmr.v": core.verilog,
        f"{top.TOP}.v": top.top(board, ip, core.interface, device.serial),
        **scripts.scripts(board, ip, device),
        **common,
    }


"""The device of a device file as a board can have it: the board's IP and stream width, and its limits."""

from dataclasses import replace

from virtio_mmr import config
from virtio_mmr.config import DeviceConfig
from virtio_mmr.export.device_file import completed

from .board import Board, BoardError
from .ip.choose import ip_of


def fitted(board: Board, device: DeviceConfig) -> tuple[DeviceConfig, tuple[str, ...]]:
    """*device* with the board's adapter and width, and a sentence for each of its values that was replaced.

    A file that says "raw" says nothing about hard IP, so it takes the board's. One that names other hard IP is meant
    for another board.

    Raises
    ------
    BoardError
        If the device is for other hard IP, or has what the board's has not.
    virtio_mmr.config.ConfigError
        If the device breaks a rule that holds behind that IP.
    """
    wanted, width = ("raw", device.datapath.width) if board.link is None else (board.link.ip, board.link.width)
    if device.datapath.adapter not in ("raw", wanted):
        raise BoardError(f'datapath.adapter = "{device.datapath.adapter}": {board.title} has {wanted}; '
                         f'write adapter = "{wanted}", or take another board')
    if board.link is not None:
        _check_functions(board, device)
    said = []
    if device.datapath.adapter != wanted:
        said.append(f"adapter {device.datapath.adapter} becomes {wanted}")
    if device.datapath.width != width:
        said.append(f"width {device.datapath.width} becomes {width}")
    if not said:
        return device, ()
    text = completed(replace(device, datapath=replace(device.datapath, adapter=wanted, width=width)))
    return config.loads(text, f"the device on {board.title}"), tuple(said)


def _check_functions(board: Board, device: DeviceConfig) -> None:
    assert board.link is not None
    most = ip_of(board.link).virtual_functions
    if device.vf is None or device.vf.count <= most:
        return
    cure = f"write vf.count = {most}, or less" if most else "remove [vf], or take a board with UltraScale+"
    limit = f"at most {most}" if most else "no"
    raise BoardError(f"vf.count = {device.vf.count}: {board.link.ip} has {limit} virtual functions; {cure}")

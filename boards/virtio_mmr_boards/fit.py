"""The device of a device file as a board can have it: the board's IP and stream width, and its limits."""

from dataclasses import replace

from virtio_mmr import config
from virtio_mmr.config import DeviceConfig
from virtio_mmr.export.device_file import completed
from virtio_mmr.layout import place

from .board import Board, BoardError

#: Reads in flight that need no extended tags (PCI Express Base 5.0, 2.2.6.2).
ALWAYS_ALLOWED = 32


def fitted(board: Board, device: DeviceConfig, name: str = "device file") -> tuple[DeviceConfig, tuple[str, ...]]:
    """*device*, read from *name*, with the board's adapter and width, and a sentence for each change and omission.

    A file that says "raw" says nothing about hard IP, so it takes the board's. One that names other hard IP is meant
    for another board.

    Raises
    ------
    BoardError
        If the device is for other hard IP.
    virtio_mmr.config.ConfigError
        If it has what the board's IP has not: so many virtual functions, or room for its list of capabilities.
    """
    wanted, width = ("raw", device.datapath.width) if board.link is None else (board.link.ip, board.link.width)
    if device.datapath.adapter not in ("raw", wanted):
        raise BoardError(f'datapath.adapter = "{device.datapath.adapter}": {board.title} has {wanted}; '
                         f'write adapter = "{wanted}", or take another board')
    said = []
    if device.datapath.adapter != wanted:
        said.append(f"adapter {device.datapath.adapter} becomes {wanted}")
    if device.datapath.width != width:
        said.append(f"width {device.datapath.width} becomes {width}")
    if said:
        text = completed(replace(device, datapath=replace(device.datapath, adapter=wanted, width=width)))
        device = config.loads(text, f"{name} on {board.title}")
    for prefix, function in (("", device), *([("vf.", device.of(1))] if device.vf is not None else [])):
        said += [f"{prefix}{capability} is left out: {why}" for capability, why in place(function).left_out]
    return device, (*said, *_unlinked(device), *_idle_tags(device))


def _unlinked(device: DeviceConfig) -> list[str]:
    """Capabilities that nothing points at: the 7-series IP, as generated, ends its classic list before the window."""
    if device.datapath.adapter != "pcie_7x":
        return []
    found = [capability for capability in place(device).capabilities if capability.kind == "classic"]
    if not found:
        return []
    last = "MSIX_CAP_NEXTPTR" if device.msix_vectors else "PCIE_CAP_NEXTPTR"
    names = ", ".join(capability.name for capability in found)
    return [f"{names} in the classic list: software finds nothing there, because the IP as generated does not link it; "
            f"to try: set {last} of the cell PCIE_2_1 to 8'h{found[0].offset:X} after synthesis (docs/integration.md)"]


def _idle_tags(device: DeviceConfig) -> list[str]:
    """Reads that never leave: UltraScale+ does not show Extended Tag Field Enable, so the top module ties it off."""
    if not device.datapath.hard_ip.described or device.requester is None or device.requester.reads <= ALWAYS_ALLOWED:
        return []
    return [f"requester.reads = {device.requester.reads}: {ALWAYS_ALLOWED} are in flight at most, because the IP does "
            f"not show whether software has enabled extended tags; reads = {ALWAYS_ALLOWED} makes a smaller core"]


"""The guest's ports: its accesses to I/O BAR 0 become accesses of the same width to the MMR window."""

from virtio_mmr.spec.legacy import CONFIG_OFFSET, HEADER

from .consistent import ConsistentConfig
from .interrupts import Interrupts
from .translation import VECTORS, VECTORS_END, Piece, pieces
from .window import Window

ISR = HEADER["isr_status"].offset

#: Widths of port accesses, in bytes.
WIDTHS = (1, 2, 4)


class LegacyPorts:
    """Offsets are bytes from the start of the guest's BAR 0; what leaves the window reads zero and takes nothing.

    *config* keeps fields of the device configuration whole; None: every access is forwarded as it is.
    """

    def __init__(self, legacy: Window, interrupts: Interrupts, config: ConsistentConfig | None):
        self._legacy, self._interrupts, self._config = legacy, interrupts, config

    async def read(self, offset: int, width: int) -> int:
        """Read 1, 2 or 4 bytes."""
        value = 0
        for piece in self._pieces(offset, width):
            value |= await self._read_piece(piece) << 8 * (piece.offset - offset)
        if offset <= ISR < offset + width:
            value |= self._interrupts.take_isr() << 8 * (ISR - offset)
        return value

    async def write(self, offset: int, width: int, value: int) -> None:
        """Write 1, 2 or 4 bytes."""
        guest_msix = self._interrupts.guest_msix
        for piece in self._pieces(offset, width):
            part = value >> 8 * (piece.offset - offset) & (1 << 8 * piece.width) - 1
            if piece.place is None:
                await self._interrupts.vectors.write(piece.offset, piece.width, part)
            elif piece.place + piece.width <= self._legacy.length:
                await self._legacy.write(piece.place, part, piece.width)
        if guest_msix and self._interrupts.msix and offset < VECTORS_END and offset + width > VECTORS:
            await self._interrupts.vectors_written()
        if self._config is not None and offset + width > CONFIG_OFFSET[guest_msix]:
            self._config.forget()

    def _pieces(self, offset: int, width: int) -> list[Piece]:
        if width not in WIDTHS:
            raise ValueError(f"a port access of {width} bytes; there are accesses of 1, 2 and 4")
        return pieces(offset, width, self._interrupts.guest_msix, self._interrupts.msix)

    async def _read_piece(self, piece: Piece) -> int:
        if piece.place is None:
            return await self._interrupts.vectors.read(piece.offset, piece.width)
        if piece.place + piece.width > self._legacy.length:
            return 0
        start = CONFIG_OFFSET[self._interrupts.guest_msix]
        if self._config is not None and piece.offset >= start:
            base = CONFIG_OFFSET[self._interrupts.msix]
            return int.from_bytes(await self._config.read(base, piece.offset - start, piece.width), "little")
        return await self._legacy.read(piece.place, piece.width)

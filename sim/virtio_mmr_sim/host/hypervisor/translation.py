"""Where a guest's access goes when its MSI-X Enable is not the function's.

The device configuration follows the header, and the header grows by two vector registers while MSI-X is
enabled. Guest and function each have an MSI-X Enable of their own, so the same byte may stand at 0x14
for one and at 0x18 for the other; and where only the guest's is set, its vector registers are nowhere.
"""

from dataclasses import dataclass

from virtio_mmr.spec.legacy import CONFIG_OFFSET

from .window import natural

#: Where the vector registers stand, if there are any; and where they end.
VECTORS, VECTORS_END = CONFIG_OFFSET[False], CONFIG_OFFSET[True]


@dataclass(frozen=True)
class Piece:
    """Some bytes of a guest's access.

    ``offset`` is the guest's; ``place`` is where the function has them, or None for vector registers
    that only the guest has.
    """

    offset: int
    width: int
    place: int | None


def place_of(offset: int, guest_msix: bool, msix: bool) -> int | None:
    """Where the function has the byte that the guest sees at *offset*."""
    if offset < VECTORS or guest_msix == msix:
        return offset
    if guest_msix and offset < VECTORS_END:
        return None
    return offset - CONFIG_OFFSET[guest_msix] + CONFIG_OFFSET[msix]


def pieces(offset: int, width: int, guest_msix: bool, msix: bool) -> list[Piece]:
    """The accesses that one access of the guest becomes: itself, unless its bytes lie apart."""
    found: list[Piece] = []
    start = offset
    for at in range(offset + 1, offset + width + 1):
        begin = place_of(start, guest_msix, msix)
        if at < offset + width and place_of(at, guest_msix, msix) == (None if begin is None else begin + at - start):
            continue
        found.append(Piece(start, at - start, begin))
        start = at
    if len(found) == 1:
        return found
    return [
        Piece(at, size, None if piece.place is None else piece.place + at - piece.offset)
        for piece in found for at, size in natural(piece.offset, piece.width)
    ]

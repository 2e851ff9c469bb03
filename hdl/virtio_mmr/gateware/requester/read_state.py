"""What is known about a read that has a tag, in memory rows by tag."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from virtio_mmr.gateware.backend import DmaStatus

from .age import STAMP


def progress(width: int, slot: int) -> data.StructLayout:
    """How far a read has come; written when it begins, by its completions, and by its time-out.

    Fields
    ------
    position
        Where its next dword goes, in dwords from the start of its slot; a slot's end continues at its start.
    left
        Dwords that are still to come.
    status, done
    """
    return data.StructLayout({
        "position": range(slot // 4), "left": range(slot // 4 + 1), "status": DmaStatus, "done": unsigned(1),
    })


def placement(width: int, slot: int) -> data.StructLayout:
    """How a read's slot becomes a part of what its request hands back.

    Rows have *width* bits. The first byte of the request stands in lane 0 of its first row if its address is
    dword aligned; if not, its first dword stands in the last lane of a row before that.

    Fields
    ------
    context
    shift
        Lowest two bits of the request's address.
    lane
        Dword of the slot's first row in which the read begins.
    steps
        Rows to read, minus one.
    tail
        Bytes of the last row that belong to the request.
    first, last
        Position in the request.
    since
        Stamp of the time at which the read left.
    """
    lanes = width // 32
    return data.StructLayout({
        "context": unsigned(16), "shift": unsigned(2), "lane": range(lanes), "steps": range(slot // (4 * lanes) + 2),
        "tail": range(4 * lanes + 1), "first": unsigned(1), "last": unsigned(1), "since": unsigned(STAMP),
    })


def ended(width: int, slot: int, tags: int) -> data.StructLayout:
    """A read that has ended and whose turn has come."""
    return data.StructLayout({
        "tag": range(tags), "owner": unsigned(3), "status": DmaStatus, "placement": placement(width, slot),
    })

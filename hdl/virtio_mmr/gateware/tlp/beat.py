"""The core's own form of a TLP: the header beside the data, one struct a clock.

Specification: PCI Express Base 5.0, 2.2 (packet formats). Header dwords are numbers whose bit 31 is
first on the wire; payload bytes are little-endian on their lanes.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data


class MemoryHeader(data.Struct):
    """The first two dwords, which most requests share, lowest bit first."""

    length: unsigned(10)
    address_type: unsigned(2)
    attributes_low: unsigned(2)
    poisoned: unsigned(1)
    digest: unsigned(1)
    hints: unsigned(1)
    _reserved: unsigned(1)
    attribute_high: unsigned(1)
    tag_8: unsigned(1)
    traffic_class: unsigned(3)
    tag_9: unsigned(1)
    type: unsigned(5)
    fmt: unsigned(3)
    first_be: unsigned(4)
    last_be: unsigned(4)
    tag: unsigned(8)
    requester: unsigned(16)


class CompletionHeader(data.Struct):
    """A completion's three dwords, lowest bit first."""

    length: unsigned(10)
    address_type: unsigned(2)
    attributes_low: unsigned(2)
    poisoned: unsigned(1)
    digest: unsigned(1)
    hints: unsigned(1)
    _reserved: unsigned(1)
    attribute_high: unsigned(1)
    tag_8: unsigned(1)
    traffic_class: unsigned(3)
    tag_9: unsigned(1)
    type: unsigned(5)
    fmt: unsigned(3)
    byte_count: unsigned(12)
    byte_count_modified: unsigned(1)
    status: unsigned(3)
    completer: unsigned(16)
    lower_address: unsigned(7)
    _reserved_2: unsigned(1)
    tag: unsigned(8)
    requester: unsigned(16)


def tlp_beat(width: int) -> data.StructLayout:
    """One clock's worth of a TLP.

    The first beat carries the header and the payload dwords that came with it, perhaps none; later
    beats carry payload only. Lane 0 always holds the lowest address of the beat.

    Parameters
    ----------
    width
        Bits of data: 64, 128, 256 or 512.

    Fields
    ------
    header : 128 bits
        Valid on the first beat, dword 0 lowest; a three-dword header leaves the top dword unused.
    data : *width* bits
    dwords
        Payload dwords in this beat, digest included, 0 to *width* / 32.
    first, last : 1 bit
    """
    return data.StructLayout({
        "header": unsigned(128),
        "data": unsigned(width),
        "dwords": range(width // 32 + 1),
        "first": unsigned(1),
        "last": unsigned(1),
    })


def raw_beat(width: int) -> data.StructLayout:
    """One clock of an AXI4-Stream that carries TLPs as they are, header and payload in one row of dwords.

    ``keep`` has one bit a dword and is contiguous from lane 0.
    """
    return data.StructLayout({
        "data": unsigned(width),
        "keep": unsigned(width // 32),
        "last": unsigned(1),
    })


#: Bits of a ticket: a place among the completions on their way out, so that a write can keep its own.
TICKET = 7


def completion_beat(width: int) -> data.StructLayout:
    """One clock's worth of an inbound completion; ``malformed`` counts on its last beat."""
    return data.StructLayout({"beat": tlp_beat(width), "malformed": unsigned(1)})

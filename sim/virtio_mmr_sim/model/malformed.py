"""Which packets are malformed: dropped without a completion, whatever they ask for.

Specification: PCI Express Base 5.0, 2.2.2 (payload), 2.2.5 (byte enables), 2.2.7 (requests), 2.3.1.
"""

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from virtio_mmr.spec.tlp import TlpType

from .tlp import DATA, WIDE, length_of

#: A memory request ends in the same block of this many bytes in which it begins.
PAGE = 4096


class Malformed(enum.Enum):
    """Why a packet is malformed, in the order in which the reasons are looked for."""

    TYPE = "no such combination of format and type"
    SIZE = "the packet is not as long as its header says"
    PAYLOAD = "the payload is larger than Max_Payload_Size"
    CROSSING = "the request crosses a 4 KiB boundary"
    FIXED_FIELDS = "an I/O or configuration request has a field that must be fixed"
    BYTE_ENABLES = "the byte enables break a rule"


class Rules(NamedTuple):
    """What is checked for a kind of packet beyond its size."""

    #: Lies in one page, and its byte enables follow the rules.
    memory: bool = False
    #: One dword, no last byte enables, traffic class 0, no attributes.
    fixed_fields: bool = False


def _known() -> dict[int, Rules]:
    """Rules by the top byte of a packet (format and type); what is missing is malformed."""
    known: dict[int, Rules] = {}

    def add(formats: Sequence[int], kind: int, rules: Rules) -> None:
        known.update((fmt << 5 | kind, rules) for fmt in formats)

    add((0, WIDE, DATA, DATA | WIDE), TlpType.MEMORY, Rules(memory=True))
    add((0, WIDE), TlpType.MEMORY_LOCKED, Rules(memory=True))
    for kind in (TlpType.IO, TlpType.CONFIG_0, TlpType.CONFIG_1):
        add((0, DATA), kind, Rules(fixed_fields=True))
    for kind in (TlpType.COMPLETION, TlpType.COMPLETION_LOCKED):
        add((0, DATA), kind, Rules())
    for kind in (TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP):
        add((DATA, DATA | WIDE), kind, Rules())
    for routing in range(8):
        add((WIDE, DATA | WIDE), TlpType.MESSAGE | routing, Rules())
    return known


KNOWN: Mapping[int, Rules] = MappingProxyType(_known())

#: Byte enables without a gap that reach the last lane, and the first lane.
UP_TO_THE_END, FROM_THE_START = frozenset({0xF, 0xE, 0xC, 0x8}), frozenset({0xF, 0x7, 0x3, 0x1})


def byte_enables_are_legal(address: int, length: int, first_be: int, last_be: int) -> bool:
    """The rules of 2.2.5 for a memory request of *length* dwords at *address*."""
    if length == 1:
        return last_be == 0
    if first_be == 0 or last_be == 0:
        return False
    if length == 2 and address % 8 == 0:
        return True
    return first_be in UP_TO_THE_END and last_be in FROM_THE_START


def why_malformed(dwords: Sequence[int], max_payload: int, check_byte_enables: bool) -> Malformed | None:
    """Why the packet is malformed, None if it is not; *max_payload* is in bytes, as now set."""
    dword0 = dwords[0] if dwords else 0
    rules = KNOWN.get(dword0 >> 24)
    if rules is None:
        return Malformed.TYPE

    length = length_of(dword0)
    has_data = dword0 >> 29 & DATA != 0
    header = 4 if dword0 >> 29 & WIDE else 3
    if len(dwords) != header + (length if has_data else 0) + (dword0 >> 15 & 1):
        return Malformed.SIZE
    if has_data and 4 * length > max_payload:
        return Malformed.PAYLOAD

    first_be, last_be = dwords[1] & 0xF, dwords[1] >> 4 & 0xF
    if rules.fixed_fields:
        # The third attribute is reserved there.
        traffic_class, attributes = dword0 >> 20 & 7, dword0 >> 12 & 3
        if traffic_class or attributes or length != 1 or last_be:
            return Malformed.FIXED_FIELDS
    if rules.memory:
        address = dwords[header - 1] & 0xFFFF_FFFC
        if address % PAGE + 4 * length > PAGE:
            return Malformed.CROSSING
        steered_read = dword0 >> 16 & 1 and not has_data
        if check_byte_enables and not steered_read and not byte_enables_are_legal(
                address, length, first_be, last_be):
            return Malformed.BYTE_ENABLES
    return None

"""Transaction layer packets as lists of dwords: build, take apart, and the arithmetic of completions.

Header dwords are numbers (bit 31 is the first bit on the wire); payload dwords carry the byte of the
lowest address in bits 7:0. Whatever these classes cannot say, a test says with raw dwords.

Specification: PCI Express Base 5.0, 2.2 (formats), 2.2.5 (byte enables), 2.2.9 (completions).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from virtio_mmr.spec.tlp import READ_COMPLETION_BOUNDARY, CompletionStatus, TlpType

#: Format bits: a fourth header dword, a payload.
WIDE, DATA = 0b001, 0b010

#: Most dwords of a payload; the length field says 0 for it.
MOST_DWORDS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """What every packet carries."""

    requester: int = 0
    #: 10 bits.
    tag: int = 0
    traffic_class: int = 0
    #: 3 bits: id-based ordering, relaxed ordering, no snoop.
    attributes: int = 0
    poisoned: bool = False
    #: End-to-end check dword, if there is one.
    digest: int | None = None
    #: TLP processing hint present.
    hint: bool = False
    lightweight: bool = False
    address_type: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRequest(Common):
    """Memory read, locked read or write; *length* counts dwords, *payload* is empty for reads."""

    write: bool = False
    locked: bool = False
    #: Byte address of the first dword, a multiple of 4.
    address: int
    length: int = 1
    first_be: int = 0xF
    last_be: int = 0
    payload: tuple[int, ...] = ()
    #: Four header dwords even though the address fits three.
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AtomicRequest(Common):
    """Fetch and add, swap, or compare and swap."""

    operation: TlpType
    address: int
    payload: tuple[int, ...]
    first_be: int = 0xF
    last_be: int = 0
    wide: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class IoRequest(Common):
    """I/O read or write of one dword."""

    write: bool = False
    address: int
    first_be: int = 0xF
    data: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigRequest(Common):
    """Configuration read or write of one dword; *type1* is meant for the far side of a bridge."""

    write: bool = False
    type1: bool = False
    bus: int = 0
    device: int = 0
    function: int = 0
    #: Byte offset of the dword in configuration space.
    offset: int
    first_be: int = 0xF
    data: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Message(Common):
    """Message, with data if *payload* is not None."""

    code: int
    #: 3 bits: how the message is routed.
    routing: int = 0b100
    #: Header dwords 2 and 3.
    specific: tuple[int, int] = (0, 0)
    payload: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion(Common):
    """Completion, with data if *payload* is not empty."""

    completer: int = 0
    #: 3 bits; values that `CompletionStatus` has no name for are reserved.
    status: int = CompletionStatus.SUCCESSFUL
    locked: bool = False
    #: Bytes left of the request, this completion's included: 1 to 4096.
    byte_count: int = 4
    lower_address: int = 0
    payload: tuple[int, ...] = field(default=())


Tlp = MemoryRequest | AtomicRequest | IoRequest | ConfigRequest | Message | Completion


def format_of(dword0: int) -> int:
    """The three format bits."""
    return dword0 >> 29


def type_of(dword0: int) -> int:
    """The five type bits."""
    return dword0 >> 24 & 0x1F


def length_of(dword0: int) -> int:
    """The length field in dwords: 1 to 1024."""
    return dword0 & 0x3FF or MOST_DWORDS


def header_dwords(dword0: int) -> int:
    """Dwords of the header: 3 or 4."""
    return 4 if format_of(dword0) & WIDE else 3


def payload_dwords(dword0: int) -> int:
    """Dwords of payload that the header promises."""
    return length_of(dword0) if format_of(dword0) & DATA else 0


def _dword0(tlp: Common, fmt: int, kind: int, length: int) -> int:
    return (
        fmt << 29 | kind << 24
        | (tlp.tag >> 9 & 1) << 23 | tlp.traffic_class << 20 | (tlp.tag >> 8 & 1) << 19
        | (tlp.attributes >> 2 & 1) << 18 | tlp.lightweight << 17 | tlp.hint << 16
        | (tlp.digest is not None) << 15 | tlp.poisoned << 14 | (tlp.attributes & 3) << 12
        | tlp.address_type << 10 | length & 0x3FF
    )


def _request_dword1(tlp: Common, low_byte: int) -> int:
    return tlp.requester << 16 | (tlp.tag & 0xFF) << 8 | low_byte


def _address(address: int, wide: bool) -> list[int]:
    """The header dwords that carry an address."""
    return [address >> 32, address & 0xFFFF_FFFC] if wide else [address & 0xFFFF_FFFC]


def build(tlp: Tlp) -> list[int]:
    """The packet's dwords: header, payload, digest."""
    match tlp:
        case MemoryRequest():
            wide = tlp.wide or tlp.address >> 32 != 0
            kind = TlpType.MEMORY_LOCKED if tlp.locked else TlpType.MEMORY
            dwords = [
                _dword0(tlp, (DATA if tlp.write else 0) | (WIDE if wide else 0), kind, tlp.length),
                _request_dword1(tlp, tlp.last_be << 4 | tlp.first_be),
                *_address(tlp.address, wide),
                *tlp.payload,
            ]
        case AtomicRequest():
            wide = tlp.wide or tlp.address >> 32 != 0
            dwords = [
                _dword0(tlp, DATA | (WIDE if wide else 0), tlp.operation, len(tlp.payload)),
                _request_dword1(tlp, tlp.last_be << 4 | tlp.first_be),
                *_address(tlp.address, wide),
                *tlp.payload,
            ]
        case IoRequest():
            dwords = [
                _dword0(tlp, DATA if tlp.write else 0, TlpType.IO, 1),
                _request_dword1(tlp, tlp.first_be),
                *_address(tlp.address, False),
                *([tlp.data] if tlp.write else []),
            ]
        case ConfigRequest():
            kind = TlpType.CONFIG_1 if tlp.type1 else TlpType.CONFIG_0
            dwords = [
                _dword0(tlp, DATA if tlp.write else 0, kind, 1),
                _request_dword1(tlp, tlp.first_be),
                tlp.bus << 24 | tlp.device << 19 | tlp.function << 16 | tlp.offset & 0xFFC,
                *([tlp.data] if tlp.write else []),
            ]
        case Message():
            payload = tlp.payload or ()
            fmt = WIDE if tlp.payload is None else WIDE | DATA
            dwords = [
                _dword0(tlp, fmt, TlpType.MESSAGE | tlp.routing, len(payload)),
                _request_dword1(tlp, tlp.code),
                *tlp.specific,
                *payload,
            ]
        case Completion():
            kind = TlpType.COMPLETION_LOCKED if tlp.locked else TlpType.COMPLETION
            dwords = [
                _dword0(tlp, DATA if tlp.payload else 0, kind, len(tlp.payload)),
                tlp.completer << 16 | tlp.status << 13 | tlp.byte_count & 0xFFF,
                tlp.requester << 16 | (tlp.tag & 0xFF) << 8 | tlp.lower_address,
                *tlp.payload,
            ]
    if tlp.digest is not None:
        dwords.append(tlp.digest)
    return dwords


def parse(dwords: Sequence[int]) -> Tlp:
    """Take a well-formed packet apart.

    Raises
    ------
    ValueError
        If the type is none that the classes here can say. Lengths are taken on trust: the rules
        for malformed packets are in `virtio_mmr_sim.model.malformed`.
    """
    dword0, dword1 = dwords[0], dwords[1]
    fmt, kind = dword0 >> 29, dword0 >> 24 & 0x1F
    wide, data = fmt & WIDE != 0, fmt & DATA != 0
    start = 4 if wide else 3
    payload = tuple(dwords[start:start + length_of(dword0)]) if data else ()
    completion = kind in (TlpType.COMPLETION, TlpType.COMPLETION_LOCKED)
    identity = dwords[2] if completion else dword1
    common: dict[str, Any] = {
        "requester": identity >> 16,
        "tag": identity >> 8 & 0xFF | dword0 >> 11 & 0x100 | dword0 >> 14 & 0x200,
        "traffic_class": dword0 >> 20 & 7,
        "attributes": dword0 >> 16 & 4 | dword0 >> 12 & 3,
        "poisoned": dword0 >> 14 & 1 != 0,
        "digest": dwords[start + len(payload)] if dword0 >> 15 & 1 else None,
        "hint": dword0 >> 16 & 1 != 0,
        "lightweight": dword0 >> 17 & 1 != 0,
        "address_type": dword0 >> 10 & 3,
    }
    address = dwords[2] << 32 | dwords[3] & 0xFFFF_FFFC if wide else dwords[2] & 0xFFFF_FFFC
    first_be, last_be = dword1 & 0xF, dword1 >> 4 & 0xF

    if kind in (TlpType.MEMORY, TlpType.MEMORY_LOCKED):
        return MemoryRequest(
            **common,
            write=data, locked=kind == TlpType.MEMORY_LOCKED, length=length_of(dword0),
            address=address,
            first_be=first_be, last_be=last_be, payload=payload, wide=wide)
    if kind in (TlpType.CONFIG_0, TlpType.CONFIG_1):
        target = dwords[2]
        return ConfigRequest(
            **common,
            write=data, type1=kind == TlpType.CONFIG_1, bus=target >> 24, device=target >> 19 & 0x1F,
            function=target >> 16 & 7, offset=target & 0xFFC, first_be=first_be,
            data=payload[0] if data else 0)
    if kind == TlpType.IO:
        return IoRequest(
            **common,
            write=data, address=address, first_be=first_be, data=payload[0] if data else 0)
    if completion:
        return Completion(
            **common,
            completer=dword1 >> 16, status=dword1 >> 13 & 7,
            locked=kind == TlpType.COMPLETION_LOCKED, byte_count=dword1 & 0xFFF or 4096,
            lower_address=dwords[2] & 0x7F, payload=payload)
    if kind & TlpType.MESSAGE and kind < 0x18:
        return Message(
            **common,
            code=dword1 & 0xFF, routing=kind & 7, specific=(dwords[2], dwords[3]),
            payload=payload if data else None)
    if kind in (TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP):
        return AtomicRequest(
            **common,
            operation=TlpType(kind), address=address,
            payload=payload, first_be=first_be, last_be=last_be, wide=wide)
    raise ValueError(f"format {fmt:03b} with type {kind:05b} is not a packet that this codec knows")


class Extent(NamedTuple):
    """How a request says "these bytes"."""

    #: Byte address of the first dword.
    address: int
    #: Dwords.
    length: int
    first_be: int
    last_be: int


def extent(address: int, size: int) -> Extent:
    """The dwords and byte enables of *size* bytes at *address*; zero bytes are one dword, none enabled."""
    start = address & ~3
    if size == 0:
        return Extent(start, 1, 0, 0)
    length = (address + size + 3 - start) // 4

    def enables(dword: int) -> int:
        return sum(1 << lane for lane in range(4) if address <= start + 4 * dword + lane < address + size)

    return Extent(start, length, enables(0), enables(length - 1) if length > 1 else 0)


def memory_read(address: int, size: int, *, requester: int = 0, tag: int = 0) -> MemoryRequest:
    """Read *size* bytes at *address*."""
    start, length, first, last = extent(address, size)
    return MemoryRequest(address=start, length=length, first_be=first, last_be=last,
                         requester=requester, tag=tag)


def memory_write(address: int, data: bytes, *, requester: int = 0, tag: int = 0) -> MemoryRequest:
    """Write *data* at *address*; lanes that are not enabled carry zero."""
    start, length, first, last = extent(address, len(data))
    padded = bytes(address - start) + data
    padded += bytes(4 * length - len(padded))
    return MemoryRequest(write=True, address=start, length=length, first_be=first, last_be=last,
                         payload=to_dwords(padded), requester=requester, tag=tag)


def to_dwords(data: bytes) -> tuple[int, ...]:
    """Payload dwords of *data*, whose length is a multiple of 4."""
    return tuple(int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4))


def to_bytes(payload: Sequence[int]) -> bytes:
    """The bytes of payload dwords in address order."""
    return b"".join(dword.to_bytes(4, "little") for dword in payload)


def enables(request: MemoryRequest) -> tuple[int, int]:
    """First and last byte enables as the completer takes them.

    A read with a processing hint carries a steering tag in their place and counts as all enabled.
    """
    if request.hint and not request.write:
        return 0xF, 0xF if request.length > 1 else 0
    return request.first_be, request.last_be


def strobe(length: int, first_be: int, last_be: int, index: int) -> int:
    """Byte enables of dword *index* of a request."""
    if index == 0:
        return first_be
    return last_be if index == length - 1 else 0xF


#: Zeros below the lowest, and above the highest, set bit of four; none are counted where no bit is set.
_ZEROS_BELOW = tuple(next((bit for bit in range(4) if be >> bit & 1), 0) for be in range(16))
_ZEROS_ABOVE = tuple(next((3 - bit for bit in (3, 2, 1, 0) if be >> bit & 1), 0) for be in range(16))


def byte_count(length: int, first_be: int, last_be: int) -> int:
    """Bytes from the first to the last enabled one of a memory read: 1 to 4096."""
    if length > 1:
        return 4 * length - _ZEROS_BELOW[first_be] - _ZEROS_ABOVE[last_be]
    if first_be == 0:
        return 1
    return 4 - _ZEROS_BELOW[first_be] - _ZEROS_ABOVE[first_be]


def lower_address(address: int, first_be: int) -> int:
    """Bits 6:0 of the address of the first enabled byte; of the dword if none is enabled."""
    return address & 0x7C | _ZEROS_BELOW[first_be]


class Piece(NamedTuple):
    """One completion of a read."""

    #: Index of its first dword in the request.
    start: int
    #: Its dwords.
    length: int
    #: Bytes that remain of the request, its own included.
    byte_count: int
    lower_address: int


def pieces(address: int, length: int, first_be: int, last_be: int,
           boundary: int = READ_COMPLETION_BOUNDARY) -> list[Piece]:
    """The completions of a memory read: cut at every multiple of *boundary* bytes and nowhere else."""
    total = byte_count(length, first_be, last_be)
    low = lower_address(address, first_be)
    first_byte = address | _ZEROS_BELOW[first_be]
    found = []
    start = 0
    while start < length:
        at = address + 4 * start
        size = min(length - start, (boundary - at % boundary) // 4)
        if start == 0:
            found.append(Piece(0, size, total, low))
        else:
            found.append(Piece(start, size, first_byte + total - at, at & 0x7F))
        start += size
    return found

"""The packet codec and the arithmetic of completions, against examples worked by hand."""

import random
from typing import Any

import pytest
from virtio_mmr.spec.tlp import CompletionStatus, TlpType
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    ConfigRequest,
    Extent,
    IoRequest,
    MemoryRequest,
    Message,
    Piece,
    Tlp,
    build,
    byte_count,
    extent,
    lower_address,
    memory_read,
    memory_write,
    parse,
    pieces,
    to_bytes,
)

MMR = 0xF000_1000
COMPLETER = 0x0100

#: Access, request header, completion header.
WORKED_READS = [
    (memory_read(MMR, 4, tag=0x13), "00000001 0000130F F0001000", "4A000001 01000004 00001300"),
    (memory_read(MMR + 0x0C, 2, tag=0x15), "00000001 00001503 F000100C", "4A000001 01000002 0000150C"),
    (memory_read(MMR + 0x12, 1, tag=0x11), "00000001 00001104 F0001010", "4A000001 01000001 00001112"),
    (memory_read(MMR + 0x13, 1, tag=0x12), "00000001 00001208 F0001010", "4A000001 01000001 00001213"),
    (memory_read(MMR + 0x10, 0, tag=0x14), "00000001 00001400 F0001010", "4A000001 01000001 00001410"),
    (memory_read(MMR + 0x18, 6, tag=0x25), "00000002 0000253F F0001018", "4A000002 01000006 00002518"),
    (memory_read(0x1_F000_1000, 4, tag=0x23), "20000001 0000230F 00000001 F0001000",
     "4A000001 01000004 00002300"),
]

#: Address, length, first and last byte enable, byte count, lower address.
MORE = [
    (0x100C, 1, 0x3, 0x0, 2, 0x0C), (0x100C, 1, 0xC, 0x0, 2, 0x0E), (0x1010, 1, 0x5, 0x0, 3, 0x10),
    (0x1010, 1, 0x6, 0x0, 2, 0x11), (0x1010, 1, 0x9, 0x0, 4, 0x10), (0x1010, 1, 0xA, 0x0, 3, 0x11),
    (0x1010, 1, 0xD, 0x0, 4, 0x10), (0x107C, 1, 0x8, 0x0, 1, 0x7F), (0x1000, 16, 0xF, 0xF, 64, 0x00),
    (0x1008, 2, 0xF, 0xF, 8, 0x08), (0x1008, 2, 0xA, 0x5, 6, 0x09), (0x100C, 2, 0xC, 0x3, 4, 0x0E),
    (0x1010, 2, 0x8, 0x7, 4, 0x13), (0x1014, 3, 0x8, 0x1, 6, 0x17), (0x1010, 2, 0xF, 0xF, 8, 0x10),
]

#: First byte enable of one dword: byte count, low bits of the lower address.
ONE_DWORD = [
    (1, 0), (1, 0), (1, 1), (2, 0), (1, 2), (3, 0), (2, 1), (3, 0),
    (1, 3), (4, 0), (3, 1), (4, 0), (2, 2), (4, 0), (3, 1), (4, 0),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("request_", "header", "answer"), WORKED_READS)
def test_worked_reads_have_the_headers_of_the_specification(
        request_: MemoryRequest, header: str, answer: str) -> None:
    assert build(request_) == words(header)
    cut = pieces(request_.address, request_.length, request_.first_be, request_.last_be)
    assert len(cut) == 1
    completion = Completion(tag=request_.tag, completer=COMPLETER, byte_count=cut[0].byte_count,
                            lower_address=cut[0].lower_address, payload=(0,) * cut[0].length)
    assert build(completion)[:3] == words(answer)


@pytest.mark.parametrize(("request_", "dwords"), [
    (memory_write(MMR + 0x0C + 2, b"\x01\x00"), "40000001 0000000C F000100C 00010000"),
    (memory_write(MMR + 0x10, b"\x00\x00"), "40000001 00000003 F0001010 00000000"),
    (ConfigRequest(bus=1, offset=0, tag=0x20), "04000001 0000200F 01000000"),
    (ConfigRequest(write=True, bus=1, offset=4, first_be=3, tag=0x21, data=6),
     "44000001 00002103 01000004 00000006"),
    (ConfigRequest(bus=1, offset=0x100, tag=0x22), "04000001 0000220F 01000100"),
])
def test_worked_requests_have_the_dwords_of_the_specification(request_: Tlp, dwords: str) -> None:
    assert build(request_) == words(dwords)


@pytest.mark.parametrize(("completion", "dwords"), [
    (Completion(tag=0x20, completer=COMPLETER, payload=(0x10F9_1AF4,)),
     "4A000001 01000004 00002000 10F91AF4"),
    (Completion(tag=0x21, completer=COMPLETER), "0A000000 01000004 00002100"),
    (Completion(tag=0x22, completer=COMPLETER, payload=(0,)), "4A000001 01000004 00002200 00000000"),
    (Completion(tag=0x24, completer=COMPLETER, status=CompletionStatus.UNSUPPORTED),
     "0A000000 01002004 00002400"),
])
def test_worked_completions_have_the_dwords_of_the_specification(completion: Tlp, dwords: str) -> None:
    assert build(completion) == words(dwords)


@pytest.mark.parametrize(("address", "length", "first", "last", "count", "low"), MORE)
def test_byte_count_and_lower_address(
        address: int, length: int, first: int, last: int, count: int, low: int) -> None:
    assert byte_count(length, first, last) == count
    assert lower_address(address, first) == low


@pytest.mark.parametrize("enable", range(16))
def test_one_dword_follows_the_table(enable: int) -> None:
    assert (byte_count(1, enable, 0), lower_address(0, enable)) == ONE_DWORD[enable]


def test_whole_page_counts_4096_bytes() -> None:
    assert byte_count(1024, 0xF, 0xF) == 4096
    assert build(Completion(byte_count=4096))[1] & 0xFFF == 0


def test_a_read_is_cut_at_128_bytes_as_endpoint_and_at_64_as_root() -> None:
    assert pieces(0x1034, 24, 0xF, 0xF) == [Piece(0, 19, 96, 0x34), Piece(19, 5, 20, 0x00)]
    assert pieces(0x1034, 24, 0xF, 0xF, boundary=64) == [
        Piece(0, 3, 96, 0x34), Piece(3, 16, 84, 0x40), Piece(19, 5, 20, 0x00)]


def test_cut_with_odd_ends_counts_from_the_first_to_the_last_enabled_byte() -> None:
    # 0x107E..0x1100: 131 bytes
    assert pieces(0x107C, 34, 0xC, 0x1) == [Piece(0, 1, 131, 0x7E), Piece(1, 32, 129, 0), Piece(33, 1, 1, 0)]


@pytest.mark.parametrize(("address", "size", "expected"), [
    (0x1000, 4, Extent(0x1000, 1, 0xF, 0)),
    (0x1013, 1, Extent(0x1010, 1, 0x8, 0)),
    (0x1018, 6, Extent(0x1018, 2, 0xF, 0x3)),
    (0x100E, 4, Extent(0x100C, 2, 0xC, 0x3)),
    (0x1012, 4, Extent(0x1010, 2, 0xC, 0x3)),
    (0x1013, 4, Extent(0x1010, 2, 0x8, 0x7)),
    (0x1003, 6, Extent(0x1000, 3, 0x8, 0x1)),
    (0x1002, 0, Extent(0x1000, 1, 0x0, 0)),
])
def test_extent(address: int, size: int, expected: Extent) -> None:
    assert extent(address, size) == expected


def test_written_bytes_stand_in_their_lanes() -> None:
    request = memory_write(0x1003, b"\x11\x22\x33")
    assert request.payload == (0x1100_0000, 0x0000_3322)
    assert to_bytes(request.payload)[3:6] == b"\x11\x22\x33"


def random_tlp(rng: random.Random) -> Tlp:
    """Any packet with every header bit in play."""
    bits = rng.getrandbits
    common: dict[str, Any] = {
        "requester": bits(16), "tag": bits(10), "traffic_class": bits(3), "attributes": bits(3),
        "poisoned": bits(1) == 1, "digest": rng.choice([None, bits(32)]), "hint": bits(1) == 1,
        "lightweight": bits(1) == 1, "address_type": bits(2),
    }
    payload = tuple(bits(32) for _ in range(rng.randrange(1, 9)))
    address, wide = rng.choice([bits(32), bits(64)]) & ~3, bits(1) == 1
    match rng.randrange(6):
        case 0:
            write = bits(1) == 1
            return MemoryRequest(
                **common, write=write, locked=not write and wide,
                address=address, wide=wide or address >> 32 != 0, first_be=bits(4), last_be=bits(4),
                length=len(payload) if write else rng.randrange(1, 1025), payload=payload if write else ())
        case 1:
            return AtomicRequest(
                **common, payload=payload, address=address,
                wide=wide or address >> 32 != 0, first_be=bits(4), last_be=bits(4),
                operation=rng.choice([TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP]))
        case 2:
            return IoRequest(
                **common, address=bits(32) & ~3,
                first_be=bits(4), write=wide, data=payload[0] if wide else 0)
        case 3:
            return ConfigRequest(
                **common, type1=bits(1) == 1, bus=bits(8),
                device=bits(5), function=bits(3), offset=bits(10) * 4, first_be=bits(4), write=wide,
                data=payload[0] if wide else 0)
        case 4:
            return Message(
                **common, code=bits(8), routing=bits(3),
                specific=(bits(32), bits(32)), payload=payload if wide else None)
        case _:
            return Completion(
                **common, completer=bits(16),
                status=bits(3), locked=bits(1) == 1, byte_count=rng.randrange(1, 4097),
                lower_address=bits(7), payload=payload if wide else ())


@pytest.mark.parametrize("seed", range(8))
def test_what_is_built_is_parsed_again(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        tlp = random_tlp(rng)
        assert parse(build(tlp)) == tlp


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ValueError, match="format 000 with type 11111"):
        parse([0x1F00_0001, 0, 0])

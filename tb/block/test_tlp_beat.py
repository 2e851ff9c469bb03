"""Header layouts, against packets from the specification digest and from the packet codec."""

import random

import pytest
from block.simulation import concat, plain
from virtio_mmr.gateware.tlp.beat import CompletionHeader, MemoryHeader, raw_beat, tlp_beat
from virtio_mmr.spec.tlp import CompletionStatus, TlpType
from virtio_mmr_sim.model.tlp import Completion, MemoryRequest, build


def test_worked_read_request_has_its_fields_where_the_struct_says():
    fields = plain(MemoryHeader.from_bits(concat([0x0000_0002, 0x0000_253F])))
    assert {name: value for name, value in fields.items() if value} == {
        "length": 2, "first_be": 0xF, "last_be": 0x3, "tag": 0x25}


def test_worked_completion_has_its_fields_where_the_struct_says():
    fields = plain(CompletionHeader.from_bits(concat([0x4A00_0001, 0x0100_0001, 0x0000_1213])))
    assert {name: value for name, value in fields.items() if value} == {
        "length": 1, "type": TlpType.COMPLETION, "fmt": 0b010, "byte_count": 1, "completer": 0x0100,
        "lower_address": 0x13, "tag": 0x12}


@pytest.mark.parametrize("seed", range(20))
def test_request_header_agrees_with_the_codec(seed):
    rng = random.Random(seed)
    request = MemoryRequest(
        requester=rng.getrandbits(16), tag=rng.getrandbits(10), traffic_class=rng.getrandbits(3),
        attributes=rng.getrandbits(3), poisoned=bool(rng.getrandbits(1)), digest=rng.choice([None, 5]),
        hint=bool(rng.getrandbits(1)), address_type=rng.getrandbits(2), write=True, address=0x1000,
        length=1, payload=(0,), first_be=rng.getrandbits(4), last_be=rng.getrandbits(4), wide=bool(rng.getrandbits(1)))
    fields = MemoryHeader.from_bits(concat(build(request)[:2]))
    assert (fields.requester, fields.tag_9 << 9 | fields.tag_8 << 8 | fields.tag) == (request.requester, request.tag)
    assert (fields.traffic_class, fields.address_type) == (request.traffic_class, request.address_type)
    assert fields.attribute_high << 2 | fields.attributes_low == request.attributes
    assert (fields.poisoned, fields.digest, fields.hints) == (
        request.poisoned, request.digest is not None, request.hint)
    assert (fields.length, fields.first_be, fields.last_be) == (1, request.first_be, request.last_be)
    assert (fields.fmt, fields.type) == (0b010 | request.wide, TlpType.MEMORY)


@pytest.mark.parametrize("seed", range(20))
def test_completion_header_agrees_with_the_codec(seed):
    rng = random.Random(seed)
    completion = Completion(
        requester=rng.getrandbits(16), tag=rng.getrandbits(10), traffic_class=rng.getrandbits(3),
        attributes=rng.getrandbits(3), completer=rng.getrandbits(16), status=rng.choice([*CompletionStatus]),
        locked=bool(rng.getrandbits(1)), byte_count=rng.randrange(1, 4097), lower_address=rng.getrandbits(7),
        payload=tuple(range(rng.randrange(4))))
    fields = CompletionHeader.from_bits(concat(build(completion)[:3]))
    assert (fields.requester, fields.tag_9 << 9 | fields.tag_8 << 8 | fields.tag) == (
        completion.requester, completion.tag)
    assert (fields.completer, fields.status, fields.lower_address) == (
        completion.completer, completion.status, completion.lower_address)
    assert fields.byte_count == completion.byte_count % 4096
    assert (fields.byte_count_modified, fields.length) == (0, len(completion.payload))
    assert fields.attribute_high << 2 | fields.attributes_low == completion.attributes


@pytest.mark.parametrize("width", [64, 128, 256, 512])
def test_beats_count_up_to_all_their_lanes(width):
    lanes = width // 32
    assert plain(tlp_beat(width).const({"dwords": lanes}))["dwords"] == lanes
    assert plain(raw_beat(width).const({"keep": (1 << lanes) - 1}))["keep"] == (1 << lanes) - 1
    assert raw_beat(width).size == width + lanes + 1

"""Ingress parses every packet, drops none without a mark, and believes no length before it has seen the end."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Module
from block.simulation import any_dword, concat, header_size, offer, plain, simulate, tlp_beats
from selection import broad
from virtio_mmr.gateware.access.interface import Kind
from virtio_mmr.gateware.tlp.ingress import TlpIngress
from virtio_mmr.spec.tlp import MESSAGES_ACCEPTED, TlpType
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Message,
    build,
)

WIDTHS = (64, 128, *broad(256, 512))

#: Type bits: what becomes of a packet, and the formats that it may have.
KINDS = {
    0b00000: (Kind.MEMORY, {0, 1, 2, 3}),
    0b00001: (Kind.UNSUPPORTED, {0, 1}),
    0b00010: (Kind.IO, {0, 2}),
    0b00100: (Kind.CONFIG, {0, 2}),
    0b00101: (Kind.UNSUPPORTED, {0, 2}),
    0b01010: (Kind.COMPLETION, {0, 2}),
    0b01011: (Kind.COMPLETION, {0, 2}),
    **{type_: (Kind.UNSUPPORTED, {2, 3}) for type_ in (0b01100, 0b01101, 0b01110)},
    **{0b10000 | routing: (Kind.MESSAGE, {1, 3}) for routing in range(8)},
}


def enables_are_legal(address, length, first, last):
    """The byte-enable rules of 2.2.5."""
    if length == 1:
        return last == 0
    gapless = first in (0b1111, 0b1110, 0b1100, 0b1000) and last in (0b1111, 0b0111, 0b0011, 0b0001)
    return first != 0 and last != 0 and (gapless or (length == 2 and address % 8 == 0))


def place_of(kind, address, long):
    """What the bench's decoder says of a header: something that depends on all it is told."""
    return {"bar": kind.value & 3 | long << 2, "function": address >> 5 & 0xFF,
            "offset": (address // 4 ^ address >> 20) & 0xFFFFF}


def expected(packet, max_payload=128, check=True):
    """What becomes of a packet, and its payload if that is stored; only what the next block looks at."""
    top, dword1 = packet[0], packet[1] if len(packet) > 1 else 0
    fmt, type_, length = top >> 29, top >> 24 & 31, top & 0x3FF or 1024
    size, with_data = header_size(packet), bool(fmt & 2)
    kind, formats = KINDS.get(type_, (None, ()))
    first, last = dword1 & 15, dword1 >> 4 & 15
    malformed = ({"kind": Kind.MALFORMED}, [])
    if fmt not in formats or len(packet) != size + (length if with_data else 0) + (top >> 15 & 1):
        return malformed
    if with_data and 4 * length > max_payload:
        return malformed
    if type_ in (0b00010, 0b00100, 0b00101) and (top >> 20 & 7 or top & 0x43000 or length != 1 or last):
        return malformed
    address = (packet[2] << 32 | packet[3] if size == 4 else packet[2]) & ~3
    if type_ in (0, 1):
        if top >> 16 & 1 and not with_data:
            first, last = 0b1111, 0b1111 if length > 1 else 0
        if address % 4096 + 4 * length > 4096 or (check and not enables_are_legal(address, length, first, last)):
            return malformed
    poisoned = bool(top >> 14 & 1 and with_data)
    if kind is Kind.COMPLETION:
        return {"kind": kind}, []
    if kind is Kind.MESSAGE:
        accepted = dword1 & 0xFF in {0x7F, *MESSAGES_ACCEPTED}
        return {"kind": Kind.IGNORE if accepted else kind, "poisoned": poisoned}, []
    fields = {
        "kind": kind, "write": with_data, "posted": with_data and type_ == 0, "locked": type_ == 1,
        "poisoned": poisoned, "place": place_of(kind, address, size == 4), "length": length % 1024,
        "single": int(length == 1), "first_be": first, "last_be": last, "requester": dword1 >> 16,
        "tag": dword1 >> 8 & 0xFF | (top >> 19 & 1) << 8 | (top >> 23 & 1) << 9,
        "traffic_class": top >> 20 & 7, "attributes": top >> 12 & 3 | (top >> 18 & 1) << 2,
    }
    if with_data and length == 1:
        fields["data"] = packet[size]
    stored = packet[size:size + length] if type_ == 0 and with_data and length > 1 else []
    return fields, stored


def parsed(packets, width, *, max_payload=128, setting=0, check=True, rng=None, idle=0.0, stall=0.0):
    """Requests that come out, each with the payload that was stepped through."""
    dut = TlpIngress(width, max_payload=max_payload, check_byte_enables=check)
    top = Module()
    top.submodules.dut = dut
    address = dut.heading_address
    top.d.comb += [
        dut.heading_place.bar.eq(Cat(dut.heading_kind.as_value()[:2], dut.heading_long)),
        dut.heading_place.function.eq(address[3:]),
        dut.heading_place.offset.eq(address ^ address[18:38]),
    ]
    rng = rng or random.Random(0)
    found = []

    async def feed(ctx):
        ctx.set(dut.max_payload_size, setting)
        for packet in packets:
            if len(packet) >= header_size(packet):
                await offer(ctx, dut.beats, tlp_beats(packet, width // 32), rng=rng, idle=idle)
            else:
                ctx.set(dut.truncated, 1)
                await offer(ctx, dut.beats, [{
                    "header": concat(packet), "data": any_dword(rng), "dwords": rng.randrange(2), "first": 1, "last": 1,
                }])
                ctx.set(dut.truncated, 0)

    async def drain(ctx):
        while len(found) < len(packets):
            if not ctx.get(dut.request.valid) or rng.random() < stall:
                await ctx.tick()
                continue
            request, payload = plain(ctx.get(dut.request.p)), []
            walked = request["kind"] is Kind.MEMORY and request["write"] and request["length"] != 1
            for index in range(request["length"] if walked else 0):
                while rng.random() < stall:
                    await ctx.tick()
                payload.append(ctx.get(dut.payload) if index else request["data"])
                ctx.set(dut.step, index != 0)
                if index + 1 < request["length"]:
                    await ctx.tick()
                    ctx.set(dut.step, 0)
            ctx.set(dut.request.ready, 1)
            await ctx.tick()
            ctx.set(dut.request.ready, 0)
            ctx.set(dut.step, 0)
            found.append((request, payload))

    simulate(top, feed, drain)
    return found


def check_all(packets, width, **options):
    """Every packet comes out as `expected` says."""
    rules = {"max_payload": min(128 << options.get("setting", 0), options.get("max_payload", 128)),
             "check": options.get("check", True)}
    found = parsed(packets, width, **options)
    for packet, (request, payload) in zip(packets, found, strict=True):
        fields, stored = expected(packet, **rules)
        seen = {name: request[name] for name in fields}
        assert (seen, payload) == (fields, stored), [hex(dword) for dword in packet[:8]]


def random_tlp(rng, longest=32):
    """A well-formed packet of any kind."""
    common = {
        "requester": rng.getrandbits(16), "tag": rng.getrandbits(10), "poisoned": rng.random() < 0.2,
        "digest": rng.choice([None, None, any_dword(rng)]), "hint": rng.random() < 0.2,
        "address_type": rng.getrandbits(2),
    }
    mixed = {"traffic_class": rng.getrandbits(3), "attributes": rng.getrandbits(3)}
    length = rng.choice([1, 1, 2, 2, rng.randint(1, longest)])
    payload = tuple(any_dword(rng) for _ in range(length))
    high = rng.choice([0, 0, any_dword(rng)]) << 32
    address = high | rng.getrandbits(20) << 12 | 4 * rng.randint(0, 1024 - length)
    wide = rng.random() < 0.3
    first, last = rng.choice([0xF, 0xE, 0xC, 0x8]), rng.choice([0xF, 0x7, 0x3, 0x1])
    if length <= 2 and address % 8 == 0:
        first, last = rng.randrange(1, 16), rng.randrange(1, 16)
    if length == 1:
        first, last = rng.randrange(16), 0
    match rng.randrange(9):
        case 0 | 1 | 2:
            return MemoryRequest(**common, **mixed, write=True, address=address, length=length, payload=payload,
                                 first_be=first, last_be=last, wide=wide)
        case 3 | 4:
            return MemoryRequest(**common, **mixed, address=address, length=length, first_be=first, last_be=last,
                                 wide=wide, locked=rng.random() < 0.2)
        case 5:
            return ConfigRequest(**common, write=rng.random() < 0.5, type1=rng.random() < 0.3, bus=rng.getrandbits(8),
                                 device=rng.getrandbits(5), function=rng.getrandbits(3),
                                 offset=4 * rng.getrandbits(10), first_be=rng.randrange(16), data=any_dword(rng))
        case 6:
            return IoRequest(**common, write=rng.random() < 0.5, address=4 * rng.getrandbits(30),
                             first_be=rng.randrange(16), data=any_dword(rng))
        case 7:
            return Message(**common, **mixed, code=rng.choice([*MESSAGES_ACCEPTED, 0x7E, 0x7F, rng.getrandbits(8)]),
                           routing=rng.getrandbits(3), specific=(any_dword(rng), any_dword(rng)),
                           payload=rng.choice([None, payload]))
        case _:
            if rng.random() < 0.5:
                return Completion(**common, **mixed, completer=rng.getrandbits(16), payload=payload[1:])
            return AtomicRequest(**common, **mixed, address=address & ~15, wide=wide,
                                 operation=rng.choice([TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP]),
                                 payload=payload[:rng.choice([1, 2])] or (0,))


def spoil(rng, packet):
    """One thing about a packet is changed, which may or may not break it."""
    packet = list(packet)
    match rng.randrange(6):
        case 0:
            packet.append(any_dword(rng))
        case 1:
            packet.pop()
        case 2:
            packet[0] ^= 1 << rng.randrange(32)
        case 3:
            packet[1] ^= 1 << rng.randrange(8)
        case 4:
            packet[0] = packet[0] & ~0x3FF | rng.choice([0, 1, 2, 31, 32, 33, 1023])
        case _:
            packet += [any_dword(rng) for _ in range(rng.randrange(40))]
    return packet


@pytest.mark.parametrize("width", WIDTHS)
def test_every_format_and_type_has_its_kind(width):
    rng = random.Random(width)
    packets = []
    for top in range(256):
        packet = [top << 24 | 1, rng.getrandbits(16) << 16 | 0x0F00 | rng.getrandbits(4), any_dword(rng) & ~0xF, 0]
        packets.append((packet if top & 0x20 else packet[:3]) + ([any_dword(rng)] if top & 0x40 else []))
        packets[-1][1] &= ~0xF0
    rng.shuffle(packets)
    check_all(packets, width, rng=rng)


def test_every_message_code_is_served_or_logged():
    check_all([build(Message(code=code, payload=None if code % 5 else (1,))) for code in range(256)], 128)


@pytest.mark.parametrize("width, stall", [
    (64, 0.4), (128, 0.0), (128, 0.4), *broad((256, 0.4), (512, 0.0))])
def test_any_traffic_is_parsed_in_order(width, stall):
    rng = random.Random(width)
    packets = [build(random_tlp(rng)) for _ in range(70)]
    packets += [spoil(rng, packet) for packet in packets]
    rng.shuffle(packets)
    check_all(packets, width, rng=rng, idle=stall, stall=stall)


@pytest.mark.parametrize("width", [64, 128, *broad(512)])
def test_every_length_with_every_wrong_number_of_dwords(width):
    rng = random.Random(width)
    packets = []
    for length in range(1, 33):
        good = build(MemoryRequest(
            write=True, address=0x1000, length=length, payload=tuple(any_dword(rng) for _ in range(length)),
            last_be=0xF if length > 1 else 0, wide=rng.random() < 0.5))
        wrong = rng.randrange(1, length + 1)
        packets += [good[:-wrong], good, good + [0] * rng.randint(1, 6)] if length % 2 or length == 32 else [good]
    check_all(packets, width, rng=rng, idle=0.1, stall=0.1)


@pytest.mark.parametrize("width", [64, *broad(256)])
def test_digest_is_no_payload_and_must_be_there_if_announced(width):
    rng = random.Random(width)
    packets = []
    for length in (1, 2, 3, 4, 5, 8, 31, 32):
        payload = tuple(any_dword(rng) for _ in range(length))
        for wide in (False, True):
            write = MemoryRequest(write=True, address=0x2000, length=length, payload=payload, wide=wide, digest=7,
                                  last_be=0xF if length > 1 else 0)
            read = replace(write, write=False, payload=())
            for good in (build(write), build(read)):
                packets += [good, good[:-1], [*good, 0], [good[0] ^ 1 << 15, *good[1:]]]
    check_all(packets, width, rng=rng, stall=0.2)


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("check", [True, False])
def test_every_byte_enable_pattern_is_judged(length, check):
    rng = random.Random(length)
    patterns = [(first, last) for first in range(16) for last in range(16)]
    packets = [
        build(MemoryRequest(write=write, address=0x1000 + 4 * rng.getrandbits(1), length=length,
                            hint=rng.random() < 0.2, payload=(5,) * length * write, first_be=first, last_be=last))
        for first, last in (patterns if check else rng.sample(patterns, 60)) for write in (rng.random() < 0.7,)
    ]
    check_all(packets, 128, check=check)


def test_request_may_touch_the_end_of_a_page_but_not_cross_it():
    packets = [
        build(MemoryRequest(write=write, address=0x7000 + 4096 - 4 * before, length=length,
                            last_be=0xF if length > 1 else 0, payload=(9,) * length * write, locked=locked))
        for write, locked in ((False, False), (True, False), (False, True))
        for before in (1, 2, 31, 32) for length in (1, 2, 31, 32, 33)
    ] + [build(MemoryRequest(address=address, length=1024, last_be=0xF)) for address in (0, 4, 0x1000, 0x1FFC)]
    check_all(packets, 128)


@pytest.mark.parametrize("setting, max_payload", [(0, 512), (1, 512), (2, 512), (5, 512), (3, 128)])
def test_payload_is_limited_by_what_is_set_and_by_what_is_advertised(setting, max_payload):
    packets = [
        packet for length in (31, 32, 33, 63, 64, 65, 127, 128, 129, 0)
        for payload in [tuple(range(length or 1024))]
        for packet in (
            build(MemoryRequest(write=True, address=0, length=length or 1024, payload=payload, last_be=0xF)),
            build(Message(code=0x7F, payload=payload)),
            build(Completion(payload=payload)),
        )
    ]
    check_all(packets, 512, setting=setting, max_payload=max_payload)


@pytest.mark.parametrize("width", WIDTHS)
def test_packet_that_ends_in_its_header_is_malformed(width):
    rng = random.Random(width)
    packets = []
    for _ in range(20):
        good = build(random_tlp(rng))
        packets += [good[:rng.randrange(1, header_size(good))], good]
    check_all(packets, width, rng=rng, stall=0.2)


@pytest.mark.parametrize("announced, present", [
    (1, 2049), (1, 4097), (0, 5120), (32, 2080), (32, 4128)])
def test_packet_of_thousands_of_dwords_is_malformed_and_harms_no_other(announced, present):
    message = [0x7000_0000 | announced, 0x7F, 0, 0, *range(present)]
    read = [0x0000_0001, 0xF, 0x1000, *range(present - 1)]
    good = build(MemoryRequest(write=True, address=0, length=3, payload=(7, 8, 9), last_be=0xF))
    check_all([good, message, good, read, good], 512)


@pytest.mark.parametrize("present", [2080])
def test_overlong_write_fills_no_more_than_the_store(present):
    write = [0x4000_0020, 0xFF, 0x1000, *range(present)]
    good = build(MemoryRequest(write=True, address=0, length=32, payload=tuple(range(32)), last_be=0xF))
    check_all([good, write, good], 256)


@pytest.mark.parametrize("width", WIDTHS)
def test_packet_of_one_payload_dword_costs_as_many_clocks_as_it_has_beats(width):
    packets = [build(MemoryRequest(write=True, address=4 * index, payload=(index,))) for index in range(40)]
    dut = TlpIngress(width)
    beats = [beat for packet in packets for beat in tlp_beats(packet, width // 32)]
    ready, found = [], []

    async def feed(ctx):
        ctx.set(dut.request.ready, 1)
        for beat in beats:
            ctx.set(dut.beats.payload, beat)
            ctx.set(dut.beats.valid, 1)
            _, _, taken, valid, number = await ctx.tick().sample(
                dut.beats.ready, dut.request.valid, dut.request.p.data)
            ready.append(taken)
            found.extend([number] if valid else [])

    simulate(dut, feed)
    assert ready == [1] * len(beats)
    assert found == list(range(len(packets) - 1))

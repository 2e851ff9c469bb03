"""UltraScale+ descriptors, as cocotbext-pcie packs and unpacks them, become our packets and back."""

import itertools
import random
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from block.simulation import (
    any_dword,
    offer,
    raw_beats,
    simulate,
    split,
    stalling,
    taking,
    tlp_packets,
)
from virtio_mmr.config import loads
from virtio_mmr.gateware.adapters.ultrascale_plus import (
    InterruptPin,
    NonPostedCredit,
    ReadCredit,
    UltraScalePlus,
)
from virtio_mmr.gateware.adapters.ultrascale_rx import CompleterRequests, RequesterCompletions
from virtio_mmr.gateware.adapters.ultrascale_tx import DescriptorTransmitter
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    IoRequest,
    MemoryRequest,
    TlpType,
    build,
    parse,
    to_bytes,
)

core = pytest.importorskip("cocotbext.pcie.core.tlp")
us = pytest.importorskip("cocotbext.pcie.xilinx.us.tlp")
PcieId = pytest.importorskip("cocotbext.pcie.core.utils").PcieId

WIDTHS = (64, 128, 256)

#: The IP's number of the first virtual function.
FIRST = 4


def as_dwords(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data))


def beats_of(dwords: Sequence[int], lanes: int, user: int, last_user: int = 0) -> list[dict[str, int]]:
    """A packet on AXI4-Stream; *user* goes with its first beat, *last_user* with its last one."""
    beats = raw_beats(dwords, lanes)
    return [{"tdata": beat["data"], "tkeep": beat["keep"], "tlast": beat["last"],
             "tuser": (user if index == 0 else 0) | (last_user if beat["last"] else 0)}
            for index, beat in enumerate(beats)]


async def send(ctx: Any, port: Any, beats: Sequence[dict[str, int]], rng: random.Random, idle: float) -> None:
    """Drive the stream that the component *port* takes, with random gaps."""
    for beat in beats:
        while rng.random() < idle:
            ctx.set(port.tvalid, 0)
            await ctx.tick()
        ctx.set(port.tvalid, 1)
        for name, value in beat.items():
            ctx.set(getattr(port, name), value)
        while not (await ctx.tick().sample(port.tready))[2]:
            pass
    ctx.set(port.tvalid, 0)


#: Clocks of patience in tests, instead of four milliseconds.
PATIENCE = 150


def ip_function(number: int) -> int:
    return number and number + FIRST - 1


# --- Completer requests ---------------------------------------------------------------------------------------


def any_request(rng: random.Random) -> tuple[Any, int, int]:
    """A request of a host, the number of its function and its BAR."""
    length = rng.choice([1, 1, 1, 2, 3, 4, 5, 7, 8, 9, rng.randrange(1, 65)])
    first = rng.randrange(1, 16)
    common = {"requester": rng.getrandbits(16), "tag": rng.getrandbits(8)}
    more = {"traffic_class": rng.randrange(8), "attributes": rng.randrange(8)}
    address = rng.choice([0, 1 << rng.randrange(32, 64)]) | rng.getrandbits(20) << 12
    kind = rng.choice(["read", "read", "write", "write", "write", "locked", "io", "atomic"])
    if kind == "io":
        write = rng.random() < 0.5
        request: Any = IoRequest(write=write, address=(address & 0xFFFF_F000) + 4 * rng.randrange(1024),
                                 data=any_dword(rng) if write else 0, first_be=first, **common)
    elif kind == "atomic":
        operation = rng.choice([TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP])
        request = AtomicRequest(operation=operation, address=address, wide=True,
                                payload=tuple(any_dword(rng) for _ in range(rng.choice([1, 2]))), **common, **more)
    else:
        enables = {"first_be": first, "last_be": rng.randrange(1, 16) if length > 1 else 0}
        request = MemoryRequest(
            address=address, wide=True, locked=kind == "locked", write=kind == "write", length=length, **enables,
            payload=tuple(any_dword(rng) for _ in range(length)) if kind == "write" else (), **common, **more)
    return request, rng.choice([0, 0, 1, 2, 12, 252]), rng.randrange(7)


def packed(request: Any, function: int, bar: int) -> Any:
    """The frame that cocotbext-pcie makes of a request."""
    tlp = us.Tlp_us()
    names = {TlpType.FETCH_ADD: "FETCH_ADD", TlpType.SWAP: "SWAP", TlpType.COMPARE_SWAP: "CAS"}
    payload: Sequence[int] = ()
    if isinstance(request, IoRequest):
        name, payload = ("IO_WRITE", (request.data,)) if request.write else ("IO_READ", ())
        length, first, last = 1, request.first_be, 0
    elif isinstance(request, AtomicRequest):
        name, payload = names[request.operation], request.payload
        length, first, last = len(payload), 0, 0
    else:
        name = "MEM_WRITE" if request.write else "MEM_READ_LOCKED" if request.locked else "MEM_READ"
        payload, length, first, last = request.payload, request.length, request.first_be, request.last_be
    tlp.fmt_type = core.TlpType[name]
    tlp.length, tlp.first_be, tlp.last_be, tlp.address = length, first, last, request.address
    tlp.requester_id, tlp.tag = PcieId.from_int(request.requester), request.tag
    tlp.tc, tlp.attr = core.TlpTc(getattr(request, "traffic_class", 0)), core.TlpAttr(getattr(request, "attributes", 0))
    tlp.bar_id, tlp.bar_aperture, tlp.data = bar, 15, bytearray(to_bytes(payload))
    frame = tlp.pack_us_cq()
    # The library has no function above 7.
    frame.data[3] |= ip_function(function) << 8
    return frame


def expected_request(request: Any) -> list[int]:
    """The request's dwords; byte enables of atomics are of no meaning."""
    dwords = list(build(request))
    if isinstance(request, AtomicRequest):
        dwords[1] &= ~0xFF
    return dwords


@pytest.mark.parametrize("width", WIDTHS)
def test_each_request_becomes_the_packet_that_the_host_sent(width):
    rng = random.Random(width)
    dut = CompleterRequests(width, FIRST)
    requests = [any_request(rng) for _ in range(250)]
    beats = []
    for one in requests:
        frame = packed(*one)
        byte_enables = sum(enable << 4 * i for i, enable in enumerate(frame.byte_en[:8]))
        user = frame.first_be | frame.last_be << 4 | byte_enables << 8 | 1 << 40 | rng.getrandbits(32) << 53
        beats += beats_of(frame.data, width // 32, user)
    found: list[Any] = []
    non_posted: list[int] = []

    async def feed(ctx):
        await send(ctx, dut, beats, rng, 0.3)
        await ctx.tick().repeat(30)

    async def count(ctx):
        while True:
            non_posted.append((await ctx.tick().sample(dut.non_posted))[2])

    simulate(dut, feed, background=[
        stalling(dut.beats, rng, 0.3), taking(dut.beats, found, dut.hit.bar, dut.hit.function), count])
    assert tlp_packets(beat for beat, _, _ in found) == [expected_request(request) for request, _, _ in requests]
    hits = [(bar, function) for beat, bar, function in found if beat["first"]]
    assert hits == [(bar, function) for _, function, bar in requests]
    posted = [isinstance(request, MemoryRequest) and request.write for request, _, _ in requests]
    assert sum(non_posted) == posted.count(False)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_discontinued_packet_has_a_length_that_no_header_promises(width):
    rng = random.Random(width)
    dut = CompleterRequests(width, FIRST)
    found: list[Any] = []
    beats, lengths = [], []
    for index in range(80):
        length = 0 if index % 4 == 0 else rng.randrange(1, 20)
        request = MemoryRequest(address=0x1000, wide=True, write=bool(length), length=length or 1, first_be=15,
                                last_be=15 if length > 1 else 0, payload=tuple(range(length)))
        frame = packed(request, 0, 0)
        bad = index % 3 == 0
        beats += beats_of(frame.data, width // 32, 1 << 40, bad << 41)
        lengths.append((length, bad))

    async def feed(ctx):
        await send(ctx, dut, beats, rng, 0.2)
        await ctx.tick().repeat(10)

    simulate(dut, feed, background=[stalling(dut.beats, rng, 0.2), taking(dut.beats, found)])
    sums, total = [], 0
    for beat in found:
        total += beat["dwords"]
        if beat["last"]:
            sums.append(total)
            total = 0
    assert [dwords != length for dwords, (length, _) in zip(sums, lengths, strict=True)] == [bad for _, bad in lengths]


@pytest.mark.parametrize("code, routing, dwords", [(0x50, 4, 1), (0x00, 3, 0), (0x20, 4, 0), (0x7E, 2, 0)])
def test_a_message_keeps_its_code_and_routing(code, routing, dwords):
    dut = CompleterRequests(128, FIRST)
    found: list[Any] = []
    frame = [0, 0, dwords | 12 << 11 | 0x1234 << 16, 0x55 | code << 8 | routing << 16] + [7] * dwords

    async def feed(ctx):
        await send(ctx, dut, beats_of(frame, 4, 1 << 40), random.Random(0), 0)
        await ctx.tick().repeat(3)

    simulate(dut, feed, background=[stalling(dut.beats, random.Random(0), 0), taking(dut.beats, found)])
    message = parse(tlp_packets(found)[0])
    assert (message.code, message.routing, message.requester) == (code, routing, 0x1234)
    assert len(message.payload or ()) == dwords


# --- Completions and requests of the core --------------------------------------------------------------------


def any_answer(rng: random.Random) -> Completion:
    length = rng.choice([0, 1, 1, 1, 2, 5, 8, 9, 31, 32])
    return Completion(
        requester=rng.getrandbits(16), tag=rng.getrandbits(8), traffic_class=rng.randrange(8),
        attributes=rng.randrange(8), completer=rng.choice([0, 1, 3, 252]), status=0 if length else rng.choice([0, 1]),
        locked=rng.random() < 0.1, byte_count=rng.choice([4, 1, 4096, rng.randrange(1, 4097)]),
        lower_address=rng.randrange(128), payload=tuple(any_dword(rng) for _ in range(length)))


def any_dma(rng: random.Random) -> MemoryRequest:
    write = rng.random() < 0.6
    length = rng.choice([1, 1, 2, 4, 5, 8, 13, 32, 64])
    return MemoryRequest(
        write=write, address=4 * rng.getrandbits(rng.choice([28, 60])), wide=True, length=length,
        first_be=rng.randrange(1, 16), last_be=rng.randrange(1, 16) if length > 1 else 0, tag=rng.getrandbits(8),
        requester=rng.choice([0, 1, 9, 252]), payload=tuple(any_dword(rng) for _ in range(length)) if write else ())


class Streams:
    """Takes CC and RQ with random stalls and tells the core of requests that are sent, some clocks later."""

    def __init__(self, dut: DescriptorTransmitter, rng: random.Random, *, stall: float, tells: bool = True):
        self.dut, self.rng, self.stall, self.tells = dut, rng, stall, tells
        #: Packets in order of their first beats: ("cc" or "rq", dwords, tuser of the first beat).
        self.packets: list[tuple[str, list[int], int]] = []
        #: Clocks of these beats.
        self.clocks: list[int] = []
        #: Posted requests that the host has not been promised yet, when a completion began.
        self.overtaken = 0

    async def run(self, ctx: Any) -> None:
        dut, rng = self.dut, self.rng
        names = ("tvalid", "tready", "tdata", "tkeep", "tuser", "tlast")
        streams = [[getattr(dut, f"{prefix}_{name}") for name in names] for prefix in ("cc", "rq")]
        open_: dict[str, list[int] | None] = {"cc": None, "rq": None}
        offered: dict[str, Any] = {"cc": None, "rq": None}
        unsent: list[tuple[int, int]] = []
        for clock in itertools.count():
            for stream in streams:
                ctx.set(stream[1], rng.random() >= self.stall)
            told = [unsent.pop(0) for _ in range(rng.randrange(3)) if unsent and unsent[0][0] <= 0]
            for index in range(2):
                number = told[index][1] if index < len(told) else rng.getrandbits(6)
                ctx.set(dut.sent[index], index < len(told) and self.tells)
                ctx.set(dut.sent_number[index], number)
            sampled = (await ctx.tick().sample(*streams[0], *streams[1]))[2:]
            unsent = [(wait - 1, number) for wait, number in unsent]
            for name, (valid, ready, data, keep, user, last) in (("cc", sampled[:6]), ("rq", sampled[6:])):
                if offered[name] is not None:
                    assert valid and offered[name] == (data, keep, user, last), f"{name} changed what it offers"
                offered[name] = (data, keep, user, last) if valid and not ready else None
                if not (valid and ready):
                    continue
                assert keep & keep + 1 == 0 and keep, f"{name}_tkeep has a gap"
                if open_[name] is None:
                    open_[name] = []
                    self.packets.append((name, open_[name] or [], user))
                    open_[name] = self.packets[-1][1]
                    self.clocks.append(clock)
                    posted = name == "rq" and split(data, 8)[2] >> 11 & 15 == 1 if dut._width > 64 else user >> 61 & 1
                    if name == "cc":
                        self.overtaken += any(number >> 5 for _, number in unsent)
                    else:
                        unsent.append((rng.randrange(2, 12), user >> 24 & 15 | user >> 60 << 4))
                        assert unsent[-1][1] >> 5 == posted
                open_[name] += split(data, keep.bit_count())
                if last:
                    open_[name] = None


def transmitted(width: int, packets: Sequence[Any], *, seed: int, idle: float = 0.2, stall: float = 0.3,
                tells: bool = True, clocks: int = 200) -> Streams:
    rng = random.Random(seed)
    dut = DescriptorTransmitter(width, FIRST, PATIENCE)
    streams = Streams(dut, rng, stall=stall, tells=tells)

    async def feed(ctx):
        for packet in packets:
            # The beats of a packet follow without a gap.
            await offer(ctx, dut.raw, raw_beats(build(packet), width // 32))
            while rng.random() < idle:
                await ctx.tick()
        await ctx.tick().repeat(clocks)

    simulate(dut, feed, background=[streams.run])
    return streams


@pytest.mark.parametrize("width", WIDTHS)
def test_each_packet_leaves_on_its_stream_as_the_library_reads_it(width):
    rng = random.Random(width)
    packets = [any_answer(rng) if rng.random() < 0.5 else any_dma(rng) for _ in range(250)]
    streams = transmitted(width, packets, seed=width)
    assert [name for name, _, _ in streams.packets] == [
        "cc" if isinstance(packet, Completion) else "rq" for packet in packets]
    assert streams.overtaken == 0, "a completion went before a write that was handed in earlier"
    for packet, (name, dwords, user) in zip(packets, streams.packets, strict=True):
        frame = us.UsPcieFrame()
        frame.data = dwords
        if name == "cc":
            tlp = us.Tlp_us.unpack_us_cc(frame)
            assert (int(tlp.requester_id), tlp.tag, tlp.tc, tlp.attr) == (
                packet.requester, packet.tag, packet.traffic_class, packet.attributes)
            assert (tlp.status, tlp.byte_count, tlp.lower_address) == (
                packet.status, packet.byte_count, packet.lower_address)
            assert int(tlp.completer_id) == ip_function(packet.completer) and not tlp.completer_id_enable
            assert (tlp.fmt_type in (core.TlpType.CPL_LOCKED, core.TlpType.CPL_LOCKED_DATA)) == packet.locked
            assert tlp.length == len(packet.payload) and len(dwords) == 3 + tlp.length
            assert as_dwords(bytes(tlp.data)) == list(packet.payload) and not tlp.ep
            assert user == 0
        else:
            frame.first_be, frame.last_be = user & 15, user >> 4 & 15
            frame.seq_num = user >> 24 & 15 | user >> 60 << 4
            tlp = us.Tlp_us.unpack_us_rq(frame)
            write = tlp.fmt_type in (core.TlpType.MEM_WRITE, core.TlpType.MEM_WRITE_64)
            assert write or tlp.fmt_type in (core.TlpType.MEM_READ, core.TlpType.MEM_READ_64)
            assert (write, tlp.address, tlp.length, tlp.tag) == (
                packet.write, packet.address, packet.length, packet.tag)
            assert (tlp.first_be, tlp.last_be) == (packet.first_be, packet.last_be)
            assert int(tlp.requester_id) == ip_function(packet.requester) and not tlp.requester_id_enable
            assert as_dwords(bytes(tlp.data)) == list(packet.payload) and not tlp.ep
            assert user & ~(0xFF | 0xF << 24 | 0x3 << 60) == 0 and tlp.seq_num >> 5 == packet.write


@pytest.mark.parametrize("width", WIDTHS)
def test_the_transmitter_sends_a_beat_every_clock(width):
    rng = random.Random(width)
    answers = [Completion(payload=(any_dword(rng),)) for _ in range(50)]
    dut = DescriptorTransmitter(width, FIRST)
    beats = [beat for answer in answers for beat in raw_beats(build(answer), width // 32)]
    clocks = []

    async def feed(ctx):
        ctx.set(dut.cc_tready, 1)
        await offer(ctx, dut.raw, beats)

    async def watch(ctx):
        clock = 0
        while True:
            _, _, valid = await ctx.tick().sample(dut.cc_tvalid)
            clocks.extend([clock] if valid else [])
            clock += 1

    simulate(dut, feed, background=[watch])
    assert clocks[-1] - clocks[0] == len(clocks) - 1 and len(clocks) >= len(beats) - 1


def test_completions_go_on_if_the_ip_never_speaks_of_a_write():
    write = MemoryRequest(write=True, address=0x1000, wide=True, length=1, first_be=15, payload=(1,))
    answer = Completion(payload=(2,))
    streams = transmitted(128, [write, answer], seed=0, tells=False)
    assert [name for name, _, _ in streams.packets] == ["rq", "cc"]
    assert PATIENCE <= streams.clocks[1] - streams.clocks[0] < PATIENCE + 20


def test_a_number_that_comes_late_speaks_of_no_newer_write():
    """Writes are given up, newer ones go, and only then come the numbers of the first: nothing that waits may go."""
    dut = DescriptorTransmitter(128, FIRST, PATIENCE)
    write = MemoryRequest(write=True, address=0x1000, wide=True, length=1, first_be=15, payload=(1,))
    answer = Completion(payload=(2,))
    numbers: list[int] = []
    left: list[int] = []

    async def watch(ctx):
        ctx.set(dut.cc_tready, 1)
        ctx.set(dut.rq_tready, 1)
        first = True
        while True:
            signals = (dut.rq_tvalid, dut.rq_tlast, dut.rq_tuser, dut.cc_tvalid)
            _, _, request, last, user, completion = await ctx.tick().sample(*signals)
            if request and first:
                numbers.append(user >> 24 & 15 | user >> 60 << 4)
            if request:
                first = last
            left.extend([len(numbers)] if completion else [])

    async def tell(ctx, *told):
        for index, number in enumerate(told):
            ctx.set(dut.sent[index], 1)
            ctx.set(dut.sent_number[index], number)
        await ctx.tick()
        ctx.set(dut.sent, 0)
        await ctx.tick().repeat(4)

    async def feed(ctx):
        for rounds in range(12):
            given_up = 2 + rounds * 3 % 15
            begun = len(numbers)
            for _ in range(given_up):
                await offer(ctx, dut.raw, raw_beats(build(write), 4))
            await ctx.tick().repeat(PATIENCE + 10)
            await tell(ctx, numbers[begun])
            before = len(left)
            ctx.set(dut.raw.p, raw_beats(build(answer), 4)[0])
            ctx.set(dut.raw.valid, 1)
            await ctx.tick().repeat(3)
            ctx.set(dut.raw.valid, 0)
            assert len(left) > before, "a completion waits although nothing is on its way"
            newer = 1 + rounds * 7 % 16
            for _ in range(newer):
                await offer(ctx, dut.raw, raw_beats(build(write), 4))
            ctx.set(dut.raw.p, raw_beats(build(answer), 4)[0])
            ctx.set(dut.raw.valid, 1)
            await ctx.tick().repeat(3)
            late, live = numbers[begun:begun + given_up], numbers[begun + given_up:]
            assert len(live) == newer
            before = len(left)
            for number in late:
                await tell(ctx, number)
            # All but the last, and numbers of reads, which are of no meaning.
            for number in live[:-1]:
                await tell(ctx, number, numbers[-1] & 31)
            assert len(left) == before, "a completion passed a write that the IP has not spoken of"
            await tell(ctx, numbers[-1] & 31, live[-1])
            ctx.set(dut.raw.valid, 0)
            assert len(left) > before

    simulate(dut, feed, background=[watch])


# --- Requester completions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_each_completion_of_a_read_becomes_the_packet_that_the_host_sent(width):
    rng = random.Random(width)
    dut = RequesterCompletions(width, FIRST)
    beats, expected = [], []
    for _ in range(250):
        length = rng.choice([0, 1, 1, 2, 3, 5, 8, 9, 32])
        function = rng.choice([0, 1, 5, 252])
        tlp = us.Tlp_us()
        tlp.fmt_type = core.TlpType.CPL_DATA if length else core.TlpType.CPL
        tlp.status = core.CplStatus.SC if length else core.CplStatus.UR
        tlp.requester_id = PcieId.from_int(0x2300 | ip_function(function))
        tlp.completer_id = PcieId.from_int(rng.getrandbits(16))
        tlp.tag, tlp.length, tlp.byte_count = rng.getrandbits(8), length, rng.choice([4, 4096, rng.randrange(1, 4096)])
        tlp.lower_address, tlp.ep = rng.randrange(128), length and rng.random() < 0.2
        tlp.data = bytearray(rng.randbytes(4 * length))
        tlp.error_code = rng.choice([0] * 8 + [1, 2, 3, 4, 5, 6, 8, 9])
        discontinue = rng.random() < 0.1
        beats += beats_of(tlp.pack_us_rc().data, width // 32, 0xFFFF_FFFF | 1 << 32, discontinue << 42)
        failed, stray = tlp.error_code in (3, 5, 8, 9), tlp.error_code in (4, 6)
        expected.append((Completion(
            requester=0x2300 | function, completer=int(tlp.completer_id), tag=tlp.tag, poisoned=bool(tlp.ep),
            status=4 if failed else int(tlp.status), byte_count=tlp.byte_count, lower_address=tlp.lower_address,
            payload=() if failed else tuple(as_dwords(bytes(tlp.data)))), stray or discontinue))
    found: list[Any] = []

    async def feed(ctx):
        await send(ctx, dut, beats, rng, 0.2)
        await ctx.tick().repeat(10)

    async def watch(ctx):
        out = dut.completions
        while True:
            _, _, valid, p = await ctx.tick().sample(out.valid, out.p)
            if valid:
                beat = {name: getattr(p.beat, name) for name in ("header", "data", "dwords", "first", "last")}
                found.append((beat, p.malformed))

    simulate(dut, feed, background=[watch])
    assert [parse(packet) for packet in tlp_packets(beat for beat, _ in found)] == [one for one, _ in expected]
    assert [malformed for beat, malformed in found if beat["last"]] == [bad for _, bad in expected]


# --- Status --------------------------------------------------------------------------------------------------


def test_credit_is_never_lent_twice():
    """A place that is lent stays lent until its request has come."""
    rng = random.Random(1)
    dut = NonPostedCredit()

    async def play(ctx):
        places, lent, given = 16, 0, 0
        for _ in range(3000):
            arrives = lent > 0 and rng.random() < 0.5
            # The core promises 16 places or says nothing.
            ctx.set(dut.np_ok, places - lent >= 0 and places >= 16)
            ctx.set(dut.arrived, arrives)
            _, _, one_more, ok = await ctx.tick().sample(dut.np_req, dut.np_ok)
            assert one_more in (0, 1) and not (one_more and not ok)
            lent += one_more - arrives
            given += one_more
            assert lent <= 16
            places += rng.randrange(-2, 3)
            places = max(0, min(places, 32))
        assert given > 500

    simulate(dut, play)


@pytest.mark.parametrize("most", [1, 2, 15, 40])
def test_no_read_leaves_without_credit(most):
    """Whatever the way to the IP takes, and though the credit is shown late; and every credit is used."""
    rng = random.Random(most)
    dut = ReadCredit()

    async def play(ctx):
        # Of the host; reads on their way, and what the IP shows, oldest first.
        credit, on_their_way, shown = most, 0, [most] * 3
        lent: list[int] = []
        leaves = sent = 0
        for clock in range(4000):
            # For a while the host gives nothing back.
            if lent and lent[0] <= clock and not 1000 < clock < 2000:
                lent.pop(0)
                credit += 1
            shown = [*shown[1:], credit]
            goes = on_their_way > 0 and rng.random() < 0.3
            ctx.set(dut.available, min(shown[0], 15))
            comes = rng.random() < 0.6 and ctx.get(dut.ok)
            ctx.set(dut.leaves, comes)
            ctx.set(dut.sent, goes)
            on_their_way += comes - goes
            leaves += comes
            if goes:
                assert credit, "the IP has to hold a read"
                credit -= 1
                sent += 1
                lent.append(clock + rng.randrange(20, 40))
            await ctx.tick()
            if clock == 1900:
                assert on_their_way == credit == 0, "a read waits although there is credit" if credit else ""
        assert sent > 20 * min(most, 10)

    simulate(dut, play)


def test_the_pin_changes_only_when_the_last_change_has_been_sent():
    rng = random.Random(2)
    dut = InterruptPin()

    async def play(ctx):
        pending, last, changes = 0, 0, 0
        for _ in range(2000):
            if rng.random() < 0.2:
                ctx.set(dut.level, not ctx.get(dut.level))
            sent = pending and rng.random() < 0.3
            ctx.set(dut.sent, sent)
            pending = pending and not sent
            await ctx.tick()
            if ctx.get(dut.pin) != last:
                assert not pending, "two changes at once"
                last, pending, changes = ctx.get(dut.pin), 1, changes + 1
        assert changes > 50
        ctx.set(dut.sent, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.pin) == ctx.get(dut.level)

    simulate(dut, play)


DEVICE = """
[device]
kind = "net"
[interrupts]
intx = true
[datapath]
adapter = "pcie4_uscale_plus"
"""


def test_status_of_the_ip_controls_the_physical_function():
    rng = random.Random(3)
    dut = UltraScalePlus(loads(DEVICE))
    control = dut.link.control

    async def play(ctx):
        for _ in range(100):
            status, power = rng.getrandbits(16), rng.choice([0, 1, 1, 1, 2, 4])
            ctx.set(dut.cfg_function_status, status)
            ctx.set(dut.cfg_function_power_state, power | rng.getrandbits(9) << 3)
            for name in ("cfg_max_payload", "cfg_max_read_req", "cfg_bus_number", "cfg_rcb_status",
                         "cfg_interrupt_msix_enable", "cfg_interrupt_msix_mask"):
                ctx.set(getattr(dut, name), rng.getrandbits(len(getattr(dut, name))))
            await ctx.tick()
            awake = power in (0, 1)
            shown = [ctx.get(getattr(control, name)) for name in (
                "awake", "io_enabled", "memory_enabled", "bus_master", "interrupt_disable")]
            assert shown == [awake, *(awake and status >> bit & 1 for bit in range(3)), not awake or status >> 3 & 1]
            assert ctx.get(control.max_payload_size) == ctx.get(dut.cfg_max_payload)
            assert ctx.get(control.max_read_request_size) == ctx.get(dut.cfg_max_read_req)
            assert ctx.get(control.bus) == ctx.get(dut.cfg_bus_number)
            assert ctx.get(control.read_completion_boundary) == ctx.get(dut.cfg_rcb_status) & 1
            assert ctx.get(control.msix_enable) == ctx.get(dut.cfg_interrupt_msix_enable) & 1
            assert ctx.get(control.msix_mask) == ctx.get(dut.cfg_interrupt_msix_mask) & 1

    simulate(dut, play)


def test_resets_of_functions_are_told_and_their_end_is_told_to_the_ip():
    dut = UltraScalePlus(loads(DEVICE + "[vf]\ncount = 6\n"))
    told: list[Any] = []
    ends: list[int] = []

    async def watch(ctx):
        while True:
            _, _, done, number = await ctx.tick().sample(dut.cfg_vf_flr_done, dut.cfg_vf_flr_func_num)
            ends.extend([number] if done else [])

    async def play(ctx):
        ctx.set(dut.link.change.ready, 1)
        await ctx.tick().repeat(20)
        # Three virtual functions come.
        ctx.set(dut.cfg_vf_status, 0b01_01_01)
        await ctx.tick().repeat(30)
        assert (ctx.get(dut.link.control.vf_enable), ctx.get(dut.link.control.num_vfs)) == (1, 3)
        ctx.set(dut.cfg_vf_status, 0b01_11_01)
        ctx.set(dut.cfg_interrupt_msix_vf_enable, 0b100)
        await ctx.tick().repeat(30)
        ctx.set(dut.cfg_vf_flr_in_process, 0b010)
        ctx.set(dut.cfg_flr_in_process, 1)
        await ctx.tick().repeat(30)
        assert ends == [1] and ctx.get(dut.cfg_flr_done) == 1
        ctx.set(dut.cfg_vf_status, 0b01_01_01)
        ctx.set(dut.cfg_vf_flr_in_process, 0)
        ctx.set(dut.cfg_flr_in_process, 0)
        await ctx.tick().repeat(30)
        assert ends == [1] and ctx.get(dut.cfg_flr_done) == 0
        ctx.set(dut.cfg_vf_status, 0)
        await ctx.tick()
        assert (ctx.get(dut.link.control.vf_enable), ctx.get(dut.link.control.num_vfs)) == (0, 0)

    simulate(dut, play, background=[watch, taking(dut.link.change, told)])
    quiet = {"reset": 0, "bus_master": 0, "msix_enable": 0, "msix_mask": 0}
    by_function = [[change | {"function": 0} for change in told if change["function"] == n] for n in range(7)]
    assert by_function[0] == [quiet | {"function": 0, "reset": 1}, quiet | {"function": 0}]
    assert by_function[2] == [quiet | {"function": 0} | {"bus_master": 1}, quiet | {"function": 0} | {"reset": 1},
                              quiet | {"function": 0}]
    assert by_function[3] == [quiet | {"function": 0} | {"msix_enable": 1}]
    assert not any(by_function[n] for n in (1, 4, 5, 6))

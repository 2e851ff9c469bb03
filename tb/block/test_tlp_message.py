"""MSI-X messages and INTx messages as packets, compared with the codec's."""

import random

import pytest
from block.simulation import raw_packets, simulate, stalling, taking
from virtio_mmr.gateware.tlp.message import IntxMessenger, MessageBuilder
from virtio_mmr_sim.bus.amaranth import push
from virtio_mmr_sim.model.tlp import MemoryRequest, Message, build

REQUESTER = 0x12F8


@pytest.mark.parametrize("width", [64, 128, 256, 512])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_msx_02_message_is_a_write_of_one_dword_with_the_shortest_header(width, stall):
    rng = random.Random(width)
    dut = MessageBuilder(width)
    messages = [(rng.choice((0xFEE0_0000, 0xFFFF_FFFC, 1 << 32, rng.getrandbits(62) << 2)), rng.getrandbits(32))
                for _ in range(40)]
    found, clocks = [], []

    async def feed(ctx):
        ctx.set(dut.requester, REQUESTER)
        await ctx.tick()
        await push(ctx, dut.message, [
            {"function": 0, "vector": 1, "address": address, "dword": dword} for address, dword in messages],
            rng=rng, idle=0.3)
        while sum(beat["last"] for beat in found) < len(messages):
            await ctx.tick()

    async def watch(ctx):
        while True:
            clocks.append((await ctx.tick().sample(dut.beats.valid, dut.beats.ready, dut.beats.p.last))[2:])

    simulate(dut, feed, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found), watch])
    assert raw_packets(found) == [
        build(MemoryRequest(write=True, address=address, payload=(dword,), requester=REQUESTER))
        for address, dword in messages]
    inside = False
    for valid, ready, last in clocks:
        assert valid or not inside, "a gap inside a packet"
        inside = bool(valid) and not (ready and last)


def test_vf_08_a_message_carries_the_id_of_its_function():
    dut, found = MessageBuilder(128, several=True), []
    functions = (0, 1, 255, 3)

    async def feed(ctx):
        ctx.set(dut.requester, 0x5A00)
        await ctx.tick()
        await push(ctx, dut.message, [
            {"function": function, "vector": 0, "address": 0xFEE0_0000, "dword": function} for function in functions])
        while sum(beat["last"] for beat in found) < len(functions):
            await ctx.tick()

    simulate(dut, feed, background=[stalling(dut.beats, random.Random(1), 0.3), taking(dut.beats, found)])
    assert raw_packets(found) == [
        build(MemoryRequest(write=True, address=0xFEE0_0000, payload=(function,), requester=0x5A00 | function))
        for function in functions]


def intx(code):
    return build(Message(code=code, routing=0b100, requester=REQUESTER))


@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_leg_42_each_change_of_the_level_is_told_and_the_last_one_holds(stall):
    rng = random.Random(stall)
    dut = IntxMessenger(128)
    found, levels = [], []

    async def play(ctx):
        ctx.set(dut.requester, REQUESTER)
        await ctx.tick()
        for _ in range(400):
            ctx.set(dut.level, rng.random() < 0.5)
            levels.append(ctx.get(dut.level))
            for _ in range(rng.choice((1, 1, 2, 20))):
                await ctx.tick()
        for _ in range(60):
            await ctx.tick()

    simulate(dut, play, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found)])
    packets = raw_packets(found)
    assert packets == [intx((0x20, 0x24)[i % 2]) for i in range(len(packets))]
    changes = sum(a != b for a, b in zip([0, *levels], levels, strict=False))
    assert len(packets) == changes if not stall else len(packets) <= changes
    assert len(packets) % 2 == levels[-1]


def test_message_of_a_level_that_has_fallen_again_stays_on_offer():
    dut = IntxMessenger(128)

    async def play(ctx):
        ctx.set(dut.level, 1)
        await ctx.tick()
        ctx.set(dut.level, 0)
        for _ in range(3):
            assert ctx.get(dut.beats.valid) and ctx.get(dut.beats.p.data) >> 32 & 0xFF == 0x20
            await ctx.tick()
        ctx.set(dut.beats.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.beats.valid) and ctx.get(dut.beats.p.data) >> 32 & 0xFF == 0x24
        await ctx.tick()
        assert not ctx.get(dut.beats.valid)

    simulate(dut, play)

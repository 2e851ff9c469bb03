"""The simulator's ends of streams lose and double nothing, and keep the stream rules."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.sim import Simulator
from virtio_mmr_sim.bus.amaranth import pull, push


@pytest.mark.parametrize("seed", range(4))
def test_every_item_arrives_once_and_in_order(seed):
    rng = random.Random(seed)
    items = [rng.randrange(1 << 16) for _ in range(200)]
    dut = SyncFIFOBuffered(width=unsigned(16).width, depth=3)
    found = []

    async def feed(ctx):
        await push(ctx, dut.w_stream, items, rng=rng, idle=0.3)

    async def drain(ctx):
        found.extend(await pull(ctx, dut.r_stream, len(items), rng=rng, stall=0.3))

    sim = Simulator(dut)
    sim.add_clock(4e-9)
    sim.add_testbench(feed)
    sim.add_testbench(drain)
    sim.run()
    assert found == items


def test_without_a_generator_an_item_moves_every_clock():
    dut = SyncFIFOBuffered(width=8, depth=4)
    busy = []

    async def feed(ctx):
        await push(ctx, dut.w_stream, range(100))

    async def drain(ctx):
        await pull(ctx, dut.r_stream, 100)

    async def watch(ctx):
        while sum(busy) < 100:
            _, _, valid, ready = await ctx.tick().sample(dut.r_stream.valid, dut.r_stream.ready)
            busy.append(valid & ready)

    sim = Simulator(dut)
    sim.add_clock(4e-9)
    for testbench in (feed, drain, watch):
        sim.add_testbench(testbench)
    sim.run()
    assert busy[busy.index(1):] == [1] * 100

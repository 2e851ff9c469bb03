"""The queue in block RAM loses and doubles nothing, and is as deep and as fast as it says."""

import random

import pytest
from amaranth.hdl import unsigned
from block.simulation import simulate, stalling, taking
from virtio_mmr.gateware.access.queue import BlockQueue
from virtio_mmr_sim.bus.amaranth import push


@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.0, 0.8), (0.8, 0.0), (0.4, 0.4)])
@pytest.mark.parametrize("depth", [2, 4, 32])
def test_every_item_comes_once_and_in_order(depth, idle, stall):
    rng = random.Random(depth)
    items = [rng.getrandbits(16) for _ in range(150)]
    dut = BlockQueue(unsigned(16), depth)
    found = []

    async def feed(ctx):
        await push(ctx, dut.entries, items, rng=rng, idle=idle)
        while len(found) < len(items):
            await ctx.tick()
        await ctx.tick().repeat(depth + 3)

    simulate(dut, feed, background=[stalling(dut.head, rng, stall), taking(dut.head, found)])
    assert found == items


@pytest.mark.parametrize("depth", [2, 32])
def test_it_holds_at_least_its_depth_while_nobody_takes(depth):
    dut = BlockQueue(unsigned(8), depth)
    accepted = []

    async def fill(ctx):
        ctx.set(dut.entries.valid, 1)
        for number in range(depth + 8):
            ctx.set(dut.entries.payload, number)
            accepted.append((await ctx.tick().sample(dut.entries.ready))[2])
        assert ctx.get(dut.head.valid)

    simulate(dut, fill)
    assert accepted[:depth] == [1] * depth
    assert accepted[-1] == 0


def test_an_item_moves_every_clock():
    dut = BlockQueue(unsigned(8), 4)
    clocks = []

    async def flow(ctx):
        ctx.set(dut.head.ready, 1)
        ctx.set(dut.entries.valid, 1)
        for number in range(50):
            ctx.set(dut.entries.payload, number)
            _, _, ready, valid, head = await ctx.tick().sample(dut.entries.ready, dut.head.valid, dut.head.payload)
            clocks.append((ready, head if valid else None))

    simulate(dut, flow)
    assert [ready for ready, _ in clocks] == [1] * 50
    heads = [head for _, head in clocks]
    latency = heads.index(0)
    assert latency <= 3
    assert heads == [None] * latency + list(range(50 - latency))


@pytest.mark.parametrize("seed", range(3))
def test_empty_means_that_nothing_is_inside(seed):
    rng = random.Random(seed)
    dut = BlockQueue(unsigned(8), 4)
    count = quiet = 0

    async def play(ctx):
        nonlocal count, quiet
        for _ in range(300):
            ctx.set(dut.entries.valid, rng.random() < 0.4)
            ctx.set(dut.head.ready, rng.random() < 0.5)
            _, _, empty, enters, leaves = await ctx.tick().sample(
                dut.empty, dut.entries.valid & dut.entries.ready, dut.head.valid & dut.head.ready)
            assert not (empty and count), "empty is never said too early"
            quiet = 0 if count else quiet + 1
            assert empty or quiet < 3
            count += enters - leaves

    simulate(dut, play)

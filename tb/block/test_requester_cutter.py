"""A range becomes pieces without a gap, each as large as what software had set when it was cut."""

import random

import pytest
from block.simulation import offer, plain, simulate
from virtio_mmr.gateware.requester.cutter import Cutter


@pytest.mark.parametrize("seed", range(3))
def test_sizes_may_change_at_any_time(seed):
    rng = random.Random(seed)
    dut, found = Cutter(4, 512), []
    requests = [{"address": rng.choice([0x1000, 0xFFFF_F000, 1 << 40]) + rng.randrange(4096),
                 "bytes": rng.choice([1, 127, 128, 300, 1025, rng.randrange(1, 4097)]), "extra": 5} for _ in range(40)]

    async def change(ctx):
        while True:
            if rng.random() < 0.5:
                ctx.set(dut.size, rng.randrange(4))
            await ctx.tick()

    async def take(ctx):
        while True:
            ctx.set(dut.pieces.ready, rng.random() < 0.7)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.pieces.valid, dut.pieces.ready, dut.pieces.payload)
            if valid and ready:
                found.append(plain(payload))

    async def ask(ctx):
        await offer(ctx, dut.request, requests)
        for _ in range(400):
            await ctx.tick()

    simulate(dut, ask, background=[change, take])
    pieces = iter(found)
    for request in requests:
        place, end = request["address"], request["address"] + request["bytes"]
        while place < end:
            piece = next(pieces)
            assert piece["address"] == place
            place += piece["reach"] + 1
            borders = {(piece["address"] // most + 1) * most for most in (128, 256, 512)}
            assert place in {min(end, border) for border in borders}
            assert piece["last"] == (place == end)
    assert next(pieces, None) is None

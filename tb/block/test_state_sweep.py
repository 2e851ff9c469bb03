"""Every function is visited: at the start, when virtual functions vanish, and when silence ends."""

import pytest
from block.simulation import plain, simulate
from virtio_mmr.gateware.state.function import EventKind
from virtio_mmr.gateware.state.sweep import Sweep


async def visits(ctx, dut: Sweep) -> list[tuple[EventKind, int]]:
    """The visits until nobody is visited any more."""
    found = []
    while True:
        _, _, active, event = await ctx.tick().sample(dut.active, dut.event)
        if not active:
            return found
        found.append((EventKind(plain(event)["kind"]), plain(event)["function"]))


@pytest.mark.parametrize("functions", [2, 9, 256])
def test_it_starts_with_all_of_them(functions):
    dut = Sweep(functions)

    async def run(ctx):
        assert await visits(ctx, dut) == [(EventKind.INITIALISE, number) for number in range(functions)]
        assert ctx.get(dut.present) == 0

    simulate(dut, run)


@pytest.mark.parametrize("functions, present", [(2, 1), (9, 8), (9, 3), (256, 255)])
def test_those_that_were_there_vanish_one_by_one(functions, present):
    dut = Sweep(functions)

    async def run(ctx):
        await visits(ctx, dut)
        ctx.set(dut.wanted, present)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.present) == present and not ctx.get(dut.active)
        ctx.set(dut.wanted, 0)
        await ctx.tick()
        found = []
        while ctx.get(dut.active):
            # They exist until all of them have been reset, so that none is created too early.
            assert ctx.get(dut.present) == present and ctx.get(dut.reachable) == 0
            _, _, event = await ctx.tick().sample(dut.event)
            found.append((EventKind(plain(event)["kind"]), plain(event)["function"]))
            # What is wanted meanwhile has to wait.
            ctx.set(dut.wanted, present)
        assert found == [(EventKind.VANISH, number) for number in range(1, present + 1)]
        assert ctx.get(dut.present) == 0
        await ctx.tick()
        assert ctx.get(dut.present) == ctx.get(dut.reachable) == present

    simulate(dut, run)


def test_waking_visits_those_that_exist():
    dut = Sweep(9)

    async def run(ctx):
        await visits(ctx, dut)
        ctx.set(dut.wanted, 3)
        await ctx.tick().repeat(2)
        ctx.set(dut.wakes, 1)
        await ctx.tick()
        ctx.set(dut.wakes, 0)
        await ctx.tick()
        assert await visits(ctx, dut) == [(EventKind.NONE, number) for number in range(4)]
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.active)

    simulate(dut, run)

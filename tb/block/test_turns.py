"""Functions take turns: each that has something to tell comes up, once, and again while something is left."""

import random

import pytest
from block.simulation import plain, simulate
from virtio_mmr.gateware.turns import Turns


class Functions:
    """Functions with numbers of things to tell, and the pipeline that shows their rows two clocks after a look."""

    def __init__(self, count: int, seed: int):
        self.count, self.rng = count, random.Random(seed)
        self.dut = Turns(count)
        self.work = [0] * count
        #: What was looked at: None, or the function with what is to happen to it.
        self.on_the_way = [(0, None), (0, None)]
        self.told, self.overtaken = [], 0

    async def clock(self, ctx, look: int, what=None) -> None:
        """One clock: *what* is "more", "turn", "initialise" or None, for the function that is looked at."""
        dut = self.dut
        function, happens = self.on_the_way.pop(0)
        self.on_the_way.append((look, what))
        if happens == "more":
            self.work[function] += 1
        if happens == "turn":
            self.told.append(function)
            self.work[function] = max(self.work[function] - self.rng.choice((0, 1, 1)), 0)
        ctx.set(dut.look, look)
        ctx.set(dut.function, function)
        ctx.set(dut.turn, happens == "turn")
        ctx.set(dut.initialise, happens == "initialise")
        ctx.set(dut.work, self.work[function] > 0)
        ctx.set(dut.queue, function + 1)
        await ctx.tick()

    async def start(self, ctx) -> None:
        for number in range(self.count):
            await self.clock(ctx, number, "initialise")

    async def turn(self, ctx) -> bool:
        """Give the next function its turn, if one waits."""
        if not ctx.get(self.dut.next.valid):
            return False
        entry = plain(ctx.get(self.dut.next.payload))
        assert entry["queue"] == entry["function"] + 1
        ctx.set(self.dut.next.ready, 1)
        await self.clock(ctx, entry["function"], "turn")
        ctx.set(self.dut.next.ready, 0)
        return True


@pytest.mark.parametrize("count", [2, 5, 256])
def test_everything_is_told(count):
    functions = Functions(count, count)

    async def run(ctx):
        rng = functions.rng
        await functions.start(ctx)
        for _ in range(600):
            if rng.random() < 0.5 and await functions.turn(ctx):
                continue
            # The same function again and again, or any.
            await functions.clock(ctx, rng.choice((0, 1, rng.randrange(count))), rng.choice((None, "more", "more")))
        quiet = 0
        while quiet < 12:
            quiet = 0 if await functions.turn(ctx) else quiet + 1
            if quiet:
                await functions.clock(ctx, rng.randrange(count))
        assert not any(functions.work)

    simulate(functions.dut, run)
    assert len(set(functions.told)) > 1


def test_nobody_waits_longer_than_once_for_every_other():
    functions = Functions(4, 1)

    async def run(ctx):
        await functions.start(ctx)
        # Function 0 never has enough.
        for number in range(300):
            for other in (0, 1, 2, 3):
                await functions.clock(ctx, other, "more" if other == 0 or number % 20 == 0 else None)
            await functions.turn(ctx)

    simulate(functions.dut, run)
    for other in (1, 2, 3):
        turns = [i for i, function in enumerate(functions.told) if function == other]
        assert turns, "function 0 keeps it from its turn"


def test_an_initialised_function_stands_nowhere():
    functions = Functions(3, 2)

    async def run(ctx):
        await functions.start(ctx)
        for _ in range(5):
            await functions.clock(ctx, 0)
        assert not ctx.get(functions.dut.next.valid)

    simulate(functions.dut, run)

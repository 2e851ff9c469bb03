"""What hard IP shows as levels reaches the functions as changes, the last state always."""

import random

import pytest
from block.simulation import simulate
from virtio_mmr.gateware.adapters.watch import FunctionWatcher

LEVELS = ("bus_master", "msix_enable", "msix_mask", "resetting")


@pytest.mark.parametrize("functions", [1, 5])
def test_every_function_hears_of_its_last_state_and_of_each_reset_once(functions):
    rng = random.Random(functions)
    dut = FunctionWatcher(functions)
    heard = [dict.fromkeys(("bus_master", "msix_enable", "msix_mask"), 0) for _ in range(functions)]
    resets, done = [0] * functions, [0] * functions

    async def play(ctx):
        levels = dict.fromkeys(LEVELS, 0)
        begun = [0] * functions

        async def clocks(count, stall):
            for _ in range(count):
                ctx.set(dut.change.ready, rng.random() >= stall)
                sampled = (dut.change.valid, dut.change.ready, dut.change.p, dut.reset_done, dut.reset_function)
                _, _, valid, ready, change, is_done, whose = await ctx.tick().sample(*sampled)
                if valid and ready:
                    resets[change.function] += change.reset
                    heard[change.function] = {name: getattr(change, name) for name in heard[0]}
                done[whose] += is_done

        for _ in range(150):
            name, bit = rng.choice(LEVELS), rng.randrange(functions)
            levels[name] ^= 1 << bit
            begun[bit] += name == "resetting" and levels[name] >> bit & 1
            ctx.set(getattr(dut, name), levels[name])
            ctx.set(dut.written, rng.randrange(2))
            ctx.set(dut.written_function, rng.randrange(functions + 2))
            # A reset lasts until it has been noticed.
            await clocks(rng.randrange(3) if name != "resetting" else 12 * functions, 0.5)
        await clocks(12 * functions, 0.2)
        for function in range(functions):
            live = not levels["resetting"] >> function & 1
            assert heard[function] == {name: live and levels[name] >> function & 1 for name in heard[function]}
        assert resets == done == begun

    simulate(dut, play)


def test_a_function_that_was_written_is_heard_of_at_once():
    """Software need not wait for a round over all functions, however late after the write the level changes."""
    rng = random.Random(7)
    dut = FunctionWatcher(200)

    async def play(ctx):
        ctx.set(dut.change.ready, 1)
        await ctx.tick().repeat(220)
        enabled = 0
        for _ in range(30):
            function = rng.randrange(200)
            ctx.set(dut.written, 1)
            ctx.set(dut.written_function, function)
            await ctx.tick()
            ctx.set(dut.written, 0)
            ctx.set(dut.written_function, rng.randrange(256))
            await ctx.tick().repeat(rng.randrange(60))
            enabled ^= 1 << function
            ctx.set(dut.msix_enable, enabled)
            told = []
            for _ in range(4):
                _, _, valid, change = await ctx.tick().sample(dut.change.valid, dut.change.p)
                told.extend([(change.function, change.msix_enable)] if valid else [])
            assert told == [(function, enabled >> function & 1)]

    simulate(dut, play)


def test_nothing_is_told_while_nothing_changes():
    dut = FunctionWatcher(4)

    async def play(ctx):
        ctx.set(dut.change.ready, 1)
        for _ in range(20):
            _, _, valid = await ctx.tick().sample(dut.change.valid)
            assert not valid

    simulate(dut, play)

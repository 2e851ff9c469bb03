"""Rows in block RAM look as if they were registers, whatever the distance between change and look."""

import random

import pytest
from amaranth.hdl import unsigned
from block.simulation import simulate
from virtio_mmr.gateware.state.rows import RowStore


def run(count: int, latency: int, looks: list[int], changes: list[int | None], init: list[int]):
    """Gives each clock's look, and the value that its row takes when it is shown; checks what is shown."""
    dut = RowStore(unsigned(16), count, latency=latency, init=init)
    rows = list(init)

    async def check(ctx):
        for clock, look in enumerate(looks + [0] * latency):
            ctx.set(dut.look, look)
            at = clock - latency
            if at >= 0:
                assert ctx.get(dut.number) == looks[at]
                assert ctx.get(dut.row) == rows[looks[at]], f"clock {clock}, row {looks[at]}"
                value = changes[at]
                ctx.set(dut.change, value is not None)
                ctx.set(dut.new, value or 0)
                if value is not None:
                    rows[looks[at]] = value
            if latency > 1 and 0 <= at + 1 < len(looks):
                assert (ctx.get(dut.coming_number), ctx.get(dut.coming)) == (looks[at + 1], rows[looks[at + 1]])
            await ctx.tick()

    simulate(dut, check)


@pytest.mark.parametrize("latency", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 5, 256])
def test_random_looks_and_changes(count, latency):
    rng = random.Random(count * 10 + latency)
    near = [rng.randrange(count) for _ in range(3)]
    looks = [rng.choice(near) if rng.random() < 0.7 else rng.randrange(count) for _ in range(600)]
    changes = [rng.getrandbits(16) if rng.random() < 0.6 else None for _ in looks]
    run(count, latency, looks, changes, [rng.getrandbits(16) for _ in range(count)])


@pytest.mark.parametrize("latency", [1, 2, 3])
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5])
def test_a_change_is_seen_at_every_distance(latency, distance):
    looks = [7] + [100 + i for i in range(distance - 1)] + [7]
    run(256, latency, looks, [0xABCD] + [None] * distance, [0] * 256)


@pytest.mark.parametrize("latency", [1, 2])
@pytest.mark.parametrize("count", [2, 5, 256])
def test_changes_elsewhere_are_seen_by_every_later_use(count, latency):
    rng = random.Random(count + latency)
    dut = RowStore(unsigned(16), count, latency=latency, elsewhere=True)
    rows, looks = [0] * count, [rng.randrange(count) for _ in range(latency)]

    async def check(ctx):
        for clock in range(1200):
            looks.append(rng.choice(looks[-4:]) if rng.random() < 0.7 else rng.randrange(count))
            ctx.set(dut.look, looks[latency + clock])
            if clock >= latency:
                shown = looks[clock]
                assert (ctx.get(dut.number), ctx.get(dut.row)) == (shown, rows[shown]), clock
                # Of a row that was looked at, is shown, or is on its way.
                changes, target, value = rng.random() < 0.6, rng.choice(looks[clock - 3:]), rng.getrandbits(16)
                ctx.set(dut.change, changes)
                ctx.set(dut.changed_number, target)
                ctx.set(dut.new, value)
                if changes:
                    rows[target] = value
            await ctx.tick()

    simulate(dut, check)


def test_latency_must_be_possible():
    with pytest.raises(ValueError, match="a row store has a latency of 0; block RAM needs at least 1"):
        RowStore(unsigned(8), 4, latency=0)
    with pytest.raises(ValueError, match="behind with a latency of 1; a choice behind registers takes at least 2"):
        RowStore(unsigned(8), 4, latency=1, behind=True)


@pytest.mark.parametrize(("latency", "elsewhere"), [(1, False), (3, False), (2, True)])
def test_looks_are_compared_early_only_where_that_is_right(latency, elsewhere):
    with pytest.raises(ValueError, match=f"latency {latency} and elsewhere {elsewhere}; a row store needs 2 and False"):
        RowStore(unsigned(8), 4, latency=latency, late_bits=0, elsewhere=elsewhere)

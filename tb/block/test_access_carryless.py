"""Each function is the operator that it replaces, for every value."""

import pytest
from amaranth.hdl import Module, Signal
from block.simulation import simulate
from virtio_mmr.gateware.access.carryless import below, following


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_every_value_against_every_limit(bits):
    m = Module()
    value = Signal(bits)
    limits = range(-1, (1 << bits) + 2)
    answers = Signal(len(limits))
    for index, limit in enumerate(limits):
        m.d.comb += answers[index].eq(below(value, limit))
    found = []

    async def sweep(ctx):
        for number in range(1 << bits):
            ctx.set(value, number)
            found.append([bool(ctx.get(answers) >> index & 1) for index in range(len(limits))])

    simulate(m, sweep)
    assert found == [[number < limit for limit in limits] for number in range(1 << bits)]


def test_limits_at_powers_of_two_of_a_wide_value():
    m = Module()
    value = Signal(20)
    limits = [(1 << bit) + step for bit in range(21) for step in (-1, 0, 1)]
    answers = Signal(len(limits))
    m.d.comb += [answers[index].eq(below(value, limit)) for index, limit in enumerate(limits)]
    values = sorted({number for limit in limits for number in (limit - 1, limit, limit + 1) if 0 <= number < 1 << 20})
    found = []

    async def sweep(ctx):
        for number in values:
            ctx.set(value, number)
            found.append([bool(ctx.get(answers) >> index & 1) for index in range(len(limits))])

    simulate(m, sweep)
    assert found == [[number < limit for limit in limits] for number in values]


@pytest.mark.parametrize("bits", [1, 2, 7])
def test_the_following_value_wraps(bits):
    m = Module()
    value, answer = Signal(bits), Signal(bits + 1)
    m.d.comb += answer.eq(following(value))
    found = []

    async def sweep(ctx):
        for number in range(1 << bits):
            ctx.set(value, number)
            found.append(ctx.get(answer))

    simulate(m, sweep)
    assert found == [(number + 1) % (1 << bits) for number in range(1 << bits)]

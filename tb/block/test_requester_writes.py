"""Writes to host memory: every byte once, no other byte, in packets that the specification allows."""

import random

import pytest
from block.dma_bench import Bench, any_range, read_request
from selection import broad, full


def any_writes(rng, count, most):
    """Writes at random with their bytes; the context is the number."""
    writes = []
    for number in range(count):
        address, size = any_range(rng, most)
        writes.append(({"function": rng.randrange(4), "epoch": 0, "address": address, "bytes": size,
                        "context": number, "report": rng.getrandbits(1)}, rng.randbytes(size)))
    return writes


def in_memory(writes):
    """What memory holds after *writes*."""
    memory = {}
    for request, content in writes:
        memory.update({request["address"] + index: byte for index, byte in enumerate(content)})
    return memory


def reported(writes, status):
    """Contexts and statuses that the back end should see."""
    return [(request["context"], status(request)) for request, _ in writes if request["report"]]


@pytest.mark.parametrize("width, size, count", [
    (64, 1, 16), (128, 2, 20), *broad((128, 0, 16), (256, 2, 8), (512, 2, 8))])
@pytest.mark.parametrize("stall", [0.4, *full(0.0)])
def test_every_byte_is_written_and_no_other(width, size, count, stall):
    bench = Bench(width, seed=width + size, size=size, stall=stall, idle=stall)
    writes = any_writes(random.Random(width), count, 1500)
    wanted = reported(writes, lambda request: 0)

    async def ask(ctx):
        await bench.write(ctx, writes)
        await bench.settle(ctx, lambda: len(bench.done) >= len(wanted))

    bench.run(ask)
    assert bench.done == wanted
    assert bench.memory.written == in_memory(writes)


def test_function_that_may_not_request_writes_nothing_and_is_told_so():
    bench = Bench(128, seed=3)
    writes = any_writes(random.Random(3), 30, 500)
    bench.closed = {1}
    bench.epoch[2] = 3
    wanted = reported(writes, lambda request: int(request["function"] in (1, 2)))

    async def ask(ctx):
        await bench.write(ctx, writes)
        await bench.settle(ctx, lambda: len(bench.done) >= len(wanted))

    bench.run(ask)
    assert bench.done == wanted
    assert bench.memory.written == in_memory([one for one in writes if one[0]["function"] not in (1, 2)])


@pytest.mark.parametrize("opens_again", [False, True])
def test_gate_that_closes_within_a_write_lets_no_later_byte_through(opens_again):
    bench = Bench(128, seed=5, size=0)
    request = {"function": 5, "epoch": 0, "address": 0x1003, "bytes": 4000, "context": 7, "report": 1}
    after = {**request, "function": 6, "address": 0x8001, "bytes": 40, "context": 8}
    writes = [(request, random.Random(1).randbytes(4000)), (after, random.Random(2).randbytes(40))]

    async def shut(ctx):
        while len(bench.packets) < 5:
            await ctx.tick()
        bench.closed = {5}
        for _ in range(60):
            await ctx.tick()
        bench.closed = set() if opens_again else {5}

    async def ask(ctx):
        await bench.write(ctx, writes)
        await bench.settle(ctx, lambda: len(bench.done) == 2)

    bench.run(ask, shut)
    assert bench.done == [(7, 1), (8, 0)]
    first = sorted(address for address in bench.memory.written if address < 0x8000)
    assert first == list(range(0x1003, first[-1] + 1)), "what left is the beginning"
    assert len(first) < 128 * 16
    wanted = in_memory(writes)
    assert all(wanted[address] == byte for address, byte in bench.memory.written.items())
    assert len(bench.memory.written) - len(first) == 40


def test_no_read_leaves_before_a_write_that_was_handed_in_earlier():
    bench = Bench(128, seed=6, stall=0.7, idle=0.0)
    rng = random.Random(6)
    order = []

    async def ask(ctx):
        for number in range(25):
            (write, content), = any_writes(rng, 1, 300)
            write = {**write, "address": number << 16, "report": 0}
            read = read_request(rng, number, most=32)
            read = {**read, "address": number << 16 | 0x8000}
            await bench.write(ctx, [(write, content)])
            await bench.read(ctx, [read])
            order.append(number)
        await bench.settle(ctx, lambda: sum(map(len, bench.answers.values())) >= 25)

    bench.run(ask)
    seen = [(packet[0] >> 30 & 1, (packet[2] if packet[0] >> 29 & 1 == 0 else packet[3]) >> 16)
            for _, packet in bench.packets]
    for number in order:
        last_write = max(index for index, one in enumerate(seen) if one == (1, number))
        assert last_write < seen.index((0, number)), "the read left first"

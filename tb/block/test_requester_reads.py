"""Reads of host memory: cut as the specification says, answered whole, in order, once, however bad the host."""

import random

import pytest
from block.dma_bench import Answer, Bench, read_request
from block.memory_host import byte_at
from selection import broad, full


def run_reads(bench, count, *, most=4096):
    """Hand in reads at random and compare every answer."""
    rng = random.Random(bench.seed + 1)
    requests = [read_request(rng, number, most=most) for number in range(count)]

    async def ask(ctx):
        await bench.read(ctx, requests)
        await bench.settle(ctx, lambda: sum(map(len, bench.answers.values())) >= count)

    bench.run(ask)
    bench.check(requests)


@pytest.mark.parametrize("width, size, count", [
    (64, 1, 16), (128, 2, 20), *broad((128, 0, 16), (256, 2, 8), (512, 2, 8))])
def test_every_byte_comes_back_in_its_place(width, size, count):
    run_reads(Bench(width, seed=width + size, size=size, host={"noise": 0.02}), count, most=1500)


BAD = {fate: 0.05 for fate in ("unsupported", "retry", "reserved", "aborted", "poisoned", "surplus", "no_data",
                               "forgotten", "half_forgotten", "wrong_function", "wrong_bus")}


@pytest.mark.parametrize("width, seed", [
    (128, 1), *broad((64, 0)), *full((64, 1), (128, 0))])
def test_bad_completions_end_their_request_once_and_no_other(width, seed):
    host = {"fates": BAD, "noise": 0.05, "boundary": 128 if seed else 64}
    run_reads(Bench(width, seed=seed, size=0, host=host, timeout=1500), 30, most=600)


@pytest.mark.parametrize("late, expected", [
    (780, 4), *full((300, 0), (560, 4))])
def test_completion_that_comes_too_late_is_nobodys_even_if_its_tag_was_wanted(late, expected):
    # All tags are in use again and again while the late completions are on their way.
    bench = Bench(64, seed=7, reads=32, timeout=400, stall=0.0, idle=0.0,
                  host={"fates": {"late": 0.3}, "late": late, "delay": 0, "digest": 0.0})
    requests = [{"function": 0, "epoch": 0, "address": 64 * number, "bytes": 8, "owner": number % 8,
                 "context": number} for number in range(160)]

    async def ask(ctx):
        for at in range(0, len(requests), 8):
            await bench.read(ctx, requests[at:at + 8])
            while sum(map(len, bench.answers.values())) < at + 8:
                await ctx.tick()
        await bench.settle(ctx, lambda: not bench.memory.reads)

    bench.run(ask)
    lost = {requests[number]["context"] for number, read in enumerate(bench.memory.log) if read.fate == "late"}
    assert len(lost) > 20
    for owner, answers in bench.answers.items():
        assert [one.context for one in answers] == list(range(owner, len(requests), 8))
        for one in answers:
            assert one.status == (expected if one.context in lost else 0)
            assert one.status or one.data == bytes(byte_at(64 * one.context + i) for i in range(8))
    assert bench.unexpected == (len(lost) if expected else 0)


def test_no_time_passes_while_a_read_cannot_leave():
    # Two time-outs long the link takes nothing; then the tags are wanted again and again while late answers come.
    bench = Bench(128, seed=3, reads=32, timeout=128, stall=0.0, idle=0.0, host={"delay": 60, "digest": 0.0})
    requests = [{"function": 0, "epoch": 0, "address": 64 * number, "bytes": 8, "owner": 0, "context": number}
                for number in range(80)]

    async def ask(ctx):
        await bench.read(ctx, requests[:32])
        await bench.settle(ctx, lambda: not bench.memory.reads)
        bench.stall = 1.0
        await bench.read(ctx, requests[32:34])
        await ctx.tick().repeat(600)
        assert len(bench.answers[0]) == 32, "a read that has not left is not late"
        bench.stall = 0.0
        await bench.read(ctx, requests[34:])
        await bench.settle(ctx, lambda: not bench.memory.reads)

    bench.run(ask)
    assert [(one.context, one.status) for one in bench.answers[0]] == [(number, 0) for number in range(80)]


@pytest.mark.parametrize("extended, most", [(True, 64), *broad((False, 32))])
def test_as_many_reads_are_in_flight_as_there_are_tags(extended, most):
    bench = Bench(128, seed=most, extended=extended, idle=0.0, stall=0.0, host={"delay": 0})
    requests = [{"function": 0, "epoch": 0, "address": 4096 * number, "bytes": 4, "owner": number % 8,
                 "context": number} for number in range(150)]

    async def ask(ctx):
        await bench.read(ctx, requests)
        await bench.settle(ctx, lambda: sum(map(len, bench.answers.values())) >= len(requests))

    accept = bench.memory.request

    def later(packet):
        accept(packet)
        bench.memory.reads[-1].due = bench.clock + 400
    bench.memory.request = later
    bench.run(ask)
    bench.check(requests)
    assert bench.memory.most == most
    assert {read.tag for read in bench.memory.log} == set(range(most))


def test_owners_overtake_each_other():
    bench = Bench(128, seed=1, timeout=1000, idle=0.0, stall=0.0, host={"fates": {"forgotten": 1.0}, "delay": 0})
    slow = read_request(random.Random(1), 1, owner=0, function=0)
    quick = [{**slow, "address": 64 * number, "bytes": 64, "owner": number, "context": number}
             for number in range(2, 6)]

    async def ask(ctx):
        await bench.read(ctx, [{**slow, "bytes": 16}])
        await ctx.tick().repeat(20)
        bench.memory.fates = {}
        await bench.read(ctx, quick)
        for _ in range(200):
            await ctx.tick()
        assert [len(bench.answers[owner]) for owner in range(6)] == [0, 0, 1, 1, 1, 1]
        await bench.settle(ctx, lambda: bench.answers[0])

    bench.run(ask)
    assert bench.answers[0] == [Answer(1, 4, b"")]
    assert bench.answers[3] == [Answer(3, 0, bytes(byte_at(192 + i) for i in range(64)))]


def test_function_that_may_not_request_is_told_so_and_sends_nothing():
    bench = Bench(128, seed=3)
    rng = random.Random(3)
    requests = [read_request(rng, number, most=600) for number in range(30)]
    bench.closed = {1}
    bench.epoch[2] = 3

    async def ask(ctx):
        await bench.read(ctx, requests)
        await bench.settle(ctx, lambda: sum(map(len, bench.answers.values())) >= len(requests))

    bench.run(ask)
    allowed = [request for request in requests if request["function"] in (0, 3)]
    blocked = {request["context"] for request in requests} - {request["context"] for request in allowed}
    answers = bench.answers
    for owner in range(8):
        wanted = [request["context"] for request in requests if request["owner"] == owner]
        assert [one.context for one in answers[owner]] == wanted, "blocked reads keep their place"
        assert {one.context for one in answers[owner] if one.status == 5} == blocked & set(wanted)
        bench.answers[owner] = [one for one in answers[owner] if one.context not in blocked]
    bench.check(allowed)


def test_gate_that_closes_within_a_request_ends_it_as_blocked():
    bench = Bench(128, seed=4, size=0, idle=0.0, host={"delay": 0})
    request = {"function": 5, "epoch": 0, "address": 0x1003, "bytes": 4000, "owner": 1, "context": 7}
    after = {**request, "function": 6, "address": 0x8001, "bytes": 40, "context": 8}

    async def ask(ctx):
        await bench.read(ctx, [request, after])
        while len(bench.packets) < 5:
            await ctx.tick()
        bench.closed = {5}
        left = len(bench.packets)
        await bench.settle(ctx, lambda: len(bench.answers[1]) == 2)
        assert len(bench.packets) <= left + 2 + 1, "what had its tag may leave, nothing else"

    bench.run(ask)
    assert [(one.context, one.status) for one in bench.answers[1]] == [(7, 5), (8, 0)]
    assert bench.answers[1][1].data == bytes(byte_at(0x8001 + i) for i in range(40))


@pytest.mark.parametrize("space, boundary, tight", [((400, 70), 128, 1), *broad(((20, 400), 64, 0))])
def test_no_more_is_asked_than_there_is_room_for(space, boundary, tight):
    bench = Bench(128, seed=8, space=space, idle=0.0, host={"boundary": boundary, "delay": 300})
    run_reads(bench, 24, most=1500)
    assert all(most <= limit for most, limit in zip(bench.memory.space, space, strict=True))
    assert bench.memory.space[tight] > space[tight] * 2 // 3, "the room is used"


def test_read_that_is_held_back_leaves_alone_the_one_before_it():
    # The link is slow, so that reads wait on their way out while others are held back behind them.
    bench = Bench(128, seed=11, stall=0.9, host={"delay": 0})
    bench.closed = {1}
    requests = [{"function": number % 2, "epoch": 0, "address": 0x1000 + 64 * number, "bytes": 8, "owner": number % 8,
                 "context": number} for number in range(60)]

    async def ask(ctx):
        await bench.read(ctx, requests)
        await bench.settle(ctx, lambda: sum(map(len, bench.answers.values())) >= len(requests))

    bench.run(ask)
    for owner, answers in bench.answers.items():
        assert [(one.context, one.status) for one in answers] == [
            (number, 5 * (number % 2)) for number in range(owner, len(requests), 8)]


def test_tags_of_aborted_reads_come_back_while_the_time_out_is_switched_off():
    bench = Bench(128, seed=5, reads=32, timeout=128, host={"fates": {"aborted": 1.0}, "delay": 0})
    requests = [{"function": 0, "epoch": 0, "address": 64 * number, "bytes": 8, "owner": 3, "context": number}
                for number in range(100)]

    async def ask(ctx):
        ctx.set(bench.dut.timeout_disable, 1)
        await bench.read(ctx, requests)
        while len(bench.answers[3]) < len(requests):
            await ctx.tick()

    bench.run(ask)
    assert {one.status for one in bench.answers[3]} == {2}


def test_time_of_every_read_is_over_in_time_however_many_stand_before_it():
    timeout, count = 400, 24
    bench = Bench(128, seed=12, timeout=timeout, idle=0.0, stall=0.0, host={"fates": {"forgotten": 1.0}, "delay": 0})
    requests = [{"function": 0, "epoch": 0, "address": 64 * number, "bytes": 8, "owner": 3, "context": number}
                for number in range(count)]
    ends = []

    async def ask(ctx):
        await bench.read(ctx, requests[:12])
        await ctx.tick().repeat(timeout // 2)
        await bench.read(ctx, requests[12:])
        while len(ends) < count:
            await ctx.tick()
            ends.extend([bench.clock] * (len(bench.answers[3]) - len(ends)))

    bench.run(ask)
    assert {one.status for one in bench.answers[3]} == {4}
    for (left, _), end in zip(bench.packets, ends, strict=True):
        # Nine eighths, and two looks for each that stood before it and ended in the same clocks.
        assert timeout <= end - left <= timeout * 9 // 8 + 16 * 12

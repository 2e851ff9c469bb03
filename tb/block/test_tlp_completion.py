"""Replies become completions: whole, in order, without a gap, and never more than there is room for."""

import random

import pytest
from block.simulation import any_dword, plain, simulate, stalling, taking, tlp_packets
from virtio_mmr.gateware.tlp.completion import CompletionBuilder
from virtio_mmr.spec.tlp import CompletionStatus
from virtio_mmr_sim.model.tlp import Completion, build

WIDTHS = (64, 128, 256, 512)
CONTEXTS = 32
COMPLETER = 0x4A10


def random_request(rng, longest=32):
    """A request's context and its completions: each a descriptor with its dwords."""
    context = {"requester": rng.getrandbits(16), "tag": rng.getrandbits(10), "traffic_class": rng.getrandbits(3),
               "attributes": rng.getrandbits(3), "locked": rng.getrandbits(1)}
    completions = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        has_data = rng.random() < 0.7
        dwords = rng.choice([1, 1, 2, rng.randint(1, longest), longest]) if has_data else 1
        unsupported = int(not has_data and rng.random() < 0.5)
        completions.append(({
            "dwords": dwords, "byte_count": rng.getrandbits(12), "lower_address": rng.getrandbits(7),
            "unsupported": unsupported, "has_data": int(has_data), "final": 0},
            [any_dword(rng) for _ in range(dwords)]))
    completions[-1][0]["final"] = 1
    return context, completions


def expected(requests):
    """The packets, from the codec."""
    return [
        build(Completion(
            requester=context["requester"], tag=context["tag"], traffic_class=context["traffic_class"],
            attributes=context["attributes"], locked=bool(context["locked"]), completer=COMPLETER,
            status=CompletionStatus.UNSUPPORTED if says["unsupported"] else CompletionStatus.SUCCESSFUL,
            byte_count=says["byte_count"], lower_address=says["lower_address"],
            payload=tuple(dwords) if says["has_data"] else ()))
        for context, completions in requests for says, dwords in completions
    ]


def run(requests, width, rng, *, stall=0.0, pause=0.0, extra=12):
    """Replies one clock behind their operations, as the sequencer gives them; beats, and valid of every clock."""
    dut = CompletionBuilder(width, contexts=CONTEXTS)
    found, clocks, forgotten = [], [], []
    wanted = sum(len(completions) for _, completions in requests)

    async def feed(ctx):
        ctx.set(dut.completer, COMPLETER)
        replies = []

        async def clock(operation=None, *, admit=False, long=False, context=None):
            """The operation of this clock; its reply follows in the next."""
            replies.append(operation)
            reply = replies.pop(0)
            ctx.set(dut.reply_valid, reply is not None)
            if reply is not None:
                says, dword, first, last = reply
                ctx.set(dut.reply, dword)
                ctx.set(dut.first, first)
                ctx.set(dut.last, last)
                ctx.set(dut.completion, says)
            ctx.set(dut.admit, admit)
            ctx.set(dut.admit_long, admit and long)
            ctx.set(dut.remember, context is not None)
            if context is not None:
                ctx.set(dut.context, context)
            await ctx.tick()

        replies.append(None)
        remembered = 0
        for context, completions in requests:
            while remembered - len(forgotten) >= CONTEXTS:
                await clock()
            remembered += 1
            fresh = context
            for says, dwords in completions:
                long = len(dwords) > 1
                while not ctx.get(dut.room_long if long else dut.room) or rng.random() < pause:
                    await clock(context=fresh)
                    fresh = None
                for index, dword in enumerate(dwords):
                    while index and rng.random() < pause:
                        await clock()
                    await clock((says, dword, index == 0, index == len(dwords) - 1), admit=index == 0, long=long,
                                context=fresh)
                    fresh = None
        await clock()
        while len(packets()) < wanted:
            await clock()
        for _ in range(extra):
            await clock()

    def packets():
        return [beat for beat in found if beat["last"]]

    async def watch(ctx):
        while True:
            _, _, *now, forget = await ctx.tick().sample(
                dut.beats.valid, dut.beats.ready, dut.beats.p.last, dut.forget)
            clocks.append(now)
            forgotten.extend([1] if forget else [])

    simulate(dut, feed, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found), watch])
    return found, clocks, len(forgotten)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall, pause", [(0.0, 0.0), (0.6, 0.0), (0.1, 0.4)])
def test_completions_are_whole_in_order_and_without_a_gap(width, stall, pause):
    rng = random.Random(width)
    requests = [random_request(rng) for _ in range(30)]
    found, clocks, forgotten = run(requests, width, rng, stall=stall, pause=pause)
    assert tlp_packets(found) == expected(requests)
    assert forgotten == len(requests)
    inside = False
    for valid, ready, last in clocks:
        assert valid or not inside, "a gap inside a packet"
        inside = bool(valid) and not (ready and last)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_length_fills_its_beats(width):
    rng = random.Random(width)
    lanes = width // 32
    requests = []
    for length in range(1, 33):
        context, _ = random_request(rng)
        says = {"dwords": length, "byte_count": 4 * length, "lower_address": 0, "unsupported": 0, "has_data": 1,
                "final": 1}
        requests.append((context, [(says, [any_dword(rng) for _ in range(length)])]))
    found, _, _ = run(requests, width, rng, stall=0.2)
    assert tlp_packets(found) == expected(requests)
    beside = max(lanes - 3, 1)
    counts = [[min(length, beside), *(min(length - at, lanes) for at in range(beside, length, lanes))]
              for length in range(1, 33)]
    assert [beat["dwords"] for beat in found] == [count for packet in counts for count in packet]


@pytest.mark.parametrize("long", [False, True])
def test_room_is_counted_from_admission_to_the_last_beat(long):
    rng = random.Random(0)
    dut = CompletionBuilder(128, contexts=CONTEXTS)
    says = {"dwords": 2 if long else 1, "byte_count": 4, "has_data": 1, "final": 1}

    async def fill(ctx):
        admitted = 0
        await ctx.tick()
        while ctx.get(dut.room_long if long else dut.room):
            assert admitted < CONTEXTS
            ctx.set(dut.remember, 1)
            ctx.set(dut.context, {"tag": admitted})
            ctx.set(dut.admit, 1)
            ctx.set(dut.admit_long, long)
            await ctx.tick()
            ctx.set(dut.remember, 0)
            ctx.set(dut.admit, 0)
            ctx.set(dut.admit_long, 0)
            # Long ones are at least as far apart as they are long.
            await ctx.tick().repeat(2 if long else 1)
            admitted += 1
        assert admitted >= (2 if long else 8)
        assert ctx.get(dut.room) == long, "a short completion still has room beside long ones"
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.beats.valid), "nothing is complete yet"
        for _ in range(admitted):
            for index in range(2 if long else 1):
                ctx.set(dut.reply_valid, 1)
                ctx.set(dut.reply, any_dword(rng))
                ctx.set(dut.completion, says)
                ctx.set(dut.first, index == 0)
                ctx.set(dut.last, index == (1 if long else 0))
                await ctx.tick()
            ctx.set(dut.reply_valid, 0)
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.room_long if long else dut.room)
        tags = []
        while len(tags) < admitted:
            ctx.set(dut.beats.ready, 1)
            _, _, valid, beat = await ctx.tick().sample(dut.beats.valid, dut.beats.payload)
            ctx.set(dut.beats.ready, 0)
            if valid and plain(beat)["last"]:
                await ctx.tick()
                assert ctx.get(dut.room_long if long else dut.room), "a place is free as soon as a packet has left"
            if valid and plain(beat)["first"]:
                tags.append(plain(beat)["header"] >> 72 & 0xFF)
        assert tags == list(range(admitted))

    simulate(dut, fill)


@pytest.mark.parametrize("width", WIDTHS)
def test_single_dwords_go_at_the_rate_of_the_width(width):
    rng = random.Random(0)
    says = {"dwords": 1, "byte_count": 4, "lower_address": 0, "unsupported": 0, "has_data": 1, "final": 1}
    requests = [(random_request(rng)[0], [(says, [any_dword(rng)])]) for _ in range(40)]
    found, clocks, _ = run(requests, width, rng)
    assert tlp_packets(found) == expected(requests)
    valid = [now[0] for now in clocks]
    start = valid.index(1)
    assert valid[start:start + 40] == [1] * 40

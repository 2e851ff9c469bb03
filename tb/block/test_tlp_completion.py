"""Replies become completions: whole, in order, without a gap, and never more than there is room for."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from block.simulation import any_dword, raw_packets, simulate, stalling, taking
from selection import broad
from virtio_mmr.gateware.tlp.completion import CompletionBuilder
from virtio_mmr.spec.tlp import CompletionStatus
from virtio_mmr_sim.model.tlp import Completion, build

WIDTHS = (64, 128, *broad(256, 512))
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


async def reply(ctx, dut, context, says, dwords, pause=lambda: False):
    """The replies of one completion; the clock behind a long one brings nothing; two clocks if they are deferred."""
    for index, dword in enumerate(dwords):
        while index and pause():
            await ctx.tick()
        ctx.set(dut.reply_valid, 1)
        ctx.set(dut.reply, dword)
        ctx.set(dut.first, index == 0)
        ctx.set(dut.last, index == len(dwords) - 1)
        ctx.set(dut.completion, {**says, "dwords": len(dwords) - index})
        ctx.set(dut.context, context)
        await ctx.tick()
        ctx.set(dut.reply_valid, 0)
    if len(dwords) > 1:
        await ctx.tick().repeat(2 if isinstance(dut, DeferredReplies) else 1)


class LateReplies(wiring.Component):
    """A builder that gets two bytes of each dword in time and the others a clock late."""

    def __init__(self, width, *, deferred=False):
        self.inner = CompletionBuilder(width, late=True, deferred=deferred)
        members = self.inner.signature.members.items()
        super().__init__({name: member for name, member in members if name != "late_reply"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = self.inner
        inner, in_time = wiring.flipped(self.inner), 0xFF00_FF00
        for name, member in self.signature.members.items():
            if member.is_signature:
                wiring.connect(m, getattr(self.inner, name), wiring.flipped(getattr(self, name)))
            else:
                left, right = getattr(inner, name), getattr(self, name)
                m.d.comb += left.eq(right) if member.flow is wiring.In else right.eq(left)
        m.d.comb += self.inner.reply.eq(self.reply & in_time)
        m.d.sync += self.inner.late_reply.eq(self.reply & ~in_time)
        return m


class DeferredReplies(LateReplies):
    """The same, and they come late in that clock, too."""

    def __init__(self, width):
        super().__init__(width, deferred=True)


def run(requests, width, rng, *, stall=0.0, pause=0.0, extra=12, builder=CompletionBuilder):
    """Beats of the completions, and (valid, ready, last) of every clock."""
    dut = builder(width)
    found, clocks = [], []
    wanted = sum(len(completions) for _, completions in requests)

    async def feed(ctx):
        ctx.set(dut.completer, COMPLETER)
        for context, completions in requests:
            for says, dwords in completions:
                while not ctx.get(dut.room) or rng.random() < pause:
                    await ctx.tick()
                await reply(ctx, dut, context, says, dwords, lambda: rng.random() < pause)
        while sum(beat["last"] for beat in found) < wanted:
            await ctx.tick()
        await ctx.tick().repeat(extra)

    async def watch(ctx):
        while True:
            _, _, *now = await ctx.tick().sample(dut.beats.valid, dut.beats.ready, dut.beats.p.last)
            clocks.append(now)

    simulate(dut, feed, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found), watch])
    return found, clocks


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("stall, pause, builder", [
    (0.0, 0.0, CompletionBuilder), (0.6, 0.0, CompletionBuilder), (0.1, 0.4, LateReplies), (0.0, 0.0, LateReplies),
    (0.1, 0.4, DeferredReplies)])
def test_completions_are_whole_in_order_and_without_a_gap(width, stall, pause, builder):
    rng = random.Random(width)
    requests = [random_request(rng) for _ in range(30)]
    found, clocks = run(requests, width, rng, stall=stall, pause=pause, builder=builder)
    assert raw_packets(found) == expected(requests)
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
    found, _ = run(requests, width, rng, stall=0.2)
    assert raw_packets(found) == expected(requests)
    assert [beat["keep"].bit_count() for beat in found] == [
        min(3 + length - at, lanes) for length in range(1, 33) for at in range(0, 3 + length, lanes)]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [1, 32])
def test_room_ends_before_the_store_does_and_comes_back(width, length):
    rng = random.Random(0)
    dut = CompletionBuilder(width)
    says = {"byte_count": 4, "has_data": 1, "final": 1}
    found = []

    async def fill(ctx):
        sent = []

        async def one_more():
            context, _ = random_request(rng)
            sent.append((context, [({**says, "dwords": length, "lower_address": 0, "unsupported": 0},
                                    [any_dword(rng) for _ in range(length)])]))
            await reply(ctx, dut, context, *sent[-1][1][0])

        ctx.set(dut.completer, COMPLETER)
        while ctx.get(dut.room):
            await one_more()
        assert len(sent) >= 7
        # Room is looked at while one more is on its way.
        await one_more()
        await one_more()
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.room)
        ctx.set(dut.beats.ready, 1)
        while sum(beat["last"] for beat in found) < len(sent):
            await ctx.tick()
        assert ctx.get(dut.room)
        assert raw_packets(found) == expected(sent)

    simulate(dut, fill, background=[taking(dut.beats, found)])


@pytest.mark.parametrize("width", WIDTHS)
def test_single_dwords_go_at_the_rate_of_the_width(width):
    rng = random.Random(0)
    says = {"dwords": 1, "byte_count": 4, "lower_address": 0, "unsupported": 0, "has_data": 1, "final": 1}
    requests = [(random_request(rng)[0], [(says, [any_dword(rng)])]) for _ in range(40)]
    found, clocks = run(requests, width, rng)
    assert raw_packets(found) == expected(requests)
    valid = [now[0] for now in clocks]
    start = valid.index(1)
    assert valid[start:start + 40] == [1] * 40

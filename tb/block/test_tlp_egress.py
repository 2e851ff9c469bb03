"""Egress joins its sources packet by packet; nothing is lost, doubled, split or interrupted."""

import random

import pytest
from block.simulation import any_dword, raw_beats, raw_packets, simulate, stalling, taking
from virtio_mmr.gateware.tlp.egress import TlpEgress
from virtio_mmr_sim.bus.amaranth import push

WIDTH = 128


def packets_of(rng, source, count):
    """Packets that carry the number of their source and their own."""
    return [[0, source, number, *(any_dword(rng) for _ in range(rng.choice([0, 1, 2, 9])))] for number in range(count)]


@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_every_source_keeps_its_order_and_every_packet_its_beats(sources, stall):
    rng = random.Random(sources)
    dut = TlpEgress(WIDTH, sources)
    sent = [packets_of(rng, source, 40) for source in range(sources)]
    found, clocks = [], []
    running = [sources]

    def feeder(source):
        async def feed(ctx):
            for packet in sent[source]:
                for _ in range(rng.choice([0, 0, 1, 7])):
                    await ctx.tick()
                await push(ctx, dut.sources[source], raw_beats(packet, WIDTH // 32))
            running[0] -= 1
            while running[0]:
                await ctx.tick()
        return feed

    async def watch(ctx):
        while True:
            _, _, *now = await ctx.tick().sample(dut.beats.valid, dut.beats.ready, dut.beats.p.last)
            clocks.append(now)

    simulate(dut, *map(feeder, range(sources)),
             background=[stalling(dut.beats, rng, stall), taking(dut.beats, found), watch])
    packets = raw_packets(found)
    assert len(packets) == 40 * sources
    assert [[one for one in packets if one[1] == source] for source in range(sources)] == sent

    inside = False
    for valid, ready, last in clocks:
        assert valid or not inside, "a gap inside a packet"
        inside = bool(valid) and not (ready and last)


@pytest.mark.parametrize("sources", [2, 3])
def test_packet_on_offer_keeps_its_place_and_then_the_lowest_number_goes(sources):
    dut = TlpEgress(WIDTH, sources)
    order = []

    async def offer(ctx):
        last = sources - 1
        ctx.set(dut.sources[last].payload, {"data": last, "keep": 1, "last": 1})
        ctx.set(dut.sources[last].valid, 1)
        await ctx.tick()
        for source in range(last):
            ctx.set(dut.sources[source].payload, {"data": source, "keep": 1, "last": 1})
            ctx.set(dut.sources[source].valid, 1)
        ctx.set(dut.beats.ready, 1)
        for _ in range(sources):
            _, _, header, *ready = await ctx.tick().sample(
                dut.beats.p.data, *(source.ready for source in dut.sources))
            order.append(header)
            assert [index for index, taken in enumerate(ready) if taken] == [header]
            ctx.set(dut.sources[header].valid, 0)

    simulate(dut, offer)
    assert order == [sources - 1, *range(sources - 1)]


def test_no_clock_is_lost_between_packets_of_two_sources():
    dut = TlpEgress(WIDTH, 2)
    clocks = []

    async def offer(ctx):
        ctx.set(dut.beats.ready, 1)
        for source in dut.sources:
            ctx.set(source.payload, {"last": 1})
            ctx.set(source.valid, 1)
        for _ in range(20):
            _, _, valid, *ready = await ctx.tick().sample(dut.beats.valid, *(source.ready for source in dut.sources))
            clocks.append((valid, sum(ready)))

    simulate(dut, offer)
    assert clocks == [(1, 1)] * 20

"""The raw adapters move every dword to its place and no dword anywhere else."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from block.simulation import (
    any_dword,
    header_size,
    raw_beats,
    raw_packets,
    simulate,
    split,
    stalling,
    taking,
    tlp_beats,
    tlp_packets,
)
from virtio_mmr.gateware.adapters.raw import RawReceiver, RawTransmitter
from virtio_mmr.gateware.tlp.beat import raw_beat
from virtio_mmr_sim.bus.amaranth import push

WIDTHS = (64, 128, 256, 512)


def packet(rng, header, payload):
    """A packet of *header* + *payload* dwords; of its bits only the header's length is right."""
    dwords = [any_dword(rng) for _ in range(header + payload)]
    dwords[0] = dwords[0] & ~(1 << 29) | (header == 4) << 29
    return dwords


def every_length(rng, width):
    """Packets of every header length and of every payload length up to two beats and more."""
    lengths = [*range(2 * width // 32 + 4), 32, 129]
    packets = [packet(rng, header, payload) for header in (3, 4) for payload in lengths]
    rng.shuffle(packets)
    return packets


async def settle(ctx, clocks=30):
    """Let the last words come out."""
    await ctx.tick().repeat(clocks)


def received(width, packets, *, seed=0, idle=0.3, stall=0.3):
    """What `RawReceiver` makes of packets: each beat with ``truncated``."""
    rng = random.Random(seed)
    dut = RawReceiver(width)
    found = []
    beats = [beat for one in packets for beat in raw_beats(one, width // 32)]

    async def feed(ctx):
        await push(ctx, dut.raw, beats, rng=rng, idle=idle)
        await settle(ctx)

    simulate(dut, feed, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found, dut.truncated)])
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_receiver_puts_header_beside_payload(width):
    packets = every_length(random.Random(width), width)
    found = received(width, packets)
    assert tlp_packets(beat for beat, _ in found) == packets
    assert not any(truncated for beat, truncated in found if beat["first"])


@pytest.mark.parametrize("width", WIDTHS)
def test_receiver_gives_the_beats_that_the_link_gave(width):
    packets = every_length(random.Random(width + 1), width)
    found = [beat for beat, _ in received(width, packets, seed=1)]
    expected = [beat for one in packets for beat in tlp_beats(one, width // 32)]
    assert [(beat["dwords"], beat["first"], beat["last"]) for beat in found] == [
        (beat["dwords"], beat["first"], beat["last"]) for beat in expected]
    assert [split(beat["data"], beat["dwords"]) for beat in found] == [
        split(beat["data"], beat["dwords"]) for beat in expected]


@pytest.mark.parametrize("width", WIDTHS)
def test_packet_that_ends_inside_its_header_is_marked_and_harms_no_other(width):
    rng = random.Random(width)
    cut = [packet(rng, header, 0)[:length] for header in (3, 4) for length in range(1, header)]
    good = [packet(rng, header, payload) for header in (3, 4) for payload in range(4)]
    packets = [*cut, *good] * 3
    rng.shuffle(packets)
    found = received(width, packets, seed=2)
    ends = [(beat, truncated) for beat, truncated in found if beat["last"]]
    marks = [truncated for beat, truncated in found if beat["first"]]
    assert marks == [len(one) < header_size(one) for one in packets]
    assert len(ends) == len(packets)
    whole, keep = [], False
    for beat, truncated in found:
        keep = not truncated if beat["first"] else keep
        whole += [beat] if keep else []
    assert tlp_packets(whole) == [one for one in packets if len(one) >= header_size(one)]


@pytest.mark.parametrize("width", WIDTHS)
def test_receiver_takes_a_beat_every_clock(width):
    packets = every_length(random.Random(3), width)
    dut = RawReceiver(width)
    beats = [beat for one in packets for beat in raw_beats(one, width // 32)]
    clocks = []

    async def feed(ctx):
        ctx.set(dut.beats.ready, 1)
        for beat in beats:
            ctx.set(dut.raw.payload, beat)
            ctx.set(dut.raw.valid, 1)
            _, _, ready = await ctx.tick().sample(dut.raw.ready)
            clocks.append(ready)

    simulate(dut, feed)
    assert clocks == [1] * len(beats)


def sent(width, packets, *, seed=0, idle=0.0, stall=0.3):
    """What `RawTransmitter` makes of packets, and (valid, ready, last) of every clock."""
    rng = random.Random(seed)
    dut = RawTransmitter(width)
    found, clocks = [], []
    beats = [beat for one in packets for beat in tlp_beats(one, width // 32)]

    async def feed(ctx):
        await push(ctx, dut.beats, beats, rng=rng, idle=idle)
        await settle(ctx)

    async def watch(ctx):
        while True:
            clocks.append((await ctx.tick().sample(dut.raw.valid, dut.raw.ready, dut.raw.p.last))[2:])

    simulate(dut, feed, background=[stalling(dut.raw, rng, stall), taking(dut.raw, found), watch])
    return found, clocks


@pytest.mark.parametrize("width", WIDTHS)
def test_transmitter_sends_whole_packets_in_full_beats(width):
    packets = every_length(random.Random(width), width)
    found, _ = sent(width, packets, idle=0.3)
    assert raw_packets(found) == packets
    assert [beat["last"] for beat in found] == [
        beat["last"] for one in packets for beat in raw_beats(one, width // 32)]


@pytest.mark.parametrize("width", WIDTHS)
def test_packet_that_has_begun_goes_on_without_a_gap(width):
    packets = every_length(random.Random(width), width)
    _, clocks = sent(width, packets, stall=0.5)
    inside = False
    for valid, ready, last in clocks:
        assert valid or not inside
        if valid:
            inside = not (ready and last)


class RoundTrip(wiring.Component):
    """Receiver and transmitter back to back."""

    def __init__(self, width):
        self._width = width
        super().__init__({"rx": In(stream.Signature(raw_beat(width))), "tx": Out(stream.Signature(raw_beat(width)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = RawReceiver(self._width)
        m.submodules.transmitter = transmitter = RawTransmitter(self._width)
        wiring.connect(m, wiring.flipped(self.rx), receiver.raw)
        wiring.connect(m, receiver.beats, transmitter.beats)
        wiring.connect(m, transmitter.raw, wiring.flipped(self.tx))
        return m


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_received_and_sent_again_is_the_same(width):
    rng = random.Random(width)
    packets = every_length(rng, width)
    dut = RoundTrip(width)
    found = []

    async def feed(ctx):
        await push(ctx, dut.rx, [beat for one in packets for beat in raw_beats(one, width // 32)], rng=rng, idle=0.2)
        await settle(ctx)

    simulate(dut, feed, background=[stalling(dut.tx, rng, 0.3), taking(dut.tx, found)])
    assert raw_packets(found) == packets

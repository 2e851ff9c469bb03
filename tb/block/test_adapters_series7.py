"""The 7-series adapter brings every dword to its place, whatever the block packs into a beat."""

import random
from collections import deque

import pytest
from block.simulation import any_dword, header_size, raw_beats, raw_packets, simulate, stalling, taking
from virtio_mmr import config
from virtio_mmr.gateware.access.interface import NOWHERE
from virtio_mmr.gateware.adapters.series7 import (
    WIDTHS,
    ByteSwap,
    RxUser,
    Series7,
    Series7Interrupt,
    Series7Realigner,
    Series7Receiver,
    Series7Status,
)
from virtio_mmr_sim.bus.amaranth import push
from virtio_mmr_sim.model.series7 import RxFramer, RxPacket, turned


def packet(rng, header, payload):
    """A packet whose header has the right length and is random for the rest."""
    dwords = [any_dword(rng) for _ in range(header + payload)]
    dwords[0] = dwords[0] & ~(1 << 29) | (header == 4) << 29
    return tuple(dwords)


def packets_of_every_length(rng):
    """Packets of both headers and of payloads up to a few beats, each many times in random order."""
    shapes = [(header, payload) for header in (3, 4) for payload in [*range(12), 32]] * 5
    rng.shuffle(shapes)
    return [RxPacket(packet(rng, *shape), rng.choice([0, *(1 << i for i in range(7)), 0b11, 0b1100]))
            for shape in shapes]


def link_beats(width, packets, rng, straddle=0.6):
    """The beats in which the block hands over *packets*."""
    framer, waiting, beats = RxFramer(width, rng=rng, straddle=straddle), deque(packets), []
    while beat := framer.beat(waiting):
        beats.append({"data": beat.data, "keep": beat.keep, "last": beat.last, "user": RxUser.from_bits(beat.user)})
    return beats


def received(width, packets, *, seed, kind=Series7Receiver, idle=0.3, stall=0.3, straddle=0.6):
    """Beats with the BAR that stands beside them."""
    rng = random.Random(seed)
    dut, found = kind(width), []
    beats = link_beats(width, packets, rng, straddle)

    async def feed(ctx):
        await push(ctx, dut.link, beats, rng=rng, idle=idle)
        await ctx.tick().repeat(20)

    simulate(dut, feed, background=[stalling(dut.raw, rng, stall), taking(dut.raw, found, dut.bar)])
    return found


def bar_of(packet):
    """The lowest BAR of those that a packet hit; the expansion ROM is none."""
    return next((index for index in range(6) if packet.bar_hit >> index & 1), NOWHERE)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("idle, stall", [(0.0, 0.0), (0.3, 0.3)])
def test_each_packet_begins_on_lane_0_with_its_payload_the_right_way_round(width, idle, stall):
    packets = packets_of_every_length(random.Random(width))
    found = received(width, packets, seed=width, idle=idle, stall=stall)
    assert raw_packets(beat for beat, _ in found) == [list(one.dwords) for one in packets]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_beat_of_a_packet_tells_the_bar_that_it_hit(width):
    packets = packets_of_every_length(random.Random(width))
    found = received(width, packets, seed=width + 1)
    expected = [bar_of(one) for one in packets for _ in raw_beats(one.dwords, width // 32)]
    assert [bar for _, bar in found] == expected


@pytest.mark.parametrize("width", WIDTHS)
def test_packet_with_a_wrong_digest_alone_loses_its_last_dword(width):
    rng = random.Random(width)
    packets = [RxPacket(one.dwords, ecrc_error=rng.random() < 0.3) for one in packets_of_every_length(rng)]
    found, words = [], []
    # Not by `raw_packets`: the last beat of such a packet may be empty.
    for beat, _ in received(width, packets, seed=5):
        words += [beat["data"] >> 32 * lane & 0xFFFF_FFFF for lane in range(beat["keep"].bit_count())]
        assert beat["keep"] & beat["keep"] + 1 == 0
        if beat["last"]:
            found.append(words)
            words = []
    expected = [list(one.dwords[:-1] if one.ecrc_error else one.dwords) for one in packets]
    assert found == expected and words == []


def clocks_for(width, packets, straddle):
    """Clocks in which the receiver takes *packets* that come without a pause, and the link's beats."""
    dut = Series7Receiver(width)
    beats = link_beats(width, packets, random.Random(1), straddle)
    clocks = []

    async def feed(ctx):
        ctx.set(dut.raw.ready, 1)
        for beat in beats:
            ctx.set(dut.link.payload, beat)
            ctx.set(dut.link.valid, 1)
            while not (await ctx.tick().sample(dut.link.ready))[2]:
                clocks.append(0)
            clocks.append(1)

    simulate(dut, feed)
    return len(clocks), len(beats)


@pytest.mark.parametrize("width", WIDTHS)
def test_every_beat_is_taken_at_once_if_no_packet_straddles(width):
    packets = packets_of_every_length(random.Random(3))
    clocks, beats = clocks_for(width, packets, 0.0)
    assert clocks == beats


@pytest.mark.parametrize("header, payload, clocks_each", [(3, 0, 1), (3, 1, 1), (4, 0, 1), (4, 1, 2), (3, 2, 2)])
def test_clocks_of_a_packet_at_128_bits_are_those_of_its_beats_also_if_it_straddles(header, payload, clocks_each):
    rng = random.Random(4)
    packets = [RxPacket(packet(rng, header, payload)) for _ in range(200)]
    clocks, _ = clocks_for(128, packets, 1.0)
    assert clocks <= 200 * clocks_each


@pytest.mark.parametrize("width", WIDTHS)
def test_swapping_twice_changes_nothing_and_once_turns_payload_alone(width):
    rng = random.Random(width)
    packets = [one.dwords for one in packets_of_every_length(rng)]
    dut, found = ByteSwap(width), []

    async def feed(ctx):
        beats = [beat for one in packets for beat in raw_beats(one, width // 32)]
        await push(ctx, dut.source, beats, rng=rng, idle=0.2)

    simulate(dut, feed, background=[stalling(dut.swapped, rng, 0.3), taking(dut.swapped, found)])
    assert raw_packets(found) == [turned(one) for one in packets]
    assert all(turned(one)[:header_size(one)] == list(one[:header_size(one)]) for one in packets)


def test_interrupt_follows_its_level_one_change_after_another():
    rng = random.Random(1)
    dut, told = Series7Interrupt(), []
    levels = [rng.random() < 0.5 for _ in range(400)]

    async def drive(ctx):
        offered = None
        for level in levels:
            ctx.set(dut.level, level)
            ctx.set(dut.cfg_interrupt_rdy, rng.random() < 0.2)
            _, _, asked, what, ready = await ctx.tick().sample(
                dut.cfg_interrupt, dut.cfg_interrupt_assert, dut.cfg_interrupt_rdy)
            assert offered is None or (asked, what) == (1, offered)
            offered = what if asked and not ready else None
            if asked and ready:
                told.append(what)
        ctx.set(dut.cfg_interrupt_rdy, 1)
        for _ in range(8):
            _, _, asked, what = await ctx.tick().sample(dut.cfg_interrupt, dut.cfg_interrupt_assert)
            if asked:
                told.append(what)

    simulate(dut, drive)
    assert len(told) > 20
    assert told == [index % 2 == 0 for index in range(len(told))]
    assert told[-1] == levels[-1]


@pytest.mark.parametrize("awake", [True, False])
@pytest.mark.parametrize("field, port, bit, needs_power", [
    ("io_enabled", "cfg_command", 0, True), ("memory_enabled", "cfg_command", 1, True),
    ("bus_master", "cfg_command", 2, True), ("interrupt_disable", "cfg_command", 10, False),
    ("extended_tag", "cfg_dcommand", 8, False), ("read_completion_boundary", "cfg_lcommand", 3, False),
])
def test_status_bit_arrives_where_the_specification_has_it(field, port, bit, needs_power, awake):
    dut = Series7Status()

    async def look(ctx):
        ctx.set(dut.cfg_pmcsr_powerstate, 0 if awake else 3)
        for value in (1 << bit, 0xFFFF & ~(1 << bit)):
            ctx.set(getattr(dut, port), value)
            expected = value >> bit & 1
            if not awake:
                expected = 0 if needs_power else 1 if field == "interrupt_disable" else expected
            assert ctx.get(getattr(dut.control, field)) == expected
            assert ctx.get(dut.control.awake) == awake

    simulate(dut, look)


def test_sizes_are_those_of_device_control():
    dut = Series7Status()

    async def look(ctx):
        ctx.set(dut.cfg_dcommand, 0b101 << 12 | 0b010 << 5)
        assert ctx.get(dut.control.max_read_request_size) == 5
        assert ctx.get(dut.control.max_payload_size) == 2

    simulate(dut, look)


@pytest.mark.parametrize("clocks", [1, 4, 30])
@pytest.mark.parametrize("patience", [0, 7])
def test_function_level_reset_of_any_length_is_told_once_and_raises_no_inta(clocks, patience):
    """MSI-X goes off with the reset, and what is pending in the core comes out as INTA until the reset is taken."""
    dut = Series7(config.loads('[device]\nkind = "net"\n[datapath]\nadapter = "pcie_7x"\n'))
    told, asked = [], []

    async def run(ctx, count):
        for _ in range(count):
            waited = 0
            while waited < patience and ctx.get(dut.link.change.valid):
                await ctx.tick()
                waited += 1
            ctx.set(dut.link.change.ready, 1)
            _, _, valid, change, interrupt = await ctx.tick().sample(
                dut.link.change.valid, dut.link.change.payload, dut.cfg_interrupt)
            ctx.set(dut.link.change.ready, 0)
            asked.append(interrupt)
            if valid:
                told.append((change.reset, change.msix_enable))
                # The core has nothing pending from its reset on.
                ctx.set(dut.link.intx, ctx.get(dut.link.intx) & ~change.reset)

    async def drive(ctx):
        ctx.set(dut.cfg_interrupt_msixenable, 1)
        await run(ctx, 20)
        ctx.set(dut.cfg_interrupt_msixenable, 0)
        ctx.set(dut.cfg_received_func_lvl_rst, 1)
        ctx.set(dut.link.intx, 1)
        await run(ctx, clocks)
        ctx.set(dut.cfg_received_func_lvl_rst, 0)
        await run(ctx, 20)
        ctx.set(dut.cfg_interrupt_msixenable, 1)
        await run(ctx, 20)

    simulate(dut, drive)
    assert told == [(0, 1), (1, 0), (0, 0), (0, 1)]
    assert not any(asked)


def test_packet_that_begins_in_the_middle_waits_for_its_next_beat():
    dut = Series7Realigner(128)

    async def look(ctx):
        ctx.set(dut.link.payload, {"data": 1, "user": {"starts": 1, "start_byte": 8}})
        ctx.set(dut.link.valid, 1)
        assert ctx.get(dut.link.ready) == 1
        assert ctx.get(dut.raw.valid) == 0

    simulate(dut, look)

"""Addresses find the BAR and the window that a slow search finds."""

import random

import pytest
from block.simulation import plain, simulate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtio_mmr.config.device import Bar, BarKind, Region
from virtio_mmr.config.device import Space as BuildSpace
from virtio_mmr.gateware.access.decoder import BarDecoder, RegionDecoder
from virtio_mmr.gateware.access.interface import CONFIG, NOWHERE, Kind, Space

QUICK = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def bar_of(index, kind, size, regions=()):
    return Bar(index=index, kind=kind, size=size, regions=tuple(regions))


def expected_place(bars, bases, kind, address, long_address, memory, io, strict):
    """BAR and dword offset that a byte address finds."""
    if kind is Kind.CONFIG and address >> 16 & 7 == 0:
        return {"bar": CONFIG, "offset": address >> 2 & 0x3FF}
    for bar in sorted(bars, key=lambda bar: bar.index):
        if bar.kind is BarKind.IO:
            enabled = io and kind is Kind.IO
        else:
            enabled = memory and kind is Kind.MEMORY and not (strict and long_address and address < 1 << 32)
        if enabled and bases[bar.index] <= address < bases[bar.index] + bar.decoded_size:
            return {"bar": bar.index, "offset": (address - bases[bar.index]) // 4}
    return {"bar": NOWHERE}


def compare_places(bars, rng, *, strict=False, count=150):
    """Random bases, enables and addresses near them."""
    dut = BarDecoder(bars, strict_64bit=strict)

    async def play(ctx):
        for _ in range(count):
            bases = {}
            near = rng.getrandbits(64)
            for bar in bars:
                bits = {BarKind.MEMORY64: 64}.get(bar.kind, 32)
                base = rng.choice([near, rng.getrandbits(64), rng.getrandbits(30)]) & ((1 << bits) - 1)
                bases[bar.index] = base & -bar.decoded_size
                ctx.set(dut.base[bar.index], bases[bar.index])
            kind = rng.choice([Kind.MEMORY, Kind.MEMORY, Kind.MEMORY, *Kind])
            memory, io, long_address = rng.random() < 0.8, rng.random() < 0.8, rng.random() < 0.5
            ctx.set(dut.memory_enabled, memory)
            ctx.set(dut.io_enabled, io)
            ctx.set(dut.kind, kind)
            ctx.set(dut.long_address, long_address)
            for bar in bars:
                start, size = bases[bar.index], bar.decoded_size
                for address in (start, start + size - 4, start + 4 * rng.randrange(size // 4), start - 4, start + size,
                                start ^ 1 << rng.randrange(2, 64), rng.getrandbits(64)):
                    address &= 0xFFFF_FFFF_FFFF_FFFC
                    ctx.set(dut.address, address // 4)
                    want = expected_place(bars, bases, kind, address, long_address, memory, io, strict)
                    found = plain(ctx.get(dut.place))
                    assert {name: found[name] for name in want} == want, (hex(address), bases, kind)

    simulate(dut, play)


@pytest.mark.parametrize("kind, exponent", [
    *((BarKind.IO, exponent) for exponent in range(2, 9)),
    *((kind, exponent) for kind in (BarKind.MEMORY32, BarKind.MEMORY64) for exponent in (7, 8, 12, 15, 20))])
def test_one_bar_of_every_kind_and_size(kind, exponent):
    compare_places([bar_of(0, kind, 1 << exponent)], random.Random(exponent), count=12)


@pytest.mark.parametrize("strict", [False, True])
def test_several_bars_may_overlap_and_the_lowest_number_wins(strict):
    bars = [bar_of(0, BarKind.IO, 128), bar_of(1, BarKind.MEMORY32, 4096), bar_of(2, BarKind.MEMORY64, 1 << 15),
            bar_of(4, BarKind.MEMORY32, 128), bar_of(5, BarKind.MEMORY32, 1 << 14)]
    compare_places(bars, random.Random(5), strict=strict, count=60)


def test_configuration_requests_reach_function_zero_alone():
    dut = BarDecoder([bar_of(0, BarKind.MEMORY32, 4096)])

    async def play(ctx):
        ctx.set(dut.kind, Kind.CONFIG)
        for function in range(8):
            for register in (0, 1, 63, 64, 0x3FF):
                ctx.set(dut.address, 0x3FFF << 17 | function << 14 | register)
                place = plain(ctx.get(dut.place))
                assert place["bar"] == (CONFIG if function == 0 else NOWHERE)
                assert function or place["offset"] == register

    simulate(dut, play)


def expected_region(bars, bar, dword):
    """Window and byte offset inside it."""
    if bar == CONFIG:
        return {"space": Space.CONFIG, "offset": 4 * dword}
    for one in bars:
        for region in one.regions:
            if one.index == bar and region.offset <= 4 * dword < region.end:
                return {"space": Space[region.space.name], "offset": 4 * dword - region.offset}
    return {"space": Space.HOLE}


def compare_regions(bars, rng, count=40):
    """Every edge of every region, and random places."""
    dut = RegionDecoder(bars)
    places = [(bar.index, rng.randrange(1 << 18)) for bar in bars for _ in range(count)]
    places += [(bar.index, edge // 4 + step) for bar in bars for region in bar.regions
               for edge in (region.offset, region.end) for step in (-1, 0, 1) if edge // 4 + step >= 0]
    places += [(other, edge // 4) for bar in bars for region in bar.regions for edge in (region.offset,)
               for other in range(8)]
    places += [(CONFIG, dword) for dword in (0, 1, 0x3FF)] + [(NOWHERE, 0)]

    async def play(ctx):
        for bar, dword in places:
            if dword < (1 << 10 if bar == CONFIG else 1 << 18):
                ctx.set(dut.place, {"bar": bar, "offset": dword})
                want = expected_region(bars, bar, dword)
                found = {"space": ctx.get(dut.space), "offset": ctx.get(dut.offset)}
                assert {name: found[name] for name in want} == want, (bar, hex(4 * dword))

    simulate(dut, play)


def test_aligned_and_unaligned_windows_and_the_holes_between_them():
    regions = [Region(space=BuildSpace.LEGACY, offset=0x14, size=0x24),
               Region(space=BuildSpace.ISR, offset=0x38, size=4),
               Region(space=BuildSpace.DEVICE, offset=0x100, size=0x60),
               Region(space=BuildSpace.CONTROL, offset=0x1000, size=0x1000),
               Region(space=BuildSpace.MSIX, offset=0x2008, size=0x40)]
    compare_regions([bar_of(0, BarKind.MEMORY64, 0, regions)], random.Random(3))


@st.composite
def maps(draw):
    """BARs with windows at any dword, none overlapping."""
    spaces = draw(st.permutations(list(BuildSpace)))
    bars = []
    for index in draw(st.lists(st.sampled_from([0, 2, 4, 5]), min_size=1, max_size=3, unique=True)):
        at, regions = 0, []
        for _ in range(draw(st.integers(0, 2))):
            if not spaces:
                break
            size = draw(st.one_of(st.integers(1, 1500), st.sampled_from([1, 4, 16, 1024]))) * 4
            at += draw(st.one_of(st.just(0), st.integers(0, 2000), st.sampled_from([1024, -at // 4 % 1024]))) * 4
            regions.append(Region(space=spaces.pop(), offset=at, size=size))
            at += size
        kind = draw(st.sampled_from([BarKind.MEMORY32, BarKind.MEMORY64] if index != 5 else [BarKind.MEMORY32]))
        bars.append(bar_of(index, kind, 0, regions))
    return bars


@QUICK
@given(maps(), st.integers(0, 1 << 16))
def test_random_maps_of_windows(bars, seed):
    compare_regions(bars, random.Random(seed), count=10)


@QUICK
@given(maps(), st.booleans(), st.integers(0, 1 << 16))
def test_random_maps_of_bars(bars, strict, seed):
    compare_places(bars, random.Random(seed), strict=strict, count=4)

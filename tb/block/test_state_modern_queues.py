"""A queue's row keeps addresses, size and vector of its own; a page lays the legacy rings out in it."""

import random

import pytest
from block.simulation import any_dword, plain, simulate
from block.test_state_queues import MANY, looks_near_each_other
from virtio_mmr.gateware.state.modern_queues import ModernQueueTable

AREAS = ("descriptors", "available", "used")


def layout(page, size):
    """Virtio 1.4, 2.7.2: each part behind the last, the used ring on a page of its own."""
    base = page << 12
    available = base + 16 * size
    used = available + 2 * (3 + size)
    while used % 4096:
        used += 2
    return {"descriptors": base, "available": available, "used": used}


@pytest.mark.parametrize("most", [1 << exponent for exponent in range(16)])
def test_pages_become_addresses_for_every_size_the_driver_may_take(most):
    rng = random.Random(most)
    dut = ModernQueueTable([most])

    async def play(ctx):
        ctx.set(dut.addressed, 1)
        for size in {1, 2, most // 4 or 1, most // 2 or 1, most}:
            if size > most:
                continue
            ctx.set(dut.write_size, 1)
            ctx.set(dut.new_size, size)
            await ctx.tick()
            ctx.set(dut.write_size, 0)
            ctx.set(dut.sized, 1)
            assert (ctx.get(dut.size), ctx.get(dut.most)) == (size, most)
            for page in (1, 0xFFFF_FFFF, any_dword(rng) | 1):
                ctx.set(dut.write_page, 0xF)
                ctx.set(dut.new_page, page)
                await ctx.tick()
                ctx.set(dut.write_page, 0)
                assert plain(ctx.get(dut.rings)) == layout(page, size)
                assert ctx.get(dut.page) == page

    simulate(dut, play)


def test_every_queue_has_a_row_of_its_own_written_byte_by_byte():
    rng = random.Random(3)
    sizes = (8, 64, 1024)
    dut = ModernQueueTable(sizes, has_data=True)
    rows = [dict.fromkeys(AREAS, 0) for _ in sizes]
    addressed, notes, vectors = [0] * 3, [None] * 3, [None] * 3

    async def play(ctx):
        for _ in range(500):
            queue = rng.randrange(4)
            known = queue < 3
            ctx.set(dut.queue, queue)
            ctx.set(dut.addressed, addressed[queue] if known else 0)
            assert (ctx.get(dut.exists), ctx.get(dut.most)) == (known, sizes[queue] if known else 0)
            assert ctx.get(dut.size) == ctx.get(dut.most)
            if known:
                assert plain(ctx.get(dut.rings)) == rows[queue]
                assert notes[queue] in (None, ctx.get(dut.data)) and vectors[queue] in (None, ctx.get(dut.vector))
            strobes = [rng.choice((0, 0, 0xF, 0xF0, rng.getrandbits(8))) * known for _ in AREAS]
            given = [rng.getrandbits(64) for _ in AREAS]
            kicks, kicked, note = rng.getrandbits(1), rng.randrange(3), rng.getrandbits(16)
            sets_vector, vector = known and rng.getrandbits(1), rng.getrandbits(16)
            for signal, value in ((dut.write_areas, strobes), (dut.new_areas, given), (dut.kick, kicks),
                                  (dut.kicked, kicked), (dut.new_data, note), (dut.write_vector, sets_vector),
                                  (dut.new_vector, vector)):
                ctx.set(signal, value)
            await ctx.tick()
            ctx.set(dut.write_areas, [0, 0, 0])
            if any(strobes):
                addressed[queue] = 1
            for area, strobe, value in zip(AREAS, strobes, given, strict=True):
                mask = sum(0xFF << 8 * lane for lane in range(8) if strobe >> lane & 1)
                if known:
                    rows[queue][area] = rows[queue][area] & ~mask | value & mask
            if kicks:
                notes[kicked] = note
            if sets_vector:
                vectors[queue] = vector

    simulate(dut, play)


class SlowQueue:
    """A queue's row, None where nothing was stored yet."""

    def __init__(self):
        self.rings, self.size, self.vector, self.data = None, None, None, None


@pytest.mark.parametrize(("sizes", "virtual_sizes", "functions"), MANY)
def test_queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look(
        sizes, virtual_sizes, functions):
    rng = random.Random(functions + len(sizes))
    dut = ModernQueueTable(sizes, functions=functions, virtual_sizes=virtual_sizes, has_data=True)
    looks = looks_near_each_other(rng, sizes, virtual_sizes, functions, 2000)
    table = {}
    noted = []

    async def play(ctx):
        for number, (function, queue) in enumerate(looks):
            ctx.set(dut.look_function, function)
            ctx.set(dut.look_queue, queue)
            if number:
                check_and_change(ctx, looks[number - 1])
            await ctx.tick()

    def check_and_change(ctx, place):
        function, queue = place
        of = sizes if function == 0 else virtual_sizes or sizes
        known = queue < len(of)
        row = table.setdefault(place, SlowQueue()) if known else SlowQueue()
        ctx.set(dut.addressed, row.rings is not None)
        ctx.set(dut.sized, row.size is not None)
        most = of[queue] if known else 0
        size = row.size or most
        assert (ctx.get(dut.exists), ctx.get(dut.most), ctx.get(dut.size)) == (known, most, size)
        if known:
            assert plain(ctx.get(dut.rings)) == (row.rings or dict.fromkeys(AREAS, 0)), place
            assert row.vector in (None, ctx.get(dut.vector))
            assert row.data in (None, ctx.get(dut.data)), place
            noted.extend([place] if row.data is not None else [])
        writes = rng.choice(["page", "areas", "size", "vector", "size and vector", ""]) if known else ""
        page, new_size, vector, note = any_dword(rng), 1 << rng.randrange(5), rng.getrandbits(16), rng.getrandbits(16)
        given = [rng.getrandbits(64) for _ in AREAS]
        strobes = [rng.choice((0, 0xF, 0xF0, rng.getrandbits(8))) if writes == "areas" else 0 for _ in AREAS]
        new_size = min(new_size, most)
        # A kick's queue is the function's own, but seldom the one that is shown.
        kicks, kicked = rng.random() < 0.6, rng.randrange(len(of))
        page_strobe = rng.choice((0xF, 0xF, rng.getrandbits(4) | 1)) if writes == "page" else 0
        for signal, value in ((dut.write_page, page_strobe), (dut.new_page, page), (dut.write_areas, strobes),
                              (dut.new_areas, given), (dut.write_size, "size" in writes), (dut.new_size, new_size),
                              (dut.write_vector, "vector" in writes), (dut.new_vector, vector), (dut.kick, kicks),
                              (dut.kicked, kicked), (dut.new_data, note)):
            ctx.set(signal, value)
        if writes == "page":
            mask = sum(0xFF << 8 * lane for lane in range(4) if page_strobe >> lane & 1)
            before = row.rings["descriptors"] >> 12 & 0xFFFF_FFFF if row.rings else 0
            row.rings = layout(before & ~mask | page & mask, size)
        if any(strobes):
            row.rings = dict(row.rings or dict.fromkeys(AREAS, 0))
            for area, strobe, value in zip(AREAS, strobes, given, strict=True):
                mask = sum(0xFF << 8 * lane for lane in range(8) if strobe >> lane & 1)
                row.rings[area] = row.rings[area] & ~mask | value & mask
        if "size" in writes:
            row.size = new_size
        if "vector" in writes:
            row.vector = vector
        if kicks:
            table.setdefault((function, kicked), SlowQueue()).data = note

    simulate(dut, play)
    assert len(noted) > 500


def test_a_row_that_does_not_count_reads_zero_and_is_zero_but_for_the_first_write():
    dut = ModernQueueTable([8])

    async def play(ctx):
        ctx.set(dut.addressed, 1)
        ctx.set(dut.write_page, 0xF)
        ctx.set(dut.new_page, 0x1234_5678)
        await ctx.tick()
        ctx.set(dut.write_page, 0)
        ctx.set(dut.addressed, 0)
        assert plain(ctx.get(dut.rings)) == dict.fromkeys(AREAS, 0) and ctx.get(dut.page) == 0
        ctx.set(dut.write_areas, [0, 0x02, 0])
        ctx.set(dut.new_areas, [0, 0xABCD, 0])
        await ctx.tick()
        ctx.set(dut.write_areas, [0, 0, 0])
        ctx.set(dut.addressed, 1)
        assert plain(ctx.get(dut.rings)) == {"descriptors": 0, "available": 0xAB00, "used": 0}

    simulate(dut, play)

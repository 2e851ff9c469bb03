"""A queue's row keeps addresses, size and vector of its own; a page lays the legacy rings out in it."""

import random

import pytest
from block.simulation import any_dword, plain, simulate
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

"""A page number becomes the three addresses of the legacy ring layout, for every size a queue may have."""

import random

import pytest
from block.simulation import any_dword, plain, simulate
from virtio_mmr.gateware.state.queues import QueueTable

#: Entries: offset of the available ring, offset of the used ring (the digest's table).
LAYOUT = {
    8: (0x80, 0x1000), 16: (0x100, 0x1000), 64: (0x400, 0x1000), 128: (0x800, 0x1000), 256: (0x1000, 0x2000),
    512: (0x2000, 0x3000), 1024: (0x4000, 0x5000), 2048: (0x8000, 0xA000), 4096: (0x10000, 0x13000),
    8192: (0x20000, 0x25000), 16384: (0x40000, 0x49000), 32768: (0x80000, 0x91000),
}


def used_offset(size):
    """16 bytes a descriptor, 2 bytes an available entry and 6 beside them, then up to the next page."""
    end = 16 * size + 2 * (3 + size)
    while end % 4096:
        end += 2
    return end


@pytest.mark.parametrize("size", [1 << exponent for exponent in range(16)])
def test_ring_addresses_of_every_size(size):
    rng = random.Random(size)
    dut = QueueTable([size])
    available, used = LAYOUT.get(size, (16 * size, used_offset(size)))
    assert (available, used) == (16 * size, used_offset(size))

    async def play(ctx):
        for page in (1, 0xFFFF_FFFF, 0x8000_0000, *(any_dword(rng) for _ in range(4))):
            ctx.set(dut.write_page, 0xF)
            ctx.set(dut.new_page, page)
            await ctx.tick()
            ctx.set(dut.write_page, 0)
            ctx.set(dut.page_bytes, sum((page >> 8 * lane & 0xFF != 0) << lane for lane in range(4)))
            base = page << 12
            await ctx.tick()
            assert plain(ctx.get(dut.rings)) == {
                "descriptors": base, "available": base + available, "used": base + used}
            assert (ctx.get(dut.exists), ctx.get(dut.size), ctx.get(dut.page)) == (1, size, page)

    simulate(dut, play)


@pytest.mark.parametrize("sizes", [(8,), (128, 256), (64, 64, 1024), (16, 32, 64, 128, 8)])
def test_every_queue_has_a_row_of_its_own(sizes):
    rng = random.Random(len(sizes))
    dut = QueueTable(sizes)
    pages, vectors = [bytearray(4) for _ in sizes], [None] * len(sizes)

    async def play(ctx):
        for _ in range(400):
            queue = rng.choice([*range(len(sizes)), *range(len(sizes)), len(sizes), rng.getrandbits(16)])
            ctx.set(dut.queue, queue)
            known = queue < len(sizes)
            assert (ctx.get(dut.exists), ctx.get(dut.size)) == (known, sizes[queue] if known else 0)
            if known:
                ctx.set(dut.page_bytes, sum((byte != 0) << lane for lane, byte in enumerate(pages[queue])))
                assert ctx.get(dut.page) == int.from_bytes(pages[queue], "little")
                assert vectors[queue] in (None, ctx.get(dut.vector))
            page, strobe, vector = any_dword(rng) & any_dword(rng), rng.getrandbits(4) * known, rng.getrandbits(16)
            sets_vector = known and rng.random() < 0.4
            ctx.set(dut.write_page, strobe)
            ctx.set(dut.new_page, page)
            ctx.set(dut.write_vector, sets_vector)
            ctx.set(dut.new_vector, vector)
            await ctx.tick()
            for lane in range(4):
                if strobe >> lane & 1:
                    pages[queue][lane] = page >> 8 * lane & 0xFF
            if sets_vector:
                vectors[queue] = vector

    simulate(dut, play)


#: Queues of the physical function and of a virtual one, and how many functions there are.
MANY = [((8, 64, 1024), (128, 16), 5), ((128,), (16, 256, 8, 32, 4), 5), ((256, 128), None, 256)]


def looks_near_each_other(rng, sizes, virtual_sizes, functions, count):
    """Functions and queues, in which the same row comes again one to four clocks later, often and among others."""
    def any_row():
        function = rng.choice([0, 1, functions - 1, rng.randrange(functions)])
        of = sizes if function == 0 else virtual_sizes or sizes
        return function, rng.choice([rng.randrange(len(of)), rng.randrange(len(of)), len(of), rng.getrandbits(16)])

    looks = [any_row() for _ in range(4)]
    while len(looks) < count:
        again, kind = looks[-rng.randint(1, 4)], rng.random()
        # The same row, the same queue of another function, or any.
        looks.append(again if kind < 0.6 else (rng.randrange(functions), again[1]) if kind < 0.75 else any_row())
    return looks


@pytest.mark.parametrize(("sizes", "virtual_sizes", "functions"), MANY)
def test_queues_of_many_functions_are_rows_of_their_own_and_every_change_is_seen_by_the_next_look(
        sizes, virtual_sizes, functions):
    rng = random.Random(functions + len(sizes))
    dut = QueueTable(sizes, functions=functions, virtual_sizes=virtual_sizes)
    looks = looks_near_each_other(rng, sizes, virtual_sizes, functions, 1500)
    pages, vectors = {}, {}

    async def play(ctx):
        was = None
        for number, (function, queue) in enumerate(looks):
            ctx.set(dut.look_function, function)
            ctx.set(dut.look_queue, queue)
            # The other answer is never taken.
            second = rng.getrandbits(1)
            ctx.set(dut.second, second)
            ctx.set(dut.fetch_queue[second], queue)
            ctx.set(dut.fetch_queue[1 - second], rng.randrange(len(sizes)))
            if was:
                check_late(ctx, *was)
            if number:
                was = check_and_change(ctx, looks[number - 1])
            await ctx.tick()

    def check_and_change(ctx, row):
        function, queue = row
        of = sizes if function == 0 else virtual_sizes or sizes
        known = queue < len(of)
        page = pages.get(row, bytes(4))
        ctx.set(dut.page_bytes, sum((byte != 0) << lane for lane, byte in enumerate(page)))
        assert (ctx.get(dut.exists), ctx.get(dut.size)) == (known, of[queue] if known else 0)
        given, strobe = any_dword(rng) & any_dword(rng), rng.choice([0, rng.getrandbits(4)]) * known
        if known:
            pages[row] = bytes((given >> 8 * lane & 0xFF) if strobe >> lane & 1 else page[lane] for lane in range(4))
        ctx.set(dut.write_page, strobe)
        ctx.set(dut.new_page, given)
        return row, page, of[queue] if known else None

    def check_late(ctx, row, page, size):
        # What comes out of the row, and its vector, are a clock late.
        vector, sets_vector = rng.getrandbits(16), size is not None and rng.random() < 0.3
        if size is not None:
            base = int.from_bytes(page, "little") << 12
            assert ctx.get(dut.page) == base >> 12, row
            assert plain(ctx.get(dut.rings)) == {
                "descriptors": base, "available": base + 16 * size, "used": base + used_offset(size)}
            assert vectors.get(row) in (None, ctx.get(dut.vector))
        if sets_vector:
            vectors[row] = vector
        ctx.set(dut.write_vector, sets_vector)
        ctx.set(dut.new_vector, vector)

    simulate(dut, play)
    assert len(pages) > 8 and len(vectors) > 4


def test_bytes_that_the_function_calls_zero_are_zero_whatever_the_row_holds():
    dut = QueueTable([8])

    async def play(ctx):
        ctx.set(dut.write_page, 0xF)
        ctx.set(dut.new_page, 0x1234_5678)
        await ctx.tick()
        ctx.set(dut.write_page, 0)
        for page_bytes in range(16):
            ctx.set(dut.page_bytes, page_bytes)
            page = sum(0x1234_5678 & 0xFF << 8 * lane for lane in range(4) if page_bytes >> lane & 1)
            await ctx.tick()
            assert (ctx.get(dut.page), ctx.get(dut.rings.descriptors)) == (page, page << 12)

    simulate(dut, play)

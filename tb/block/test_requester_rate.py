"""Sustained payload, in clocks: reads and writes against what a raw stream could carry."""

import pytest
from block.dma_bench import Bench
from block.simulation import offer
from selection import full

WIDTH = 128


def beats_of_packet(size: int, long: bool) -> int:
    """Clocks that a packet with *size* bytes of payload takes on a raw stream."""
    return -(-((4 if long else 3) * 4 + size) * 8 // WIDTH)


@pytest.mark.parametrize("field", [0, 2])
@pytest.mark.parametrize("base, long", [(0x1000_0000, False), (0x5_1000_0004, True)])
def test_writes_fill_the_stream(field, base, long):
    bench = Bench(WIDTH, seed=1, size=field, stall=0.0, idle=0.0)
    most, total = 128 << field, 10 * 1024
    requests = [{"function": 0, "epoch": 0, "address": base + at, "bytes": 2048, "context": 0, "report": 0}
                for at in range(0, total, 2048)]
    data = [{"data": 0, "bytes": 16, "last": at % 2048 == 2032} for at in range(0, total, 16)]

    async def ask(ctx):
        await offer(ctx, bench.dut.dma_write, requests)

    async def feed(ctx):
        await offer(ctx, bench.dut.dma_write_data, data)
        await bench.settle(ctx, lambda: len(bench.memory.written) == total)

    bench.run(ask, feed)
    clocks = bench.packets[-1][0] - bench.packets[0][0]
    carried = sum(len(packet) for _, packet in bench.packets[1:]) - 3 * (len(bench.packets) - 1)
    ideal = total * beats_of_packet(most, long) / most
    print(f"writes, MPS {most}, {'4' if long else '3'}-DW: {4 * carried / clocks:.2f} bytes a clock, "
          f"{100 * ideal * 4 * carried / total / clocks:.1f} % of the stream")
    assert 4 * carried / clocks >= 0.9 * total / ideal


@pytest.mark.parametrize("field, offset, owners", [
    (0, 0, 1), (2, 5, 2),
    *full((0, 5, 1), (0, 5, 2), (2, 0, 1), (2, 5, 1))])
def test_reads_fill_the_stream(field, offset, owners):
    most, total = 128 << field, 16 * 1024
    # The root port answers in the largest packets and never rests.
    bench = Bench(WIDTH, seed=1, size=field, stall=0.0, idle=0.0,
                  host={"delay": 0, "merge": 1.0, "digest": 0.0, "limit": most, "in_order": True})
    requests = [{"function": 0, "epoch": 0, "address": 0x1_0000 + at + offset, "bytes": 2048 - offset,
                 "owner": at // 2048 % owners, "context": 0} for at in range(0, total, 2048)]
    seen = []

    async def ask(ctx):
        await offer(ctx, bench.dut.dma_read, requests)

    async def watch(ctx):
        port = bench.dut.dma_read_data
        while sum(count for _, count in seen) < total - offset * len(requests):
            _, _, valid, ready, count = await ctx.tick().sample(port.valid, port.ready, port.p.bytes)
            if valid and ready:
                seen.append((bench.clock, count))

    bench.run(ask, watch)
    clocks = seen[-1][0] - seen[0][0]
    given = sum(count for _, count in seen[1:])
    ideal = most / beats_of_packet(most, False)
    print(f"reads, {most} bytes, offset {offset}, {owners} owners: {given / clocks:.2f} bytes a clock, "
          f"{100 * given / clocks / ideal:.1f} % of the stream")
    assert given / clocks >= 0.9 * ideal

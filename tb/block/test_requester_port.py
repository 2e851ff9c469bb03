"""While no requester is built, every request of the back end still ends, and says how."""

import random

import pytest
from block.simulation import simulate, stalling, taking
from virtio_mmr.gateware.backend import DmaStatus
from virtio_mmr.gateware.requester.port import RequesterPort
from virtio_mmr_sim.bus.amaranth import push


@pytest.mark.parametrize("width", [64, 512])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_reads_are_blocked_in_order_and_reported_writes_too(width, stall):
    rng = random.Random(width)
    dut = RequesterPort(width)
    reads = [{"function": 0, "epoch": rng.getrandbits(2), "address": rng.getrandbits(64), "bytes": rng.getrandbits(13),
              "owner": rng.getrandbits(3), "context": rng.getrandbits(16)} for _ in range(60)]
    writes = [{"address": rng.getrandbits(64), "bytes": 4, "context": rng.getrandbits(16), "report": rng.getrandbits(1)}
              for _ in range(60)]
    answers, done = [], []
    running = [2]

    def feeder(port, items):
        async def feed(ctx):
            await push(ctx, port, items, rng=rng, idle=0.3)
            running[0] -= 1
            while running[0] or not drained():
                await ctx.tick()
            await ctx.tick().repeat(10)
        return feed

    def drained():
        return len(answers) >= len(reads) and len(done) >= sum(write["report"] for write in writes)

    async def payload(ctx):
        ctx.set(dut.dma_write_data.valid, 1)
        while True:
            _, _, ready = await ctx.tick().sample(dut.dma_write_data.ready)
            assert ready, "data of a blocked write are swallowed at once"

    simulate(dut, feeder(dut.dma_read, reads), feeder(dut.dma_write, writes), background=[
        stalling(dut.dma_read_data, rng, stall), stalling(dut.dma_write_done, rng, stall), payload,
        taking(dut.dma_read_data, answers), taking(dut.dma_write_done, done)])
    assert [(answer["owner"], answer["context"], answer["bytes"], answer["last"], answer["status"])
            for answer in answers] == [(read["owner"], read["context"], 0, 1, DmaStatus.BLOCKED) for read in reads]
    assert done == [{"context": write["context"], "status": 1} for write in writes if write["report"]]

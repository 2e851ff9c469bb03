"""Cases that fail on purpose, to test what a failure says."""

import os

from virtio_mmr_sim.testbench import case


@case
async def reads_then_fails(tb):
    for _ in range(12):
        await tb.host.config_read(0x00)
    assert await tb.host.config_read(0x00, 2) == 0xBEEF, "planted"


@case
async def leaves_a_completion_behind(tb):
    tb.host.put([0x0400_0001, 0x0000_FF0F, tb.host.target[0] << 24 | tb.host.target[1] << 19])
    await tb.host.settle()


@case
async def passes(tb):
    assert await tb.host.config_read(0x00, 2) == 0x1AF4


@case
async def stops_the_simulator(tb):
    os._exit(0)

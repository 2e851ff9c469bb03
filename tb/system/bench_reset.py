"""The core's reset input: legal in any clock, also in the middle of a TLP in either direction."""

import cocotb
from cocotb.triggers import ClockCycles
from system.legacy_driver import STATUS, assert_clean, dirty, needs_memory
from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.testbench import case


@case
async def reset_returns_everything_to_its_start(tb):
    for _ in range(2):
        await dirty(tb)
        await tb.reset()
        image = tb.space.reset_image()
        tb.host.captured = 0
        for offset in (*range(0, 256, 4), *range(256, 512, 4)):
            answer = await tb.host.config_request(offset)
            assert answer.data == int.from_bytes(image[offset : offset + 4], "little"), f"register {offset:#x}"
        await tb.bring_up()
        await assert_clean(tb)
        for place, byte in enumerate(tb.config.config_image):
            assert await tb.legacy.read(0x14 + place, 1) == byte
        assert [tb.counter(name) for name in ("malformed", "poisoned", "unsupported", "unexpected")] == [0] * 4


@case
async def reset_in_the_middle_of_a_request_leaves_no_trace(tb):
    needs_memory(tb)
    write = tlp.build(tlp.memory_write(tb.legacy.address, bytes(96)))
    for clocks in range(1, 24):
        tb.source.idle = tb.rng.choice([0.0, 0.6])
        for _ in range(3):
            tb.host.put(write)
        await ClockCycles(tb.dut.clk, clocks)
        await tb.reset(tb.rng.randrange(1, 4))
        tb.host.captured = 0
        await tb.bring_up()
        await tb.legacy.write(STATUS, 3, 1)
        assert await tb.legacy.read(STATUS, 1) == 3
        assert tb.counter("malformed") == 0


@case
async def reset_in_the_middle_of_completions_leaves_no_trace(tb):
    needs_memory(tb)
    for clocks in range(2, 40, 2):
        tb.sink.stall = tb.rng.choice([0.0, 0.6, 1.0])
        for _ in range(3):
            tb.host.put(tlp.build(tlp.memory_read(tb.legacy.address, 512)))
        await ClockCycles(tb.dut.clk, clocks)
        await tb.reset(tb.rng.randrange(1, 4))
        tb.sink.stall = 0.3
        tb.host.captured = 0
        await tb.bring_up()
        assert await tb.legacy.read(0x00, 4) == tb.config.legacy_features
        await tb.host.silence(100)


@case
async def reset_drops_what_the_back_end_was_told(tb):
    await tb.open_gate()
    for sink in tb.out.values():
        sink.stall = 1
    await dirty(tb)
    await tb.legacy.write(0x10, 0, 2)
    await tb.host.settle()
    await tb.reset()
    for sink in tb.out.values():
        sink.stall = 0.3
    tb.host.captured = 0
    await tb.bring_up()
    for stream in ("driver_update", "queue_update", "notification", "config_write"):
        assert await tb.events(stream) == [], stream
    assert not tb.resets


@case(bring_up=False)
async def nothing_is_offered_during_reset(tb):
    tb.dut.rst.value = 1
    await ClockCycles(tb.dut.clk, 2)
    seen = 0

    async def watch():
        nonlocal seen
        for _ in range(20):
            await ClockCycles(tb.dut.clk, 1)
            seen += tb.offers
            seen += sum(int(getattr(tb.dut, f"be_{name}_valid").value) for name in tb.out)

    await cocotb.start_soon(watch())
    assert seen == 0
    await tb.reset()

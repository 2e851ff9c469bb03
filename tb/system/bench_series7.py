"""Beside AMD's 7-series block: what the block leaves to the core, and how fast packets go by."""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from system.legacy_driver import QUEUE_ADDRESS
from virtio_mmr.config.device import Space
from virtio_mmr_sim.host.host import bdf
from virtio_mmr_sim.host.root_port import RootPort
from virtio_mmr_sim.model.tlp import memory_read, memory_write
from virtio_mmr_sim.testbench import COMMAND, case

#: First bytes of the core's parts of configuration space; the extended part runs to the end.
CLASSIC, CLASSIC_END, EXTENDED = 0xA8, 0x100, 0x10C

#: Registers there: both structures and holes.
REGISTERS = (*range(CLASSIC, CLASSIC_END, 4), *range(EXTENDED, 0x200, 4), 0xFFC)


@case
async def every_configuration_request_is_completed_whatever_is_enabled(tb):
    """Reads and writes at random, many at a time, also with decoding off and in D3hot, under back-pressure."""
    image = tb.space.reset_image()
    power = tb.capability("power") + 4
    for command, state in ((7, 0), (0, 0), (3, 0), (7, 3), (7, 0)):
        await tb.host.config_write(COMMAND, command, 2)
        await tb.host.config_write(power, state, 2)
        tb.sink.stall = tb.rng.choice([0.0, 0.5, 0.9])
        tasks = []
        for _ in range(40):
            offset, write = tb.rng.choice(REGISTERS), tb.rng.random() < 0.5
            enables, data = tb.rng.randrange(16), tb.rng.getrandbits(32)
            task = cocotb.start_soon(tb.host.config_request(offset, write=write, data=data, enables=enables))
            tasks.append((offset, write, enables, task))
        for offset, write, enables, task in tasks:
            answer = await task
            assert answer.status == 0
            if not write:
                mask = sum(0xFF << 8 * lane for lane in range(4) if enables >> lane & 1)
                assert answer.data == int.from_bytes(image[offset:offset + 4], "little") & mask
    tb.sink.stall = 0.3


@case
async def completer_id_is_what_the_block_has_captured(tb):
    """`Host` compares it; the write that brings a new number may be one to the core's part or to the block's."""
    for register in (CLASSIC, 0x3C, EXTENDED, 0x3C):
        tb.host.target = tb.rng.randrange(256), tb.rng.randrange(32)
        await tb.host.config_write(register, 0)
        assert tb.host.captured == bdf(*tb.host.target)
        await tb.host.config_read(CLASSIC)
        assert await tb.legacy.read(0, 4) == tb.config.legacy_features


@case(bring_up=False)
async def without_the_link_between_the_lists_only_extended_structures_are_found(tb):
    """As the block is generated, its last classic structure points nowhere."""
    tb.source.chained = False
    device = await RootPort(tb.host).enumerate()
    classic = [entry for entry in tb.space.capabilities if entry.kind == "classic"]
    assert {place for _, place in device.capabilities} == {tb.capability(name) for name in ("power", "express", "msix")}
    assert len(classic) > 3
    extended = {entry.offset for entry in tb.space.capabilities if entry.kind == "extended"}
    assert {place for _, place in device.ext_capabilities} == extended
    assert tb.capability("mmr_vsec") == EXTENDED


async def clocks_each(tb, packets):
    """Clocks in which the core takes one of these packets, on average: nothing comes late, nothing is refused."""
    await tb.host.settle()
    tb.source.idle, tb.sink.stall = 0, 0
    taken = []

    async def watch():
        while True:
            await RisingEdge(tb.dut.clk)
            taken.append(int(tb.dut.m_axis_rx_tvalid.value) and int(tb.dut.m_axis_rx_tready.value))

    watching = cocotb.start_soon(watch())
    reads = [cocotb.start_soon(tb.host.request(one)) for one in packets if not one.write]
    for one in packets:
        if one.write:
            tb.host.post(one)
    await tb.host.settle(100)
    for read in reads:
        await read
    watching.cancel()
    first = taken.index(1)
    return (len(taken) - taken[::-1].index(1) - first) / len(packets)


@case
async def single_dwords_go_by_at_the_rate_of_the_link(tb):
    """Three header dwords: a packet takes as many clocks as it has beats, and a read's completion too."""
    lanes = tb.config.datapath.width // 32
    bar, region = tb.config.find(Space.LEGACY)
    await tb.place(bar, 0xE000_0000)
    base, count = 0xE000_0000 + region.offset, 200
    reads = await clocks_each(tb, [memory_read(base, 4) for _ in range(count)])
    writes = await clocks_each(tb, [memory_write(base + QUEUE_ADDRESS, bytes(4)) for _ in range(count)])
    tb.log("rate", {"read": reads, "write": writes})
    assert reads <= 4 / lanes + 0.05
    assert writes <= 4 / lanes + 0.05


@case
async def long_headers_go_by_at_the_rate_of_their_beats(tb):
    """Four header dwords and one of payload: five dwords, which never share a beat with another packet."""
    lanes = tb.config.datapath.width // 32
    address = tb.legacy.address + QUEUE_ADDRESS
    assert address >> 32
    writes = await clocks_each(tb, [memory_write(address, bytes(4)) for _ in range(200)])
    tb.log("rate", {"long write": writes})
    assert writes <= -(-5 // lanes) + 0.05


@case
async def idle_core_answers_a_read_in_as_few_clocks_as_with_raw_streams(tb):
    """From the first beat of the request offered to the first of the completion offered."""
    dut, lanes = tb.dut, tb.config.datapath.width // 32
    tb.source.idle, tb.sink.stall = 0, 0
    for _ in range(4):
        await tb.host.settle()
        reading = cocotb.start_soon(tb.host.request(memory_read(tb.legacy.address, 4)))
        await RisingEdge(dut.m_axis_rx_tvalid)
        clocks = 0
        while not int(dut.s_axis_tx_tvalid.value):
            await RisingEdge(dut.clk)
            clocks += 1
        await reading
        # What is seen at an edge was there in the clock before it.
        tb.log("latency", {"clocks": clocks})
        assert clocks - 1 <= (4 if lanes == 4 else 5)


@case
async def function_reset_is_told_to_the_back_end(tb):
    """The block resets its own registers; the core the rest."""
    await tb.legacy.write(0x12, 7, 1)
    await tb.events("driver_update")
    await tb.host.config_write(tb.capability("express") + 8, 1 << 15, 2)
    await ClockCycles(tb.dut.clk, 100)
    assert [request.cause for request in tb.resets][-1] == 1
    await tb.bring_up()
    assert await tb.legacy.read(0x12, 1) == 0

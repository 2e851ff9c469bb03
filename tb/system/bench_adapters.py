"""Behind an adapter to hard IP: the rate of register accesses, and the capabilities where the IP points."""

import cocotb
from cocotb.triggers import RisingEdge
from system.legacy_driver import needs_memory
from virtio_mmr.config.device import Space
from virtio_mmr_sim.model.tlp import MemoryRequest
from virtio_mmr_sim.testbench import case

#: Clocks for a read and for a write of one dword, by width: as long as their descriptors and data take.
RATES = {64: (2, 3), 128: (1, 2), 256: (1, 1)}

#: Clocks from the first beat of a read on offer to the first beat of its completion on offer. At 64 bits the descriptor
#: takes two beats, and its answer's first word needs what comes with the second. Rows of several functions are looked
#: up, for up to two more.
LATENCY, LOOK_UP = {64: 6, 128: 4, 256: 4}, 2

#: Requests that are sent at once, and clocks that the first and last of them may take on top.
COUNT, SLACK = 150, 4


def needs_descriptors(tb):
    """The case is about streams with descriptors."""
    if not tb.config.datapath.hard_ip.described:
        tb.skip("the adapter has no descriptors")


async def clocks_of(tb, prefix, packets):
    """Clocks from the first beat to the last one of so many packets that a stream hands over."""
    valid, ready, last = (getattr(tb.dut, f"{prefix}_{name}") for name in ("tvalid", "tready", "tlast"))
    clock, first = 0, None
    while packets:
        await RisingEdge(tb.dut.clk)
        clock += 1
        if int(valid.value) and int(ready.value) & 1:
            first = clock if first is None else first
            packets -= int(last.value)
    return clock - first + 1


@case
async def registers_are_read_and_written_at_the_rate_of_the_descriptors(tb):
    needs_descriptors(tb)
    needs_memory(tb)
    tb.source.idle = tb.sink.stall = 0
    read, write = RATES[tb.config.datapath.width]
    address = tb.legacy.address
    watch = cocotb.start_soon(clocks_of(tb, "m_axis_cq", COUNT))
    for _ in range(COUNT):
        tb.host.write(address + 0x0C, 0x0001_0000)
    assert await watch <= write * COUNT + SLACK
    await tb.host.settle()
    watches = [cocotb.start_soon(clocks_of(tb, prefix, COUNT)) for prefix in ("m_axis_cq", "s_axis_cc")]
    reads = [cocotb.start_soon(tb.host.request(MemoryRequest(address=address))) for _ in range(COUNT)]
    for watch in watches:
        assert await watch <= read * COUNT + SLACK
    for one in reads:
        assert (await one).data == tb.config.legacy_features


@case
async def an_idle_core_answers_a_read_within_its_clocks(tb):
    needs_descriptors(tb)
    needs_memory(tb)
    tb.source.idle = tb.sink.stall = 0
    await tb.host.settle()
    reading = cocotb.start_soon(tb.host.request(MemoryRequest(address=tb.legacy.address)))
    await RisingEdge(tb.dut.m_axis_cq_tvalid)
    clocks = 0
    while not int(tb.dut.s_axis_cc_tvalid.value):
        await RisingEdge(tb.dut.clk)
        clocks += 1
    # Sampled before registers change: the clock in which the answer is first on offer is one less.
    most = LATENCY[tb.config.datapath.width] + (LOOK_UP if tb.config.vf is not None else 0)
    assert clocks - 1 <= most, clocks - 1
    await reading


@case
async def the_lists_go_on_where_the_ip_points_and_name_the_legacy_window(tb):
    needs_descriptors(tb)
    bar, region = tb.config.find(Space.LEGACY)
    window = tb.config.datapath.hard_ip.extended
    names = [capability.name for capability in tb.space.capabilities if window[0] <= capability.offset]
    assert names == ["mmr_vsec", "control", "mmr_literal"]
    # Software that knows nothing of this project: follow the pointers, look for the structure.
    found, offset = [], 0x100
    while offset:
        head = await tb.host.config_read(offset)
        found.append((offset, head & 0xFFFF))
        offset = head >> 20
    assert (window[0], 0x000B) in found
    assert await tb.host.config_read(window[0] + 4) == 28 << 20 | 1
    structure = [await tb.host.config_read(window[0] + 8 + 4 * index) for index in range(5)]
    assert structure[0] >> 8 & 0xFF == bar.index
    assert structure[1] | structure[2] << 32 == region.offset
    assert structure[3] | structure[4] << 32 == region.size
    for hole in range(tb.space.capabilities[-1].end, window[1], 4):
        assert await tb.host.config_read(hole) == 0
    await tb.host.config_write(window[0] + 8, 0xFFFF_FFFF)
    assert await tb.host.config_read(window[0] + 8) == structure[0]

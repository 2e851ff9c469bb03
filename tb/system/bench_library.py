"""The core on cocotbext-pcie's model of the UltraScale+ block, with its root complex in front: a second opinion."""

import os
import random
from pathlib import Path

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from virtio_mmr.config.device import Space
from virtio_mmr_sim import bench
from virtio_mmr_sim.bus.streams import StreamSink, StreamSource
from virtio_mmr_sim.design import Design
from virtio_mmr_sim.hard_ip.library import LibraryBlock
from virtio_mmr_sim.host.root_port import DEVICE

FEATURES, PAGE, QUEUE_SELECT, STATUS, CONFIG_VECTOR, QUEUE_VECTOR = 0x00, 0x08, 0x0E, 0x12, 0x14, 0x16


class Setup:
    """Block, root complex and back end, enumerated."""

    def __init__(self, dut, name):
        folder = Path(os.environ[bench.DESIGN])
        design = Design(folder, folder.name)
        self.dut, self.config = dut, design.config
        self.rng = random.Random(f"{os.environ[bench.SEED]}:{name}")
        self.block = LibraryBlock(dut, self.config, rng=self.rng)
        self.complex = self.block.complex
        self.out, self.into = {}, {}
        for stream in design.interface["streams"]:
            kind = StreamSink if stream["direction"] == "out" else StreamSource
            end = kind(dut, stream["name"], stream["fields"], rng=random.Random(self.rng.random()))
            (self.out if stream["direction"] == "out" else self.into)[stream["name"]] = end

    async def enumerate(self):
        await FallingEdge(self.dut.rst)
        await ClockCycles(self.dut.clk, 20)
        await self.complex.enumerate()
        self.device = self.complex.find_device(DEVICE)
        assert self.device is not None, "enumeration found nothing"
        await self.device.enable_device()
        await self.device.set_master()

    def window(self, space):
        bar, region = self.config.find(space)
        return self.device.bar_addr[bar.index] + region.offset

    async def load(self, offset, size, space=Space.LEGACY):
        return int.from_bytes(await self.complex.mem_read(self.window(space) + offset, size), "little")

    async def store(self, offset, value, size, space=Space.LEGACY):
        await self.complex.mem_write(self.window(space) + offset, value.to_bytes(size, "little"))


def case(function):
    """A case gets a `Setup`."""

    async def run(dut):
        setup = Setup(dut, function.__name__)
        await setup.enumerate()
        await function(setup)

    run.__name__ = run.__qualname__ = function.__name__
    run.__doc__, run.__module__ = function.__doc__, function.__module__
    return cocotb.test(timeout_time=4000, timeout_unit="us")(run)


@case
async def enumeration_follows_both_lists_into_the_windows(setup):
    classic, extended = setup.config.datapath.hard_ip.classic[0], setup.config.datapath.hard_ip.extended[0]
    assert (0x09, classic) in setup.device.capabilities
    found = [offset for kind, offset in setup.device.ext_capabilities if kind == 0x000B]
    assert found == [extended, extended + 28, extended + 56]
    for bar in setup.config.bars:
        assert setup.device.bar_size[bar.index] == bar.decoded_size


@case
async def registers_are_read_and_written_under_back_pressure(setup):
    assert await setup.load(FEATURES, 4) == setup.config.legacy_features
    for number in range(40):
        value = setup.rng.randrange(1, 1 << 16)
        await setup.store(QUEUE_SELECT, value, 2)
        assert await setup.load(QUEUE_SELECT, 2) == value, number
    config = await setup.load(0x14, setup.config.kind.config_size)
    assert config.to_bytes(setup.config.kind.config_size, "little") == setup.config.config_image
    # Longer than a completion may be, and than a write may be.
    table = setup.rng.randbytes(16 * setup.config.msix_vectors)
    await setup.store(0, int.from_bytes(table, "little"), len(table), Space.MSIX)
    shown = await setup.load(0, 0x200, Space.MSIX)
    for vector in range(setup.config.msix_vectors):
        written = int.from_bytes(table[16 * vector:16 * vector + 12], "little")
        assert shown >> 128 * vector & (1 << 96) - 4 == written & ~3


@case
async def data_and_interrupts_reach_memory_in_order(setup):
    region = setup.complex.mem_pool.alloc_region(0x10000)
    base = region.get_absolute_address(0)
    # A driver is there, and its first queue.
    if setup.config.find(Space.CONTROL) is not None:
        await setup.store(0x25, 1, 1, Space.CONTROL)
    await setup.store(QUEUE_SELECT, 0, 2)
    await setup.store(PAGE, base >> 12 or 1, 4)
    await setup.store(STATUS, 7, 1)
    control = next(offset for kind, offset in setup.device.capabilities if kind == 0x11) + 2
    await setup.device.config_write(control, b"\x00\x80")
    await setup.store(0, base + 0x8000, 8, Space.MSIX)
    await setup.store(8, 0, 8, Space.MSIX)
    await setup.store(CONFIG_VECTOR, 0, 2)
    assert await setup.load(STATUS, 1) == 7
    lanes = setup.config.datapath.width // 8
    for number in range(1, 13):
        content = setup.rng.randbytes(setup.rng.choice([1, 4, 64, 100, 300, 1500]))
        offset = setup.rng.randrange(0x1000)
        await setup.store(8, number, 4, Space.MSIX)
        # A posted write has arrived when a read behind it has been answered.
        assert await setup.load(8, 4, Space.MSIX) == number
        setup.into["dma_write"].put(function=0, epoch=0, address=base + offset, bytes=len(content), context=number,
                                    report=1)
        for at in range(0, len(content), lanes):
            part = content[at:at + lanes]
            setup.into["dma_write_data"].put(data=int.from_bytes(part, "little"), bytes=len(part),
                                             last=at + lanes >= len(content))
        assert (await setup.out["dma_write_done"].receive()).status == 0
        setup.into["interrupt_cause"].put(function=0, epoch=0, queue=0, config_change=1)
        while int.from_bytes(await region.read(0x8000, 4), "little") != number:
            await RisingEdge(setup.dut.clk)
        assert await region.read(offset, len(content)) == content, "the interrupt came before its data"
        setup.into["dma_read"].put(function=0, epoch=0, address=base + offset, bytes=len(content), owner=0,
                                   context=number)
        data = b""
        while True:
            beat = await setup.out["dma_read_data"].receive()
            data += beat.data.to_bytes(lanes, "little")[:beat.bytes]
            if beat.last:
                break
        assert (beat.status, beat.context, data) == (0, number, content)

"""DMA through the generated ports: the back end reaches memory behind a root complex that others have written.

`root.complex` gives its memory as regions; what the back end reads and writes there is compared byte by byte.
"""

from cocotb.triggers import ClockCycles, RisingEdge
from system.legacy_driver import CONFIG_VECTOR, QUEUE_VECTOR, STATUS, needs_msix, select
from virtio_mmr.config.device import Space
from virtio_mmr_sim.host.root_port import RootPort
from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.testbench import case

OK, BLOCKED, QUEUED = 0, 5, 0

#: Bytes of the memory region behind the root complex.
REGION = 1 << 16


class Memory:
    """A root complex with memory, and a driver that has set up the device that does DMA."""

    def __init__(self, tb):
        if tb.config.requester is None:
            tb.skip("the device does no DMA")
        self._tb, self.root = tb, RootPort(tb.host)
        self._lanes = tb.config.datapath.width // 8
        self.region = self.root.complex.mem_pool.alloc_region(REGION)
        self.base = self.region.get_absolute_address(0)

    async def start(self, *, driver=True):
        """Enumerate; open the gate; with *driver* also say DRIVER_OK."""
        tb = self._tb
        await self.root.enumerate()
        for index, (address, _size) in self.root.bars().items():
            tb.bar[index] = address
        await tb.open_gate()
        if driver:
            await tb.legacy.write(STATUS, 7, 1)
        await tb.legacy.read(STATUS, 1)

    def read(self, offset, size, context, *, owner=0, epoch=0):
        """Hand in a read of the region."""
        self._tb.into["dma_read"].put(
            address=self.base + offset, bytes=size, context=context, owner=owner, epoch=epoch)

    def write(self, offset, content, context, *, epoch=0):
        """Hand in a write of the region; its end will be reported."""
        into, width = self._tb.into, self._lanes
        into["dma_write"].put(
            address=self.base + offset, bytes=len(content), context=context, report=1, epoch=epoch)
        for at in range(0, max(len(content), 1), width):
            part = content[at:at + width]
            into["dma_write_data"].put(data=int.from_bytes(part, "little"), bytes=len(part),
                                       last=at + width >= len(content))

    async def answer(self):
        """The next read to end: owner, context, status and data. For reads that do not interleave."""
        data = b""
        while True:
            beat = await self._tb.out["dma_read_data"].receive()
            data += beat.data.to_bytes(self._lanes, "little")[:beat.bytes]
            if beat.last:
                return beat.owner, beat.context, beat.status, data

    async def done(self):
        """The next write to be reported: context and status."""
        found = await self._tb.out["dma_write_done"].receive()
        return found.context, found.status


@case(bring_up=False)
async def reads_bring_what_stands_in_memory(tb):
    memory = Memory(tb)
    await memory.start()
    content = tb.rng.randbytes(REGION)
    await memory.region.write(0, content)
    ranges = [(tb.rng.randrange(REGION - 4096), tb.rng.choice([1, 3, 16, 18, 64, 200, 1500, 4096])) for _ in range(24)]
    for number, (offset, size) in enumerate(ranges):
        memory.read(offset, size, number)
    for number, (offset, size) in enumerate(ranges):
        assert await memory.answer() == (0, number, OK, content[offset:offset + size])
    assert tb.counter("unexpected") == 0


@case(bring_up=False)
async def writes_change_the_bytes_that_they_name_and_no_others(tb):
    memory = Memory(tb)
    await memory.start()
    expected = bytearray(tb.rng.randbytes(REGION))
    await memory.region.write(0, bytes(expected))
    for number in range(24):
        content = tb.rng.randbytes(tb.rng.choice([1, 3, 16, 18, 64, 200, 1500, 4096]))
        offset = tb.rng.randrange(REGION - len(content))
        expected[offset:offset + len(content)] = content
        memory.write(offset, content, number)
    for number in range(24):
        assert await memory.done() == (number, QUEUED)
    await tb.legacy.read(STATUS, 1)
    await ClockCycles(tb.dut.clk, 400)
    assert bytes(await memory.region.read(0, REGION)) == bytes(expected)


@case(bring_up=False)
async def while_the_host_takes_no_reads_everything_else_goes_on(tb):
    if not tb.config.datapath.hard_ip.described:
        tb.skip("the link does not tell of credit for reads")
    memory = Memory(tb)
    await memory.start()
    content = tb.rng.randbytes(REGION)
    await memory.region.write(0, content)
    for credit in (0, 1, 3):
        tb.sink.read_credit = credit
        await ClockCycles(tb.dut.clk, 20)
        # More than the credit, each in pieces.
        for number in range(6):
            memory.read(number * 2048, 1024, number)
        await tb.host.settle(200)
        written = tb.rng.randbytes(64)
        memory.write(REGION - 64, written, 7)
        assert await memory.done() == (7, QUEUED)
        assert await tb.legacy.read(STATUS, 1) == 7
        assert bytes(await memory.region.read(REGION - 64, 64)) == written
        if not credit:
            tb.sink.read_credit = 1
        for number in range(6):
            assert await memory.answer() == (0, number, OK, content[number * 2048:number * 2048 + 1024])


@case(bring_up=False)
async def a_read_behind_a_write_sees_it(tb):
    memory = Memory(tb)
    await memory.start()
    for number in range(12):
        content = tb.rng.randbytes(tb.rng.choice([4, 64, 600]))
        memory.write(0x100, content, number)
        await memory.done()
        memory.read(0x100, len(content), number)
        assert await memory.answer() == (0, number, OK, content)


@case(bring_up=False)
async def an_interrupt_finds_the_data_of_its_cause_in_memory(tb):
    needs_msix(tb)
    memory = Memory(tb)
    await memory.start()
    table, told = tb.window(Space.MSIX), 0x8000
    await tb.set_msix(True)
    for vector in range(2):
        await table.write(16 * vector, memory.base + told + 4 * vector, 8)
        await table.write(16 * vector + 8, 0, 8)
    await tb.legacy.write(CONFIG_VECTOR, 0, 2)
    await select(tb, 0)
    await tb.legacy.write(QUEUE_VECTOR, 1, 2)
    await tb.legacy.read(STATUS, 1)
    for number in range(1, 17):
        # Buffers, and then the used element, whose last byte tells the round; the message carries it as well.
        vector = number % 2
        await table.write(16 * vector + 8, number, 4)
        await tb.legacy.read(STATUS, 1)
        for place in range(tb.rng.randrange(4)):
            memory.write(0x1000 * place, tb.rng.randbytes(tb.rng.choice([64, 600, 1500])), 0)
        memory.write(0x7000, tb.rng.randbytes(7) + bytes([number]), number)
        while await memory.done() != (number, QUEUED):
            pass
        tb.into["interrupt_cause"].put(function=0, epoch=tb.epoch, queue=0, config_change=int(vector == 0))
        for _ in range(2000):
            await RisingEdge(tb.dut.clk)
            if (await memory.region.read(told + 4 * vector, 1))[0] == number:
                break
        assert bytes(await memory.region.read(told + 4 * vector, 4)) == number.to_bytes(4, "little")
        assert (await memory.region.read(0x7007, 1))[0] == number


@case(bring_up=False)
async def reads_of_what_is_not_there_end_as_unsupported(tb):
    memory = Memory(tb)
    await memory.start()
    tb.into["dma_read"].put(address=0x7_0000_0000, bytes=300, context=9)
    assert await memory.answer() == (0, 9, 1, b"")
    memory.read(0, 4, 10)
    assert (await memory.answer())[:3] == (0, 10, OK)


@case(bring_up=False)
async def nothing_is_requested_before_there_is_a_driver(tb):
    memory = Memory(tb)
    await memory.start(driver=False)
    await memory.region.write(0, bytes(64))
    memory.read(0, 64, 1)
    memory.write(0, b"\xFF" * 64, 2)
    assert await memory.answer() == (0, 1, BLOCKED, b"")
    assert await memory.done() == (2, 1)
    assert not any(await memory.region.read(0, 64))
    await tb.legacy.write(STATUS, 7, 1)
    await tb.legacy.read(STATUS, 1)
    memory.read(0, 64, 3)
    assert await memory.answer() == (0, 3, OK, bytes(64))


@case(bring_up=False)
async def after_a_reset_nothing_of_the_old_epoch_reaches_memory(tb):
    memory = Memory(tb)
    await memory.start()
    tb.acknowledge = False
    for number in range(8):
        memory.write(0x1000 * number, tb.rng.randbytes(512), number)
    await ClockCycles(tb.dut.clk, tb.rng.randrange(200))
    await tb.legacy.write(STATUS, 0, 1)
    # What left before has left when this is answered, and nothing leaves afterwards.
    assert await tb.legacy.read(STATUS, 1) == 0
    await ClockCycles(tb.dut.clk, 50)
    there = bytes(await memory.region.read(0, REGION))
    statuses = [(await memory.done())[1] for _ in range(8)]
    assert statuses == sorted(statuses)
    memory.write(0, b"\xA5" * 100, 8)
    assert await memory.done() == (8, 1)
    await ClockCycles(tb.dut.clk, 400)
    assert bytes(await memory.region.read(0, REGION)) == there


@case(bring_up=False)
async def requests_carry_the_ids_of_the_function_and_short_headers_below_four_gigabytes(tb):
    memory = Memory(tb)
    await memory.start()
    seen, onward = [], tb.host.others

    def watch(dwords):
        seen.append(list(dwords))
        return onward(dwords)

    tb.host.others = watch
    await memory.region.write(0, bytes(256))
    memory.read(3, 200, 1)
    await memory.answer()
    tb.into["dma_read"].put(address=0x5_0000_0000, bytes=8, context=2)
    await memory.answer()
    packets = [tlp.parse(dwords) for dwords in seen if dwords[0] >> 24 in (0x00, 0x20)]
    assert {packet.requester for packet in packets} == {1 << 8}
    for dwords in seen:
        if dwords[0] >> 24 in (0x00, 0x20):
            assert (dwords[0] >> 29 & 1) == (tlp.parse(dwords).address >> 32 != 0)
    assert any(dwords[0] >> 29 & 1 for dwords in seen) and not all(dwords[0] >> 29 & 1 for dwords in seen)

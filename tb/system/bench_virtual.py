"""Virtual functions, as a driver of the physical function makes and unmakes them, and as their own drivers use them."""

import cocotb
from cocotb.triggers import ClockCycles
from system.legacy_driver import STATUS
from virtio_mmr.config.device import Space
from virtio_mmr.spec.sriov import SUPPORTED_PAGE_SIZES, VF_BAR0
from virtio_mmr_sim.host.host import SUCCESSFUL, Unsupported
from virtio_mmr_sim.model.tlp import MemoryRequest
from virtio_mmr_sim.testbench import COMMAND, GATE, case

#: Registers of the SR-IOV capability.
CONTROL, INITIAL, TOTAL, NUMBER, OFFSET, STRIDE, DEVICE_ID, SIZES, PAGE = (
    0x08, 0x0C, 0x0E, 0x10, 0x14, 0x16, 0x1A, 0x1C, 0x20)
ENABLE, MEMORY, ARI = 1, 8, 16

#: Causes of a reset request.
FLR, VF_DISABLE = 1, 2

BUS_MASTER, FUNCTION_RESET = 4, 1 << 15


class Virtual:
    """The physical function's driver, in the order of Linux: probe, size, enable, use, disable."""

    def __init__(self, tb):
        self.tb, self.count = tb, tb.config.vf.count
        self.capability = tb.capability("sriov")
        (self.bar,) = tb.config.vf.function.bars
        self.base = tb.rng.randrange(1, 1 << 16) << 40
        self.stride = self.bar.decoded_size

    async def read(self, register, size=2):
        return await self.tb.host.config_read(self.capability + register, size)

    async def write(self, register, value, size=2):
        await self.tb.host.config_write(self.capability + register, value, size)

    async def set_base(self, address):
        await self.write(VF_BAR0 + 4 * self.bar.index, address & 0xFFFF_FFFF, 4)
        await self.write(VF_BAR0 + 4 * self.bar.index + 4, address >> 32, 4)

    async def size(self):
        """Bytes of one function's BAR, by writing ones."""
        await self.set_base((1 << 64) - 1)
        low = await self.read(VF_BAR0 + 4 * self.bar.index, 4)
        high = await self.read(VF_BAR0 + 4 * self.bar.index + 4, 4)
        return (1 << 64) - (high << 32 | low & ~0xF)

    async def enable(self, number=None, control=ENABLE | MEMORY | ARI):
        await self.set_base(self.base)
        await self.write(NUMBER, self.count if number is None else number)
        await self.write(CONTROL, control)

    async def disable(self):
        await self.write(CONTROL, await self.read(CONTROL) & ~ENABLE)

    def address(self, function, offset, space=Space.LEGACY):
        _, region = self.tb.config.vf.function.find(space)
        return self.base + (function - 1) * self.stride + region.offset + offset

    async def load(self, function, offset, size, space=Space.LEGACY):
        """A register of a virtual function."""
        found = await self.tb.host.read(self.address(function, offset, space), size, virtual=function)
        return int.from_bytes(found, "little")

    def store(self, function, offset, value, size, space=Space.LEGACY):
        self.tb.host.write(self.address(function, offset, space), value, size)

    async def exists(self, function):
        """Whether its configuration space answers."""
        answer = await self.tb.host.config_request(0, function=function)
        return answer.status == SUCCESSFUL

    async def decodes(self, function):
        """Whether its memory answers."""
        try:
            await self.load(function, STATUS, 1)
        except Unsupported:
            return False
        return True


def needs_own_header(tb):
    """The case is about what the core itself decodes."""
    if tb.config.datapath.hard_ip.owns_header:
        tb.skip("the hard IP decodes addresses and function numbers")


@case
async def the_capability_says_what_there_may_be(tb):
    vf = Virtual(tb)
    assert await vf.read(INITIAL) == await vf.read(TOTAL) == vf.count
    assert (await vf.read(OFFSET), await vf.read(STRIDE)) == (1, 1)
    assert await vf.read(DEVICE_ID) == tb.config.vf.function.device_id
    assert await vf.read(SIZES, 4) == SUPPORTED_PAGE_SIZES
    assert await vf.read(PAGE, 4) == 1
    assert await vf.read(CONTROL) == await vf.read(NUMBER) == 0


@case
async def functions_exist_from_vf_enable_on_and_not_beyond_num_vfs(tb):
    vf = Virtual(tb)
    for number in (1, 5, vf.count):
        assert not await vf.exists(1)
        await vf.enable(number)
        assert [await vf.exists(function) for function in range(1, vf.count + 3)] == [
            function <= number for function in range(1, vf.count + 3)]
        await vf.disable()
    assert not await vf.exists(1)


@case
async def without_ari_seven_can_be_reached(tb):
    needs_own_header(tb)
    vf = Virtual(tb)
    await vf.enable(control=ENABLE | MEMORY)
    assert [await vf.exists(function) for function in (1, 7, 8, vf.count)] == [True, True, False, False]
    assert await vf.decodes(7) and not await vf.decodes(8)


@case
async def ids_read_as_ones_and_only_bus_mastering_can_be_enabled(tb):
    vf = Virtual(tb)
    await vf.enable()
    for function in (1, 8, vf.count):
        assert await tb.host.config_read(0, 4, function=function) == 0xFFFF_FFFF
        await tb.host.config_write(COMMAND, 0xFFFF, 2, function=function)
        assert await tb.host.config_read(COMMAND, 2, function=function) == BUS_MASTER
        assert [await tb.host.config_read(at, 4, function=function) for at in range(0x10, 0x28, 4)] == [0] * 6


@case
async def memory_follows_mse_at_the_base_and_a_stride_for_each(tb):
    vf = Virtual(tb)
    await vf.enable(control=ENABLE | ARI)
    assert not await vf.decodes(1)
    await vf.write(CONTROL, ENABLE | ARI | MEMORY)
    for function in range(1, vf.count + 1):
        vf.store(function, 0x0E, function, 2)
    assert [await vf.load(function, 0x0E, 2) for function in range(1, vf.count + 1)] == list(range(1, vf.count + 1))
    assert not await vf.decodes(0) and not await vf.decodes(vf.count + 1)
    await vf.write(CONTROL, ENABLE | ARI)
    assert not await vf.decodes(1)


@case
async def the_bar_has_at_least_a_system_page(tb):
    needs_own_header(tb)
    vf = Virtual(tb)
    assert await vf.size() == max(vf.bar.decoded_size, 1 << 12)
    for bit in (4, 8):
        await vf.write(PAGE, 1 << bit, 4)
        vf.stride = max(vf.bar.decoded_size, 1 << 12 + bit)
        assert await vf.size() == vf.stride
        await vf.enable(3)
        assert await vf.decodes(3)
        # What is behind the BAR's own size answers, and is nobody's.
        if vf.stride > vf.bar.decoded_size:
            before = tb.counter("hole")
            assert await vf.load(2, vf.bar.decoded_size, 4) == 0
            await tb.host.settle()
            assert tb.counter("hole") == before + 1
        await vf.disable()
    await vf.write(PAGE, 3, 4)
    assert await vf.read(PAGE, 4) == 1 << 8, "two sizes at once are taken"


@case
async def a_function_level_reset_concerns_one_function(tb):
    vf = Virtual(tb)
    await vf.enable()
    for function in (1, 2, 3):
        vf.store(function, STATUS, 3, 1)
        await tb.host.config_write(COMMAND, BUS_MASTER, 2, function=function)
    express = next(placed.offset for placed in tb.virtual_space.capabilities if placed.name == "express")
    tb.resets.clear()
    await tb.host.config_write(express + 8, FUNCTION_RESET, 2, function=2)
    # Hard IP holds accesses to the configuration space of a function back while its reset goes on.
    assert [await tb.host.config_read(COMMAND, 2, function=function) for function in (1, 2, 3)] == [4, 0, 4]
    assert [await vf.load(function, STATUS, 1) for function in (1, 2, 3)] == [3, 0, 3]
    await tb.host.settle()
    assert [(request.function, request.cause) for request in tb.resets] == [(2, FLR)]


@case
async def clearing_vf_enable_removes_and_resets_them(tb):
    vf = Virtual(tb)
    await vf.enable()
    for function in range(1, vf.count + 1):
        vf.store(function, STATUS, 3, 1)
    await tb.host.settle()
    tb.resets.clear()
    await vf.disable()
    assert not await vf.exists(1) and not await vf.decodes(1)
    await tb.host.settle(600)
    assert sorted((request.function, request.cause) for request in tb.resets) == [
        (function, VF_DISABLE) for function in range(1, vf.count + 1)]
    await vf.enable()
    assert [await vf.load(function, STATUS, 1) for function in range(1, vf.count + 1)] == [0] * vf.count


@case
async def requests_carry_the_function_and_never_intx(tb):
    vf = Virtual(tb)
    await vf.enable()
    msix = next(placed.offset for placed in tb.virtual_space.capabilities if placed.name == "msix")
    for function in (1, 9, vf.count):
        await tb.host.config_write(COMMAND, BUS_MASTER, 2, function=function)
        # Without MSI-X the cause sets the ISR, and no line tells anybody.
        await tb.into["interrupt_cause"].send(function=function, epoch=0, queue=0, config_change=1)
        await tb.host.silence(300)
        assert await vf.load(function, 0x13, 1) == 2
        await tb.host.config_write(msix + 2, 1 << 15, 2, function=function)
        for offset, value in ((0, 0xFEE0_0000 | function << 4), (4, 0), (8, 0x4000 + function), (12, 0)):
            vf.store(function, offset, value, 4, Space.MSIX)
        vf.store(function, 0x14, 0, 2)
        await tb.host.settle()
        await tb.into["interrupt_cause"].send(function=function, epoch=0, queue=0, config_change=1)
        await tb.host.settle(300)
        assert list(tb.host.messages) == [MemoryRequest(
            write=True, address=0xFEE0_0000 | function << 4, payload=(0x4000 + function,),
            requester=tb.host.captured | function)]
        tb.host.messages.clear()
    assert not tb.host.intx


@case
async def a_closed_gate_holds_back_messages_of_its_own_functions_queues(tb):
    vf, first, last = Virtual(tb), 1, tb.config.vf.count
    await vf.enable()
    msix = next(placed.offset for placed in tb.virtual_space.capabilities if placed.name == "msix")

    async def heard():
        await tb.host.settle(300)
        found = [request.payload[0] for request in tb.host.messages]
        tb.host.messages.clear()
        return sorted(found)

    for function in (first, last):
        await tb.host.config_write(COMMAND, BUS_MASTER, 2, function=function)
        await tb.host.config_write(msix + 2, 1 << 15, 2, function=function)
        for offset, value in ((0, 0xFEE0_0000), (4, 0), (8, function), (12, 0)):
            vf.store(function, offset, value, 4, Space.MSIX)
        # The configuration and a queue share a vector.
        vf.store(function, 0x14, 0, 4)
        vf.store(function, GATE, 1, 1, Space.CONTROL)
    await tb.host.settle()
    for closed, open_ in ((first, last), (last, first)):
        vf.store(closed, GATE, 0, 1, Space.CONTROL)
        await tb.host.settle()
        for function in (closed, open_):
            await tb.into["interrupt_cause"].send(function=function, epoch=0, queue=0, config_change=0)
        assert await heard() == [open_]
        await tb.into["interrupt_cause"].send(function=closed, epoch=0, queue=0, config_change=1)
        assert await heard() == [closed]
        vf.store(closed, GATE, 1, 1, Space.CONTROL)
        assert await heard() == [closed]
        assert await vf.load(closed, 0x13, 1) == 3 and await vf.load(open_, 0x13, 1) == 1


@case
async def num_vfs_is_locked_while_they_are_enabled(tb):
    vf = Virtual(tb)
    await vf.enable(4)
    await vf.write(NUMBER, 2)
    assert await vf.read(NUMBER) == 4 and await vf.exists(4)
    await vf.disable()
    await vf.write(NUMBER, 2)
    assert await vf.read(NUMBER) == 2


@case
async def a_reset_by_status_stays_with_its_function_and_a_function_level_reset_clears_vf_enable(tb):
    vf = Virtual(tb)
    await vf.enable()
    vf.store(3, STATUS, 3, 1)
    await tb.legacy.write(STATUS, 3, 1)
    await tb.legacy.write(STATUS, 0, 1)
    assert await vf.load(3, STATUS, 1) == 3
    await tb.host.config_write(tb.capability("express") + 8, FUNCTION_RESET, 2)
    assert await vf.read(CONTROL) == 0 and not await vf.exists(3)


@case
async def a_number_that_is_too_large_is_not_taken_and_none_is_none(tb):
    vf = Virtual(tb)
    await vf.write(NUMBER, vf.count + 1)
    assert await vf.read(NUMBER) == 0
    await vf.write(CONTROL, ENABLE | MEMORY | ARI)
    assert await vf.read(CONTROL) == ENABLE | MEMORY | ARI
    assert not await vf.exists(1)
    await vf.disable()


@case
async def a_base_address_may_move_while_they_run(tb):
    vf = Virtual(tb)
    await vf.enable()
    vf.store(5, 0x0E, 2, 2)
    assert await vf.load(5, 0x0E, 2) == 2
    before = vf.base
    vf.base ^= 1 << 50
    await vf.set_base(vf.base)
    assert await vf.load(5, 0x0E, 2) == 2
    vf.base = before
    assert not await vf.decodes(5)


@case
async def each_has_its_mac_address_and_its_queues(tb):
    vf = Virtual(tb)
    await vf.enable()
    for function in (1, 4, vf.count):
        address = bytes([await vf.load(function, byte, 1, Space.DEVICE) for byte in range(6)])
        assert address == tb.config.image_of(function)[:6]
        sizes = []
        for queue in range(4):
            vf.store(function, 0x0E, queue, 2)
            sizes.append(await vf.load(function, 0x0C, 2))
        assert sizes == [64, 64, 64, 0]


@case
async def accesses_to_a_function_that_is_being_disabled_end(tb):
    vf = Virtual(tb)
    await vf.enable()
    for _ in range(6):
        for function in (1, 2):
            for _ in range(5):
                vf.store(function, 0x0E, tb.rng.randrange(3), 2)
        disabled = cocotb.start_soon(vf.disable())
        while not disabled.done():
            tb.host.post(MemoryRequest(write=True, address=vf.address(1, 0x0C), payload=(0,), poisoned=True))
            await ClockCycles(tb.dut.clk, 2)
        await ClockCycles(tb.dut.clk, tb.rng.randrange(30))
        await vf.enable()
        assert await vf.load(1, 0x0E, 2) == 0
        assert (await tb.host.config_request(4, function=1)).data >> 24 == 0, "errors of before it was disabled"
    await tb.host.settle(400)
    assert await vf.load(vf.count, STATUS, 1) == 0


@case
async def every_function_shows_the_same_registers_at_its_own_place(tb):
    vf = Virtual(tb)
    await vf.enable()
    image = tb.virtual_space.reset_image()
    extended = [range(placed.offset, placed.end, 4) for placed in tb.virtual_space.capabilities]
    for function in (1, 7, vf.count):
        for offsets in (range(0, 0x40, 4), *extended):
            for offset in offsets:
                found = await tb.host.config_read(offset, 4, function=function)
                assert found == int.from_bytes(image[offset:offset + 4], "little"), f"function {function}, {offset:#x}"
        assert await vf.load(function, 0, 4) == tb.config.vf.function.legacy_features


@case
async def the_legacy_state_of_functions_is_independent(tb):
    vf = Virtual(tb)
    await vf.enable()
    functions, offered = (1, 2, vf.count), tb.config.vf.function.legacy_features
    #: Accepted features, selected queue, and page of queue 0, which stays selected when it is written.
    held = {function: [0, 0, 0] for function in functions}
    for _ in range(60):
        function = tb.rng.choice(functions)
        features, queue, page = tb.rng.getrandbits(32), tb.rng.randrange(3), tb.rng.getrandbits(32)
        held[function] = [features & offered, queue, page]
        for offset, value, size in ((4, features, 4), (0x0E, 0, 2), (8, page, 4), (0x0E, queue, 2)):
            vf.store(function, offset, value, size)
        other = tb.rng.choice(functions)
        assert await vf.load(other, 4, 4) == held[other][0]
        assert await vf.load(other, 0x0E, 2) == held[other][1]
        selected = held[other][1]
        vf.store(other, 0x0E, 0, 2)
        assert await vf.load(other, 8, 4) == held[other][2]
        vf.store(other, 0x0E, selected, 2)

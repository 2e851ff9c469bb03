"""Configuration space over TLPs: sizing, walks, masks, errors, function level reset."""

from cocotb.triggers import ClockCycles
from system.legacy_driver import STATUS
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr_sim.host.host import SUCCESSFUL, UNSUPPORTED, Unsupported, bdf
from virtio_mmr_sim.model.tlp import memory_read
from virtio_mmr_sim.testbench import case

COMMAND, STATUS_REGISTER, BAR0 = 0x04, 0x06, 0x10
DETECTED_PARITY_ERROR = 1 << 15
CORRECTABLE, NONFATAL, FATAL, UNSUPPORTED_DETECTED = 1, 2, 4, 8


async def supported(operation):
    """Whether an access was answered with success."""
    try:
        await operation
    except Unsupported:
        return False
    return True


async def device_status(tb):
    """Error bits of the PCI Express capability."""
    return await tb.host.config_read(tb.capability("express") + 0x0A, 2)


def dword(image, offset):
    return int.from_bytes(image[offset : offset + 4], "little")


@case(bring_up=False)
async def every_dword_answers_and_shows_its_reset_value(tb):
    image = tb.space.reset_image()
    for offset in range(0, 4096, 4):
        answer = await tb.host.config_request(offset)
        assert answer.status == SUCCESSFUL
        assert answer.data == dword(image, offset), f"register {offset:#x} reads {answer.data:#x}"


@case
async def writes_honour_byte_enables(tb):
    await tb.host.config_write(COMMAND, 0x0547, 2)
    io = any(bar.kind is BarKind.IO for bar in tb.config.bars)
    low = 0x47 if io else 0x46
    assert await tb.host.config_read(COMMAND, 2) == 0x0500 | low
    await tb.host.config_write(COMMAND + 1, 0x00, 1)
    assert await tb.host.config_read(COMMAND, 2) == low
    await tb.host.config_write(COMMAND, 0x00, 1)
    assert await tb.host.config_read(COMMAND, 2) == 0
    await tb.host.config_request(COMMAND, write=True, data=0x0000_0546, enables=0)
    assert await tb.host.config_read(COMMAND, 2) == 0


@case
async def reads_show_only_the_enabled_lanes(tb):
    whole = await tb.host.config_read(0x00)
    for enables in range(16):
        mask = sum(0xFF << 8 * lane for lane in range(4) if enables >> lane & 1)
        assert (await tb.host.config_request(0x00, enables=enables)).data == whole & mask


@case
async def bars_answer_sizing(tb):
    expected = [0] * 6
    for bar in tb.config.bars:
        kind = {BarKind.IO: 1, BarKind.MEMORY32: 0, BarKind.MEMORY64: 4}[bar.kind] | bar.prefetchable << 3
        mask = -bar.decoded_size & ((1 << 64) - 1) | kind
        expected[bar.index] = mask & 0xFFFF_FFFF
        if bar.kind is BarKind.MEMORY64:
            expected[bar.index + 1] = mask >> 32
    await tb.host.config_write(COMMAND, 0, 2)
    for index in range(6):
        before = await tb.host.config_read(BAR0 + 4 * index)
        await tb.host.config_write(BAR0 + 4 * index, 0xFFFF_FFFF)
        assert await tb.host.config_read(BAR0 + 4 * index) == expected[index], f"BAR {index}"
        await tb.host.config_write(BAR0 + 4 * index, before)
        assert await tb.host.config_read(BAR0 + 4 * index) == before


@case
async def decoding_follows_the_bar(tb):
    found = tb.config.find(Space.LEGACY)
    assert found is not None
    bar, _region = found
    old = tb.legacy
    await old.write(STATUS, 1, 1)
    new_address = tb.bar[bar.index] ^ bar.decoded_size
    await tb.place(bar, new_address)
    assert not await supported(old.read(STATUS, 1)), "the old address still answers"
    assert await tb.legacy.read(STATUS, 1) == 1


@case
async def lists_are_acyclic_and_end(tb):
    seen, pointer = [], await tb.host.config_read(0x34, 1)
    while pointer:
        assert pointer >= 0x40 and pointer % 4 == 0 and pointer not in seen and len(seen) < 48
        seen.append(pointer)
        pointer = await tb.host.config_read(pointer + 1, 1)
    placed = [capability.offset for capability in tb.space.capabilities if capability.kind == "classic"]
    assert sorted(seen) == sorted(placed)


@case
async def header_says_type_0_with_a_capability_list(tb):
    assert await tb.host.config_read(STATUS_REGISTER, 2) >> 4 & 1
    assert await tb.host.config_read(0x0E, 1) == 0x00


@case
async def read_only_bits_do_not_change(tb):
    """Ones, then the old value, into every dword; only what the register table calls writable moves."""
    writable, clears = tb.space.write_mask(), tb.space.write_clear_mask()
    express, power = tb.capability("express"), tb.capability("power")
    for offset in range(0, 4096, 4):
        before = await tb.host.config_read(offset)
        ones = 0xFFFF_FFFF
        if offset == express + 8:
            ones &= ~0x8000  # initiate function level reset
        if offset == power + 4:
            ones &= ~0x3  # the power state has a case of its own
        await tb.host.config_write(offset, ones)
        found = await tb.host.config_read(offset)
        changed = before ^ found
        allowed = dword(writable, offset) | dword(clears, offset)
        assert not changed & ~allowed, f"register {offset:#x}: {before:#x} became {found:#x}"
        assert (found | ~dword(writable, offset) | ~ones) & 0xFFFF_FFFF == 0xFFFF_FFFF, f"register {offset:#x}"
        await tb.host.config_write(offset, before & ~dword(clears, offset))
    for bar in tb.config.bars:
        await tb.place(bar, tb.bar[bar.index])
    await tb.host.config_write(COMMAND, 0b111, 2)
    await tb.host.settle()


@case
async def error_bits_clear_only_by_writing_one(tb):
    if tb.config.datapath.hard_ip.owns_header:
        tb.skip("the bits are the hard IP's")
    unmapped = 0x1000
    await tb.host.request(memory_read(unmapped, 4))
    register = tb.capability("express") + 0x0A
    assert await tb.host.config_read(register, 2) == CORRECTABLE | UNSUPPORTED_DETECTED
    await tb.host.config_write(register, 0, 2)
    assert await tb.host.config_read(register, 2) == CORRECTABLE | UNSUPPORTED_DETECTED
    await tb.host.config_write(register, CORRECTABLE, 2)
    assert await tb.host.config_read(register, 2) == UNSUPPORTED_DETECTED
    await tb.host.config_write(register, 0xF, 2)
    assert await tb.host.config_read(register, 2) == 0


@case
async def completer_id_follows_every_configuration_write(tb):
    for _ in range(6):
        tb.host.target = tb.rng.randrange(256), tb.rng.randrange(32)
        await tb.host.config_read(0x00)  # a read does not capture: the old id is checked
        await tb.host.config_write(0x3C, 0x0B, 1)
        assert tb.host.captured == bdf(*tb.host.target)
        await tb.host.config_read(0x00)
        if not tb.legacy.io:
            await tb.legacy.read(0x00, 4)


@case
async def other_functions_do_not_exist(tb):
    captured = tb.host.captured
    for function in range(1, 8):
        assert (await tb.host.config_request(0x00, function=function)).status == UNSUPPORTED
        tb.host.target = tb.host.target[0] ^ 1, tb.host.target[1]
        answer = await tb.host.config_request(COMMAND, function=function, write=True, data=0)
        assert answer.status == UNSUPPORTED
        assert tb.host.captured == captured, "a request that is refused captures nothing"
    assert await tb.host.config_read(COMMAND, 2) & 0b110 == 0b110


@case
async def type_1_requests_are_unsupported(tb):
    assert (await tb.host.config_request(0x00, type1=True)).status == UNSUPPORTED
    answer = await tb.host.config_request(COMMAND, type1=True, write=True, data=0)
    assert answer.status == UNSUPPORTED
    assert await tb.host.config_read(COMMAND, 2) & 0b110 == 0b110


@case
async def function_reset_completes_first_and_restores_reset_values(tb):
    for bar in tb.config.bars:
        await tb.place(bar, tb.bar[bar.index])
    await tb.host.config_write(0x3C, 0x5A, 1)
    await tb.host.request(memory_read(0x2000, 4))
    captured = tb.host.captured
    express = tb.capability("express")
    # Max_Payload_Size, Read Completion Boundary and Common Clock Configuration belong to the link, and stay.
    largest = await tb.host.config_read(express + 4, 1) & 7
    kept = {express + 0x08: largest << 5, express + 0x10: 0x48}
    before = await tb.host.config_read(express + 8, 2) & ~0xE0 | largest << 5
    await tb.host.config_write(express + 8, before, 2)
    await tb.host.config_write(express + 0x10, 0x48, 2)
    answer = await tb.host.config_request(express + 8, write=True, data=0x8000 | before | 1, enables=0b0011)
    assert answer.status == SUCCESSFUL
    image = tb.space.reset_image()
    for offset in range(0, 4096, 4):
        found = (await tb.host.config_request(offset)).data
        expected = dword(image, offset) | kept.get(offset, 0)
        assert found == expected, f"register {offset:#x} reads {found:#x} after the reset"
    assert tb.host.captured == captured
    await tb.host.silence(1000)


@case
async def interrupt_pin_says_whether_there_is_intx(tb):
    assert await tb.host.config_read(0x3D, 1) == int(tb.config.intx)


@case
async def enables_gate_memory_and_io_each(tb):
    found = tb.config.find(Space.LEGACY)
    assert found is not None
    io = found[0].kind is BarKind.IO
    other = next((bar for bar in tb.config.bars if (bar.kind is BarKind.IO) != io and bar.regions), None)
    for command, io_enabled, memory_enabled in (
        (0b000, False, False),
        (0b001, True, False),
        (0b010, False, True),
        (0b011, True, True),
    ):
        await tb.host.config_write(COMMAND, command, 2)
        assert await supported(tb.legacy.read(STATUS, 1)) == (io_enabled if io else memory_enabled)
        if other is not None and not io:
            assert await supported(tb.host.io_read(tb.bar[other.index])) == io_enabled
        if other is not None and io:
            assert await supported(tb.host.read(tb.bar[other.index], 4)) == memory_enabled
        assert await tb.host.config_read(0x00, 2) == 0x1AF4, "configuration answers whatever is enabled"


@case
async def d3hot_answers_configuration_only_and_keeps_state(tb):
    power = tb.capability("power") + 4
    await tb.legacy.write(STATUS, 3, 1)
    for refused in (1, 2):
        await tb.host.config_write(power, refused, 2)
        assert await tb.host.config_read(power, 2) & 3 == 0, "states between are not taken"
    await tb.host.config_write(power, 3, 2)
    assert await tb.host.config_read(power, 2) & 3 == 3
    assert not await supported(tb.legacy.read(STATUS, 1))
    await tb.host.config_write(power, 1, 2)
    assert await tb.host.config_read(power, 2) & 3 == 3
    await tb.host.config_write(power, 0, 2)
    assert await tb.legacy.read(STATUS, 1) == 3, "no soft reset"


@case
async def a_notification_waits_in_d3hot(tb):
    power = tb.capability("power") + 4
    await tb.open_gate()
    await tb.legacy.write(0x08, 0x100, 4)
    await tb.events("queue_update")
    tb.out["notification"].stall = 1
    await tb.legacy.write(0x10, 0, 2)
    await tb.host.settle()
    await tb.host.config_write(power, 3, 2)
    await ClockCycles(tb.dut.clk, 50)
    await tb.host.config_write(power, 0, 2)
    tb.out["notification"].stall = 0
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def msix_table_and_pending_bits_stand_where_the_capability_says(tb):
    at = tb.capability("msix")
    assert await tb.host.config_read(at + 2, 2) & 0x7FF == tb.config.msix_vectors - 1
    found = tb.config.find(Space.MSIX)
    assert found is not None
    bar, region = found
    table, pending = await tb.host.config_read(at + 4), await tb.host.config_read(at + 8)
    assert (table & 7, table & ~7) == (bar.index, region.offset)
    assert (pending & 7, pending & ~7) == (bar.index, region.offset + region.size // 2)


@case
async def msix_entries_show_reset_values(tb):
    tb.capability("msix")
    window = tb.window(Space.MSIX)
    for vector in range(tb.config.msix_vectors):
        assert [await window.read(16 * vector + 4 * index, 4) for index in range(4)] == [0, 0, 0, 1]
        assert await window.read(16 * vector + 8, 8) == 1 << 32, "masked"
    assert await window.read(window.size // 2, 4) == 0, "nothing is pending"

"""The control page: what a hypervisor sees and sets, and how a function stops."""

from cocotb.triggers import ClockCycles
from system.legacy_driver import (
    DEVICE_FEATURES,
    DRIVER_FEATURES,
    ISR,
    NOTIFY,
    STATUS,
    bytes_of,
    needs_configuration,
    needs_msix,
    notify,
    start_queue,
)
from virtio_mmr.config.device import Space
from virtio_mmr.spec import control
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.profiles import mmr_v1
from virtio_mmr_sim.testbench import case

MAGIC, VERSION, SUPPORTED, ENDIAN, GENERATION, BADSTATE, REQUIRED, FORBIDDEN, REJECT, PLATFORM = (
    register.offset for register in control.TABLE
)
GATE, BIG_SUPPORTED = 1 << 8, 1 << 8


@case
async def page_is_found_through_its_own_vsec(tb):
    page = tb.control
    at = tb.capability("control")
    found = tb.config.find(Space.CONTROL)
    assert found is not None
    bar, region = found
    words = [await tb.host.config_read(at + 4 * index) for index in range(7)]
    assert words[0] & 0xFFFFF == 0x1000B
    assert words[1] == 0x01C << 20 | mmr_v1.VSEC_ID_CONTROL
    assert words[2:] == [bar.index << 8 | 0xF0, region.offset, 0, region.size, 0]
    assert await page.read(MAGIC, 4) == int.from_bytes(b"VMMR", "little")
    assert await page.read(VERSION, 4) == 1
    assert await page.read(SUPPORTED, 4) == 0b11111


@case
async def page_shares_no_page_with_the_legacy_window(tb):
    page, legacy = tb.control, tb.legacy
    if page.io == legacy.io:
        assert page.address % 4096 == 0 and abs(page.address - legacy.address) >= 4096
    await page.write(REQUIRED, 0x1234_5678, 4)
    for offset in range(0, 0x40, 4) if not legacy.io else range(0, 0x14, 4):
        assert await legacy.read(offset, 4) != 0x1234_5678
    for offset in range(0x28, 0x1000, 0x3D8):
        assert await page.read(offset & ~3, 4) == 0
    await page.write(REQUIRED, 0, 4)


@case
async def read_only_registers_take_no_write(tb):
    page = tb.control
    before = [await page.read(offset, 4) for offset in (MAGIC, VERSION, SUPPORTED, GENERATION)]
    for offset in (MAGIC, VERSION, SUPPORTED, GENERATION):
        await page.write(offset, 0xFFFF_FFFF, 4)
    assert [await page.read(offset, 4) for offset in (MAGIC, VERSION, SUPPORTED, GENERATION)] == before
    assert await page.read(REJECT, 4) == 0


@case
async def generation_moves_with_every_change_and_with_nothing_else(tb):
    page = tb.control
    needs_configuration(tb)

    async def moved(action):
        before = await page.read(GENERATION, 4)
        await action()
        await tb.host.settle(30)
        return await page.read(GENERATION, 4) - before & 0xFFFF_FFFF

    async def read_everything():
        await tb.legacy.read(0x14, 4)
        await tb.legacy.read(ISR, 1)
        await page.read(BADSTATE, 4)

    async def driver_write():
        await tb.legacy.write(0x14 + bytes_of(tb, Owner.DRIVER)[0], 0x42, 1)

    async def driver_write_elsewhere():
        await tb.legacy.write(0x14 + bytes_of(tb, Owner.FIXED)[0], 0xFF, 1)

    async def device_update():
        source, place = tb.into["config_update"], bytes_of(tb, Owner.DEVICE)[0] & ~3
        source.put(function=0, offset=place, data=0x1111_1111, strobe=0b1100, last=0)
        await source.send(function=0, offset=place + 4, data=0x2222_2222, strobe=0b1111, last=1)

    async def interrupt():
        await tb.cause(queue=0)

    async def stop():
        await tb.fault(2)

    assert await moved(read_everything) == 0
    assert await moved(interrupt) == 0
    assert await moved(driver_write) == 1
    assert await moved(driver_write_elsewhere) == 0, "that byte is not the driver's"
    assert await moved(device_update) == 1, "an update of several beats counts once"
    if tb.config.msix_vectors:
        for enable in (True, False):

            async def switch(enable=enable):
                await tb.set_msix(enable)

            assert await moved(switch) == 1
            assert await moved(switch) == 0
    await tb.legacy.write(STATUS, 7, 1)
    assert await moved(stop) == 1, "NEEDS_RESET was set"

    async def reset():
        await tb.legacy.write(STATUS, 0, 1)

    assert await moved(reset) == 1, "NEEDS_RESET was cleared"
    assert await moved(reset) == 0


@case
async def a_multi_beat_update_is_never_seen_half_done(tb):
    page = tb.control
    if tb.config.kind.name != "block":
        places, size = (6,), 2
    else:
        places, size = (0, 4), 8
    needs_configuration(tb)
    source, window = tb.into["config_update"], tb.window(Space.DEVICE)
    first = places[0]
    values = {await window.read(first, size)}
    for step in range(12):
        value = tb.rng.getrandbits(8 * size)
        values.add(value)
        image = value << 8 * (first & 3)
        for index, offset in enumerate(range(first & ~3, first + size, 4)):
            source.put(
                function=0,
                offset=offset,
                data=image >> 32 * index & 0xFFFF_FFFF,
                strobe=0xF if size == 8 else 0b1100,
                last=int(offset + 4 >= first + size),
            )
        await ClockCycles(tb.dut.clk, step)
        before = await page.read(GENERATION, 4)
        found = await window.read(first, size)
        after = await page.read(GENERATION, 4)
        assert before != after or found in values, f"{found:#x} was never a value"
        await tb.host.settle(60)
        assert await window.read(first, size) == value


@case
async def fixed_and_driver_owned_bytes_ignore_the_wrong_writer(tb):
    needs_configuration(tb)
    if tb.config.kind.name != "net":
        tb.skip("about the fields of a network device")
    source = tb.into["config_update"]
    await source.send(function=0, offset=8, data=0xFFFF_FFFF, strobe=0xF, last=1)
    await tb.host.settle(30)
    image = tb.config.config_image
    assert await tb.legacy.read(0x14 + 8, 4) == int.from_bytes(image[8:12], "little"), "fixed fields"
    await source.send(function=0, offset=4, data=0x0003_0000, strobe=0b1100, last=1)
    await tb.host.settle(30)
    assert await tb.legacy.read(0x14 + 6, 2) == 3, "the device's own field"


@case
async def big_endian_swaps_fields_of_several_bytes_in_the_legacy_window_alone(tb):
    page = tb.control
    needs_configuration(tb)
    if not tb.config.control.big_endian:
        assert await page.read(ENDIAN, 4) == 0
        await page.write(ENDIAN, 1, 4)
        assert await page.read(ENDIAN, 4) == 0
        return
    assert await page.read(ENDIAN, 4) == BIG_SUPPORTED
    image = tb.config.config_image
    await page.write(ENDIAN, 1, 4)
    assert await page.read(ENDIAN, 4) == BIG_SUPPORTED | 1
    for field in tb.config.kind.config:
        for index in range(field.count):
            size = field.width // 8
            start = field.offset + index * size
            found = bytes([await tb.legacy.read(0x14 + start + at, 1) for at in range(size)])
            assert found == image[start : start + size][::-1], field.name
            plain = bytes([await tb.window(Space.DEVICE).read(start + at, 1) for at in range(size)])
            assert plain == image[start : start + size], "the device window stays little-endian"
    assert await tb.legacy.read(DEVICE_FEATURES, 4) == tb.config.legacy_features, "the header stays little-endian"
    # A status of 1 locks the setting; a reset by status keeps it.
    await tb.legacy.write(STATUS, 1, 1)
    await page.write(ENDIAN, 0, 4)
    assert await page.read(ENDIAN, 4) == BIG_SUPPORTED | 1
    await tb.legacy.write(STATUS, 7, 1)
    updates = await tb.events("driver_update")
    assert updates[-1].big_endian == 1
    await tb.legacy.write(STATUS, 0, 1)
    assert await page.read(ENDIAN, 4) == BIG_SUPPORTED | 1
    await page.write(ENDIAN, 0, 4)
    assert await page.read(ENDIAN, 4) == BIG_SUPPORTED


@case
async def every_cause_stops_the_function_until_it_is_cleared(tb):
    page, legacy = tb.control, tb.legacy
    await tb.open_gate()
    for bit in (1, 2, 3, 8):
        await legacy.write(STATUS, 7, 1)
        await start_queue(tb, 0, 0x100)
        await tb.events("notification")
        tb.resets.clear()
        if bit == 8:
            await page.write(REJECT, 1, 4)
        else:
            await tb.fault(bit)
        await tb.host.settle(60)
        assert await page.read(BADSTATE, 4) == 1 << bit
        assert await legacy.read(STATUS, 1) == 0x47
        assert await legacy.read(ISR, 1) == 2
        assert [request.cause for request in tb.resets] == [3]
        # No notification leaves and no queue interrupt is raised; a configuration interrupt is.
        await notify(tb, 0)
        assert await tb.events("notification") == []
        await tb.cause(queue=0)
        assert await legacy.read(ISR, 1) == 0
        await tb.cause(config_change=True)
        assert await legacy.read(ISR, 1) == 2
        # Cleared only while the status is zero; a reset alone does not clear it.
        await page.write(BADSTATE, 0xFFFF_FFFF, 4)
        assert await page.read(BADSTATE, 4) == 1 << bit
        await legacy.write(STATUS, 0, 1)
        assert await legacy.read(STATUS, 1) == 0
        assert await page.read(BADSTATE, 4) == 1 << bit
        await legacy.write(STATUS, 7, 1)
        assert await legacy.read(STATUS, 1) == 0x47, "still stopped at the next DRIVER_OK"
        await legacy.write(STATUS, 0, 1)
        await page.write(BADSTATE, 0, 4)
        assert await page.read(BADSTATE, 4) == 1 << bit
        await page.write(BADSTATE, 1 << bit, 4)
        assert await page.read(BADSTATE, 4) == 0
        await legacy.read(ISR, 1)
        await tb.host.settle()


@case
async def faults_with_other_causes_or_epochs_are_ignored(tb):
    page = tb.control
    await tb.legacy.write(STATUS, 7, 1)
    await tb.host.settle()
    for cause in (0, 4, 8, 15):
        await tb.fault(cause)
    await tb.fault(1, epoch=(tb.epoch + 1) % 4)
    assert await page.read(BADSTATE, 4) == 0
    assert await tb.legacy.read(STATUS, 1) == 7


@case
async def required_features_are_judged_at_driver_ok(tb):
    page, legacy = tb.control, tb.legacy
    wanted = 1 << 27
    await page.write(REQUIRED, wanted, 4)
    await legacy.write(STATUS, 3, 1)
    await legacy.write(DRIVER_FEATURES, 0, 4)
    await legacy.write(STATUS, 7, 1)
    assert await page.read(BADSTATE, 4) == BadState.POLICY
    assert await legacy.read(STATUS, 1) == 0x47
    await legacy.write(STATUS, 0, 1)
    await page.write(BADSTATE, 1, 4)
    assert await page.read(REQUIRED, 4) == wanted, "survives a reset by status"
    await legacy.write(STATUS, 3, 1)
    await legacy.write(DRIVER_FEATURES, wanted, 4)
    await legacy.write(STATUS, 7, 1)
    assert await page.read(BADSTATE, 4) == 0
    assert await legacy.read(STATUS, 1) == 7


@case
async def required_features_are_judged_at_the_first_notification(tb):
    page, legacy = tb.control, tb.legacy
    await tb.open_gate()
    await page.write(REQUIRED, 1 << 27, 4)
    await legacy.write(STATUS, 3, 1)
    await notify(tb, 0)
    assert await page.read(BADSTATE, 4) == 0, "a queue that does not run does not count"
    await start_queue(tb, 0, 0x100)
    await notify(tb, 0)
    assert await page.read(BADSTATE, 4) == BadState.POLICY
    assert await tb.events("notification") == []


@case
async def forbidden_features_are_hidden_and_not_to_be_written(tb):
    page, legacy = tb.control, tb.legacy
    hidden = 1 << 27
    await page.write(FORBIDDEN, hidden, 4)
    assert await legacy.read(DEVICE_FEATURES, 4) == tb.config.legacy_features & ~hidden
    await legacy.write(STATUS, 3, 1)
    await page.write(FORBIDDEN, 0, 4)
    assert await page.read(FORBIDDEN, 4) == hidden, "locked while the status is not zero"
    await legacy.write(DRIVER_FEATURES, tb.config.legacy_features & ~hidden, 4)
    assert await page.read(BADSTATE, 4) == 0
    await legacy.write(DRIVER_FEATURES, hidden, 4)
    assert await page.read(BADSTATE, 4) == BadState.POLICY
    assert await legacy.read(DRIVER_FEATURES, 4) == 0
    await legacy.write(STATUS, 0, 1)
    assert await page.read(FORBIDDEN, 4) == hidden


@case
async def a_closed_gate_holds_notifications_back_until_it_opens(tb):
    page = tb.control
    build = tb.config.control.gate_open
    assert await page.read(PLATFORM, 4) == 0b11 | build << 8
    await page.write(PLATFORM, 0, 4)
    assert await page.read(PLATFORM, 4) == 0b11, "what the device promises is read-only"
    await start_queue(tb, 0, 0x100)
    await tb.legacy.write(STATUS, 7, 1)
    await notify(tb, 0)
    assert await tb.events("notification") == []
    await tb.cause(config_change=True)
    assert await tb.legacy.read(ISR, 1) == 2, "configuration interrupts are never gated"
    tb.out["driver_update"].take_all()
    await page.write(PLATFORM, GATE, 4)
    assert [word.queue for word in await tb.events("notification")] == [0]
    assert [word.event for word in tb.out["driver_update"].take_all()] == [2]
    await page.write(PLATFORM + 1, 0, 1)
    await tb.host.settle()
    assert [word.event for word in tb.out["driver_update"].take_all()] == [3]
    await tb.legacy.write(STATUS, 0, 1)
    assert await page.read(PLATFORM, 4) == 0b11, "the gate survives a reset by status"


@case
async def function_reset_restores_the_page(tb):
    page = tb.control
    await page.write(REQUIRED, 0x55, 4)
    await page.write(FORBIDDEN, 1 << 27, 4)
    await page.write(PLATFORM, GATE, 4)
    await page.write(ENDIAN, 1, 4)
    await page.write(REJECT, 1, 4)
    before = await page.read(GENERATION, 4)
    await tb.host.config_write(tb.capability("express") + 8, 0x8000, 2)
    await tb.bring_up()
    page = tb.control
    assert await page.read(GENERATION, 4) == before + 1 & 0xFFFF_FFFF
    found = [await page.read(offset, 4) for offset in (ENDIAN, BADSTATE, REQUIRED, FORBIDDEN, PLATFORM)]
    big = BIG_SUPPORTED if tb.config.control.big_endian else 0
    assert found == [big, 0, 0, 0, 0b11 | tb.config.control.gate_open << 8]
    await tb.host.settle()


@case
async def nothing_of_the_page_reaches_the_guest(tb):
    needs_msix(tb)
    page = tb.control
    before = [await tb.legacy.read(offset, 4) for offset in (DEVICE_FEATURES, DRIVER_FEATURES, 0x08, 0x0C)]
    await page.write(REQUIRED, 0xFFFF_FFFF, 4)
    await page.write(PLATFORM, GATE, 4)
    after = [await tb.legacy.read(offset, 4) for offset in (DEVICE_FEATURES, DRIVER_FEATURES, 0x08, 0x0C)]
    assert after == before and await tb.legacy.read(NOTIFY, 4) == 0

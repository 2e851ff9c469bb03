"""The legacy virtio header, register by register, and the rules of byte enables that it lives by."""

from cocotb.triggers import ClockCycles
from system.legacy_driver import (
    CONFIG_VECTOR,
    DEVICE_FEATURES,
    DRIVER_FEATURES,
    ISR,
    NO_VECTOR,
    NOTIFY,
    QUEUE_ADDRESS,
    QUEUE_SELECT,
    QUEUE_SIZE,
    QUEUE_VECTOR,
    STATUS,
    assert_clean,
    assert_no_vectors,
    bytes_of,
    dirty,
    needs_configuration,
    needs_memory,
    needs_msix,
    needs_queues,
    notify,
    queue_state,
    select,
    start_queue,
)
from virtio_mmr.config.device import Space
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim.model.tlp import MemoryRequest, memory_read
from virtio_mmr_sim.testbench import case

# Features.


@case
async def device_features_read_what_is_offered_and_take_no_write(tb):
    assert await tb.legacy.read(DEVICE_FEATURES, 4) == tb.config.legacy_features
    await tb.legacy.write(DEVICE_FEATURES, tb.config.legacy_features ^ 0xFFFF_FFFF, 4)
    assert await tb.legacy.read(DEVICE_FEATURES, 4) == tb.config.legacy_features


@case
async def any_layout_is_offered_and_bit_30_is_not(tb):
    features = await tb.legacy.read(DEVICE_FEATURES, 4)
    assert features >> 27 & 1 and not features >> 30 & 1


@case
async def driver_features_keep_what_is_written_and_offered(tb):
    legacy, offered = tb.legacy, tb.config.legacy_features
    assert await legacy.read(DRIVER_FEATURES, 4) == 0
    for written in (0xFFFF_FFFF, 0, tb.rng.getrandbits(32), offered):
        await legacy.write(DRIVER_FEATURES, written, 4)
        assert await legacy.read(DRIVER_FEATURES, 4) == written & offered


@case
async def driver_features_merge_single_bytes(tb):
    legacy, stored = tb.legacy, 0
    for _ in range(12):
        lane, byte = tb.rng.randrange(4), tb.rng.getrandbits(8)
        await legacy.write(DRIVER_FEATURES + lane, byte, 1)
        stored = (stored & ~(0xFF << 8 * lane) | byte << 8 * lane) & tb.config.legacy_features
        assert await legacy.read(DRIVER_FEATURES, 4) == stored


@case
async def back_end_hears_of_features_without_the_upper_half(tb):
    await tb.legacy.write(STATUS, 3, 1)
    await tb.legacy.write(DRIVER_FEATURES, tb.config.legacy_features, 4)
    await tb.legacy.write(STATUS, 7, 1)
    updates = await tb.events("driver_update")
    assert updates and updates[-1].features == tb.config.legacy_features
    assert all(update.legacy and update.features >> 32 == 0 for update in updates)
    assert any(update.event == 0 and update.driver_ok for update in updates)


# Queues.


@case
async def page_reads_back_and_zero_means_inactive(tb):
    for queue, size in enumerate(tb.config.queues):
        assert await queue_state(tb, queue) == (0, size), "a driver refuses a queue that is in use"
        page = tb.rng.getrandbits(32) | 1
        await tb.legacy.write(QUEUE_ADDRESS, page, 4)
        assert await tb.legacy.read(QUEUE_ADDRESS, 4) == page
        await tb.legacy.write(QUEUE_ADDRESS, 0, 4)
        assert await tb.legacy.read(QUEUE_ADDRESS, 4) == 0


@case
async def sizes_are_powers_of_two_and_take_no_write(tb):
    for queue, size in enumerate(tb.config.queues):
        await select(tb, queue)
        assert await tb.legacy.read(QUEUE_SIZE, 2) == size and size & (size - 1) == 0
        await tb.legacy.write(QUEUE_SIZE, size // 2, 2)
        assert await tb.legacy.read(QUEUE_SIZE, 2) == size, "the size is not negotiable"


@case
async def queue_select_keeps_any_value(tb):
    assert await tb.legacy.read(QUEUE_SELECT, 2) == 0
    for value in (1, 0xFFFF, tb.rng.getrandbits(16), 0):
        await select(tb, value)
        assert await tb.legacy.read(QUEUE_SELECT, 2) == value


@case
async def a_queue_that_does_not_exist_reads_empty_and_takes_nothing(tb):
    count = len(tb.config.queues)
    for queue in (count, count + 1, 0x100, 0x8000, 0xFFFF):
        await start_queue(tb, queue, 0x1234)
        assert await queue_state(tb, queue) == (0, 0)
        if tb.config.msix_vectors:
            await tb.set_msix(True)
            await tb.legacy.write(QUEUE_VECTOR, 0, 2)
            assert await tb.legacy.read(QUEUE_VECTOR, 2) == NO_VECTOR
            await tb.set_msix(False)
    for queue, size in enumerate(tb.config.queues):
        assert await queue_state(tb, queue) == (0, size), "another queue was touched"
    assert await tb.events("queue_update") == []


@case
async def queues_do_not_disturb_each_other(tb):
    pages = [tb.rng.getrandbits(32) | 1 for _ in tb.config.queues]
    for queue, page in enumerate(pages):
        await start_queue(tb, queue, page)
    order = list(range(len(pages))) * 3
    tb.rng.shuffle(order)
    for queue in order:
        assert await queue_state(tb, queue) == (pages[queue], tb.config.queues[queue])


@case
async def ring_addresses_follow_from_page_and_size(tb):
    for queue, size in enumerate(tb.config.queues):
        page = tb.rng.getrandbits(32) | 1
        await start_queue(tb, queue, page)
        (update,) = await tb.events("queue_update")
        base = page << 12
        found = (update.queue, update.change, update.size, update.descriptors, update.available, update.used)
        expected = (queue, 0, size, base, base + available_ring_offset(size), base + used_ring_offset(size))
        assert found == expected
        assert update.first_available == update.first_used == 0


@case
async def page_zero_stops_only_the_selected_queue(tb):
    needs_queues(tb, 2)
    await tb.open_gate()
    for queue in range(2):
        await start_queue(tb, queue, 0x100 + queue)
    await tb.events("queue_update")
    await select(tb, 0)
    await tb.legacy.write(QUEUE_ADDRESS, 0, 4)
    (update,) = await tb.events("queue_update")
    assert (update.queue, update.change) == (0, 1)
    assert await queue_state(tb, 1) == (0x101, tb.config.queues[1])
    for queue in range(2):
        await notify(tb, queue)
    assert [word.queue for word in await tb.events("notification")] == [1]


@case
async def page_reads_zero_after_reset_and_after_function_reset(tb):
    for queue in range(len(tb.config.queues)):
        await start_queue(tb, queue, 0x4000 + queue)
    await tb.legacy.write(STATUS, 0, 1)
    for queue, size in enumerate(tb.config.queues):
        assert await queue_state(tb, queue) == (0, size)
    await start_queue(tb, 0, 0x55)
    await function_reset(tb)
    assert await queue_state(tb, 0) == (0, tb.config.queues[0])


@case
async def partial_page_writes_merge_with_the_stored_page(tb):
    await start_queue(tb, 0, 0x1122_3344)
    expected = 0x1122_3344
    for lane, byte in ((0, 0xAA), (3, 0x5C), (1, 0x00), (2, 0x77)):
        await tb.legacy.write(QUEUE_ADDRESS + lane, byte, 1)
        expected = expected & ~(0xFF << 8 * lane) | byte << 8 * lane
        assert await tb.legacy.read(QUEUE_ADDRESS, 4) == expected
    await tb.legacy.write(QUEUE_ADDRESS, 0xBEEF, 2)
    assert await tb.legacy.read(QUEUE_ADDRESS, 4) == expected & 0xFFFF_0000 | 0xBEEF


# Notifications.


@case
async def a_notification_reaches_only_the_queue_that_was_written(tb):
    await tb.open_gate()
    count = len(tb.config.queues)
    for queue in range(count):
        await start_queue(tb, queue, 0x100 + queue)
    for queue in range(count):
        await notify(tb, queue)
        words = await tb.events("notification")
        assert [(word.function, word.queue, word.legacy) for word in words] == [(0, queue, 1)]
    for queue in (count, 0x100, 0xFFFF):
        await notify(tb, queue)
    assert await tb.events("notification") == []


@case
async def a_notification_is_served_before_driver_ok(tb):
    await tb.open_gate()
    await tb.legacy.write(STATUS, 3, 1)
    await start_queue(tb, 0, 0x100)
    await notify(tb, 0)
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def notifications_of_a_queue_without_page_are_ignored(tb):
    await tb.open_gate()
    await notify(tb, 0)
    await start_queue(tb, 0, 0x100)
    assert await tb.events("notification") == []


@case
async def notifications_melt_into_one_while_the_back_end_is_slow(tb):
    await tb.open_gate()
    await start_queue(tb, 0, 0x100)
    await tb.host.settle()
    tb.out["notification"].stall = 1
    for _ in range(40):
        await notify(tb, 0)
    assert await tb.legacy.read(STATUS, 1) == 0, "writes behind the notifications are not held up"
    tb.out["notification"].stall = 0
    assert 1 <= len(await tb.events("notification")) <= 2, "one pending mark, and one on offer"


@case
async def a_notification_comes_behind_the_update_of_its_queue(tb):
    await tb.open_gate()
    await tb.host.settle()
    tb.out["queue_update"].stall = 1
    await start_queue(tb, 0, 0x100)
    await notify(tb, 0)
    assert await tb.events("notification") == [], "the back end does not know the queue yet"
    tb.out["queue_update"].stall = 0
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def a_notification_waits_for_bus_master_enable(tb):
    await tb.open_gate()
    await start_queue(tb, 0, 0x100)
    await tb.host.config_write(0x04, 0b011, 2)
    await notify(tb, 0)
    assert await tb.events("notification") == []
    await tb.host.config_write(0x04, 0b111, 2)
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def notify_registers_read_zero(tb):
    await start_queue(tb, 0, 0x100)
    await tb.open_gate()
    await notify(tb, 0)
    await tb.events("notification")
    assert await tb.legacy.read(NOTIFY, 2) == 0


@case
async def only_the_low_byte_of_notify_acts(tb):
    await tb.open_gate()
    await start_queue(tb, 0, 0x100)
    await tb.legacy.write_lanes(NOTIFY, 0, 0b0010)
    assert await tb.events("notification") == []
    await tb.legacy.write_lanes(NOTIFY, 0x0000_FF00, 0b0001)
    assert [word.queue for word in await tb.events("notification")] == [0], "the high byte counts as zero"


# Status and reset.


@case
async def status_reads_back_without_a_features_step(tb):
    for value in (1, 3, 7, 0x87, 1):
        await tb.legacy.write(STATUS, value, 1)
        assert await tb.legacy.read(STATUS, 1) == value


@case
async def needs_reset_belongs_to_the_device(tb):
    await tb.legacy.write(STATUS, 0x43, 1)
    assert await tb.legacy.read(STATUS, 1) == 0x03


@case
async def status_zero_resets_everything_but_configuration_space(tb):
    await dirty(tb)
    command = await tb.host.config_read(0x04, 2)
    bars = [await tb.host.config_read(0x10 + 4 * index) for index in range(6)]
    await tb.legacy.write(STATUS, 0, 1)
    await assert_clean(tb)
    if tb.config.msix_vectors:
        await assert_no_vectors(tb)
        assert await tb.host.config_read(tb.capability("msix") + 2, 2) >> 15 == 1
    assert await tb.host.config_read(0x04, 2) == command
    assert [await tb.host.config_read(0x10 + 4 * index) for index in range(6)] == bars
    assert [request.cause for request in tb.resets] == [0]


@case
async def reset_is_a_fence_that_waits_for_no_back_end(tb):
    tb.acknowledge = False
    await tb.open_gate()
    await tb.legacy.write(STATUS, 7, 1)
    await start_queue(tb, 0, 0x100)
    await tb.host.settle()
    tb.out["driver_update"].take_all()
    tb.out["queue_update"].take_all()
    old = tb.epoch
    await tb.legacy.write(STATUS, 0, 1)
    assert await tb.legacy.read(STATUS, 1) == 0
    await tb.host.settle()
    new = tb.epoch
    assert new == (old + 1) % 4
    # What the old epoch still says is not heard.
    await tb.cause(queue=0, epoch=old)
    await tb.cause(queue=0, epoch=new)
    await tb.fault(1, epoch=old)
    assert await tb.legacy.read(ISR, 1) == 0
    # What the driver does meanwhile is kept back, and delivered after the acknowledgement.
    await tb.legacy.write(STATUS, 7, 1)
    await start_queue(tb, 0, 0x200)
    await notify(tb, 0)
    for stream in ("driver_update", "queue_update", "notification"):
        assert await tb.events(stream) == [], f"{stream} came before the acknowledgement"
    await tb.into["reset_done"].send(function=0, epoch=old)
    assert await tb.events("notification") == [], "an acknowledgement of the old epoch opened the fence"
    await tb.into["reset_done"].send(function=0, epoch=new)
    assert [word.queue for word in await tb.events("notification")] == [0]
    assert [word.descriptors for word in tb.out["queue_update"].take_all()] == [0x200 << 12]
    assert {word.epoch for word in tb.out["driver_update"].take_all()} == {new}


@case
async def reset_directly_followed_by_acknowledge_ends_at_one(tb):
    for _ in range(5):
        await dirty(tb)
        await tb.legacy.write(STATUS, 0, 1)
        await tb.legacy.write(STATUS, 1, 1)
        assert await tb.legacy.read(STATUS, 1) == 1
        assert await tb.legacy.read(DRIVER_FEATURES, 4) == 0
        if tb.config.msix_vectors:
            await tb.set_msix(False)
        await tb.host.settle()


@case
async def status_acts_before_notify_in_one_write(tb):
    await tb.open_gate()
    await tb.legacy.write(STATUS, 7, 1)
    await start_queue(tb, 0, 0x100)
    await tb.host.settle()
    await tb.legacy.write_lanes(NOTIFY, 0x0000_0000, 0b0111)
    assert await tb.legacy.read(STATUS, 1) == 0
    assert await tb.events("notification") == [], "a reset suppresses the notification beside it"
    await start_queue(tb, 0, 0x100)
    await tb.legacy.write_lanes(NOTIFY, 0x0003_0000, 0b0111)
    assert await tb.legacy.read(STATUS, 1) == 3
    assert [word.queue for word in await tb.events("notification")] == [0]


async def function_reset(tb):
    """Initiate a function level reset and give the BARs their addresses again."""
    await tb.host.config_write(tb.capability("express") + 8, 0x8000, 2)
    await tb.bring_up()


@case
async def function_reset_clears_the_legacy_state(tb):
    await dirty(tb)
    await function_reset(tb)
    await assert_clean(tb)
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        await assert_no_vectors(tb)
    assert [request.cause for request in tb.resets] == [1]


# ISR.


@case
async def isr_reads_and_clears(tb):
    await tb.cause(queue=0)
    assert await tb.legacy.read(ISR, 1) == 1
    assert await tb.legacy.read(ISR, 1) == 0
    await tb.cause(config_change=True)
    assert await tb.legacy.read(ISR, 1) == 2
    await tb.cause(config_change=True)
    await tb.cause(queue=0)
    assert await tb.legacy.read(ISR, 1) == 3
    assert await tb.legacy.read(ISR, 1) == 0


@case
async def isr_clears_only_when_its_own_byte_is_read(tb):
    await tb.cause(queue=0)
    for enables in range(8):
        value = await tb.legacy.read_lanes(NOTIFY, enables)
        assert value >> 24 == 0
    assert await tb.legacy.read(ISR, 1) == 1


@case
async def a_dword_read_shows_status_and_isr_and_clears(tb):
    await tb.legacy.write(STATUS, 3, 1)
    await tb.cause(queue=0)
    assert await tb.legacy.read(NOTIFY, 4) == 0x0103_0000
    assert await tb.legacy.read(NOTIFY, 4) == 0x0003_0000


@case
async def a_cause_that_meets_the_read_is_not_lost(tb):
    for delay in range(24):
        await tb.cause(queue=0)
        tb.into["interrupt_cause"].put(function=0, epoch=tb.epoch, queue=0, config_change=1)
        await ClockCycles(tb.dut.clk, 1 + delay % 12)
        first = await tb.legacy.read(ISR, 1)
        await tb.host.settle(40)
        second = await tb.legacy.read(ISR, 1)
        assert first & 1 and (first | second) == 3 and not first & second, f"read {first}, then {second}"


@case
async def writes_to_isr_are_ignored(tb):
    await tb.cause(queue=0)
    for value in (0x00, 0xFF):
        await tb.legacy.write(ISR, value, 1)
    assert await tb.legacy.read(ISR, 1) == 1
    await tb.legacy.write(ISR, 0xFF, 1)
    assert await tb.legacy.read(ISR, 1) == 0


@case
async def interrupt_status_follows_isr_while_msix_is_off(tb):
    async def interrupt_status():
        return await tb.host.config_read(0x06, 2) >> 3 & 1

    await tb.open_gate()
    assert await interrupt_status() == 0
    await tb.cause(queue=0)
    assert await interrupt_status() == 1
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        assert await interrupt_status() == 0
        await tb.set_msix(False)
        assert await interrupt_status() == 1
    assert await tb.legacy.read(ISR, 1) == 1
    assert await interrupt_status() == 0


# MSI-X Enable and vectors.


@case
async def msix_enable_moves_the_configuration_and_back(tb):
    needs_msix(tb)
    needs_configuration(tb)
    first = int.from_bytes(tb.config.config_image[:4].ljust(4, b"\0"), "little")
    for enable in (False, True, False, True):
        await tb.set_msix(enable)
        assert await tb.legacy.read(0x18 if enable else 0x14, 4) == first
        if enable:
            assert await tb.legacy.read(CONFIG_VECTOR, 2) == NO_VECTOR
            assert await tb.legacy.read(QUEUE_VECTOR, 2) == NO_VECTOR


@case
async def function_mask_does_not_move_the_layout(tb):
    needs_msix(tb)
    needs_configuration(tb)
    first = tb.config.config_image[0]
    for enable in (True, False):
        await tb.set_msix(enable, mask=True)
        assert await tb.legacy.read(0x18 if enable else 0x14, 1) == first


async def check_vector(tb, offset):
    """A vector register keeps vectors of the table and makes 0xffff of the rest."""
    vectors = tb.config.msix_vectors
    for value in (*range(vectors), vectors, vectors + 1, 0x7FF, 0x8000, 0xFFFF):
        await tb.legacy.write(offset, value, 2)
        assert await tb.legacy.read(offset, 2) == (value if value < vectors else NO_VECTOR)


@case
async def config_vector_keeps_only_vectors_of_the_table(tb):
    needs_msix(tb)
    await tb.set_msix(True)
    await check_vector(tb, CONFIG_VECTOR)


@case
async def every_queue_has_a_vector_of_its_own(tb):
    needs_msix(tb)
    await tb.set_msix(True)
    expected = []
    for queue in range(len(tb.config.queues)):
        await select(tb, queue)
        await check_vector(tb, QUEUE_VECTOR)
        expected.append(queue % tb.config.msix_vectors)
        await tb.legacy.write(QUEUE_VECTOR, expected[-1], 2)
    for queue, vector in enumerate(expected):
        await select(tb, queue)
        assert await tb.legacy.read(QUEUE_VECTOR, 2) == vector


@case
async def vectors_survive_msix_enable_but_not_a_reset(tb):
    needs_msix(tb)
    await tb.set_msix(True)
    await tb.legacy.write(CONFIG_VECTOR, 0, 2)
    await tb.legacy.write(QUEUE_VECTOR, 1, 2)
    await tb.set_msix(False)
    await tb.set_msix(True)
    assert await tb.legacy.read(CONFIG_VECTOR, 4) == 1 << 16
    await tb.legacy.write(STATUS, 0, 1)
    await assert_no_vectors(tb)
    await tb.legacy.write(CONFIG_VECTOR, 0, 2)
    await function_reset(tb)
    await tb.set_msix(True)
    await assert_no_vectors(tb)


# Device configuration.


@case
async def configuration_reads_the_same_at_any_offset_and_width(tb):
    needs_configuration(tb)
    image = tb.config.config_image + bytes(8)
    size = len(tb.config.config_image)
    for width in (1, 2, 4) if tb.legacy.io else (1, 2, 4, 8):
        for offset in range(size):
            if offset + 0x14 + width > tb.legacy.size:
                continue
            found = await tb.legacy.read(0x14 + offset, width)
            assert found == int.from_bytes(image[offset : offset + width], "little"), (offset, width)


@case
async def wide_fields_read_as_two_halves_in_either_order(tb):
    needs_configuration(tb)
    image = tb.config.config_image.ljust(8, b"\0")
    low, high = (int.from_bytes(image[at : at + 4], "little") for at in (0, 4))
    for first, second in ((0, 4), (4, 0)):
        halves = {at: await tb.legacy.read(0x14 + at, 4) for at in (first, second)}
        assert halves == {0: low, 4: high}


@case
async def writable_configuration_takes_single_bytes_from_the_start(tb):
    places = bytes_of(tb, Owner.DRIVER)
    if not places:
        tb.skip("the device type has no writable configuration")
    image = bytearray(tb.config.config_image)
    for place in places:
        image[place] = tb.rng.getrandbits(8)
        await tb.legacy.write(0x14 + place, image[place], 1)
    for place, byte in enumerate(image):
        assert await tb.legacy.read(0x14 + place, 1) == byte
    heard = bytearray(tb.config.config_image)
    for word in await tb.events("config_write"):
        for lane in range(4):
            if word.strobe >> lane & 1:
                heard[word.offset + lane] = word.data >> 8 * lane & 0xFF
    assert heard == image, "the back end heard of every byte"


@case
async def configuration_write_before_anything_else_works(tb):
    places = bytes_of(tb, Owner.DRIVER)
    if not places:
        tb.skip("the device type has no writable configuration")
    await tb.legacy.write(STATUS, 0, 1)
    await tb.legacy.write(0x14 + places[0], 0xA5, 1)
    assert await tb.legacy.read(0x14 + places[0], 1) == 0xA5


@case
async def read_only_configuration_takes_no_write(tb):
    needs_configuration(tb)
    writable = bytes_of(tb, Owner.DRIVER)
    for place, byte in enumerate(tb.config.config_image):
        if place not in writable:
            await tb.legacy.write(0x14 + place, byte ^ 0xFF, 1)
            assert await tb.legacy.read(0x14 + place, 1) == byte
    assert await tb.events("config_write") == []


@case
async def configuration_stays_as_it_is_when_nothing_changes_it(tb):
    needs_configuration(tb)
    await start_queue(tb, 0, 0x100)
    await tb.legacy.write(STATUS, 7, 1)
    for _ in range(3):
        for place, byte in enumerate(tb.config.config_image):
            assert await tb.legacy.read(0x14 + place, 1) == byte


@case
async def device_window_shows_the_same_configuration(tb):
    window = tb.window(Space.DEVICE)
    needs_configuration(tb)
    for place, byte in enumerate(tb.config.config_image):
        assert await window.read(place, 1) == byte
    for place in bytes_of(tb, Owner.DRIVER):
        await window.write(place, 0x3C ^ place, 1)
        assert await tb.legacy.read(0x14 + place, 1) == 0x3C ^ place


@case
async def isr_window_shows_the_same_isr(tb):
    window = tb.window(Space.ISR)
    await tb.cause(queue=0)
    assert await window.read(0, 1) == 1
    assert await tb.legacy.read(ISR, 1) == 0
    await tb.cause(config_change=True)
    assert await tb.legacy.read(ISR, 1) == 2
    assert await window.read(0, 4) == 0


# Requests of several dwords and of none.


@case
async def dwords_of_one_write_are_applied_in_ascending_order(tb):
    needs_memory(tb)
    needs_queues(tb, 2)
    await tb.open_gate()
    for queue in range(2):
        await start_queue(tb, queue, 0x100 + queue)
    await select(tb, 0)
    await tb.events("notification")
    # Select queue 1, notify it and set the status, all in one write of 0x0c to 0x13.
    await tb.legacy.write(0x0C, 1 << 16 | 1 << 32 | 3 << 48, 8)
    assert [word.queue for word in await tb.events("notification")] == [1]
    assert await tb.legacy.read(QUEUE_SELECT, 2) == 1
    # A page written behind a select in the same request belongs to the queue selected before it.
    await tb.legacy.write(QUEUE_ADDRESS, 0x777 | 0 << 48, 8)
    assert await queue_state(tb, 1) == (0x777, tb.config.queues[1])
    assert await queue_state(tb, 0) == (0x100, tb.config.queues[0])


@case
async def an_eight_byte_read_shows_both_dwords_and_clears_isr(tb):
    needs_memory(tb)
    await tb.legacy.write(STATUS, 3, 1)
    image = int.from_bytes(tb.config.config_image[:4].ljust(4, b"\0"), "little")
    for enable in (False, True):
        if enable:
            if not tb.config.msix_vectors:
                break
            await tb.set_msix(True)
        await tb.cause(queue=0)
        second = 0xFFFF_FFFF if enable else image
        assert await tb.legacy.read(NOTIFY, 8) == second << 32 | 0x0103_0000
        assert await tb.legacy.read(ISR, 1) == 0


@case
async def a_zero_length_read_answers_and_clears_nothing(tb):
    await tb.cause(queue=0)
    assert await tb.legacy.read_lanes(NOTIFY, 0) == 0
    assert await tb.legacy.read(ISR, 1) == 1


@case
async def a_zero_length_write_does_nothing(tb):
    await tb.open_gate()
    await start_queue(tb, 0, 0x100)
    await tb.legacy.write(STATUS, 3, 1)
    for offset in (DRIVER_FEATURES, QUEUE_ADDRESS, QUEUE_SIZE, NOTIFY):
        await tb.legacy.write_lanes(offset, 0, 0)
    assert await tb.events("notification") == []
    assert await tb.legacy.read(STATUS, 1) == 3
    assert await tb.legacy.read(QUEUE_ADDRESS, 4) == 0x100


@case
async def unaligned_debug_reads_show_the_right_bytes(tb):
    needs_memory(tb)
    legacy = tb.legacy
    await legacy.write(STATUS, 3, 1)
    image = int.from_bytes(tb.config.config_image[:4].ljust(4, b"\0"), "little")
    await tb.cause(queue=0)
    whole = (await legacy.read(QUEUE_SIZE, 4)) | 0x0003_0000 << 32 | image << 64
    for offset in (14, 18, 19):
        clears = offset <= ISR < offset + 4
        if clears:
            await tb.cause(queue=0)
        expected = whole >> 8 * (offset - 12) & 0xFFFF_FFFF
        if clears:
            expected |= 1 << 8 * (ISR - offset)
        answer = await tb.host.request(memory_read(legacy.address + offset, 4))
        lane = offset & 3
        found = (answer.payload[0] | answer.payload[1] << 32) >> 8 * lane & 0xFFFF_FFFF
        assert found == expected, f"offset {offset}: {found:#x}, expected {expected:#x}"
        assert await legacy.read(ISR, 1) == (0 if clears else 1)
        await tb.cause(queue=0)


@case
async def a_steered_read_counts_as_all_enabled(tb):
    needs_memory(tb)
    await tb.legacy.write(STATUS, 3, 1)
    await tb.cause(queue=0)
    # The byte-enable fields of a read with a processing hint carry a steering tag.
    request = MemoryRequest(address=tb.legacy.address + NOTIFY, hint=True, first_be=0b0100, last_be=0b1010)
    answer = await tb.host.request(request)
    assert answer.data == 0x0103_0000
    assert await tb.legacy.read(ISR, 1) == 0


# Faults.


@case
async def a_ring_error_asks_for_a_reset_and_raises_a_configuration_interrupt(tb):
    await tb.legacy.write(STATUS, 7, 1)
    await tb.host.settle()
    await tb.fault(3)
    await tb.host.settle()
    assert await tb.legacy.read(STATUS, 1) == 0x47
    assert await tb.legacy.read(ISR, 1) & 2
    await tb.legacy.write(STATUS, 0, 1)
    assert await tb.legacy.read(STATUS, 1) == 0

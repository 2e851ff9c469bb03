"""The modern interface: its structures, its registers, and its agreement with the legacy window."""

from system import legacy_driver as legacy
from system.modern_driver import (
    ADMIN_INDEX,
    CONFIG_VECTOR,
    DEVICE_FEATURE,
    DEVICE_FEATURE_SELECT,
    DRIVER_FEATURE,
    DRIVER_FEATURE_SELECT,
    GENERATION,
    NOTIFY_DATA,
    NUM_QUEUES,
    QUEUE_DESC,
    QUEUE_DEVICE,
    QUEUE_DRIVER,
    QUEUE_ENABLE,
    QUEUE_RESET,
    QUEUE_SELECT,
    QUEUE_SIZE,
    QUEUE_VECTOR,
    STATUS,
    VERSION_1,
    accept,
    agree,
    common,
    needs_feature,
    notify,
    notify_address,
    place_queue,
    select,
    start_queue,
)
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim.model.driver import SetMsix
from virtio_mmr_sim.model.modern_driver import Get, LinuxModern, ModernPlan, Put
from virtio_mmr_sim.testbench import COMMAND, case

# Structures in configuration space.


async def structures(tb):
    """The virtio capabilities as a driver finds them: by type, (cap_len, bar, offset, length, multiplier)."""
    common(tb)
    # Skips where the hard IP leaves no room for them.
    tb.capability("modern_common")
    read, found = tb.host.config_read, {}
    at = await read(0x34, 1)
    while at:
        if await read(at, 1) == 9:
            size, kind = await read(at + 2, 1), await read(at + 3, 1)
            multiplier = await read(at + 16) if kind == 2 else None
            found.setdefault(kind, (size, await read(at + 4, 1), await read(at + 8), await read(at + 12), multiplier))
        at = await read(at + 1, 1)
    return found


@case
async def structures_are_announced_and_lie_in_their_bars(tb):
    found = await structures(tb)
    assert {1, 2, 3} <= found.keys()
    # The window into BARs needs an endpoint that owns its configuration space.
    assert tb.config.datapath.hard_ip.owns_header or found[5][0] == 20
    assert (4 in found) == bool(tb.config.config_image)
    bars = {bar.index: bar for bar in tb.config.bars}
    for kind, (size, index, offset, length, _) in found.items():
        if kind in (1, 2, 3, 4):
            assert size == (20 if kind == 2 else 16)
            assert bars[index].kind is not BarKind.IO and offset + length <= bars[index].decoded_size
    assert found[1][2] % 4 == 0 and found[1][3] >= 56
    assert found[2][2] % 4 == 0
    if 4 in found:
        assert found[4][2] % 4 == 0 and found[4][3] >= len(tb.config.config_image)


@case
async def every_queue_has_its_place_in_the_notification_region(tb):
    (_, _, _, length, multiplier) = (await structures(tb))[2]
    assert multiplier == 0 or (multiplier >= 4 and multiplier & (multiplier - 1) == 0)
    for queue in range(len(tb.config.queues)):
        assert await notify_address(tb, queue) + 4 <= length


@case
async def reading_the_structures_changes_nothing(tb):
    common(tb)
    await tb.cause(config_change=True)
    await structures(tb)
    for offset in range(0x40, 0x100, 4):
        await tb.host.config_read(offset)
    assert await tb.window(Space.ISR).read(0, 1) == 2


# The window in configuration space.


async def aim(tb, space, offset, length):
    """Point the access window at a register."""
    at, (bar, region) = tb.capability("modern_access"), tb.config.find(space)
    await tb.host.config_write(at + 4, bar.index, 1)
    await tb.host.config_write(at + 8, region.offset + offset)
    await tb.host.config_write(at + 12, length)
    return at + 16


@case
async def the_window_in_configuration_space_reads_and_writes_registers(tb):
    window = common(tb)
    data = await aim(tb, Space.COMMON, STATUS, 1)
    await tb.host.config_write(data, 3, 1)
    assert await window.read(STATUS, 1) == 3 and await tb.host.config_read(data) == 3
    last = len(tb.config.queues) - 1
    data = await aim(tb, Space.COMMON, QUEUE_SELECT, 2)
    await tb.host.config_write(data, last, 2)
    assert await window.read(QUEUE_SELECT, 2) == last
    data = await aim(tb, Space.COMMON, QUEUE_SIZE, 2)
    assert await tb.host.config_read(data) == tb.config.queues[last]
    data = await aim(tb, Space.COMMON, DRIVER_FEATURE_SELECT, 4)
    await tb.host.config_write(data, 0x1234_5678, 4)
    assert await window.read(DRIVER_FEATURE_SELECT, 4) == 0x1234_5678 == await tb.host.config_read(data)
    await tb.cause(queue=0)
    data = await aim(tb, Space.LEGACY, legacy.STATUS, 1)
    assert await tb.host.config_read(data) == 3
    data = await aim(tb, Space.ISR, 0, 1)
    assert await tb.host.config_read(data, 1) == 1
    assert await tb.window(Space.ISR).read(0, 1) == 0
    # It is meant for BARs that nobody has mapped.
    await tb.host.config_write(COMMAND, 0, 2)
    assert await tb.host.config_read(await aim(tb, Space.COMMON, NUM_QUEUES, 2)) == len(tb.config.queues)
    await tb.host.config_write(COMMAND, 0b111, 2)


@case
async def a_notification_through_the_window_counts(tb):
    await agree(tb)
    await start_queue(tb, 0)
    await common(tb).write(STATUS, 0x0F, 1)
    await tb.host.config_write(await aim(tb, Space.NOTIFY, 0, 2), 0, 2)
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def senseless_settings_of_the_window_access_nothing(tb):
    common(tb)
    data = tb.capability("modern_access") + 16
    bar, region = tb.config.find(Space.ISR)
    await tb.cause(queue=0)
    holes = tb.counter("hole")
    unused = next(index for index in range(6) if index not in {bar.index for bar in tb.config.bars})
    for index, offset, length in (
        (bar.index, region.offset, 0), (bar.index, region.offset, 3), (bar.index, region.offset, 8),
        (bar.index, region.offset, 0x101), (bar.index, region.offset + 1, 2), (bar.index, region.offset + 2, 4),
        (unused, region.offset, 1), (6, region.offset, 1), (0xFF, region.offset, 4),
        (bar.index, bar.decoded_size + region.offset, 1), (bar.index, region.offset | 1 << 31, 1),
    ):
        await tb.host.config_write(data - 12, index, 1)
        await tb.host.config_write(data - 8, offset)
        await tb.host.config_write(data - 4, length)
        assert await tb.host.config_read(data) == 0
        await tb.host.config_write(data, 0xFFFF_FFFF)
        await tb.host.config_write(data, 0, 1)
    assert await tb.window(Space.ISR).read(0, 1) == 1 and tb.counter("hole") == holes


# Features.


async def offered(tb):
    """Both words of offered features."""
    words = []
    for word in (0, 1):
        await common(tb).write(DEVICE_FEATURE_SELECT, word, 4)
        words.append(await common(tb).read(DEVICE_FEATURE, 4))
    return words[0] | words[1] << 32


@case
async def offered_features_leave_out_what_is_legacy_alone(tb):
    assert await offered(tb) == tb.config.modern_features
    assert tb.config.modern_features & VERSION_1 and not tb.config.modern_features >> 27 & 1
    for word in (2, 3, 0x8000_0000, 0xFFFF_FFFF):
        await common(tb).write(DEVICE_FEATURE_SELECT, word, 4)
        assert await common(tb).read(DEVICE_FEATURE, 4) == 0
        assert await common(tb).read(DEVICE_FEATURE_SELECT, 4) == word


@case
async def sr_iov_is_offered_with_the_capability_and_not_without(tb):
    at, found = 0x100, []
    while at:
        header = await tb.host.config_read(at, 4)
        found.append(header & 0xFFFF)
        at = header >> 20
    assert (await offered(tb) >> TransportFeature.SR_IOV & 1) == (0x0010 in found)


@case
async def a_device_that_is_hardware_says_so(tb):
    features = await offered(tb)
    assert features >> TransportFeature.ACCESS_PLATFORM & 1 and features >> TransportFeature.ORDER_PLATFORM & 1


@case
async def accepted_features_keep_what_is_written_and_offered(tb):
    window = common(tb)
    for word in (0, 1):
        await window.write(DRIVER_FEATURE_SELECT, word, 4)
        for written in (0xFFFF_FFFF, 0, tb.rng.getrandbits(32), 0xFFFF_FFFF):
            await window.write(DRIVER_FEATURE, written, 4)
            expected = written & tb.config.modern_features >> 32 * word
            assert await window.read(DRIVER_FEATURE, 4) == expected
    await window.write(DRIVER_FEATURE_SELECT, 2, 4)
    await window.write(DRIVER_FEATURE, 0xFFFF_FFFF, 4)
    assert await window.read(DRIVER_FEATURE, 4) == 0
    assert await tb.legacy.read(legacy.DRIVER_FEATURES, 4) == tb.config.modern_features & 0xFFFF_FFFF


@case
async def features_that_cannot_be_are_not_agreed_to(tb):
    window, all_ = common(tb), tb.config.modern_features
    never = next(bit for bit in (34, 63, 30) if not all_ >> bit & 1)
    for features, agreed in (
        (all_, True), (VERSION_1, True), (all_ & ~VERSION_1, False), (0, False), (all_ | 1 << never, False),
        (all_ | 1 << 27, False),
    ):
        await agree(tb, features)
        assert await window.read(STATUS, 1) == (0x0B if agreed else 0x03)
        await window.write(DRIVER_FEATURE_SELECT, 1, 4)
        await window.write(DRIVER_FEATURE, 0, 4)
        assert (await window.read(DRIVER_FEATURE, 4) != 0) == agreed, "features stand still once agreed"
    await agree(tb, all_ | 1 << never)
    await accept(tb, all_)
    await window.write(STATUS, 0x0B, 1)
    assert await window.read(STATUS, 1) == 0x0B, "a second try may succeed"


# Status, queues.


@case
async def status_zero_resets_everything(tb):
    window = common(tb)
    await agree(tb)
    for queue in range(len(tb.config.queues)):
        await start_queue(tb, queue)
    await window.write(DEVICE_FEATURE_SELECT, 1, 4)
    if tb.config.msix_vectors:
        await window.write(CONFIG_VECTOR, 0, 2)
        await window.write(QUEUE_VECTOR, 0, 2)
    await window.write(STATUS, 0x0F, 1)
    await tb.cause(queue=0)
    await window.write(STATUS, 0, 1)
    assert await window.read(STATUS, 1) == 0
    for offset in (DEVICE_FEATURE_SELECT, DRIVER_FEATURE_SELECT, DRIVER_FEATURE):
        assert await window.read(offset, 4) == 0
    assert await window.read(CONFIG_VECTOR, 2) == 0xFFFF and await window.read(QUEUE_SELECT, 2) == 0
    assert await tb.window(Space.ISR).read(0, 1) == 0
    for queue, size in enumerate(tb.config.queues):
        await select(tb, queue)
        assert await window.read(QUEUE_SIZE, 4) == 0xFFFF << 16 | size
        assert await window.read(QUEUE_ENABLE, 2) == 0
        for register in (QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE):
            assert await window.read(register, 8) == 0


@case
async def a_queue_is_enabled_by_one_and_by_nothing_else(tb):
    window = common(tb)
    for value, enabled in ((0, 0), (2, 0), (0x101, 0), (1, 1), (0, 1), (2, 1)):
        await window.write(QUEUE_ENABLE, value, 2)
        assert await window.read(QUEUE_ENABLE, 2) == enabled
    await select(tb, len(tb.config.queues))
    await window.write(QUEUE_ENABLE, 1, 2)
    assert await window.read(QUEUE_ENABLE, 2) == 0


@case
async def sizes_are_powers_of_two_and_may_shrink(tb):
    window = common(tb)
    for queue, most in enumerate(tb.config.queues):
        await select(tb, queue)
        size = await window.read(QUEUE_SIZE, 2)
        assert size == most
        for written in (most // 2 or 1, 0, most * 2 & 0xFFFF, most // 2 + 1, 1, most):
            await window.write(QUEUE_SIZE, written, 2)
            if 0 < written <= most and written & (written - 1) == 0:
                size = written
            assert await window.read(QUEUE_SIZE, 2) == size
            assert await tb.legacy.read(legacy.QUEUE_SIZE, 2) == size
    for queue in (len(tb.config.queues), 0x100, 0xFFFF):
        await select(tb, queue)
        await window.write(QUEUE_SIZE, 8, 2)
        assert await window.read(QUEUE_SIZE, 2) == 0


@case
async def addresses_are_written_in_halves_and_read_at_any_width(tb):
    window, placed = common(tb), []
    for queue in range(len(tb.config.queues)):
        placed.append(await place_queue(tb, queue))
    for queue, areas in enumerate(placed):
        await select(tb, queue)
        for register, area in zip((QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE), areas, strict=True):
            assert await window.read(register, 8) == area
            assert await window.read(register, 4) | await window.read(register + 4, 4) << 32 == area


@case
async def the_back_end_hears_size_and_addresses_of_an_enabled_queue(tb):
    for queue, most in enumerate(tb.config.queues):
        await select(tb, queue)
        await common(tb).write(QUEUE_SIZE, most // 2 or 1, 2)
        areas = await start_queue(tb, queue)
        (word,) = await tb.events("queue_update")
        found = (word.queue, word.change, word.size, word.descriptors, word.available, word.used)
        assert found == (queue, 0, most // 2 or 1, *areas)


@case
async def an_enabled_queue_keeps_size_and_addresses(tb):
    window = common(tb)
    areas = await start_queue(tb, 0)
    await window.write(QUEUE_SIZE, 1, 2)
    for register in (QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE):
        await window.write(register, 0x1234, 4)
    assert await window.read(QUEUE_SIZE, 2) == tb.config.queues[0]
    for register, area in zip((QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE), areas, strict=True):
        assert await window.read(register, 8) == area


@case
async def there_are_as_many_queues_as_it_says_and_no_administration_queue(tb):
    window = common(tb)
    assert await window.read(NUM_QUEUES, 2) == len(tb.config.queues)
    assert await window.read(ADMIN_INDEX, 4) == 0
    for queue in range(len(tb.config.queues) + 2):
        await select(tb, queue)
        assert (await window.read(QUEUE_SIZE, 2) != 0) == (queue < len(tb.config.queues))


@case
async def a_queue_reset_lasts_until_the_back_end_lets_go(tb):
    needs_feature(tb, TransportFeature.RING_RESET)
    window, last = common(tb), len(tb.config.queues) - 1
    await agree(tb)
    for queue in {0, last}:
        await start_queue(tb, queue)
    await window.write(STATUS, 0x0F, 1)
    await tb.events("queue_update")
    await select(tb, last)
    await window.write(QUEUE_RESET, 1, 2)
    await notify(tb, last)
    (word,) = await tb.events("queue_update")
    assert (word.queue, word.change) == (last, 2)
    for _ in range(5):
        assert await window.read(QUEUE_RESET, 2) == 1
    await tb.into["queue_quiet"].send(function=0, queue=last)
    while await window.read(QUEUE_RESET, 2):
        pass
    assert await window.read(QUEUE_ENABLE, 2) == 0
    assert await window.read(QUEUE_SIZE, 4) == 0xFFFF << 16 | tb.config.queues[last]
    assert await window.read(QUEUE_DESC, 8) == 0
    assert await tb.events("notification") == []
    if last:
        await select(tb, 0)
        assert await window.read(QUEUE_ENABLE, 2) == 1, "another queue was reset"
    await start_queue(tb, last)
    assert [word.change for word in await tb.events("queue_update")] == [0]
    await notify(tb, last)
    assert [word.queue for word in await tb.events("notification")] == [last]


@case
async def a_queue_is_not_reset_without_the_feature(tb):
    window = common(tb)
    await agree(tb, tb.config.modern_features & ~(1 << TransportFeature.RING_RESET))
    await start_queue(tb, 0)
    await window.write(QUEUE_RESET, 1, 2)
    assert await window.read(QUEUE_RESET, 2) == 0 and await window.read(QUEUE_ENABLE, 2) == 1
    assert [word.change for word in await tb.events("queue_update")] == [0]


# Notifications.


@case
async def a_notification_reaches_its_queue_alone(tb):
    await agree(tb)
    for queue in range(len(tb.config.queues)):
        await start_queue(tb, queue)
    await common(tb).write(STATUS, 0x0F, 1)
    has_data = tb.config.features >> TransportFeature.NOTIFICATION_DATA & 1
    for queue in range(len(tb.config.queues)):
        await notify(tb, queue)
        assert [(word.queue, word.extra) for word in await tb.events("notification")] == [(queue, 0)]
        await notify(tb, queue, 0xA5C3)
        (word,) = await tb.events("notification")
        assert (word.queue, word.extra, word.legacy) == (queue, 0xA5C3 * has_data, 0)


@case
async def what_is_no_notification_address_notifies_nobody(tb):
    await agree(tb)
    _, region = tb.config.find(Space.NOTIFY)
    for queue in range(len(tb.config.queues)):
        await start_queue(tb, queue)
    await common(tb).write(STATUS, 0x0F, 1)
    window, stride = tb.window(Space.NOTIFY), region.stride
    behind = (len(tb.config.queues) or 1) * stride if stride else 4
    if behind + 4 <= region.size:
        await window.write(behind, 0, 4)
    await window.write_lanes(0, 0, 0b1110)
    if stride > 4:
        await window.write(4, 0, 4)
    assert await tb.events("notification") == []
    assert await window.read(0, 4) == 0


@case
async def both_notification_registers_have_one_effect(tb):
    await agree(tb)
    await start_queue(tb, 0)
    await common(tb).write(STATUS, 0x0F, 1)
    await tb.host.config_write(COMMAND, 0b011, 2)
    await notify(tb, 0)
    await tb.legacy.write(legacy.NOTIFY, 0, 2)
    await tb.host.config_write(COMMAND, 0b111, 2)
    assert [word.queue for word in await tb.events("notification")] == [0], "two before it was heard are one"
    await tb.legacy.write(legacy.NOTIFY, 0, 2)
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def notification_data_says_which_value_to_write(tb):
    needs_feature(tb, TransportFeature.NOTIF_CONFIG_DATA)
    for queue in range(len(tb.config.queues)):
        await agree(tb)
        await select(tb, queue)
        assert await common(tb).read(NOTIFY_DATA, 2) == queue
        await agree(tb, VERSION_1)
        await select(tb, queue)
        assert await common(tb).read(NOTIFY_DATA, 2) == 0


@case
async def a_modern_queue_waits_for_driver_ok(tb):
    await agree(tb)
    await start_queue(tb, 0)
    await notify(tb, 0)
    await tb.cause(queue=0)
    assert await tb.events("notification", 1000) == []
    assert await tb.window(Space.ISR).read(0, 1) == 0
    await tb.host.silence(1000)
    await common(tb).write(STATUS, 0x0F, 1)
    assert [word.queue for word in await tb.events("notification")] == [0]
    await tb.cause(queue=0)
    assert await tb.window(Space.ISR).read(0, 1) == 1


@case
async def a_legacy_queue_does_not_wait_in_the_same_device(tb):
    common(tb)
    await tb.open_gate()
    await legacy.start_queue(tb, 0, 0x100)
    await legacy.notify(tb, 0)
    assert [(word.queue, word.legacy) for word in await tb.events("notification")] == [(0, 1)]
    await tb.cause(queue=0)
    assert await tb.window(Space.ISR).read(0, 1) == 1


# Configuration.


@case
async def generation_differs_once_a_change_was_read(tb):
    device, window = tb.window(Space.DEVICE), common(tb)
    legacy.needs_configuration(tb)
    for reader in (device.read(0, 4), tb.legacy.read(0x14, 1)):
        before = await window.read(GENERATION, 1)
        await tb.into["config_update"].send(function=0, offset=0, data=0, strobe=0xF, last=1)
        await tb.host.settle()
        assert await window.read(GENERATION, 1) == before, "nobody has read the change"
        await reader
        assert await window.read(GENERATION, 1) == (before + 1) % 256
        await device.read(0, 4)
        assert await window.read(GENERATION, 1) == (before + 1) % 256


@case
async def generation_counts_what_a_driver_writes_too(tb):
    device, window = tb.window(Space.DEVICE), common(tb)
    places = legacy.bytes_of(tb, Owner.DRIVER)
    if not places:
        tb.skip("the driver can write nothing")
    before = await window.read(GENERATION, 1)
    await device.write(places[0], 0x55, 1)
    assert await device.read(places[0], 1) == 0x55
    assert await window.read(GENERATION, 1) == before + 1


@case
async def configuration_is_the_same_little_endian_bytes_in_both_windows(tb):
    device = tb.window(Space.DEVICE)
    common(tb)
    legacy.needs_configuration(tb)
    image = tb.config.config_image
    for width in (1, 2, 4):
        for at in range(0, len(image) - width + 1, width):
            value = int.from_bytes(image[at:at + width], "little")
            assert await device.read(at, width) == await tb.legacy.read(0x14 + at, width) == value


@case
async def interrupt_status_is_one_byte_for_both(tb):
    common(tb)
    isr = tb.window(Space.ISR)
    for config_change in (False, True):
        await tb.cause(config_change=config_change)
        assert await isr.read(0, 1) == 1 + config_change and await tb.legacy.read(legacy.ISR, 1) == 0
        await tb.cause(config_change=config_change)
        assert await tb.legacy.read(legacy.ISR, 1) == 1 + config_change and await isr.read(0, 1) == 0


# One state.


@case
async def both_windows_show_what_either_wrote(tb):
    window = common(tb)
    await window.write(STATUS, 3, 1)
    assert await tb.legacy.read(legacy.STATUS, 1) == 3
    await tb.legacy.write(legacy.STATUS, 1, 1)
    assert await window.read(STATUS, 1) == 1
    last = len(tb.config.queues) - 1
    await legacy.select(tb, last)
    assert await window.read(QUEUE_SELECT, 2) == last
    page, size = tb.rng.getrandbits(32) | 1, tb.config.queues[last]
    await tb.legacy.write(legacy.QUEUE_ADDRESS, page, 4)
    base = page << 12
    assert await window.read(QUEUE_ENABLE, 2) == 1
    assert await window.read(QUEUE_DESC, 8) == base
    assert await window.read(QUEUE_DRIVER, 8) == base + available_ring_offset(size)
    assert await window.read(QUEUE_DEVICE, 8) == base + used_ring_offset(size)
    await tb.legacy.write(legacy.QUEUE_ADDRESS, 0, 4)
    assert await window.read(QUEUE_ENABLE, 2) == 0
    areas = await start_queue(tb, 0)
    assert await tb.legacy.read(legacy.QUEUE_ADDRESS, 4) == areas[0] >> 12 & 0xFFFF_FFFF
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        await window.write(CONFIG_VECTOR, 0, 2)
        await tb.legacy.write(legacy.QUEUE_VECTOR, tb.config.msix_vectors - 1, 2)
        assert await tb.legacy.read(legacy.CONFIG_VECTOR, 2) == 0
        assert await window.read(QUEUE_VECTOR, 2) == tb.config.msix_vectors - 1
        await window.write(QUEUE_VECTOR, tb.config.msix_vectors, 2)
        assert await tb.legacy.read(legacy.QUEUE_VECTOR, 2) == 0xFFFF


@case
async def legacy_rings_follow_the_size_that_a_modern_driver_chose(tb):
    window = common(tb)
    for queue, most in enumerate(tb.config.queues):
        await select(tb, queue)
        size = most // 4 or 1
        await window.write(QUEUE_SIZE, size, 2)
        await tb.legacy.write(legacy.QUEUE_ADDRESS, 0x1000, 4)
        (word,) = await tb.events("queue_update")
        base = 0x100_0000
        assert (word.size, word.descriptors) == (size, base)
        assert (word.available, word.used) == (base + available_ring_offset(size), base + used_ring_offset(size))


@case
async def the_back_end_hears_which_kind_of_driver_it_is(tb):
    await agree(tb)
    await common(tb).write(STATUS, 0x0F, 1)
    updates = await tb.events("driver_update")
    assert updates[-1].features == tb.config.modern_features and not updates[-1].legacy and updates[-1].driver_ok
    await tb.legacy.write(legacy.STATUS, 0, 1)
    await tb.legacy.write(legacy.DRIVER_FEATURES, tb.config.legacy_features, 4)
    await tb.legacy.write(legacy.STATUS, 7, 1)
    updates = await tb.events("driver_update")
    assert updates[-1].features == tb.config.legacy_features and updates[-1].legacy


@case
async def legacy_features_end_what_a_modern_driver_began(tb):
    window = common(tb)
    await accept(tb, tb.config.modern_features)
    await tb.legacy.write(legacy.DRIVER_FEATURES, 0, 4)
    assert await window.read(DRIVER_FEATURE, 4) == 0, "word 1 is still selected"


# A driver's life.


async def play(tb, script):
    """Run a modern driver's script."""

    async def perform(operation):
        match operation:
            case Get(space, offset, width):
                return await tb.window(space).read(offset, width)
            case Put(space, offset, width, value):
                await tb.window(space).write(offset, value, width)
            case SetMsix(enable):
                await tb.set_msix(enable)
        return 0

    return await tb.host.play(script, perform)


@case
async def linux_brings_the_device_up_resets_a_queue_and_lets_go(tb):
    config = tb.config
    common(tb)
    await tb.open_gate()
    vectors = config.msix_vectors if config.msix_vectors > 1 else 0
    areas = [tuple(tb.rng.getrandbits(64) & ~0xFFF for _ in range(3)) for _ in config.queues]
    plan = ModernPlan(kind=config.kind, areas=areas, vectors=vectors, most_entries=64,
                      multiplier=config.find(Space.NOTIFY)[1].stride)
    for _ in range(2):
        for stream in ("queue_update", "notification", "driver_update"):
            await tb.events(stream, 20)
        driver = LinuxModern(plan)
        bound = await play(tb, driver.probe())
        assert bound.features == config.modern_features
        for field in config.kind.config:
            if field.name in bound.config:
                assert bound.config[field.name] == config.config_image[field.offset:field.offset + field.size]
        updates = {word.queue: word for word in await tb.events("queue_update")}
        for queue, most in enumerate(config.queues):
            word = updates[queue]
            assert (word.change, word.size) == (0, min(most, 64))
            assert (word.descriptors, word.available, word.used) == areas[queue]
            await play(tb, driver.notify(queue, 7))
            assert [word.queue for word in await tb.events("notification", 40)] == [queue]
        if config.features >> TransportFeature.RING_RESET & 1:
            # The back end lets go ahead of time is no answer; this one waits to be asked.
            await play(tb, driver.select(0))
            await common(tb).write(QUEUE_RESET, 1, 2)
            assert [word.change for word in await tb.events("queue_update")] == [2]
            await tb.into["queue_quiet"].send(function=0, queue=0)
            await play(tb, driver.reset_queue(0))
            await play(tb, driver.activate(0))
            await play(tb, driver.enable(0))
            assert [word.change for word in await tb.events("queue_update")] == [0]
        await tb.cause(queue=0)
        assert await play(tb, driver.interrupt()) == 1
        await play(tb, driver.remove())
        await tb.events("notification")
        assert await common(tb).read(STATUS, 1) == 0

"""The golden model against the rules for legacy registers, one test or more a rule (LEG-…)."""

import pytest
from model_devices import BASE, DEVICE, IO_BASE, ISR, Host, block, console, entropy, net
from virtio_mmr_sim.model.events import DriverEvent, QueueChange, ResetCause
from virtio_mmr_sim.model.tlp import IoRequest, MemoryRequest, build

FEATURES, ACCEPTED, PAGE, SIZE, SELECT = 0x00, 0x04, 0x08, 0x0C, 0x0E
NOTIFY, STATUS, ISR_BYTE = 0x10, 0x12, 0x13
CONFIG_VECTOR, QUEUE_VECTOR = 0x14, 0x16
MAC = bytes.fromhex("525400123456")


@pytest.fixture
def host() -> Host:
    return Host(net())


def read_lanes(host: Host, offset: int, lanes: int) -> int:
    """One dword with any byte enables."""
    [completion] = host.send(MemoryRequest(address=BASE + offset, first_be=lanes))
    return completion[3]


def write_lanes(host: Host, offset: int, lanes: int, data: int) -> None:
    host.send(MemoryRequest(write=True, address=BASE + offset, first_be=lanes, payload=(data,)))


def select(host: Host, queue: int) -> None:
    host.write(SELECT, 2, queue)


def notifications(host: Host) -> list[int]:
    return [fields["queue"] for stream, fields in host.model.drain() if stream == "notification"]


def test_leg_01_device_features_read_what_is_offered_and_cannot_be_written(host: Host) -> None:
    host.write(FEATURES, 4, 0)
    assert host.read(FEATURES, 4) == net().features


def test_leg_02_any_layout_is_offered_and_bit_30_is_not(host: Host) -> None:
    assert host.read(FEATURES, 4) >> 27 & 1 == 1
    assert host.read(FEATURES, 4) >> 30 & 1 == 0


def test_leg_03_driver_features_keep_what_is_offered_until_reset(host: Host) -> None:
    assert host.read(ACCEPTED, 4) == 0
    host.write(ACCEPTED, 4, 0xFFFF_FFFF)
    assert host.read(ACCEPTED, 4) == net().features
    host.write(STATUS, 1, 0)
    assert host.read(ACCEPTED, 4) == 0


def test_driver_features_stand_still_while_features_ok_is_set(host: Host) -> None:
    host.write(ACCEPTED, 4, 1 << 5)
    host.write(STATUS, 1, 0x0B)
    host.write(ACCEPTED, 4, 1 << 16)
    assert host.read(ACCEPTED, 4) == 1 << 5


def test_leg_04_page_reads_back_and_zero_means_inactive(host: Host) -> None:
    assert host.read(PAGE, 4) == 0
    host.write(PAGE, 4, 0x12345)
    assert host.read(PAGE, 4) == 0x12345
    host.write(PAGE, 4, 0)
    assert host.read(PAGE, 4) == 0


def test_leg_05_06_queue_size_is_constant(host: Host) -> None:
    host.write(SIZE, 2, 64)
    assert host.read(SIZE, 2) == 128
    select(host, 1)
    assert host.read(SIZE, 2) == 256
    assert host.read(SELECT, 2) == 1


@pytest.mark.parametrize("index", [2, 3, 0x100, 0xFFFF])
def test_leg_08_queues_that_do_not_exist_show_nothing_and_take_nothing(host: Host, index: int) -> None:
    host.msix(True)
    select(host, index)
    host.write(PAGE, 4, 7)
    host.write(QUEUE_VECTOR, 2, 0)
    assert (host.read(SELECT, 2), host.read(SIZE, 2), host.read(PAGE, 4)) == (index, 0, 0)
    assert host.read(QUEUE_VECTOR, 2) == 0xFFFF
    assert host.model.drain() == []


def test_leg_09_notify_names_one_queue(host: Host) -> None:
    for queue in range(2):
        select(host, queue)
        host.write(PAGE, 4, 1 + queue)
    host.model.drain()
    host.write(NOTIFY, 2, 1)
    assert host.model.drain() == [
        ("notification", {"function": 0, "queue": 1, "row": 1, "extra": 0, "legacy": 1})]


def test_notify_of_a_queue_that_is_not_set_up_is_ignored(host: Host) -> None:
    host.write(NOTIFY, 2, 0)
    host.write(PAGE, 4, 1)
    host.write(NOTIFY, 2, 2)
    assert notifications(host) == []


def test_leg_10_notify_before_driver_ok_is_served(host: Host) -> None:
    host.write(PAGE, 4, 1)
    host.write(NOTIFY, 2, 0)
    host.write(STATUS, 1, 3)
    assert notifications(host) == [0]


def test_leg_11_status_reads_what_is_written_without_features_ok(host: Host) -> None:
    for value in (1, 3, 7, 0x87):
        host.write(STATUS, 1, value)
        assert host.read(STATUS, 1) == value


def test_needs_reset_belongs_to_the_device(host: Host) -> None:
    host.write(STATUS, 1, 0x47)
    assert host.read(STATUS, 1) == 7


def test_leg_12_status_zero_resets_the_function_but_not_its_configuration(host: Host) -> None:
    host.msix(True)
    before = host.config_read(0x10), host.config_read(0x04), host.config_read(0x48)
    host.write(STATUS, 1, 7)
    host.write(ACCEPTED, 4, 0xFFFF_FFFF)
    host.write(CONFIG_VECTOR, 2, 1)
    for queue in range(2):
        select(host, queue)
        host.write(PAGE, 4, 5)
        host.write(QUEUE_VECTOR, 2, 2)
    host.interrupt()
    host.write(0x18, 1, 0xAA)

    host.write(STATUS, 1, 0)

    assert host.read(STATUS, 1) == host.read(ISR_BYTE, 1) == 0
    assert host.read(ACCEPTED, 4) == host.read(SELECT, 2) == 0
    assert host.read(CONFIG_VECTOR, 2) == 0xFFFF
    for queue in range(2):
        select(host, queue)
        assert host.read(PAGE, 4) == 0 and host.read(QUEUE_VECTOR, 2) == 0xFFFF
    assert (host.config_read(0x10), host.config_read(0x04), host.config_read(0x48)) == before
    assert host.read(0x18, 1) == 0xAA


def test_leg_13_a_reset_is_a_fence(host: Host) -> None:
    """Causes of the old epoch, and of the new one before the acknowledgement, are dropped."""
    host.write(STATUS, 1, 7)
    host.write(STATUS, 1, 0)
    assert host.read(STATUS, 1) == 0
    host.model.interrupt_cause(0, 0, 0, False)
    host.model.interrupt_cause(0, 1, 0, False)
    assert host.read(ISR_BYTE, 1) == 0
    assert host.model.drain() == [
        ("reset_request", {"function": 0, "epoch": 1, "cause": ResetCause.STATUS})]
    host.model.reset_done(0, 0)
    host.model.interrupt_cause(0, 1, 0, False)
    assert host.read(ISR_BYTE, 1) == 0
    host.model.reset_done(0, 1)
    host.model.interrupt_cause(0, 0, 0, False)
    assert host.read(ISR_BYTE, 1) == 0
    host.model.interrupt_cause(0, 1, 0, False)
    assert host.read(ISR_BYTE, 1) == 1


def test_resets_share_an_epoch_until_the_back_end_hears_of_one(host: Host) -> None:
    host.write(STATUS, 1, 0)
    host.write(STATUS, 1, 0)
    assert [fields["epoch"] for _, fields in host.model.drain()] == [1]
    for epoch in (2, 3, 0, 1):
        host.write(STATUS, 1, 0)
        assert [fields["epoch"] for _, fields in host.model.drain()] == [epoch]


def test_what_follows_a_reset_reaches_the_back_end_after_its_acknowledgement(host: Host) -> None:
    host.write(STATUS, 1, 0)
    host.write(STATUS, 1, 7)
    host.write(PAGE, 4, 3)
    host.write(NOTIFY, 2, 0)
    assert [stream for stream, _ in host.model.drain()] == ["reset_request"]
    host.model.reset_done(0, 1)
    assert [stream for stream, _ in host.model.drain()] == ["driver_update", "queue_update", "notification"]


def test_a_reset_drops_what_is_pending_except_config_writes(host: Host) -> None:
    host.write(0x14, 1, 9)
    host.write(STATUS, 1, 7)
    host.write(ACCEPTED, 4, 0)
    host.write(PAGE, 4, 3)
    host.write(NOTIFY, 2, 0)
    host.write(STATUS, 1, 0)
    host.reset_done()
    assert host.model.drain() == [("config_write", {"function": 0, "offset": 0, "data": 9, "strobe": 1})]


def test_leg_14_reset_directly_followed_by_acknowledge_ends_in_one(host: Host) -> None:
    host.write(STATUS, 1, 7)
    host.write(STATUS, 1, 0)
    host.write(STATUS, 1, 1)
    assert host.read(STATUS, 1) == 1


@pytest.mark.parametrize("offset", [ISR_BYTE, ISR])
def test_leg_15_reading_isr_clears_it(host: Host, offset: int) -> None:
    host.interrupt()
    assert host.read(offset, 1) == 1
    assert host.read(ISR_BYTE, 1) == host.read(ISR, 1) == 0


@pytest.mark.parametrize("lanes", range(16))
def test_leg_16_isr_is_cleared_only_through_its_own_lane(host: Host, lanes: int) -> None:
    host.write(STATUS, 1, 7)
    host.interrupt()
    value = read_lanes(host, NOTIFY, lanes)
    own = lanes >> 3 & 1
    assert value == (7 << 16 if lanes >> 2 & 1 else 0) | own << 24
    assert host.read(ISR_BYTE, 1) == 1 - own


def test_leg_17_a_dword_read_shows_isr_and_status_and_clears_isr(host: Host) -> None:
    host.write(STATUS, 1, 3)
    host.interrupt()
    assert host.read(NOTIFY, 4) == 0x0103_0000
    assert host.read(NOTIFY, 4) == 0x0003_0000


def test_leg_18_bit_0_is_for_queues_and_bit_1_for_the_configuration(host: Host) -> None:
    host.interrupt()
    host.interrupt(config_change=True)
    assert host.read(ISR_BYTE, 1) == 3
    host.interrupt(config_change=True)
    assert host.read(ISR_BYTE, 1) == 2


def test_leg_20_isr_cannot_be_written(host: Host) -> None:
    host.interrupt()
    host.write(ISR_BYTE, 1, 0xFF)
    host.write(ISR, 1, 0xFF)
    assert host.read(ISR_BYTE, 1) == 1


def test_leg_21_msix_enable_moves_the_device_configuration(host: Host) -> None:
    assert host.read_bytes(0x14, 6) == MAC
    host.msix(True)
    assert host.read(CONFIG_VECTOR, 2) == host.read(QUEUE_VECTOR, 2) == 0xFFFF
    assert host.read_bytes(0x18, 6) == MAC
    host.msix(False)
    assert host.read_bytes(0x14, 6) == MAC


def test_leg_22_the_function_mask_does_not_move_it(host: Host) -> None:
    host.config_write(0x4A, 2, 0x4000)
    assert host.read_bytes(0x14, 6) == MAC
    host.config_write(0x4A, 2, 0xC000)
    assert host.read_bytes(0x18, 6) == MAC


@pytest.mark.parametrize(("written", "stored"), [
    (0, 0), (2, 2), (3, 0xFFFF), (0x7FFF, 0xFFFF), (0xFFFF, 0xFFFF)])
def test_leg_23_24_vectors_beyond_the_table_store_none(host: Host, written: int, stored: int) -> None:
    host.msix(True)
    select(host, 1)
    host.write(CONFIG_VECTOR, 2, written)
    host.write(QUEUE_VECTOR, 2, written)
    assert (host.read(CONFIG_VECTOR, 2), host.read(QUEUE_VECTOR, 2)) == (stored, stored)
    select(host, 0)
    assert host.read(QUEUE_VECTOR, 2) == 0xFFFF


def test_vectors_merge_with_what_is_stored(host: Host) -> None:
    host.msix(True)
    host.write(CONFIG_VECTOR, 2, 2)
    write_lanes(host, CONFIG_VECTOR, 0b0001, 1)
    assert host.read(CONFIG_VECTOR, 2) == 1
    write_lanes(host, CONFIG_VECTOR, 0b0010, 0x0100)
    assert host.read(CONFIG_VECTOR, 2) == 0xFFFF


def test_leg_25_vectors_survive_msix_off_and_on(host: Host) -> None:
    host.msix(True)
    host.write(CONFIG_VECTOR, 2, 1)
    host.write(QUEUE_VECTOR, 2, 2)
    host.msix(False)
    host.write(CONFIG_VECTOR, 4, 0)
    host.msix(True)
    assert (host.read(CONFIG_VECTOR, 2), host.read(QUEUE_VECTOR, 2)) == (1, 2)
    host.write(STATUS, 1, 0)
    assert (host.read(CONFIG_VECTOR, 2), host.read(QUEUE_VECTOR, 2)) == (0xFFFF, 0xFFFF)


@pytest.mark.parametrize("msix", [False, True])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_leg_26_configuration_reads_alike_at_every_offset_and_width(msix: bool, size: int) -> None:
    host = Host(block())
    host.msix(msix)
    image = block().config_image + bytes(16)
    for offset in range(len(block().config_image) + 8):
        assert host.read_bytes((0x18 if msix else 0x14) + offset, size) == image[offset:offset + size]
        assert host.read_bytes(DEVICE + offset, size) == image[offset:offset + size]


def test_leg_27_a_64_bit_field_is_not_latched() -> None:
    host = Host(block())
    high = host.read(0x18, 4)
    assert host.read(0x14, 4) | high << 32 == 0x0123_4567_89AB


@pytest.mark.parametrize("base", [0x14, DEVICE])
def test_leg_28_29_the_driver_writes_its_bytes_right_after_reset(host: Host, base: int) -> None:
    for index, value in enumerate(b"\x02\x11\x22\x33\x44\x55"):
        host.write(base + index, 1, value)
    host.write(base + 6, 2, 0)
    assert host.read_bytes(0x14, 8) == b"\x02\x11\x22\x33\x44\x55\x01\x00"
    assert host.model.drain() == [
        ("config_write", {"function": 0, "offset": 0, "data": 0x3322_1102, "strobe": 0xF}),
        ("config_write", {"function": 0, "offset": 4, "data": 0x5544, "strobe": 0x3}),
    ]


def test_bytes_of_others_are_left_alone() -> None:
    host = Host(block())
    for offset in range(0, 60, 4):
        host.write(0x14 + offset, 4, 0xFFFF_FFFF)
    expected = bytearray(block().config_image)
    expected[32] = 0xFF
    assert host.read_bytes(0x14, 60) == expected


@pytest.mark.parametrize(("size", "available", "used"), [
    (8, 0x80, 0x1000), (16, 0x100, 0x1000), (64, 0x400, 0x1000), (128, 0x800, 0x1000), (256, 0x1000, 0x2000),
    (512, 0x2000, 0x3000), (1024, 0x4000, 0x5000), (2048, 0x8000, 0xA000), (4096, 0x10000, 0x13000),
    (8192, 0x20000, 0x25000), (16384, 0x40000, 0x49000), (32768, 0x80000, 0x91000),
])
def test_leg_30_the_back_end_gets_three_addresses(size: int, available: int, used: int) -> None:
    host = Host(net(queues=(size,)))
    host.write(PAGE, 4, 0xFFF0_0001)
    base = 0xFFF_0000_1000
    assert host.model.drain() == [("queue_update", {
        "function": 0, "queue": 0, "row": 0, "change": QueueChange.ENABLE, "size": size, "descriptors": base,
        "available": base + available, "used": base + used, "first_available": 0, "first_used": 0,
        "vector_valid": 0})]


def test_leg_31_page_zero_stops_the_selected_queue_alone(host: Host) -> None:
    host.msix(True)
    for queue in range(2):
        select(host, queue)
        host.write(PAGE, 4, 5 + queue)
        host.write(QUEUE_VECTOR, 2, queue)
    host.model.drain()
    host.write(NOTIFY, 2, 0)
    host.write(NOTIFY, 2, 1)
    host.write(PAGE, 4, 0)
    events = host.model.drain()
    assert [(stream, fields["queue"]) for stream, fields in events] == [
        ("queue_update", 1), ("notification", 0)]
    assert events[0][1]["change"] == QueueChange.DISABLE
    assert host.read(QUEUE_VECTOR, 2) == 1
    select(host, 0)
    assert host.read(PAGE, 4) == 5


def test_page_zero_on_a_queue_that_is_not_set_up_does_nothing(host: Host) -> None:
    host.write(PAGE, 4, 0)
    assert host.model.drain() == []


def test_changes_that_the_back_end_did_not_hear_of_melt_into_one(host: Host) -> None:
    host.write(PAGE, 4, 5)
    host.write(PAGE, 4, 0)
    host.write(PAGE, 4, 6)
    assert [fields["descriptors"] for _, fields in host.model.drain()] == [6 << 12]
    host.write(PAGE, 4, 7)
    host.write(PAGE, 4, 0)
    assert [fields["change"] for _, fields in host.model.drain()] == [QueueChange.DISABLE]


def test_a_notification_waits_for_the_update_of_its_queue(host: Host) -> None:
    host.write(PAGE, 4, 5)
    host.write(NOTIFY, 2, 0)
    assert host.model.drain({"notification"}) == []
    host.model.drain({"queue_update"})
    assert len(host.model.drain({"notification"})) == 1


def test_leg_32_pages_read_zero_after_reset(host: Host) -> None:
    host.write(PAGE, 4, 5)
    host.write(STATUS, 1, 0)
    assert host.read(PAGE, 4) == 0


def test_leg_33_queues_do_not_share_state(host: Host) -> None:
    host.msix(True)
    select(host, 0)
    host.write(PAGE, 4, 5)
    select(host, 1)
    host.write(QUEUE_VECTOR, 2, 1)
    select(host, 0)
    assert (host.read(PAGE, 4), host.read(QUEUE_VECTOR, 2)) == (5, 0xFFFF)
    select(host, 1)
    assert (host.read(PAGE, 4), host.read(QUEUE_VECTOR, 2)) == (0, 1)


def test_leg_34_an_eight_byte_write_selects_before_it_notifies(host: Host) -> None:
    host.write(PAGE, 8, 1 << 48 | 9)
    assert host.read(SELECT, 2) == 1
    host.write(PAGE, 4, 9)
    host.model.drain()
    host.write(SIZE, 8, 0 << 16 | 1 << 32 | 3 << 48)
    assert (host.read(SELECT, 2), host.read(STATUS, 1)) == (0, 3)
    assert notifications(host) == [1]


@pytest.mark.parametrize("msix", [False, True])
def test_leg_35_an_eight_byte_read_clears_isr_and_follows_the_layout(host: Host, msix: bool) -> None:
    host.msix(msix)
    host.interrupt()
    second = 0xFFFF_FFFF if msix else int.from_bytes(MAC[:4], "little")
    assert host.read(NOTIFY, 8) == second << 32 | 0x0100_0000
    assert host.read(ISR_BYTE, 1) == 0


@pytest.mark.parametrize(("status", "expected"), [(7, [0]), (0, [])])
def test_leg_36_in_one_write_status_comes_first_and_zero_suppresses_the_notification(
        host: Host, status: int, expected: list[int]) -> None:
    host.write(PAGE, 4, 9)
    host.model.drain()
    host.write(NOTIFY, 4, status << 16)
    assert host.read(STATUS, 1) == status
    host.reset_done()
    assert notifications(host) == expected


def test_leg_37_notify_reads_zero(host: Host) -> None:
    assert host.read(NOTIFY, 2) == 0


def test_leg_38_registers_merge_the_enabled_bytes(host: Host) -> None:
    host.write(PAGE, 4, 0x1122_3344)
    write_lanes(host, PAGE, 0b0100, 0x0055_0000)
    assert host.read(PAGE, 4) == 0x1155_3344
    host.write(SELECT, 2, 0x0102)
    write_lanes(host, SIZE, 0b1000, 0)
    assert host.read(SELECT, 2) == 2
    host.write(ACCEPTED, 4, 1 << 5 | 1 << 16)
    write_lanes(host, ACCEPTED, 0b1000, 1 << 28)
    assert host.read(ACCEPTED, 4) == 1 << 5 | 1 << 16 | 1 << 28


def test_notify_acts_through_its_low_byte_alone(host: Host) -> None:
    host.write(PAGE, 4, 9)
    host.model.drain()
    write_lanes(host, NOTIFY, 0b0010, 0)
    assert notifications(host) == []
    write_lanes(host, NOTIFY, 0b0001, 0xFF00)
    assert notifications(host) == [0]


def test_leg_39_40_accesses_without_enabled_bytes_do_nothing(host: Host) -> None:
    host.write(PAGE, 4, 9)
    host.model.drain()
    host.interrupt()
    [completion] = host.send(MemoryRequest(address=BASE + NOTIFY, first_be=0, tag=0x14))
    assert completion == [0x4A00_0001, 0x0100_0001, 0x0000_1410, 0]
    before = host.model.state()
    for offset in range(0, 0x20, 4):
        write_lanes(host, offset, 0, 0xFFFF_FFFF)
    assert host.model.state() == before
    assert host.read(ISR_BYTE, 1) == 1


def test_leg_41_a_notification_waits_for_bus_master_and_d0(host: Host) -> None:
    host.write(PAGE, 4, 9)
    host.model.drain()
    host.write(NOTIFY, 2, 0)
    host.config_write(0x04, 2, 2)
    assert notifications(host) == []
    host.config_write(0x04, 2, 6)
    host.config_write(0x44, 2, 3)
    assert notifications(host) == []
    host.config_write(0x44, 2, 0)
    assert notifications(host) == [0]


def test_leg_42_interrupt_status_follows_isr_and_msix(host: Host) -> None:
    assert host.config_read(0x06, 2) & 8 == 0
    host.interrupt()
    assert host.config_read(0x06, 2) & 8 == 8
    host.msix(True)
    assert host.config_read(0x06, 2) & 8 == 0
    host.msix(False)
    host.read(ISR_BYTE, 1)
    assert host.config_read(0x06, 2) & 8 == 0


def test_leg_47_a_ring_error_sets_needs_reset_until_the_reset(host: Host) -> None:
    host.write(STATUS, 1, 7)
    host.model.fault(0, 0, 0, 3)
    assert host.read(STATUS, 1) == 0x47
    assert host.read(ISR_BYTE, 1) == 2
    host.write(STATUS, 1, 0)
    assert host.read(STATUS, 1) == 0


def test_leg_48_function_level_reset_clears_everything(host: Host) -> None:
    express = 0xC0
    fresh = Host(net(), command=0).model.state()
    host.msix(True)
    host.write(STATUS, 1, 7)
    host.write(PAGE, 4, 9)
    host.write(0x18, 1, 0xAA)
    host.interrupt()
    host.config_write(express + 8, 2, 0x8000)
    assert host.model.drain() == [("reset_request", {"function": 0, "epoch": 1, "cause": ResetCause.FLR})]
    host.model.reset_done(0, 1)
    after = host.model.state()
    assert host.config_read(0x10) == 4 and host.config_read(0x04) == 0x0010_0000
    differ = {name for name in fresh if after[name] != fresh[name]}
    assert differ == {"generation", "epoch", "configuration"}    # the fresh one has an address in its BAR


def test_leg_50_reads_are_stable_when_nothing_changes(host: Host) -> None:
    host.write(PAGE, 4, 9)
    host.write(STATUS, 1, 7)
    first = host.read_bytes(0, 0x40)
    assert all(host.read_bytes(0, 0x40) == first for _ in range(3))


@pytest.mark.parametrize(("offset", "clears"), [(14, False), (16, True), (18, True), (19, True), (12, False)])
def test_leg_54_odd_reads_return_their_bytes_and_clear_isr_only_if_they_touch_it(
        host: Host, offset: int, clears: bool) -> None:
    host.write(STATUS, 1, 5)
    host.interrupt()
    window = bytes([128, 0, 0, 0, 0, 0, 5, 1]) + MAC
    assert host.read_bytes(offset, 4) == window[offset - 12:offset - 8]
    assert host.read(ISR_BYTE, 1) == int(not clears)


def test_driver_updates_tell_the_state_at_delivery(host: Host) -> None:
    host.write(STATUS, 1, 7)
    host.write(ACCEPTED, 4, 0x20)
    host.write(STATUS, 1, 3)
    common = {"function": 0, "epoch": 0, "features": 0x20, "legacy": 1, "big_endian": 0, "driver_ok": 0}
    assert host.model.drain() == [
        ("driver_update", {"event": DriverEvent.DRIVER_OK, **common}),
        ("driver_update", {"event": DriverEvent.FEATURES, **common}),
    ]
    host.write(STATUS, 1, 7)
    assert host.model.drain() == [
        ("driver_update", {"event": DriverEvent.DRIVER_OK, **common, "driver_ok": 1})]
    host.write(STATUS, 1, 0x87)
    assert host.model.drain() == []


def test_the_window_beyond_the_configuration_reads_zero_without_being_a_hole(host: Host) -> None:
    assert host.read_bytes(0x20, 0x60) == bytes(0x60)
    host.write(0x40, 4, 0xFFFF_FFFF)
    assert host.read_bytes(0xFFC, 4) == bytes(4)
    assert host.model.state()["count_hole"] == 0


def test_the_same_registers_stand_in_an_io_bar() -> None:
    host = Host(entropy())
    assert host.data(host.send(IoRequest(address=IO_BASE + SIZE, first_be=3))) == [8]
    [completion] = host.send(IoRequest(write=True, address=IO_BASE + 0x10, first_be=4, data=3 << 16, tag=5))
    assert completion == [0x0A00_0000, 0x0100_0004, 0x0000_0500]
    assert host.read(STATUS, 1) == 3
    assert host.data(host.send(IoRequest(address=IO_BASE + 0x10, first_be=0xB))) == [0]


def test_a_wide_field_of_the_driver_can_be_written_in_parts() -> None:
    host = Host(console())
    host.write(0x14 + 9, 1, 0x22)
    host.write(0x14 + 11, 1, 0x44)
    assert host.read_bytes(0x14 + 8, 4) == b"\x00\x22\x00\x44"
    assert host.model.drain() == [
        ("config_write", {"function": 0, "offset": 8, "data": 0x4400_2200, "strobe": 0xA})]


def test_a_64_bit_bar_is_found_above_4_gib() -> None:
    host = Host(net())
    host.config_write(0x14, 4, 0x12)
    request = MemoryRequest(address=0x12_0000_0000 | BASE, tag=9)
    assert host.data([host.model.receive(build(request))[0]]) == [net().features]

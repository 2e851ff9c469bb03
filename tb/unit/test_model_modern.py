"""The golden model against the rules for the modern interface, one test or more a rule (MOD-…)."""

import random

import pytest
from model_devices import BASE, COMMON, MSIX, NOTIFY, UPPER, Host, net, transitional
from virtio_mmr_sim.model.events import DriverEvent, QueueChange
from virtio_mmr_sim.model.tlp import ConfigRequest, MemoryRequest

LEGACY, CONTROL, ISR, DEVICE = 0x0000, 0x1000, 0x2000, 0x3000
OFFERED_SELECT, OFFERED, ACCEPTED_SELECT, ACCEPTED = (COMMON + at for at in (0x00, 0x04, 0x08, 0x0C))
CONFIG_VECTOR, QUEUES, STATUS, GENERATION = (COMMON + at for at in (0x10, 0x12, 0x14, 0x15))
SELECT, SIZE, VECTOR, ENABLE, NOTIFY_OFF = (COMMON + at for at in (0x16, 0x18, 0x1A, 0x1C, 0x1E))
DESCRIPTORS, AVAILABLE, USED, NOTIFY_DATA, RESET = (COMMON + at for at in (0x20, 0x28, 0x30, 0x38, 0x3A))

VERSION_1, RING_RESET = 32, 40
ANY_LAYOUT = 1 << 27


@pytest.fixture
def host() -> Host:
    return Host(transitional())


def accept(host: Host, features: int) -> None:
    for word in (0, 1):
        host.write(ACCEPTED_SELECT, 4, word)
        host.write(ACCEPTED, 4, features >> 32 * word & 0xFFFF_FFFF)


def bring_up(host: Host, features: int = UPPER) -> None:
    """A modern driver's first steps, to FEATURES_OK."""
    for status in (0, 1, 3):
        host.write(STATUS, 1, status)
    host.reset_done()
    accept(host, features)
    host.write(STATUS, 1, 0x0B)


def start(host: Host, queue: int) -> None:
    host.write(SELECT, 2, queue)
    for register, address in ((DESCRIPTORS, 0x1_0000_0000), (AVAILABLE, 0x2_0000_1000), (USED, 0x3_0000_2000)):
        host.write(register, 4, (address + queue) & 0xFFFF_FFFF)
        host.write(register + 4, 4, address >> 32)
    host.write(ENABLE, 2, 1)


def events(host: Host, stream: str) -> list[dict[str, int]]:
    return [fields for name, fields in host.model.drain() if name == stream]


def test_mod_05_offered_words_hide_what_only_legacy_drivers_know(host: Host) -> None:
    words = []
    for select in (0, 1, 2, 0xFFFF_FFFF):
        host.write(OFFERED_SELECT, 4, select)
        words.append(host.read(OFFERED, 4))
    assert words == [net().features & ~ANY_LAYOUT, UPPER >> 32, 0, 0]
    assert host.read(LEGACY, 4) & ANY_LAYOUT


def test_mod_06_accepted_words_keep_what_is_offered(host: Host) -> None:
    accept(host, (1 << 64) - 1)
    host.write(ACCEPTED_SELECT, 4, 2)
    host.write(ACCEPTED, 4, 0xFFFF_FFFF)
    assert host.read(ACCEPTED, 4) == 0
    for select, expected in ((0, net().features & ~ANY_LAYOUT), (1, UPPER >> 32)):
        host.write(ACCEPTED_SELECT, 4, select)
        assert host.read(ACCEPTED, 4) == expected


def test_mod_07_status_zero_resets_and_reads_zero(host: Host) -> None:
    bring_up(host)
    start(host, 1)
    host.write(OFFERED_SELECT, 4, 1)
    host.write(CONFIG_VECTOR, 2, 1)
    host.write(STATUS, 1, 0)
    assert host.read(STATUS, 1) == 0
    assert (host.read(OFFERED_SELECT, 4), host.read(ACCEPTED, 4), host.read(SELECT, 2)) == (0, 0, 0)
    assert host.read(CONFIG_VECTOR, 2) == 0xFFFF
    host.write(SELECT, 2, 1)
    assert host.read_bytes(ENABLE, 2) + host.read_bytes(DESCRIPTORS, 8) == bytes(10)


def test_mod_08_a_queue_is_enabled_by_one_and_not_stopped_by_zero(host: Host) -> None:
    assert host.read(ENABLE, 2) == 0
    host.write(ENABLE, 2, 2)
    assert host.read(ENABLE, 2) == 0
    host.write(ENABLE, 2, 1)
    assert host.read(ENABLE, 2) == 1
    host.write(ENABLE, 2, 0)
    assert host.read(ENABLE, 2) == 1


def test_mod_09_sizes_shrink_by_powers_of_two_and_never_grow(host: Host) -> None:
    assert host.read(SIZE, 2) == 128
    for written, expected in ((64, 64), (0, 64), (96, 64), (256, 64), (128, 128), (1, 1)):
        host.write(SIZE, 2, written)
        assert host.read(SIZE, 2) == expected
    host.write(ENABLE, 2, 1)
    host.write(SIZE, 2, 128)
    assert host.read(SIZE, 2) == 1, "an enabled queue keeps its size"
    host.write(SELECT, 2, 2)
    host.write(SIZE, 2, 4)
    assert host.read(SIZE, 2) == 0, "there is no such queue"


def test_mod_10_addresses_are_written_in_halves_in_any_order(host: Host) -> None:
    rng = random.Random(1)
    for register in (DESCRIPTORS, AVAILABLE, USED):
        address = rng.getrandbits(64)
        halves = [(register, address & 0xFFFF_FFFF), (register + 4, address >> 32)]
        rng.shuffle(halves)
        for at, half in halves:
            host.write(at, 4, half)
        assert host.read(register, 8) == address


def test_mod_11_generation_differs_once_a_changed_value_was_read(host: Host) -> None:
    before = host.read(GENERATION, 1)
    host.model.config_update(0, 4, 0, 0xC, True)
    host.read(DEVICE, 4)
    assert host.read(GENERATION, 1) == before + 1
    host.read(DEVICE, 4)
    assert host.read(GENERATION, 1) == before + 1, "nothing changed since"


def test_generation_does_not_move_by_itself_nor_by_a_read_of_nothing(host: Host) -> None:
    before = host.read(GENERATION, 1)
    host.model.config_update(0, 4, 0, 0xC, True)
    host.send(MemoryRequest(address=BASE + DEVICE, first_be=0))
    host.read(DEVICE + 0x40, 4)
    assert host.read(GENERATION, 1) == before
    host.read(LEGACY + 0x14, 1)
    assert host.read(GENERATION, 1) == before + 1, "the legacy window shows the same bytes"


def test_mod_12_administration_queues_read_zero(host: Host) -> None:
    assert (host.read(QUEUES, 2), host.read(COMMON + 0x3C, 4)) == (2, 0)


def test_mod_13_queue_reset_lasts_until_the_back_end_lets_go(host: Host) -> None:
    bring_up(host)
    start(host, 0)
    host.write(VECTOR, 2, 1)
    host.model.drain()
    host.write(RESET, 2, 1)
    assert (host.read(RESET, 2), host.read(ENABLE, 2)) == (1, 1)
    host.model.queue_quiet(0, 0)
    assert host.read(RESET, 2) == 1, "the back end has not heard of it"
    [update] = events(host, "queue_update")
    assert update["change"] == QueueChange.RESET
    host.model.queue_quiet(0, 1)
    assert host.read(RESET, 2) == 1
    host.model.queue_quiet(0, 0)
    assert (host.read(RESET, 2), host.read(ENABLE, 2), host.read(VECTOR, 2)) == (0, 0, 0xFFFF)
    start(host, 0)
    [update] = events(host, "queue_update")
    assert update["change"] == QueueChange.ENABLE


def test_queue_reset_needs_its_feature_and_drops_the_notification(host: Host) -> None:
    bring_up(host, UPPER & ~(1 << RING_RESET))
    start(host, 0)
    host.write(RESET, 2, 1)
    assert host.read(RESET, 2) == 0
    bring_up(host)
    start(host, 0)
    host.write(STATUS, 1, 0x0F)
    host.write(NOTIFY, 2, 0)
    host.write(RESET, 2, 1)
    host.write(NOTIFY, 2, 0)
    assert events(host, "notification") == []


@pytest.mark.parametrize("stride", [4, 8, 0])
def test_mod_15_each_address_notifies_its_queue(stride: int) -> None:
    host = Host(transitional(stride))
    bring_up(host)
    for queue in (0, 1):
        start(host, queue)
    host.write(STATUS, 1, 0x0F)
    for queue in (1, 0):
        host.write(SELECT, 2, queue)
        at = NOTIFY + stride * host.read(NOTIFY_OFF, 2)
        host.write(at, 4, 0x4321_0000 | queue)
        [word] = events(host, "notification")
        assert (word["queue"], word["extra"], word["legacy"]) == (queue, 0x4321, 0)
        host.write(at, 2, queue)
        assert [word["queue"] for word in events(host, "notification")] == [queue]
    host.write(NOTIFY + 0x20, 2, 0)
    host.write(NOTIFY + 1, 1, 0)
    assert events(host, "notification") == []
    assert host.read(NOTIFY, 4) == 0


def test_newest_notification_data_counts_and_a_legacy_kick_has_none(host: Host) -> None:
    bring_up(host)
    start(host, 0)
    host.write(STATUS, 1, 0x0F)
    host.write(NOTIFY, 4, 0x1111_0000)
    host.write(NOTIFY, 4, 0x2222_0000)
    assert [word["extra"] for word in events(host, "notification")] == [0x2222]
    host.write(LEGACY + 0x10, 2, 0)
    assert [word["extra"] for word in events(host, "notification")] == [0]


def test_notification_data_is_told_only_while_it_is_agreed_on(host: Host) -> None:
    bring_up(host)
    start(host, 0)
    host.write(STATUS, 1, 0x0F)
    list(host.model.drain())
    host.write(CONTROL + 0x24, 4, 0)
    host.write(NOTIFY, 4, 0x2222_0000)
    host.write(STATUS, 1, 0x07)
    host.write(CONTROL + 0x24, 4, 0x100)
    assert [(word["extra"], word["legacy"]) for word in events(host, "notification")] == [(0, 1)]


def test_notification_data_reads_the_index_once_accepted(host: Host) -> None:
    host.write(SELECT, 2, 1)
    assert host.read(NOTIFY_DATA, 2) == 0
    accept(host, UPPER)
    assert host.read(NOTIFY_DATA, 2) == 1
    host.write(SELECT, 2, 2)
    assert host.read(NOTIFY_DATA, 2) == 0


def test_mod_16_interrupt_status_is_one_byte_for_both(host: Host) -> None:
    for first, second in ((ISR, LEGACY + 0x13), (LEGACY + 0x13, ISR)):
        host.interrupt(config_change=True)
        assert (host.read(first, 1), host.read(second, 1)) == (2, 0)


def test_mod_20_a_modern_queue_is_served_after_driver_ok_and_a_legacy_one_before(host: Host) -> None:
    bring_up(host)
    start(host, 0)
    host.write(NOTIFY, 2, 0)
    host.interrupt()
    assert events(host, "notification") == [] and host.read(ISR, 1) == 0
    host.write(STATUS, 1, 0x0F)
    assert [word["queue"] for word in events(host, "notification")] == [0]
    host.interrupt()
    assert host.read(ISR, 1) == 1
    host.write(STATUS, 1, 0)
    host.reset_done()
    host.write(LEGACY + 0x08, 4, 5)
    host.write(LEGACY + 0x10, 2, 0)
    assert [word["legacy"] for word in events(host, "notification")] == [1]
    host.interrupt()
    assert host.read(ISR, 1) == 1


def reset_queue(host: Host, queue: int) -> None:
    host.write(SELECT, 2, queue)
    host.write(RESET, 2, 1)


def test_mod_13_a_modern_driver_hears_nothing_of_a_queue_whose_reset_is_over(host: Host) -> None:
    bring_up(host)
    start(host, 0)
    start(host, 1)
    host.write(STATUS, 1, 0x0F)
    reset_queue(host, 0)
    host.model.drain()
    # The back end still uses buffers until it has let go.
    host.interrupt(queue=0)
    assert (host.read(RESET, 2), host.read(ISR, 1)) == (1, 1)
    host.model.queue_quiet(0, 0)
    for queue in (0, 2):
        host.interrupt(queue=queue)
        assert (host.read(RESET, 2), host.read(ISR, 1)) == (0, 0)
    host.interrupt(queue=1)
    assert host.read(ISR, 1) == 1
    host.interrupt(config_change=True)
    assert host.read(ISR, 1) == 2
    start(host, 0)
    host.interrupt(queue=0)
    assert host.read(ISR, 1) == 1


def test_mod_13_a_queue_reset_takes_the_vector_and_leaves_what_is_pending(host: Host) -> None:
    bring_up(host)
    host.config_write(0x4A, 2, 1 << 15)
    start(host, 0)
    host.write(VECTOR, 2, 2)
    host.write(STATUS, 1, 0x0F)
    # Masked, as after reset.
    host.interrupt(queue=0)
    reset_queue(host, 0)
    host.model.drain()
    host.model.queue_quiet(0, 0)
    # Whose cause it was is not kept: the vector may be another queue's too.
    assert (host.read(VECTOR, 2), host.read(MSIX + 0x800, 4)) == (0xFFFF, 1 << 2)
    start(host, 0)
    host.config_write(0x04, 2, 0x006)
    host.write(MSIX + 0x20 + 12, 4, 0)
    assert len(host.sent()) == 1
    host.interrupt(queue=0)
    assert host.sent() == []


@pytest.mark.parametrize("by_legacy", [False, True])
def test_leg_43_vectors_are_one_state_behind_both_windows(host: Host, by_legacy: bool) -> None:
    host.config_write(0x4A, 2, 1 << 15)
    host.config_write(0x04, 2, 0x006)
    for vector in range(3):
        host.write(MSIX + 16 * vector, 4, 0xFEE0_0000 + 16 * vector)
        host.write(MSIX + 16 * vector + 12, 4, 0)
    mine, other = (LEGACY + 0x14, CONFIG_VECTOR) if by_legacy else (CONFIG_VECTOR, LEGACY + 0x14)
    host.write(mine, 2, 2)
    assert host.read(other, 2) == 2
    mine, other = (LEGACY + 0x16, VECTOR) if by_legacy else (VECTOR, LEGACY + 0x16)
    for queue in (0, 1):
        host.write(LEGACY + 0x0E, 2, queue)
        host.write(mine, 2, queue)
        assert host.read(other, 2) == queue
        host.write(mine, 2, 3)
        assert host.read(other, 2) == 0xFFFF
        host.write(mine, 2, queue)
    for queue, change in ((0, False), (1, False), (0, True)):
        host.interrupt(queue=queue, config_change=change)
        [message] = host.sent()
        assert isinstance(message, MemoryRequest) and message.address == 0xFEE0_0000 + 16 * (2 if change else queue)


@pytest.mark.parametrize(("features", "taken"), [
    (UPPER, True), (1 << VERSION_1, True), (0, False), (UPPER & ~(1 << VERSION_1), False),
    (1 << VERSION_1 | 1 << 35, False), (1 << VERSION_1 | ANY_LAYOUT, False), (1 << VERSION_1 | 1, False)])
def test_mod_22_features_ok_is_refused_for_what_cannot_be(host: Host, features: int, taken: bool) -> None:
    bring_up(host, features)
    assert host.read(STATUS, 1) == (0x0B if taken else 0x03)
    # A legacy driver may set the bit all the same.
    host.write(LEGACY + 0x12, 1, 0x0B)
    assert host.read(STATUS, 1) == 0x0B


def test_unsupported_bits_are_forgiven_when_the_word_is_written_again(host: Host) -> None:
    bring_up(host, 1 << VERSION_1 | 1)
    accept(host, 1 << VERSION_1)
    host.write(STATUS, 1, 0x0B)
    assert host.read(STATUS, 1) == 0x0B


def test_back_end_hears_of_a_modern_driver(host: Host) -> None:
    host.write(CONTROL + 0x0C, 1, 1)
    bring_up(host)
    host.write(STATUS, 1, 0x0F)
    updates = events(host, "driver_update")
    assert updates[0]["event"] == DriverEvent.DRIVER_OK
    assert all((word["features"], word["legacy"], word["big_endian"]) == (UPPER, 0, 0) for word in updates)


def test_legacy_features_end_what_a_modern_driver_began(host: Host) -> None:
    accept(host, UPPER | 1 << 5)
    host.write(LEGACY + 0x04, 4, 1 << 16)
    assert host.read(ACCEPTED, 4) == 0, "word 1"
    host.write(ACCEPTED_SELECT, 4, 0)
    assert host.read(ACCEPTED, 4) == 1 << 16


def test_both_windows_show_one_queue(host: Host) -> None:
    host.write(LEGACY + 0x0E, 2, 1)
    host.write(LEGACY + 0x08, 4, 0x1234)
    assert (host.read(SELECT, 2), host.read(ENABLE, 2), host.read(SIZE, 2)) == (1, 1, 256)
    assert [host.read(at, 8) for at in (DESCRIPTORS, AVAILABLE, USED)] == [0x123_4000, 0x123_5000, 0x123_6000]
    host.write(LEGACY + 0x08, 4, 0)
    assert (host.read(ENABLE, 2), host.read(DESCRIPTORS, 8)) == (0, 0)
    start(host, 0)
    assert host.read(LEGACY + 0x08, 4) == 0x10_0000
    host.write(SELECT, 2, 1)
    host.write(SIZE, 2, 16)
    host.write(LEGACY + 0x08, 4, 1)
    assert (host.read(LEGACY + 0x0C, 2), host.read(AVAILABLE, 8), host.read(USED, 8)) == (16, 0x1100, 0x2000)


def test_forbidden_features_are_hidden_from_modern_drivers_too(host: Host) -> None:
    host.write(CONTROL + 0x1C, 4, 1 << 5)
    assert not host.read(OFFERED, 4) >> 5 & 1
    host.write(ACCEPTED, 4, 1 << 5)
    assert host.read(CONTROL + 0x14, 4) == 1 and host.read(ACCEPTED, 4) == 0


def test_a_build_without_it_has_no_modern_windows() -> None:
    assert transitional().modern and not net().modern


BAR, OFFSET, LENGTH, DATA = 0x9C, 0xA0, 0xA4, 0xA8


def through_window(host: Host, offset: int, length: int, *, bar: int = 0, value: int | None = None) -> int:
    """Access a BAR through configuration space."""
    for register, setting in ((BAR, bar), (OFFSET, offset), (LENGTH, length)):
        host.config_write(register, 1 if register == BAR else 4, setting)
    if value is None:
        return host.config_read(DATA)
    host.config_write(DATA, length, value)
    return 0


def test_mod_18_the_window_in_configuration_space_reads_and_writes_any_bar(host: Host) -> None:
    through_window(host, STATUS, 1, value=3)
    assert host.read(STATUS, 1) == 3
    through_window(host, SELECT, 2, value=1)
    assert host.read(SELECT, 2) == 1
    assert through_window(host, SIZE, 2) == 256
    assert through_window(host, COMMON + 0x14, 4) == host.read(COMMON + 0x14, 4)
    host.interrupt(config_change=True)
    assert through_window(host, LEGACY + 0x12, 1) == 3
    assert host.read(ISR, 1) == 2, "a neighbour is not touched"
    host.interrupt(config_change=True)
    assert (through_window(host, ISR, 1), host.read(ISR, 1)) == (2, 0)


def test_the_window_works_while_memory_is_disabled(host: Host) -> None:
    host.config_write(0x04, 2, 0)
    assert through_window(host, SIZE, 2) == 128


@pytest.mark.parametrize(("bar", "offset", "length"), [
    (0, ISR, 0), (0, ISR, 3), (0, ISR, 8), (0, ISR + 1, 2), (0, ISR + 2, 4), (1, ISR, 1), (6, ISR, 1), (0x80, ISR, 1),
    (0, ISR + 0x8000, 1), (0, ISR + (1 << 31), 4)])
def test_mod_19_a_place_that_makes_no_sense_is_not_accessed(host: Host, bar: int, offset: int, length: int) -> None:
    host.interrupt()
    holes = host.model.counters.hole
    assert through_window(host, offset, length, bar=bar) == 0
    host.config_write(DATA, 4, 0xFFFF_FFFF)
    assert (host.read(ISR, 1), host.model.counters.hole) == (1, holes)


def test_mod_21_reading_the_window_takes_an_enabled_byte_of_its_data(host: Host) -> None:
    through_window(host, ISR, 1)
    host.interrupt()
    for offset in range(0x40, DATA, 4):
        host.config_read(offset)
    host.send(ConfigRequest(bus=1, offset=DATA, first_be=0))
    assert host.read(ISR, 1) == 1

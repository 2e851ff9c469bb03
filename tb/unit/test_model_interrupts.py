"""Interrupts of the golden model: MSI-X messages and pending bits, INTx, and what stops them."""

import pytest
from model_devices import CONTROL, MSIX, Host, net
from virtio_mmr_sim.model.tlp import MemoryRequest, Message

STATUS, ISR_BYTE, CONFIG_VECTOR, QUEUE_VECTOR, QUEUE_SELECT = 0x12, 0x13, 0x14, 0x16, 0x0E
COMMAND, POWER, MSIX_CONTROL, DEVICE_CONTROL = 0x04, 0x44, 0x4A, 0xC8
PENDING, GATE = MSIX + 0x800, CONTROL + 0x25
ENABLE, MASK_ALL = 1 << 15, 1 << 14


def address(vector: int) -> int:
    """Vector 1 lies above 4 GiB."""
    return 0xFEE0_1000 + 0x10 * vector + (0x12_0000_0000 if vector == 1 else 0)


def program(host: Host, *, unmask: bool = True) -> None:
    """MSI-X on, all entries filled, vectors of configuration, queue 0 and queue 1."""
    host.config_write(MSIX_CONTROL, 2, ENABLE)
    for vector in range(3):
        host.write(MSIX + 16 * vector, 8, address(vector))
        host.write(MSIX + 16 * vector + 8, 4, 0xAB00 + vector)
        host.write(MSIX + 16 * vector + 12, 4, 0 if unmask else 1)
    host.write(CONFIG_VECTOR, 2, 0)
    for queue in range(2):
        host.write(QUEUE_SELECT, 2, queue)
        host.write(QUEUE_VECTOR, 2, 1 + queue)
    assert host.sent() == []


def message(vector: int) -> MemoryRequest:
    """What vector *vector* sends; bus 1, device 0, function 0."""
    return MemoryRequest(
        write=True, address=address(vector), payload=(0xAB00 + vector,), requester=0x100, wide=vector == 1)


def assert_inta() -> Message:
    return Message(code=0x20, routing=4, requester=0x100)


def deassert_inta() -> Message:
    return Message(code=0x24, routing=4, requester=0x100)


@pytest.fixture
def host() -> Host:
    return Host(net(), command=0x006)


@pytest.fixture
def vectors(host: Host) -> Host:
    program(host)
    return host


# The table


def test_msx_01_entries_start_masked_with_zeros(host: Host) -> None:
    for vector in range(3):
        assert host.read_bytes(MSIX + 16 * vector, 16) == bytes(12) + b"\x01\x00\x00\x00"
    assert host.read_bytes(MSIX + 48, 16) == bytes(16)
    assert host.read_bytes(PENDING, 8) == bytes(8)


def test_msx_06_every_byte_is_written_alone_and_eight_at_once(host: Host) -> None:
    for offset in range(16):
        host.write(MSIX + 16 + offset, 1, 0xE1 + offset)
    assert host.read_bytes(MSIX + 16, 16) == bytes([0xE0, *range(0xE2, 0xED)]) + b"\x01\x00\x00\x00"
    host.write(MSIX + 32, 8, 0x0123_4567_89AB_CDEF)
    host.write(MSIX + 40, 8, 0xFFFF_FFFE_7654_3210)
    assert host.read_bytes(MSIX + 32, 16) == bytes.fromhex("ecCDAB8967452301 10325476 00000000")
    assert host.read_bytes(MSIX, 16) == bytes(12) + b"\x01\x00\x00\x00"


def test_pending_bits_cannot_be_written(host: Host) -> None:
    host.write(PENDING, 8, 0xFFFF_FFFF_FFFF_FFFF)
    assert host.read(PENDING, 8) == 0


# Messages


def test_leg_43_each_cause_sends_its_vector_and_no_vector_sends_none(vectors: Host) -> None:
    vectors.interrupt(config_change=True)
    assert vectors.sent() == [message(0)]
    vectors.interrupt(queue=0)
    assert vectors.sent() == [message(1)]
    vectors.interrupt(queue=1)
    assert vectors.sent() == [message(2)]
    vectors.write(QUEUE_VECTOR, 2, 0xFFFF)
    vectors.interrupt(queue=1)
    vectors.interrupt(queue=2)
    assert vectors.sent() == []
    assert vectors.read(PENDING, 4) == 0
    assert vectors.read(ISR_BYTE, 1) == 3


def test_msx_03_a_masked_vector_waits_and_is_sent_once(vectors: Host) -> None:
    vectors.write(MSIX + 16 + 12, 4, 1)
    vectors.interrupt(queue=0)
    vectors.interrupt(queue=0)
    vectors.interrupt(config_change=True)
    assert vectors.sent() == [message(0)]
    assert vectors.read(PENDING, 8) == 2
    vectors.write(MSIX + 16 + 12, 1, 0)
    assert vectors.sent() == [message(1)]
    assert vectors.read(PENDING, 8) == 0
    vectors.write(MSIX + 16 + 12, 1, 1)
    vectors.write(MSIX + 16 + 12, 1, 0)
    assert vectors.sent() == []


def test_msx_04_the_function_mask_holds_everything(vectors: Host) -> None:
    vectors.config_write(MSIX_CONTROL, 2, ENABLE | MASK_ALL)
    vectors.interrupt(queue=0)
    vectors.interrupt(config_change=True)
    assert vectors.sent() == []
    assert vectors.read(PENDING, 4) == 3
    vectors.config_write(MSIX_CONTROL, 2, ENABLE)
    assert vectors.sent() == [message(0), message(1)]
    assert vectors.read(PENDING, 4) == 0


def test_msx_04_without_enable_nothing_is_sent_and_what_was_pending_waits(vectors: Host) -> None:
    vectors.config_write(COMMAND, 2, 0x406)
    vectors.config_write(MSIX_CONTROL, 2, ENABLE | MASK_ALL)
    vectors.interrupt(queue=0)
    vectors.config_write(MSIX_CONTROL, 2, 0)
    vectors.interrupt(queue=1)
    assert vectors.sent() == []
    assert vectors.read(PENDING, 4) == 2
    vectors.config_write(MSIX_CONTROL, 2, ENABLE)
    assert vectors.sent() == [message(1)]


@pytest.mark.parametrize(("offset", "off", "on"), [(COMMAND, 0x002, 0x006), (POWER, 3, 0)])
def test_nothing_is_sent_without_bus_master_or_in_d3hot(vectors: Host, offset: int, off: int, on: int) -> None:
    vectors.config_write(offset, 2, off)
    vectors.interrupt(queue=0)
    assert vectors.sent() == []
    vectors.config_write(offset, 2, on)
    assert vectors.sent() == [message(1)]


def test_mmr_25_behind_a_closed_gate_queues_wait_and_the_configuration_does_not(vectors: Host) -> None:
    # Queue 1 has the vector of the configuration.
    vectors.write(QUEUE_VECTOR, 2, 0)
    vectors.write(GATE, 1, 0)
    for queue in range(2):
        vectors.interrupt(queue=queue)
    assert (vectors.sent(), vectors.read(PENDING, 4)) == ([], 3)
    vectors.interrupt(config_change=True)
    assert (vectors.sent(), vectors.read(PENDING, 4)) == ([message(0)], 3)
    vectors.write(GATE, 1, 1)
    assert (vectors.sent(), vectors.read(PENDING, 4)) == ([message(0), message(1)], 0)


def test_mmr_25_a_message_for_both_reasons_tells_both(vectors: Host) -> None:
    vectors.write(QUEUE_VECTOR, 2, 0)
    vectors.write(MSIX + 12, 4, 1)
    vectors.interrupt(queue=1)
    vectors.interrupt(config_change=True)
    vectors.write(MSIX + 12, 4, 0)
    assert (vectors.sent(), vectors.read(PENDING, 4)) == ([message(0)], 0)


def test_the_requester_is_the_captured_function(vectors: Host) -> None:
    vectors.model.bus, vectors.model.device = 0x12, 0x1F
    vectors.interrupt()
    assert [tlp.requester for tlp in vectors.sent()] == [0x12F8]


# Resets


def test_a_reset_by_status_forgets_what_is_pending_but_not_the_table(vectors: Host) -> None:
    table = vectors.read_bytes(MSIX, 48)
    vectors.config_write(MSIX_CONTROL, 2, ENABLE | MASK_ALL)
    vectors.interrupt(queue=0)
    vectors.write(STATUS, 1, 0)
    vectors.reset_done()
    vectors.config_write(MSIX_CONTROL, 2, ENABLE)
    vectors.interrupt(queue=0)
    assert vectors.sent() == []
    assert vectors.read_bytes(MSIX, 48) == table


def test_a_function_level_reset_returns_the_table_to_its_reset_values(vectors: Host) -> None:
    vectors.write(MSIX + 28, 4, 1)
    vectors.interrupt(queue=0)
    vectors.config_write(DEVICE_CONTROL, 2, 0x8000)
    fresh = Host(net())
    for name in ("msix_table", "msix_pending"):
        assert vectors.model.state()[name] == fresh.model.state()[name]
    assert vectors.sent() == []


def test_a_function_that_must_stop_sends_its_configuration_interrupt_alone(vectors: Host) -> None:
    vectors.write(STATUS, 1, 7)
    vectors.config_write(MSIX_CONTROL, 2, ENABLE | MASK_ALL)
    vectors.interrupt(queue=0)
    vectors.write(CONTROL + 0x20, 4, 1)
    vectors.config_write(MSIX_CONTROL, 2, ENABLE)
    assert vectors.sent() == [message(0)]
    vectors.reset_done()
    vectors.interrupt(queue=0)
    assert vectors.sent() == []


# INTx


def test_leg_42_inta_follows_the_isr(host: Host) -> None:
    host.interrupt()
    assert host.sent() == [assert_inta()]
    host.interrupt(config_change=True)
    assert host.sent() == []
    assert host.read(ISR_BYTE, 1) == 3
    assert host.sent() == [deassert_inta()]


def test_leg_42_inta_is_no_matter_of_bus_mastering(host: Host) -> None:
    host.config_write(COMMAND, 2, 0x002)
    host.interrupt()
    assert host.sent() == [assert_inta()]


@pytest.mark.parametrize(("offset", "off", "on"), [
    (COMMAND, 0x406, 0x006), (MSIX_CONTROL, ENABLE, 0), (POWER, 3, 0)])
def test_leg_42_inta_is_lowered_by_whatever_forbids_it(host: Host, offset: int, off: int, on: int) -> None:
    host.interrupt()
    assert host.sent() == [assert_inta()]
    host.config_write(offset, 2, off)
    assert host.sent() == [deassert_inta()]
    host.config_write(offset, 2, on)
    assert host.sent() == [assert_inta()]


def test_mmr_25_a_closed_gate_holds_inta_back_for_queues_alone(host: Host) -> None:
    host.write(GATE, 1, 0)
    host.interrupt()
    assert host.sent() == []
    assert host.config_read(0x06, 2) & 8 == 0
    host.interrupt(config_change=True)
    assert host.sent() == [assert_inta()]
    host.read(ISR_BYTE, 1)
    host.interrupt()
    assert host.sent() == [deassert_inta()]
    host.write(GATE, 1, 1)
    assert host.sent() == [assert_inta()]
    host.write(GATE, 1, 0)
    assert host.sent() == [deassert_inta()]


@pytest.mark.parametrize("how", ["status", "flr"])
def test_a_reset_lowers_inta(host: Host, how: str) -> None:
    host.interrupt()
    host.sent()
    if how == "status":
        host.write(STATUS, 1, 0)
    else:
        host.config_write(DEVICE_CONTROL, 2, 0x8000)
    assert host.sent() == [deassert_inta()]


def test_a_device_without_the_pin_never_sends_it() -> None:
    host = Host(net(intx=False))
    host.interrupt()
    assert host.sent() == []
    assert host.config_read(0x06, 2) & 8 == 8

"""The golden model's control page, configuration space and back-end boundary."""

import pytest
from model_devices import CONTROL, DEVICE, MSIX, Host, block, console, net
from virtio_mmr.config.device import Control
from virtio_mmr.spec.control import BadState
from virtio_mmr_sim.model.events import DriverEvent, ResetCause
from virtio_mmr_sim.model.tlp import ConfigRequest, MemoryRequest

MAGIC, SUPPORTED, ENDIAN, GENERATION, BADSTATE = (CONTROL + at for at in (0x00, 0x08, 0x0C, 0x10, 0x14))
REQUIRED, FORBIDDEN, REJECT, PLATFORM = (CONTROL + at for at in (0x18, 0x1C, 0x20, 0x24))
ACCEPTED, PAGE, NOTIFY, STATUS, ISR = 0x04, 0x08, 0x10, 0x12, 0x13
GATE = PLATFORM + 1

#: Configuration space.
COMMAND, CONFIG_STATUS, POWER, MSIX_CONTROL, DEVICE_CONTROL, DEVICE_STATUS = 0x04, 0x06, 0x44, 0x4A, 0xC8, 0xCA


@pytest.fixture
def host() -> Host:
    return Host(net())


def streams(host: Host) -> list[str]:
    return [stream for stream, _ in host.model.drain()]


def generation_steps(host: Host) -> int:
    """How often the generation changed since the last call."""
    before: int = getattr(host, "seen_generation", 0)
    now = host.read(GENERATION, 4)
    host.seen_generation = now    # type: ignore[attr-defined]
    return (now - before) % 2**32


def test_constants(host: Host) -> None:
    assert host.read_bytes(MAGIC, 8) == b"VMMR\x01\x00\x00\x00"
    assert host.read(SUPPORTED, 4) == 0x1F
    assert host.read(PLATFORM, 4) == 0x103
    assert host.read(REJECT, 4) == 0
    for offset in (0x00, 0x04, 0x08, 0x10):
        host.write(CONTROL + offset, 4, 0)
    assert host.read_bytes(MAGIC, 4) == b"VMMR"


def test_the_page_ends_in_zeros(host: Host) -> None:
    host.write(CONTROL + 0x28, 4, 1)
    assert host.read_bytes(CONTROL + 0x28, 0x80) == bytes(0x80)


# Byte order


@pytest.mark.parametrize("msix", [False, True])
def test_big_endian_swaps_fields_in_the_legacy_window_alone(msix: bool) -> None:
    host = Host(net())
    host.msix(msix)
    host.write(ENDIAN, 1, 1)
    assert host.read(ENDIAN, 4) == 0x101
    assert host.read_bytes(0x18 if msix else 0x14, 12) == bytes.fromhex("525400123456 0001 0001 05dc")
    assert host.read_bytes(DEVICE, 12) == bytes.fromhex("525400123456 0100 0100 dc05")
    assert host.read(0x0C, 2) == 128


def test_big_endian_swaps_every_width() -> None:
    host = Host(block())
    host.write(ENDIAN, 1, 1)
    assert host.read_bytes(0x14, 8) == 0x0123_4567_89AB.to_bytes(8, "big")
    assert host.read_bytes(0x14 + 20, 4) == (512).to_bytes(4, "big")
    assert host.read_bytes(0x14 + 32, 4) == b"\x01\x00\x00\x01"


def test_big_endian_writes_reach_the_byte_that_they_name() -> None:
    host = Host(console())
    host.write(ENDIAN, 1, 1)
    host.write(0x14 + 8, 1, 0x44)
    assert host.read_bytes(DEVICE + 8, 4) == b"\x00\x00\x00\x44"
    assert host.model.drain() == [
        ("config_write", {"function": 0, "offset": 8, "data": 0x4400_0000, "strobe": 0x8})]


def test_byte_order_is_locked_while_the_status_is_not_zero(host: Host) -> None:
    host.write(STATUS, 1, 1)
    host.write(ENDIAN, 1, 1)
    assert host.read(ENDIAN, 4) == 0x100
    host.write(STATUS, 1, 0)
    host.write(ENDIAN, 1, 1)
    host.write(STATUS, 1, 0)
    assert host.read(ENDIAN, 4) == 0x101


def test_byte_order_stays_little_if_the_back_end_has_no_other() -> None:
    host = Host(net(control=Control(big_endian=False)))
    host.write(ENDIAN, 4, 1)
    assert host.read(ENDIAN, 4) == 0


# Generation


def test_generation_counts_changes_and_nothing_else(host: Host) -> None:
    assert host.read(GENERATION, 4) == 0
    for _ in range(3):
        host.read_bytes(0, 0x40)
        host.interrupt(config_change=True)
    assert generation_steps(host) == 0
    host.write(0x14, 1, 5)
    assert generation_steps(host) == 1
    host.write(0x14, 8, 5)                      # two dwords with bytes of the driver
    assert generation_steps(host) == 2
    host.write(0x1C, 4, 5)                      # none of these bytes is the driver's
    assert generation_steps(host) == 0
    host.msix(True)
    host.msix(True)
    assert generation_steps(host) == 1
    host.write(STATUS, 1, 7)
    host.model.fault(0, 0, 0, 2)
    assert generation_steps(host) == 1
    host.write(STATUS, 1, 0)
    host.write(STATUS, 1, 0)
    assert generation_steps(host) == 1


def test_generation_wraps_at_32_bits(host: Host) -> None:
    host.model.function.generation = 0xFFFF_FFFF
    host.write(0x14, 1, 5)
    assert host.read(GENERATION, 4) == 0


def test_an_update_by_the_device_is_applied_as_one() -> None:
    host = Host(block())
    host.model.config_update(0, 0, 0xAAAA_AAAA, 0xF, False)
    host.model.config_update(0, 4, 0xBBBB_BBBB, 0x3, False)
    assert host.read(0x14, 8) == 0x0123_4567_89AB
    assert host.read(GENERATION, 4) == 0
    host.model.config_update(0, 8, 0xCCCC_CCCC, 0xF, True)
    assert host.read(0x14, 8) == 0xBBBB_AAAA_AAAA
    assert host.read(0x1C, 4) == 0
    assert host.read(GENERATION, 4) == 1
    assert host.read(ISR, 1) == 0


def test_updates_for_other_functions_and_places_are_ignored(host: Host) -> None:
    before = host.read_bytes(DEVICE, 12)
    host.model.config_update(1, 0, 0xAAAA_AAAA, 0xF, True)
    host.model.config_update(0, 64, 0xAAAA_AAAA, 0xF, True)
    assert host.read_bytes(DEVICE, 12) == before


# Bad state


def test_reject_stops_the_function(host: Host) -> None:
    host.write(PAGE, 4, 1)
    host.write(STATUS, 1, 7)
    host.model.drain()
    host.write(NOTIFY, 2, 0)
    host.write(REJECT, 4, 0xFFFF_FFFE)
    assert host.read(BADSTATE, 4) == 0
    host.write(REJECT, 4, 1)
    assert host.read(BADSTATE, 4) == BadState.REJECTED
    assert (host.read(STATUS, 1), host.read(ISR, 1)) == (0x47, 2)
    assert host.model.drain() == [
        ("reset_request", {"function": 0, "epoch": 1, "cause": ResetCause.BAD_STATE})]
    assert host.read(PAGE, 4) == 1
    host.model.reset_done(0, 1)
    assert streams(host) == []


def test_in_a_bad_state_only_configuration_interrupts_pass(host: Host) -> None:
    host.write(REJECT, 4, 1)
    host.reset_done()
    host.interrupt()
    assert host.read(ISR, 1) == 0
    host.interrupt(config_change=True)
    assert host.read(ISR, 1) == 2


def test_a_bad_state_outlives_the_reset_until_it_is_cleared(host: Host) -> None:
    host.write(STATUS, 1, 7)
    host.model.fault(0, 0, 0, 1)
    host.write(BADSTATE, 4, 0xFFFF_FFFF)
    assert host.read(BADSTATE, 4) == BadState.QUEUE_ADDRESS
    host.write(STATUS, 1, 0)
    assert host.read(STATUS, 1) == 0
    host.write(STATUS, 1, 3)
    assert host.read(STATUS, 1) == 3
    host.write(STATUS, 1, 7)
    assert (host.read(STATUS, 1), host.read(ISR, 1)) == (0x47, 2)
    host.write(STATUS, 1, 0)
    host.write(BADSTATE, 1, 1 << 2)
    assert host.read(BADSTATE, 4) == BadState.QUEUE_ADDRESS
    host.write(BADSTATE, 1, 1 << 1)
    assert host.read(BADSTATE, 4) == 0
    host.write(STATUS, 1, 7)
    assert host.read(STATUS, 1) == 7


def test_clearing_it_gives_back_what_was_pending(host: Host) -> None:
    host.write(PAGE, 4, 1)
    host.write(REJECT, 4, 1)
    host.write(NOTIFY, 2, 0)
    host.reset_done()
    assert streams(host) == ["queue_update"]
    host.write(BADSTATE, 4, BadState.REJECTED)
    assert streams(host) == ["notification"]


@pytest.mark.parametrize(("cause", "bits"), [(0, 0), (1, 2), (2, 4), (3, 8), (4, 0), (8, 0), (15, 0)])
def test_faults_1_to_3_are_the_back_ends(host: Host, cause: int, bits: int) -> None:
    host.model.fault(0, 0, 0, cause)
    assert host.read(BADSTATE, 4) == bits


def test_faults_of_another_epoch_or_function_are_dropped(host: Host) -> None:
    host.model.fault(0, 1, 0, 1)
    host.model.fault(1, 0, 0, 1)
    host.write(STATUS, 1, 0)
    host.model.fault(0, 1, 0, 1)
    assert host.read(BADSTATE, 4) == 0


# Policy


def test_required_features_are_judged_at_driver_ok(host: Host) -> None:
    host.write(REQUIRED, 4, 1 << 16)
    host.write(STATUS, 1, 3)
    assert host.read(BADSTATE, 4) == 0
    host.write(STATUS, 1, 7)
    assert host.read(BADSTATE, 4) == BadState.POLICY
    assert host.read(STATUS, 1) == 0x47


def test_required_features_that_were_accepted_are_fine(host: Host) -> None:
    host.write(REQUIRED, 4, 1 << 16)
    host.write(ACCEPTED, 4, 1 << 16)
    host.write(STATUS, 1, 7)
    assert host.read(BADSTATE, 4) == 0


def test_required_features_are_judged_at_the_first_notification_if_that_is_first(host: Host) -> None:
    host.write(REQUIRED, 4, 1 << 16)
    host.write(STATUS, 1, 3)
    host.write(NOTIFY, 2, 0)
    assert host.read(BADSTATE, 4) == 0
    host.write(PAGE, 4, 1)
    host.write(NOTIFY, 2, 0)
    assert host.read(BADSTATE, 4) == BadState.POLICY


def test_a_driver_is_judged_once_by_its_notifications(host: Host) -> None:
    host.write(PAGE, 4, 1)
    host.write(NOTIFY, 2, 0)
    host.write(REQUIRED, 4, 1 << 16)
    host.write(NOTIFY, 2, 0)
    assert host.read(BADSTATE, 4) == 0
    host.write(STATUS, 1, 7)
    assert host.read(BADSTATE, 4) == BadState.POLICY


def test_forbidden_features_are_hidden_and_not_to_be_written(host: Host) -> None:
    host.write(FORBIDDEN, 4, 1 << 16 | 1 << 3)
    assert host.read(0x00, 4) == net().features & ~(1 << 16)
    host.write(ACCEPTED, 4, 1 << 5)
    assert host.read(BADSTATE, 4) == 0
    host.write(ACCEPTED, 4, 1 << 3)
    assert host.read(BADSTATE, 4) == BadState.POLICY
    assert host.read(ACCEPTED, 4) == 0


def test_forbidden_is_judged_on_the_bytes_that_were_written(host: Host) -> None:
    host.write(FORBIDDEN, 4, 1 << 16)
    host.send(MemoryRequest(write=True, address=0xF000_0004, first_be=0b1011, payload=(0xFFFF_FFFF,)))
    assert host.read(BADSTATE, 4) == 0
    host.send(MemoryRequest(write=True, address=0xF000_0004, first_be=0b0100, payload=(1 << 16,)))
    assert host.read(BADSTATE, 4) == BadState.POLICY


def test_a_forbidden_bit_does_not_matter_while_the_write_is_ignored(host: Host) -> None:
    host.write(FORBIDDEN, 4, 1 << 16)
    host.write(STATUS, 1, 0x0B)
    host.write(ACCEPTED, 4, 1 << 16)
    assert host.read(BADSTATE, 4) == 0


def test_forbidden_is_locked_while_the_status_is_not_zero_and_required_is_not(host: Host) -> None:
    host.write(STATUS, 1, 1)
    host.write(FORBIDDEN, 4, 5)
    host.write(REQUIRED, 4, 5)
    assert (host.read(FORBIDDEN, 4), host.read(REQUIRED, 4)) == (0, 5)


# Gate


def test_a_closed_gate_holds_notifications(host: Host) -> None:
    host.write(PAGE, 4, 1)
    host.write(GATE, 1, 0)
    host.write(NOTIFY, 2, 0)
    assert [fields.get("event") for _, fields in host.model.drain()] == [DriverEvent.GATE_CLOSE, None]
    host.write(GATE, 1, 1)
    assert host.model.drain({"notification"}) == []
    assert streams(host) == ["driver_update", "notification"]


def test_gate_writes_without_a_change_or_in_another_lane_are_silent(host: Host) -> None:
    host.write(GATE, 1, 1)
    host.write(PLATFORM, 1, 0)
    host.write(PLATFORM + 2, 2, 0)
    assert host.read(PLATFORM, 4) == 0x103
    assert streams(host) == []


def test_the_gate_starts_as_built() -> None:
    assert Host(net(control=Control(gate_open=False))).read(PLATFORM, 4) == 0x003


def test_settings_outlive_a_status_reset_but_not_a_function_level_reset(host: Host) -> None:
    host.write(REQUIRED, 4, 1)
    host.write(FORBIDDEN, 4, 2)
    host.write(GATE, 1, 0)
    host.write(ENDIAN, 1, 1)
    kept = host.read_bytes(CONTROL, 0x10), host.read_bytes(REQUIRED, 0x10)
    host.write(STATUS, 1, 0)
    assert (host.read_bytes(CONTROL, 0x10), host.read_bytes(REQUIRED, 0x10)) == kept
    host.config_write(DEVICE_CONTROL, 2, 0x8000)
    fresh = Host(net())
    assert host.model.function.hypervisor == fresh.model.function.hypervisor


# The boundary


def test_events_come_in_their_order_and_one_at_a_time(host: Host) -> None:
    host.write(STATUS, 1, 0)
    host.write(0x14, 1, 3)
    host.write(PAGE, 4, 1)
    host.write(NOTIFY, 2, 0)
    host.write(ACCEPTED, 4, 0)
    host.write(STATUS, 1, 7)
    host.write(GATE, 1, 0)
    host.write(GATE, 1, 1)
    assert [stream for stream, _ in host.model.drain(limit=1)] == ["reset_request"]
    host.model.reset_done(0, 1)
    events = host.model.drain()
    assert [stream for stream, _ in events] == [
        "driver_update", "driver_update", "driver_update", "queue_update", "config_write", "notification"]
    assert [fields["event"] for _, fields in events[:3]] == [
        DriverEvent.DRIVER_OK, DriverEvent.FEATURES, DriverEvent.GATE_OPEN]


# Configuration space


def test_identity_and_reset_values(host: Host) -> None:
    assert host.config_read(0x00) == 0x10F9_1AF4
    assert host.config_read(0x2C) == 0x0001_1AF4
    assert host.config_read(0x3C, 2) == 0x0100
    assert host.config_read(MSIX_CONTROL, 2) == 2
    assert host.config_read(POWER, 2) == 8


def test_bar_sizing(host: Host) -> None:
    host.config_write(0x10, 4, 0xFFFF_FFFF)
    host.config_write(0x14, 4, 0xFFFF_FFFF)
    assert (host.config_read(0x10), host.config_read(0x14)) == (0xFFFF_8004, 0xFFFF_FFFF)
    host.config_write(0x18, 4, 0xFFFF_FFFF)
    assert host.config_read(0x18) == 0


def test_read_only_bits_stay_and_every_dword_answers(host: Host) -> None:
    before = host.model.state()["configuration"]
    assert isinstance(before, bytes)
    writable = host.model.space.layout.write_mask()
    for offset in range(0, 4096, 4):
        if offset != DEVICE_CONTROL:
            host.config_write(offset, 4, 0xFFFF_FFFF)
        host.config_read(offset)
    after = host.model.state()["configuration"]
    assert isinstance(after, bytes)
    assert all((old ^ new) & ~mask == 0 for old, new, mask in zip(before, after, writable, strict=True))


def test_configuration_writes_honour_byte_enables(host: Host) -> None:
    host.config_write(COMMAND + 1, 1, 0xFF)
    assert host.config_read(COMMAND, 2) == 0x0506
    host.config_write(COMMAND, 1, 0)
    assert host.config_read(COMMAND, 2) == 0x0500


def test_configuration_reads_show_enabled_bytes_alone(host: Host) -> None:
    [completion] = host.send(ConfigRequest(bus=1, offset=0, first_be=0b0110, tag=3))
    assert completion == [0x4A00_0001, 0x0100_0004, 0x0000_0300, 0x00F9_1A00]


def test_sticky_bits_clear_only_when_written_one(host: Host) -> None:
    host.send(MemoryRequest(address=0))
    assert host.config_read(DEVICE_STATUS, 2) == 0x9
    host.config_write(DEVICE_STATUS, 2, 0)
    assert host.config_read(DEVICE_STATUS, 2) == 0x9
    host.config_write(DEVICE_STATUS, 2, 0x8)
    assert host.config_read(DEVICE_STATUS, 2) == 0x1


@pytest.mark.parametrize(("written", "reads"), [(3, 3), (1, 0), (2, 0), (0, 0)])
def test_only_d0_and_d3hot_are_taken(host: Host, written: int, reads: int) -> None:
    host.config_write(POWER, 2, written)
    assert host.config_read(POWER, 2) == 8 | reads


def test_state_outlives_d3hot(host: Host) -> None:
    host.write(STATUS, 1, 7)
    host.config_write(POWER, 1, 3)
    [completion] = host.send(MemoryRequest(address=0xF000_0010))
    assert completion[1] >> 13 & 7 == 1
    host.config_write(POWER, 1, 0)
    assert host.read(STATUS, 1) == 7


def test_a_function_level_reset_applies_nothing_else_of_its_write(host: Host) -> None:
    host.config_write(DEVICE_CONTROL, 4, 0x000F_FFFF)
    assert host.config_read(DEVICE_CONTROL, 4) == 0x0000_2810
    host.config_write(COMMAND, 2, 2)
    host.send(ConfigRequest(write=True, bus=7, device=3, offset=DEVICE_CONTROL, first_be=1, data=0x8000 | 0x2F))
    assert host.config_read(COMMAND, 2) == 2
    host.config_write(DEVICE_CONTROL, 1, 0x2F)
    assert host.config_read(DEVICE_CONTROL, 2) == 0x282F
    # Max_Payload_Size stays.
    [completion] = host.send(
        ConfigRequest(write=True, bus=7, device=3, offset=DEVICE_CONTROL, first_be=2, data=0x8000))
    assert completion == [0x0A00_0000, 0x0718_0004, 0]
    assert host.config_read(COMMAND, 2) == 0
    assert host.config_read(DEVICE_CONTROL, 2) == 0x2830
    assert (host.model.bus, host.model.device) == (7, 3)


def test_the_lowest_bar_wins_and_only_enabled_bars_decode(host: Host) -> None:
    host.config_write(0x10, 4, 0xE000_0000)
    [completion] = host.send(MemoryRequest(address=0xF000_0000))
    assert completion[1] >> 13 & 7 == 1
    [completion] = host.send(MemoryRequest(address=0xE000_0000))
    assert completion[3] == net().features


# MSI-X table


def test_behind_the_msix_table_there_is_nothing(host: Host) -> None:
    for offset in (48, 0x7FC, 0x800, 0xFFC):
        host.write(MSIX + offset, 4, 0xFFFF_FFFF)
        assert host.read(MSIX + offset, 4) == 0

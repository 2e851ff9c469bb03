"""What the golden model does with packets that it cannot or must not serve, row by row."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from model_devices import BASE, HOLE, IO_BASE, Host, entropy, net
from virtio_mmr.config.device import Bar, BarKind, Datapath, Region, Space
from virtio_mmr.spec.tlp import MESSAGES_ACCEPTED, TlpType
from virtio_mmr_sim.model.malformed import Malformed, why_malformed
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Message,
    Tlp,
    build,
    memory_read,
    memory_write,
)

#: Device Status bits.
CED, NFED, FED, URD = 1, 2, 4, 8
STATUS = 0x12
OUTSIDE = 0x1000


@pytest.fixture
def host() -> Host:
    return Host(net())


class Outcome:
    """What a packet changed: completions, counters, error pulses, sticky bits."""

    def __init__(self, host: Host, dwords: Sequence[int]):
        before = host.model.state()
        self.completions = host.model.receive(dwords)
        after = host.model.state()
        names = ("count_malformed", "count_poisoned", "count_unsupported", "count_unexpected", "count_hole",
                 "error_correctable", "error_nonfatal", "error_fatal")
        self.changed = {name: after[name] - before[name]    # type: ignore[operator]
                        for name in names if after[name] != before[name]}
        self.device_status = host.config_read(0xCA, 2)
        self.parity = host.config_read(0x06, 2) >> 15
        quiet = {*names, "configuration"}
        self.applied = {name for name in after if name not in quiet and after[name] != before[name]}


def send(host: Host, tlp: Tlp) -> Outcome:
    return Outcome(host, build(tlp))


def is_unsupported_completion(outcome: Outcome, tag: int = 0, locked: bool = False) -> bool:
    [completion] = outcome.completions
    return (completion[0] >> 24 == (0x0B if locked else 0x0A) and completion[1] >> 13 & 7 == 1
            and completion[2] >> 8 & 0xFF == tag and len(completion) == 3)


UNSUPPORTED_NON_POSTED = {"count_unsupported": 1, "error_correctable": 1}
UNSUPPORTED_POSTED = {"count_unsupported": 1, "error_nonfatal": 1}
POISONED_NON_POSTED = {"count_poisoned": 1, "error_correctable": 1}
POISONED_POSTED = {"count_poisoned": 1, "error_nonfatal": 1}
MALFORMED = {"count_malformed": 1, "error_fatal": 1}


def test_reads_outside_every_bar_are_unsupported(host: Host) -> None:
    outcome = send(host, memory_read(OUTSIDE + 1, 2, tag=7))
    assert is_unsupported_completion(outcome, 7)
    assert outcome.completions[0][1] & 0xFFF == 2
    assert outcome.completions[0][2] & 0x7F == 1
    assert outcome.changed == UNSUPPORTED_NON_POSTED
    assert outcome.device_status == URD | CED


def test_writes_outside_every_bar_are_dropped_and_logged(host: Host) -> None:
    outcome = send(host, memory_write(OUTSIDE, b"abcd"))
    assert outcome.completions == []
    assert outcome.changed == UNSUPPORTED_POSTED
    assert outcome.device_status == URD | NFED


def test_one_unsupported_completion_answers_a_long_read(host: Host) -> None:
    outcome = send(host, MemoryRequest(address=OUTSIDE, length=1024, last_be=0xF))
    assert is_unsupported_completion(outcome)
    assert outcome.completions[0][1] & 0xFFF == 0


def test_without_memory_enable_nothing_decodes(host: Host) -> None:
    host.config_write(0x04, 2, 0x0004)
    assert is_unsupported_completion(send(host, memory_read(BASE, 4)))
    assert send(host, memory_write(BASE + STATUS, b"\x01")).changed == UNSUPPORTED_POSTED
    assert host.config_read(0x00) == 0x10F9_1AF4


def test_io_requests_without_an_io_bar_are_unsupported(host: Host) -> None:
    for request in (IoRequest(address=IO_BASE), IoRequest(write=True, address=IO_BASE, data=1)):
        outcome = send(host, request)
        assert is_unsupported_completion(outcome)
        assert outcome.changed == UNSUPPORTED_NON_POSTED
        assert outcome.completions[0][1] & 0xFFF == 4


def test_io_requests_without_io_enable_are_unsupported() -> None:
    host = Host(entropy(), command=6)
    assert is_unsupported_completion(send(host, IoRequest(address=IO_BASE)))


def test_memory_requests_do_not_hit_io_bars() -> None:
    host = Host(entropy())
    assert is_unsupported_completion(send(host, memory_read(IO_BASE, 4)))


@pytest.mark.parametrize("write", [False, True])
def test_other_functions_do_not_exist(host: Host, write: bool) -> None:
    outcome = send(host, ConfigRequest(bus=5, function=1, offset=4, write=write, tag=3))
    assert outcome.completions == [[0x0A00_0000, 0x0100_2004, 0x0000_0300]]
    assert outcome.changed == UNSUPPORTED_NON_POSTED
    assert outcome.applied == set()


def test_registers_that_do_not_exist_read_zero(host: Host) -> None:
    host.config_write(0xFFC, 4, 1)
    assert host.config_read(0xFFC) == 0


@pytest.mark.parametrize("write", [False, True])
def test_type_1_configuration_is_unsupported(host: Host, write: bool) -> None:
    outcome = send(host, ConfigRequest(bus=5, type1=True, offset=4, write=write))
    assert is_unsupported_completion(outcome)
    assert outcome.applied == set()


def test_locked_reads_are_unsupported(host: Host) -> None:
    outcome = send(host, replace(memory_read(BASE + 0x13, 1), locked=True))
    assert is_unsupported_completion(outcome, locked=True)
    assert outcome.completions[0][1] & 0xFFF == 1
    assert outcome.completions[0][2] & 0x7F == 0x13
    assert outcome.changed == UNSUPPORTED_NON_POSTED


@pytest.mark.parametrize("operation", [TlpType.FETCH_ADD, TlpType.SWAP, TlpType.COMPARE_SWAP])
def test_atomic_operations_are_unsupported(host: Host, operation: TlpType) -> None:
    outcome = send(host, AtomicRequest(operation=operation, address=BASE + 0x10, payload=(7 << 16,)))
    assert is_unsupported_completion(outcome)
    assert (outcome.completions[0][1] & 0xFFF, outcome.completions[0][2] & 0x7F) == (4, 0)
    assert outcome.applied == set()


def test_poisoned_memory_writes_are_not_applied(host: Host) -> None:
    outcome = send(host, replace(memory_write(BASE + STATUS, b"\x07"), poisoned=True))
    assert outcome.completions == [] and outcome.applied == set()
    assert outcome.changed == POISONED_POSTED
    assert (outcome.device_status, outcome.parity) == (NFED, 1)


@pytest.mark.parametrize("request_", [
    IoRequest(write=True, address=IO_BASE, data=1, poisoned=True),
    ConfigRequest(write=True, bus=9, offset=4, data=0, poisoned=True),
    ConfigRequest(write=True, bus=9, offset=4, data=0, poisoned=True, type1=True),
    ConfigRequest(write=True, bus=9, function=2, offset=4, data=0, poisoned=True),
    AtomicRequest(operation=TlpType.SWAP, address=BASE, payload=(1,), poisoned=True),
])
def test_poisoned_non_posted_requests_are_answered_and_not_applied(host: Host, request_: Tlp) -> None:
    outcome = send(host, request_)
    assert is_unsupported_completion(outcome) and outcome.applied == set()
    assert outcome.changed == POISONED_NON_POSTED
    assert (outcome.device_status, outcome.parity) == (URD | CED, 1)
    assert host.config_read(0x04, 2) == 0x0406


def test_poison_means_nothing_without_data(host: Host) -> None:
    outcome = send(host, replace(memory_read(BASE, 4), poisoned=True))
    assert outcome.completions[0][3] == net().features
    assert outcome.changed == {}
    assert send(host, ConfigRequest(bus=1, offset=0, poisoned=True)).completions[0][3] == 0x10F9_1AF4


def test_a_wide_header_below_4_gib_decodes_unless_strict(host: Host) -> None:
    request = replace(memory_read(BASE, 4), wide=True)
    assert send(host, request).completions[0][3] == net().features
    strict = Host(net(datapath=Datapath(strict_64bit=True)))
    assert is_unsupported_completion(send(strict, request))
    write = replace(memory_write(BASE + STATUS, b"\x07"), wide=True)
    outcome = send(strict, write)
    assert outcome.changed == UNSUPPORTED_POSTED and outcome.applied == set()
    strict.config_write(0x14, 4, 1)
    assert send(strict, memory_read(1 << 32 | BASE, 4)).completions[0][3] == net().features


def test_dwords_of_a_bar_that_no_region_claims_are_holes(host: Host) -> None:
    outcome = send(host, memory_read(BASE + HOLE, 16))
    assert outcome.completions[0][3:] == [0, 0, 0, 0]
    assert outcome.changed == {"count_hole": 4}
    outcome = send(host, memory_write(BASE + HOLE, b"abcdefgh"))
    assert outcome.completions == [] and outcome.changed == {"count_hole": 2}
    assert outcome.device_status == 0


def test_a_request_is_decoded_by_its_first_dword() -> None:
    """A read that runs over the end of a small BAR gets zeros from there on."""
    legacy = (Region(space=Space.LEGACY, offset=0, size=0x20),)
    host = Host(net(bars=tuple(
        Bar(index=index, kind=BarKind.MEMORY32, regions=legacy) for index in range(2)), msix_vectors=0))
    host.config_write(0x14, 4, BASE + 0x20)
    outcome = send(host, memory_read(BASE + 0x1C, 16))
    assert outcome.completions[0][3:] == [0x05DC_0001, 0, 0, 0]
    assert outcome.changed == {"count_hole": 3}


@pytest.mark.parametrize("payload", [None, (1, 2)])
def test_messages_of_everyday_life_are_dropped_in_silence(host: Host, payload: tuple[int, ...] | None) -> None:
    for code in [*sorted(MESSAGES_ACCEPTED), 0x7F]:
        outcome = send(host, Message(code=code, payload=payload))
        assert outcome.completions == [] and outcome.changed == {}


@pytest.mark.parametrize("code", [0x7E, 0x20, 0x30, 0xFF])
def test_other_messages_are_unsupported(host: Host, code: int) -> None:
    outcome = send(host, Message(code=code))
    assert outcome.completions == []
    assert outcome.changed == UNSUPPORTED_POSTED
    assert outcome.device_status == URD | NFED


@pytest.mark.parametrize("code", [0x50, 0x7E, 0x7F])
def test_poisoned_messages_are_dropped_as_poisoned(host: Host, code: int) -> None:
    outcome = send(host, Message(code=code, payload=(1,), poisoned=True))
    assert outcome.changed == POISONED_POSTED
    assert send(host, Message(code=0x50, poisoned=True)).changed == {}


@pytest.mark.parametrize("completion", [
    Completion(), Completion(payload=(1, 2)), Completion(locked=True), Completion(status=1),
    Completion(payload=(1,), poisoned=True), Completion(status=7),
])
def test_completions_are_unexpected(host: Host, completion: Completion) -> None:
    outcome = send(host, completion)
    assert outcome.completions == []
    assert outcome.changed == {"count_unexpected": 1, "error_correctable": 1}
    assert (outcome.device_status, outcome.parity) == (CED, 0)


READ = build(memory_read(BASE, 4))
WRITE = build(memory_write(BASE + STATUS, b"\x07"))
CONFIG = build(ConfigRequest(write=True, bus=1, offset=4, data=0))
IO = build(IoRequest(address=IO_BASE))


def with_bits(dwords: list[int], index: int, set_: int, clear: int = 0) -> list[int]:
    """The packet with some bits of one dword changed."""
    return [dword & ~clear | set_ if at == index else dword for at, dword in enumerate(dwords)]


def long_write(dwords: int, digest: int | None = None) -> list[int]:
    return build(MemoryRequest(write=True, address=BASE, length=dwords, last_be=0xF, payload=(0,) * dwords,
                               digest=digest))


@pytest.mark.parametrize(("dwords", "why"), [
    ([], Malformed.SIZE),
    (READ[:1], Malformed.SIZE),
    (with_bits(READ, 0, 0b100 << 29), Malformed.TYPE),
    (with_bits(WRITE, 0, 0x0100_0000), Malformed.TYPE),
    (with_bits(IO, 0, 0x2000_0000), Malformed.TYPE),
    (with_bits(READ, 0, 0x1F00_0000), Malformed.TYPE),
    (with_bits(READ, 0, 0x0C00_0000), Malformed.TYPE),
    (with_bits(READ, 0, 0x1000_0000), Malformed.TYPE),
    ([*READ, 0], Malformed.SIZE),
    (READ[:2], Malformed.SIZE),
    (WRITE[:3], Malformed.SIZE),
    ([*WRITE, 0], Malformed.SIZE),
    (with_bits(WRITE, 0, 1 << 15), Malformed.SIZE),
    (with_bits(CONFIG, 0, 2, 1), Malformed.SIZE),
    (long_write(33), Malformed.PAYLOAD),
    (long_write(33, digest=1), Malformed.PAYLOAD),
    (build(Completion(payload=(0,) * 33)), Malformed.PAYLOAD),
    (build(Message(code=0x7F, payload=(0,) * 33)), Malformed.PAYLOAD),
    (build(MemoryRequest(address=BASE + 0xFFC, length=2, last_be=0xF)), Malformed.CROSSING),
    (build(MemoryRequest(address=BASE + 4, length=1024, last_be=0xF)), Malformed.CROSSING),
    (build(MemoryRequest(address=BASE + 0xFFC, length=2, last_be=0xF, locked=True)), Malformed.CROSSING),
    (build(MemoryRequest(address=BASE + 0xFFC, length=2, last_be=0xF, write=True, payload=(0, 0))),
     Malformed.CROSSING),
    *((with_bits(packet, 0, bits), Malformed.FIXED_FIELDS)
      for packet in (CONFIG, IO) for bits in (1 << 20, 4 << 20, 1 << 12, 2 << 12)),
    (with_bits(CONFIG, 1, 0x10), Malformed.FIXED_FIELDS),
    (with_bits(IO, 1, 0xF0), Malformed.FIXED_FIELDS),
    (with_bits(IO, 0, 2, 1), Malformed.FIXED_FIELDS),
    (build(MemoryRequest(address=BASE, last_be=1)), Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE, length=2, first_be=0, last_be=1)), Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE, length=2, last_be=0)), Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE + 4, length=2, first_be=5, last_be=1)), Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE, length=3, first_be=7, last_be=1)), Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE, length=3, last_be=6, write=True, payload=(0, 0, 0))),
     Malformed.BYTE_ENABLES),
    (build(MemoryRequest(address=BASE, length=2, last_be=0, hint=True, write=True, payload=(0, 0))),
     Malformed.BYTE_ENABLES),
])
def test_malformed_packets_are_dropped(host: Host, dwords: list[int], why: Malformed) -> None:
    assert why_malformed(dwords, 128, True) is why
    outcome = Outcome(host, dwords)
    assert outcome.completions == [] and outcome.applied == set()
    assert outcome.changed == MALFORMED
    assert outcome.device_status == FED
    assert host.config_read(0x00) == 0x10F9_1AF4


@pytest.mark.parametrize("dwords", [
    long_write(32, digest=5),
    build(MemoryRequest(address=BASE, length=1024, last_be=0xF)),
    build(MemoryRequest(address=BASE + 0xFFC)),
    build(MemoryRequest(address=BASE, length=2, first_be=5, last_be=0xA)),
    build(MemoryRequest(address=BASE + 4, length=2, first_be=8, last_be=1)),
    build(MemoryRequest(address=BASE, first_be=0)),
    build(MemoryRequest(address=BASE, length=4, first_be=0, last_be=0, hint=True)),
])
def test_legal_packets_are_not_malformed(dwords: list[int]) -> None:
    assert why_malformed(dwords, 128, True) is None


def test_the_largest_payload_follows_device_control_up_to_what_the_device_can_take() -> None:
    narrow, wide = Host(net()), Host(net(datapath=Datapath(max_payload=512)))
    narrow.config_write(0xC8, 2, 0x2830)
    assert Outcome(narrow, long_write(33)).changed == MALFORMED
    host = wide
    assert Outcome(host, long_write(33)).changed == MALFORMED
    host.config_write(0xC8, 2, 0x2830)
    assert Outcome(host, long_write(33)).changed == {}
    assert Outcome(host, long_write(65)).changed == MALFORMED


def test_without_the_check_byte_enables_are_taken_literally() -> None:
    host = Host(net(datapath=Datapath(check_byte_enables=False)))
    send(host, MemoryRequest(write=True, address=BASE + 0x10, first_be=4, last_be=3, payload=(7 << 16,)))
    assert host.read(STATUS, 1) == 7
    payload = (0x0203_0000, 0x1111_1111, 0x2222_2222)
    send(host, MemoryRequest(write=True, address=BASE + 0x0C, length=3, first_be=0, last_be=4, payload=payload))
    assert (host.read(0x0E, 2), host.read(STATUS, 1)) == (0, 0x11)
    assert host.read_bytes(0x14, 4) == b"\x52\x54\x22\x12"
    [completion] = host.send(MemoryRequest(address=BASE + 0x0C, length=2, first_be=0, last_be=0))
    assert (completion[1] & 0xFFF, completion[2] & 0x7F, completion[3:]) == (8, 0x0C, [0, 0])


def test_a_steered_read_counts_as_all_enabled(host: Host) -> None:
    host.interrupt()
    [completion] = host.send(MemoryRequest(address=BASE + 0x10, first_be=1, last_be=0xA, hint=True))
    assert (completion[1] & 0xFFF, completion[2] & 0x7F, completion[3]) == (4, 0x10, 0x0100_0000)
    assert host.read(0x13, 1) == 0
    [completion] = host.send(MemoryRequest(address=BASE + 0x0C, length=2, first_be=0, last_be=0, hint=True))
    assert (completion[1] & 0xFFF, completion[3]) == (8, 128)


def test_a_steered_write_keeps_its_byte_enables(host: Host) -> None:
    host.send(MemoryRequest(write=True, address=BASE + 0x10, first_be=4, hint=True, payload=(0xFFFF_FFFF,)))
    assert host.read(STATUS, 1) == 0xBF
    assert host.read(0x0E, 2) == 0


def test_traffic_class_attributes_and_tag_come_back(host: Host) -> None:
    request = MemoryRequest(address=BASE, requester=0x1234, tag=0x3A5, traffic_class=5, attributes=0b110,
                            address_type=2, lightweight=True, digest=0x5555_5555)
    assert host.send(request) == [
        [0x4ADC_2001, 0x0100_0004, 0x1234_A500, net().features]]
    refusal = host.send(replace(request, address=OUTSIDE))
    assert refusal == [[0x0ADC_2000, 0x0100_2004, 0x1234_A500]]


def test_long_reads_are_cut_at_128_bytes(host: Host) -> None:
    completions = host.send(MemoryRequest(address=BASE + 0x34, length=64, first_be=0xE, last_be=0x3))
    assert [(len(c) - 3, c[1] & 0xFFF, c[2] & 0x7F) for c in completions] == [
        (19, 253, 0x35), (32, 178, 0), (13, 50, 0)]


def test_the_completer_is_captured_from_configuration_writes(host: Host) -> None:
    assert host.model.requester_id(host.model.physical) == 0x0100
    host.send(ConfigRequest(write=True, bus=0x42, device=0x1F, offset=0xFF0))
    assert host.send(memory_read(BASE, 4))[0][1] >> 16 == 0x42F8
    host.send(ConfigRequest(write=True, bus=3, device=1, offset=0xFF0, poisoned=True))
    host.send(ConfigRequest(write=True, bus=3, device=1, function=1, offset=0xFF0))
    host.send(ConfigRequest(bus=3, device=1, offset=0))
    assert host.model.requester_id(host.model.physical) == 0x42F8


def test_counters_wrap_at_16_bits(host: Host) -> None:
    host.model.counters.hole = 0xFFFF
    host.read(HOLE, 4)
    assert host.model.state()["count_hole"] == 0

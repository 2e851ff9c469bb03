"""The memory behind a simulated root port, fed with request packets by hand."""

import random

import pytest
from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.native.host_memory import HostMemory, OutsideMemory, Ram
from virtio_mmr_sim.native.model import NativeError

#: {traffic class and attributes 0, length 1}: what every header of these tests begins with.
READ, READ64, WRITE, WRITE64 = 0x0000_0000, 0x2000_0000, 0x4000_0000, 0x6000_0000
REQUESTER = 0x1708


class Wire:
    """Stands for the design: what it "sends" next, and what it was sent."""

    def __init__(self, *packets):
        self.outgoing, self.incoming = list(packets), []

    def take(self):
        packets, self.outgoing = self.outgoing, []
        return packets

    def send(self, *packets):
        self.incoming += packets


def host(*packets, size=1 << 16, base=0, **options):
    wire, ram = Wire(*packets), Ram(size, base)
    ram.bytes[:] = random.Random(1).randbytes(size)
    return wire, ram, HostMemory(wire, ram, **options)


def read_of(address, length, first, last, tag=5):
    return (READ | length & 0x3FF, REQUESTER << 16 | tag << 8 | last << 4 | first, address)


@pytest.mark.parametrize("cut", [64, 128, 256])
@pytest.mark.parametrize("address, length, first, last", [
    (0x1000, 1, 0xF, 0), (0x1000, 1, 0b0110, 0), (0x1FFC, 1, 8, 0), (0x1004, 2, 0xC, 3), (0x1038, 3, 0xF, 0xF),
    (0x107C, 130, 8, 1), (0x1000, 1024, 0xF, 0xF), (0x1FC0, 16, 0xE, 7), (0x1010, 1, 0, 0),
])
def test_a_read_is_answered_in_pieces_that_end_at_boundaries(address, length, first, last, cut):
    wire, ram, memory = host(read_of(address, length, first, last), cut=cut)
    assert memory.step() and not memory.step()
    enables = [first] if length == 1 else [first, *[15] * (length - 2), last]
    asked = [address + 4 * i + lane for i in range(length) for lane in range(4) if enables[i] >> lane & 1] or [address]
    left, at, got = asked[-1] + 1 - asked[0], address, b""
    for packet in wire.incoming:
        assert packet[0] >> 24 == 0x4A and packet[1] >> 16 == 0
        count = packet[0] & 0x3FF or 1024
        assert len(packet) == 3 + count
        assert (packet[2] >> 16, packet[2] >> 8 & 0xFF) == (REQUESTER, 5)
        assert packet[2] & 0x7F == max(at, asked[0]) & 0x7F
        assert packet[1] & 0xFFFF == left & 0xFFF
        got += b"".join(dword.to_bytes(4, "little") for dword in packet[3:])
        left -= at + 4 * count - max(at, asked[0])
        at += 4 * count
        assert at % cut == 0 or packet is wire.incoming[-1]
        assert 4 * count <= cut
    assert got == ram.read(address, 4 * length)


def test_a_read_outside_is_unsupported():
    wire, _, memory = host(read_of(0x1_0000, 4, 15, 15, tag=0x21))
    memory.step()
    assert wire.incoming == [[0x0A00_0000, 1 << 13 | 4, REQUESTER << 16 | 0x21 << 8]]
    assert (memory.reads, memory.refused) == (1, 1)


def test_a_read_sees_the_write_before_it_and_not_the_one_behind_it():
    write = (WRITE | 1, REQUESTER << 16 | 0xF, 0x100, 0x44332211)
    later = (WRITE | 1, REQUESTER << 16 | 0xF, 0x100, 0)
    wire, _, memory = host(write, read_of(0x100, 1, 15, 0), later)
    memory.step()
    assert [packet[3] for packet in wire.incoming] == [0x44332211]


@pytest.mark.parametrize("first, last, changed", [
    (0xF, 0xF, range(12)), (0xE, 7, range(1, 11)), (8, 1, range(3, 9)), (0b1010, 0b0101, [1, 3, 4, 5, 6, 7, 8, 10]),
])
def test_a_write_changes_the_enabled_bytes_alone(first, last, changed):
    wire, ram, memory = host((WRITE64 | 3, last << 4 | first, 1, 0x200, 0x03020100, 0x07060504, 0x0B0A0908),
                             base=1 << 32)
    before = bytes(ram.bytes)
    memory.step()
    expected = bytearray(before)
    for at in changed:
        expected[0x200 + at] = at
    assert ram.bytes == expected
    assert not wire.incoming


def test_a_single_dword_may_have_any_bytes_enabled():
    for first in range(16):
        _, ram, memory = host((WRITE | 1, first, 0x40, 0xFFFF_FFFF))
        ram.bytes[:] = bytes(len(ram.bytes))
        memory.step()
        assert [ram.bytes[0x40 + lane] == 0xFF for lane in range(4)] == [first >> lane & 1 == 1 for lane in range(4)]
        assert sum(ram.bytes) == 0xFF * first.bit_count()


def test_a_write_outside_is_dropped_and_counted():
    _, ram, memory = host((WRITE | 2, 0xFF, 0xFFFC, 1, 2))
    before = bytes(ram.bytes)
    memory.step()
    assert ram.bytes == before and memory.dropped == 1
    with pytest.raises(OutsideMemory, match="0xfffc"):
        ram.write(0xFFFC, bytes(8))


def test_interrupts_are_told_in_the_order_of_the_packets():
    told = []
    write = (WRITE | 1, REQUESTER << 16 | 0xF, 0x100, 0x55)
    interrupt = (WRITE | 1, 0x1709 << 16 | 0xF, 0xFEE0_0010, 7)
    _, ram, memory = host(write, interrupt, (*write[:3], 0x66), interrupts=[range(0xFEE0_0000, 0xFEF0_0000)],
                          message=lambda *what: told.append((*what, ram.bytes[0x100])))
    memory.step()
    assert told == [(0xFEE0_0010, 7, 0x1709, 0x55)]
    assert ram.bytes[0x100] == 0x66 and memory.dropped == 0 and memory.messages == 1


def test_a_requester_may_have_a_memory_of_its_own():
    private = Ram(0x1000)
    private.bytes[:4] = b"mine"
    wire, _, memory = host(read_of(0, 1, 15, 0), spaces={REQUESTER: private})
    memory.step()
    assert wire.incoming[0][3].to_bytes(4, "little") == b"mine"


def test_messages_and_completions_go_where_they_are_wanted():
    others, completions = [], []
    assert_inta = (0x3400_0000, REQUESTER << 16 | 0x20, 0, 0)
    completion = tuple(tlp.build(tlp.Completion(requester=1, payload=(3,))))
    _, _, memory = host(assert_inta, completion, other=others.append, completion=completions.append)
    memory.step()
    assert (others, completions) == ([assert_inta], [completion])


@pytest.mark.parametrize("packet", [
    tlp.build(tlp.Completion(requester=1, payload=(3,))), tlp.build(tlp.IoRequest(address=8)),
    tlp.build(tlp.MemoryRequest(address=8, locked=True)),
    tlp.build(tlp.MemoryRequest(address=8, write=True, poisoned=True, payload=(1,))),
])
def test_nothing_else_is_expected_of_an_endpoint(packet):
    _, _, memory = host(packet)
    with pytest.raises(NativeError, match="only memory requests"):
        memory.step()


def test_a_completion_returns_traffic_class_and_attributes():
    header = 5 << 20 | 0b10 << 12
    length, tag = 1, 5
    refused = (header | length, REQUESTER << 16 | tag << 8 | 0xF, 0x9_0000)
    wire, _, memory = host((header | length, REQUESTER << 16 | tag << 8 | 0xF, 0x1000), refused)
    assert memory.step()
    assert [packet[0] >> 20 & 7 for packet in wire.incoming] == [5, 5]
    assert [packet[0] >> 12 & 3 for packet in wire.incoming] == [2, 2]


@pytest.mark.parametrize("length, first, last", [(4, 0xF, 0xF), (1, 0x3, 0)])
def test_what_is_no_whole_dword_is_no_interrupt(length, first, last):
    heard = []
    packet = (WRITE | length, REQUESTER << 16 | last << 4 | first, 0xFEE0_0000, *range(length))
    _, _, memory = host(packet, interrupts=[range(0xFEE0_0000, 0xFEF0_0000)], message=lambda *what: heard.append(what))
    assert memory.step()
    assert (heard, memory.messages, memory.dropped) == ([], 0, 1)

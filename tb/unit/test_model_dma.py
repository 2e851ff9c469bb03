"""Packets of DMA in the model, against byte lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtio_mmr_sim.model import dma
from virtio_mmr_sim.model.tlp import build, parse, strobe, to_bytes

SIZES = (128, 256, 512, 1024, 2048, 4096)


def enabled(packet):
    """Addresses of the bytes that *packet* names, with what it carries for them."""
    payload = to_bytes(packet.payload) if packet.payload else bytes(4 * packet.length)
    return [(packet.address + place, payload[place]) for place in range(4 * packet.length)
            if strobe(packet.length, packet.first_be, packet.last_be, place // 4) >> place % 4 & 1]


@given(address=st.integers(0, (1 << 63) - 4096), size=st.integers(1, 4096), largest=st.sampled_from(SIZES))
def test_packets_name_each_byte_once_in_order_and_cross_no_border(address, size, largest):
    packets = dma.reads(address, size, largest, 0x1234)
    assert [place for packet in packets for place, _ in enabled(packet)] == list(range(address, address + size))
    for packet in packets:
        assert packet.requester == 0x1234 and not packet.write
        assert packet.address // largest == (packet.address + 4 * packet.length - 1) // largest
    # As few as the borders allow.
    assert len(packets) == (address + size - 1) // largest - address // largest + 1


@given(address=st.integers(0, 1 << 40), content=st.binary(min_size=1, max_size=700), largest=st.sampled_from(SIZES))
def test_writes_carry_their_bytes(address, content, largest):
    packets = [parse(build(packet)) for packet in dma.writes(address, content, largest, 7)]
    assert [byte for packet in packets for _, byte in enabled(packet)] == list(content)


@pytest.mark.parametrize("make", [lambda: dma.reads(0x1003, 0, 128, 5), lambda: dma.writes(0x1003, b"", 128, 5)])
def test_a_request_for_nothing_is_a_dword_without_enables(make):
    (packet,) = make()
    assert (packet.address, packet.length, packet.first_be, packet.last_be, packet.requester) == (0x1000, 1, 0, 0, 5)

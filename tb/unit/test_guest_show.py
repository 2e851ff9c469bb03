"""What a guest is shown of a design, over a bridge that only notes what crosses it."""

import pytest
from virtio_mmr import config
from virtio_mmr.layout import place
from virtio_mmr_sim.guest import designs
from virtio_mmr_sim.guest.bridge import DOORBELL, VECTOR_SPACING
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.show import RawDevice

#: Device Control as a guest may have left it: Max_Payload_Size 256, relaxed ordering, error reporting.
CONTROL = 0x203F


class Bridge:
    """All configuration registers read the same."""

    def __init__(self):
        self.written = []

    def config_read(self, offset, enables=0xF, **target):
        return 0xFFFF_0000 | CONTROL

    def config_write(self, offset, data, enables=0xF, **target):
        self.written.append((offset, data, enables, target))


@pytest.fixture
def shown():
    return RawDevice(Bridge(), config.loads(designs.text("rng", Show.RAW)), 0x0108)


def test_a_reset_leaves_the_other_fields_of_its_register_alone(shown):
    shown.reset()
    express = next(found.offset for found in place(shown.config).capabilities if found.name == "express")
    assert shown.bridge.written == [
        (express + 8, CONTROL | 0x8000, 0b0011, {"bus": 1, "device": 1, "function": 0})]


def test_a_message_that_no_entry_sends_tells_the_guest_nothing(shown):
    told = []
    shown.told = told.append
    for address, data in ((DOORBELL, 1), (DOORBELL + 4, 0), (DOORBELL + VECTOR_SPACING * shown.vectors, shown.vectors),
                          (DOORBELL - VECTOR_SPACING, -1 & 0xFFFF_FFFF)):
        shown.message(address, data)
    assert (told, shown.strange, shown.messages.counts) == ([], 4, {})
    shown.message(DOORBELL + VECTOR_SPACING, 1)
    assert (told, shown.strange, shown.messages.counts) == ([1], 4, {1: 1})


def test_an_entry_is_set_up_before_it_is_unmasked_and_only_masked_afterwards(shown):
    address = DOORBELL + VECTOR_SPACING
    # Address, its upper half, data, vector control (PCIe 7.7.2).
    assert shown.entry(1, True) == [(16, address), (20, 0), (24, 1), (28, 0)]
    assert shown.entry(1, False) == [(28, 1)]

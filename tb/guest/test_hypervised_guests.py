"""The hypervisor's part with live guests: several on one design, and one that must be stopped."""

import os
import struct

import pytest
from virtio_mmr.spec.control import BadState
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.device.entropy import Entropy
from virtio_mmr_sim.guest import designs, linux
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.linux import Boot
from virtio_mmr_sim.guest.session import Session
from virtio_mmr_sim.guest.vfio_user import CONFIG_REGION
from virtio_mmr_sim.host.hypervisor import Policy

#: A bit that the device may ask for and that no Linux driver accepts.
NOTIFY_ON_EMPTY = 1 << 24


@pytest.mark.full
def test_two_guests_work_on_the_first_and_on_the_last_of_64_virtual_functions(guest_parts):
    guest_parts("6.12", "6.1", "busybox")
    boots = {1: Boot("net", Show.HYPERVISOR, "6.12"), 64: Boot("net", Show.HYPERVISOR, "6.1", msix=False)}
    tasks = {number: linux.Network(number) for number in boots}
    with Session(designs.text("net", Show.HYPERVISOR, virtual=64),
                 lambda number: tasks[number].make() if number in tasks else None) as session:
        machines = {number: session.show(Show.HYPERVISOR, number) for number in boots}
        for number, boot in boots.items():
            linux.start(machines[number], boot, tasks[number])
        session.run(300)
        for number, boot in boots.items():
            assert not linux.problems(boot, tasks[number], machines[number]), machines[number].said
        assert session.bridge.memory.dropped == session.bridge.memory.refused == 0


def test_a_guest_whose_driver_leaves_out_a_required_feature_is_stopped(guest_parts):
    guest_parts("6.12", "busybox")
    task = linux.Disk()
    try:
        with Session(designs.text("blk", Show.HYPERVISOR), lambda number: task.make()) as session:
            machine = session.show(Show.HYPERVISOR, policy=Policy(required=NOTIFY_ON_EMPTY))
            linux.start(machine, Boot("blk", Show.HYPERVISOR), task)
            session.run(300)
            assert machine.shown.stopped == BadState.POLICY
            assert machine.qemu is None and "guest: done" not in machine.console
            # Not a byte of the guest's memory was touched, nor read.
            assert session.bridge.memory.writes == session.bridge.memory.reads == 0
    finally:
        task.close()


#: Registers of the legacy header: width and offset of the features that the driver accepts, and so on.
FEATURES, PAGE, NOTIFY, STATUS = (4, 0x04), (4, 0x08), (2, 0x10), (1, 0x12)

#: Where the scripted driver has its ring (8 entries) and its only buffer.
RING, USED, BUFFER, SIZE = 0x2000, 0x3000, 0x5000, 32


def drive(session, machine, accepted):
    """A driver of the entropy device that accepts *accepted* and asks for some bytes; the guest's memory afterwards."""
    descriptor = os.memfd_create("memory")
    os.write(descriptor, b"\xA5" * 0x8000)
    os.pwrite(descriptor, struct.pack("<QIHH", BUFFER, SIZE, 2, 0), RING)
    os.pwrite(descriptor, struct.pack("<HHH", 0, 1, 0), RING + 16 * 8)
    os.pwrite(descriptor, bytes(0x1000), USED)
    before = os.pread(descriptor, 0x8000, 0)
    machine.memory.map(0, 0x8000, descriptor, 0, writable=True)
    shown = machine.shown
    shown.region_write(CONFIG_REGION, 0x10, (0xC000).to_bytes(4, "little"))
    shown.region_write(CONFIG_REGION, 0x04, b"\7\0")
    for (size, offset), value in ((STATUS, 1), (STATUS, 3), (FEATURES, accepted), (PAGE, RING >> 12), (STATUS, 7),
                                  (NOTIFY, 0)):
        shown.region_write(0, offset, value.to_bytes(size, "little"))
        assert session.bridge.settle()
    after = os.pread(descriptor, 0x8000, 0)
    os.close(descriptor)
    return {at for at in range(0x8000) if before[at] != after[at]}


@pytest.mark.broad
def test_a_driver_that_accepts_a_forbidden_feature_is_stopped_with_its_memory_untouched():
    toolchain.skip_or_fail("verilator", "g++", "make")
    event_index = 1 << 29
    with Session(designs.text("rng", Show.HYPERVISOR), lambda number: Entropy(lambda size: bytes(size))) as session:
        machine = session.show(Show.HYPERVISOR, policy=Policy(forbidden=event_index))
        assert drive(session, machine, event_index) == set()
        assert machine.shown.stopped == BadState.POLICY
        assert session.bridge.memory.reads == session.bridge.memory.writes == 0
    # The same driver, if it keeps to what it is offered, gets its bytes, and nothing else is written but the used ring.
    with Session(designs.text("rng", Show.HYPERVISOR), lambda number: Entropy(lambda size: bytes(size))) as session:
        machine = session.show(Show.HYPERVISOR, policy=Policy(forbidden=event_index))
        changed = drive(session, machine, 0)
        assert not machine.shown.stopped
        assert set(range(BUFFER, BUFFER + SIZE)) < changed
        assert changed - set(range(BUFFER, BUFFER + SIZE)) <= set(range(USED, USED + 4 + 8 * 8 + 2))

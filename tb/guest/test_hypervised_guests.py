"""The hypervisor's part with live guests: several on one design, and one that must be stopped."""

import pytest
from virtio_mmr.spec.control import BadState
from virtio_mmr_sim.guest import designs, linux
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.linux import Boot
from virtio_mmr_sim.guest.session import Session
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
    with Session(designs.text("blk", Show.HYPERVISOR), lambda number: task.make()) as session:
        machine = session.show(Show.HYPERVISOR, policy=Policy(required=NOTIFY_ON_EMPTY))
        linux.start(machine, Boot("blk", Show.HYPERVISOR), task)
        session.run(300)
        assert machine.shown.stopped == BadState.POLICY
        assert machine.qemu is None and "guest: done" not in machine.console
        # Not a byte of the guest's memory was touched, nor read.
        assert session.bridge.memory.writes == session.bridge.memory.reads == 0
    task.close()

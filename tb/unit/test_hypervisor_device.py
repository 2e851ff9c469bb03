"""A guest with an ordinary legacy driver on an MMR device, through the hypervisor, on the golden model."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypervised import FUNCTION, Machine, VirtualMachine, attach
from model_devices import block, console, net
from virtio_mmr.config.device import Bar, BarKind, Control, DeviceConfig, Identity, Region, Space
from virtio_mmr.spec.control import BadState
from virtio_mmr_sim.host.hypervisor import Delivery, GuestStopped, Policy, TransitionalDevice, Unfit, finish
from virtio_mmr_sim.host.hypervisor.device import DOORBELL
from virtio_mmr_sim.host.hypervisor.discover import Place
from virtio_mmr_sim.host.hypervisor.driver_watch import Choice, Ring, within
from virtio_mmr_sim.host.hypervisor.guest import IO_BASE, TABLE_BASE, GuestMachine
from virtio_mmr_sim.model.driver import Bound, LegacyDriver, Plan, SetMsix
from virtio_mmr_sim.model.drivers import DRIVERS, Linux
from virtio_mmr_sim.model.events import QueueChange

#: These never switch MSI-X on.
WITHOUT_MSIX = frozenset({"seabios", "ipxe-old", "ipxe-new"})

CLOSED = Control(big_endian=True, gate_open=False)

FEATURES, PAGE, SELECT, NOTIFY, STATUS, ISR, CONFIG_VECTOR, QUEUE_VECTOR = (
    0x04, 0x08, 0x0E, 0x10, 0x12, 0x13, 0x14, 0x16)


def mmr_net(**changes) -> DeviceConfig:
    return net(**({"control": CLOSED} | changes))


def mmr_block() -> DeviceConfig:
    return block(identity=Identity.MMR, control=CLOSED)


def plan_for(config: DeviceConfig, vectors: int = 0) -> Plan:
    return Plan(kind=config.kind, pages=[0x1000 + 0x100 * index for index in range(len(config.queues))],
                vectors=vectors)


def bring_up(guest: GuestMachine, name: str, plan: Plan) -> tuple[LegacyDriver, Bound]:
    """A driver bound to the guest's device, in the manner of each."""
    driver = DRIVERS[name]()
    if name == "ipxe-new":
        finish(guest.set_msix(plan.vectors > 0))
    return driver, finish(guest.play(driver.probe(plan)))


def read(guest: GuestMachine, offset: int, width: int) -> int:
    return finish(guest.read(offset, width))


def write(guest: GuestMachine, offset: int, width: int, value: int) -> None:
    finish(guest.write(offset, width, value))


# What the guest sees


@pytest.mark.parametrize(("config", "device_id", "class_code", "virtio_id"), [
    (mmr_net(), 0x1000, 0x020000, 1), (mmr_block(), 0x1001, 0x010000, 2), (console(), 0x1003, 0x078000, 3)])
def test_the_guest_sees_an_ordinary_transitional_device(
        config: DeviceConfig, device_id: int, class_code: int, virtio_id: int) -> None:
    device, guest = attach(Machine(config))

    def get(offset: int, size: int) -> int:
        return finish(device.config_read(offset, size))

    assert get(0x00, 4) == device_id << 16 | 0x1AF4
    assert get(0x08, 4) == class_code << 8, "revision 0"
    assert get(0x2C, 4) == virtio_id << 16 | 0x1AF4
    assert (get(0x0E, 1), get(0x3D, 1)) == (0, 1)
    assert get(0x10, 4) == IO_BASE | 1, "BAR 0 is in I/O space"
    assert finish(guest.vectors()) == config.msix_vectors
    assert get(0x100, 4) == 0xFFFF_FFFF, "a device of conventional PCI has no more than 256 bytes"


def test_bar_0_is_sized_like_any_other() -> None:
    device, _ = attach(Machine(mmr_block()))
    finish(device.config_write(0x10, 4, 0xFFFF_FFFF))
    assert finish(device.config_read(0x10, 4)) == 0xFFFF_FF81, "24 bytes of header and 60 of configuration"
    finish(device.config_write(0x14, 4, 0xFFFF_FFFF))
    assert finish(device.config_read(0x14, 4)) == 0xFFFF_F000


def test_ports_follow_the_guest_s_own_command_register() -> None:
    device, guest = attach(Machine(mmr_net()))
    assert read(guest, STATUS, 1) == 0
    assert finish(device.io_read(IO_BASE + 0x40, 4)) == 0xFFFF_FFFF, "behind BAR 0"
    assert finish(device.io_read(IO_BASE - 1, 1)) == 0xFF
    finish(device.config_write(0x04, 2, 0b110))
    assert read(guest, STATUS, 1) == 0xFF
    finish(device.config_write(0x04, 2, 0b001))
    finish(device.config_write(0x10, 4, 0x2000))
    assert finish(device.io_read(0x2000 + STATUS, 1)) == 0
    assert finish(device.memory_read(TABLE_BASE, 4)) == 0xFFFF_FFFF, "memory decoding is off"


def test_the_function_masters_the_bus_when_the_guest_lets_it() -> None:
    machine = Machine(mmr_net())
    device, _ = attach(machine)
    control = machine.model.function.control
    assert control.bus_master
    finish(device.config_write(0x04, 2, 0b001))
    assert not control.bus_master
    assert machine.firmware.config_read(0x04, 2) & 2, "its registers stay within reach"


# Drivers


@pytest.mark.parametrize(("machine_type", "delivery"), [
    (Machine, Delivery.FOLLOW), (VirtualMachine, Delivery.ALWAYS), (Machine, Delivery.NEVER)])
@pytest.mark.parametrize(("config", "vectors"), [(mmr_net, 0), (mmr_net, 3), (mmr_block, 0), (mmr_block, 2)])
@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_works_through_the_ports(
        name: str, config: Callable[[], DeviceConfig], vectors: int, machine_type: type[Machine],
        delivery: Delivery) -> None:
    if name in WITHOUT_MSIX and name != "ipxe-new":
        vectors = 0
    machine = machine_type(config())
    device, guest = attach(machine, delivery=delivery)
    plan = plan_for(machine.firmware.model.config, vectors)
    for _ in range(2):
        driver, bound = bring_up(guest, name, plan)
        check_bound(machine, device, guest, plan, bound)
        finish(guest.play(driver.notify(len(plan.pages) - 1)))
        assert [fields["queue"] for stream, fields in machine.model.drain({"notification"})] == [len(plan.pages) - 1]
        machine.interrupt(config_change=True)
        assert finish(guest.play(driver.interrupt())) == 2
        assert finish(guest.play(driver.interrupt())) == 0
        finish(guest.play(driver.remove(plan)))
        state = machine.model.state()
        assert int(state["device_status"]) & ~1 == 0
        assert all(state[f"queue{index}.page"] == 0 for index in range(len(plan.pages)))
        machine.model.drain()
    assert not guest.stopped
    assert state["count_malformed"] == state["count_hole"] == state["count_unsupported"] == 0


def check_bound(machine: Machine, device: TransitionalDevice, guest: GuestMachine, plan: Plan, bound: Bound) -> None:
    """The driver found what the device file says, and the device what the driver did."""
    config = machine.model.config
    assert bound.sizes == list(config.queues)
    for name, data in bound.config.items():
        part = config.kind.field(name)
        assert data == config.config_image[part.offset:part.offset + part.size], name
    state = machine.model.state()
    assert state["driver_features"] == bound.features
    assert [state[f"queue{index}.page"] for index in range(len(plan.pages))] == plan.pages
    events = machine.model.drain()
    assert [(fields["queue"], fields["change"], fields["descriptors"]) for stream, fields in events
            if stream == "queue_update"] == [
        (index, QueueChange.ENABLE, page << 12) for index, page in enumerate(plan.pages)]
    assert [fields["queue"] for stream, fields in events if stream == "notification"] == [0]
    if bound.vectors:
        for index, vector in enumerate(bound.vectors):
            write(guest, SELECT, 2, index)
            assert read(guest, QUEUE_VECTOR, 2) == vector


@pytest.mark.parametrize("name", DRIVERS)
def test_accesses_are_forwarded_one_by_one_with_their_width(name: str) -> None:
    """While guest and function agree on MSI-X; the device configuration is read by fields instead."""
    machine = Machine(mmr_net())
    _, guest = attach(machine, delivery=Delivery.FOLLOW)
    guest.log = []
    vectors = 0 if name in WITHOUT_MSIX else 3
    bring_up(guest, name, plan_for(machine.model.config, vectors))
    msix, expected = False, []
    for operation, _ in guest.log:
        if isinstance(operation, SetMsix):
            msix = operation.enable
        elif operation.offset < (0x18 if msix else 0x14):
            expected.append(("w" if hasattr(operation, "value") else "r", operation.offset, operation.width))
    # What the hypervisor reads for itself, after a page and before a start, is taken out.
    own = [("r", 0x08, 4), ("r", 0x0C, 2), ("r", 0x0E, 2)]
    seen = machine.accesses
    for place in [at for at, access in enumerate(seen) if access == ("w", 0x08, 4)][::-1]:
        assert seen[place + 1:place + 4] == own
        del seen[place + 1:place + 4]
    starts = [at for at, access in enumerate(seen) if access == ("r", 0x04, 4)]
    assert all(seen[at + 1] in (("w", 0x12, 1), ("w", 0x10, 2)) for at in starts)
    assert [access for access in seen if access != ("r", 0x04, 4)] == [
        access for access in expected if access != ("r", 0x04, 4)]


def test_a_wide_access_of_a_debugger_reaches_the_window_whole() -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine)
    finish(guest.play(DRIVERS["windows"]().dump()))
    assert machine.accesses[:8] == [("r", offset, 4) for offset in (0, 4, 8, 12, 14, 16, 18, 19)]


def test_an_access_of_another_width_is_a_mistake() -> None:
    device, _ = attach(Machine(mmr_net()))
    with pytest.raises(ValueError, match="a port access of 8 bytes; there are accesses of 1, 2 and 4"):
        finish(device.io_read(IO_BASE, 8))


# MSI-X that differs


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("enabled", [False, True])
def test_the_configuration_is_where_the_guest_s_msix_puts_it(delivery: Delivery, enabled: bool) -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine, delivery=delivery)
    finish(guest.set_msix(enabled))
    assert machine.model.function.control.msix_enabled == {
        Delivery.FOLLOW: enabled, Delivery.ALWAYS: True, Delivery.NEVER: False}[delivery]
    start = 0x18 if enabled else 0x14
    for width in (1, 2, 4):
        for at in range(0, 12, width):
            expected = int.from_bytes(machine.model.config.config_image[at:at + width], "little")
            assert read(guest, start + at, width) == expected
    write(guest, start, 4, 0x44332211)
    assert read(guest, start, 4) == 0x44332211 and machine.firmware.read(0x3000, 4) == 0x44332211
    # Across the seams: status and interrupt status before it, the vectors in between.
    assert read(guest, 0x12, 4) >> 16 == (0xFFFF if enabled else 0x2211)
    assert read(guest, 0x16, 4) == (0x2211_FFFF if enabled else 0x5634_4433)


@pytest.mark.parametrize("delivery", Delivery)
def test_vectors_obey_the_same_rules_wherever_they_are_kept(delivery: Delivery) -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine, delivery=delivery)
    finish(guest.set_msix(True))
    write(guest, CONFIG_VECTOR, 2, 2)
    write(guest, SELECT, 2, 1)
    write(guest, QUEUE_VECTOR, 2, 1)
    assert read(guest, CONFIG_VECTOR, 4) == 0x0001_0002
    write(guest, SELECT, 2, 0)
    assert read(guest, QUEUE_VECTOR, 2) == 0xFFFF
    write(guest, CONFIG_VECTOR, 4, 0x0002_0001)
    assert read(guest, CONFIG_VECTOR, 4) == 0x0002_0001
    write(guest, QUEUE_VECTOR, 2, 3)
    assert read(guest, QUEUE_VECTOR, 2) == 0xFFFF, "beyond the table"
    write(guest, SELECT, 2, 2)
    write(guest, QUEUE_VECTOR, 2, 1)
    assert read(guest, QUEUE_VECTOR, 2) == 0xFFFF, "of no queue"
    # They outlive MSI-X Enable, and end with a reset.
    finish(guest.set_msix(False))
    finish(guest.set_msix(True))
    assert read(guest, CONFIG_VECTOR, 2) == 1
    write(guest, SELECT, 2, 1)
    assert read(guest, QUEUE_VECTOR, 2) == 1
    write(guest, STATUS, 1, 0)
    assert read(guest, CONFIG_VECTOR, 2) == 0xFFFF
    write(guest, SELECT, 2, 1)
    assert read(guest, QUEUE_VECTOR, 2) == 0xFFFF


# Interrupts


def test_a_function_without_line_interrupts_by_messages() -> None:
    """Guest without MSI-X on a virtual function: all its vectors are the line's, and a message raises it."""
    machine = VirtualMachine(mmr_net())
    device, guest = attach(machine)
    assert device.interrupts.delivery is Delivery.ALWAYS
    bring_up(guest, "linux", plan_for(machine.model.config))
    state = machine.model.state()
    assert (state["config_vector"], state["queue0.vector"], state["queue1.vector"]) == (0, 0, 0)
    machine.interrupt()
    assert not device.message(0x1234, 0)
    assert device.message(DOORBELL, 0) and guest.line
    assert finish(device.config_read(0x06, 2)) & 8
    assert read(guest, ISR, 1) == 1 and not guest.line
    assert not finish(device.config_read(0x06, 2)) & 8


def test_a_guest_s_msix_takes_the_line_s_vectors_away_and_gives_them_back() -> None:
    machine = VirtualMachine(mmr_net())
    device, guest = attach(machine)
    bring_up(guest, "freebsd", plan_for(machine.model.config, 3))
    state = machine.model.state()
    assert (state["config_vector"], state["queue0.vector"], state["queue1.vector"]) == (0, 1, 2)
    assert device.message(DOORBELL, 2) and guest.messages == [2]
    write(guest, SELECT, 2, 0)
    finish(guest.set_msix(False))
    state = machine.model.state()
    assert (state["config_vector"], state["queue0.vector"], state["queue1.vector"]) == (0, 0, 0)
    assert read(guest, SELECT, 2) == 0, "what the guest has selected stays selected"
    assert device.message(DOORBELL, 0) and guest.line


@pytest.mark.parametrize("delivery", [Delivery.FOLLOW, Delivery.ALWAYS, Delivery.NEVER])
def test_polling_raises_the_line_until_the_guest_asks_why(delivery: Delivery) -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine, delivery=delivery)
    bring_up(guest, "linux", plan_for(machine.model.config))
    finish(device.poll())
    assert not guest.line
    machine.interrupt(config_change=True)
    finish(device.poll())
    finish(device.poll())
    assert guest.line
    machine.interrupt()
    finish(device.config_write(0x05, 1, 0x04))
    assert not guest.line, "the guest has disabled it"
    finish(device.config_write(0x05, 1, 0))
    assert guest.line
    assert read(guest, STATUS, 2) == 7 | 3 << 8, "nothing that the hypervisor has read is lost"
    assert not guest.line and read(guest, ISR, 1) == 0
    finish(device.poll())
    assert not guest.line


def test_polling_makes_messages_where_the_function_sends_none() -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine, delivery=Delivery.NEVER)
    bring_up(guest, "linux", plan_for(machine.model.config, 3))
    machine.interrupt(config_change=True)
    finish(device.poll())
    assert guest.messages == [0]
    machine.interrupt()
    finish(device.poll())
    finish(device.poll())
    assert guest.messages == [0, 1, 2], "which queue it was is not known"
    assert read(guest, ISR, 1) == 3 and not guest.line


def test_messages_of_the_function_are_the_guest_s_own_where_both_use_msix() -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine)
    bring_up(guest, "windows", plan_for(machine.model.config, 3))
    finish(device.poll())
    assert device.message(DOORBELL, 1) and guest.messages == [1]
    finish(device.memory_write(TABLE_BASE + 16 * 2 + 12, 4, 1))
    assert device.message(DOORBELL, 2) and guest.messages == [1]
    finish(device.memory_write(TABLE_BASE + 16 * 2 + 12, 4, 0))
    assert guest.messages == [1, 2]
    finish(guest.set_msix(False))
    assert not device.message(DOORBELL, 1), "a straggler"


# Configuration that changes


@pytest.mark.parametrize("name", ["linux", "openbsd", "dpdk-uio", "windows"])
def test_a_driver_never_reads_half_of_a_change(name: str) -> None:
    """The capacity changes between any two accesses of a guest that reads it in pieces."""
    machine = Machine(mmr_block())
    _, guest = attach(machine)
    values = []

    def change() -> None:
        values.append(0x1111_1111_1111_1111 * (len(values) % 15 + 1))
        for at, last in ((0, False), (4, True)):
            machine.model.config_update(0, at, values[-1] >> 8 * at & 0xFFFF_FFFF, 0xF, last)

    change()
    driver = DRIVERS[name]()
    part = machine.model.config.kind.field("capacity")
    for _ in range(5):
        script = driver.read_field(part)
        answer, operation = 0, next(script)
        try:
            while True:
                answer = read(guest, operation.offset, operation.width)
                change()
                operation = script.send(answer)
        except StopIteration as end:
            assert int.from_bytes(end.value, "little") in values


def test_a_driver_reads_back_what_it_writes_in_the_middle_of_a_field() -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine)
    assert read(guest, 0x14, 1) == 0x52
    for at in range(6):
        write(guest, 0x14 + at, 1, 0x60 + at)
    assert [read(guest, 0x14 + at, 1) for at in range(1, 6)] == [0x61, 0x62, 0x63, 0x64, 0x65]


# Refusing a driver


def test_the_gate_opens_when_the_device_is_attached_and_closes_behind_it() -> None:
    machine = Machine(mmr_net())
    assert machine.firmware.read(0x1024, 4) == 0b11
    device, guest = attach(machine)
    assert machine.firmware.read(0x1024, 4) == 0x103
    bring_up(guest, "linux", plan_for(machine.model.config))
    finish(device.detach())
    assert machine.firmware.config_read(0x04, 2) & 7 == 0
    machine.firmware.config_write(0x04, 2, 2)
    assert machine.firmware.read(0x1024, 4) == 0b11 and machine.firmware.read(STATUS, 1) == 0


def test_features_that_are_required_stop_a_driver_that_lacks_them() -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine, Policy(required=1 << 28))
    plan = replace(plan_for(machine.model.config), features=0xFFFF_FFFF & ~(1 << 28))
    with pytest.raises(GuestStopped, match="POLICY"):
        bring_up(guest, "linux", plan)
    assert guest.stopped == BadState.POLICY
    assert not machine.model.function.control.bus_master
    # Another guest, another driver.
    finish(device.detach())
    device, guest = attach(machine, Policy(required=1 << 28))
    bring_up(guest, "linux", plan_for(machine.model.config))
    assert not guest.stopped and read(guest, STATUS, 1) == 7


def test_a_driver_without_features_is_stopped_at_its_first_notification() -> None:
    """The older iPXE notifies before it has accepted anything, and sees the function stop through its status."""
    machine = Machine(mmr_net())
    _, guest = attach(machine, Policy(required=1 << 27))
    driver = DRIVERS["ipxe-old"]()
    finish(guest.play(driver.probe(plan_for(machine.model.config))))
    assert guest.stopped == BadState.POLICY
    assert [stream for stream, _ in machine.model.drain() if stream == "notification"] == []


def test_features_that_are_forbidden_are_not_seen() -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine, Policy(forbidden=1 << 28))
    _, bound = bring_up(guest, "linux", plan_for(machine.model.config))
    assert bound.features == machine.model.config.features & ~(1 << 28)
    write(guest, FEATURES, 4, 1 << 28)
    write(guest, STATUS, 1, 7)
    assert guest.stopped == BadState.POLICY


@pytest.mark.parametrize("name", DRIVERS)
def test_rings_outside_the_guest_are_rejected_before_the_device_runs(name: str) -> None:
    """Queue 0 ends at 0x1001406, queue 1 at 0x1102806: guest memory up to 0x1102806 is just enough."""
    for memory, refused in ((0x0110_2806, False), (0x0110_2805, True)):
        machine = Machine(mmr_net())
        device, guest = attach(machine, Policy(judge=within(memory)))
        plan = plan_for(machine.model.config)
        if not refused:
            bring_up(guest, name, plan)
            assert not guest.stopped
            continue
        try:
            bring_up(guest, name, plan)
        except GuestStopped:
            pass
        assert guest.stopped == BadState.REJECTED
        assert device.refusal == "queue 1 ends at 0x1102806, beyond the guest's 0x1102805 bytes"
        assert machine.firmware.read(0x1014, 4) == BadState.REJECTED
        assert [stream for stream, _ in machine.model.drain() if stream == "notification"] == []


def test_the_judge_sees_everything_that_a_driver_chooses() -> None:
    seen: list[Choice] = []

    def judge(choice: Choice) -> str:
        seen.append(choice)
        return ""

    machine = Machine(mmr_net())
    _, guest = attach(machine, Policy(judge=judge))
    bring_up(guest, "linux", plan_for(machine.model.config))
    assert seen == [Choice(machine.model.config.features, {0: Ring(128, 0x100_0000), 1: Ring(256, 0x110_0000)})]
    write(guest, SELECT, 2, 1)
    write(guest, PAGE, 4, 0)
    write(guest, NOTIFY, 2, 0)
    assert seen[1:] == [Choice(machine.model.config.features, {0: Ring(128, 0x100_0000)})], "a changed queue is new"
    write(guest, NOTIFY, 2, 0)
    assert len(seen) == 2
    write(guest, STATUS, 1, 0)
    write(guest, SELECT, 2, 1)
    write(guest, PAGE, 4, 0x2000)
    write(guest, STATUS, 1, 7)
    assert seen[2:] == [Choice(0, {1: Ring(256, 0x200_0000)})], "nothing is left of the driver before"


def test_a_page_is_that_of_the_queue_it_was_written_to() -> None:
    """The last byte of a page and the selection of another queue in one write."""
    seen: list[Choice] = []
    machine = Machine(mmr_net())
    _, guest = attach(machine, Policy(judge=lambda choice: seen.append(choice) or ""))
    write(guest, PAGE + 3, 4, 1 << 24 | 0x80)
    assert read(guest, SELECT, 2) == 1
    write(guest, STATUS, 1, 7)
    assert seen == [Choice(0, {0: Ring(128, 0x8000_0000 << 12)})]
    assert machine.model.state()["queue0.page"] == 0x8000_0000


def test_a_reset_is_not_judged() -> None:
    """Nor is a notification that it suppresses."""
    seen: list[Choice] = []
    _, guest = attach(Machine(mmr_net()), Policy(judge=lambda choice: seen.append(choice) or "never"))
    write(guest, NOTIFY, 4, 0)
    assert seen == [] and not guest.stopped


def test_a_guest_is_stopped_when_its_device_stops() -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine)
    bring_up(guest, "linux", plan_for(machine.model.config))
    machine.model.fault(0, machine.firmware.epoch, 0, 3)
    finish(device.poll())
    assert guest.stopped == device.stopped == BadState.RING_CONTENTS
    for access in (device.io_read(IO_BASE, 1), device.io_write(IO_BASE, 1, 0)):
        with pytest.raises(GuestStopped, match="RING_CONTENTS"):
            finish(access)
    assert not machine.model.function.control.bus_master


def test_a_stop_is_seen_by_the_handler_that_reads_the_interrupt_status() -> None:
    machine = Machine(mmr_net())
    _, guest = attach(machine)
    driver, _ = bring_up(guest, "linux", plan_for(machine.model.config))
    machine.model.fault(0, machine.firmware.epoch, 0, 1)
    assert finish(guest.play(driver.interrupt())) == 2
    assert guest.stopped == BadState.QUEUE_ADDRESS


# What a function must be


def test_a_big_endian_guest_gets_its_fields_in_its_order() -> None:
    machine = Machine(mmr_net())
    device, guest = attach(machine, Policy(big_endian=True))
    assert read(guest, 0x14 + 10, 2) == 0xDC05, "1500"
    finish(device.detach())
    with pytest.raises(Unfit, match="little-endian guests only"):
        attach(Machine(mmr_net(control=Control())), Policy(big_endian=True))


def test_without_a_control_page_there_is_no_policy_but_a_device() -> None:
    machine = Machine(net(control=None))
    for policy in (Policy(required=1), Policy(forbidden=1), Policy(big_endian=True)):
        with pytest.raises(Unfit, match="no control page"):
            attach(machine, policy)
    _, guest = attach(machine, Policy(judge=within(0x0110_2805)))
    with pytest.raises(GuestStopped):
        bring_up(guest, "linux", plan_for(machine.model.config))
    assert guest.stopped == BadState.REJECTED


def test_a_function_without_msix_cannot_follow() -> None:
    machine = Machine(mmr_net(msix_vectors=0))
    with pytest.raises(Unfit, match="has no MSI-X to follow with"):
        attach(machine, delivery=Delivery.FOLLOW)
    device, guest = attach(machine)
    assert device.interrupts.delivery is Delivery.NEVER and finish(guest.vectors()) == 0
    bring_up(guest, "linux", plan_for(machine.model.config))
    machine.interrupt()
    finish(device.poll())
    assert guest.line


class NoPromises(Machine):
    """A device whose accesses are not ordered."""

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        return await super().read(function, bar, offset, size) & ~2 if offset == 0x1024 else await super().read(
            function, bar, offset, size)


def test_the_gate_stays_shut_on_a_device_that_does_not_promise_order() -> None:
    machine = NoPromises(mmr_net())
    with pytest.raises(Unfit, match="must be translated and its accesses ordered"):
        attach(machine)
    assert machine.firmware.read(0x1024, 4) == 0b11


@pytest.mark.parametrize(("offset", "reason"), [
    (0x1000, "the control page says 0x00000000, version 1"), (0x1004, "version 0;"), (0x1008, "lacks")])
def test_a_page_that_is_no_control_page_is_refused(offset: int, reason: str) -> None:
    class Wrong(Machine):
        async def read(self, function: int, bar: int, at: int, size: int) -> int:
            return 0 if at == offset else await super().read(function, bar, at, size)

    with pytest.raises(Unfit, match=reason):
        attach(Wrong(mmr_net()))


@pytest.mark.parametrize("name", DRIVERS)
def test_a_window_of_its_true_length_at_any_dword_of_a_bar_is_enough(name: str) -> None:
    """24 bytes of header and 12 of configuration, with other windows right before and behind."""
    places = ((Space.ISR, 0x800, 4), (Space.LEGACY, 0x804, 36), (Space.DEVICE, 0x828, 0x40),
              (Space.CONTROL, 0x1000, 0x1000), (Space.MSIX, 0x4000, 0x1000))
    regions = tuple(Region(space=space, offset=offset, size=size) for space, offset, size in places)
    machine = Machine(mmr_net(bars=(Bar(index=0, kind=BarKind.MEMORY64, regions=regions),)))
    device, guest = attach(machine)
    assert device.function.legacy == Place(0, 0x804, 36)
    plan = plan_for(machine.model.config, 0 if name in WITHOUT_MSIX else 3)
    _, bound = bring_up(guest, name, plan)
    check_bound(machine, device, guest, plan, bound)
    assert read(guest, 36, 4) == 0, "what stands behind the window is not the guest's"
    write(guest, 36, 4, 0xFFFF_FFFF)
    assert machine.firmware.read_bytes(0x828, 6) == machine.model.config.config_image[:6]


def test_a_stopped_function_starts_clean_for_the_next_guest() -> None:
    machine = Machine(mmr_net())
    machine.firmware.config_write(0x04, 2, 2)
    machine.firmware.write(0x1020, 4, 1)
    machine.firmware.write(0x1018, 4, 0xFFFF)
    _, guest = attach(machine)
    bring_up(guest, "linux", plan_for(machine.model.config))
    assert not guest.stopped


def test_coroutines_that_wait_need_a_simulator() -> None:
    class Waits:
        def __await__(self):
            yield

    async def wait() -> None:
        await Waits()

    with pytest.raises(RuntimeError, match="needs a simulator"):
        finish(wait())


def test_linux_reads_what_it_would_read_from_the_function_itself() -> None:
    """All values of the whole probe, through the ports and in the window."""
    machine = Machine(mmr_net())
    _, guest = attach(machine)
    guest.log = []
    bring_up(guest, "linux", plan_for(machine.model.config, 3))
    direct = Machine(mmr_net())
    direct.firmware.write(0x1024, 4, 0x100)
    values, script, answer = [], Linux().probe(plan_for(direct.model.config, 3)), None
    try:
        while True:
            operation = script.send(answer)
            answer = 0
            if isinstance(operation, SetMsix):
                direct.firmware.msix(operation.enable)
            elif hasattr(operation, "value"):
                finish(direct.write(FUNCTION, 0, operation.offset, operation.value, operation.width))
            else:
                answer = direct.firmware.read(operation.offset, operation.width)
            values.append((operation, answer))
    except StopIteration:
        assert guest.log == values

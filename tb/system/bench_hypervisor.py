"""A guest with an ordinary legacy driver on the core, through the hypervisor and over the link."""

import cocotb
from cocotb.triggers import ClockCycles
from system.legacy_driver import NOTIFY, STATUS
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim.host.hypervisor import Delivery, GuestStopped, Policy, TransitionalDevice, find
from virtio_mmr_sim.host.hypervisor.driver_watch import within
from virtio_mmr_sim.host.hypervisor.guest import GuestMachine
from virtio_mmr_sim.host.hypervisor.simulated import SimulatedHost
from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.driver import Plan
from virtio_mmr_sim.model.drivers import DRIVERS
from virtio_mmr_sim.testbench import case

#: These never switch MSI-X on.
WITHOUT_MSIX = frozenset({"seabios", "ipxe-old", "ipxe-new"})


def placed(tb):
    """MMR layouts that the device has, in alphabetical order; skips the case if there is none."""
    names = sorted(entry.name.removeprefix("mmr_") for entry in tb.space.capabilities if entry.name.startswith("mmr_"))
    if not names:
        tb.skip("the device has no MMR capability")
    return tuple(names)


def needs_control(tb):
    """The case is about the control page."""
    if tb.config.find(Space.CONTROL) is None:
        tb.skip("the device has no control page")


async def take(tb):
    """The machine, and the MMR function in it."""
    placed(tb)
    bus, device = tb.host.target
    routing_id = bus << 8 | device << 3
    bars = {bar.index: tb.bar[bar.index] for bar in tb.config.bars if bar.kind is not BarKind.IO}
    machine = SimulatedHost(tb.host, {routing_id: bars, routing_id + 1: {}})
    function = await find(machine, routing_id)
    assert function is not None
    return machine, function


async def attach(tb, policy=None, delivery=None):
    """A guest with the function, and what it has of it; messages of the core reach the hypervisor."""
    machine, function = await take(tb)
    guest = GuestMachine()
    device = await TransitionalDevice.attach(machine, function, guest, policy=policy, delivery=delivery)

    def from_core(dwords):
        found = tlp.parse(dwords)
        return isinstance(found, tlp.MemoryRequest) and found.write and device.message(found.address, found.payload[0])

    tb.host.others = from_core
    await guest.plug(device)
    tb.out["driver_update"].take_all()
    return device, guest


def plan_for(tb, vectors=0):
    """A page for each queue."""
    return Plan(kind=tb.config.kind, pages=[0x1000 + 0x40 * queue for queue in range(len(tb.config.queues))],
                vectors=vectors)


async def life(tb, name, *, delivery=None):
    """Probe, notify every queue, be interrupted, remove; with MSI-X and without."""
    config = tb.config
    device, guest = await attach(tb, delivery=delivery)
    for vectors in {0, config.msix_vectors if name not in WITHOUT_MSIX else 0}:
        driver, plan = DRIVERS[name](), plan_for(tb, vectors)
        await tb.events("notification", 20)
        tb.out["queue_update"].take_all()
        if name == "ipxe-new" and config.msix_vectors:
            await guest.set_msix(False)
        bound = await guest.play(driver.probe(plan))
        assert bound.sizes == list(config.queues)
        for field in config.kind.config:
            if field.name in bound.config:
                assert bound.config[field.name] == config.config_image[field.offset:][:field.size], field.name
        notified = []
        for queue in range(len(plan.pages)):
            await guest.play(driver.notify(queue))
            notified += await tb.events("notification", 40)
        assert sorted({word.queue for word in notified}) == list(range(len(plan.pages)))
        updates = {word.queue: word for word in tb.out["queue_update"].take_all() if word.change == 0}
        for queue, (page, size) in enumerate(zip(plan.pages, config.queues, strict=True)):
            word = updates[queue]
            assert (word.size, word.descriptors) == (size, page << 12)
            assert word.available == word.descriptors + available_ring_offset(size)
            assert word.used == word.descriptors + used_ring_offset(size)
        if not bound.vectors:
            await interrupted(tb, device, guest, driver)
        await guest.play(driver.remove(plan))
        assert not await guest.read(STATUS, 1) & 4
    assert not guest.stopped


async def interrupted(tb, device, guest, driver):
    """The line rises with a cause, and falls when the handler has asked for it."""
    for cause in ({"queue": 0}, {"config_change": True}):
        await device.poll()
        assert not guest.line
        await tb.cause(**cause)
        await device.poll()
        assert guest.line
        assert await guest.play(driver.interrupt()) == (2 if "config_change" in cause else 1)
        assert not guest.line
        await device.poll()
        assert not guest.line


@case
async def function_is_found_by_its_capabilities(tb):
    _, function = await take(tb)
    assert function.kind is tb.config.kind
    assert function.layouts == placed(tb)
    assert function.class_code == tb.config.kind.class_code
    assert (function.msix.vectors if function.msix else 0) == tb.config.msix_vectors
    assert (function.control is None) == (tb.config.find(Space.CONTROL) is None)


@case
async def function_that_does_not_exist_is_not_found(tb):
    machine, function = await take(tb)
    assert await machine.config_read(function.routing_id + 1, 0, 4) == 0xFFFF_FFFF
    assert await find(machine, function.routing_id + 1) is None


@case
async def linux(tb):
    await life(tb, "linux")


@case
async def linux_while_nobody_can_receive_messages(tb):
    await life(tb, "linux", delivery=Delivery.NEVER)


@case
async def windows(tb):
    await life(tb, "windows")


@case
async def windows_that_never_reads_its_status(tb):
    await life(tb, "windows-blind")


@case
async def seabios(tb):
    await life(tb, "seabios")


@case
async def old_ipxe(tb):
    await life(tb, "ipxe-old")


@case
async def new_ipxe(tb):
    await life(tb, "ipxe-new")


@case
async def freebsd(tb):
    await life(tb, "freebsd")


@case
async def openbsd(tb):
    await life(tb, "openbsd")


@case
async def dpdk(tb):
    await life(tb, "dpdk-uio")


@case
async def dpdk_over_vfio(tb):
    await life(tb, "dpdk-vfio")


@case
async def nothing_is_served_before_the_hypervisor_has_taken_over(tb):
    """A closed gate holds back what a former owner has left; attaching resets it, so it is never served."""
    needs_control(tb)
    if tb.config.control.gate_open:
        tb.skip("the gate of this device is open from the start")
    await tb.legacy.write(0x08, 0x100, 4)
    await tb.legacy.write(NOTIFY, 0, 2)
    assert await tb.events("notification") == []
    _, guest = await attach(tb)
    assert await tb.events("notification") == []
    await guest.play(DRIVERS["linux"]().probe(plan_for(tb)))
    assert [word.queue for word in await tb.events("notification")] == [0]


@case
async def driver_without_required_features_is_stopped(tb):
    needs_control(tb)
    _, guest = await attach(tb, Policy(required=1 << 27))
    plan = Plan(kind=tb.config.kind, pages=plan_for(tb).pages, features=0)
    try:
        await guest.play(DRIVERS["linux"]().probe(plan))
    except GuestStopped:
        pass
    assert guest.stopped == BadState.POLICY
    assert await tb.control.read(0x14) == BadState.POLICY
    assert await tb.events("notification") == []


@case
async def rings_outside_the_guest_are_rejected(tb):
    """The last byte of the last queue is one too far."""
    needs_control(tb)
    plan = plan_for(tb)
    end = (plan.pages[-1] << 12) + used_ring_offset(tb.config.queues[-1]) + 6 + 8 * tb.config.queues[-1]
    device, guest = await attach(tb, Policy(judge=within(end - 1)))
    try:
        await guest.play(DRIVERS["linux"]().probe(plan))
    except GuestStopped:
        pass
    assert guest.stopped == BadState.REJECTED and f"{end:#x}" in device.refusal
    assert await tb.control.read(0x14) == BadState.REJECTED
    assert await tb.events("notification") == []


@case
async def guest_is_stopped_when_the_device_stops(tb):
    needs_control(tb)
    device, guest = await attach(tb)
    driver = DRIVERS["linux"]()
    await guest.play(driver.probe(plan_for(tb)))
    await tb.events("notification")
    await device.poll()
    assert not guest.stopped
    await tb.fault(3)
    await device.poll()
    assert guest.stopped == BadState.RING_CONTENTS
    assert await tb.host.config_read(0x04, 2) & 4 == 0, "it masters the bus no more"
    try:
        await guest.play(driver.notify(0))
        raise AssertionError("the guest still reaches the device")
    except GuestStopped:
        pass
    # The next guest gets a function that works.
    await device.detach()
    _, guest = await attach(tb)
    await guest.play(DRIVERS["linux"]().probe(plan_for(tb)))
    assert [word.queue for word in await tb.events("notification")] == [0]
    assert not guest.stopped


@case
async def fields_are_whole_while_the_device_changes_them(tb):
    """The guest reads byte by byte; the device rewrites all bytes of its fields all the time."""
    fields = [field for field in tb.config.kind.config if field.owner is Owner.DEVICE and field.width > 8]
    if not fields:
        tb.skip("the device changes no field of several bytes")
    needs_control(tb)
    field = max(fields, key=lambda field: field.size)
    _, guest = await attach(tb)
    running, source = True, tb.into["config_update"]

    async def rewrite():
        while running:
            byte = tb.rng.randrange(256)
            places = range(field.offset & ~3, field.offset + field.size, 4)
            for place in places:
                lanes = sum(1 << lane for lane in range(4) if place + lane in range(
                    field.offset, field.offset + field.size))
                await source.send(
                    function=0, offset=place, data=byte * 0x0101_0101, strobe=lanes, last=int(place == places[-1]))
            await ClockCycles(tb.dut.clk, tb.rng.randrange(40, 120))

    # The first value has not all bytes alike: let one update go by.
    task = cocotb.start_soon(rewrite())
    await ClockCycles(tb.dut.clk, 60)
    found = set()
    for _ in range(25):
        value = [await guest.read(0x14 + field.offset + at, 1) for at in range(field.size)]
        assert len(set(value)) == 1, f"the guest read {bytes(value).hex()}, of which no update consists"
        found.add(value[0])
    running = False
    await task
    await tb.host.settle()
    assert len(found) > 5, "too few changes to say anything"

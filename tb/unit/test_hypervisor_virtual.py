"""Every virtual function of a device with a guest of its own: what the proposal is for, on the golden model."""

from dataclasses import replace

import pytest
from virtio_mmr.config import loads
from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.layout import place
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.sriov import VF_BAR0
from virtio_mmr_sim.host.hypervisor import Delivery, Policy, TransitionalDevice, finish, scan
from virtio_mmr_sim.host.hypervisor.device import DOORBELL
from virtio_mmr_sim.host.hypervisor.golden import ModelHost
from virtio_mmr_sim.host.hypervisor.guest import GuestMachine
from virtio_mmr_sim.model.driver import Plan
from virtio_mmr_sim.model.drivers import DRIVERS
from virtio_mmr_sim.model.endpoint import EndpointModel

COUNT = 10

#: Routing id of the physical function, and where its BAR and the first virtual one's stand.
PHYSICAL, BASE, VF_BASE = 0x0500, 0x1_0000_0000, 0x2_0000_0000


class Machine(ModelHost):
    """A device with virtual functions, enabled as an operating system does; its back end acknowledges resets."""

    def __init__(self, config: DeviceConfig):
        assert config.vf is not None
        self.model = EndpointModel(config)
        [bar] = config.bars
        [vf_bar] = config.vf.function.bars
        sizes = {number: VF_BASE + (number - 1) * vf_bar.decoded_size for number in range(1, COUNT + 1)}
        super().__init__(self.model, {PHYSICAL: {bar.index: BASE}} | {
            PHYSICAL + number: {vf_bar.index: address} for number, address in sizes.items()})
        sriov = place(config).capability("sriov").offset
        finish(self.config_write(PHYSICAL, 0x14 + 4 * bar.index, BASE >> 32, 4))
        finish(self.config_write(PHYSICAL, sriov + VF_BAR0 + 4 * vf_bar.index + 4, VF_BASE >> 32, 4))
        finish(self.config_write(PHYSICAL, 0x04, 2, 2))
        finish(self.config_write(PHYSICAL, sriov + 0x10, COUNT, 2))
        finish(self.config_write(PHYSICAL, sriov + 0x08, 0b11001, 2))

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        await super().write(function, bar, offset, value, size)
        for _, fields in self.model.drain({"reset_request"}):
            self.model.reset_done(fields["function"], fields["epoch"])

    def interrupt(self, number: int) -> None:
        self.model.interrupt_cause(number, self.model.units[number].function.fence.epoch, 0, False)


@pytest.fixture
def machine() -> Machine:
    return Machine(replace(loads(f'[device]\nkind = "net"\n[vf]\ncount = {COUNT}\n'), intx=True))


def guests_of(machine: Machine, policy: Policy | None = None) -> dict[int, tuple[TransitionalDevice, GuestMachine]]:
    """A guest for each virtual function, by number."""
    found = {}
    for function in finish(scan(machine, range(PHYSICAL + 1, PHYSICAL + 256))):
        guest = GuestMachine()
        device = finish(TransitionalDevice.attach(machine, function, guest, policy=policy))
        finish(guest.plug(device))
        found[function.routing_id - PHYSICAL] = device, guest
    return found


def test_each_function_is_found_where_it_is(machine: Machine) -> None:
    functions = finish(scan(machine, range(0x400, 0x700)))
    assert [function.routing_id for function in functions] == [PHYSICAL + number for number in range(COUNT + 1)]
    assert [function.has_line for function in functions] == [True] + [False] * COUNT
    assert all(function.control and function.msix for function in functions)


def test_functions_that_are_not_enabled_are_not_there(machine: Machine) -> None:
    sriov = place(machine.model.config).capability("sriov").offset
    finish(machine.config_write(PHYSICAL, sriov + 0x08, 0, 2))
    assert [function.routing_id for function in finish(scan(machine, range(PHYSICAL, PHYSICAL + 256)))] == [PHYSICAL]


@pytest.mark.parametrize("vectors", [0, 3])
def test_every_driver_has_a_function_of_its_own(machine: Machine, vectors: int) -> None:
    """Ten guests with ten drivers; then each in turn is interrupted, and leaves without a trace at the others."""
    guests = guests_of(machine)
    assert list(guests) == list(range(1, COUNT + 1))
    drivers = dict(zip(guests, DRIVERS, strict=True))
    plans, running = {}, {}
    for number, (device, guest) in guests.items():
        assert device.interrupts.delivery is Delivery.ALWAYS
        config = machine.model.units[number].config
        wants_msix = drivers[number] not in ("seabios", "ipxe-old", "ipxe-new")
        plans[number] = Plan(kind=config.kind, pages=[0x1000 * number + queue for queue in range(len(config.queues))],
                             vectors=vectors if wants_msix else 0)
        running[number] = DRIVERS[drivers[number]]()
        bound = finish(guest.play(running[number].probe(plans[number])))
        assert bound.sizes == list(config.queues)
        assert bound.config["mac"] == config.config_image[:6], "each has its own address"
    for number, plan in plans.items():
        state = machine.model.state()
        assert [state[f"{number}.queue{queue}.page"] for queue in range(len(plan.pages))] == plan.pages
        machine.interrupt(number)
        device, guest = guests[number]
        data = 1 if plan.vectors else 0
        assert device.message(DOORBELL, data)
        assert (guest.line, guest.messages) == (not plan.vectors, [1] if plan.vectors else [])
        assert finish(guest.play(running[number].interrupt())) == 1
        assert sum(other.line for _, other in guests.values()) == 0
    for number, plan in plans.items():
        finish(guests[number][1].play(running[number].remove(plan)))
        state = machine.model.state()
        for other in guests:
            assert (state[f"{other}.queue0.page"] == 0) == (other <= number)


def test_one_guest_is_stopped_and_the_others_go_on(machine: Machine) -> None:
    guests = guests_of(machine)
    for number, (_, guest) in guests.items():
        config = machine.model.units[number].config
        plan = Plan(kind=config.kind, pages=[number] * len(config.queues))
        finish(guest.play(DRIVERS["linux"]().probe(plan)))
    machine.model.drain()
    machine.model.fault(4, machine.model.units[4].function.fence.epoch, 0, 2)
    for number, (device, guest) in guests.items():
        finish(device.poll())
        assert guest.stopped == (BadState.DMA_ERROR if number == 4 else None)
        if number != 4:
            finish(guest.write(0x10, 2, 1))
            assert [fields["function"] for stream, fields in machine.model.drain({"notification"})] == [number]

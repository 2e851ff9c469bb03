"""A golden model in the hands of the hypervisor, for tests of the latter."""

from typing import Any

from model_devices import BASE, Host
from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.spec.legacy import CONFIG_OFFSET
from virtio_mmr_sim.host.hypervisor import Delivery, Policy, TransitionalDevice, find, finish
from virtio_mmr_sim.host.hypervisor.golden import ModelHost
from virtio_mmr_sim.host.hypervisor.guest import GuestMachine

#: Routing id under which `model_devices.Host` enumerates.
FUNCTION = 0x0100


class Machine(ModelHost):
    """One function; its back end acknowledges resets at once, and what goes to the legacy header is noted."""

    def __init__(self, config: DeviceConfig):
        self.firmware = Host(config)
        bars = {bar.index: BASE for bar in config.bars if bar.kind is not BarKind.IO}
        super().__init__(self.firmware.model, {FUNCTION: bars})
        #: Accesses to the legacy header, as long as it is at the time: "r" or "w", offset, size.
        self.accesses: list[tuple[str, int, int]] = []

    @property
    def model(self) -> Any:
        return self.firmware.model

    def _note(self, kind: str, offset: int, size: int) -> None:
        if offset < CONFIG_OFFSET[self.model.function.control.msix_enabled]:
            self.accesses.append((kind, offset, size))

    def interrupt(self, *, config_change: bool = False) -> None:
        self.firmware.interrupt(config_change)

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        self._note("r", offset, size)
        return await super().read(function, bar, offset, size)

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        self._note("w", offset, size)
        await super().write(function, bar, offset, value, size)
        if self.model.drain({"reset_request"}):
            self.model.reset_done(0, self.firmware.epoch)


class VirtualMachine(Machine):
    """The same function as a virtual one shows itself: no ids, no BARs, no line, another routing id."""

    ROUTING_ID = 0x0123

    async def config_read(self, function: int, offset: int, size: int) -> int:
        if function != self.ROUTING_ID:
            return (1 << 8 * size) - 1
        if offset < 4:
            return (1 << 8 * size) - 1
        if 0x10 <= offset < 0x28 or offset == 0x3D:
            return 0
        return await super().config_read(FUNCTION, offset, size)

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        assert function == self.ROUTING_ID
        # Memory decoding is the physical function's to grant.
        await super().config_write(FUNCTION, offset, value | 2 if offset == 4 else value, size)

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        assert function == self.ROUTING_ID
        return await super().read(FUNCTION, bar, offset, size)

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        assert function == self.ROUTING_ID
        await super().write(FUNCTION, bar, offset, value, size)


def attach(
    machine: Machine, policy: Policy | None = None, delivery: Delivery | None = None
) -> tuple[TransitionalDevice, GuestMachine]:
    """A guest with the machine's function, its BARs placed."""
    routing_id = getattr(machine, "ROUTING_ID", FUNCTION)
    function = finish(find(machine, routing_id))
    assert function is not None
    guest = GuestMachine()
    device = finish(TransitionalDevice.attach(machine, function, guest, policy=policy, delivery=delivery))
    finish(guest.plug(device))
    machine.accesses.clear()
    return device, guest

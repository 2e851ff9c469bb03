"""Random accesses of a guest: through the hypervisor it reads what it would read from a function of its own."""

import random

import pytest
from hypervised import Machine, VirtualMachine, attach
from model_devices import block, net
from virtio_mmr.config.device import Control, DeviceConfig, Identity
from virtio_mmr_sim.host.hypervisor import Delivery, finish

OPEN = Control(gate_open=True)
DEVICES = {"net": net(control=OPEN), "block": block(control=OPEN, identity=Identity.MMR)}

#: Steps of each seed, and the end of the offsets that are tried: within the configuration of both devices.
STEPS, END = 400, 0x14 + 12


class Direct:
    """A function that the guest has to itself: another golden model, whose MSI-X is the guest's."""

    def __init__(self, config: DeviceConfig):
        self.machine = Machine(config)

    def read(self, offset: int, width: int) -> int:
        return self.machine.firmware.read(offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        finish(self.machine.write(0x0100, 0, offset, value, width))


@pytest.mark.parametrize(("machine_type", "delivery"), [
    (Machine, Delivery.FOLLOW), (VirtualMachine, Delivery.ALWAYS), (Machine, Delivery.NEVER)])
@pytest.mark.parametrize("kind", DEVICES)
@pytest.mark.parametrize("seed", range(8))
def test_a_guest_cannot_tell_the_hypervisor_from_the_function(
        seed: int, kind: str, machine_type: type[Machine], delivery: Delivery) -> None:
    rng = random.Random(f"{seed}:{kind}:{delivery}")
    machine = machine_type(DEVICES[kind])
    device, guest = attach(machine, delivery=delivery)
    direct = Direct(DEVICES[kind])
    done: list[str] = []
    for _ in range(STEPS):
        offset, width = rng.randrange(END - 3), rng.choice((1, 2, 4))
        match rng.choices(("read", "write", "register", "msix", "interrupt", "poll"), (8, 2, 6, 1, 1, 1))[0]:
            case "read":
                found, expected = finish(guest.read(offset, width)), direct.read(offset, width)
                done.append(f"R{width} {offset:#x}")
                assert found == expected, f"{found:#x} instead of {expected:#x} after {done[-12:]}"
            case "write" | "register" as how:
                value = rng.choice((0, rng.randrange(4), rng.getrandbits(8 * width))) & (1 << 8 * width) - 1
                if how == "register":
                    offset, width, value = rng.choice((
                        (0x0E, 2, rng.randrange(4)), (0x08, 4, rng.randrange(3)), (0x12, 1, rng.choice((0, 1, 3, 7))),
                        (0x14, 2, rng.randrange(4)), (0x16, 2, rng.randrange(4)), (0x10, 2, rng.randrange(3))))
                done.append(f"W{width} {offset:#x} = {value:#x}")
                finish(guest.write(offset, width, value))
                direct.write(offset, width, value)
            case "msix":
                enable = rng.random() < 0.5
                done.append(f"MSI-X {enable}")
                finish(guest.set_msix(enable))
                direct.machine.firmware.msix(enable)
            case "interrupt":
                change = rng.random() < 0.5
                done.append(f"cause {change}")
                machine.interrupt(config_change=change)
                direct.machine.interrupt(config_change=change)
            case "poll":
                done.append("poll")
                finish(device.poll())
    assert guest.stopped is None
    ours, theirs = machine.model.state(), direct.machine.model.state()
    for name in ("device_status", "driver_features", "queue_select", *(
            f"queue{index}.page" for index in range(len(DEVICES[kind].queues)))):
        assert ours[name] == theirs[name], name

"""Linux' modern driver on the golden model, and what makes it give up."""

from dataclasses import dataclass, field

import pytest
from model_devices import COMMON, DEVICE, ISR, NOTIFY, Host, transitional
from virtio_mmr.config.device import Space
from virtio_mmr_sim.model.driver import DriverRefused
from virtio_mmr_sim.model.events import QueueChange
from virtio_mmr_sim.model.modern_driver import Get, LinuxModern, ModernPlan, Operation, Put, run

WINDOWS = {Space.COMMON: COMMON, Space.NOTIFY: NOTIFY, Space.ISR: ISR, Space.DEVICE: DEVICE}
AREAS = [(0x1_0000_0000 * queue + 0x1000, 0x2_0000_0000 + queue * 0x40, 0xF_0000_0000 + queue) for queue in (1, 2)]


@dataclass
class ModelPort:
    """The model's windows, with a back end that lets go of everything at once."""

    host: Host
    log: list[Operation] = field(default_factory=list)
    queue_events: list[dict[str, int]] = field(default_factory=list)

    def get(self, space: Space, offset: int, width: int) -> int:
        self.log.append(Get(space, offset, width))
        return self.host.read(WINDOWS[space] + offset, width)

    def put(self, space: Space, offset: int, width: int, value: int) -> None:
        self.log.append(Put(space, offset, width, value))
        self.host.write(WINDOWS[space] + offset, width, value)
        if self.host.model.drain({"reset_request"}):
            self.host.model.reset_done(0, self.host.epoch)
        for _, fields in self.host.model.drain({"driver_update", "queue_update"}):
            if "change" in fields:
                self.queue_events.append(fields)
                self.host.model.queue_quiet(0, fields["queue"])

    def set_msix(self, enable: bool) -> None:
        self.host.msix(enable)


@pytest.mark.parametrize(("stride", "vectors", "most"), [(8, 3, 1 << 15), (0, 2, 16), (4, 0, 64)])
def test_linux_binds_uses_and_lets_go(stride: int, vectors: int, most: int) -> None:
    config = transitional(stride)
    port = ModelPort(Host(config))
    driver = LinuxModern(ModernPlan(kind=config.kind, areas=AREAS, vectors=vectors, multiplier=stride,
                                    most_entries=most))
    bound = run(driver.probe(), port)
    assert bound.features == config.modern_features
    assert bound.sizes == [min(most, 128), min(most, 256)]
    assert bound.config["mac"] == config.config_image[:6]
    enabled = [event for event in port.queue_events if event["change"] == QueueChange.ENABLE]
    assert [(event["descriptors"], event["available"], event["used"]) for event in enabled] == AREAS
    for queue in (0, 1):
        run(driver.notify(queue, 0x55), port)
        [(_, word)] = port.host.model.drain({"notification"})
        assert (word["queue"], word["extra"], word["legacy"]) == (queue, 0x55, 0)
    run(driver.reset_queue(1), port)
    assert port.queue_events[-1]["change"] == QueueChange.RESET
    run(driver.activate(1), port)
    run(driver.enable(1), port)
    assert port.queue_events[-1]["size"] == bound.sizes[1]
    port.host.interrupt()
    assert run(driver.interrupt(), port) == 1
    run(driver.remove(), port)
    assert port.host.read(COMMON + 0x14, 1) == 0
    # Once more, on what the first left.
    run(LinuxModern(ModernPlan(kind=config.kind, areas=AREAS, multiplier=stride)).probe(), port)


def test_a_torn_value_is_read_again() -> None:
    config = transitional()
    port = ModelPort(Host(config))
    driver = LinuxModern(ModernPlan(kind=config.kind, areas=[]))
    run(driver.probe(), port)
    script, changed = driver.read_field(0, 1, 6), False
    answer, reads = 0, []
    with pytest.raises(StopIteration) as stop:
        while True:
            operation = script.send(answer) if reads else next(script)
            reads.append(operation)
            assert isinstance(operation, Get)
            answer = port.get(operation.space, operation.offset, operation.width)
            if operation == Get(Space.DEVICE, 3, 1) and not changed:
                changed = True
                port.host.model.config_update(0, 0, 0x4433_2211, 0xF, False)
                port.host.model.config_update(0, 4, 0x6655, 0x3, True)
    assert stop.value.value == bytes.fromhex("112233445566")
    assert sum(operation.space is Space.DEVICE for operation in reads) == 12


def test_linux_gives_up_without_version_1_and_on_a_queue_in_use() -> None:
    config = transitional()
    port = ModelPort(Host(config))
    with pytest.raises(DriverRefused, match="VERSION_1"):
        run(LinuxModern(ModernPlan(kind=config.kind, areas=[], features=0xFFFF_FFFF)).probe(), port)
    with pytest.raises(DriverRefused, match="queue 2 does not exist"):
        run(LinuxModern(ModernPlan(kind=config.kind, areas=[*AREAS, (0, 0, 0)])).probe(), port)
    driver = LinuxModern(ModernPlan(kind=config.kind, areas=AREAS))
    run(driver.probe(), port)
    with pytest.raises(DriverRefused, match="queue 0 is in use"):
        run(driver.set_up_queue(0), port)

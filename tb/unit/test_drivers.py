"""Every legacy driver's script on the golden model."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from model_devices import IO_BASE, Host, block, entropy, net
from virtio_mmr.config.device import Bar, BarKind, DeviceConfig
from virtio_mmr_sim.model.driver import (
    Bound,
    DriverRefused,
    LegacyDriver,
    Operation,
    Plan,
    Read,
    SetMsix,
    Write,
    run,
)
from virtio_mmr_sim.model.drivers import DRIVERS, Linux, OldIpxe, OpenBsd, Windows
from virtio_mmr_sim.model.events import QueueChange
from virtio_mmr_sim.model.tlp import IoRequest, extent

#: These never switch MSI-X on.
WITHOUT_MSIX = frozenset({"seabios", "ipxe-old", "ipxe-new"})

STATUS, ISR = 0x12, 0x13


@dataclass
class ModelPort:
    """The model's memory window, with a back end that acknowledges every reset at once."""

    host: Host
    log: list[Operation] = field(default_factory=list)

    def read(self, offset: int, width: int) -> int:
        self.log.append(Read(offset, width))
        return self.host.read(offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.log.append(Write(offset, width, value))
        self.host.write(offset, width, value)
        if self.host.model.drain({"reset_request"}):
            self.host.model.reset_done(0, self.host.epoch)

    def set_msix(self, enable: bool) -> None:
        self.log.append(SetMsix(enable))
        if enable != self.host.model.function.control.msix_enabled:
            self.host.msix(enable)


class IoPort(ModelPort):
    """The model's I/O window."""

    def read(self, offset: int, width: int) -> int:
        at, length, first, _ = extent(IO_BASE + offset, width)
        assert length == 1, "an I/O access that crosses a dword is two requests"
        return self.host.data(self.host.send(IoRequest(address=at, first_be=first)))[0] >> 8 * (offset % 4)

    def write(self, offset: int, width: int, value: int) -> None:
        at, _, first, _ = extent(IO_BASE + offset, width)
        self.host.send(IoRequest(write=True, address=at, first_be=first, data=value << 8 * (offset % 4)))
        if self.host.model.drain({"reset_request"}):
            self.host.model.reset_done(0, self.host.epoch)


def memory_entropy() -> DeviceConfig:
    """The entropy device with its window at the host's usual address."""
    bar = entropy().bars[1]
    return entropy(bars=(replace(bar, index=0),))


def plan_for(config: DeviceConfig, vectors: int = 0) -> Plan:
    return Plan(kind=config.kind, pages=[0x1000 + 0x100 * index for index in range(len(config.queues))],
                vectors=vectors)


def bring_up(name: str, config: DeviceConfig, vectors: int) -> tuple[ModelPort, LegacyDriver, Plan, Bound]:
    """A device with the driver bound to it."""
    port, plan, driver = ModelPort(Host(config)), plan_for(config, vectors), DRIVERS[name]()
    if name == "ipxe-new":
        port.set_msix(vectors > 0)
    elif name in WITHOUT_MSIX:
        plan = replace(plan, vectors=0)
    return port, driver, plan, run(driver.probe(plan), port)


@pytest.mark.parametrize(("device", "vectors"), [
    (net, 0), (net, 2), (net, 3), (block, 0), (block, 2), (memory_entropy, 0), (memory_entropy, 2)])
@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_binds_notifies_and_lets_go(
        name: str, device: Callable[[], DeviceConfig], vectors: int) -> None:
    config = device()
    port, driver, plan, bound = bring_up(name, config, vectors)
    host = port.host

    # The driver found what the device file says.
    assert bound.sizes == list(config.queues)
    for field_name, data in bound.config.items():
        part = config.kind.field(field_name)
        assert data == config.config_image[part.offset:part.offset + part.size], field_name
    assert set(bound.config) >= {part.name for part in config.kind.config if part.feature is None
                                 and not part.name.startswith("unused")} - {"writeback"}

    # The device found what the driver did.
    state = host.model.state()
    assert state["driver_features"] == bound.features
    assert int(state["device_status"]) & 6 == 6
    assert [state[f"queue{index}.page"] for index in range(len(plan.pages))] == plan.pages
    if bound.vectors:
        assert [state[f"queue{index}.vector"] for index in range(len(plan.pages))] == bound.vectors
        assert state["config_vector"] == 0
    events = host.model.drain()
    updates = [fields for stream, fields in events if stream == "queue_update"]
    assert [(fields["queue"], fields["change"], fields["descriptors"]) for fields in updates] == [
        (index, QueueChange.ENABLE, page << 12) for index, page in enumerate(plan.pages)]
    assert [fields["queue"] for stream, fields in events if stream == "notification"] == [0]

    # Interrupts and notifications work.
    last = len(plan.pages) - 1
    run(driver.notify(last), port)
    assert [fields["queue"] for stream, fields in host.model.drain() if stream == "notification"] == [last]
    host.interrupt(config_change=True)
    assert run(driver.interrupt(), port) == 2
    assert run(driver.interrupt(), port) == 0

    # Afterwards nothing is left behind.
    run(driver.remove(plan), port)
    state = host.model.state()
    assert int(state["device_status"]) & ~1 == 0
    assert all(state[f"queue{index}.page"] == 0 for index in range(len(plan.pages)))
    assert all(state[f"queue{index}.vector"] == 0xFFFF for index in range(len(plan.pages)))
    assert state["count_malformed"] == state["count_hole"] == state["count_unsupported"] == 0


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_binds_again(name: str) -> None:
    port, driver, plan, _ = bring_up(name, net(), 3)
    run(driver.remove(plan), port)
    again = DRIVERS[name]()
    if name in WITHOUT_MSIX and name != "ipxe-new":
        port.set_msix(False)
    assert run(again.probe(plan), port).sizes == [128, 256]


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_refuses_a_queue_that_does_not_exist(name: str) -> None:
    port = ModelPort(Host(net()))
    plan = replace(plan_for(net()), pages=[1, 2, 3])
    with pytest.raises(DriverRefused, match="queue 2 does not exist"):
        run(DRIVERS[name]().probe(plan), port)


class BusyPort(ModelPort):
    """A device whose page register never reads zero."""

    def read(self, offset: int, width: int) -> int:
        return 5 if offset == 8 else super().read(offset, width)


@pytest.mark.parametrize("name", ["linux", "seabios", "ipxe-old", "ipxe-new", "windows", "windows-blind"])
def test_some_drivers_refuse_a_queue_in_use(name: str) -> None:
    with pytest.raises(DriverRefused, match="queue 0 is already in use: its page is 0x5"):
        run(DRIVERS[name]().probe(plan_for(net())), BusyPort(Host(net())))


@pytest.mark.parametrize("name", ["freebsd", "openbsd", "dpdk-uio", "dpdk-vfio"])
def test_the_others_do_not_look(name: str) -> None:
    run(DRIVERS[name]().probe(plan_for(net())), BusyPort(Host(net())))


class StuckPort(ModelPort):
    """A device that is never out of reset."""

    def read(self, offset: int, width: int) -> int:
        return 1 if offset == STATUS else super().read(offset, width)


@pytest.mark.parametrize("name", ["ipxe-new", "dpdk-uio", "dpdk-vfio"])
def test_drivers_that_wait_for_the_reset_lose_patience(name: str) -> None:
    with pytest.raises(DriverRefused, match="does not come out of reset"):
        run(DRIVERS[name]().probe(plan_for(net())), StuckPort(Host(net())))


@pytest.mark.parametrize("name", ["linux", "freebsd", "windows", "dpdk-uio"])
def test_drivers_that_read_vectors_back_refuse_a_device_with_too_few(name: str) -> None:
    with pytest.raises(DriverRefused, match="stored vector 0xffff instead of 0x3"):
        run(DRIVERS[name]().probe(plan_for(net(queues=(8, 8, 8)), vectors=4)),
            ModelPort(Host(net(queues=(8, 8, 8), msix_vectors=3))))


@pytest.mark.parametrize("name", ["seabios", "ipxe-old"])
def test_firmware_refuses_large_queues(name: str) -> None:
    config = net(queues=(512,))
    with pytest.raises(DriverRefused, match="512 entries"):
        run(DRIVERS[name]().probe(plan_for(config)), ModelPort(Host(config)))


def test_linux_accesses_are_those_of_the_recorded_bring_up() -> None:
    """Vector LV-1: one queue and one configuration vector, with the feature MAC alone."""
    config = net(queues=(128,), features=1 << 27 | 1 << 5)
    port = ModelPort(Host(config))
    run(Linux().probe(plan_for(config, vectors=2)), port)
    mac_bytes = [Read(0x14 + index, 1) for index in range(6)]
    assert port.log == [
        Write(0x12, 1, 0), Read(0x12, 1), Read(0x12, 1), Write(0x12, 1, 1), Read(0x12, 1), Write(0x12, 1, 3),
        Read(0x00, 4), Write(0x04, 4, 1 << 27 | 1 << 5), *mac_bytes, SetMsix(True),
        Write(0x14, 2, 0), Read(0x14, 2),
        Write(0x0E, 2, 0), Read(0x0C, 2), Write(0x0E, 2, 0), Read(0x08, 4), Write(0x0E, 2, 0),
        Write(0x08, 4, 0x1000), Write(0x0E, 2, 0), Write(0x16, 2, 1), Read(0x16, 2),
        Read(0x12, 1), Write(0x12, 1, 7), Write(0x10, 2, 0),
    ]


def test_linux_teardown_is_the_recorded_one() -> None:
    """Vector LV-2."""
    config = net(queues=(128,))
    port, driver, plan, _ = bring_up("linux", config, 2)
    port.log.clear()
    run(driver.remove(plan), port)
    assert port.log == [
        Write(0x12, 1, 0), Read(0x12, 1),
        Write(0x0E, 2, 0), Write(0x16, 2, 0xFFFF), Read(0x16, 2), Read(0x13, 1),
        Write(0x0E, 2, 0), Write(0x08, 4, 0), Write(0x14, 2, 0xFFFF), Read(0x14, 2), SetMsix(False),
    ]


def test_old_ipxe_notifies_before_anything_is_negotiated() -> None:
    port = ModelPort(Host(net()))
    run(OldIpxe().probe(plan_for(net())), port)
    assert port.log.index(Write(0x10, 2, 0)) < port.log.index(Write(0x12, 1, 6))
    assert ("notification", 0) in [(stream, fields.get("queue")) for stream, fields in port.host.model.drain()]


def test_openbsd_gives_a_vector_to_one_queue_too_many() -> None:
    config = net(msix_vectors=4)
    port = ModelPort(Host(config))
    run(OpenBsd().probe(plan_for(config, vectors=4)), port)
    assert port.log.count(Write(0x0E, 2, 2)) == 1
    assert port.host.model.state()["queue1.vector"] == 2


def test_openbsd_reads_the_high_half_of_a_wide_field_first() -> None:
    port = ModelPort(Host(block()))
    run(OpenBsd().probe(plan_for(block())), port)
    assert port.log.index(Read(0x18, 4)) + 1 == port.log.index(Read(0x14, 4))


def test_blind_windows_does_not_read_the_status() -> None:
    port = ModelPort(Host(net()))
    run(DRIVERS["windows-blind"]().probe(plan_for(net())), port)
    assert port.log[:4] == [Write(0x12, 1, 0), Write(0x12, 1, 1), Write(0x12, 1, 3), Read(0x00, 4)]
    assert port.host.read(STATUS, 1) == 7


def test_the_register_dump_of_windows_reads_what_stands_there() -> None:
    port = ModelPort(Host(net()))
    driver = Windows()
    run(driver.probe(plan_for(net())), port)
    values = run(driver.dump(), port)
    window = port.host.read_bytes(0, 32)
    assert values == [int.from_bytes(window[at:at + 4], "little") for at in (0, 4, 8, 12, 14, 16, 18, 19)]


@pytest.mark.parametrize(("name", "accesses"), [
    ("dpdk-uio", [Read(0x14, 4), Read(0x18, 2)]),
    ("dpdk-vfio", [Read(0x14, 4), Read(0x18, 2)]),
    ("linux", [Read(0x14 + index, 1) for index in range(6)]),
])
def test_the_mac_is_read_in_the_manner_of_each_driver(name: str, accesses: list[Operation]) -> None:
    port, _, _, _ = bring_up(name, net(), 0)
    at = port.log.index(accesses[0])
    assert port.log[at:at + len(accesses)] == accesses


def test_vfio_splits_by_alignment_and_uio_does_not() -> None:
    port = ModelPort(Host(block()))
    for name, expected in (
        ("dpdk-uio", [(0x15, 4), (0x19, 4), (0x1D, 4)]),
        ("dpdk-vfio", [(0x15, 1), (0x16, 2), (0x18, 8), (0x20, 1)]),
    ):
        driver = DRIVERS[name]()
        port.log.clear()
        data = run(driver.read_config(1, 12), port)
        assert data == block().config_image[1:13]
        assert port.log == [Read(*access) for access in expected]


@pytest.mark.parametrize("name", DRIVERS)
def test_drivers_write_configuration_bytes(name: str) -> None:
    port, driver, _, _ = bring_up(name, net(), 0)
    run(driver.write_config(0, b"\x02\x00\x00\xaa\xbb\xcc"), port)
    assert run(driver.read_config(0, 6), port) == b"\x02\x00\x00\xaa\xbb\xcc"


@pytest.mark.parametrize("name", ["linux", "seabios", "ipxe-old", "freebsd", "openbsd"])
def test_drivers_work_through_an_io_bar(name: str) -> None:
    config = net(bars=(Bar(index=0, kind=BarKind.IO, regions=entropy().bars[0].regions),), msix_vectors=0,
                 config_image=net().config_image)
    host = Host(config)
    bound = run(DRIVERS[name]().probe(plan_for(config)), IoPort(host))
    assert bound.sizes == [128, 256]
    assert [fields["queue"] for stream, fields in host.model.drain() if stream == "queue_update"] == [0, 1]

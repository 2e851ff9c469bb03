"""What a guest sees through the hypervisor against QEMU's own transitional device, access by access."""

import functools

import pytest
from hypervised import FUNCTION, Machine
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.host.hypervisor import Delivery, PciHost, TransitionalDevice, find, finish
from virtio_mmr_sim.host.hypervisor.guest import GuestMachine
from virtio_mmr_sim.model.driver import Plan, Read, SetMsix, Write
from virtio_mmr_sim.model.drivers import DRIVERS
from virtio_mmr_sim.oracle.differences import BY_NAME
from virtio_mmr_sim.oracle.qtest import QtestDevice
from virtio_mmr_sim.oracle.target import device_config_like

#: These never switch MSI-X on.
WITHOUT_MSIX = frozenset({"seabios", "ipxe-old", "ipxe-new"})

BIT_30 = 1 << 30

#: Differences that a driver may meet: SeaBIOS copies 32 bytes of configuration, however few there are.
ALLOWED = {name: {"bit_30_offered"} for name in DRIVERS} | {"seabios": {"bit_30_offered", "beyond_the_end"}}


@pytest.fixture(scope="module", autouse=True)
def tools():
    toolchain.skip_or_fail("qemu")


@pytest.fixture(scope="module")
def devices():
    """QEMU's devices by kind, started once, and descriptions of devices like them."""
    running = {}

    @functools.cache
    def device(kind):
        running[kind] = QtestDevice(kind)
        return running[kind], device_config_like(running[kind])

    yield device
    for one in running.values():
        one.close()


def guest_of(host: PciHost, routing_id: int, delivery: Delivery | None = None) -> GuestMachine:
    function = finish(find(host, routing_id))
    assert function is not None
    guest = GuestMachine()
    finish(guest.plug(finish(TransitionalDevice.attach(host, function, guest, delivery=delivery))))
    return guest


@pytest.fixture
def virtual(request, devices):
    """The guest of a golden model that is like QEMU's device of this kind, and that device."""
    def make(kind: str, delivery: Delivery | None = None):
        qemu, config = devices(kind)
        qemu.set_msix(False)
        qemu.reset_device()
        return guest_of(Machine(config), FUNCTION, delivery), qemu, config

    return make


def compare(guest: GuestMachine, qemu: QtestDevice, script) -> tuple[int, list[str]]:
    """Run a driver on both at once; how many values were compared, and the named differences that were met.

    The driver hears our value: so that both go on alike, a difference must not change what it does.
    """
    compared, met, answer, operation = 0, [], None, next(script)
    config_size = len(qemu.config_bytes())
    while True:
        match operation:
            case Read(offset, width):
                theirs = sum(qemu.read(offset + at, min(4, width - at)) << 8 * at for at in range(0, width, 4))
                answer = finish(guest.read(offset, width))
                if (offset, width) == (0, 4) and theirs ^ answer == BIT_30:
                    met.append("bit_30_offered")
                elif offset >= (0x18 if qemu.msix else 0x14) + config_size:
                    assert (answer, theirs) == (0, (1 << 8 * width) - 1)
                    met.append("beyond_the_end")
                else:
                    assert answer == theirs, f"{operation} after {compared} values: {answer:#x}, QEMU {theirs:#x}"
                compared += 1
            case Write(offset, width, value):
                qemu.write(offset, width, value)
                finish(guest.write(offset, width, value))
                answer = 0
            case SetMsix(enable):
                qemu.set_msix(enable)
                finish(guest.set_msix(enable))
                answer = 0
        try:
            operation = script.send(answer)
        except StopIteration:
            return compared, met


def lives(guest: GuestMachine, qemu: QtestDevice, config, name: str, vectors: int) -> None:
    """Probe, notify, interrupt handler, remove; twice."""
    plan = Plan(kind=config.kind, pages=[0x1000 + 0x100 * index for index in range(len(config.queues))],
                vectors=0 if name in WITHOUT_MSIX else vectors)
    compared, met = 0, []
    for _ in range(2):
        driver = DRIVERS[name]()
        for script in (driver.probe(plan), driver.notify(1 % len(plan.pages)), driver.interrupt(), driver.remove(plan)):
            values, differences = compare(guest, qemu, script)
            compared += values
            met += differences
    assert compared > 20
    assert met.count("bit_30_offered") == (4 if name == "ipxe-old" else 2), "features are read once or twice a life"
    assert set(met) <= ALLOWED[name] <= BY_NAME.keys()


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("vectors", [0, 4])
@pytest.mark.parametrize("kind", ["net", "blk"])
@pytest.mark.parametrize("name", DRIVERS)
def test_each_driver_reads_what_it_reads_from_qemu(virtual, name, kind, vectors, delivery):
    guest, qemu, config = virtual(kind, delivery)
    lives(guest, qemu, config, name, min(vectors, config.msix_vectors))


@pytest.fixture(scope="module")
def simulated(devices):
    """The generated design of a device like QEMU's network device, simulated."""
    toolchain.skip_or_fail("verilator", "g++", "make")
    from virtio_mmr_sim.native.model import NativeModel

    with NativeModel(devices("net")[1]) as native:
        yield native


@pytest.mark.parametrize("vectors", [0, 4])
@pytest.mark.parametrize("name", DRIVERS)
def test_the_simulated_design_does_so_too(simulated, devices, name, vectors):
    from virtio_mmr_sim.host.hypervisor.native import NativeHost
    from virtio_mmr_sim.native import setup

    qemu, config = devices("net")
    qemu.set_msix(False)
    qemu.reset_device()
    simulated.reset()
    setup.bring_up(simulated, config)
    lives(guest_of(NativeHost(simulated, {0: setup.addresses(config)}), 0), qemu, config, name, vectors)


@pytest.mark.parametrize("kind", ["net", "blk", "rng", "console"])
def test_the_configuration_space_is_that_of_the_same_device(virtual, kind):
    """What drivers bind by, and what firmware and operating system look at."""
    guest, qemu, _ = virtual(kind)

    def ours(offset: int, size: int) -> int:
        return finish(guest.device.config_read(offset, size))

    for offset, size, what in (
        (0x00, 4, "vendor and device id"), (0x08, 1, "revision"), (0x09, 1, "programming interface"),
        (0x0A, 2, "class"), (0x0E, 1, "header type"), (0x2C, 4, "subsystem"), (0x3D, 1, "interrupt pin"),
    ):
        assert ours(offset, size) == qemu.config_read(offset, size), what
    assert ours(0x10, 4) & 3 == qemu.config_read(0x10, 4) & 3 == 1, "BAR 0 is in I/O space"
    assert finish(guest.vectors()) == qemu.vectors


def test_a_hypervisor_that_translates_nothing_is_found_out(virtual, monkeypatch):
    guest, qemu, config = virtual("net", Delivery.NEVER)
    monkeypatch.setattr("virtio_mmr_sim.host.hypervisor.translation.place_of", lambda offset, guest_msix, msix: offset)
    with pytest.raises(AssertionError, match="QEMU"):
        lives(guest, qemu, config, "linux", 4)

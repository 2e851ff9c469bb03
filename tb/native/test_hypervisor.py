"""Every driver drives the generated design through the hypervisor, and reads what it reads from the golden model."""

import pytest
from hypervised import Machine, attach
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from native.test_fuzz import MORE_PAIRS, PAIRS, device, pairs  # noqa: E402
from virtio_mmr_sim.host.hypervisor import Delivery, TransitionalDevice, find, finish  # noqa: E402
from virtio_mmr_sim.host.hypervisor.guest import GuestMachine  # noqa: E402
from virtio_mmr_sim.host.hypervisor.native import NativeHost  # noqa: E402
from virtio_mmr_sim.model.driver import Plan  # noqa: E402
from virtio_mmr_sim.model.drivers import DRIVERS  # noqa: E402
from virtio_mmr_sim.native import setup  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

#: These never switch MSI-X on.
WITHOUT_MSIX = frozenset({"seabios", "ipxe-old", "ipxe-new"})

#: Routing id of the function; bus and device are any.
FUNCTION = 0x17A8


@pytest.fixture(scope="module", params=[
    *pairs((), (pair for pair in PAIRS if pair[0] != "transitional")), *pairs(pytest.mark.broad, MORE_PAIRS)])
def running(request):
    described = config.loads(device(*request.param))
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


def guest_of(native, described, delivery):
    """A guest of the design, fresh from reset."""
    native.reset()
    setup.bring_up(native, described)
    host = NativeHost(native, {FUNCTION: setup.addresses(described)})
    function = finish(find(host, FUNCTION))
    guest = GuestMachine()
    finish(guest.plug(finish(TransitionalDevice.attach(host, function, guest, delivery=delivery))))
    return guest


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize("vectors", [0, 4])
@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_reads_what_it_reads_from_the_model(running, name, vectors, delivery):
    native, described = running
    plan = Plan(kind=described.kind, pages=[0x1000 + 0x100 * index for index in range(len(described.queues))],
                vectors=0 if name in WITHOUT_MSIX else min(vectors, described.msix_vectors))
    logs = []
    for guest in (guest_of(native, described, delivery), attach(Machine(described), delivery=delivery)[1]):
        guest.log = []
        driver = DRIVERS[name]()
        for script in (driver.probe(plan), driver.notify(0), driver.interrupt(), driver.remove(plan)):
            finish(guest.play(script))
        logs.append(guest.log)
    assert logs[0] == logs[1] and len(logs[0]) > 20


def acknowledge(native):
    """The back end's answer to resets."""
    native.settle()
    for item in native.backend.take("reset_request"):
        native.backend.put("reset_done", function=0, epoch=item.fields["epoch"])
    native.settle()


def test_the_design_hears_what_the_driver_wants(running):
    native, described = running
    guest = guest_of(native, described, None)
    acknowledge(native)
    native.backend.take_all()
    pages = [0x1000 + 0x100 * index for index in range(len(described.queues))]
    finish(guest.play(DRIVERS["linux"]().probe(Plan(kind=described.kind, pages=pages))))
    acknowledge(native)
    updates = [item.fields for item in native.backend.take("queue_update") if item.fields["change"] == 0]
    assert sorted((fields["queue"], fields["descriptors"]) for fields in updates) == [
        (queue, page << 12) for queue, page in enumerate(pages)]
    assert [item.fields["queue"] for item in native.backend.take("notification")] == [0]

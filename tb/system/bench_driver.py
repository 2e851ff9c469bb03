"""Legacy drivers, as scripts of their register accesses, bring the device up and let it go."""

from system.legacy_driver import STATUS, needs_memory
from virtio_mmr.config.device import BarKind
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim.model.driver import Plan, Read, SetMsix, Write
from virtio_mmr_sim.model.drivers import DRIVERS
from virtio_mmr_sim.testbench import case

DRIVER_OK = 4


async def play(tb, script):
    """Run a driver's script over the legacy window."""

    async def perform(operation):
        match operation:
            case Read(offset, width):
                return await tb.legacy.read(offset, width)
            case Write(offset, width, value):
                await tb.legacy.write(offset, value, width)
            case SetMsix(enable):
                await tb.set_msix(enable)
        return 0

    return await tb.host.play(script, perform)


async def life(tb, name, *, msix):
    """Probe, notify every queue, remove; twice, since the second probe meets what the first left."""
    config = tb.config
    if msix and config.msix_vectors < 2:
        tb.skip("the device has no MSI-X")
    if msix and not any(bar.kind is not BarKind.IO for bar in config.bars):
        tb.skip("MSI-X needs a memory BAR")
    await tb.open_gate()
    driver = DRIVERS[name]()
    pages = [0x1000 + 0x40 * queue for queue in range(len(config.queues))]
    plan = Plan(kind=config.kind, pages=pages, vectors=config.msix_vectors if msix else 0)
    for _ in range(2):
        for stream in ("queue_update", "notification", "driver_update"):
            await tb.events(stream, 20)
        bound = await play(tb, driver.probe(plan))
        assert bound.features & ~config.legacy_features == 0
        assert bound.sizes == list(config.queues)
        image = config.config_image
        for field in config.kind.config:
            if field.name in bound.config:
                assert bound.config[field.name] == image[field.offset : field.offset + field.size], field.name
        notified = []
        for queue in range(len(pages)):
            await play(tb, driver.notify(queue))
            notified += await tb.events("notification", 40)
        updates = {word.queue: word for word in tb.out["queue_update"].take_all() if word.change == 0}
        assert sorted({word.queue for word in notified}) == list(range(len(pages)))
        for queue, (page, size) in enumerate(zip(pages, config.queues, strict=True)):
            word = updates[queue]
            assert (word.size, word.descriptors) == (size, page << 12)
            assert word.available == word.descriptors + available_ring_offset(size)
            assert word.used == word.descriptors + used_ring_offset(size)
        heard = tb.out["driver_update"].take_all()
        assert heard and heard[-1].driver_ok and heard[-1].features == bound.features
        await tb.cause(queue=0)
        if not msix:
            assert await play(tb, driver.interrupt()) == 1
        await play(tb, driver.remove(plan))
        await tb.events("notification")
        assert not await tb.legacy.read(STATUS, 1) & DRIVER_OK


@case
async def linux_with_interrupt_line(tb):
    await life(tb, "linux", msix=False)


@case
async def linux_with_msix_uses_both_layouts(tb):
    await life(tb, "linux", msix=True)


@case
async def windows_never_reads_its_reset_back(tb):
    await life(tb, "windows", msix=True)


@case
async def windows_without_msix(tb):
    await life(tb, "windows", msix=False)


@case
async def seabios_resets_then_reads_isr(tb):
    await life(tb, "seabios", msix=False)


@case
async def old_ipxe_notifies_before_features(tb):
    await life(tb, "ipxe-old", msix=False)


@case
async def new_ipxe_polls_its_reset(tb):
    await life(tb, "ipxe-new", msix=False)


@case
async def freebsd_connects_vectors_at_the_end(tb):
    await life(tb, "freebsd", msix=True)


@case
async def openbsd_reads_the_high_half_first(tb):
    await life(tb, "openbsd", msix=False)


@case
async def dpdk_reads_configuration_at_any_width(tb):
    await life(tb, "dpdk-uio", msix=True)


@case
async def dpdk_over_vfio_reads_eight_bytes_at_a_time(tb):
    needs_memory(tb)
    await life(tb, "dpdk-vfio", msix=True)

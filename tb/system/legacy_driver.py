"""What the benches of the legacy window share: its registers, and a driver's first steps."""

from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.spec.legacy import HEADER

(
    DEVICE_FEATURES,
    DRIVER_FEATURES,
    QUEUE_ADDRESS,
    QUEUE_SIZE,
    QUEUE_SELECT,
    NOTIFY,
    STATUS,
    ISR,
    CONFIG_VECTOR,
    QUEUE_VECTOR,
) = (register.offset for register in HEADER)

NO_VECTOR = 0xFFFF


def needs_memory(tb):
    """The case sends requests of several dwords, which I/O space has not."""
    found = tb.config.find(Space.LEGACY)
    if found is None or found[0].kind is BarKind.IO:
        tb.skip("the legacy window is not in memory")


def needs_queues(tb, count):
    """The case uses several queues."""
    if len(tb.config.queues) < count:
        tb.skip(f"the device has fewer than {count} queues")


def needs_msix(tb):
    """The case uses MSI-X."""
    if not tb.config.msix_vectors:
        tb.skip("the device has no MSI-X")


def needs_configuration(tb):
    """The case reads device configuration."""
    if not tb.config.config_image:
        tb.skip("the device type has no configuration")


def bytes_of(tb, owner):
    """Places of the configuration bytes that *owner* may change."""
    return [
        place
        for field in tb.config.kind.config
        if field.owner is owner
        for place in range(field.offset, field.offset + field.size)
    ]


async def select(tb, queue):
    """Show a queue in the banked registers."""
    await tb.legacy.write(QUEUE_SELECT, queue, 2)


async def start_queue(tb, queue, page):
    """Select a queue and give it a page."""
    await select(tb, queue)
    await tb.legacy.write(QUEUE_ADDRESS, page, 4)


async def notify(tb, queue):
    """Tell the device about new buffers."""
    await tb.legacy.write(NOTIFY, queue, 2)


async def queue_state(tb, queue):
    """Page, size and, with MSI-X, vector of a queue as the window shows them."""
    await select(tb, queue)
    return await tb.legacy.read(QUEUE_ADDRESS, 4), await tb.legacy.read(QUEUE_SIZE, 2)


async def dirty(tb):
    """Give every register that a reset clears another value."""
    legacy = tb.legacy
    await legacy.write(STATUS, 3, 1)
    await legacy.write(DRIVER_FEATURES, tb.config.legacy_features, 4)
    for queue in range(len(tb.config.queues)):
        await start_queue(tb, queue, 0x1000 + queue)
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        await legacy.write(CONFIG_VECTOR, 0, 2)
        for queue in range(len(tb.config.queues)):
            await select(tb, queue)
            await legacy.write(QUEUE_VECTOR, tb.config.msix_vectors - 1, 2)
    await select(tb, 0)
    await legacy.write(STATUS, 7, 1)
    await tb.host.settle()
    await tb.cause(queue=0)
    await tb.cause(config_change=True)


async def assert_clean(tb):
    """Every register that a reset clears has its reset value."""
    legacy = tb.legacy
    assert await legacy.read(STATUS, 1) == 0
    assert await legacy.read(ISR, 1) == 0
    assert await legacy.read(DRIVER_FEATURES, 4) == 0
    assert await legacy.read(QUEUE_SELECT, 2) == 0
    for queue, size in enumerate(tb.config.queues):
        assert await queue_state(tb, queue) == (0, size)
    await select(tb, 0)


async def assert_no_vectors(tb):
    """With MSI-X enabled, no vector is set."""
    assert await tb.legacy.read(CONFIG_VECTOR, 2) == NO_VECTOR
    for queue in range(len(tb.config.queues)):
        await select(tb, queue)
        assert await tb.legacy.read(QUEUE_VECTOR, 2) == NO_VECTOR
    await select(tb, 0)

"""What the benches of the modern interface share: its registers, and a driver's first steps."""

from virtio_mmr.config.device import Space
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.modern import COMMON

(
    DEVICE_FEATURE_SELECT,
    DEVICE_FEATURE,
    DRIVER_FEATURE_SELECT,
    DRIVER_FEATURE,
    CONFIG_VECTOR,
    NUM_QUEUES,
    STATUS,
    GENERATION,
    QUEUE_SELECT,
    QUEUE_SIZE,
    QUEUE_VECTOR,
    QUEUE_ENABLE,
    NOTIFY_OFF,
    QUEUE_DESC,
    QUEUE_DRIVER,
    QUEUE_DEVICE,
    NOTIFY_DATA,
    QUEUE_RESET,
    ADMIN_INDEX,
    ADMIN_NUMBER,
) = (register.offset for register in COMMON)

VERSION_1 = 1 << TransportFeature.VERSION_1


def common(tb):
    """The common configuration; skips the case if the device has none."""
    return tb.window(Space.COMMON)


def needs_feature(tb, feature):
    """The case negotiates *feature*."""
    common(tb)
    if not tb.config.features >> feature & 1:
        tb.skip(f"the device does not offer {feature.name}")


async def select(tb, queue):
    """Show a queue in the banked registers."""
    await common(tb).write(QUEUE_SELECT, queue, 2)


async def accept(tb, features):
    """Write both words of accepted features."""
    for word in (0, 1):
        await common(tb).write(DRIVER_FEATURE_SELECT, word, 4)
        await common(tb).write(DRIVER_FEATURE, features >> 32 * word & 0xFFFF_FFFF, 4)


async def agree(tb, features=None):
    """Reset, and go to FEATURES_OK with *features*, or with all that is offered."""
    await tb.open_gate()
    for status in (0, 1, 3):
        await common(tb).write(STATUS, status, 1)
    await accept(tb, tb.config.modern_features if features is None else features)
    await common(tb).write(STATUS, 0x0B, 1)


async def place_queue(tb, queue):
    """Give a queue random addresses, in halves in any order; gives the addresses."""
    await select(tb, queue)
    areas = [tb.rng.getrandbits(64) & ~0xF for _ in range(3)]
    halves = [
        (register + 4 * half, area >> 32 * half & 0xFFFF_FFFF)
        for register, area in zip((QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE), areas, strict=True) for half in (0, 1)
    ]
    tb.rng.shuffle(halves)
    for offset, half in halves:
        await common(tb).write(offset, half, 4)
    return areas


async def start_queue(tb, queue):
    """Place a queue and enable it; gives its addresses."""
    areas = await place_queue(tb, queue)
    await common(tb).write(QUEUE_ENABLE, 1, 2)
    return areas


async def notify_address(tb, queue):
    """Where in the notification region a queue is notified."""
    _, region = tb.config.find(Space.NOTIFY)
    await select(tb, queue)
    return region.stride * await common(tb).read(NOTIFY_OFF, 2)


async def notify(tb, queue, data=None):
    """Tell the device about new buffers, with notification data or without."""
    value, size = (queue, 2) if data is None else (queue | data << 16, 4)
    await tb.window(Space.NOTIFY).write(await notify_address(tb, queue), value, size)

"""Where QEMU's modern window and ours may differ: decided one by one, each with its reason.

As `virtio_mmr_sim.oracle.differences`, for the run of `virtio_mmr_sim.oracle.modern_differ`. QEMU's side
was measured with version 11.1.
"""

from .differences import Difference

_WRITE_BACK = "our value is written to QEMU's register"

TABLE = (
    Difference(
        name="accepted_bits_as_written", applies="writes of driver_feature with bits that are not offered",
        qemu="shows them", ours="stores what is offered",
        reason="virtio 1.4, 4.1.4.3: a device may show invalid bits; a driver that reads back learns more this way",
        after=_WRITE_BACK),
    Difference(
        name="features_after_features_ok", applies="writes of driver_feature while FEATURES_OK is set",
        qemu="shows them, and goes on with the old ones", ours="ignores them",
        reason="virtio 1.4, 3.1.1: a driver must not accept features after that step", after=_WRITE_BACK),
    Difference(
        name="features_ok_always",
        applies="status writes that set FEATURES_OK without VERSION_1, or with bits that are not offered",
        qemu="stores the bit", ours="does not take it",
        reason="virtio 1.4, 2.2.2: a device must fail to set it for what it cannot do; 6.1: it may without VERSION_1",
        after=_WRITE_BACK),
    Difference(
        name="needs_reset_stored", applies="status writes with bit 6", qemu="stores the bit",
        ours="the bit is the device's and is not taken", reason="virtio 1.4, 2.1: the device sets DEVICE_NEEDS_RESET",
        after=_WRITE_BACK),
    Difference(
        name="selectors_survive_reset", applies="resets", qemu="keeps both feature selectors", ours="clears them",
        reason="virtio 1.4, 4.1.4.3.1 is silent; a reset leaves nothing of the last driver", after=_WRITE_BACK),
    Difference(
        name="any_size", applies="queue sizes that are no power of two", qemu="stores them",
        ours="keeps the old size", reason="virtio 1.4, 4.1.4.3.2: a driver must not write them without packed rings",
        after=_WRITE_BACK),
    Difference(
        name="size_beyond_the_queue", applies="queue sizes beyond the one after reset",
        qemu="stops with DEVICE_NEEDS_RESET", ours="keeps the old size",
        reason="virtio 1.4, 4.1.4.3.2: a driver must not write them; one that reads back sees that it failed",
        after="QEMU is not given them"),
    Difference(
        name="changes_while_enabled", applies="size and addresses of an enabled queue", qemu="stores them, without "
        "effect on the queue", ours="ignores them", reason="virtio 1.4, 4.1.4.3.2: a driver configures the other "
        "fields before it enables the queue", after=_WRITE_BACK),
    Difference(
        name="size_survives_queue_reset", applies="enabling a queue that was reset and given no size since",
        qemu="returns to the size that was written before the reset, though it has shown the largest since",
        ours="keeps the size that it shows", reason="virtio 1.4, 2.6.1.1: the device resets any state of the queue",
        after=_WRITE_BACK),
    Difference(
        name="other_enable_values", applies="writes of queue_enable that are not 1",
        qemu="stops with DEVICE_NEEDS_RESET under a driver of version 1", ours="ignores them",
        reason="virtio 1.4, 4.1.4.3.2: a driver must not write 0; there is nothing to be gained by stopping",
        after="QEMU is not given them"),
    Difference(
        name="no_such_queue", applies="queue_notify_off, vector, addresses and enabling of queues that do not exist",
        qemu="has them", ours="reads zero or none, takes nothing", reason="there is nothing behind them",
        after="QEMU's registers are cleared; it is not asked to enable such a queue"),
    Difference(
        name="selections_from_1024", applies="queue selections of 1024 and more", qemu="keeps the old selection",
        ours="stores any value; such a queue has size zero",
        reason="any index without a queue shows size zero", after="QEMU's selection is written to ours"),
    Difference(
        name="reset_not_negotiated", applies="writes of queue_reset without RING_RESET",
        qemu="resets the queue all the same", ours="ignores them",
        reason="virtio 1.4, 4.1.4.3: the field exists with the feature alone", after="QEMU is not given them"),
    Difference(
        name="addresses_survive_queue_reset", applies="queue resets", qemu="still shows the addresses",
        ours="shows zero", reason="virtio 1.4, 2.6.1.1: the device resets any state of the queue", after=_WRITE_BACK),
    Difference(
        name="config_beyond_the_end", applies="accesses that reach beyond the device configuration that QEMU has",
        qemu="reads ones", ours="reads zero beyond the end", reason="no driver looks there"),
    Difference(
        name="mac_fixed_by_version_1", applies="writes of the MAC address with VERSION_1 accepted",
        qemu="ignores them", ours="takes them", reason="a modern driver uses the control queue; the bytes are one "
        "with those of the legacy window", after="QEMU's bytes are written to ours", kind="net"),
    Difference(
        name="mac_comes_back", applies="resets after the driver has written the MAC address",
        qemu="brings the first address back", ours="keeps what the driver wrote until a function level reset",
        reason="virtio is silent; a reset ends the driver's session, not the card's address",
        after="QEMU's bytes are written to ours", kind="net"),
    Difference(
        name="cache_mode_is_qemus", applies="writes of the cache mode, of the status, and resets",
        qemu="keeps one bit, which follows the accepted features", ours="stores the byte for the back end to judge",
        reason="the back end hears of both and may update the configuration", after="QEMU's byte is written to ours",
        kind="blk"),
    Difference(
        name="generation_after_driver", applies="config_generation after the driver has written configuration",
        qemu="does not count what the driver writes", ours="counts it",
        reason="virtio 1.4, 4.1.4.3.1 speaks of any change; a driver beside the writer may have read half of it"),
)

BY_NAME = {difference.name: difference for difference in TABLE}

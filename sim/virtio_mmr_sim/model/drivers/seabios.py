"""SeaBIOS 1.16: src/hw/virtio-pci.c and virtio-blk.c."""

from virtio_mmr.spec.status import Status

from virtio_mmr_sim.model.driver import (
    DEVICE_FEATURES,
    DEVICE_STATUS,
    ISR_STATUS,
    QUEUE_ADDRESS,
    Bound,
    DriverRefused,
    LegacyDriver,
    Plan,
    Script,
    get,
    put,
)

#: Entries of the largest queue that the firmware has room for.
LARGEST_QUEUE = 256

#: Bytes of device configuration that it copies.
CONFIG_SIZE = 32


class SeaBios(LegacyDriver):
    """Accepts no features, never enables MSI-X, and copies the configuration byte by byte."""

    name = "seabios"

    def reset(self) -> Script[None]:
        """Write zero, and clear the interrupt status."""
        yield from put(DEVICE_STATUS, 0)
        yield from get(ISR_STATUS)

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        yield from self.reset()
        yield from put(DEVICE_STATUS, Status.ACKNOWLEDGE | Status.DRIVER)
        for index, page in enumerate(plan.pages):
            size = yield from self.find_queue(index)
            if size > LARGEST_QUEUE:
                raise DriverRefused(f"queue {index} has {size} entries, and there is room for {LARGEST_QUEUE}")
            yield from put(QUEUE_ADDRESS, page)
            bound.sizes.append(size)
        image = yield from self.read_config(0, CONFIG_SIZE)
        offered = yield from get(DEVICE_FEATURES)
        bound.config = {
            part.name: image[part.offset:part.offset + part.size]
            for part in plan.kind.config if part.offset + part.size <= CONFIG_SIZE
            and (part.feature is None or offered >> plan.kind.features[part.feature] & 1)
        }
        yield from put(DEVICE_STATUS, Status.ACKNOWLEDGE | Status.DRIVER | Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()

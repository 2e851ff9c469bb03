"""iPXE: src/drivers/bus/virtio-pci.c and net/virtio-net.c, before and after the rework of May 2026."""

from virtio_mmr.spec.status import Status

from virtio_mmr_sim.model.driver import (
    DEVICE_FEATURES,
    DEVICE_STATUS,
    DRIVER_FEATURES,
    ISR_STATUS,
    QUEUE_ADDRESS,
    Bound,
    DriverRefused,
    LegacyDriver,
    Plan,
    Script,
    fields_of,
    get,
    put,
)

#: Entries of the largest queue that the older driver has room for.
LARGEST_QUEUE = 256

#: Reads of the status register that the newer driver waits for a reset.
PATIENCE = 100


class OldIpxe(LegacyDriver):
    """Notifies before it has said which features it takes, and never sets ACKNOWLEDGE."""

    name = "ipxe-old"

    def reset(self) -> Script[None]:
        """Write zero, and clear the interrupt status."""
        yield from put(DEVICE_STATUS, 0)
        yield from get(ISR_STATUS)

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        yield from self.reset()
        offered = yield from get(DEVICE_FEATURES)
        for part in fields_of(plan.kind, offered):
            bound.config[part.name] = yield from self.read_field(part)

        yield from self.reset()
        for index, page in enumerate(plan.pages):
            size = yield from self.find_queue(index)
            if size > LARGEST_QUEUE:
                raise DriverRefused(f"queue {index} has {size} entries, and there is room for {LARGEST_QUEUE}")
            yield from put(QUEUE_ADDRESS, page)
            bound.sizes.append(size)
        yield from self.notify(0)
        bound.features = yield from self.negotiate(plan)
        yield from put(DEVICE_STATUS, Status.DRIVER | Status.DRIVER_OK)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()


class NewIpxe(LegacyDriver):
    """Waits for the status to read zero; finds the configuration where MSI-X Enable, as it is, puts it."""

    name = "ipxe-new"

    def reset(self) -> Script[None]:
        """Write zero, and wait until it reads back."""
        yield from put(DEVICE_STATUS, 0)
        for _ in range(PATIENCE):
            if (yield from get(DEVICE_STATUS)) == 0:
                return
        raise DriverRefused("the device does not come out of reset")

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        self.msix = plan.vectors != 0
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        offered = yield from get(DEVICE_FEATURES)
        bound.features = offered & plan.features
        yield from put(DRIVER_FEATURES, bound.features)
        for part in fields_of(plan.kind, offered):
            bound.config[part.name] = yield from self.read_field(part)
        for index, page in enumerate(plan.pages):
            bound.sizes.append((yield from self.find_queue(index)))
            yield from put(QUEUE_ADDRESS, page)
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()

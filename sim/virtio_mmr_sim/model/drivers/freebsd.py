"""FreeBSD: sys/dev/virtio/pci/virtio_pci_legacy.c and virtio_pci.c."""

from virtio_mmr.spec.status import Status

from virtio_mmr_sim.model.driver import (
    CONFIG_VECTOR,
    DEVICE_STATUS,
    QUEUE_ADDRESS,
    QUEUE_SELECT,
    QUEUE_VECTOR,
    Bound,
    DriverRefused,
    LegacyDriver,
    Plan,
    Script,
    get,
    put,
    queue_vectors,
)


class FreeBsd(LegacyDriver):
    """Does not look at the page before it sets a queue up; connects all vectors after all queues."""

    name = "freebsd"

    def reset(self) -> Script[None]:
        """Write zero, and read once."""
        yield from put(DEVICE_STATUS, 0)
        yield from get(DEVICE_STATUS)

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        bound.features = yield from self.negotiate(plan)
        bound.config.update((yield from self.read_fields(plan, bound.features, early=True)))

        for index, page in enumerate(plan.pages):
            size = yield from self.find_queue(index, check_page=False)
            if size & (size - 1):
                raise DriverRefused(f"queue {index} has {size} entries, which is not a power of two")
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, page)
            bound.sizes.append(size)

        bound.vectors = queue_vectors(plan)
        if bound.vectors:
            yield from self.enable_msix(True)
            yield from self.set_vector(CONFIG_VECTOR, 0)
        for index, vector in enumerate(bound.vectors):
            yield from put(QUEUE_SELECT, index)
            yield from self.set_vector(QUEUE_VECTOR, vector)

        bound.config.update((yield from self.read_fields(plan, bound.features, early=False)))
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()
        if self.msix:
            yield from self.enable_msix(False)
        for index in range(len(plan.pages)):
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, 0)
        yield from self.add_status(Status.ACKNOWLEDGE)

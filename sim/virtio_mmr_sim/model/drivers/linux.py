"""Linux: drivers/virtio/virtio_pci_legacy.c and virtio_pci_legacy_dev.c of 6.12."""

from virtio_mmr.spec.legacy import NO_VECTOR
from virtio_mmr.spec.status import Status

from virtio_mmr_sim.model.driver import (
    CONFIG_VECTOR,
    DEVICE_STATUS,
    ISR_STATUS,
    QUEUE_ADDRESS,
    QUEUE_SELECT,
    QUEUE_VECTOR,
    Bound,
    LegacyDriver,
    Plan,
    Script,
    get,
    put,
    queue_vectors,
)


class Linux(LegacyDriver):
    """Selects the queue anew before every access to a banked register; reads configuration by bytes."""

    name = "linux"

    def reset(self) -> Script[None]:
        """Write zero, and read once to flush the write."""
        yield from put(DEVICE_STATUS, 0)
        yield from get(DEVICE_STATUS)

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        bound.features = yield from self.negotiate(plan)
        bound.config.update((yield from self.read_fields(plan, bound.features, early=True)))

        bound.vectors = queue_vectors(plan)
        if bound.vectors:
            yield from self.enable_msix(True)
            yield from self.set_vector(CONFIG_VECTOR, 0)
        for index, page in enumerate(plan.pages):
            bound.sizes.append((yield from self.set_up_queue(index, page, bound.vectors)))

        bound.config.update((yield from self.read_fields(plan, bound.features, early=False)))
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def set_up_queue(self, index: int, page: int, vectors: list[int]) -> Script[int]:
        """Check, load and connect one queue."""
        size = yield from self.find_queue(index, check_page=False)
        yield from put(QUEUE_SELECT, index)
        yield from self.refuse_active(index)
        yield from put(QUEUE_SELECT, index)
        yield from put(QUEUE_ADDRESS, page)
        if vectors:
            yield from put(QUEUE_SELECT, index)
            yield from self.set_vector(QUEUE_VECTOR, vectors[index])
        return size

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()
        for index in range(len(plan.pages)):
            if self.msix:
                yield from put(QUEUE_SELECT, index)
                yield from put(QUEUE_VECTOR, NO_VECTOR)
                yield from get(QUEUE_VECTOR)
                yield from get(ISR_STATUS)
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, 0)
        if self.msix:
            yield from put(CONFIG_VECTOR, NO_VECTOR)
            yield from get(CONFIG_VECTOR)
            yield from self.enable_msix(False)

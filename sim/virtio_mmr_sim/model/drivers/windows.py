"""Windows: VirtIO/VirtIOPCILegacy.c and VirtIOPCICommon.c of kvm-guest-drivers-windows."""

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
    Read,
    Script,
    get,
    put,
    queue_vectors,
)

#: Offsets at which the register dump reads four bytes, whatever stands there.
DUMPED = (0, 4, 8, 12, 14, 16, 18, 19)


class Windows(LegacyDriver):
    """MSI-X is on before the driver starts; the reset is not read back; queues are looked at twice."""

    name = "windows"

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound(vectors=queue_vectors(plan))
        if bound.vectors:
            yield from self.enable_msix(True)
        yield from put(DEVICE_STATUS, 0)
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        bound.features = yield from self.negotiate(plan)
        bound.config.update((yield from self.read_fields(plan, bound.features, early=True)))
        bound.config.update((yield from self.read_fields(plan, bound.features, early=False)))

        for index in range(len(plan.pages)):
            yield from self.find_queue(index)
        if bound.vectors:
            yield from self.set_vector(CONFIG_VECTOR, 0)
        for index, page in enumerate(plan.pages):
            bound.sizes.append((yield from self.find_queue(index)))
            yield from put(QUEUE_ADDRESS, page)
            if bound.vectors:
                yield from put(QUEUE_SELECT, index)
                yield from self.set_vector(QUEUE_VECTOR, bound.vectors[index])
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def dump(self) -> Script[list[int]]:
        """Print registers for debugging; clears the interrupt status."""
        values = []
        for offset in DUMPED:
            values.append((yield Read(offset, 4)))
        return values

    def remove(self, plan: Plan) -> Script[None]:
        yield from put(DEVICE_STATUS, 0)
        for index in range(len(plan.pages)):
            yield from put(QUEUE_SELECT, index)
            if self.msix:
                yield from put(QUEUE_VECTOR, NO_VECTOR)
                yield from get(ISR_STATUS)
            yield from put(QUEUE_ADDRESS, 0)


class BlindWindows(Windows):
    """The same, if the driver keeps the status itself: 0, 1, 3 are written with no read between them."""

    name = "windows-blind"

    def __init__(self) -> None:
        super().__init__()
        self._status = 0

    def add_status(self, bits: int) -> Script[None]:
        self._status |= bits
        yield from put(DEVICE_STATUS, self._status)

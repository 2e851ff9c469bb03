"""OpenBSD: sys/dev/pci/virtio_pci.c of 2019."""

from virtio_mmr.spec.device_types import ConfigField
from virtio_mmr.spec.legacy import NO_VECTOR
from virtio_mmr.spec.status import Status

from virtio_mmr_sim.model.driver import (
    CONFIG_VECTOR,
    DEVICE_STATUS,
    QUEUE_ADDRESS,
    QUEUE_SELECT,
    QUEUE_VECTOR,
    Bound,
    LegacyDriver,
    Plan,
    Read,
    Script,
    put,
)


class OpenBsd(LegacyDriver):
    """Reads configuration at its natural width, 64-bit fields high half first; reads no vector back.

    With a vector for each queue it also selects, and gives a vector to, one queue too many.
    """

    name = "openbsd"

    def reset(self) -> Script[None]:
        """Write zero, and read nothing."""
        yield from put(DEVICE_STATUS, 0)

    def read_field(self, part: ConfigField) -> Script[bytes]:
        data = b""
        for index in range(part.count):
            size = part.width // 8
            offset = self.config_offset() + part.offset + size * index
            if size == 8:
                high = yield Read(offset + 4, 4)
                low = yield Read(offset, 4)
                data += (high << 32 | low).to_bytes(8, "little")
            else:
                data += (yield Read(offset, size)).to_bytes(size, "little")
        return data

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound()
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        bound.features = yield from self.negotiate(plan)
        bound.config.update((yield from self.read_fields(plan, bound.features, early=True)))
        bound.config.update((yield from self.read_fields(plan, bound.features, early=False)))
        for index, page in enumerate(plan.pages):
            bound.sizes.append((yield from self.find_queue(index, check_page=False)))
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, page)

        count = len(plan.pages)
        if plan.vectors >= 2:
            one_each = plan.vectors >= count + 2
            vectors = [1 + index for index in range(count + 1)] if one_each else [1] * count
            yield from self.enable_msix(True)
            yield from put(CONFIG_VECTOR, 0)
            for index, vector in enumerate(vectors):
                yield from put(QUEUE_SELECT, index)
                yield from put(QUEUE_VECTOR, vector)
            bound.vectors = vectors[:count]
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        yield from self.reset()
        for index in range(len(plan.pages)):
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, 0)
        if self.msix:
            for index in range(len(plan.pages)):
                yield from put(QUEUE_SELECT, index)
                yield from put(QUEUE_VECTOR, NO_VECTOR)
            yield from self.enable_msix(False)

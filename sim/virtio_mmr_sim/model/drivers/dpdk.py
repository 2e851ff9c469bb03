"""DPDK: drivers/net/virtio/virtio_pci.c and virtio_ethdev.c, over UIO and over vfio."""

from virtio_mmr.spec.legacy import NO_VECTOR
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
    Read,
    Script,
    Write,
    get,
    put,
    queue_vectors,
)

#: Reads of the status register that the driver waits for a reset.
PATIENCE = 3000


class Dpdk(LegacyDriver):
    """Over UIO: accesses of 4, 2 and 1 bytes from wherever the first byte stands."""

    name = "dpdk-uio"

    #: Widths that an access is split into, largest first.
    widths: tuple[int, ...] = (4, 2, 1)
    #: Whether an access must stand on a multiple of its width.
    aligned = False

    def split(self, offset: int, size: int) -> list[tuple[int, int]]:
        """The accesses that reach *size* bytes at *offset*: offset and width of each."""
        found = []
        while size:
            width = next(
                width for width in self.widths if width <= size and not (self.aligned and offset % width))
            found.append((offset, width))
            offset += width
            size -= width
        return found

    def read_config(self, offset: int, size: int) -> Script[bytes]:
        data = b""
        for at, width in self.split(self.config_offset() + offset, size):
            data += (yield Read(at, width)).to_bytes(width, "little")
        return data

    def write_config(self, offset: int, data: bytes) -> Script[None]:
        start = self.config_offset() + offset
        for at, width in self.split(start, len(data)):
            yield Write(at, width, int.from_bytes(data[at - start:at - start + width], "little"))

    def reset(self) -> Script[None]:
        """Write zero, and wait until it reads back."""
        yield from put(DEVICE_STATUS, 0)
        for _ in range(PATIENCE):
            if (yield from get(DEVICE_STATUS)) == 0:
                return
        raise DriverRefused("the device does not come out of reset")

    def probe(self, plan: Plan) -> Script[Bound]:
        bound = Bound(vectors=queue_vectors(plan))
        if bound.vectors:
            yield from self.enable_msix(True)
        yield from self.reset()
        yield from self.add_status(Status.ACKNOWLEDGE)
        yield from self.add_status(Status.DRIVER)
        bound.features = yield from self.negotiate(plan)
        bound.config.update((yield from self.read_fields(plan, bound.features, early=True)))
        bound.config.update((yield from self.read_fields(plan, bound.features, early=False)))
        for index, page in enumerate(plan.pages):
            size = yield from self.find_queue(index, check_page=False)
            if size & (size - 1):
                raise DriverRefused(f"queue {index} has {size} entries, which is not a power of two")
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, page)
            bound.sizes.append(size)
        if bound.vectors:
            yield from self.set_vector(CONFIG_VECTOR, 0)
        for index, vector in enumerate(bound.vectors):
            yield from put(QUEUE_SELECT, index)
            yield from self.set_vector(QUEUE_VECTOR, vector)
        yield from self.add_status(Status.DRIVER_OK)
        yield from self.notify(0)
        return bound

    def remove(self, plan: Plan) -> Script[None]:
        if self.msix:
            yield from put(CONFIG_VECTOR, NO_VECTOR)
            yield from get(CONFIG_VECTOR)
        yield from self.reset()
        for index in range(len(plan.pages)):
            yield from put(QUEUE_SELECT, index)
            yield from put(QUEUE_ADDRESS, 0)


class DpdkVfio(Dpdk):
    """Over vfio the kernel splits by alignment, into 8 bytes too."""

    name = "dpdk-vfio"
    widths = (8, 4, 2, 1)
    aligned = True

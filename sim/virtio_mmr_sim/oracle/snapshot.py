"""Reads all virtio state of QEMU's device out of its legacy window, and puts it back.

Every access is to a whole register, so nothing here depends on how QEMU takes odd accesses. Vectors
can be seen only while MSI-X is enabled, so it is enabled meanwhile. The interrupt status is left
alone, because reading clears it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from virtio_mmr.spec.legacy import CONFIG_OFFSET, NO_VECTOR

from .qtest import Access, QtestDevice, SetMsix, Step

ACCEPTED, PAGE, SELECT, STATUS, CONFIG_VECTOR, QUEUE_VECTOR = 0x04, 0x08, 0x0E, 0x12, 0x14, 0x16

_CONFIG = CONFIG_OFFSET[True]


@dataclass(frozen=True)
class Snapshot:
    """Virtio state of a device."""

    status: int
    accepted: int
    select: int
    config_vector: int
    #: Page and vector of each queue.
    queues: tuple[tuple[int, int], ...]
    #: Vector shown for the selection when it names no queue.
    stray_vector: int
    #: Configuration bytes that a driver can set.
    config: bytes

    @property
    def selected(self) -> tuple[int, int]:
        """Page and vector of the selected queue; zero and none if there is no such queue."""
        return self.queues[self.select] if self.select < len(self.queues) else (0, NO_VECTOR)

    def without_page(self) -> Self:
        """The same, with the selected queue stopped."""
        queues = list(self.queues)
        if self.select < len(queues):
            queues[self.select] = (0, queues[self.select][1])
        return replace(self, queues=tuple(queues))

    def after_reset(self) -> Self:
        """What a reset by the status leaves; the configuration is the device's own matter."""
        return replace(self, status=0, accepted=0, select=0, config_vector=NO_VECTOR, stray_vector=NO_VECTOR,
                       queues=((0, NO_VECTOR),) * len(self.queues))


def _config_reads(places: Sequence[int]) -> list[Access]:
    """Reads of the configuration bytes at *places*, which ascend: pairs of them at once where they are aligned."""
    reads: list[Access] = []
    for at in places:
        if reads and reads[-1] == Access(_CONFIG + at - 1, 1) and at % 2:
            reads[-1] = Access(_CONFIG + at - 1, 2)
        else:
            reads.append(Access(_CONFIG + at, 1))
    return reads


class QemuState:
    """QEMU's device with its state: accesses and questions about the state go in one batch.

    Asking for the state moves the queue selection; it is put back at the start of the next batch.
    *queues* is the number of queues, *writable* the offsets of configuration bytes that a driver can set.
    """

    def __init__(self, qemu: QtestDevice, queues: int, writable: Sequence[int]) -> None:
        self.qemu, self.queues = qemu, queues
        self._writable = writable
        self._config_reads = _config_reads(writable)
        self._owed: list[Step] = []

    def run(self, steps: Sequence[Step]) -> list[int]:
        """`QtestDevice.run`, with the selection put back first."""
        owed, self._owed = self._owed, []
        return self.qemu.run([*owed, *steps])[len(owed):]

    def after(self, steps: Sequence[Step] = ()) -> Snapshot:
        """The state after *steps*."""
        msix = next((step.enable for step in reversed(steps) if isinstance(step, SetMsix)), self.qemu.msix)
        questions: list[Step] = [
            SetMsix(True), Access(SELECT, 2), Access(STATUS, 1), Access(ACCEPTED, 4), Access(CONFIG_VECTOR, 2),
            Access(QUEUE_VECTOR, 2), *self._config_reads]
        config_end = len(questions)
        for index in range(self.queues):
            questions += [Access(SELECT, 2, index), Access(PAGE, 4), Access(QUEUE_VECTOR, 2)]
        answers = self.run([*steps, *questions, SetMsix(msix)])[len(steps):]
        _, select, status, accepted, config_vector, shown_vector = answers[:6]
        config = b"".join(
            value.to_bytes(access.width, "little")
            for access, value in zip(self._config_reads, answers[6:config_end], strict=True))
        self._owed = [Access(SELECT, 2, select)]
        pages = answers[config_end + 1:-1:3]
        vectors = answers[config_end + 2:-1:3]
        return Snapshot(
            status=status, accepted=accepted, select=select, config_vector=config_vector,
            queues=tuple(zip(pages, vectors, strict=True)),
            stray_vector=shown_vector if select >= self.queues else NO_VECTOR, config=config)

    def steps_to(self, state: Snapshot) -> list[Step]:
        """Steps that bring the device into *state*, whatever its state is now; a stray vector is cleared.

        Configuration is written twice: before the features, which may forbid it, and after the status,
        which may change it.
        """
        config = [
            Access(_CONFIG + at, 1, byte) for at, byte in zip(self._writable, state.config, strict=True)]
        steps: list[Step] = [SetMsix(True), Access(STATUS, 1, 0), *config, Access(ACCEPTED, 4, state.accepted)]
        for index, (page, vector) in enumerate(state.queues):
            steps += [Access(SELECT, 2, index), Access(QUEUE_VECTOR, 2, vector)]
            steps += [Access(PAGE, 4, page)] if page else []
        steps += [Access(SELECT, 2, state.select), Access(CONFIG_VECTOR, 2, state.config_vector)]
        steps += [Access(STATUS, 1, state.status)] if state.status else []
        return [*steps, *config, SetMsix(self.qemu.msix)]

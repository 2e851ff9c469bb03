"""The MSI-X table and its pending bits: what the host writes, what waits, what may be sent.

A cause sets its vector's pending bit. The bit goes when the message is sent, which happens at once unless the
vector or the function is masked, MSI-X is off, or the function may not make requests. What queues cause waits behind a
closed gate, too, and what the configuration causes does not, though both may have the same vector.

Specification: PCI Local Bus 3.0, 6.8.2 and 6.8.3.
"""

from dataclasses import dataclass
from typing import NamedTuple

from virtio_mmr.spec import msix

from .configuration import LANES

#: Bits of the message address that cannot be written.
_ALIGNMENT = 0b11


@dataclass
class Vector:
    """One table entry with its pending bit."""

    address_low: int = 0
    address_high: int = 0
    data: int = 0
    masked: bool = True
    #: What it is pending for.
    for_queues: bool = False
    for_configuration: bool = False

    @property
    def pending(self) -> bool:
        """As the pending bit reads."""
        return self.for_queues or self.for_configuration


class Message(NamedTuple):
    """A memory write that interrupts the host."""

    address: int
    data: int


class VectorTable:
    """All vectors of a function."""

    def __init__(self, count: int):
        self._count = count
        self.reset()

    def reset(self) -> None:
        """Every entry is masked, every other bit is zero."""
        self.vectors = [Vector() for _ in range(self._count)]

    def forget(self) -> None:
        """No vector is pending any more."""
        for vector in self.vectors:
            vector.for_queues = vector.for_configuration = False

    def pend_for_queue(self, number: int) -> None:
        """A queue has something to tell through vector *number*; a number without a vector stands for none."""
        if number < self._count:
            self.vectors[number].for_queues = True

    def pend_for_configuration(self, number: int) -> None:
        """The same of the configuration."""
        if number < self._count:
            self.vectors[number].for_configuration = True

    def send(self, gate: bool) -> list[Message]:
        """Messages of all vectors that are pending and not masked; what they told is pending no longer.

        Without the *gate* nothing is told for queues.
        """
        found = []
        for vector in self.vectors:
            if not vector.masked and (vector.for_configuration or (gate and vector.for_queues)):
                vector.for_configuration = False
                vector.for_queues &= not gate
                found.append(Message(vector.address_high << 32 | vector.address_low, vector.data))
        return found

    def read(self, offset: int) -> int:
        """A dword of the table; zero behind its end."""
        number, place = divmod(offset, msix.ENTRY_SIZE)
        if number >= self._count:
            return 0
        vector = self.vectors[number]
        return (vector.address_low, vector.address_high, vector.data, int(vector.masked))[place // 4]

    def write(self, offset: int, data: int, strobe: int) -> None:
        """Write the enabled bytes of a dword of the table."""
        number, place = divmod(offset, msix.ENTRY_SIZE)
        if number >= self._count:
            return
        vector = self.vectors[number]
        merged = self.read(offset) & ~LANES[strobe] | data & LANES[strobe]
        match place:
            case 0x0:
                vector.address_low = merged & ~_ALIGNMENT
            case 0x4:
                vector.address_high = merged
            case 0x8:
                vector.data = merged
            case 0xC:
                vector.masked = merged & 1 != 0

    def image(self) -> bytes:
        """The whole table."""
        end = msix.ENTRY_SIZE * self._count
        return b"".join(self.read(offset).to_bytes(4, "little") for offset in range(0, end, 4))

    def pending(self, offset: int) -> int:
        """A dword of the pending bits, one for each vector."""
        return sum(
            vector.pending << number - 8 * offset for number, vector in enumerate(self.vectors)
            if number // 32 == offset // 4)

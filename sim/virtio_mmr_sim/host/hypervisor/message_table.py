"""The MSI-X table and pending bits that the guest sees, kept by the hypervisor (PCI Local Bus 3.0, 6.8.2)."""

from collections.abc import Callable

from virtio_mmr.spec.msix import ENTRY, ENTRY_SIZE

#: Least size of the BAR that shows them: a page of the guest's.
LEAST_SIZE = 0x1000


class MessageTable:
    """The table, and in the second half of its BAR the pending bits.

    *deliver* is called with address and data of each message that leaves.
    """

    def __init__(self, vectors: int, deliver: Callable[[int, int], None]):
        self.vectors, self._deliver = vectors, deliver
        #: Bytes of the BAR.
        self.size = max(LEAST_SIZE, 1 << (2 * ENTRY_SIZE * vectors - 1).bit_length())
        #: Where the pending bits start.
        self.pending_offset = self.size // 2
        self._bytes = bytearray(self.size)
        for vector in range(vectors):
            self._bytes[ENTRY_SIZE * vector + ENTRY["vector_control"].offset] = ENTRY["vector_control"].reset
        self._pending: set[int] = set()
        self._enabled = self._masked = False

    def configure(self, enabled: bool, masked: bool) -> None:
        """Take over MSI-X Enable and Function Mask; send what that lets go."""
        self._enabled, self._masked = enabled, masked
        if not enabled:
            self._pending.clear()
        self._send_pending()

    def read(self, offset: int, size: int) -> int:
        """Read bytes of the BAR."""
        bits = sum(1 << vector for vector in self._pending)
        half = self.size // 2
        image = bytes(self._bytes[:half]) + bits.to_bytes(half, "little")
        return int.from_bytes(image[offset:offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write bytes of the BAR; pending bits and what is no entry take nothing."""
        for index, byte in enumerate(value.to_bytes(size, "little")):
            if offset + index < ENTRY_SIZE * self.vectors:
                self._bytes[offset + index] = byte
        self._send_pending()

    def fire(self, vector: int) -> None:
        """Send a vector's message, or leave it pending; a vector that does not exist sends nothing."""
        if self._enabled and vector < self.vectors:
            self._pending.add(vector)
            self._send_pending()

    def _entry(self, vector: int, name: str) -> int:
        register = ENTRY[name]
        start = ENTRY_SIZE * vector + register.offset
        return int.from_bytes(self._bytes[start:start + register.size], "little")

    def _send_pending(self) -> None:
        if self._masked:
            return
        for vector in sorted(self._pending):
            if not self._entry(vector, "vector_control") & 1:
                self._pending.discard(vector)
                address = self._entry(vector, "address_high") << 32 | self._entry(vector, "address_low")
                self._deliver(address, self._entry(vector, "data"))

"""The driver's side of a split virtqueue, for tests of devices: plain, from the text of virtio 1.3, 2.7."""

from dataclasses import dataclass, field

NEXT, WRITE, INDIRECT = 1, 2, 4


def legacy_areas(page, size):
    """Addresses of descriptors, available and used ring of a legacy queue (2.7.2): the used ring is on a page."""
    base = page << 12
    available = base + 16 * size
    return base, available, (available + 2 * (3 + size) + 4095) // 4096 * 4096


@dataclass
class DriverRing:
    """A queue in *memory* (``read(address, length)``, ``write(address, data)``).

    ``entries`` of *descriptors* that are in use are not given away again before they come back.
    """

    memory: object
    size: int
    descriptors: int
    available: int
    used: int
    order: str = "little"
    event_index: bool = False
    #: Index behind the newest available entry, and behind the newest used one that was collected.
    made: int = 0
    collected: int = 0
    outstanding: dict = field(default_factory=dict)
    free: list = field(default_factory=list)

    def __post_init__(self):
        self.free = list(range(self.size))

    # Numbers

    def put(self, address, value, width):
        self.memory.write(address, value.to_bytes(width, self.order))

    def get(self, address, width):
        return int.from_bytes(self.memory.read(address, width), self.order)

    def descriptor(self, table, index, address, length, flags, following):
        at = table + 16 * index
        self.put(at, address, 8)
        self.put(at + 8, length, 4)
        self.put(at + 12, flags, 2)
        self.put(at + 14, following, 2)

    # Giving

    def write_chain(self, readable, writable, indirect=None, direct=0):
        """Write descriptors of buffers (address, length); the head. *indirect*: where to put a table for all but the
        first *direct* buffers."""
        parts = [(*part, 0) for part in readable] + [(*part, WRITE) for part in writable]
        split = len(parts) if indirect is None else direct
        slots = [self.free.pop() for _ in range(split + (indirect is not None))]
        for place, slot in enumerate(slots):
            more = place + 1 < len(slots)
            following = slots[place + 1] if more else 0xBEEF
            if place == split:
                self.descriptor(self.descriptors, slot, indirect, 16 * (len(parts) - split), INDIRECT, following)
            else:
                address, length, flags = parts[place]
                self.descriptor(self.descriptors, slot, address, length, flags | more, following)
        for place, (address, length, flags) in enumerate(parts[split:]):
            more = place + 1 < len(parts) - split
            self.descriptor(indirect, place, address, length, flags | more, place + 1 if more else 0xBEEF)
        self.outstanding[slots[0]] = slots
        return slots[0]

    def make_available(self, *heads):
        """Show heads to the device; True if it wants a notification."""
        old = self.made
        for head in heads:
            self.put(self.available + 4 + 2 * (self.made % self.size), head, 2)
            self.made = (self.made + 1) % 65536
        self.put(self.available + 2, self.made, 2)
        if self.event_index:
            wanted = self.get(self.used + 4 + 8 * self.size, 2)
            return wanted in [(old + n) % 65536 for n in range(len(heads))]
        return self.get(self.used, 2) & 1 == 0

    def add(self, readable=(), writable=(), **where):
        """One chain; its head."""
        head = self.write_chain(readable, writable, **where)
        self.make_available(head)
        return head

    # Taking back

    def collect(self):
        """[(head, bytes written)] of everything used since; their descriptors are free again."""
        index, found = self.get(self.used + 2, 2), []
        while self.collected != index:
            at = self.used + 4 + 8 * (self.collected % self.size)
            head = self.get(at, 4)
            found.append((head, self.get(at + 4, 4)))
            self.free += self.outstanding.pop(head)
            self.collected = (self.collected + 1) % 65536
        return found

    def no_interrupts(self, on=True):
        self.put(self.available, int(on), 2)

    def interrupt_at(self, index):
        """Ask for an interrupt when the used entry *index* has been written."""
        self.put(self.available + 4 + 2 * self.size, index % 65536, 2)

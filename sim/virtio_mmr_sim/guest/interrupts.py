"""Interrupts on their way to the client: eventfds for vectors, and for a line that has a level."""

from collections import Counter
from collections.abc import Callable, Sequence

from .vfio_user import close, signal


class Line:
    """INTx. The client hears of it once and then masks it, until it says that it listens again.

    *told* is called each time that it hears.
    """

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self._told = told
        self._descriptor: int | None = None
        self._masked = False
        self.level = False
        #: Times that the client was told.
        self.count = 0

    def set_descriptor(self, descriptor: int | None) -> None:
        """Where to tell; the old one is closed."""
        close(self._descriptor)
        self._descriptor, self._masked = descriptor, False
        self._tell()

    def set_level(self, level: bool) -> None:
        """The device raises or lowers its line."""
        self.level = level
        self._tell()

    def mask(self, masked: bool) -> None:
        """The client's wish; a line that is still up is told again."""
        self._masked = masked
        self._tell()

    def _tell(self) -> None:
        if self.level and not self._masked and self._descriptor is not None:
            self._masked = True
            self.count += 1
            self._told()
            signal(self._descriptor)


class Vectors:
    """MSI-X. *program* is called with a vector, and whether it is to be sent or held back in the device.

    A vector is set up only while it is held back, for what a change of its entry would do to messages is undefined.
    """

    def __init__(self, count: int, program: Callable[[int, bool], None]):
        self._descriptors: list[int | None] = [None] * count
        self._program = program
        self._live: set[int] = set()
        #: Messages by vector.
        self.counts: Counter[int] = Counter()

    def set_descriptors(self, start: int, descriptors: Sequence[int | None]) -> None:
        """From vector *start* on; old ones are closed."""
        for vector, descriptor in enumerate(descriptors, start):
            old, self._descriptors[vector] = self._descriptors[vector], descriptor
            if descriptor is not None and vector not in self._live:
                self._program(vector, True)
                self._live.add(vector)
            elif descriptor is None and vector in self._live:
                self._program(vector, False)
                self._live.remove(vector)
            close(old)

    def forget(self) -> None:
        """The device has been reset: it holds every vector back."""
        self._live.clear()

    def fire(self, vector: int) -> None:
        """A message has come."""
        self.counts[vector] += 1
        descriptor = self._descriptors[vector]
        if descriptor is not None:
            signal(descriptor)

    def close(self) -> None:
        """Close every descriptor."""
        for descriptor in self._descriptors:
            close(descriptor)
        self._descriptors = [None] * len(self._descriptors)

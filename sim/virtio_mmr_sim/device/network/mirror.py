"""Ends of a cable for drivers that only move frames: one that sends everything back, one that sends and counts."""

from collections.abc import Callable


def turned(frame: bytes) -> bytes:
    """*frame* on its way back: the addresses have changed places."""
    return frame[6:12] + frame[:6] + frame[12:]


class Mirror:
    """Sends every frame back."""

    wake_at: float | None = None

    def __init__(self) -> None:
        self._send: Callable[[bytes], None] = lambda frame: None
        self.frames = 0

    def connect(self, send: Callable[[bytes], None]) -> None:
        """*send* takes frames to the driver."""
        self._send = send

    def receive(self, frame: bytes) -> None:
        """Send it back."""
        self.frames += 1
        self._send(turned(frame))

    def wake(self, now: float) -> None:
        """There is no timer."""


class Source:
    """Sends numbered frames to a driver that sends them back with the addresses in the other order.

    Parameters
    ----------
    count
        Frames in all.
    size
        Bytes of each, 60 at least.
    window
        Frames that may be on their way.
    patience
        Seconds after which what has not come back counts as lost.
    clock
    """

    #: Ether type for experiments.
    KIND = b"\x88\xb5"

    def __init__(self, destination: bytes, count: int, clock: Callable[[], float], *, size: int = 60, window: int = 32,
                 patience: float = 1.0):
        self._send: Callable[[bytes], None] = lambda frame: None
        self._addresses = destination + bytes.fromhex("02005e000001")
        self._count, self._size, self._window, self._patience, self._clock = count, size, window, patience, clock
        self._open: dict[int, float] = {}
        self._started = False
        #: Frames so far: sent, come back as they should, lost, and others.
        self.sent = self.returned = self.lost = self.strange = 0

    @property
    def done(self) -> bool:
        """Whether all have come back, or are lost."""
        return self.returned + self.lost == self._count

    def connect(self, send: Callable[[bytes], None]) -> None:
        """*send* takes frames to the driver."""
        self._send = send

    @property
    def wake_at(self) -> float | None:
        """When the oldest frame counts as lost."""
        return min(self._open.values(), default=None)

    def wake(self, now: float) -> None:
        """Count the lost, send others."""
        late = [number for number, due in self._open.items() if due <= now]
        for number in late:
            del self._open[number]
        self.lost += len(late)
        self._fill()

    def start(self) -> None:
        """The driver is there: begin."""
        self._started = True
        self._fill()

    def _frame(self, number: int) -> bytes:
        return (self._addresses + self.KIND + number.to_bytes(4, "big")).ljust(self._size, bytes([number & 0xFF]))

    def _fill(self) -> None:
        while self._started and len(self._open) < self._window and self.sent < self._count:
            self._open[self.sent] = self._clock() + self._patience
            self.sent += 1
            self._send(self._frame(self.sent - 1))

    def receive(self, frame: bytes) -> None:
        """A frame of the driver."""
        number = int.from_bytes(frame[14:18], "big")
        if number in self._open and turned(frame) == self._frame(number):
            del self._open[number]
            self.returned += 1
        else:
            self.strange += 1
        self._fill()

"""One thread for everything: it serves guests, clocks the design while anything moves, and sleeps otherwise."""

import select
import time
from collections.abc import Callable, Sequence

from .bridge import Bridge
from .qemu import Qemu

#: Seconds of sleep at most.
_NAP = 1.0


class TooLong(RuntimeError):
    """A guest did not come to its end."""


def run(bridge: Bridge, guests: Sequence[Qemu], *, limit: float, done: Callable[[], bool] = lambda: False) -> None:
    """Serve *guests* until all have ended, or *done* says so.

    Raises
    ------
    TooLong
        After *limit* seconds.
    """
    end = time.monotonic() + limit
    while not done() and not all(guest.ended for guest in guests):
        rested = bridge.settle()
        now = time.monotonic()
        if now > end:
            raise TooLong(f"a guest was still running after {limit:.0f} s")
        wake_at = bridge.back_end.wake_at
        nap = 0.0 if not rested else min(_NAP, max(0.0, wake_at - now) if wake_at is not None else _NAP)
        sources = {descriptor: call for guest in guests if not guest.ended
                   for descriptor, call in guest.sources().items()}
        poll = select.poll()
        for descriptor in sources:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(1000 * nap):
            sources[descriptor]()

"""What a guest's driver has chosen so far, and whether the hypervisor has it.

A legacy driver cannot be told that its choice is refused: it writes features and ring addresses, and
starts. So everything is judged at the latest moment: before DRIVER_OK or the first notification, for
some old drivers notify first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from virtio_mmr.spec.legacy import HEADER, PAGE_SHIFT, used_ring_offset

from .window import Window


@dataclass(frozen=True)
class Ring:
    """A queue that the driver has set up: entries, and guest address of its three rings."""

    size: int
    address: int


@dataclass(frozen=True)
class Choice:
    """Everything that a legacy driver chooses."""

    features: int
    queues: dict[int, Ring]


#: Says why a choice is refused; empty if it is not.
Judge = Callable[[Choice], str]


class DriverWatch:
    """Follows one driver from reset to reset."""

    def __init__(self, legacy: Window, judge: Judge):
        self._legacy, self._judge = legacy, judge
        self._queues: dict[int, Ring] = {}
        self._judged = False

    def reset(self) -> None:
        """The driver starts anew."""
        self._queues.clear()
        self._judged = False

    async def queue_written(self) -> None:
        """The page of the selected queue was written."""
        page, size, selected = [
            await self._legacy.read(HEADER[name].offset, HEADER[name].size)
            for name in ("queue_address", "queue_size", "queue_select")
        ]
        self._queues.pop(selected, None)
        if page:
            self._queues[selected] = Ring(size, page << PAGE_SHIFT)
        self._judged = False

    async def refusal(self) -> str:
        """Why the choice is refused; empty if it is not, or if it has been judged before."""
        if self._judged:
            return ""
        self._judged = True
        register = HEADER["driver_features"]
        features = await self._legacy.read(register.offset, register.size)
        return self._judge(Choice(features, dict(self._queues)))


def within(memory: int) -> Judge:
    """Refuses rings that do not lie below *memory* bytes; every ring of a legacy queue is aligned to 4 KiB."""
    def judge(choice: Choice) -> str:
        for index, ring in choice.queues.items():
            # The used ring has two 16-bit words, 8 bytes an entry, and the event index.
            end = ring.address + used_ring_offset(ring.size) + 6 + 8 * ring.size
            if end > memory:
                return f"queue {index} ends at {end:#x}, beyond the guest's {memory:#x} bytes"
        return ""

    return judge

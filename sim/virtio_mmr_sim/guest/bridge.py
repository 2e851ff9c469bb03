"""Between guests and the link: what guests do becomes TLPs, what the design sends becomes memory and interrupts.

All of it happens on the native model. Register accesses wait for their completion; whatever the design
has sent before it is carried out first, as a root complex would.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.native.host_memory import HostMemory, Memory
from virtio_mmr_sim.native.model import NativeModel

#: Where functions send their messages: 16 bytes a vector, in a range that is nobody's memory.
DOORBELL, VECTOR_SPACING = 0xFEE0_0000, 16
_DOORBELLS = range(DOORBELL, DOORBELL + 0x10_0000)

#: Rounds without an end in sight after which somebody else may have a turn.
_ROUNDS = 64


class BackEnd(Protocol):
    """The device behind the design's back-end boundary."""

    @property
    def wake_at(self) -> float | None:
        """Time, of the monotonic clock, at which it wants a turn though nothing happens."""

    def step(self) -> bool:
        """Take what the design offers and hand in what is due; True if there was anything."""


class Listener(Protocol):
    """Who hears of a function's interrupts."""

    def message(self, address: int, data: int) -> None:
        """The function has written into the range of the doorbells."""

    def line(self, level: bool) -> None:
        """The function's INTA has changed."""


class Bridge:
    """A design in its slot. Methods named as those of `NativeModel` do the same, and count TLPs."""

    def __init__(self, model: NativeModel, back_end: BackEnd, memory: Memory):
        self.model, self.back_end = model, back_end
        self._spaces: dict[int, Memory] = {}
        self._listeners: dict[int, Listener] = {}
        self.memory = HostMemory(model, memory, spaces=self._spaces, interrupts=[_DOORBELLS],
                                 message=self._message, other=self._other)
        #: TLPs by kind, toward the design, and INTx messages from it.
        self.counts: Counter[str] = Counter()
        #: Called when the design has come to rest.
        self.settled: list[Callable[[], None]] = []

    def attach(self, routing_id: int, listener: Listener, memory: Memory | None = None) -> None:
        """*listener* hears of a function's interrupts; *memory* is what its requests reach, if not everybody's."""
        self._listeners[routing_id] = listener
        if memory is not None:
            self._spaces[routing_id] = memory

    # From the design

    def _message(self, address: int, data: int, requester: int) -> None:
        self.counts["MSI-X"] += 1
        if (listener := self._listeners.get(requester)) is not None:
            listener.message(address, data)

    def _other(self, dwords: Sequence[int]) -> None:
        packet = tlp.parse(dwords)
        assert isinstance(packet, tlp.Message)
        self.counts["INTx"] += 1
        if packet.code in (ASSERT_INTA, DEASSERT_INTA) and (listener := self._listeners.get(packet.requester)):
            listener.line(packet.code == ASSERT_INTA)

    # To the design

    def config_read(self, offset: int, enables: int = 0xF, *, bus: int = 0, device: int = 0, function: int = 0) -> int:
        self.counts["CfgRd"] += 1
        value = self.model.config_read(offset, enables, bus=bus, device=device, function=function)
        self.memory.step()
        return value

    def config_write(self, offset: int, data: int, enables: int = 0xF, *,
                     bus: int = 0, device: int = 0, function: int = 0) -> None:
        self.counts["CfgWr"] += 1
        self.model.config_write(offset, data, enables, bus=bus, device=device, function=function)
        self.memory.step()

    def read(self, address: int, size: int) -> bytes:
        self.counts["MRd"] += 1
        data = self.model.read(address, size)
        self.memory.step()
        return data

    def write(self, address: int, data: bytes) -> None:
        self.counts["MWr"] += 1
        self.model.write(address, data)

    def io_read(self, address: int, size: int) -> int:
        self.counts["IORd"] += 1
        value = self.model.io_read(address, size)
        self.memory.step()
        return value

    def io_write(self, address: int, size: int, value: int) -> None:
        self.counts["IOWr"] += 1
        self.model.io_write(address, size, value)
        self.memory.step()

    # Time

    def settle(self) -> bool:
        """Clock the design until nothing moves any more; False if it was still busy after some rounds."""
        for _ in range(_ROUNDS):
            self.model.settle()
            # Both have a turn, whatever the first one says.
            if not (self.memory.step() | self.back_end.step()):
                for call in self.settled:
                    call()
                return True
        return False

    def tlps(self) -> dict[str, int]:
        """TLPs by kind, in both directions; completions are not counted."""
        return {**self.counts, "DMA reads": self.memory.reads, "DMA writes": self.memory.writes}

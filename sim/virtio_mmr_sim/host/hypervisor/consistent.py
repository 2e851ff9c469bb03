"""Device configuration for a guest that reads it piece by piece.

The legacy interface has no generation for a driver to look at: one that reads a field of 8 bytes in
two halves, or byte by byte, may get halves of different values. The hypervisor sees GENERATION of the
control page. It fetches a whole field between two equal readings, and answers the guest from what it
has fetched until the guest has had each byte once; so a field is never torn.
"""

from dataclasses import dataclass, field

from virtio_mmr.spec.device_types import DeviceType

from .control import ControlPage
from .interface import Unfit
from .window import Window

#: Attempts at a reading between two equal generations.
PATIENCE = 1000


@dataclass
class _Held:
    """A field of which the guest has had some bytes."""

    data: dict[int, int]
    #: Bytes that the guest still has to read.
    due: set[int] = field(default_factory=set)


class ConsistentConfig:
    """Reads of the device configuration; offsets are bytes from its start."""

    def __init__(self, legacy: Window, control: ControlPage, kind: DeviceType):
        self._legacy, self._control = legacy, control
        self._fields = [range(part.offset, part.offset + part.size) for part in kind.config]
        self._held: dict[range, _Held] = {}

    def forget(self) -> None:
        """What the guest has begun to read is over: it resets, or writes."""
        self._held.clear()

    async def read(self, base: int, offset: int, size: int) -> bytes:
        """Read *size* bytes; the configuration starts at *base* of the legacy window now."""
        wanted = range(offset, offset + size)
        fields = [part for part in self._fields if part.start < wanted.stop and wanted.start < part.stop]
        if fresh := [part for part in fields if not self._can_serve(part, wanted)]:
            await self._fetch(base, fresh)
        served: dict[int, int] = {}
        for part in fields:
            held = self._held[part]
            for at in wanted:
                if at in part:
                    served[at] = held.data[at]
                    held.due.discard(at)
            if not held.due:
                del self._held[part]
        if len(served) < size:
            # Bytes of no field that is known: there is nothing to keep together.
            plain = await self._legacy.read_bytes(base + offset, size)
            served = {at: plain[at - offset] for at in wanted} | served
        return bytes(served[at] for at in wanted)

    def _can_serve(self, part: range, wanted: range) -> bool:
        held = self._held.get(part)
        return held is not None and all(at in held.due for at in wanted if at in part)

    async def _fetch(self, base: int, fields: list[range]) -> None:
        """Hold *fields* as they are at one moment."""
        start = min(part.start for part in fields)
        stop = max(part.stop for part in fields)
        generation = await self._control.generation()
        for _ in range(PATIENCE):
            image = await self._legacy.read_bytes(base + start, stop - start)
            before, generation = generation, await self._control.generation()
            if before == generation:
                break
        else:
            raise Unfit(f"the device configuration at {start:#x} changed during each of {PATIENCE} readings")
        for part in fields:
            self._held[part] = _Held({at: image[at - start] for at in part}, set(part))

"""The vector registers that a guest believes to have, where the function's hold something else.

That is so while the guest's MSI-X Enable is not the function's: without MSI-X on the function they
exist here alone; without MSI-X in the guest the function's registers route everything to one vector,
and what the guest had stored waits here.
"""

from virtio_mmr.spec.legacy import HEADER, NO_VECTOR

from .window import Window

_CONFIG, _QUEUE, _SELECT, _SIZE = (
    HEADER[name] for name in ("config_vector", "queue_vector", "queue_select", "queue_size")
)


class Vectors:
    """Vectors of configuration changes and of queues; *count* are in the guest's table."""

    def __init__(self, legacy: Window, count: int):
        self._legacy, self._count = legacy, count
        self.config = NO_VECTOR
        self.queues: dict[int, int] = {}

    def reset(self) -> None:
        """All vectors are NO_VECTOR."""
        self.config = NO_VECTOR
        self.queues.clear()

    async def _selected(self) -> int:
        return await self._legacy.read(_SELECT.offset, _SELECT.size)

    async def read(self, offset: int, size: int) -> int:
        """Bytes of the two registers; *offset* is that of the guest's window."""
        queue = self.queues.get(await self._selected(), NO_VECTOR)
        image = self.config.to_bytes(2, "little") + queue.to_bytes(2, "little")
        return int.from_bytes(image[offset - _CONFIG.offset:][:size], "little")

    async def write(self, offset: int, size: int, value: int) -> None:
        """Write bytes of the two registers, by the rules of the function's own."""
        mask = (1 << 8 * size) - 1 << 8 * (offset - _CONFIG.offset)
        whole = await self.read(_CONFIG.offset, 4) & ~mask | value << 8 * (offset - _CONFIG.offset)
        if mask & 0xFFFF:
            self.config = self._stored(whole & 0xFFFF)
        if mask >> 16 and await self._legacy.read(_SIZE.offset, _SIZE.size):
            self.queues[await self._selected()] = self._stored(whole >> 16)

    def _stored(self, vector: int) -> int:
        return vector if vector < self._count else NO_VECTOR

    async def take_over(self) -> None:
        """Copy what the function stores now: its configuration vector, and the selected queue's."""
        self.config = await self._legacy.read(_CONFIG.offset, 2)
        self.queues[await self._selected()] = await self._legacy.read(_QUEUE.offset, 2)

    async def put_back(self, queues: set[int]) -> None:
        """Give the function the guest's vectors, those of *queues* too."""
        await self._write_all(self.config, {queue: self.queues.get(queue, NO_VECTOR) for queue in queues})

    async def route_to(self, vector: int, queues: set[int]) -> None:
        """Give the function one vector for everything."""
        await self._write_all(vector, dict.fromkeys(queues, vector))

    async def _write_all(self, config: int, queues: dict[int, int]) -> None:
        await self._legacy.write(_CONFIG.offset, config, 2)
        if queues:
            selected = await self._selected()
            for queue, vector in queues.items():
                await self._legacy.write(_SELECT.offset, queue, 2)
                await self._legacy.write(_QUEUE.offset, vector, 2)
            await self._legacy.write(_SELECT.offset, selected, 2)

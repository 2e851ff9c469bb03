"""A window of a function, by the place that its capability names."""

from .discover import Place
from .interface import PciHost


class Window:
    """Accesses relative to the start of the window; sizes are 1, 2 or 4 bytes."""

    def __init__(self, host: PciHost, function: int, place: Place):
        self._host, self._function, self._place = host, function, place

    @property
    def length(self) -> int:
        """Bytes."""
        return self._place.length

    async def read(self, offset: int, size: int = 4) -> int:
        """Read a little-endian number."""
        return await self._host.read(self._function, self._place.bar, self._place.offset + offset, size)

    async def write(self, offset: int, value: int, size: int = 4) -> None:
        """Write a little-endian number."""
        await self._host.write(self._function, self._place.bar, self._place.offset + offset, value, size)

    async def read_bytes(self, offset: int, size: int) -> bytes:
        """Read any number of bytes, in naturally aligned accesses."""
        data = b""
        for at, width in natural(offset, size):
            data += (await self.read(at, width)).to_bytes(width, "little")
        return data


def natural(offset: int, size: int) -> list[tuple[int, int]]:
    """Offset and width of the naturally aligned accesses that cover *size* bytes."""
    found = []
    while size:
        width = next(width for width in (4, 2, 1) if width <= size and offset % width == 0)
        found.append((offset, width))
        offset, size = offset + width, size - width
    return found

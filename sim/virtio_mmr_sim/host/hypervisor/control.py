"""The control page, from the hypervisor's side: what it asks, allows and refuses."""

from virtio_mmr.spec.control import MAGIC, TABLE, VERSION, BadState, Supported

from .interface import Unfit
from .window import Window

_ALL = Supported.ENDIAN | Supported.GENERATION | Supported.BADSTATE | Supported.POLICY | Supported.PLATFORM

_BIG, _BIG_SUPPORTED = 1 << 0, 1 << 8
_TRANSLATED, _ORDERED, _GATE = 1 << 0, 1 << 1, 1 << 8


class ControlPage:
    """One function's control page."""

    def __init__(self, window: Window):
        self._window = window

    async def _read(self, name: str) -> int:
        return await self._window.read(TABLE[name].offset)

    async def _write(self, name: str, value: int) -> None:
        await self._window.write(TABLE[name].offset, value)

    async def check(self) -> None:
        """The page must be one, of a known version, with everything that this hypervisor uses.

        Raises
        ------
        Unfit
            If it is not.
        """
        magic, version, supported = [await self._read(name) for name in ("magic", "version", "supported")]
        if magic != MAGIC or version != VERSION:
            raise Unfit(f"the control page says {magic:#010x}, version {version}; "
                        f"{MAGIC:#010x}, version {VERSION} is known")
        if missing := _ALL & ~supported:
            raise Unfit(f"the control page lacks {missing!r}")

    async def generation(self) -> int:
        """A number that changes with the device configuration."""
        return await self._read("generation")

    async def bad_state(self) -> BadState:
        """Why the function has stopped; zero if it has not."""
        return BadState(await self._read("badstate"))

    async def clear_bad_state(self) -> None:
        """Let a stopped function start again; its status must be zero.

        Raises
        ------
        Unfit
            If it stays stopped.
        """
        await self._write("badstate", await self.bad_state())
        if left := await self.bad_state():
            raise Unfit(f"the function stays stopped: {left!r}")

    async def reject(self) -> None:
        """Stop the function, because what its driver wants is refused."""
        await self._write("reject", 1)

    async def set_features(self, required: int, forbidden: int) -> None:
        """Say what a driver must and must not accept; the status must be zero.

        Raises
        ------
        Unfit
            If the page does not take it.
        """
        for name, value in (("required", required), ("forbidden", forbidden)):
            await self._write(name, value)
            if (found := await self._read(name)) != value:
                raise Unfit(f"the control page stores {found:#x} as {name} features instead of {value:#x}")

    async def set_big_endian(self, big: bool) -> None:
        """Set the byte order of the guest; the status must be zero.

        Raises
        ------
        Unfit
            If the device cannot serve such a guest.
        """
        await self._write("endian", _BIG if big else 0)
        if (await self._read("endian") & _BIG != 0) != big:
            raise Unfit("the device serves little-endian guests only")

    async def set_gate(self, open_: bool) -> None:
        """Let the function reach memory, or not.

        Raises
        ------
        Unfit
            If it is to be opened, and the device does not promise what a driver that is older than
            ACCESS_PLATFORM and ORDER_PLATFORM takes for granted.
        """
        promised = await self._read("platform")
        if open_ and promised & (_TRANSLATED | _ORDERED) != _TRANSLATED | _ORDERED:
            raise Unfit(f"the device promises {promised & 3:#04b}: its addresses must be translated and its "
                        "accesses ordered before it may reach a guest's memory")
        await self._write("platform", _GATE if open_ else 0)

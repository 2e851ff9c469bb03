"""What a hypervisor needs: the machine below it, and the guest above it.

The hypervisor is written in coroutines, so that the machine may be a simulation with a clock of its
own. Where it is not, `finish` runs a coroutine to its end.
"""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from virtio_mmr.spec.control import BadState

T = TypeVar("T")


class Unfit(Exception):
    """A function cannot be given to a guest; the text says why."""


class GuestStopped(Exception):
    """The guest tried to use a device that has been taken from it."""


class PciHost(Protocol):
    """PCI functions of the machine, by routing id: bus, device and function in 16 bits.

    Numbers are little-endian, sizes are 1, 2 or 4 bytes. Configuration accesses are naturally aligned;
    accesses to a BAR may stand anywhere and are each one request. Whoever implements this knows where
    the BARs are, those of virtual functions too; the hypervisor does not ask.
    """

    async def config_read(self, function: int, offset: int, size: int) -> int:
        """Read configuration space; all ones if there is no such function."""

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        """Write configuration space."""

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        """Read inside a memory BAR."""

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        """Write inside a memory BAR."""


class Guest(Protocol):
    """What the hypervisor does to a guest."""

    def interrupt(self, level: bool) -> None:
        """The level of the device's interrupt line has changed."""

    def message(self, address: int, data: int) -> None:
        """A message of the device, as the guest's driver has programmed it."""

    def stop(self, cause: BadState) -> None:
        """The device must not go on, so the guest cannot either."""


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over a machine that never makes anybody wait.

    Raises
    ------
    RuntimeError
        If it waits all the same.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("the coroutine waits for something: its host needs a simulator to run it")

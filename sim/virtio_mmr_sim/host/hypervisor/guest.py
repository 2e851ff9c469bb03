"""A guest as far as a PCI device sees one: firmware that places it, a driver, and ears for interrupts."""

from dataclasses import dataclass, field
from typing import TypeVar

from virtio_mmr.spec.configuration import BAR0, CAPABILITIES_POINTER, COMMAND, ID_MSIX
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.msix import ENTRY, ENTRY_SIZE

from virtio_mmr_sim.model.driver import Read, Script, SetMsix, Write

from .configuration import IO_BAR, TABLE_BAR
from .device import TransitionalDevice

T = TypeVar("T")

#: Where the firmware puts the BARs.
IO_BASE, TABLE_BASE = 0xC000, 0xFEBC_0000

#: Where the guest wants its messages: address, and data of vector 0.
MESSAGE_ADDRESS, MESSAGE_DATA = 0xFEE0_1000, 0x40


@dataclass
class GuestMachine:
    """Implements `Guest`; `plug` gives it the device, `play` runs a driver's script on it."""

    #: Level of the interrupt line.
    line: bool = False
    #: Vectors whose messages have come, oldest first.
    messages: list[int] = field(default_factory=list)
    #: Why the hypervisor has stopped the guest, if it has.
    stopped: BadState | None = None
    #: Port accesses of the driver and what each read, 0 for writes, if a list is given.
    log: list[tuple[Read | Write | SetMsix, int]] | None = None

    _device: TransitionalDevice | None = None
    _msix_at: int = 0

    # From the hypervisor

    def interrupt(self, level: bool) -> None:
        """The line has changed."""
        self.line = level

    def message(self, address: int, data: int) -> None:
        """A message has come."""
        assert address == MESSAGE_ADDRESS, f"a message to {address:#x}, which the guest has not programmed"
        self.messages.append(data - MESSAGE_DATA)

    def stop(self, cause: BadState) -> None:
        """The guest runs no further."""
        self.stopped = cause

    # Firmware

    @property
    def device(self) -> TransitionalDevice:
        """The device that was plugged."""
        assert self._device is not None
        return self._device

    async def plug(self, device: TransitionalDevice) -> None:
        """Place the device's BARs, find its MSI-X capability, and switch it on."""
        self._device = device
        for bar, base in ((IO_BAR, IO_BASE), (TABLE_BAR, TABLE_BASE)):
            await device.config_write(BAR0 + 4 * bar, 4, base)
        await device.config_write(COMMAND, 2, 0b111)
        at = await device.config_read(CAPABILITIES_POINTER, 1)
        while at:
            if await device.config_read(at, 1) == ID_MSIX:
                self._msix_at = at
            at = await device.config_read(at + 1, 1)

    async def vectors(self) -> int:
        """Entries of the MSI-X table; 0 without the capability."""
        return (await self.device.config_read(self._msix_at + 2, 2) & 0x7FF) + 1 if self._msix_at else 0

    # Driver

    async def read(self, offset: int, width: int) -> int:
        """Read BAR 0; a processor cuts what is wider than 4 bytes."""
        value = 0
        for at in range(0, width, 4):
            value |= await self.device.io_read(IO_BASE + offset + at, min(4, width - at)) << 8 * at
        return value

    async def write(self, offset: int, width: int, value: int) -> None:
        """Write BAR 0."""
        for at in range(0, width, 4):
            size = min(4, width - at)
            await self.device.io_write(IO_BASE + offset + at, size, value >> 8 * at & (1 << 8 * size) - 1)

    async def set_msix(self, enable: bool) -> None:
        """What the operating system does: program the table, then switch MSI-X."""
        for vector in range(await self.vectors() if enable else 0):
            for name, value in (("address_low", MESSAGE_ADDRESS), ("address_high", 0),
                                ("data", MESSAGE_DATA + vector), ("vector_control", 0)):
                at = TABLE_BASE + ENTRY_SIZE * vector + ENTRY[name].offset
                await self.device.memory_write(at, ENTRY[name].size, value)
        await self.device.config_write(self._msix_at + 2, 2, enable << 15)

    async def play(self, script: Script[T]) -> T:
        """Run a driver's script to its end; gives what it returns."""
        answer = 0
        try:
            operation = next(script)
            while True:
                match operation:
                    case Read(offset, width):
                        answer = await self.read(offset, width)
                    case Write(offset, width, value):
                        await self.write(offset, width, value)
                        answer = 0
                    case SetMsix(enable):
                        await self.set_msix(enable)
                        answer = 0
                if self.log is not None:
                    self.log.append((operation, answer))
                operation = script.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

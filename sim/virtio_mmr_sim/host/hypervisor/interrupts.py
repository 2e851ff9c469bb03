"""How what the function reports becomes the interrupts that the guest asked for.

The guest has a line, and may have enabled MSI-X; the function has its own MSI-X Enable, and no line if
it is a virtual function. `Delivery` says how the two go together. A function that is on messages sends
them to the hypervisor's doorbell; whoever receives one there calls `Interrupts.message`.
"""

import enum

from virtio_mmr.spec.legacy import HEADER
from virtio_mmr.spec.msix import ENTRY, ENTRY_SIZE
from virtio_mmr.spec.status import Isr

from .discover import MmrFunction, Msix
from .interface import Guest, PciHost, Unfit
from .message_table import MessageTable
from .vectors import Vectors
from .window import Window

_STATUS, _INTERRUPT_STATUS = 0x06, 1 << 3

#: Vector of the function for everything that a guest without MSI-X is to see as its line.
LINE_VECTOR = 0


class Delivery(enum.Enum):
    """When the function's MSI-X is enabled."""

    FOLLOW = "follow"    #: while the guest's is: its vectors are the function's
    ALWAYS = "always"    #: a function without a line; the guest's line is made of messages
    NEVER = "never"      #: nobody can receive messages; the hypervisor polls, and makes the guest's messages


def usual_delivery(function: MmrFunction) -> Delivery:
    """The way that needs no polling."""
    if function.msix is None:
        return Delivery.NEVER
    return Delivery.FOLLOW if function.has_line else Delivery.ALWAYS


class Interrupts:
    """Interrupts of one function, and MSI-X Enable of both sides."""

    def __init__(self, host: PciHost, function: MmrFunction, legacy: Window, guest: Guest,
                 delivery: Delivery, doorbell: int):
        if function.msix is None and delivery is not Delivery.NEVER:
            raise Unfit(f"function {function.routing_id:#06x} has no MSI-X to {delivery.value} with")
        self._host, self._function, self._legacy, self._guest = host, function, legacy, guest
        self.delivery, self._doorbell = delivery, doorbell
        vectors = function.msix.vectors if function.msix else 0
        #: The guest's table; None: it has no MSI-X.
        self.table = MessageTable(vectors, guest.message) if vectors else None
        self.vectors = Vectors(legacy, vectors)
        #: MSI-X Enable as the guest has set it, and as the function has it.
        self.guest_msix = self.msix = False
        #: The guest has set Interrupt Disable.
        self.line_disabled = False
        #: The line as the device drives it, whatever Interrupt Disable says.
        self.pending = False
        self._line = False
        #: Interrupt status that was read, and so cleared, before the guest asked for it.
        self._isr = 0
        #: Queues that the function interrupts for; they have the line's vector while the guest's MSI-X is off.
        self._queues: set[int] = set()

    # Set up

    async def start(self) -> None:
        """Point the function's table at the doorbell; its MSI-X as the delivery wants it at first."""
        if (msix := self._function.msix) is not None:
            await self._set_msix(msix, False)
            if self.delivery is not Delivery.NEVER:
                await self._program(msix)
            await self._set_msix(msix, self.delivery is Delivery.ALWAYS)
        await self.reset()

    async def stop(self) -> None:
        """No interrupt leaves the function or reaches the guest from here on."""
        if self._function.msix is not None:
            await self._set_msix(self._function.msix, False)
        self.guest_msix = False
        self._isr = 0
        self._drive(False)

    async def _program(self, msix: Msix) -> None:
        table = Window(self._host, self._function.routing_id, msix.table)
        for vector in range(msix.vectors):
            for name, value in (("address_low", self._doorbell & 0xFFFF_FFFF),
                                ("address_high", self._doorbell >> 32), ("data", vector), ("vector_control", 0)):
                await table.write(ENTRY_SIZE * vector + ENTRY[name].offset, value)

    async def _set_msix(self, msix: Msix, enable: bool) -> None:
        await self._host.config_write(self._function.routing_id, msix.offset + 2, enable << 15, 2)
        self.msix = enable

    # What the guest does

    async def set_guest_msix(self, enabled: bool, masked: bool) -> None:
        """The guest has written its MSI-X control register."""
        if self.table is None:
            return
        changed, self.guest_msix = enabled != self.guest_msix, enabled
        self.table.configure(enabled, masked)
        if not changed:
            return
        if self.delivery is Delivery.FOLLOW:
            assert self._function.msix is not None
            await self._set_msix(self._function.msix, enabled)
        elif self.delivery is Delivery.ALWAYS:
            known = self._queues | self.vectors.queues.keys()
            if enabled:
                await self.vectors.put_back(known)
            else:
                await self.vectors.route_to(LINE_VECTOR, known)
        self._drive(not enabled and self._isr != 0)

    def set_line_disabled(self, disabled: bool) -> None:
        """The guest has written Interrupt Disable."""
        self.line_disabled = disabled
        self._drive(self.pending)

    async def reset(self) -> None:
        """The device was reset, which cleared its vectors and its interrupt status."""
        self.vectors.reset()
        self._queues.clear()
        self._isr = 0
        self._drive(False)
        if self.msix and not self.guest_msix:
            await self.vectors.route_to(LINE_VECTOR, set())

    async def queue_written(self) -> None:
        """The page of the selected queue was written: it may interrupt."""
        select, vector = HEADER["queue_select"], HEADER["queue_vector"]
        if self.delivery is Delivery.ALWAYS:
            self._queues.add(await self._legacy.read(select.offset, select.size))
            if not self.guest_msix:
                await self._legacy.write(vector.offset, LINE_VECTOR, vector.size)

    async def vectors_written(self) -> None:
        """The guest wrote vector registers of the function."""
        if self.delivery is Delivery.ALWAYS:
            await self.vectors.take_over()

    def take_isr(self) -> int:
        """What the guest's read of the interrupt status must show beside the function's own bits; ends the line."""
        isr, self._isr = self._isr, 0
        self._drive(False)
        return isr

    # What the function does

    def message(self, address: int, data: int) -> bool:
        """A memory write of the function: True if it was an interrupt message of this device."""
        if address != self._doorbell or not self.msix:
            return False
        if self.guest_msix and self.table is not None:
            self.table.fire(data)
        else:
            self._drive(True)
        return True

    async def poll(self) -> None:
        """Look for what comes without a message; nothing does where guest and function both use MSI-X."""
        if self.guest_msix and self.msix:
            return
        if not self.msix:
            status = await self._host.config_read(self._function.routing_id, _STATUS, 2)
            if not status & _INTERRUPT_STATUS:
                if not self.guest_msix:
                    self._drive(self._isr != 0)
                return
            if not self.guest_msix:
                self._drive(True)
                return
        # Under MSI-X no status bit tells, and messages that the guest wants depend on the cause.
        register = HEADER["isr_status"]
        isr = await self._legacy.read(register.offset, register.size)
        self._isr |= isr
        if not self.guest_msix:
            self._drive(self.pending or isr != 0)
        elif self.table is not None:
            if isr & Isr.CONFIG:
                self.table.fire(self.vectors.config)
            for vector in sorted(set(self.vectors.queues.values())) if isr & Isr.QUEUE else ():
                self.table.fire(vector)

    def _drive(self, pending: bool) -> None:
        self.pending = pending
        line = pending and not self.line_disabled
        if line != self._line:
            self._line = line
            self._guest.interrupt(line)

"""An MMR function in the hands of a guest that knows nothing of MMR."""

from dataclasses import dataclass
from typing import Self

from virtio_mmr.spec.configuration import COMMAND
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.legacy import HEADER
from virtio_mmr.spec.status import Isr, Status

from .configuration import IO_BAR, TABLE_BAR, GuestConfiguration
from .consistent import ConsistentConfig
from .control import ControlPage
from .discover import MmrFunction
from .driver_watch import Choice, DriverWatch, Judge
from .interface import Guest, GuestStopped, PciHost, Unfit
from .interrupts import Delivery, Interrupts, usual_delivery
from .ports import ISR, LegacyPorts
from .window import Window, natural

_MEMORY, _MASTER, _NO_LINE = 1 << 1, 1 << 2, 1 << 10

PAGE, NOTIFY, STATUS = (HEADER[name] for name in ("queue_address", "queue_notify", "device_status"))

#: Where the function sends its messages: an address that nothing else has.
DOORBELL = 0xFEE0_0000


def _approve(choice: Choice) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What the hypervisor asks of a guest's driver. Everything but *judge* needs a control page."""

    #: Feature bits that the driver must accept.
    required: int = 0
    #: Feature bits that it does not get to see.
    forbidden: int = 0
    #: The guest is big-endian.
    big_endian: bool = False
    #: Says why the driver's choice is refused.
    judge: Judge = _approve


class TransitionalDevice:
    """What the guest sees, and what becomes of its accesses.

    `attach` makes one. Then the guest's accesses come to `config_read`, `io_read`, `memory_read` and
    their writing sisters, and `poll` is called now and then. Messages of the function go to `message`.
    """

    def __init__(self, host: PciHost, function: MmrFunction, guest: Guest, policy: Policy, delivery: Delivery,
                 doorbell: int):
        self._host, self.function, self._guest, self._policy = host, function, guest, policy
        self._legacy = Window(host, function.routing_id, function.legacy)
        self._control: ControlPage | None = None
        config: ConsistentConfig | None = None
        if function.control is not None:
            self._control = ControlPage(Window(host, function.routing_id, function.control))
            config = ConsistentConfig(self._legacy, self._control, function.kind)
        self._consistent = config
        self.interrupts = Interrupts(host, function, self._legacy, guest, delivery, doorbell)
        self._ports = LegacyPorts(self._legacy, self.interrupts, config)
        self._watch = DriverWatch(self._legacy, policy.judge)
        self._configuration = GuestConfiguration(function, self.interrupts.table)
        #: Why the guest was stopped; zero if it was not.
        self.stopped = BadState(0)
        #: Why the driver was refused, if the hypervisor itself refused it.
        self.refusal = ""

    @classmethod
    async def attach(cls, host: PciHost, function: MmrFunction, guest: Guest, *, policy: Policy | None = None,
                     delivery: Delivery | None = None, doorbell: int = DOORBELL) -> Self:
        """Take the function over and make a device of it.

        The gate opens at the end: by then addresses of *function* must be translated to *guest*'s memory.

        Raises
        ------
        Unfit
            If the function cannot do what *policy* or *delivery* needs.
        """
        device = cls(host, function, guest, policy or Policy(), delivery or usual_delivery(function), doorbell)
        await device._take_over()
        return device

    async def _take_over(self) -> None:
        policy, control = self._policy, self._control
        await self._set_command()
        await self._legacy.write(STATUS.offset, 0, STATUS.size)
        if control is None:
            if policy.required or policy.forbidden or policy.big_endian:
                raise Unfit(f"function {self.function.routing_id:#06x} has no control page: nothing holds a driver "
                            "to features or byte order")
        else:
            await control.check()
            await control.clear_bad_state()
            await control.set_big_endian(policy.big_endian)
            await control.set_features(policy.required, policy.forbidden)
        await self.interrupts.start()
        if control is not None:
            await control.set_gate(True)

    async def detach(self) -> None:
        """Give the function back: reset, silent, its gate closed, its policy gone."""
        await self._legacy.write(STATUS.offset, 0, STATUS.size)
        await self.interrupts.stop()
        if self._control is not None:
            await self._control.set_gate(False)
            await self._control.set_features(0, 0)
            await self._control.set_big_endian(False)
        await self._host.config_write(self.function.routing_id, COMMAND, _NO_LINE, 2)

    async def _set_command(self) -> None:
        """The function's registers are always within reach; it masters the bus when its guest lets it."""
        master = _MASTER if self._configuration.bus_master and not self.stopped else 0
        await self._host.config_write(self.function.routing_id, COMMAND, _MEMORY | _NO_LINE | master, 2)

    # The guest's configuration space

    @property
    def bar_sizes(self) -> dict[int, int]:
        """Bytes of the guest's BARs, by index."""
        sizes = {IO_BAR: self._configuration.io_size, TABLE_BAR: self._configuration.table_size}
        return {index: size for index, size in sizes.items() if size}

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 bytes of the guest's configuration space."""
        return self._configuration.read(offset, size, interrupt=self.interrupts.pending)

    async def config_write(self, offset: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes of the guest's configuration space."""
        before = self._configuration.bus_master
        self._configuration.write(offset, size, value)
        if self._configuration.bus_master != before:
            await self._set_command()
        self.interrupts.set_line_disabled(self._configuration.interrupt_disabled)
        await self.interrupts.set_guest_msix(*self._configuration.msix)

    # The guest's ports

    async def io_read(self, port: int, width: int) -> int:
        """Read a port; all ones where this device has none.

        Raises
        ------
        GuestStopped
            If the guest was to be stopped.
        """
        offset = self._offset(port, width)
        if offset is None:
            return (1 << 8 * width) - 1
        value = await self._ports.read(offset, width)
        if offset <= ISR < offset + width and value >> 8 * (ISR - offset) & Isr.CONFIG:
            await self._check_state()
        return value

    async def io_write(self, port: int, width: int, value: int) -> None:
        """Write a port; nothing happens where this device has none.

        Raises
        ------
        GuestStopped
            If the guest was to be stopped.
        """
        offset = self._offset(port, width)
        if offset is None:
            return
        # The function takes a write dword by dword, and what one dword does may change the meaning of the next:
        # a write across their border, which no driver makes, is cut.
        parts = natural(offset, width) if offset % 4 + width > 4 else [(offset, width)]
        for at, size in parts:
            if not self.stopped:
                await self._write(at, size, value >> 8 * (at - offset) & (1 << 8 * size) - 1)

    async def _write(self, offset: int, width: int, value: int) -> None:
        """Write inside one dword."""
        written = dict(enumerate(value.to_bytes(width, "little"), offset))
        status = written.get(STATUS.offset)
        if status != 0 and (NOTIFY.offset in written or (status is not None and status & Status.DRIVER_OK)):
            self.refusal = await self._watch.refusal()
            if self.refusal:
                await self._reject()
                return
        await self._ports.write(offset, width, value)
        if status == 0:
            await self._forget_driver()
        elif written.keys() & range(PAGE.offset, PAGE.end):
            await self._watch.queue_written()
            await self.interrupts.queue_written()
        if status is not None:
            await self._check_state()

    def _offset(self, port: int, width: int) -> int | None:
        if self.stopped:
            raise GuestStopped(f"the guest was stopped: {self.stopped!r}")
        ports = self._configuration.ports
        return port - ports.start if port in ports and port + width <= ports.stop else None

    # The guest's memory BAR

    async def memory_read(self, address: int, size: int) -> int:
        """Read the MSI-X table; all ones where this device has nothing."""
        table, place = self.interrupts.table, self._configuration.table
        if table is None or address not in place:
            return (1 << 8 * size) - 1
        return table.read(address - place.start, size)

    async def memory_write(self, address: int, size: int, value: int) -> None:
        """Write the MSI-X table."""
        table, place = self.interrupts.table, self._configuration.table
        if table is not None and address in place:
            table.write(address - place.start, size, value)

    # The function's side

    def message(self, address: int, data: int) -> bool:
        """The function has written memory: True if that was an interrupt of this device."""
        return self.interrupts.message(address, data)

    async def poll(self) -> None:
        """Look after the function: stop the guest if it has stopped, and pass on what needs no message."""
        if not self.stopped:
            await self._check_state()
        if not self.stopped:
            await self.interrupts.poll()

    async def _forget_driver(self) -> None:
        self._watch.reset()
        if self._consistent is not None:
            self._consistent.forget()
        await self.interrupts.reset()

    async def _reject(self) -> None:
        """Refuse what the driver wants; without a control page the guest alone is stopped."""
        if self._control is None:
            await self._stop(BadState.REJECTED)
        else:
            await self._control.reject()
            await self._check_state()

    async def _check_state(self) -> None:
        if self._control is not None and (cause := await self._control.bad_state()):
            await self._stop(cause)

    async def _stop(self, cause: BadState) -> None:
        self.stopped = cause
        await self._set_command()
        self._guest.stop(cause)

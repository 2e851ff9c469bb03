"""The configuration space that the guest sees: an ordinary transitional device with its registers in I/O BAR 0.

Sources: virtio 1.3, 4.1.2.3 and 4.1.4.10 (legacy interface); PCI Local Bus 3.0, 6.1 and 6.8.2.
"""

from dataclasses import replace

from virtio_mmr.config.device import Bar, BarKind
from virtio_mmr.layout import ConfigurationSpace
from virtio_mmr.layout.bars import bar_registers
from virtio_mmr.spec import configuration as spec
from virtio_mmr.spec.legacy import CONFIG_OFFSET
from virtio_mmr.spec.register import Register, read_only

from .discover import MmrFunction
from .interface import Unfit
from .message_table import MessageTable

#: BARs of the guest's device.
IO_BAR, TABLE_BAR = 0, 1

#: Bytes that a function of conventional PCI has.
SIZE = spec.CLASSIC_SIZE

_MSIX_AT = spec.FIRST_CLASSIC

_STATUS, _INTERRUPT_STATUS = 0x06, 1 << 3


def io_size(config_size: int, msix: bool) -> int:
    """Bytes of BAR 0: the least power of two that holds header and device configuration."""
    return 1 << (CONFIG_OFFSET[msix] + config_size - 1).bit_length()


def _msix_registers(table: MessageTable) -> tuple[Register, ...]:
    capability = spec.msix(vectors=table.vectors, table_bar=TABLE_BAR, table_offset=0,
                           pending_bar=TABLE_BAR, pending_offset=table.pending_offset)
    header = (read_only("msix_id", 0, 8, capability.id, ""), read_only("msix_next", 1, 8, 0, ""))
    return tuple(replace(register, offset=_MSIX_AT + register.offset) for register in header + capability.registers)


def _layout(function: MmrFunction, table: MessageTable | None) -> ConfigurationSpace:
    kind = function.kind
    if kind.transitional_id is None:
        raise Unfit(f"virtio {kind.name} has no transitional device to show to a guest")
    size = io_size(kind.config_size, table is not None)
    bars = [Bar(index=IO_BAR, kind=BarKind.IO, regions=(), size=size)]
    if table is not None:
        bars.append(Bar(index=TABLE_BAR, kind=BarKind.MEMORY32, regions=(), size=table.size))
    registers = spec.header(
        device_id=kind.transitional_id, revision=0, class_code=function.class_code, subsystem_id=kind.virtio_id,
        io=True, intx=True, bars=bar_registers(tuple(bars)))
    pointer = read_only("capabilities_pointer", spec.CAPABILITIES_POINTER, 8, _MSIX_AT if table else 0, "")
    return ConfigurationSpace((*registers, pointer, *(_msix_registers(table) if table else ())), (), ())


class GuestConfiguration:
    """256 bytes, of which the guest writes what a driver of such a device writes.

    Raises
    ------
    Unfit
        If the function's type has no transitional device.
    """

    def __init__(self, function: MmrFunction, table: MessageTable | None):
        layout = _layout(function, table)
        self._image = bytearray(layout.reset_image()[:SIZE])
        self._writable = layout.write_mask()[:SIZE]
        self._has_msix = table is not None
        #: Bytes of BAR 0, and of the BAR with the MSI-X table; 0 if there is none.
        self.io_size = io_size(function.kind.config_size, table is not None)
        self.table_size = table.size if table else 0

    def read(self, offset: int, size: int, *, interrupt: bool = False) -> int:
        """Read bytes; *interrupt* is the status bit of that name. Behind the end all bits are one."""
        if offset + size > SIZE:
            return (1 << 8 * size) - 1
        image = bytearray(self._image)
        image[_STATUS] |= _INTERRUPT_STATUS if interrupt else 0
        return int.from_bytes(image[offset:offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the writable bits of some bytes."""
        for at, byte in enumerate(value.to_bytes(size, "little"), offset):
            if at < SIZE:
                mask = self._writable[at]
                self._image[at] = self._image[at] & ~mask | byte & mask

    def _number(self, offset: int, size: int) -> int:
        return int.from_bytes(self._image[offset:offset + size], "little")

    def _command(self, bit: int) -> bool:
        return bool(self._number(spec.COMMAND, 2) >> bit & 1)

    @property
    def ports(self) -> range:
        """Ports of BAR 0; none while I/O decoding is off."""
        base = self._number(spec.BAR0 + 4 * IO_BAR, 4) & ~3
        return range(base, base + self.io_size) if self._command(0) else range(0)

    @property
    def table(self) -> range:
        """Addresses of the MSI-X table's BAR; none while memory decoding is off."""
        base = self._number(spec.BAR0 + 4 * TABLE_BAR, 4) & ~0xF
        return range(base, base + self.table_size) if self._command(1) else range(0)

    @property
    def bus_master(self) -> bool:
        """The guest lets the device reach memory."""
        return self._command(2)

    @property
    def interrupt_disabled(self) -> bool:
        """The guest does not want the line."""
        return self._command(10)

    @property
    def msix(self) -> tuple[bool, bool]:
        """MSI-X Enable and Function Mask."""
        control = self._number(_MSIX_AT + 2, 2) if self._has_msix else 0
        return bool(control >> 15), bool(control >> 14 & 1)

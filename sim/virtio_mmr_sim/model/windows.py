"""Register windows: views of a function's state, one dword access at a time.

A window answers the enabled bytes of an access and is silent about the others: they read zero and
have no effect. Where registers stand comes from the tables in `virtio_mmr.spec`; what they do is here.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from virtio_mmr.config.device import Space
from virtio_mmr.spec import control, legacy, modern, msix
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.register import Access, Effect, Present, Register, RegisterTable

from .configuration import LANES
from .function import FunctionModel


class Window(Protocol):
    """A region of a BAR; offsets are bytes from its start and multiples of 4."""

    def read(self, offset: int, strobe: int) -> int:
        """The enabled bytes of a dword, zero in the others; may clear what it reads."""

    def write(self, offset: int, data: int, strobe: int) -> None:
        """Write the enabled bytes of a dword."""


class Slot(NamedTuple):
    """A register's place in a dword."""

    register: Register
    #: Lowest bit in the dword.
    shift: int
    #: Byte enables that touch it.
    lanes: int
    #: Its bits, counted from its own bit 0.
    mask: int


def slots(table: RegisterTable) -> Mapping[int, tuple[Slot, ...]]:
    """The registers of a table by dword; in each, what resets comes first."""
    found: dict[int, list[Slot]] = {}
    for register in table:
        lane = register.offset % 4
        found.setdefault(register.offset - lane, []).append(
            Slot(register, 8 * lane, ((1 << register.size) - 1) << lane, (1 << register.width) - 1))
    return {
        dword: tuple(sorted(members, key=lambda slot: slot.register.effect is not Effect.RESET_WHEN_ZERO))
        for dword, members in found.items()
    }


def pack(register: Register, **values: int) -> int:
    """A register's value from its fields; fields that are not named have their reset value."""
    return sum(values.get(part.name, part.reset) << part.lsb for part in register.fields)


#: Gives a register's value; a read of a clearing register clears.
Reader = Callable[[], int]

#: Takes what is written and which bits of it are enabled; bits that are not enabled are zero.
Writer = Callable[[int, int], None]


class RegisterWindow:
    """Registers that read and write state of a function."""

    def __init__(self, table: RegisterTable, readers: Mapping[str, Reader], writers: Mapping[str, Writer]):
        for register in table:
            readable = register.access is not Access.WO
            writable = register.access in (Access.RW, Access.WO, Access.RW1C)
            assert readable == (register.name in readers), f"{table.name}.{register.name} cannot be read"
            assert writable == (register.name in writers), f"{table.name}.{register.name} cannot be written"
        self._slots = slots(table)
        self._readers = readers
        self._writers = writers

    def _present(self, register: Register) -> bool:
        return True

    def read(self, offset: int, strobe: int) -> int:
        value = 0
        for slot in self._slots.get(offset, ()):
            if strobe & slot.lanes and slot.register.name in self._readers and self._present(slot.register):
                value |= self._readers[slot.register.name]() << slot.shift
        return value & LANES[strobe]

    def write(self, offset: int, data: int, strobe: int) -> None:
        was_reset = False
        for slot in self._slots.get(offset, ()):
            register = slot.register
            if not strobe & slot.lanes or register.name not in self._writers or not self._present(register):
                continue
            enabled = LANES[strobe] >> slot.shift & slot.mask
            written = data >> slot.shift & enabled
            if register.effect is Effect.KICK and was_reset:
                continue
            self._writers[register.name](written, enabled)
            was_reset = was_reset or (register.effect is Effect.RESET_WHEN_ZERO and written == 0)


class LegacyWindow(RegisterWindow):
    """The legacy header, followed by the device configuration in the guest's byte order."""

    def __init__(self, function: FunctionModel):
        self._function = function
        self._swapped = byte_order(function)
        super().__init__(legacy.HEADER, {
            "device_features": lambda: function.offered,
            "driver_features": lambda: function.driver.features,
            "queue_address": lambda: queue.page if (queue := function.selected) else 0,
            "queue_size": lambda: queue.size if (queue := function.selected) else 0,
            "queue_select": lambda: function.driver.queue_select,
            "device_status": lambda: function.status,
            "isr_status": function.read_isr,
            "config_vector": lambda: function.driver.config_vector,
            "queue_vector": lambda: queue.vector if (queue := function.selected) else legacy.NO_VECTOR,
        }, {
            "driver_features": self._write_features,
            "queue_address": self._write_page,
            "queue_select": self._write_select,
            "queue_notify": self._write_notify,
            "device_status": lambda written, enabled: function.write_status(written),
            "config_vector": self._write_config_vector,
            "queue_vector": self._write_queue_vector,
        })

    def _present(self, register: Register) -> bool:
        return register.present is Present.ALWAYS or self._function.control.msix_enabled

    def _write_features(self, written: int, enabled: int) -> None:
        self._function.write_features(self._function.driver.features & ~enabled | written, written)

    def _write_page(self, written: int, enabled: int) -> None:
        queue = self._function.selected
        if queue is not None:
            self._function.write_page(queue.page & ~enabled | written)

    def _write_select(self, written: int, enabled: int) -> None:
        driver = self._function.driver
        driver.queue_select = driver.queue_select & ~enabled | written

    def _write_notify(self, written: int, enabled: int) -> None:
        """Acts if the low byte is written; a high byte that is not written counts as zero."""
        if enabled & 0xFF:
            self._function.notify(written)

    def _write_config_vector(self, written: int, enabled: int) -> None:
        driver = self._function.driver
        driver.config_vector = self._function.write_vector(driver.config_vector & ~enabled | written)

    def _write_queue_vector(self, written: int, enabled: int) -> None:
        queue = self._function.selected
        if queue is not None:
            queue.vector = self._function.write_vector(queue.vector & ~enabled | written)

    @property
    def _config_offset(self) -> int:
        return legacy.CONFIG_OFFSET[self._function.control.msix_enabled]

    def read(self, offset: int, strobe: int) -> int:
        if offset < self._config_offset:
            return super().read(offset, strobe)
        return read_config(self._function, self._order(offset - self._config_offset), strobe)

    def write(self, offset: int, data: int, strobe: int) -> None:
        if offset < self._config_offset:
            super().write(offset, data, strobe)
        else:
            write_config(self._function, self._order(offset - self._config_offset), data, strobe)

    def _order(self, position: int) -> list[int]:
        """Which bytes of the image the four lanes at *position* of the device configuration show."""
        places = range(position, position + 4)
        if not self._function.hypervisor.big_endian:
            return list(places)
        return [self._swapped[place] if place < len(self._swapped) else place for place in places]


def byte_order(function: FunctionModel) -> list[int]:
    """For each byte that a big-endian guest sees, its place in the little-endian image."""
    order = list(range(function.config.kind.config_size))
    for part in function.config.kind.config:
        size = part.width // 8
        for start in range(part.offset, part.offset + part.size, size):
            order[start:start + size] = reversed(range(start, start + size))
    return order


def read_config(function: FunctionModel, places: list[int], strobe: int) -> int:
    """The bytes of the image at the four *places*, one a lane; beyond the image they read zero."""
    image = function.device_config
    return sum(
        image[place] << 8 * lane
        for lane, place in enumerate(places) if strobe >> lane & 1 and place < len(image))


def write_config(function: FunctionModel, places: list[int], data: int, strobe: int) -> None:
    """Write the bytes of the image at the four *places*, one a lane."""
    function.write_config({
        place: data >> 8 * lane & 0xFF for lane, place in enumerate(places) if strobe >> lane & 1})


class DeviceWindow:
    """The device configuration on its own, little-endian."""

    def __init__(self, function: FunctionModel):
        self._function = function

    def read(self, offset: int, strobe: int) -> int:
        return read_config(self._function, list(range(offset, offset + 4)), strobe)

    def write(self, offset: int, data: int, strobe: int) -> None:
        write_config(self._function, list(range(offset, offset + 4)), data, strobe)


class IsrWindow(RegisterWindow):
    """The interrupt status byte on its own."""

    def __init__(self, function: FunctionModel):
        super().__init__(modern.ISR, {"isr_status": function.read_isr}, {})


class ControlWindow(RegisterWindow):
    """The hypervisor's page."""

    def __init__(self, function: FunctionModel):
        self._function = function
        table = control.TABLE
        supports_big = function.config.control is not None and function.config.control.big_endian
        self._supports_big = supports_big
        super().__init__(table, {
            "magic": lambda: table["magic"].reset,
            "version": lambda: table["version"].reset,
            "supported": lambda: sum(control.Supported),
            "endian": lambda: pack(
                table["endian"], big=int(function.hypervisor.big_endian), big_supported=int(supports_big)),
            "generation": lambda: function.generation,
            "badstate": lambda: function.hypervisor.badstate,
            "required": lambda: function.hypervisor.required,
            "forbidden": lambda: function.hypervisor.forbidden,
            "platform": lambda: pack(table["platform"], gate=int(function.hypervisor.gate)),
        }, {
            "endian": self._write_endian,
            "badstate": self._clear_badstate,
            "required": self._write_required,
            "forbidden": self._write_forbidden,
            "reject": self._write_reject,
            "platform": self._write_platform,
        })

    @property
    def _locked(self) -> bool:
        """Some settings are taken only while the device status reads zero."""
        return self._function.status != 0

    def _write_endian(self, written: int, enabled: int) -> None:
        if enabled & 1 and self._supports_big and not self._locked:
            self._function.hypervisor.big_endian = written & 1 != 0

    def _clear_badstate(self, written: int, enabled: int) -> None:
        if not self._locked:
            self._function.hypervisor.badstate &= ~written

    def _write_required(self, written: int, enabled: int) -> None:
        hypervisor = self._function.hypervisor
        hypervisor.required = hypervisor.required & ~enabled | written

    def _write_forbidden(self, written: int, enabled: int) -> None:
        hypervisor = self._function.hypervisor
        if not self._locked:
            hypervisor.forbidden = hypervisor.forbidden & ~enabled | written

    def _write_reject(self, written: int, enabled: int) -> None:
        if written & 1:
            self._function.stop(BadState.REJECTED)

    def _write_platform(self, written: int, enabled: int) -> None:
        gate = next(part for part in control.TABLE["platform"].fields if part.name == "gate")
        if enabled & gate.mask:
            self._function.write_gate(written & gate.mask != 0)


class MsixWindow:
    """The MSI-X table as it stands after reset; it keeps nothing until interrupts are built."""

    def __init__(self, vectors: int):
        self._vectors = vectors

    def read(self, offset: int, strobe: int) -> int:
        vector, place = divmod(offset, msix.ENTRY_SIZE)
        if vector >= self._vectors:
            return 0
        return next(register.reset for register in msix.ENTRY if register.offset == place) & LANES[strobe]

    def write(self, offset: int, data: int, strobe: int) -> None:
        """Nothing is stored."""


def windows(function: FunctionModel) -> Mapping[Space, Window]:
    """One window for every space that a region may show."""
    return {
        Space.LEGACY: LegacyWindow(function),
        Space.CONTROL: ControlWindow(function),
        Space.ISR: IsrWindow(function),
        Space.DEVICE: DeviceWindow(function),
        Space.MSIX: MsixWindow(function.config.msix_vectors),
    }

"""Register windows: views of a function's state, one dword access at a time.

A window answers the enabled bytes of an access and is silent about the others: they read zero and
have no effect. Where registers stand comes from the tables in `virtio_mmr.spec`; what they do is here.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from virtio_mmr.config.device import Space
from virtio_mmr.spec import control, legacy, modern
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.features import TransportFeature
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
    #: Lowest bit in the dword; negative for the upper half of 64 bits.
    shift: int
    #: Byte enables that touch it.
    lanes: int
    #: Its bits, counted from its own bit 0.
    mask: int


def slots(table: RegisterTable) -> Mapping[int, tuple[Slot, ...]]:
    """The registers of a table by dword; in each, what resets comes first."""
    found: dict[int, list[Slot]] = {}
    for register in table:
        for dword in range(register.offset & ~3, register.end, 4):
            lane = register.offset - dword
            lanes = shifted((1 << register.size) - 1, lane) & 0xF
            found.setdefault(dword, []).append(Slot(register, 8 * lane, lanes, (1 << register.width) - 1))
    return {
        dword: tuple(sorted(members, key=lambda slot: slot.register.effect is not Effect.RESET_WHEN_ZERO))
        for dword, members in found.items()
    }


def shifted(value: int, left: int) -> int:
    """*value* moved up by *left* bits, or down if that is negative."""
    return value << left if left >= 0 else value >> -left


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
                value |= shifted(self._readers[slot.register.name](), slot.shift)
        return value & LANES[strobe]

    def write(self, offset: int, data: int, strobe: int) -> None:
        was_reset = False
        for slot in self._slots.get(offset, ()):
            register = slot.register
            if not strobe & slot.lanes or register.name not in self._writers or not self._present(register):
                continue
            enabled = shifted(LANES[strobe], -slot.shift) & slot.mask
            written = shifted(data, -slot.shift) & enabled
            # What a reset by the status clears is not set by the same access.
            if was_reset:
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
            "driver_features": lambda: function.driver.features & 0xFFFF_FFFF,
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
            "config_vector": self._function.write_config_vector,
            "queue_vector": self._function.write_queue_vector,
        })

    def _present(self, register: Register) -> bool:
        return register.present is Present.ALWAYS or self._function.control.msix_enabled

    def _write_features(self, written: int, enabled: int) -> None:
        """What only a modern driver could accept does not outlive it."""
        self._function.write_features(self._function.driver.features & 0xFFFF_FFFF & ~enabled | written, written)

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
    if any(strobe >> lane & 1 and place < len(image) for lane, place in enumerate(places)):
        function.read_config()
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


class CommonWindow(RegisterWindow):
    """The modern common configuration."""

    def __init__(self, function: FunctionModel):
        self._function = function
        super().__init__(modern.COMMON, {
            "device_feature_select": lambda: function.driver.device_feature_select,
            "device_feature": self._offered_word,
            "driver_feature_select": lambda: function.driver.driver_feature_select,
            "driver_feature": self._accepted_word,
            "config_msix_vector": lambda: function.driver.config_vector,
            "num_queues": lambda: len(function.queues),
            "device_status": lambda: function.status,
            "config_generation": lambda: function.config_generation,
            "queue_select": lambda: function.driver.queue_select,
            "queue_size": lambda: self._of_queue("size"),
            "queue_msix_vector": lambda: self._of_queue("vector", legacy.NO_VECTOR),
            "queue_enable": lambda: int(self._of_queue("enabled")),
            "queue_notify_off": self._notify_offset,
            "queue_desc": lambda: self._of_queue("descriptors"),
            "queue_driver": lambda: self._of_queue("available"),
            "queue_device": lambda: self._of_queue("used"),
            "queue_notif_config_data": self._notify_data,
            "queue_reset": lambda: int(self._of_queue("resetting")),
            "admin_queue_index": lambda: 0,
            "admin_queue_num": lambda: 0,
        }, {
            "device_feature_select": self._storing("device_feature_select"),
            "driver_feature_select": self._storing("driver_feature_select"),
            "driver_feature": self._write_feature,
            "config_msix_vector": self._function.write_config_vector,
            "device_status": lambda written, enabled: function.write_modern_status(written),
            "queue_select": self._storing("queue_select"),
            "queue_size": lambda written, enabled: function.write_size(self._of_queue("size") & ~enabled | written),
            "queue_msix_vector": self._function.write_queue_vector,
            "queue_enable": lambda written, enabled: function.enable_queue() if written == 1 else None,
            "queue_desc": self._placing("descriptors"),
            "queue_driver": self._placing("available"),
            "queue_device": self._placing("used"),
            "queue_reset": lambda written, enabled: function.reset_queue() if written == 1 else None,
        })

    def _of_queue(self, name: str, otherwise: int = 0) -> int:
        """What the selected queue says; *otherwise* if there is none."""
        queue = self._function.selected
        return otherwise if queue is None else int(getattr(queue, name))

    def _offered_word(self) -> int:
        select = self._function.driver.device_feature_select
        return self._function.offered_word(select) if select < 2 else 0

    def _accepted_word(self) -> int:
        driver = self._function.driver
        select = driver.driver_feature_select
        return driver.features >> 32 * select & 0xFFFF_FFFF if select < 2 else 0

    def _notify_offset(self) -> int:
        """Queues stand in their order, or all in one place."""
        function = self._function
        found = function.config.find(Space.NOTIFY)
        if function.selected is None or found is None or found[1].stride == 0:
            return 0
        return function.driver.queue_select

    def _notify_data(self) -> int:
        function = self._function
        accepted = function.driver.features >> TransportFeature.NOTIF_CONFIG_DATA & 1
        return function.driver.queue_select if accepted and function.selected is not None else 0

    def _storing(self, name: str) -> Writer:
        def write(written: int, enabled: int) -> None:
            driver = self._function.driver
            setattr(driver, name, getattr(driver, name) & ~enabled | written)
        return write

    def _placing(self, area: str) -> Writer:
        def write(written: int, enabled: int) -> None:
            self._function.write_address(area, self._of_queue(area) & ~enabled | written)
        return write

    def _write_feature(self, written: int, enabled: int) -> None:
        self._function.write_feature_word(self._accepted_word() & ~enabled | written, written)


class NotifyWindow:
    """One notification address for each queue, or one for all."""

    def __init__(self, function: FunctionModel):
        self._function = function
        found = function.config.find(Space.NOTIFY)
        self._stride = 0 if found is None else found[1].stride

    def read(self, offset: int, strobe: int) -> int:
        """There is nothing to read."""
        return 0

    def write(self, offset: int, data: int, strobe: int) -> None:
        """Acts if the lowest byte of an address is written; bytes that are not written count as zero."""
        data &= LANES[strobe]
        index, at = divmod(offset, self._stride) if self._stride else (data & 0xFFFF, offset)
        if at == 0 and strobe & 1:
            self._function.notify(index, data >> 16)


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
    """The MSI-X table, and in the second half of its region the pending bits, which nobody can write."""

    def __init__(self, function: FunctionModel):
        self._table = function.table
        found = function.config.find(Space.MSIX)
        self._pending = found[1].size // 2 if found is not None else 0

    def read(self, offset: int, strobe: int) -> int:
        value = self._table.read(offset) if offset < self._pending else self._table.pending(offset - self._pending)
        return value & LANES[strobe]

    def write(self, offset: int, data: int, strobe: int) -> None:
        if offset < self._pending:
            self._table.write(offset, data, strobe)


def windows(function: FunctionModel) -> Mapping[Space, Window]:
    """One window for every space that a region may show."""
    return {
        Space.LEGACY: LegacyWindow(function),
        Space.CONTROL: ControlWindow(function),
        Space.ISR: IsrWindow(function),
        Space.DEVICE: DeviceWindow(function),
        Space.MSIX: MsixWindow(function),
        Space.COMMON: CommonWindow(function),
        Space.NOTIFY: NotifyWindow(function),
    }

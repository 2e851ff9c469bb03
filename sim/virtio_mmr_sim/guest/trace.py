"""Names for what a recording says: windows, registers, fields of the device configuration, status bits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from virtio_mmr.config.device import DeviceConfig, Space
from virtio_mmr.export.windows import TABLES
from virtio_mmr.layout import place
from virtio_mmr.spec.configuration import FIRST_CLASSIC, FIRST_EXTENDED
from virtio_mmr.spec.legacy import CONFIG_OFFSET
from virtio_mmr.spec.msix import ENTRY_SIZE
from virtio_mmr.spec.register import Present, Register
from virtio_mmr.spec.status import Status

from virtio_mmr_sim.host.hypervisor.configuration import IO_BAR

from .designs import Show
from .record import Access, Event, Interrupt
from .vfio_user import CONFIG_REGION

_MSIX_ENABLE = 1 << 15


@dataclass(frozen=True)
class Step:
    """One line of a trace; *operation* is "read", "write" or "interrupt"."""

    operation: str
    #: Window and register, or what the interrupt was.
    name: str
    size: int = 0
    value: int = 0
    #: What the value says, if more is known.
    meaning: str = ""

    def __str__(self) -> str:
        if self.operation == "interrupt":
            return f"interrupt  {self.name}"
        value = f"{self.value:#0{2 * self.size + 2}x}"
        return f"{self.operation:<5} {8 * self.size:>2}   {self.name:<36} {value}  {self.meaning}".rstrip()


class Decoder:
    """Follows MSI-X Enable of the guest, on which the legacy header depends."""

    def __init__(self, config: DeviceConfig, show: Show):
        self._config, self._show = config, show
        self._msix = False
        space = place(config)
        self._registers = [register for register in space.registers
                           if show is not Show.HYPERVISOR or register.offset < FIRST_CLASSIC]
        # The hypervisor's device has one capability, and it is the first.
        self._capability = FIRST_CLASSIC if show is Show.HYPERVISOR else next(
            (found.offset for found in space.capabilities if found.name == "msix"), FIRST_EXTENDED)

    def steps(self, events: Sequence[Event]) -> Iterator[Step]:
        """The lines of a recording, in its order."""
        for event in events:
            match event:
                case Interrupt(vector):
                    yield Step("interrupt", "line" if vector is None else f"vector {vector}")
                case Access():
                    yield self._step(event)
                    self._follow(event)

    def _follow(self, access: Access) -> None:
        at = self._capability + 2
        if access.write and access.region == CONFIG_REGION and access.offset == at:
            self._msix = bool(access.value & _MSIX_ENABLE)

    def _step(self, access: Access) -> Step:
        name = self._name(access.region, access.offset)
        meaning = ""
        if name.endswith("device_status"):
            known = Status(access.value & 0xFF)
            meaning = " ".join(part.name or "" for part in known) or "reset" * access.write
        return Step("write" if access.write else "read", name, access.size, access.value, meaning)

    def _name(self, region: int, offset: int) -> str:
        if region == CONFIG_REGION:
            return f"config.{_register(self._registers, offset) or f'{offset:#05x}'}"
        if self._show is Show.HYPERVISOR:
            return self._in_window(Space.LEGACY if region == IO_BAR else Space.MSIX, offset, 0)
        for bar in self._config.bars:
            for part in bar.regions:
                if bar.index == region and part.offset <= offset < part.end:
                    return self._in_window(part.space, offset - part.offset, part.stride)
        return f"bar{region}.{offset:#x}"

    def _in_window(self, space: Space, offset: int, stride: int) -> str:
        start = CONFIG_OFFSET[self._msix]
        if space is Space.DEVICE:
            return f"device.{self._field(offset)}"
        if space is Space.LEGACY and offset >= start:
            return f"device.{self._field(offset - start)}"
        if space is Space.NOTIFY:
            return f"notify.queue_{offset // stride}" if stride else "notify"
        if space is Space.MSIX:
            return f"msix.{offset // ENTRY_SIZE}.{_register([*TABLES[space]], offset % ENTRY_SIZE)}"
        present = [register for register in TABLES[space]
                   if self._msix or register.present is not Present.MSIX_ENABLED]
        return f"{space.value}.{_register(present, offset) or f'{offset:#x}'}"

    def _field(self, offset: int) -> str:
        for field in self._config.kind.config:
            if field.offset <= offset < field.offset + field.size:
                inside = offset - field.offset
                return f"{field.name}+{inside}" if inside else field.name
        return f"{offset:#x}"


def _register(registers: Sequence[Register], offset: int) -> str:
    """The register at *offset*, and how far inside it; empty if there is none."""
    for register in registers:
        if register.offset <= offset < register.end:
            inside = offset - register.offset
            return f"{register.name}+{inside}" if inside else register.name
    return ""

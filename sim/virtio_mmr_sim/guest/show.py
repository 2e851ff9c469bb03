"""What a guest gets to see of the design: its own registers, or what a hypervisor makes of them."""

from collections.abc import Callable, Sequence

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.layout import place
from virtio_mmr.spec import configuration as spec
from virtio_mmr.spec.control import TABLE as CONTROL
from virtio_mmr.spec.control import BadState
from virtio_mmr.spec.msix import ENTRY, ENTRY_SIZE

from virtio_mmr_sim.host.hypervisor import GuestStopped, TransitionalDevice, finish
from virtio_mmr_sim.host.hypervisor.configuration import IO_BAR, TABLE_BAR
from virtio_mmr_sim.model.tlp import extent
from virtio_mmr_sim.native.model import Unsupported

from .bridge import DOORBELL, VECTOR_SPACING, Bridge
from .interrupts import Line, Vectors
from .vfio_user import CONFIG_REGION, Region

_MEMORY_ENABLE = 1 << 1
_GATE = 1 << 8

#: Device Control of the PCI Express capability, and what starts a function-level reset there.
_DEVICE_CONTROL, _INITIATE_RESET = 8, 1 << 15


class Shown:
    """What all shows have in common: interrupts, and how a message finds its vector."""

    def __init__(self, vectors: int, has_line: bool):
        self.vectors, self.has_line = vectors, has_line
        #: Hears each time that the guest is told of a vector, or of its line (None).
        self.told: Callable[[int | None], None] = lambda vector: None
        self.messages = Vectors(vectors, self.program_vector)
        #: Writes to the doorbells that no entry of the table sends; they tell the guest nothing.
        self.strange = 0
        self.intx = Line(lambda: self.told(None))

    def program_vector(self, vector: int, wanted: bool) -> None:
        """Let a vector's messages go to its doorbell, or hold them back."""
        raise NotImplementedError

    def entry(self, vector: int, wanted: bool) -> list[tuple[int, int]]:
        """The writes that set up a vector's table entry, or mask it: offset in the table, and value."""
        address = DOORBELL + VECTOR_SPACING * vector
        values = {"address_low": address & 0xFFFF_FFFF, "address_high": address >> 32, "data": vector,
                  "vector_control": 0} if wanted else {"vector_control": 1}
        return [(ENTRY_SIZE * vector + ENTRY[name].offset, value) for name, value in values.items()]

    def deliver(self, address: int, data: int) -> None:
        """A message has come; the guest is told if it is what a vector's entry sends."""
        if data >= self.vectors or address != DOORBELL + VECTOR_SPACING * data:
            self.strange += 1
            return
        self.messages.fire(data)
        self.told(data)

    def set_line(self, descriptor: int | None) -> None:
        """The line is to be signalled here, or nowhere any more."""
        self.intx.set_descriptor(descriptor)

    def mask_line(self, masked: bool) -> None:
        """The client does not want to hear of the line, or does again."""
        self.intx.mask(masked)

    def set_vectors(self, start: int, descriptors: Sequence[int | None]) -> None:
        """From *start* on, vectors are to be signalled here, or nowhere any more."""
        self.messages.set_descriptors(start, descriptors)

    def close(self) -> None:
        """Let go of what belongs to the client."""
        self.messages.close()
        self.intx.set_descriptor(None)


class RawDevice(Shown):
    """The design's own configuration space and BARs."""

    def __init__(self, bridge: Bridge, config: DeviceConfig, routing_id: int):
        super().__init__(config.msix_vectors, config.intx)
        self.bridge, self.config = bridge, config
        self._target = {"bus": routing_id >> 8, "device": routing_id >> 3 & 31, "function": routing_id & 7}
        self._kinds = {bar.index: bar.kind for bar in config.bars}
        self.regions = {bar.index: Region(bar.decoded_size) for bar in config.bars}
        self.regions[CONFIG_REGION] = Region(spec.SPACE_SIZE)
        self._express = next(found.offset for found in place(config).capabilities if found.name == "express")
        #: Where the BARs are now; unknown after a write to one.
        self._bases: dict[int, int] = {}
        #: Accesses that the design has refused.
        self.refused = 0

    # From the client

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """Read bytes; all ones where the design refuses."""
        try:
            if region == CONFIG_REGION:
                return self._config_read(offset, size)
            address = self.base(region) + offset
            if self._kinds[region] is BarKind.IO:
                return self.bridge.io_read(address, size).to_bytes(size, "little")
            return self.bridge.read(address, size)
        except Unsupported:
            self.refused += 1
            return b"\xFF" * size

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes; nothing happens where the design refuses."""
        try:
            if region == CONFIG_REGION:
                self._config_write(offset, data)
            elif self._kinds[region] is BarKind.IO:
                self.bridge.io_write(self.base(region) + offset, len(data), int.from_bytes(data, "little"))
            else:
                self.bridge.write(self.base(region) + offset, data)
        except Unsupported:
            self.refused += 1

    def reset(self) -> None:
        """A function-level reset."""
        self._bases.clear()
        # The register's other fields are the guest's, and Max_Payload_Size outlives the reset (PCIe 6.6.2).
        place = self._express + _DEVICE_CONTROL
        control = self.bridge.config_read(place, 0b0011, **self._target) & 0xFFFF
        self.bridge.config_write(place, control | _INITIATE_RESET, 0b0011, **self._target)
        self.messages.forget()
        self.intx.set_level(False)

    # Configuration space

    def _config_read(self, offset: int, size: int) -> bytes:
        start = offset & ~3
        data = b"".join(
            self.bridge.config_read(at, extent(max(at, offset), min(at + 4, offset + size) - max(at, offset)).first_be,
                                    **self._target).to_bytes(4, "little")
            for at in range(start, offset + size, 4))
        return data[offset - start:][:size]

    def _config_write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        for at in range(offset & ~3, end, 4):
            first, last = max(at, offset), min(at + 4, end)
            dword = int.from_bytes(data[first - offset:last - offset], "little") << 8 * (first - at)
            self.bridge.config_write(at, dword, extent(first, last - first).first_be, **self._target)
        if offset < spec.BAR0 + 24 and end > spec.BAR0:
            self._bases.clear()

    def base(self, index: int) -> int:
        """Where a BAR is."""
        if index not in self._bases:
            register = spec.BAR0 + 4 * index
            low = self.bridge.config_read(register, **self._target)
            if self._kinds[index] is BarKind.IO:
                self._bases[index] = low & ~3
            else:
                wide = self._kinds[index] is BarKind.MEMORY64
                high = self.bridge.config_read(register + 4, **self._target) if wide else 0
                self._bases[index] = high << 32 | low & ~0xF
        return self._bases[index]

    # Interrupts

    def program_vector(self, vector: int, wanted: bool) -> None:
        """The client keeps the table that the guest writes, and never shows it; so the design's own is written here."""
        found = self.config.find_in_memory(Space.MSIX)
        assert found is not None, "a device with vectors has a table"
        bar, region = found
        for offset, value in self.entry(vector, wanted):
            self.bridge.write(self.base(bar.index) + region.offset + offset, value.to_bytes(4, "little"))

    def message(self, address: int, data: int) -> None:
        """A message of the design."""
        self.deliver(address, data)

    def line(self, level: bool) -> None:
        """INTA of the design."""
        self.intx.set_level(level)


class ModernDevice(RawDevice):
    """The same with the ids of a transitional device, for drivers of the modern interface; the gate is opened."""

    _gate_is_open = False

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """Read bytes; the device id is another."""
        data = super().region_read(region, offset, size)
        if region != CONFIG_REGION:
            return data
        assert self.config.kind.transitional_id is not None
        shown = {at: byte for at, byte in enumerate(self.config.kind.transitional_id.to_bytes(2, "little"), 2)}
        return bytes(shown.get(at, byte) for at, byte in enumerate(data, offset))

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes; the gate is opened as soon as the control page can be reached."""
        super().region_write(region, offset, data)
        if region == CONFIG_REGION and offset <= spec.COMMAND < offset + len(data):
            if data[spec.COMMAND - offset] & _MEMORY_ENABLE and not self._gate_is_open:
                self._open_gate()

    def reset(self) -> None:
        """A function-level reset, which closes the gate."""
        super().reset()
        self._gate_is_open = False

    def _open_gate(self) -> None:
        if (found := self.config.find_in_memory(Space.CONTROL)) is not None:
            bar, region = found
            place = self.base(bar.index) + region.offset + CONTROL["platform"].offset
            self.bridge.write(place, _GATE.to_bytes(4, "little"))
        self._gate_is_open = True


class _Doorbell:
    """The bridge's listener for a function that the hypervisor has: its messages go there."""

    def __init__(self, shown: "HypervisedDevice"):
        self._shown = shown

    def message(self, address: int, data: int) -> None:
        """A message of the function."""
        self._shown.device.message(address, data)

    def line(self, level: bool) -> None:
        """INTA of the function, which the hypervisor keeps off."""


class HypervisedDevice(Shown):
    """An ordinary transitional device with its registers in I/O BAR 0, which the hypervisor model makes.

    This is the hypervisor's `Guest`; *function* is whom the bridge tells of messages. *attach* gives a function to a
    guest, again after each reset; it may let the function into memory, so all else is ready by then.
    """

    def __init__(self, attach: Callable[["HypervisedDevice"], TransitionalDevice]):
        super().__init__(0, True)
        self._attach = attach
        #: Why the guest must not go on; zero if it may.
        self.stopped = BadState(0)
        self.function = _Doorbell(self)
        self.device = attach(self)
        if table := self.device.interrupts.table:
            self.vectors = table.vectors
            self.messages = Vectors(self.vectors, self.program_vector)
        self.regions = {index: Region(size) for index, size in self.device.bar_sizes.items()}
        self.regions[CONFIG_REGION] = Region(spec.CLASSIC_SIZE)

    # From the client

    def region_read(self, region: int, offset: int, size: int) -> bytes:
        """Read bytes; all ones for a guest that was stopped."""
        if region == CONFIG_REGION:
            return bytes(finish(self.device.config_read(at, 1)) for at in range(offset, offset + size))
        address = self._base(region) + offset
        try:
            if region == IO_BAR:
                return finish(self.device.io_read(address, size)).to_bytes(size, "little")
            return finish(self.device.memory_read(address, size)).to_bytes(size, "little")
        except GuestStopped:
            return b"\xFF" * size

    def region_write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes; nothing happens for a guest that was stopped."""
        value, size = int.from_bytes(data, "little"), len(data)
        if region == CONFIG_REGION:
            finish(self.device.config_write(offset, size, value))
            return
        address = self._base(region) + offset
        try:
            if region == IO_BAR:
                finish(self.device.io_write(address, size, value))
            else:
                finish(self.device.memory_write(address, size, value))
        except GuestStopped:
            pass

    def _base(self, index: int) -> int:
        return finish(self.device.config_read(spec.BAR0 + 4 * index, 4)) & (~3 if index == IO_BAR else ~0xF)

    def reset(self) -> None:
        """The hypervisor takes the function back and gives it away anew."""
        finish(self.device.detach())
        self.messages.forget()
        self.device = self._attach(self)

    def program_vector(self, vector: int, wanted: bool) -> None:
        """The guest's table is the client's, so the hypervisor's copy is written here."""
        for offset, value in self.entry(vector, wanted):
            finish(self.device.memory_write(self._base(TABLE_BAR) + offset, 4, value))

    def poll(self) -> None:
        """Let the hypervisor look after its function."""
        finish(self.device.poll())

    # From the hypervisor

    def interrupt(self, level: bool) -> None:
        """The guest's line."""
        self.intx.set_level(level)

    def message(self, address: int, data: int) -> None:
        """A message for the guest."""
        self.deliver(address, data)

    def stop(self, cause: BadState) -> None:
        """The guest cannot go on."""
        self.stopped = cause

"""Our side of a differential run: a device made like QEMU's, and its legacy window by TLPs.

A target is made from a `DeviceConfig`, since what it offers has to equal what QEMU offers.
"""

from collections.abc import Callable
from typing import Protocol

from virtio_mmr.config import defaults
from virtio_mmr.config.device import DeviceConfig, Identity, Space
from virtio_mmr.layout import place
from virtio_mmr.spec.configuration import BAR0, COMMAND
from virtio_mmr.spec.device_types import DEVICE_TYPES
from virtio_mmr.spec.features import UNUSED_BIT

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.endpoint import EndpointModel

from .qtest import Access, QtestDevice

#: Where BAR 0 is put.
_BASE = 0xE000_0000

_MEMORY_AND_MASTER = 0b110

#: Most queues that QEMU knows.
_MOST_QUEUES = 1024


class Target(Protocol):
    """A device whose legacy window is compared with QEMU's."""

    def read(self, offset: int, width: int) -> int:
        """*width* bytes (1, 2 or 4) at any *offset*, in one request."""

    def write(self, offset: int, width: int, value: int) -> None:
        """Write *width* bytes at any *offset*, in one request."""

    def set_msix(self, enable: bool) -> None:
        """Switch MSI-X Enable."""

    def reset(self) -> None:
        """Bring everything to its value after power-on, MSI-X off and the window decoding."""

    def close(self) -> None:
        """Free what belongs to the target."""


#: Makes a target for a device.
Maker = Callable[[DeviceConfig], Target]


def device_config_like(qemu: QtestDevice) -> DeviceConfig:
    """A device that offers what *qemu* does: features without bit 30, queue sizes, configuration, vectors.

    Bytes of configuration that the device type has and QEMU's device does not are zero. QEMU's device
    is reset.

    Raises
    ------
    ValueError
        If QEMU's queues have gaps, or the type is not described.
    """
    types = {kind.virtio_id: kind for kind in DEVICE_TYPES.values()}
    if qemu.subsystem_id not in types:
        raise ValueError(f"virtio id {qemu.subsystem_id} is not described")
    kind = types[qemu.subsystem_id]
    qemu.set_msix(False)
    qemu.reset_device()
    shown = qemu.run([access for index in range(_MOST_QUEUES) for access in (Access(0x0E, 2, index), Access(0x0C, 2))])
    sizes = shown[1::2]
    queues = tuple(sizes[:sizes.index(0)])
    if any(sizes[len(queues):]):
        raise ValueError(f"QEMU's {qemu.kind} device has a queue behind a gap")
    qemu.reset_device()
    image = qemu.config_bytes()[:kind.config_size]
    return DeviceConfig(
        kind=kind, identity=Identity.MMR, features=qemu.read(0x00, 4) & ~(1 << UNUSED_BIT), queues=queues,
        msix_vectors=qemu.vectors, config_image=image.ljust(kind.config_size, b"\0"),
        bars=defaults.bars(kind, Identity.MMR, qemu.vectors, control=True))


class _WindowInBar:
    """Enumeration, and where the window is; subclasses move the requests."""

    #: The window that stands at offset 0 of accesses.
    space = Space.LEGACY

    def __init__(self, config: DeviceConfig) -> None:
        self.config = config
        found = config.find(self.space)
        assert found is not None
        bar, region = found
        self._bar = bar.index
        self._window = _BASE + region.offset
        self._msix_at = place(config).capability("msix").offset

    def _config_write(self, offset: int, data: int, enables: int) -> None:
        raise NotImplementedError

    def _enumerate(self) -> None:
        self._config_write(BAR0 + 4 * self._bar, _BASE, 0xF)
        self._config_write(COMMAND, _MEMORY_AND_MASTER, 0b0011)
        self.set_msix(False)

    def set_msix(self, enable: bool) -> None:
        """Write the upper byte of the MSI-X control register."""
        self._config_write(self._msix_at, int(enable) << 31, 0b1000)


class ModelTarget(_WindowInBar):
    """The golden model."""

    def __init__(self, config: DeviceConfig) -> None:
        super().__init__(config)
        self._reads: dict[tuple[int, int], list[int]] = {}
        self.reset()

    def reset(self) -> None:
        """A new model."""
        self.model = EndpointModel(self.config)
        self._enumerate()

    def close(self) -> None:
        """Nothing to free."""

    def _config_write(self, offset: int, data: int, enables: int) -> None:
        request = tlp.ConfigRequest(write=True, offset=offset, data=data, first_be=enables)
        self._successful(self.model.receive(tlp.build(request)))

    @staticmethod
    def _successful(completions: list[list[int]]) -> list[int]:
        """Payload of the completions."""
        payload = []
        for completion in completions:
            if completion[1] >> 13 & 7:
                raise AssertionError(f"the model refuses a request: {[f'{dword:08x}' for dword in completion]}")
            payload += completion[3:]
        return payload

    def read(self, offset: int, width: int) -> int:
        """One memory read request."""
        request = self._reads.get((offset, width))
        if request is None:
            request = self._reads[offset, width] = tlp.build(tlp.memory_read(self._window + offset, width))
        data = tlp.to_bytes(self._successful(self.model.receive(request)))
        skip = offset % 4
        return int.from_bytes(data[skip:skip + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """One memory write request."""
        self.model.receive(tlp.build(tlp.memory_write(self._window + offset, value.to_bytes(width, "little"))))


class RtlTarget(_WindowInBar):
    """The generated design, simulated."""

    def __init__(self, config: DeviceConfig) -> None:
        from virtio_mmr_sim.native.model import NativeModel

        super().__init__(config)
        self.native = NativeModel(config)
        self.reset()

    def reset(self) -> None:
        """The reset input, then enumeration."""
        self.native.reset()
        self._enumerate()

    def close(self) -> None:
        """Free the simulated design."""
        self.native.close()

    def _config_write(self, offset: int, data: int, enables: int) -> None:
        self.native.config_write(offset, data, enables)

    def read(self, offset: int, width: int) -> int:
        """One memory read request."""
        return int.from_bytes(self.native.read(self._window + offset, width), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """One memory write request."""
        self.native.write(self._window + offset, value.to_bytes(width, "little"))


#: Targets by name.
MAKERS: dict[str, Maker] = {"model": ModelTarget, "rtl": RtlTarget}


class ModernTarget(Target, Protocol):
    """The same for a BAR that begins with the common configuration."""

    def let_go(self, queue: int) -> None:
        """The back end hears of everything, and lets go of a queue that is being reset."""


class ModernModelTarget(ModelTarget):
    """The golden model's modern BAR."""

    space = Space.COMMON

    def let_go(self, queue: int) -> None:
        """One round of the back end."""
        for stream, fields in self.model.drain(("reset_request",)):
            assert stream == "reset_request"
            self.model.reset_done(0, fields["epoch"])
        self.model.drain()
        self.model.queue_quiet(0, queue)


class ModernRtlTarget(RtlTarget):
    """The simulated design's modern BAR."""

    space = Space.COMMON

    def let_go(self, queue: int) -> None:
        """One round of the back end."""
        backend = self.native.backend
        self.native.settle()
        for item in backend.take("reset_request"):
            backend.put("reset_done", function=0, epoch=item.fields["epoch"])
        self.native.settle()
        backend.take_all()
        backend.put("queue_quiet", function=0, queue=queue)
        self.native.settle()


ModernMaker = Callable[[DeviceConfig], ModernTarget]

#: Targets of the modern run by name.
MODERN_MAKERS: dict[str, ModernMaker] = {"model": ModernModelTarget, "rtl": ModernRtlTarget}

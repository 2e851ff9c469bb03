"""What registers read after reset on one device, with what its device file decides."""

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.layout.space import reset_value
from virtio_mmr.spec import control
from virtio_mmr.spec.register import Field, Register

#: State whose first contents the device file decides.
BY_BUILD = ("build.", "device.", "queue.size", "function.gate")


def is_by_build(register: Register) -> bool:
    """Whether the device file decides what *register* reads after reset."""
    return any(view.startswith(BY_BUILD) for view in (register.view_of, *(part.view_of for part in register.fields)))


def device_reset(config: DeviceConfig, register: Register) -> int:
    """What *register* reads after reset; of a banked register the instance that reset selects."""
    value = reset_value(register) | _decided(config, register.view_of)
    for part in register.fields:
        value |= _decided(config, part.view_of) << part.lsb
    return value


def field_reset(config: DeviceConfig, part: Field) -> int:
    """What the field *part* reads after reset."""
    return part.reset | _decided(config, part.view_of)


def _decided(config: DeviceConfig, view: str) -> int:
    """The part of the state *view* that the device file decides; 0 if it decides nothing."""
    page = config.control
    values = {
        "device.features": config.legacy_features,
        "device.feature_word": config.modern_features & 0xFFFF_FFFF,
        "device.queues": len(config.queues),
        "queue.size": config.queues[0],
        "build.supported": sum(control.Supported),
        "build.big_endian": int(page is not None and page.big_endian),
        "function.gate": int(page is None or page.gate_open),
    }
    return values.get(view, 0)

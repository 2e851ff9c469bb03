"""The whole device as JSON: identity, BARs, windows with registers, configuration space."""

import json

from virtio_mmr.config.device import DeviceConfig, Space, VirtualFunctions
from virtio_mmr.layout import ConfigurationSpace, place
from virtio_mmr.layout.space import reset_value
from virtio_mmr.spec import legacy
from virtio_mmr.spec.device_types import ConfigField
from virtio_mmr.spec.register import Register

from .resets import device_reset, field_reset
from .windows import device_features, windows

#: Version of this layout; counts up when a key changes its meaning or goes.
VERSION = 1


def device_map(config: DeviceConfig, space: ConfigurationSpace) -> dict[str, object]:
    """The device as plain lists, dictionaries, strings and numbers; sizes and offsets are bytes."""
    return {
        "version": VERSION,
        "device": {
            "kind": config.kind.name,
            "identity": config.identity.value,
            "profile": config.profile,
            "vendor_id": config.vendor_id,
            "device_id": config.device_id,
            "subsystem_id": config.kind.virtio_id,
            "revision": config.revision,
            "class_code": config.kind.class_code,
            "serial": config.serial,
        },
        "features": {"offered": config.features, "bits": device_features(config)},
        "queues": list(config.queues),
        "virtual_functions": None if config.vf is None else _virtual_functions(config.vf),
        "interrupts": {"msix_vectors": config.msix_vectors, "intx": config.intx},
        "bars": [
            {
                "index": bar.index,
                "kind": bar.kind.value,
                "prefetchable": bar.prefetchable,
                "size": bar.decoded_size,
                "regions": [
                    {"space": region.space.value, "offset": region.offset, "size": region.size}
                    | ({"stride": region.stride} if region.space is Space.NOTIFY else {})
                    for region in bar.regions
                ],
            }
            for bar in config.bars
        ],
        "windows": [
            {
                "name": window.name,
                "bar": window.bar.index,
                "offset": window.region.offset,
                "size": window.region.size,
                "registers": [register_map(register, config) for register in window.table or ()],
            }
            for window in windows(config)
        ],
        "config": {
            "legacy_offset": legacy.CONFIG_OFFSET[False],
            "legacy_offset_with_msix": legacy.CONFIG_OFFSET[True],
            "image": config.config_image.hex(),
            "fields": [field_map(field) for field in config.kind.config],
        },
        "control": (
            None
            if config.control is None
            else {"big_endian": config.control.big_endian, "gate_open": config.control.gate_open}
        ),
        "datapath": {
            "width": config.datapath.width,
            "adapter": config.datapath.adapter,
            "max_payload": config.datapath.max_payload,
            "check_byte_enables": config.datapath.check_byte_enables,
            "strict_64bit": config.datapath.strict_64bit,
        },
        "requester": (
            None
            if config.requester is None
            else {
                "reads": config.requester.reads,
                "largest_read": config.requester.largest_read,
                "timeout": config.requester.timeout,
                "completion_headers": config.requester.completion_headers,
                "completion_bytes": config.requester.completion_bytes,
            }
        ),
        "capabilities": [
            {
                "name": capability.name,
                "kind": capability.kind,
                "id": capability.id,
                "offset": capability.offset,
                "size": capability.size,
            }
            for capability in space.capabilities
        ],
        "left_out": [{"name": name, "why": why} for name, why in space.left_out],
        "configuration": [register_map(register, config) for register in space.registers],
    }


def _virtual_functions(vf: VirtualFunctions) -> dict[str, object]:
    described = device_map(vf.function, place(vf.function))
    keys = ("features", "queues", "bars", "windows", "config", "capabilities", "configuration")
    return {
        "count": vf.count,
        "device_id": vf.function.device_id,
        "msix_vectors": vf.function.msix_vectors,
        **{key: described[key] for key in keys},
    }


def device_json(config: DeviceConfig, space: ConfigurationSpace) -> str:
    """`device_map` as text."""
    return json.dumps(device_map(config, space), indent=2) + "\n"


def register_map(register: Register, config: DeviceConfig | None = None) -> dict[str, object]:
    """One register; keys that say nothing are left out. Resets are those of *config*'s device, if it is given."""
    described: dict[str, object] = {
        "name": register.name,
        "offset": register.offset,
        "width": register.width,
        "access": register.access.value,
        "reset": reset_value(register) if config is None else device_reset(config, register),
        "present": register.present.value,
        "banked_by": register.banked_by,
        "effect": register.effect.value if register.effect else None,
        "view_of": register.view_of,
        "aliases": dict(register.aliases),
        "clause": register.clause,
        "doc": register.doc,
        "fields": [
            {
                "name": part.name,
                "lsb": part.lsb,
                "width": part.width,
                "access": part.access.value,
                "reset": part.reset if config is None else field_reset(config, part),
                "doc": part.doc,
            }
            for part in register.fields
        ],
    }
    return {key: value for key, value in described.items() if value not in (None, "", [], {})}


def field_map(field: ConfigField) -> dict[str, object]:
    """One field of the device configuration."""
    return {
        "name": field.name,
        "offset": field.offset,
        "width": field.width,
        "count": field.count,
        "owner": field.owner.value,
        "feature": field.feature,
    }

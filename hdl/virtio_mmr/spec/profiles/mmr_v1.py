"""Numbers that the MMR proposal fixes, or that this project chose where the proposal is silent.

Source: patches 06 to 10 of the series "Introduce transitional MMR interface", virtio-comment,
31 March 2023, and its review of 7 April 2023. The series was not merged: nothing here is standard.
"""

#: Virtio structure type of the legacy MMR window (patch 09).
CFG_TYPE_LEGACY_MMR = 0x0A

#: Structure type of the control page; the project's own.
CFG_TYPE_CONTROL = 0xF0

#: VSEC identifiers in virtio's vendor space; the project's own, since none is allocated.
VSEC_ID_LEGACY_MMR = 0x0001
VSEC_ID_CONTROL = 0x0002

#: First of the seven device ids (patch 07); they follow the order of `TRANSITIONAL_ORDER`.
FIRST_DEVICE_ID = 0x10F9

#: Virtio device types in the order of the transitional id table: net, block, balloon, console, scsi, entropy, 9p.
TRANSITIONAL_ORDER = (1, 2, 5, 3, 8, 4, 9)


def device_id(virtio_type: int) -> int:
    """PCI device id of an MMR device of this virtio type.

    Raises
    ------
    ValueError
        If the type has no transitional device, and hence no MMR id.
    """
    if virtio_type not in TRANSITIONAL_ORDER:
        raise ValueError(f"virtio type {virtio_type} has no transitional device; an MMR id exists for "
                         f"{', '.join(map(str, sorted(TRANSITIONAL_ORDER)))}")
    return FIRST_DEVICE_ID + TRANSITIONAL_ORDER.index(virtio_type)

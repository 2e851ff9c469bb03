"""Reads capability lists back out of configuration space, also out of one that is not ours.

Specification: PCI Local Bus 3.0, 6.7 (classic list); PCI Express Base 5.0, 7.6.3 (extended list).
"""

from dataclasses import dataclass

from virtio_mmr.spec import configuration as spec
from virtio_mmr.spec import sriov
from virtio_mmr.spec.profiles import mmr_v1

#: Names of ids that are common on virtio devices.
_CLASSIC_NAMES = {
    0x01: "Power management",
    0x05: "MSI",
    0x09: "Vendor specific",
    0x10: "PCI Express",
    0x11: "MSI-X",
}
_EXTENDED_NAMES = {
    0x0001: "Advanced error reporting",
    0x0003: "Serial number",
    0x000B: "Vendor specific",
    sriov.EXTENDED_ID_ARI: "ARI",
    sriov.EXTENDED_ID_SRIOV: "SR-IOV",
}

#: What cfg_type names (virtio 1.3, 4.1.4; 10 from the proposal, 0xf0 ours).
_STRUCTURES = {
    1: "common",
    2: "notify",
    3: "isr",
    4: "device",
    5: "pci access",
    8: "shared memory",
    9: "vendor data",
    mmr_v1.CFG_TYPE_LEGACY_MMR: "legacy MMR",
    mmr_v1.CFG_TYPE_CONTROL: "control page",
}


@dataclass(frozen=True)
class ListedCapability:
    """One entry of a capability list, as software finds it; ``following`` is 0 at the end of the list."""

    kind: str
    id: int
    offset: int
    following: int
    title: str
    details: tuple[str, ...] = ()


def listed_capabilities(image: bytes, starts: tuple[int, int] | None = None) -> tuple[ListedCapability, ...]:
    """The classic list and then the extended list of *image*, which has 256 or 4096 bytes.

    *starts* says where they begin in a part without a header; a list whose first dword is zero is empty.
    A list that leaves its part of the space or comes back to itself ends there, with an entry that
    says so.
    """
    image = image.ljust(spec.SPACE_SIZE, b"\0")
    classic: list[ListedCapability] = []
    has_list = _number(image, 0x06, 2) >> 4 & 1
    first, first_extended = image[spec.CAPABILITIES_POINTER] & 0xFC if has_list else 0, spec.FIRST_EXTENDED
    if starts is not None:
        first, first_extended = starts[0] if _number(image, starts[0], 4) else 0, starts[1]
    _walk(image, classic, first, "classic")
    extended: list[ListedCapability] = []
    if _number(image, first_extended, 4) not in (0, 0xFFFF_FFFF):
        _walk(image, extended, first_extended, "extended")
    return tuple(classic + extended)


def _walk(image: bytes, found: list[ListedCapability], offset: int, kind: str) -> None:
    first, end = (
        (spec.FIRST_CLASSIC, spec.CLASSIC_SIZE)
        if kind == "classic"
        else (spec.FIRST_EXTENDED, spec.SPACE_SIZE)
    )
    while offset:
        if not first <= offset < end or any(offset == earlier.offset for earlier in found):
            found.append(
                ListedCapability(kind, 0, offset, 0, "Broken list", (f"{offset:#x} is no place for it",))
            )
            return
        entry = _classic(image, offset) if kind == "classic" else _extended(image, offset)
        found.append(entry)
        offset = entry.following


def _is_virtio(image: bytes) -> bool:
    """Whether the vendor's structures are virtio's. A virtual function says all ones: it may be one of ours."""
    return _number(image, 0, 2) in (spec.VENDOR_ID, 0xFFFF)


def _number(image: bytes, offset: int, size: int) -> int:
    return int.from_bytes(image[offset : offset + size], "little")


def _classic(image: bytes, offset: int) -> ListedCapability:
    number = image[offset]
    details: tuple[str, ...] = ()
    if number == spec.ID_MSIX:
        control, table, pending = (_number(image, offset + at, size) for at, size in ((2, 2), (4, 4), (8, 4)))
        details = (
            f"{(control & 0x7FF) + 1} vectors, {'enabled' if control >> 15 else 'not enabled'}",
            f"table   → BAR {table & 7} + {table & ~7:#x}",
            f"pending → BAR {pending & 7} + {pending & ~7:#x}",
        )
    elif number == spec.ID_VENDOR and _is_virtio(image):
        details = _structure(
            image[offset + 3],
            image[offset + 4],
            _number(image, offset + 8, 4),
            _number(image, offset + 12, 4),
        )
    elif number == spec.ID_EXPRESS:
        capabilities = _number(image, offset + 4, 4)
        details = (
            f"payload up to {128 << (capabilities & 7)} bytes",
            *(["FLR"] if capabilities >> 28 & 1 else []),
        )
    elif number == spec.ID_POWER:
        details = (f"in D{image[offset + 4] & 3}",)
    return ListedCapability(
        "classic",
        number,
        offset,
        image[offset + 1] & 0xFC,
        _CLASSIC_NAMES.get(number, f"Id {number:#04x}"),
        details,
    )


def _extended(image: bytes, offset: int) -> ListedCapability:
    header = _number(image, offset, 4)
    number = header & 0xFFFF
    details: tuple[str, ...] = ()
    if number == spec.EXTENDED_ID_SERIAL:
        serial = image[offset + 4 : offset + 12][::-1].hex("-")
        details = (serial,)
    elif number == spec.EXTENDED_ID_VENDOR:
        details = _vendor(image, offset)
    elif number == sriov.EXTENDED_ID_SRIOV:
        details = _virtual_functions(image, offset)
    title = _EXTENDED_NAMES.get(number, f"Id {number:#06x}")
    return ListedCapability("extended", number, offset, header >> 20 & 0xFFC, title, details)


def _virtual_functions(image: bytes, offset: int) -> tuple[str, ...]:
    control, total, enabled, first, stride, device = (
        _number(image, offset + at, 2) for at in (0x08, 0x0E, 0x10, 0x14, 0x16, 0x1A)
    )
    return (
        f"{total} functions, {enabled if control & 1 else 0} enabled",
        f"device {device:04x}",
        f"first at +{first}, every {stride}",
    )


def _vendor(image: bytes, offset: int) -> tuple[str, ...]:
    vsec = _number(image, offset + 4, 4)
    if vsec >> 20 == 0:
        return ("no VSEC header: literal struct", *_wide_structure(image, offset + 4))
    known = _is_virtio(image) and vsec & 0xFFFF in (
        mmr_v1.VSEC_ID_LEGACY_MMR,
        mmr_v1.VSEC_ID_CONTROL,
    )
    return (
        f"VSEC {vsec & 0xFFFF:#06x}, {vsec >> 20} bytes",
        *(_wide_structure(image, offset + 8) if known else ()),
    )


def _wide_structure(image: bytes, at: int) -> tuple[str, ...]:
    return _structure(image[at], image[at + 1], _number(image, at + 4, 8), _number(image, at + 12, 8))


def _structure(cfg_type: int, bar: int, offset: int, length: int) -> tuple[str, ...]:
    name = _STRUCTURES.get(cfg_type, f"type {cfg_type:#04x}")
    return (f"{name} → BAR {bar} + {offset:#x}", f"{length:#x} bytes")

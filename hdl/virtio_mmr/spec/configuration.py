"""Configuration space: the type 0 header and the capabilities, as registers with fields.

Sources: PCI Local Bus 3.0, 6.1 (header) and 6.8.2 (MSI-X); PCI Power Management 1.2, 3.2; PCI
Express Base 5.0, 7.5.3 (PCI Express capability) and 7.9.5 (vendor-specific extended capability);
virtio 1.3, 4.1.4 (virtio structures). Next pointers and capability ids are added by the placer.

Fields that hardware watches carry a ``view_of`` name: ``control.<name>`` is state that the endpoint
acts on, ``event.<name>`` is a sticky bit that an event sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .modern import Structure
from .profiles import mmr_v1
from .register import Access, Field, Register, read_only

VENDOR_ID = 0x1AF4

#: Bytes of configuration space in all, and of its classic part.
SPACE_SIZE, CLASSIC_SIZE = 4096, 256

#: Where the header ends and capabilities may stand.
FIRST_CLASSIC, FIRST_EXTENDED = 0x40, 0x100

COMMAND, BAR0, CAPABILITIES_POINTER = 0x04, 0x10, 0x34

#: Ids of classic capabilities.
ID_POWER, ID_VENDOR, ID_EXPRESS, ID_MSIX = 0x01, 0x09, 0x10, 0x11

#: Ids of extended capabilities.
EXTENDED_ID_SERIAL, EXTENDED_ID_VENDOR = 0x0003, 0x000B

#: Bytes of the capability header, by kind.
HEADER_SIZE = MappingProxyType({"classic": 2, "extended": 4})


@dataclass(frozen=True)
class Capability:
    """A capability before it has a place.

    Registers stand at offsets from the capability's start and leave out the id and next pointer,
    which are the first 2 bytes of a classic and the first 4 of an extended capability.
    """

    name: str
    kind: str
    id: int
    size: int
    registers: tuple[Register, ...]
    version: int = 1


def _rw(name: str, lsb: int, view: str, width: int = 1, reset: int = 0, doc: str = "") -> Field:
    return Field(name=name, lsb=lsb, width=width, access=Access.RW, reset=reset, view_of=view, doc=doc)


def _ro(name: str, lsb: int, reset: int, width: int = 1, view: str = "", doc: str = "") -> Field:
    return Field(name=name, lsb=lsb, width=width, access=Access.RO, reset=reset, view_of=view, doc=doc)


def _w1c(name: str, lsb: int, view: str, doc: str = "") -> Field:
    return Field(name=name, lsb=lsb, width=1, access=Access.RW1C, view_of=view, doc=doc)


def header(*, device_id: int, revision: int, class_code: int, subsystem_id: int, io: bool, intx: bool,
           bars: Sequence[Register]) -> tuple[Register, ...]:
    """Type 0 header; *bars* are the six base address registers in order."""
    pci = "PCI Local Bus 3.0, 6.1"
    command = [
        *([_rw("io_enable", 0, "control.io_enable")] if io else []),
        _rw("memory_enable", 1, "control.memory_enable"),
        _rw("bus_master", 2, "control.bus_master"),
        _rw("parity_response", 6, "control.parity_response"),
        _rw("serr_enable", 8, "control.serr_enable"),
        _rw("interrupt_disable", 10, "control.interrupt_disable"),
    ]
    status = [
        _ro("interrupt_status", 3, 0, view="live.interrupt_status"),
        _ro("capabilities_list", 4, 1),
        _w1c("master_data_parity_error", 8, "event.master_data_parity_error"),
        _w1c("signaled_target_abort", 11, "event.signaled_target_abort"),
        _w1c("received_target_abort", 12, "event.received_target_abort"),
        _w1c("received_master_abort", 13, "event.received_master_abort"),
        _w1c("signaled_system_error", 14, "event.signaled_system_error"),
        _w1c("detected_parity_error", 15, "event.detected_parity_error"),
    ]
    return (
        read_only("vendor_id", 0x00, 16, VENDOR_ID, pci),
        read_only("device_id", 0x02, 16, device_id, pci),
        Register(name="command", offset=0x04, width=16, access=Access.RW, clause=pci, fields=tuple(command)),
        Register(name="status", offset=0x06, width=16, access=Access.RW1C, reset=1 << 4, clause=pci,
                 fields=tuple(status)),
        read_only("revision_id", 0x08, 8, revision, pci),
        read_only("programming_interface", 0x09, 8, class_code & 0xFF, pci),
        read_only("class_code", 0x0A, 16, class_code >> 8, pci),
        Register(name="cache_line_size", offset=0x0C, width=8, access=Access.RW, clause=pci,
                 view_of="control.cache_line_size"),
        read_only("latency_timer", 0x0D, 8, 0, pci),
        read_only("header_type", 0x0E, 8, 0, pci),
        read_only("bist", 0x0F, 8, 0, pci),
        *bars,
        read_only("cardbus_cis", 0x28, 32, 0, pci),
        read_only("subsystem_vendor_id", 0x2C, 16, VENDOR_ID, pci),
        read_only("subsystem_id", 0x2E, 16, subsystem_id, pci),
        read_only("expansion_rom", 0x30, 32, 0, pci),
        Register(name="interrupt_line", offset=0x3C, width=8, access=Access.RW, clause=pci,
                 view_of="control.interrupt_line"),
        read_only("interrupt_pin", 0x3D, 8, int(intx), pci),
        read_only("min_gnt", 0x3E, 8, 0, pci),
        read_only("max_lat", 0x3F, 8, 0, pci),
    )


def power() -> Capability:
    """Power management: D0 and D3hot, which keeps its state (No_Soft_Reset)."""
    clause = "PCI Power Management 1.2, 3.2"
    return Capability("power", "classic", ID_POWER, 8, (
        read_only("power_capabilities", 2, 16, 0x0003, clause, "Version 3, no PME."),
        Register(name="power_control", offset=4, width=16, access=Access.RW, reset=1 << 3, clause=clause, fields=(
            _rw("power_state", 0, "control.power_state", 2, doc="0: D0, 3: D3hot; other values are not taken."),
            _ro("no_soft_reset", 3, 1),
        )),
        read_only("power_data", 6, 16, 0, clause),
    ))


#: Fields that a function level reset leaves alone: PCI Express Base 5.0, 6.6.2.
KEPT_BY_RESET = ("max_payload_size", "read_completion_boundary", "common_clock")


def express(*, max_payload: int, virtual: bool = False, requester: bool = False) -> Capability:
    """PCI Express endpoint, version 2; *max_payload* is the largest payload in bytes.

    In a *virtual* function only the reset can be written: for the rest it follows its physical function
    (PCI Express Base 5.0, 9.3.5). A *requester* reads host memory, so its time-out can be switched off (7.5.3.15).
    """
    clause = "PCI Express Base 5.0, 7.5.3"
    control_2 = read_only("device_control_2", 0x28, 16, 0, clause)
    payload = (max_payload // 128).bit_length() - 1
    device = payload | 1 << 5 | 1 << 15 | 1 << 28
    initiate_reset = Field(name="initiate_reset", lsb=15, width=1, access=Access.WO, view_of="control.initiate_reset",
                           doc="Function level reset; reads zero.")
    control: tuple[Field, ...] = (initiate_reset,)
    link_control = read_only("link_control", 0x10, 16, 0, clause)
    if not virtual:
        control = (
            _rw("correctable_enable", 0, "control.correctable_enable"),
            _rw("nonfatal_enable", 1, "control.nonfatal_enable"),
            _rw("fatal_enable", 2, "control.fatal_enable"),
            _rw("unsupported_enable", 3, "control.unsupported_enable"),
            _rw("relaxed_ordering", 4, "control.relaxed_ordering", reset=1),
            _rw("max_payload_size", 5, "control.max_payload_size", 3),
            _rw("extended_tag", 8, "control.extended_tag"),
            _rw("no_snoop", 11, "control.no_snoop", reset=1),
            _rw("max_read_request_size", 12, "control.max_read_request_size", 3, reset=2),
            initiate_reset,
        )
        link_control = Register(name="link_control", offset=0x10, width=16, access=Access.RW, clause=clause, fields=(
            _rw("read_completion_boundary", 3, "control.read_completion_boundary"),
            _rw("common_clock", 6, "control.common_clock"),
        ))
        if requester:
            disable = _rw("completion_timeout_disable", 4, "control.completion_timeout_disable")
            control_2 = Register(name="device_control_2", offset=0x28, width=16, access=Access.RW, clause=clause,
                                 fields=(disable,))
    return Capability("express", "classic", ID_EXPRESS, 0x3C, (
        read_only("express_flags", 0x02, 16, 0x0002, clause, "Version 2, endpoint."),
        read_only("device_capabilities", 0x04, 32, device, clause,
                  "Payload, extended tags, role-based error reporting, function level reset."),
        Register(name="device_control", offset=0x08, width=16, access=Access.RW, reset=0 if virtual else 0x2810,
                 clause=clause, fields=control),
        Register(name="device_status", offset=0x0A, width=16, access=Access.RW1C, clause=clause, fields=(
            _w1c("correctable_detected", 0, "event.correctable_detected"),
            _w1c("nonfatal_detected", 1, "event.nonfatal_detected"),
            _w1c("fatal_detected", 2, "event.fatal_detected"),
            _w1c("unsupported_detected", 3, "event.unsupported_detected"),
        )),
        read_only("link_capabilities", 0x0C, 32, 0x0000_0011, clause, "2.5 GT/s, x1: the link belongs to the hard IP."),
        link_control,
        read_only("link_status", 0x12, 16, 0x0011, clause),
        read_only("device_capabilities_2", 0x24, 32, requester << 4, clause),
        control_2,
        read_only("link_capabilities_2", 0x2C, 32, 0x0000_0002, clause),
        read_only("link_control_2", 0x30, 16, 0x0001, clause),
    ))


def msix(*, vectors: int, table_bar: int, table_offset: int, pending_bar: int, pending_offset: int) -> Capability:
    """MSI-X; offsets are bytes from the start of the BAR and multiples of 8."""
    clause = "PCI Local Bus 3.0, 6.8.2"
    return Capability("msix", "classic", ID_MSIX, 12, (
        Register(name="msix_control", offset=2, width=16, access=Access.RW, reset=vectors - 1, clause=clause, fields=(
            _ro("table_size", 0, vectors - 1, 11),
            _rw("function_mask", 14, "control.msix_mask"),
            _rw("msix_enable", 15, "control.msix_enable"),
        )),
        read_only("msix_table", 4, 32, table_offset | table_bar, clause),
        read_only("msix_pending", 8, 32, pending_offset | pending_bar, clause),
    ))


def serial_number(value: int) -> Capability:
    """Device serial number, 64 bits."""
    clause = "PCI Express Base 5.0, 7.9.3"
    return Capability("serial", "extended", EXTENDED_ID_SERIAL, 12, (
        read_only("serial_low", 4, 32, value & 0xFFFF_FFFF, clause),
        read_only("serial_high", 8, 32, value >> 32, clause),
    ))


def _structure(at: int, prefix: str, cfg_type: int, bar: int, offset: int, length: int,
               clause: str) -> tuple[Register, ...]:
    """Body of the proposal's extended virtio structure, from its cfg_type byte on."""
    return (
        read_only(f"{prefix}_location", at, 32, bar << 8 | cfg_type, clause, "cfg_type, bar, id, padding."),
        read_only(f"{prefix}_offset_low", at + 4, 32, offset & 0xFFFF_FFFF, clause),
        read_only(f"{prefix}_offset_high", at + 8, 32, offset >> 32, clause),
        read_only(f"{prefix}_length_low", at + 12, 32, length & 0xFFFF_FFFF, clause),
        read_only(f"{prefix}_length_high", at + 16, 32, length >> 32, clause),
    )


def _vsec(name: str, vsec_id: int, cfg_type: int, bar: int, offset: int, length: int) -> Capability:
    clause = "PCI Express Base 5.0, 7.9.5"
    return Capability(name, "extended", EXTENDED_ID_VENDOR, 28, (
        read_only(f"{name}_header", 4, 32, 28 << 20 | vsec_id, clause, "VSEC id, revision 0, length."),
        *_structure(8, name, cfg_type, bar, offset, length, "MMR series, patches 08 and 09"),
    ))


def mmr_literal(bar: int, offset: int, length: int) -> Capability:
    """The structure exactly as patch 08 prints it: 24 bytes, with no room for a VSEC header."""
    return Capability("mmr_literal", "extended", EXTENDED_ID_VENDOR, 24, _structure(
        4, "mmr_literal", mmr_v1.CFG_TYPE_LEGACY_MMR, bar, offset, length, "MMR series, patches 08 and 09"))


def mmr_vsec(bar: int, offset: int, length: int) -> Capability:
    """The same structure inside a legal vendor-specific extended capability: 28 bytes."""
    return _vsec("mmr_vsec", mmr_v1.VSEC_ID_LEGACY_MMR, mmr_v1.CFG_TYPE_LEGACY_MMR, bar, offset, length)


def control_vsec(bar: int, offset: int, length: int) -> Capability:
    """Where the control page is."""
    return _vsec("control", mmr_v1.VSEC_ID_CONTROL, mmr_v1.CFG_TYPE_CONTROL, bar, offset, length)


def _virtio(name: str, cfg_type: int, bar: int, offset: int, length: int, clause: str,
            *more: Register) -> Capability:
    """A virtio structure capability; *more* are registers behind its 16 bytes."""
    size = more[-1].end if more else 16
    return Capability(name, "classic", ID_VENDOR, size, (
        read_only(f"{name}_type", 2, 16, cfg_type << 8 | size, clause, "cap_len, cfg_type."),
        read_only(f"{name}_bar", 4, 32, bar, clause, "bar, id, padding."),
        read_only(f"{name}_offset", 8, 32, offset, clause),
        read_only(f"{name}_length", 12, 32, length, clause),
        *more,
    ))


def mmr_classic(bar: int, offset: int, length: int) -> Capability:
    """The reviewer's wish: an ordinary 16-byte virtio structure capability."""
    return _virtio("mmr_classic", mmr_v1.CFG_TYPE_LEGACY_MMR, bar, offset, length,
                   "virtio 1.3, 4.1.4; cfg_type from MMR series, patch 09")


def modern_structure(structure: Structure, bar: int, offset: int, length: int) -> Capability:
    """Where a structure of the modern interface is."""
    return _virtio(f"modern_{structure.name.lower()}", structure, bar, offset, length, "virtio 1.4, 4.1.4")


def modern_notify(bar: int, offset: int, length: int, multiplier: int) -> Capability:
    """Where queues are notified, *multiplier* bytes apart."""
    clause = "virtio 1.4, 4.1.4.4"
    return _virtio("modern_notify", Structure.NOTIFY, bar, offset, length, clause,
                   read_only("modern_notify_multiplier", 16, 32, multiplier, clause, "notify_off_multiplier."))


def modern_access() -> Capability:
    """The window through which a driver reaches any BAR by configuration accesses."""
    clause = "virtio 1.4, 4.1.4.9"
    return Capability("modern_access", "classic", ID_VENDOR, 20, (
        read_only("modern_access_type", 2, 16, Structure.PCI << 8 | 20, clause, "cap_len, cfg_type."),
        Register(name="modern_access_bar", offset=4, width=8, access=Access.RW, view_of="control.window_bar",
                 clause=clause, doc="BAR to access."),
        Register(name="modern_access_offset", offset=8, width=32, access=Access.RW, view_of="control.window_offset",
                 clause=clause, doc="Bytes from the start of the BAR, a multiple of the length."),
        Register(name="modern_access_length", offset=12, width=32, access=Access.RW, view_of="control.window_length",
                 clause=clause, doc="Bytes of the access: 1, 2 or 4."),
        read_only("modern_access_data", 16, 32, 0, clause, "A read or write here reads or writes the BAR."),
    ))

"""Virtual functions in configuration space: the SR-IOV and ARI capabilities, and a virtual function's header.

Sources: Single Root I/O Virtualization and Sharing 1.1, 3.3 (SR-IOV capability) and 3.4 (configuration
space of virtual functions), now PCI Express Base 5.0, 9.3; PCI Express Base 5.0, 7.8.7 (ARI).
"""

from collections.abc import Sequence

from .configuration import VENDOR_ID, Capability
from .register import Access, Field, Register, read_only

#: Ids of the extended capabilities.
EXTENDED_ID_ARI, EXTENDED_ID_SRIOV = 0x000E, 0x0010

#: Where the virtual functions' base address registers stand in the SR-IOV capability.
VF_BAR0 = 0x24

#: Routing id of the first virtual function less that of the physical one, and the distance of the others.
FIRST_OFFSET, STRIDE = 1, 1

#: A function number has eight bits, and the physical function is number 0.
MOST_VIRTUAL_FUNCTIONS = 255

#: Functions that can be reached while the hierarchy is not "ARI capable": a function number has three bits then.
MOST_WITHOUT_ARI = 7

#: Bit n: pages of 2**(12 + n) bytes. These are the sizes that every device supports.
SUPPORTED_PAGE_SIZES = 0x553

_CLAUSE = "SR-IOV 1.1, 3.3"


def page_bytes(system_page_size: int) -> int:
    """Bytes of a page, from the System Page Size register, which has one bit set."""
    return system_page_size << 12


def ari() -> Capability:
    """Alternative routing ids: the device number's bits belong to the function number."""
    clause = "PCI Express Base 5.0, 7.8.7"
    return Capability("ari", "extended", EXTENDED_ID_ARI, 8, (
        read_only("ari_capability", 4, 16, 0, clause, "No function groups; virtual functions are not in the list."),
        read_only("ari_control", 6, 16, 0, clause),
    ))


def sriov(*, count: int, device_id: int, bars: Sequence[Register]) -> Capability:
    """SR-IOV with *count* virtual functions of *device_id*.

    *bars* are the six registers of the virtual functions' base addresses, bar0 to bar5 at the offsets of a
    header; their fields' ``view_of`` says which.
    """
    def control(name: str, lsb: int) -> Field:
        return Field(name=name, lsb=lsb, width=1, access=Access.RW, view_of=f"control.{name}")

    return Capability("sriov", "extended", EXTENDED_ID_SRIOV, 0x40, (
        read_only("sriov_capabilities", 0x04, 32, 0, _CLAUSE, "No migration; ARI is not kept over a reset."),
        Register(name="sriov_control", offset=0x08, width=16, access=Access.RW, clause=_CLAUSE, fields=(
            control("vf_enable", 0), control("vf_memory_enable", 3), control("ari_hierarchy", 4))),
        read_only("sriov_status", 0x0A, 16, 0, _CLAUSE),
        read_only("initial_vfs", 0x0C, 16, count, _CLAUSE, "The same as total_vfs: there is no migration."),
        read_only("total_vfs", 0x0E, 16, count, _CLAUSE),
        Register(name="num_vfs", offset=0x10, width=16, access=Access.RW, clause=_CLAUSE, view_of="control.num_vfs",
                 doc="Functions to enable. Not taken while VF Enable is set, nor above total_vfs."),
        read_only("function_dependency_link", 0x12, 8, 0, _CLAUSE),
        read_only("first_vf_offset", 0x14, 16, FIRST_OFFSET, _CLAUSE),
        read_only("vf_stride", 0x16, 16, STRIDE, _CLAUSE),
        read_only("vf_device_id", 0x1A, 16, device_id, _CLAUSE),
        read_only("supported_page_sizes", 0x1C, 32, SUPPORTED_PAGE_SIZES, _CLAUSE),
        Register(name="system_page_size", offset=0x20, width=32, access=Access.RW, reset=0, clause=_CLAUSE, fields=(
            Field(name="page_size", lsb=0, width=11, access=Access.RW, reset=1, view_of="control.system_page_size",
                  doc="One of the supported bits. Not taken while VF Enable is set, nor any other value."),)),
        *(register.at(VF_BAR0 + 4 * index) for index, register in enumerate(bars)),
        read_only("vf_migration", 0x3C, 32, 0, _CLAUSE),
    ))


def virtual_header(*, revision: int, class_code: int, subsystem_id: int) -> tuple[Register, ...]:
    """Type 0 header of a virtual function: ids and base addresses are in the SR-IOV capability instead."""
    clause = "SR-IOV 1.1, 3.4.1"
    bits = ("master_data_parity_error", "signaled_target_abort", "received_target_abort", "received_master_abort",
            "signaled_system_error", "detected_parity_error")
    return (
        read_only("vendor_id", 0x00, 16, 0xFFFF, clause),
        read_only("device_id", 0x02, 16, 0xFFFF, clause),
        Register(name="command", offset=0x04, width=16, access=Access.RW, clause=clause, fields=(
            Field(name="bus_master", lsb=2, width=1, access=Access.RW, view_of="control.bus_master"),)),
        Register(name="status", offset=0x06, width=16, access=Access.RW1C, reset=1 << 4, clause=clause, fields=(
            Field(name="capabilities_list", lsb=4, width=1, access=Access.RO, reset=1),
            *(Field(name=name, lsb=lsb, width=1, access=Access.RW1C, view_of=f"event.{name}")
              for name, lsb in zip(bits, (8, 11, 12, 13, 14, 15), strict=True)))),
        read_only("revision_id", 0x08, 8, revision, clause),
        read_only("programming_interface", 0x09, 8, class_code & 0xFF, clause),
        read_only("class_code", 0x0A, 16, class_code >> 8, clause),
        read_only("cache_line_size", 0x0C, 8, 0, clause),
        read_only("latency_timer", 0x0D, 8, 0, clause),
        read_only("header_type", 0x0E, 8, 0, clause),
        read_only("bist", 0x0F, 8, 0, clause),
        *(read_only(f"bar{index}", 0x10 + 4 * index, 32, 0, clause) for index in range(6)),
        read_only("cardbus_cis", 0x28, 32, 0, clause),
        read_only("subsystem_vendor_id", 0x2C, 16, VENDOR_ID, clause),
        read_only("subsystem_id", 0x2E, 16, subsystem_id, clause),
        read_only("expansion_rom", 0x30, 32, 0, clause),
        read_only("interrupt_line", 0x3C, 8, 0, clause),
        read_only("interrupt_pin", 0x3D, 8, 0, clause),
        read_only("min_gnt", 0x3E, 8, 0, clause),
        read_only("max_lat", 0x3F, 8, 0, clause),
    )

"""Parameters of the IP core: those of the board's link, and those of the device file.

They stand apart so that each has one source: the link's never change with the device, the device's never with the
board.
"""

from collections.abc import Mapping

from virtio_mmr.config.device import Bar, BarKind, DeviceConfig, Space

from virtio_mmr_boards.board import Link
from virtio_mmr_boards.ip import pcie_7x, uscale_plus

#: Parameters by name, without the leading "CONFIG.", in the order in which they are set.
Settings = Mapping[str, str]

_SPEEDS = {1: "2.5_GT/s", 2: "5.0_GT/s", 3: "8.0_GT/s"}
_SCALES = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Petabytes")
_BARS = 6

#: AMD's pages of the BARs of UltraScale (PG156), UltraScale+ (PG213) and Versal (PG346) say that only a legacy endpoint
#: may have I/O BARs. Of the 7 series no source at hand does; it has the same choice.
_LEGACY_ENDPOINT = "Legacy_PCI_Express_Endpoint_device"


def of_link(link: Link) -> Settings:
    """What the board decides."""
    width, speed = f"X{len(link.lanes)}", _SPEEDS[link.generation]
    if link.ip == "pcie_7x":
        return {
            "mode_selection": "Advanced",
            "Maximum_Link_Width": width,
            "Link_Speed": speed,
            "Trgt_Link_Speed": f"4'h{link.generation}",
            "Interface_Width": f"{link.width}_bit",
            "User_Clk_Freq": f"{link.clock:g}",
            "Ref_Clk_Freq": "100_MHz",
            "PCIe_Blk_Locn": link.block,
            "Xlnx_Ref_Board": "None",
            **pcie_7x.SWITCHES,
        }
    return {
        "mode_selection": "Advanced",
        "PL_LINK_CAP_MAX_LINK_SPEED": speed,
        "PL_LINK_CAP_MAX_LINK_WIDTH": width,
        "axisten_if_width": f"{link.width}_bit",
        "axisten_freq": f"{link.clock:g}",
        "AXISTEN_IF_RC_STRADDLE": "false",
        "axisten_if_enable_client_tag": "true",
        "coreclk_freq": "500",
        "plltype": "QPLL1",
        "en_gt_selection": "true",
        "select_quad": link.quad,
        "pcie_blk_locn": link.block,
        **uscale_plus.SWITCHES,
    }


def of_device(link: Link, device: DeviceConfig) -> Settings:
    """What the device file decides."""
    return _series7(device) if link.ip == "pcie_7x" else _ultrascale(device)


def size_and_scale(size: int) -> tuple[int, str]:
    """*size* bytes as the IP spells it."""
    scale = 0
    while size % 1024 == 0 and scale + 1 < len(_SCALES):
        size, scale = size // 1024, scale + 1
    return size, _SCALES[scale]


def _bar(bars: tuple[Bar, ...], index: int, prefix: str, names: tuple[str, ...]) -> dict[str, str]:
    """Parameters of BAR *index*, which *bars* may not have; *names* spells them as the IP does."""
    enabled, kind, wide, prefetchable, scale, size = (f"{prefix}{index}_{name}" for name in names)
    bar = next((bar for bar in bars if bar.index == index), None)
    if bar is None:
        return {enabled: "false"}
    number, unit = size_and_scale(bar.decoded_size)
    found = {enabled: "true", kind: "IO" if bar.kind is BarKind.IO else "Memory"}
    if bar.kind is not BarKind.IO:
        found |= {wide: _true(bar.kind is BarKind.MEMORY64), prefetchable: _true(bar.prefetchable)}
    return found | {scale: unit, size: str(number)}


def _true(value: bool) -> str:
    return "true" if value else "false"


def _register(bar: Bar) -> str:
    """Name of a BAR as the choices of MSI-X have it: both of its registers if it has two."""
    return f"BAR_{bar.index + 1}:{bar.index}" if bar.kind is BarKind.MEMORY64 else f"BAR_{bar.index}"


def _ports(device: DeviceConfig) -> bool:
    return any(bar.kind is BarKind.IO for bar in device.bars)


def _msix(device: DeviceConfig) -> tuple[Bar, int, int] | None:
    """BAR, table and pending bits."""
    found = device.find(Space.MSIX)
    if not device.msix_vectors or found is None:
        return None
    bar, region = found
    return bar, region.offset, region.offset + region.size // 2


def _series7(device: DeviceConfig) -> Settings:
    names = ("Enabled", "Type", "64bit", "Prefetchable", "Scale", "Size")
    code = f"{device.kind.class_code:06X}"
    windows = device.datapath.hard_ip
    found = {
        "Device_Port_Type": _LEGACY_ENDPOINT if _ports(device) else "PCI_Express_Endpoint_device",
        "Vendor_ID": f"{device.vendor_id:04X}",
        "Device_ID": f"{device.device_id:04X}",
        "Revision_ID": f"{device.revision:02X}",
        "Subsystem_Vendor_ID": f"{device.vendor_id:04X}",
        "Subsystem_ID": f"{device.kind.virtio_id:04X}",
        "Use_Class_Code_Lookup_Assistant": "false",
        "Class_Code_Base": code[:2],
        "Class_Code_Sub": code[2:4],
        "Class_Code_Interface": code[4:],
    }
    upper = {bar.index + 1 for bar in device.bars if bar.kind is BarKind.MEMORY64}
    for index in range(_BARS):
        if index not in upper:
            found |= _bar(device.bars, index, "Bar", names)
    found |= {
        "Max_Payload_Size": f"{device.datapath.max_payload}_bytes",
        "Extended_Tag_Field": "true",
        # The core does not hear of it.
        "Cpl_Timeout_Disable_Sup": "false",
        "IntX_Generation": _true(device.intx),
        "Legacy_Interrupt": "INTA" if device.intx else "NONE",
        "MSI_Enabled": "false",
        "MSIx_Enabled": _true(_msix(device) is not None),
    }
    if place := _msix(device):
        bar, table, pending = place
        found |= {
            "MSIx_Table_Size": f"{device.msix_vectors:X}",
            "MSIx_Table_Offset": f"{table:X}",
            "MSIx_Table_BIR": _register(bar),
            "MSIx_PBA_Offset": f"{pending:X}",
            "MSIx_PBA_BIR": _register(bar),
        }
    return found | {
        "DSN_Enabled": "true",
        "VSEC_Enabled": "false",
        "PCI_CFG_Space": "true",
        "PCI_CFG_Space_Addr": f"{windows.classic[0] // 4:02X}",
        "EXT_PCI_CFG_Space": "true",
        "EXT_PCI_CFG_Space_Addr": f"{windows.extended[0] // 4:03X}",
    }


def _ultrascale(device: DeviceConfig) -> Settings:
    names = ("enabled", "type", "64bit", "prefetchable", "scale", "size")
    functions = (device, *([device.vf.function] if device.vf is not None else []))
    found = {
        "vendor_id": f"{device.vendor_id:04X}",
        "PF0_DEVICE_ID": f"{device.device_id:04X}",
        "PF0_REVISION_ID": f"{device.revision:02X}",
        "PF0_SUBSYSTEM_VENDOR_ID": f"{device.vendor_id:04X}",
        "PF0_SUBSYSTEM_ID": f"{device.kind.virtio_id:04X}",
        "PF0_Use_Class_Code_Lookup_Assistant": "false",
        "PF0_CLASS_CODE": f"{device.kind.class_code:06X}",
        **({"DEVICE_PORT_TYPE": _LEGACY_ENDPOINT} if _ports(device) else {}),
    }
    upper = {bar.index + 1 for bar in device.bars if bar.kind is BarKind.MEMORY64}
    for index in range(_BARS):
        if index not in upper:
            found |= _bar(device.bars, index, "pf0_bar", names)
    found |= {
        "pf0_dev_cap_max_payload": f"{device.datapath.max_payload}_bytes",
        "extended_tag_field": "true",
        "pf0_dsn_enabled": "true",
        "PF0_INTERRUPT_PIN": "INTA" if device.intx else "NONE",
        "pf0_msi_enabled": "false",
        "pf0_msix_enabled": _true(_msix(device) is not None),
        **({"MSI_X_OPTIONS": "MSI-X_External", "msix_type": "SOFT"} if any(map(_msix, functions)) else {}),
        **_ultrascale_msix(device, "PF0"),
        "legacy_ext_pcie_cfg_space_enabled": "true",
        "SRIOV_CAP_ENABLE": _true(device.vf is not None),
        "pf0_ari_enabled": _true(device.vf is not None),
    }
    if device.vf is None:
        return found
    virtual = device.vf.function
    found |= {
        "SRIOV_FIRST_VF_OFFSET": str(device.datapath.hard_ip.first_virtual_function),
        "PF0_SRIOV_FIRST_VF_OFFSET": str(device.datapath.hard_ip.first_virtual_function),
        "PF0_SRIOV_CAP_INITIAL_VF": str(device.vf.count),
        "PF0_SRIOV_VF_DEVICE_ID": f"{virtual.device_id:04X}",
        "PF0_SRIOV_SUPPORTED_PAGE_SIZE": "00000553",
    }
    upper = {bar.index + 1 for bar in virtual.bars if bar.kind is BarKind.MEMORY64}
    for index in range(_BARS):
        if index not in upper:
            found |= _bar(virtual.bars, index, "pf0_sriov_bar", names)
    return found | _ultrascale_msix(virtual, "VFG0")


def _ultrascale_msix(device: DeviceConfig, owner: str) -> dict[str, str]:
    place = _msix(device)
    if place is None:
        return {}
    bar, table, pending = place
    return {
        f"{owner}_MSIX_CAP_TABLE_SIZE": f"{device.msix_vectors - 1:03X}",
        f"{owner}_MSIX_CAP_TABLE_BIR": _register(bar),
        f"{owner}_MSIX_CAP_TABLE_OFFSET": f"{table:08X}",
        f"{owner}_MSIX_CAP_PBA_BIR": _register(bar),
        f"{owner}_MSIX_CAP_PBA_OFFSET": f"{pending:08X}",
    }

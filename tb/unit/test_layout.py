"""Configuration space: BARs and capabilities stand where they should and read as they should."""

from dataclasses import replace
from typing import Any

import pytest
from virtio_mmr.config import loads
from virtio_mmr.config.device import Bar, BarKind, DeviceConfig, Identity, Region, Space
from virtio_mmr.config.errors import ConfigError
from virtio_mmr.layout import Windows, place
from virtio_mmr.spec.device_types import BLOCK, NET


def region(space: Space, offset: int, size: int = 0x1000) -> Region:
    return Region(space=space, offset=offset, size=size)


MEMORY = Bar(
    index=0,
    kind=BarKind.MEMORY64,
    regions=(
        region(Space.LEGACY, 0x0000),
        region(Space.CONTROL, 0x1000),
        region(Space.ISR, 0x2000),
        region(Space.DEVICE, 0x3000),
        region(Space.MSIX, 0x4000),
    ),
)
DEVICE = DeviceConfig(
    kind=NET, identity=Identity.MMR, queues=(128, 128), msix_vectors=3, bars=(MEMORY,), config_image=bytes(12)
)
PORTS = replace(
    DEVICE,
    kind=BLOCK,
    identity=Identity.LEGACY_IO,
    msix_vectors=0,
    control=None,
    bars=(Bar(index=0, kind=BarKind.IO, regions=(region(Space.LEGACY, 0, 84),)),),
)


def dword(image: bytes, offset: int) -> int:
    return int.from_bytes(image[offset : offset + 4], "little")


def test_capabilities_stand_at_their_usual_places():
    assert [(capability.name, capability.offset) for capability in place(DEVICE).capabilities] == [
        ("power", 0x40),
        ("msix", 0x48),
        ("mmr_classic", 0xAC),
        ("express", 0xC0),
        ("serial", 0x100),
        ("mmr_vsec", 0x110),
        ("control", 0x130),
        ("mmr_literal", 0x150),
    ]


@pytest.mark.parametrize(("requester", "virtual"), [(False, False), (True, False), (True, True)])
def test_who_reads_memory_can_be_told_to_wait_for_ever_by_its_physical_function(requester, virtual):
    # PCI Express Base 5.0, 7.5.3.15, 7.5.3.16 and 9.3.5.
    config = loads('[device]\nkind = "net"\n[vf]\ncount = 2\n' + "[requester]\n" * requester)
    space = place(config.of(int(virtual)))
    at = space.capability("express").offset
    assert dword(space.reset_image(), at + 0x24) == requester << 4
    assert dword(space.write_mask(), at + 0x28) == (requester and not virtual) << 4


def test_identity_is_that_of_an_mmr_network_device():
    image = place(DEVICE).reset_image()
    assert [dword(image, offset) for offset in (0x00, 0x08, 0x2C, 0x34)] == [
        0x10F9_1AF4,
        0x0200_0000,
        0x0001_1AF4,
        0x0000_0040,
    ]


def test_vsec_reads_as_the_proposal_inside_a_legal_header():
    image = place(DEVICE).reset_image()
    assert [dword(image, 0x110 + 4 * i) for i in range(7)] == [
        0x1301_000B,
        0x01C0_0001,
        0x0000_000A,
        0,
        0,
        0x1000,
        0,
    ]


def test_control_vsec_names_the_control_page():
    image = place(DEVICE).reset_image()
    assert [dword(image, 0x130 + 4 * i) for i in range(7)] == [
        0x1501_000B,
        0x01C0_0002,
        0x0000_00F0,
        0x1000,
        0,
        0x1000,
        0,
    ]


def test_literal_reads_as_the_proposal_prints_it():
    image = place(DEVICE).reset_image()
    assert [dword(image, 0x150 + 4 * i) for i in range(6)] == [0x0001_000B, 0x0000_000A, 0, 0, 0x1000, 0]


def test_classic_structure_is_a_virtio_capability_of_type_ten():
    image = place(DEVICE).reset_image()
    assert [dword(image, 0xAC + 4 * i) for i in range(4)] == [0x0A10_C009, 0, 0, 0x1000]


def test_msix_table_and_pending_bits_share_the_region():
    image = place(DEVICE).reset_image()
    assert [dword(image, 0x48 + 4 * i) for i in range(3)] == [0x0002_AC11, 0x4000, 0x4800]


def test_unused_and_upper_base_address_registers():
    space = place(DEVICE)
    image, mask = space.reset_image(), space.write_mask()
    assert [dword(image, 0x10 + 4 * i) for i in range(6)] == [0x4, 0, 0, 0, 0, 0]
    assert [dword(mask, 0x10 + 4 * i) for i in range(6)] == [0xFFFF_8000, 0xFFFF_FFFF, 0, 0, 0, 0]


def test_io_bar_claims_as_little_as_it_can_and_enables_io_space():
    space = place(PORTS)
    assert dword(space.reset_image(), 0x10) == 1
    assert dword(space.write_mask(), 0x10) == 0xFFFF_FF80
    assert space.write_mask()[4] & 1 == 1
    assert place(DEVICE).write_mask()[4] & 1 == 0


def test_small_memory_bar_claims_128_bytes():
    bar = Bar(index=2, kind=BarKind.MEMORY32, regions=(region(Space.LEGACY, 0, 36),), prefetchable=True)
    space = place(replace(DEVICE, msix_vectors=0, control=None, bars=(bar,)))
    assert dword(space.write_mask(), 0x18) == 0xFFFF_FF80
    assert dword(space.reset_image(), 0x18) == 0x8


def test_masks_and_reset_of_the_device_control_register():
    space = place(DEVICE)
    control = space["device_control"].offset
    assert dword(space.reset_image(), control) == 0x2810
    assert dword(space.write_mask(), control) == 0x79FF & ~(0b11 << 9) & 0xFFFF
    assert dword(space.write_clear_mask(), control) == 0x000F_0000


def test_no_bit_is_both_written_and_cleared():
    space = place(DEVICE)
    assert not any(a & b for a, b in zip(space.write_mask(), space.write_clear_mask(), strict=True))


def test_without_a_memory_window_auto_leaves_the_mmr_layouts_out():
    space = place(PORTS)
    assert [name for name, _ in space.left_out] == ["mmr_vsec", "mmr_literal", "mmr_classic"]
    assert space.left_out[0][1] == "needs a legacy region in a memory BAR to point at"


def test_without_a_memory_window_an_explicit_list_is_refused():
    with pytest.raises(ConfigError) as caught:
        place(replace(PORTS, mmr_explicit=True, mmr_capabilities=("vsec",)))
    assert str(caught.value) == (
        'capabilities.mmr = ["vsec"]: "vsec" needs a legacy region in a memory BAR to point at; '
        'leave "vsec" out, or write mmr = "auto"'
    )


MODERN = replace(
    DEVICE,
    features=1 << 32,
    bars=(
        MEMORY,
        Bar(
            index=2,
            kind=BarKind.MEMORY32,
            regions=(
                region(Space.COMMON, 0x0000, 0x40),
                Region(space=Space.NOTIFY, offset=0x1000, size=0x1000, stride=16),
            ),
        ),
    ),
)


def test_modern_structures_are_virtio_capabilities_of_types_one_to_five():
    image = place(MODERN).reset_image()
    assert [dword(image, 0x54 + 4 * i) for i in range(4)] == [0x0110_6409, 2, 0, 0x40]
    assert [dword(image, 0x64 + 4 * i) for i in range(5)] == [0x0214_7809, 2, 0x1000, 0x1000, 16]
    assert [dword(image, 0x78 + 4 * i) for i in range(4)] == [0x0310_8809, 0, 0x2000, 0x1000]
    assert [dword(image, 0x88 + 4 * i) for i in range(4)] == [0x0410_9809, 0, 0x3000, 0x1000]
    assert [dword(image, 0x98 + 4 * i) for i in range(5)] == [0x0514_AC09, 0, 0, 0, 0]


def test_modern_structures_come_together_or_not_at_all():
    space = place(MODERN, Windows(classic=(0x40, 0x40 + 8 + 60 + 12 + 16 + 16 + 20), extended=(0x100, 0x1000)))
    assert not [capability.name for capability in space.capabilities if capability.name.startswith("modern")]
    assert space.left_out == (
        ("modern_isr", "needs 16 bytes of the classic window 0x40 to 0xc4, which has 0 left"),
        ("modern_device", "needs 16 bytes of the classic window 0x40 to 0xc4, which has 0 left"),
        ("modern_common", "is of no use without modern_isr"),
        ("modern_notify", "is of no use without modern_isr"),
    )


NARROW = Windows(classic=(0x40, 0xFC), extended=(0x100, 0x100 + 12 + 28 + 28))


def test_scarce_room_goes_to_the_vsec_and_the_control_page_first():
    space = place(DEVICE, NARROW)
    assert [
        (capability.name, capability.offset)
        for capability in space.capabilities
        if capability.kind == "extended"
    ] == [("serial", 0x100), ("mmr_vsec", 0x10C), ("control", 0x128)]
    assert space.left_out == (
        ("mmr_literal", "needs 24 bytes of the extended window 0x100 to 0x144, which has 0 left"),
    )


def test_scarce_room_refuses_an_explicit_list():
    with pytest.raises(ConfigError) as caught:
        place(replace(DEVICE, mmr_explicit=True), NARROW)
    assert str(caught.value) == (
        'capabilities.mmr = ["vsec", "literal", "classic"]: "literal" needs 24 bytes of the extended window '
        '0x100 to 0x144, which has 0 left; leave "literal" out, or write mmr = "auto"'
    )


def test_a_mandatory_capability_is_never_left_out():
    with pytest.raises(ConfigError, match='capabilities: "express" needs 60 bytes'):
        place(DEVICE, Windows(classic=(0x40, 0x60), extended=(0x100, 0x1000)))


# Windows that hard IP leaves.

TRANSITIONAL = replace(
    DEVICE,
    bars=(MEMORY, Bar(index=2, kind=BarKind.MEMORY64, regions=(
        region(Space.COMMON, 0x0000), region(Space.ISR, 0x1000), region(Space.DEVICE, 0x2000),
        region(Space.NOTIFY, 0x3000)))),
)


def behind(adapter: str, device: DeviceConfig = DEVICE, **changes: Any) -> DeviceConfig:
    return replace(device, datapath=replace(device.datapath, adapter=adapter), **changes)


@pytest.mark.parametrize("adapter, classic, extended", [
    ("pcie4_uscale_plus", [("mmr_classic", 0xB0)], [("mmr_vsec", 0x480), ("control", 0x49C), ("mmr_literal", 0x4B8)]),
    ("pcie4c_uscale_plus", [("mmr_classic", 0xB0)], [("mmr_vsec", 0xE80), ("control", 0xE9C), ("mmr_literal", 0xEB8)]),
    ("pcie_7x", [("mmr_classic", 0xA8)], [("mmr_vsec", 0x10C), ("control", 0x128), ("mmr_literal", 0x144)]),
])
def test_beside_hard_ip_the_first_capability_opens_the_window_and_nothing_else_is_ours(adapter, classic, extended):
    space = place(behind(adapter))
    found = [(capability.name, capability.offset) for capability in space.capabilities]
    assert (found, space.left_out) == (classic + extended, ())
    image = space.reset_image()
    # The lists end with ours, and a byte outside is zero.
    assert [dword(image, at) >> 20 for _, at in extended] == [extended[1][1], extended[2][1], 0]
    assert image[classic[0][1] + 1] == 0 and not any(image[:classic[0][1]])
    assert not any(space.write_mask()) and not any(space.write_clear_mask())


def test_structures_of_the_modern_interface_fit_7_series_and_not_ultrascale():
    names = [capability.name for capability in place(behind("pcie_7x", TRANSITIONAL)).capabilities]
    assert names[:5] == ["mmr_classic", "modern_common", "modern_notify", "modern_isr", "modern_device"]
    space = place(behind("pcie4_uscale_plus", TRANSITIONAL))
    assert not any(capability.name.startswith("modern") for capability in space.capabilities)
    left_out = dict(space.left_out)
    assert set(left_out) == {"modern_access", "modern_common", "modern_notify", "modern_isr", "modern_device"}
    assert left_out["modern_common"] == "needs 16 bytes of the classic window 0xb0 to 0xc0, which has 0 left"
    assert left_out["modern_access"] == "needs an endpoint that owns its configuration space"


def test_a_wanted_layout_that_the_ip_has_no_room_for_is_refused():
    narrow = Windows(classic=(0xB0, 0xC0), extended=(0x480, 0x4A0), whole=False)
    with pytest.raises(ConfigError, match="leave \"literal\" out, or write mmr = \"auto\""):
        place(behind("pcie4_uscale_plus", mmr_explicit=True), narrow)
    assert [name for name, _ in place(behind("pcie4_uscale_plus"), narrow).left_out] == ["control", "mmr_literal"]

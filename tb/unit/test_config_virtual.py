"""The section of virtual functions: what it means when it is short, and what it refuses."""

import pytest
from virtio_mmr.config import ConfigError, loads, remarks
from virtio_mmr.config.device import BarKind, Identity, Space
from virtio_mmr.export.device_file import completed
from virtio_mmr.layout import place
from virtio_mmr.spec import sriov
from virtio_mmr.spec.features import TransportFeature

PHYSICAL = '[device]\nkind = "net"\n'
VIRTUAL = PHYSICAL + "[vf]\ncount = 8\n"


def dword(image: bytes, offset: int) -> int:
    return int.from_bytes(image[offset:offset + 4], "little")


def test_a_short_section_makes_complete_functions():
    device = loads(VIRTUAL)
    function = device.of(8)
    assert device.functions == 9
    assert function.virtual and function.identity is Identity.MMR and function.vf is None
    assert (function.queues, function.features, function.msix_vectors) == ((128, 128), device.features, 3)
    (bar,) = function.bars
    assert (bar.index, bar.kind) == (2, BarKind.MEMORY64)
    assert [region.space for region in bar.regions] == [
        Space.LEGACY, Space.CONTROL, Space.ISR, Space.DEVICE, Space.MSIX]
    assert function.control is not None and not function.control.gate_open


#: A modern interface.
MODERN = """
[bars.0]
kind = "memory32"
regions = [
    { space = "legacy", offset = 0x000, size = 0x30 },
    { space = "common", offset = 0x040, size = 0x40 },
    { space = "isr",    offset = 0x080, size = 0x04 },
    { space = "notify", offset = 0x090, size = 0x04, stride = 0 },
    { space = "device", offset = 0x0c0, size = 0x40 },
    { space = "msix",   offset = 0x800, size = 0x200 },
]
"""


def test_virtual_functions_differ_from_the_physical_one_where_the_file_says_so():
    function = loads(PHYSICAL + '[vf]\ncount = 2\nqueues = [64, 64, 64]\nfeatures = ["NET_MAC", "NET_CTRL_VQ"]\n'
                     '[vf.config]\nmtu = 9000\n').of(1)
    assert function.queues == (64, 64, 64)
    assert function.msix_vectors == 4
    assert {name for name, bit in function.kind.features.items() if function.features >> bit & 1} == {
        "NET_MAC", "NET_CTRL_VQ"}
    assert function.config_image[10:12] == (9000).to_bytes(2, "little")


def test_sr_iov_is_offered_by_a_modern_physical_function_alone():
    modern = PHYSICAL + MODERN
    bit = 1 << TransportFeature.SR_IOV
    device = loads(modern + "[vf]\ncount = 2\n")
    assert device.features & bit and device.modern_features & bit and not device.of(1).features & bit
    assert loads(completed(device)) == device
    assert not loads(modern).features & bit and not loads(PHYSICAL + "[vf]\ncount = 2\n").features & bit
    with pytest.raises(ConfigError, match='"SR_IOV": for a modern interface and'):
        loads(modern + '[features]\noffer = ["SR_IOV"]\n')


def test_mac_addresses_count_up():
    device = loads(PHYSICAL + '[vf]\ncount = 255\n[config]\nmac = "52:54:00:00:00:fe"\n')
    macs = [device.image_of(number)[:6].hex(":") for number in (0, 1, 2, 255)]
    assert macs == ["52:54:00:00:00:fe", "52:54:00:00:00:ff", "52:54:00:00:01:00", "52:54:00:00:01:fd"]


def test_a_device_without_mac_shows_one_image():
    device = loads('[device]\nkind = "console"\n[vf]\ncount = 3\n')
    assert device.image_of(3) == device.config_image


def test_completed_file_says_the_same():
    device = loads(PHYSICAL + '[vf]\ncount = 3\nqueues = [16, 16]\nmsix_vectors = 0\n')
    assert loads(completed(device)) == device


def test_more_functions_than_three_bits_can_name_need_ari():
    assert not any("vf.count" in remark for remark in remarks(loads(PHYSICAL + "[vf]\ncount = 7\n")))
    assert any(remark.startswith("vf.count = 8: ") for remark in remarks(loads(VIRTUAL)))


@pytest.mark.parametrize(("section", "message"), [
    ("[vf]\n", "vf.count: missing; write count = 8"),
    ("[vf]\ncount = 0\n", "vf.count = 0: must be from 1 to 255; write 1 or a number between the two"),
    ("[vf]\ncount = 256\n", "vf.count = 256: must be from 1 to 255; write 255 or a number between the two"),
    ("[vf]\ncount = 1\nstride = 2\n",
     "vf.stride: unknown key; [vf] has count, queues, features, msix_vectors, bars, config; remove it"),
    ("[vf]\ncount = 1\nqueues = [64]\n",
     'vf.queues = [64]: this "net" device needs at least 2 queues (a receive and a transmit queue); add 1 more'),
    ("[vf]\ncount = 1\nqueues = [64, 100]\n",
     "vf.queues[1] = 100: a queue has a power of two of entries, from 1 to 32768; write 128"),
    ("[vf]\ncount = 1\n[vf.config]\nmtu = 70000\n",
     "vf.config.mtu = 70000: must be from 0 to 65535; write 65535 or a number between the two"),
    ('[vf]\ncount = 1\nfeatures = ["NET_CTRL_RX"]\n',
     "vf.features: NET_CTRL_RX must not be offered without NET_CTRL_VQ; add NET_CTRL_VQ, or remove NET_CTRL_RX"),
    ('[vf]\ncount = 1\nfeatures = ["SR_IOV"]\n',
     'vf.features = "SR_IOV": said by the physical function alone; remove it'),
    ('[vf]\ncount = 1\nfeatures = ["BLK_RO"]\n',
     'vf.features[0] = "BLK_RO": a feature of "block", not of "net"; remove it'),
    ('[vf]\ncount = 1\n[vf.bars.2]\nkind = "io"\nregions = [{ space = "legacy", offset = 0, size = 0x24 }]\n',
     'vf.bars.2.kind = "io": an I/O BAR is BAR 0 of identity "legacy-io" and nothing else; '
     'write kind = "memory32" or "memory64"'),
    ('[vf]\ncount = 1\nmsix_vectors = 0\n[vf.bars.2]\nkind = "memory32"\n'
     'regions = [{ space = "legacy", offset = 0, size = 0x100 }]\n',
     "vf.bars.2.size = 0x100: a virtual function's BAR has at least a page, which a hypervisor maps; "
     "write size = 0x1000"),
])
def test_mistakes(section, message):
    with pytest.raises(ConfigError) as caught:
        loads(PHYSICAL + section)
    assert str(caught.value) == f"device file: {message}"


def test_capability_stands_where_the_map_says_and_sizes_its_bars():
    space = place(loads(VIRTUAL))
    image, mask = space.reset_image(), space.write_mask()
    at = space.capability("sriov").offset
    assert at == 0x160 and space.capability("ari").offset == 0x148
    assert dword(image, at) & 0xFFFFF == 1 << 16 | sriov.EXTENDED_ID_SRIOV
    assert [dword(image, at + offset) for offset in (0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20)] == [
        0, 8 << 16 | 8, 0, 1 << 16 | 1, 0x10F9 << 16, 0x553, 1]
    assert dword(mask, at + 0x08) == 0b11001
    bars = [(dword(image, at + 0x24 + 4 * index), dword(mask, at + 0x24 + 4 * index)) for index in range(6)]
    assert bars == [(0, 0), (0, 0), (4, 0xFFFF_8000), (0, 0xFFFF_FFFF), (0, 0), (0, 0)]


def test_header_of_a_virtual_function_is_almost_constant():
    space = place(loads(VIRTUAL).of(1))
    image, mask, clears = space.reset_image(), space.write_mask(), space.write_clear_mask()
    assert dword(image, 0x00) == 0xFFFF_FFFF
    assert dword(image, 0x08) == 0x0200_0000
    assert dword(image, 0x2C) == 0x0001_1AF4
    assert image[0x10:0x28] == bytes(24) and image[0x30:0x34] == bytes(4) and image[0x3C:0x40] == bytes(4)
    assert [mask[at] for at in range(0x40)] == [4 if at == 4 else 0 for at in range(0x40)]
    assert [clears[at] for at in range(0x40)] == [0xF9 if at == 7 else 0 for at in range(0x40)]


def test_of_the_capabilities_of_a_virtual_function_msix_control_alone_can_be_set():
    space = place(loads(VIRTUAL).of(1))
    msix, express = (space.capability(name).offset for name in ("msix", "express"))
    mask, clears = space.write_mask(), space.write_clear_mask()
    assert {at: byte for at, byte in enumerate(mask) if byte and at >= 0x40} == {msix + 3: 0xC0}
    assert {at: byte for at, byte in enumerate(clears) if byte and at >= 0x40} == {express + 0x0A: 0x0F}

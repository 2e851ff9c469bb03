"""lspci finds every capability where the placer put it, and says so when a list is broken."""

from pathlib import Path

import pytest
from virtio_mmr import config, layout
from virtio_mmr.export.lspci_dump import dump
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle import lspci

EXAMPLES = Path(__file__).parents[2] / "examples"

#: Devices that differ in identity, BAR map and capabilities.
DEVICES = [
    f'schema = 1\n[device]\nkind = "{kind}"\nidentity = "{identity}"\n'
    for kind in ("net", "block", "console", "rng") for identity in ("mmr", "legacy-memory", "legacy-io")
]


@pytest.fixture(autouse=True)
def program():
    toolchain.skip_or_fail("lspci")


@pytest.mark.parametrize("text", DEVICES)
def test_both_lists_are_as_placed(text):
    device = config.loads(text)
    space = layout.place(device)
    listing = lspci.read(dump(space.reset_image()))
    seen = [(capability.offset, capability.kind) for capability in listing.capabilities]
    assert sorted(seen) == sorted((placed.offset, placed.kind) for placed in space.capabilities)
    assert listing.complaints == ()
    assert listing.identity == f"{device.kind.class_code >> 8:04x}: {device.vendor_id:04x}:{device.device_id:04x}"


def test_the_capabilities_say_what_the_device_file_says():
    device = config.loads(DEVICES[0])
    listing = lspci.read(dump(layout.place(device).reset_image()))
    assert f"Count={device.msix_vectors} " in listing.capability("MSI-X").title
    assert "FLReset+" in str(listing.capability("Express (v2) Endpoint"))
    assert "NoSoftRst+" in str(listing.capability("Power Management"))
    # The proposal's structure has no room for a vendor-specific header: id and length are nonsense.
    headers = [capability.title for capability in listing.capabilities if capability.kind == "extended"]
    assert any("ID=0001 Rev=0 Len=01c" in title for title in headers)
    assert any("ID=000a Rev=0 Len=000" in title for title in headers)


def test_the_modern_structures_are_read_as_placed():
    listing = lspci.read(dump(layout.place(config.load(EXAMPLES / "net-transitional.toml")).reset_image()))
    assert listing.complaints == ()
    for title, place in (("CommonCfg", "00000000"), ("Notify", "00003000"), ("ISR", "00001000"),
                         ("DeviceCfg", "00002000")):
        found = listing.capability(f"VirtIO: {title}")
        assert f"BAR=2 offset={place} size=00001000" in str(found)
        assert ("multiplier=00000004" in str(found)) == (title == "Notify")


VIRTUAL = 'schema = 1\n[device]\nkind = "net"\n[vf]\ncount = 8\n'


def test_virtual_functions_are_announced():
    device = config.loads(VIRTUAL)
    space = layout.place(device)
    listing = lspci.read(dump(space.reset_image()))
    seen = [(capability.offset, capability.kind) for capability in listing.capabilities]
    assert sorted(seen) == sorted((placed.offset, placed.kind) for placed in space.capabilities)
    assert listing.complaints == ()
    said = str(listing.capability("SR-IOV"))
    for part in ("Initial VFs: 8, Total VFs: 8, Number of VFs: 0", "VF offset: 1, stride: 1, Device ID: 10f9",
                 "Supported Page Size: 00000553, System Page Size: 00000001", "Enable- Migration- Interrupt- MSE-",
                 "Region 2: Memory at 0000000000000000 (64-bit, non-prefetchable)"):
        assert part in said
    assert "Next Function: 0" in str(listing.capability("ARI"))


def test_a_virtual_function_has_no_ids_and_no_bars_of_its_own():
    space = layout.place(config.loads(VIRTUAL).of(1))
    listing = lspci.read(dump(space.reset_image()))
    assert listing.identity == "0200: ffff:ffff"
    assert "Region" not in listing.text and "Interrupt: pin" not in listing.text
    titles = [capability.title for capability in listing.capabilities]
    assert len(titles) == len(space.capabilities) and listing.complaints == ()
    assert any("Alternative Routing-ID" in title for title in titles)
    assert not any("SR-IOV" in title or "Power Management" in title for title in titles)
    assert "FLReset+" in str(listing.capability("Express (v2) Endpoint"))


def test_a_broken_list_is_noticed():
    space = layout.place(config.loads(DEVICES[0]))
    image = bytearray(space.reset_image())
    first = min(placed.offset for placed in space.capabilities if placed.kind == "classic")
    image[first + 1] = first
    assert lspci.read(dump(bytes(image))).complaints == (f"Capabilities: [{first:02x}] <chain looped>",)


def test_a_dump_that_is_none_is_refused():
    with pytest.raises(ValueError, match="lspci does not accept the dump"):
        lspci.read("nothing of the kind\n")

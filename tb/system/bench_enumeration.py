"""An independent root complex enumerates the device: its BARs, its capabilities, its registers."""

from system.legacy_driver import needs_memory
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr_sim.host.root_port import RootPort
from virtio_mmr_sim.testbench import case


@case(bring_up=False)
async def enumeration_finds_every_bar_and_its_size(tb):
    root = RootPort(tb.host)
    await root.enumerate()
    found = {index: size for index, (_address, size) in root.bars().items()}
    expected = {}
    for bar in tb.config.bars:
        # The library counts at least 16 bytes for memory and 4 for I/O, as the registers do.
        expected[bar.index] = bar.decoded_size
    assert found == expected
    for index, (address, size) in root.bars().items():
        assert address % size == 0, f"BAR {index} at {address:#x}"


@case(bring_up=False)
async def enumeration_walks_both_lists_to_every_capability(tb):
    device = await RootPort(tb.host).enumerate()
    classic = [(c.id, c.offset) for c in tb.space.capabilities if c.kind == "classic"]
    extended = [(c.id, c.offset) for c in tb.space.capabilities if c.kind == "extended"]
    assert sorted(device.capabilities) == sorted(classic)
    assert sorted(device.ext_capabilities) == sorted(extended)
    assert device.ext_capabilities[0][1] == 0x100
    assert (device.vendor_id, device.device_id) == (0x1AF4, tb.config.device_id)
    assert device.class_code == tb.config.kind.class_code


@case(bring_up=False)
async def registers_answer_where_enumeration_put_the_window(tb):
    needs_memory(tb)
    root = RootPort(tb.host)
    await root.enumerate()
    found = tb.config.find(Space.LEGACY)
    assert found is not None
    bar, region = found
    window = root.bars()[bar.index][0] + region.offset
    assert int.from_bytes(await root.read(window, 4), "little") == tb.config.legacy_features
    await root.write(window + 0x12, b"\x03")
    assert await root.read(window + 0x12, 1) == b"\x03"
    image = tb.config.config_image
    if image:
        assert await root.read(window + 0x14, len(image)) == image
    await root.write(window + 0x0E, b"\x01\x00")
    assert await root.read(window + 0x0C, 4) == (
        (tb.config.queues[1] if len(tb.config.queues) > 1 else 0) | 1 << 16
    ).to_bytes(4, "little")
    whole = await root.read(window, 1024)
    assert whole[:4] == tb.config.legacy_features.to_bytes(4, "little") and not any(whole[0x200:])


@case(bring_up=False)
async def io_window_answers_where_enumeration_put_it(tb):
    found = tb.config.find(Space.LEGACY)
    if found is None or found[0].kind is not BarKind.IO:
        tb.skip("the legacy window is not in I/O space")
    bar, region = found
    root = RootPort(tb.host)
    await root.enumerate()
    port = root.bars()[bar.index][0] + region.offset
    assert await root.complex.io_read(port, 4) == tb.config.legacy_features.to_bytes(4, "little")
    await root.complex.io_write(port + 0x12, b"\x07")
    assert await root.complex.io_read(port + 0x12, 1) == b"\x07"

"""How a hypervisor finds the window: ids, capability layouts, and what the window is made of."""

from virtio_mmr.config.device import BarKind, Identity, Space
from virtio_mmr.spec.profiles import mmr_v1
from virtio_mmr_sim.host.host import UNSUPPORTED, Unsupported
from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.testbench import Testbench, case

EXTENDED_FIRST, EXTENDED_VENDOR, CLASSIC_VENDOR = 0x100, 0x000B, 0x09
WINDOW_TYPE, CONTROL_TYPE = 0x0A, 0xF0


async def classic_list(tb: Testbench) -> list[tuple[int, int]]:
    """Walk the ordinary list: (id, offset) of every capability."""
    found, pointer = [], await tb.host.config_read(0x34, 1)
    while pointer:
        assert pointer >= 0x40 and pointer % 4 == 0, f"pointer {pointer:#x}"
        assert len(found) < 48, "the list does not end"
        header = await tb.host.config_read(pointer, 2)
        found.append((header & 0xFF, pointer))
        pointer = header >> 8
    return found


async def extended_list(tb: Testbench) -> list[tuple[int, int, int]]:
    """Walk the extended list: (id, version, offset) of every capability."""
    found, pointer = [], EXTENDED_FIRST
    while pointer:
        assert pointer >= 0x100 and pointer % 4 == 0, f"pointer {pointer:#x}"
        assert len(found) < 960, "the list does not end"
        header = await tb.host.config_read(pointer)
        if header == 0 and not found:
            break
        found.append((header & 0xFFFF, header >> 16 & 0xF, pointer))
        pointer = header >> 20
    return found


async def dwords(tb: Testbench, offset: int, count: int) -> list[int]:
    """Dwords of configuration space."""
    return [await tb.host.config_read(offset + 4 * index) for index in range(count)]


def location(tb: Testbench, space: Space) -> tuple[int, int, int]:
    """BAR index, offset and length of a window, from the device file."""
    found = tb.config.find(space)
    assert found is not None
    bar, region = found
    return bar.index, region.offset, region.size


def needs_mmr(tb: Testbench) -> None:
    """The case is about devices with the MMR window in memory."""
    found = tb.config.find(Space.LEGACY)
    if found is None or found[0].kind is BarKind.IO:
        tb.skip("the legacy window is not in memory")


async def structures(tb: Testbench) -> list[tuple[str, int, int, int, int]]:
    """Every structure of type 10 or 0xF0 that a walk finds: (layout, cfg_type, bar, offset, length)."""
    found = []
    for kind, at in await classic_list(tb):
        if kind == CLASSIC_VENDOR:
            head, bar, offset, length = await dwords(tb, at, 4)
            if head >> 24 == WINDOW_TYPE:
                found.append(("classic", WINDOW_TYPE, bar & 0xFF, offset, length))
    for kind, _version, at in await extended_list(tb):
        if kind != EXTENDED_VENDOR:
            continue
        words = await dwords(tb, at, 7)
        layout, body = ("vsec", words[2:]) if words[1] >> 20 else ("literal", words[1:])
        found.append(
            (layout, body[0] & 0xFF, body[0] >> 8 & 0xFF, body[1] | body[2] << 32, body[3] | body[4] << 32)
        )
    return found


@case
async def every_enabled_layout_has_a_capability_of_type_10(tb):
    needs_mmr(tb)
    found = {layout for layout, kind, *_ in await structures(tb) if kind == WINDOW_TYPE}
    placed = {
        capability.name.removeprefix("mmr_")
        for capability in tb.space.capabilities
        if capability.name.startswith("mmr_")
    }
    assert found == placed
    if tb.config.mmr_explicit:
        assert found == set(tb.config.mmr_capabilities)
    assert found, "no layout at all"


@case
async def literal_layout_is_the_patch_to_the_bit(tb):
    at = tb.capability("mmr_literal")
    bar, offset, length = location(tb, Space.LEGACY)
    words = await dwords(tb, at, 6)
    assert words[0] & 0xFFFFF == 0x1000B, "id 0x000B, version 1"
    assert words[1:] == [bar << 8 | WINDOW_TYPE, offset, 0, length, 0]
    assert at != EXTENDED_FIRST, "a first capability of this shape would be hidden by vfio"


@case
async def vsec_layout_has_a_legal_header_and_length(tb):
    at = tb.capability("mmr_vsec")
    bar, offset, length = location(tb, Space.LEGACY)
    words = await dwords(tb, at, 7)
    assert words[0] & 0xFFFFF == 0x1000B
    assert words[1] == 0x01C << 20 | mmr_v1.VSEC_ID_LEGACY_MMR
    assert words[2:] == [bar << 8 | WINDOW_TYPE, offset, 0, length, 0]


@case
async def classic_layout_is_an_ordinary_virtio_structure(tb):
    at = tb.capability("mmr_classic")
    bar, offset, length = location(tb, Space.LEGACY)
    words = await dwords(tb, at, 4)
    assert words[0] & 0xFFFF00FF == WINDOW_TYPE << 24 | 0x10 << 16 | CLASSIC_VENDOR
    assert words[1:] == [bar, offset, length]


@case
async def extended_list_is_well_formed_and_ends(tb):
    found = await extended_list(tb)
    placed = [(c.id, c.offset) for c in tb.space.capabilities if c.kind == "extended"]
    assert sorted((kind, at) for kind, _version, at in found) == sorted(placed)
    assert all(version for _kind, version, _at in found)
    assert len({at for *_, at in found}) == len(found)


@case
async def bar_of_every_structure_is_an_implemented_memory_bar(tb):
    for _layout, _kind, bar, _offset, _length in await structures(tb):
        assert bar <= 5
        before = await tb.host.config_read(0x10 + 4 * bar)
        await tb.host.config_write(0x10 + 4 * bar, 0xFFFF_FFFF)
        mask = await tb.host.config_read(0x10 + 4 * bar)
        await tb.host.config_write(0x10 + 4 * bar, before)
        assert mask and not mask & 1, f"BAR {bar} reads {mask:#x} when sized"


@case
async def offset_of_every_structure_is_a_multiple_of_4(tb):
    for _layout, _kind, _bar, offset, _length in await structures(tb):
        assert offset % 4 == 0


@case
async def window_starts_and_ends_on_a_4_kib_boundary(tb):
    for _layout, _kind, _bar, offset, length in await structures(tb):
        assert offset % 4096 == 0 and length == 4096


@case
async def every_structure_lies_inside_its_bar(tb):
    sizes = {bar.index: bar.decoded_size for bar in tb.config.bars}
    for _layout, _kind, bar, offset, length in await structures(tb):
        assert offset + length <= sizes[bar]


@case
async def device_configuration_follows_the_legacy_header(tb):
    image = tb.config.config_image
    if not image:
        tb.skip("the device type has no configuration")
    header = await tb.legacy.read(0x00, 4)
    assert header == tb.config.legacy_features
    for index, byte in enumerate(image):
        assert await tb.legacy.read(0x14 + index, 1) == byte
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        for index, byte in enumerate(image):
            assert await tb.legacy.read(0x18 + index, 1) == byte


@case
async def mmr_device_has_no_io_bar(tb):
    if tb.config.identity is not Identity.MMR:
        tb.skip("not an MMR device")
    for index in range(6):
        await tb.host.config_write(0x10 + 4 * index, 0xFFFF_FFFF)
    bars = [await tb.host.config_read(0x10 + 4 * index) for index in range(6)]
    index = 0
    while index < 6:
        assert not bars[index] & 1, f"BAR {index} is an I/O BAR"
        index += 2 if bars[index] & 4 else 1


@case
async def ids_are_those_of_the_identity(tb):
    ids = await tb.host.config_read(0x00)
    assert ids & 0xFFFF == 0x1AF4
    if tb.config.identity is Identity.MMR:
        assert 0x10F9 <= ids >> 16 <= 0x10FF
    else:
        assert ids >> 16 == tb.config.kind.transitional_id


@case
async def revision_and_subsystem_are_as_for_a_transitional_device(tb):
    assert await tb.host.config_read(0x08, 1) == tb.config.revision
    assert await tb.host.config_read(0x2C) == tb.config.kind.virtio_id << 16 | 0x1AF4
    assert await tb.host.config_read(0x08) >> 8 == tb.config.kind.class_code


@case
async def capability_fields_are_read_only(tb):
    for capability in tb.space.capabilities:
        if capability.name.startswith(("mmr_", "control", "serial")):
            before = await dwords(tb, capability.offset, capability.size // 4)
            for index in range(capability.size // 4):
                await tb.host.config_write(capability.offset + 4 * index, 0xFFFF_FFFF)
            assert await dwords(tb, capability.offset, capability.size // 4) == before


@case
async def without_memory_enable_the_window_is_unsupported(tb):
    needs_mmr(tb)
    await tb.legacy.write(0x12, 1, 1)
    await tb.host.config_write(0x04, 0b100, 2)
    try:
        await tb.legacy.read(0x12, 1)
    except Unsupported:
        pass
    else:
        raise AssertionError("the window answered")
    await tb.legacy.write(0x12, 3, 1)
    await tb.host.silence()
    await tb.host.config_write(0x04, 0b110, 2)
    assert await tb.legacy.read(0x12, 1) == 1, "the write was not dropped"


@case
async def bytes_behind_the_configuration_read_zero_and_take_nothing(tb):
    window = tb.legacy
    end = 0x14 + len(tb.config.config_image)
    holes = tb.counter("hole")
    offsets = [*range(end, min(end + 24, window.size)), window.size - 1] if window.size > end else []
    for offset in offsets:
        await window.write(offset, 0xFF, 1)
        assert await window.read(offset, 1) == 0, f"offset {offset:#x}"
    if not window.io:
        for start in range(0x40, window.size, 128):
            answer = await tb.host.request(tlp.memory_read(window.address + start, 128 - start % 128))
            assert answer.status != UNSUPPORTED
            if start >= end:
                assert not any(answer.payload)
    assert tb.counter("hole") == holes, "bytes inside a window are not holes"
    assert await window.read(0x00, 4) == tb.config.legacy_features

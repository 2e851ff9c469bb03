"""Any legal device gets a configuration space that software can walk and map."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_mmr.config import check, loads
from virtio_mmr.config.device import Bar, BarKind, Control, Datapath, DeviceConfig, Identity, Region, Space
from virtio_mmr.export.device_file import completed
from virtio_mmr.export.lspci_dump import dump, parse
from virtio_mmr.layout import ConfigurationSpace, place
from virtio_mmr.spec.device_types import DEVICE_TYPES

LAYOUTS = ("vsec", "literal", "classic")
LEAST_QUEUES = {"net": 2, "block": 1, "console": 2, "rng": 1}


def align(value: int, step: int) -> int:
    return -(-value // step) * step


@st.composite
def memory_regions(draw, spaces, kind, vectors):
    """Regions in a drawn order, each behind the last with a drawn gap."""
    regions, at = [], 0
    for space in draw(st.permutations(spaces)):
        at += 4 * draw(st.integers(0, 600))
        extra = 4 * draw(st.integers(0, 600))
        if space is Space.CONTROL:
            at, size = align(at, 4096), 4096
        elif space is Space.MSIX:
            at, size = align(at, 8), 1 << max((32 * vectors - 1).bit_length(), draw(st.integers(5, 14)))
        elif space is Space.COMMON:
            size = 0x40 + extra
        elif space is Space.NOTIFY:
            stride = draw(st.sampled_from([0, 4, 8, 0x1000]))
            size = 63 * stride + 4 + extra
        elif space is Space.LEGACY:
            size = align(24 + kind.config_size, 4) + extra
        else:
            size = align(max(kind.config_size, 4), 4) + extra
        regions.append(Region(space=space, offset=at, size=size, stride=stride if space is Space.NOTIFY else 0))
        at += size
    return tuple(regions)


@st.composite
def devices(draw):
    """A legal device: any kind, any identity but I/O ports, windows dealt out over up to three BARs."""
    kind = draw(st.sampled_from(list(DEVICE_TYPES.values())))
    identity = draw(st.sampled_from([Identity.MMR, Identity.LEGACY_MEMORY]))
    vectors = draw(st.one_of(st.just(0), st.integers(1, 64), st.just(2048)))
    spaces = [Space.LEGACY, *draw(st.sets(st.sampled_from([Space.CONTROL, Space.ISR, Space.DEVICE])))]
    spaces += [Space.MSIX] if vectors else []
    modern = draw(st.booleans())
    if modern:
        spaces = [*{*spaces, Space.ISR, Space.DEVICE}, Space.COMMON, Space.NOTIFY]

    dealt: list[list[Space]] = [[], [], []]
    for space in sorted(spaces, key=lambda space: space.value):
        dealt[draw(st.integers(0, 2))].append(space)
    if identity is Identity.LEGACY_MEMORY:
        dealt = [[], [space for space in spaces if space is not Space.LEGACY], []]
    bars = []
    for index, members in zip((0, 2, 4), dealt, strict=True):
        regions = draw(memory_regions(members, kind, vectors))
        if identity is Identity.LEGACY_MEMORY and index == 0:
            regions = (Region(space=Space.LEGACY, offset=0, size=align(24 + kind.config_size, 4)),)
        if regions:
            wide = draw(st.booleans())
            bars.append(
                Bar(
                    index=index,
                    kind=BarKind.MEMORY64 if wide else BarKind.MEMORY32,
                    regions=regions,
                    prefetchable=draw(st.booleans()),
                    size=draw(st.sampled_from([0, 1 << 20])),
                )
            )

    layouts = draw(st.one_of(st.none(), st.lists(st.sampled_from(LAYOUTS), unique=True)))
    queues = draw(
        st.lists(st.integers(0, 15).map(lambda power: 1 << power), min_size=LEAST_QUEUES[kind.name], max_size=64)
    )
    return DeviceConfig(
        kind=kind,
        identity=identity,
        serial=draw(st.integers(0, (1 << 64) - 1)),
        queues=tuple(queues),
        features=1 << 27 | (1 << 32 | 1 << 33 | 1 << 36 if modern else 0),
        revision=draw(st.integers(0, 255)) if identity is Identity.MMR else 0,
        msix_vectors=vectors,
        bars=tuple(bars),
        config_image=draw(st.binary(min_size=kind.config_size, max_size=kind.config_size)),
        mmr_capabilities=LAYOUTS if layouts is None else tuple(layouts),
        mmr_explicit=layouts is not None,
        control=Control(big_endian=draw(st.booleans()), gate_open=draw(st.booleans()))
        if Space.CONTROL in spaces
        else None,
        datapath=Datapath(width=draw(st.sampled_from([64, 128, 256, 512])), max_payload=128 << draw(st.integers(0, 5))),
    )


def number(image: bytes, offset: int, size: int) -> int:
    return int.from_bytes(image[offset : offset + size], "little")


def walk(image: bytes) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Offsets and ids of both lists, as a host finds them; fails on a list that does not end."""
    classic, at = [], number(image, 0x34, 1)
    while at:
        classic.append((at, image[at]))
        at = image[at + 1]
        assert len(classic) < 48
    extended, at = [], 0x100
    while at:
        extended.append((at, number(image, at, 2)))
        at = number(image, at + 2, 2) >> 4
        assert len(extended) < 960
    return classic, extended


def check_space(config: DeviceConfig, space: ConfigurationSpace) -> None:
    image = space.reset_image()
    classic, extended = walk(image)

    # Software finds what was placed, each once, aligned, in its part of the space.
    found = [(at, "classic", id_) for at, id_ in classic] + [(at, "extended", id_) for at, id_ in extended]
    assert found == [(capability.offset, capability.kind, capability.id) for capability in space.capabilities]
    assert all(at % 4 == 0 and 0x40 <= at < 0x100 for at, _ in classic)
    assert all(at % 4 == 0 and 0x100 <= at < 0x1000 for at, _ in extended)
    assert space.left_out == ()

    # Nothing overlaps, and what stands in the header keeps clear of the capabilities.
    taken = sorted((capability.offset, capability.end) for capability in space.capabilities)
    assert all(end <= start for (_, end), (start, _) in pairwise(taken))
    bytes_used = [at for register in space.registers for at in range(register.offset, register.end)]
    assert len(set(bytes_used)) == len(bytes_used)

    # The literal structure is never first: vfio would hide it.
    assert extended[0][1] == 3


def check_windows(config: DeviceConfig, space: ConfigurationSpace) -> None:
    image, mask = space.reset_image(), space.write_mask()
    sizes = {}
    for bar in config.bars:
        at = 0x10 + 4 * bar.index
        sizes[bar.index] = (~number(mask, at, 4) & 0xFFFF_FFFF) + 1
        assert sizes[bar.index] == bar.decoded_size >= 128
        assert number(mask, at + 4, 4) == (0xFFFF_FFFF if bar.kind is BarKind.MEMORY64 else 0)
        assert number(image, at, 4) == (4 if bar.kind is BarKind.MEMORY64 else 0) | (8 if bar.prefetchable else 0)
        assert all(region.end <= sizes[bar.index] for region in bar.regions)

    # Every structure names a window inside its BAR.
    for capability in space.capabilities:
        body = {"mmr_vsec": 8, "control": 8, "mmr_literal": 4}.get(capability.name)
        if body is None:
            continue
        at = capability.offset + body
        cfg_type, bar_index = image[at], image[at + 1]
        expected = config.find(Space.CONTROL if capability.name == "control" else Space.LEGACY)
        assert expected is not None
        assert cfg_type == (0xF0 if capability.name == "control" else 0x0A)
        assert (bar_index, number(image, at + 4, 8), number(image, at + 12, 8)) == (
            expected[0].index,
            expected[1].offset,
            expected[1].size,
        )
        assert number(image, at + 4, 8) + number(image, at + 12, 8) <= sizes[bar_index]
    for capability in space.capabilities:
        if capability.name == "msix":
            at = capability.offset
            table, pending = number(image, at + 4, 4), number(image, at + 8, 4)
            vectors = (number(image, at + 2, 2) & 0x7FF) + 1
            region = config.find(Space.MSIX)
            assert region is not None and vectors == config.msix_vectors
            assert table & 7 == pending & 7 == region[0].index
            assert (table & ~7) + 16 * vectors <= pending & ~7
            assert (pending & ~7) + -(-vectors // 64) * 8 <= region[1].end <= sizes[table & 7]


@settings(deadline=None)
@given(devices())
def test_configuration_space_of_any_device_can_be_walked_and_mapped(config):
    check(config)
    space = place(config)
    check_space(config, space)
    check_windows(config, space)


@settings(deadline=None)
@given(devices())
def test_masks_never_claim_a_bit_twice_and_constant_bytes_stay(config):
    space = place(config)
    written, cleared, image = space.write_mask(), space.write_clear_mask(), space.reset_image()
    assert not any(a & b for a, b in zip(written, cleared, strict=True))
    assert len(written) == len(cleared) == len(image) == 4096
    assert parse(dump(image)) == image


@settings(deadline=None)
@given(devices())
def test_completed_file_of_any_device_is_that_device(config):
    again = loads(completed(config))
    unused = [field for field in config.kind.config if field.name.startswith("unused")]
    image = bytearray(config.config_image)
    for field in unused:
        image[field.offset : field.offset + field.size] = bytes(field.size)
    assert again.config_image == bytes(image)
    assert place(again) == place(config)
    assert (again.bars, again.queues, again.control, again.datapath, again.features, again.mmr_capabilities) == (
        config.bars,
        config.queues,
        config.control,
        config.datapath,
        config.features,
        config.mmr_capabilities,
    )

"""The hypervisor finds MMR functions by their capabilities, and only them."""

from dataclasses import replace

import pytest
from model_devices import block, entropy, net
from virtio_mmr.config.device import DeviceConfig, Identity
from virtio_mmr.layout import place
from virtio_mmr_sim.host.hypervisor import Unfit, find, finish, scan
from virtio_mmr_sim.host.hypervisor.discover import MmrFunction, Msix, Place


class Spaces:
    """Configuration spaces by routing id; nothing else is read."""

    def __init__(self, **spaces: bytes):
        self.spaces = {int(name[1:], 16): bytearray(space) for name, space in spaces.items()}

    async def config_read(self, function: int, offset: int, size: int) -> int:
        space = self.spaces.get(function, b"\xff" * 4096)
        assert offset % size == 0
        return int.from_bytes(space[offset:offset + size], "little")

    async def config_write(self, function: int, offset: int, value: int, size: int) -> None:
        raise AssertionError("finding a function changes nothing")

    async def read(self, function: int, bar: int, offset: int, size: int) -> int:
        raise AssertionError("finding a function reads no BAR")

    async def write(self, function: int, bar: int, offset: int, value: int, size: int) -> None:
        raise AssertionError("finding a function writes no BAR")


def image(config: DeviceConfig) -> bytearray:
    return bytearray(place(config).reset_image())


def found(space: bytes, routing_id: int = 0x0100) -> MmrFunction | None:
    return finish(find(Spaces(**{f"f{routing_id:04x}": space}), routing_id))


LEGACY, CONTROL = Place(0, 0, 0x1000), Place(0, 0x1000, 0x1000)


@pytest.mark.parametrize("layouts", [
    ("literal",), ("vsec",), ("classic",), ("vsec", "literal"), ("classic", "literal"), ("vsec", "literal", "classic")])
def test_each_layout_is_enough(layouts: tuple[str, ...]) -> None:
    function = found(image(net(mmr_capabilities=layouts, mmr_explicit=True)))
    assert function is not None
    assert (function.legacy, function.layouts) == (LEGACY, tuple(sorted(layouts)))
    assert function.control == CONTROL


def test_everything_about_a_function_is_in_its_configuration_space() -> None:
    function = found(image(net()), 0x3A17)
    assert function == MmrFunction(
        routing_id=0x3A17, kind=net().kind, class_code=0x020000, has_line=True, legacy=LEGACY,
        layouts=("classic", "literal", "vsec"), control=CONTROL, msix=Msix(0x48, 3, Place(0, 0x4000, 48)))


def test_a_window_beside_an_io_bar_is_found_in_memory() -> None:
    function = found(image(entropy()))
    assert function is not None
    assert (function.legacy.bar, function.kind.name) == (2, "rng")


def test_ids_do_not_matter() -> None:
    for config in (net(), replace(net(), identity=Identity.LEGACY_MEMORY)):
        space = image(config)
        space[2:4] = b"\x34\x12"
        assert found(space) is not None


def test_a_virtual_function_has_no_ids_and_no_bars() -> None:
    space = image(net())
    space[0:4] = b"\xff" * 4
    space[0x10:0x28] = bytes(0x18)
    space[0x3D] = 0
    function = found(space, 0x0123)
    assert function is not None and not function.has_line and function.legacy == LEGACY


def test_a_function_without_control_page_or_msix() -> None:
    function = found(image(net(control=None, msix_vectors=0)))
    assert function is not None and function.control is None and function.msix is None


def test_scanning_gives_the_mmr_functions_in_order() -> None:
    plain = image(net(mmr_capabilities=(), control=None))
    host = Spaces(f0008=image(block()), f0100=plain, f0101=image(net()))
    functions = finish(scan(host, range(0x200)))
    assert [(function.routing_id, function.kind.name) for function in functions] == [(8, "block"), (0x101, "net")]


def test_other_functions_are_none() -> None:
    assert finish(find(Spaces(), 0)) is None
    other_vendor = image(net())
    other_vendor[0:2] = b"\x86\x80"
    assert found(other_vendor) is None
    assert found(image(net(mmr_capabilities=()))) is None


def _put(space: bytearray, at: int, *words: int) -> None:
    for index, word in enumerate(words):
        space[at + 4 * index:at + 4 * index + 4] = word.to_bytes(4, "little")


@pytest.mark.parametrize("header", [0x01C0_0003, 0x01C1_040A, 0x0180_000A, 0x0180_0001])
def test_another_vendor_specific_capability_is_passed_over(header: int) -> None:
    """Even if its id ends like the structure's type, for its length is not zero; or if it is ours, but too short."""
    space = image(net(mmr_capabilities=(), control=None))
    _put(space, 0x110, 0x0001_000B, header, 0x0000_020A, 0x1000, 0, 0x1000, 0)
    _put(space, 0x100, 0x1101_0003)
    assert found(space) is None


def test_the_patch_s_own_example_is_found() -> None:
    """BAR 2, offset 0x1000, length 0x1000, as the struct of patch 08 has it, dword by dword."""
    space = image(net(mmr_capabilities=(), control=None))
    _put(space, 0x100, 0x1101_0003)
    _put(space, 0x110, 0x0001_000B, 0x0000_020A, 0x1000, 0, 0x1000, 0)
    function = found(space)
    assert function is not None and function.legacy == Place(2, 0x1000, 0x1000)


@pytest.mark.parametrize(("at", "value", "reason"), [
    (0x118, 0x0A | 6 << 8, "BARs are 0 to 5"),
    (0x11C, 0x1002, "multiples of 4"),
    (0x124, 0x10, "take 24 bytes"),
])
def test_impossible_places_are_named(at: int, value: int, reason: str) -> None:
    space = image(net(mmr_capabilities=("vsec",), mmr_explicit=True))
    _put(space, at, value)
    with pytest.raises(Unfit, match=reason):
        found(space)


def test_registers_in_an_io_bar_are_refused() -> None:
    space = image(net())
    space[0x10] |= 1
    with pytest.raises(Unfit, match="BAR 0 is an I/O BAR"):
        found(space)


def test_layouts_that_disagree_are_refused() -> None:
    space = image(net())
    _put(space, 0x11C, 0x2000)
    with pytest.raises(Unfit, match="name different places"):
        found(space)


def test_a_type_without_transitional_device_is_refused() -> None:
    space = image(net())
    space[0x2E:0x30] = (25).to_bytes(2, "little")
    with pytest.raises(Unfit, match="subsystem id 0x0019 is no virtio type"):
        found(space)


def test_lists_that_bite_their_tails_are_refused() -> None:
    space = image(net())
    space[0x49] = 0x48
    with pytest.raises(Unfit, match="classic capability list has no end"):
        found(space)
    space = image(net())
    _put(space, 0x110, 0x1101_000B)
    with pytest.raises(Unfit, match="extended capability list has no end"):
        found(space)

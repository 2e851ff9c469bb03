"""Whole projects, with the core as it is generated: every port of every instance fits, and all of it maps."""

from pathlib import Path

import pytest
from virtio_mmr import config
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_boards.checks.all import checks, tables
from virtio_mmr_boards.fit import fitted
from virtio_mmr_boards.project import project
from virtio_mmr_sim import toolchain

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = '[device]\nkind = "rng"\n'
FULL = pytest.mark.full

#: Boards and devices; the first of each IP is looked at each time.
PROJECTS = [
    ("rk-xcku5p-f", SMALL, ()),
    ("pcie-squirrel", SMALL, ()),
    ("nitefury-ii", "net-dma.toml", (FULL,)),
    ("kcu116", "net-sriov.toml", (FULL,)),
    ("kcu116", "net-dma.toml", (FULL,)),
    ("rk-xcku5p-f", "net-transitional.toml", (FULL,)),
]


def whole(name, device):
    text = (EXAMPLES / device).read_text() if device.endswith(".toml") else device
    return project(BOARDS[name], fitted(BOARDS[name], config.loads(text))[0])


@pytest.mark.parametrize(("name", "device"), [pytest.param(*one, marks=marks) for *one, marks in PROJECTS])
def test_every_check_passes(name, device):
    toolchain.skip_or_fail("yosys")
    files = whole(name, device)
    assert {check: does(BOARDS[name], files) for check, does in checks(BOARDS[name]).items()} == {
        "scripts": [], "pins": [], "ports": []}


@pytest.mark.parametrize(("name", "device"), [
    pytest.param(name, device, marks=pytest.mark.broad if name == "pcie-squirrel" else FULL)
    for name, device, _ in PROJECTS])
def test_it_maps_to_the_family(name, device):
    """At 64 bits each time: a memory that no part has was found like this once."""
    toolchain.skip_or_fail("yosys")
    _, luts, _ = tables(BOARDS[name], whole(name, device))
    assert luts > 1000, "nothing of the core was lost"

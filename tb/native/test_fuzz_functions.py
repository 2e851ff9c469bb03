"""The functions of a generated design against a golden model each, under random traffic."""

import pytest
from selection import broad
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from system.devices import TRANSITIONAL  # noqa: E402
from virtio_mmr_sim.native import fuzz, fuzz_dma  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

#: Packets of each seed.
SMALL = 300

#: 63 virtual functions with both interfaces, which have more queues than the physical one.
SIXTY_FOUR = """
[vf]
count = 63
msix_vectors = 40
queues = [64, 128, 32, 16]
[vf.bars.0]
kind = "memory32"
regions = [
    { space = "legacy",  offset = 0x0000, size = 0x1000 },
    { space = "control", offset = 0x1000, size = 0x1000 },
    { space = "msix",    offset = 0x2000, size = 0x2000 },
]
[vf.bars.2]
kind = "memory64"
regions = [
    { space = "common", offset = 0x0000, size = 0x1000 },
    { space = "isr",    offset = 0x1000, size = 0x1000 },
    { space = "device", offset = 0x2000, size = 0x1000 },
    { space = "notify", offset = 0x3000, size = 0x1000, stride = 4 },
]
"""

#: Devices with virtual functions.
VIRTUAL = {
    "64-functions": TRANSITIONAL.text + SIXTY_FOUR + "[requester]\n",
    "3-functions": """
schema = 1
[device]
kind = "block"
[features]
offer = ["BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH", "BLK_CONFIG_WCE"]
[interrupts]
msix_vectors = 2
intx = true
[datapath]
width = 64
check_byte_enables = false
strict_64bit = true
[control]
big_endian = true
[vf]
count = 2
queues = [32]
msix_vectors = 3
[requester]
reads = 32
""",
}


@pytest.fixture(scope="module", params=["3-functions", *broad("64-functions")])
def running_several(request):
    """A simulated device with virtual functions, and what it was generated from."""
    described = fuzz_dma.hurried(config.loads(VIRTUAL[request.param]))
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


@pytest.mark.parametrize("seed", range(1, 4))
def test_interleaved_functions_agree_with_as_many_models(running_several, seed):
    native, described = running_several
    statistics = fuzz.run(native, described, 2 * SMALL, seed)
    assert statistics.packets >= 2 * SMALL
    assert statistics.completions > SMALL // 4


@pytest.mark.parametrize("mode", fuzz.MODES)
def test_every_way_of_driving_is_used_for_several_functions(running_several, mode):
    native, described = running_several
    assert fuzz.run(native, described, SMALL, 78, modes={mode: 1}).modes[mode]


@pytest.mark.full
def test_a_hundred_thousand_packets_of_interleaved_functions_agree_with_their_models(running_several):
    native, described = running_several
    assert fuzz.run(native, described, 100_000, 3000).packets >= 100_000

"""The generated design against the golden model under random traffic."""

import pytest
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from system.devices import TRANSITIONAL  # noqa: E402
from virtio_mmr_sim.native import fuzz, fuzz_dma  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

#: A device of each type, with what the other types do not have.
DEVICES = {
    "net": """
        [features]
        offer = ["NET_MAC", "NET_STATUS", "NET_CTRL_VQ", "RING_INDIRECT_DESC", "RING_EVENT_IDX"]
        [queues]
        sizes = [128, 256, 64]
        [control]
        big_endian = true
        gate_open = true
        [interrupts]
        intx = true
        """,
    "block": """
        [features]
        offer = ["BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH", "BLK_CONFIG_WCE"]
        """,
    "console": """
        [interrupts]
        intx = true
        msix_vectors = 40
        """,
}
WIDTHS = (64, 128)

#: Each type once and each width more than once; the other pairs belong to the judged volumes.
PAIRS = (("net", 64), ("block", 128), ("console", 64), ("transitional", 128))
SEEDS = [*range(1, 9), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(9, 21))]

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


def device(kind: str, width: int) -> str:
    if kind == "transitional":
        return TRANSITIONAL.text.replace("[control]", f"[datapath]\nwidth = {width}\n[control]")
    text = "\n".join(line.strip() for line in DEVICES[kind].splitlines())
    return f'schema = 1\n[device]\nkind = "{kind}"\n{text}\n[datapath]\nwidth = {width}\nmax_payload = 256\n'


def together(name, value, *marks):
    """A parameter whose tests run in one process, so that its design is built once."""
    return pytest.param(value, id=name, marks=[pytest.mark.xdist_group(name), *marks])


@pytest.fixture(scope="module", params=[
    *(together(f"{kind}-{width}", (kind, width)) for kind, width in PAIRS),
    *(together(f"{kind}-{width}", (kind, width), pytest.mark.full)
      for kind in DEVICES for width in WIDTHS if (kind, width) not in PAIRS)])
def running(request):
    """A simulated device and what it was generated from; rounds begin with a reset, so one serves all seeds."""
    described = config.loads(device(*request.param))
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


@pytest.mark.parametrize("seed", SEEDS)
def test_random_traffic_agrees_with_the_model(running, seed):
    native, described = running
    statistics = fuzz.run(native, described, SMALL, seed)
    assert statistics.packets >= SMALL
    assert statistics.completions > SMALL // 8


def test_the_same_seed_drives_the_same_clocks(running):
    native, described = running
    first, second = (fuzz.run(native, described, SMALL, 5) for _ in range(2))
    first.seconds = second.seconds = 0.0
    assert first == second


def test_a_difference_is_told_with_all_that_repeats_it(running, monkeypatch):
    """A model that hides a feature bit: the report names the seed, the command and ten transactions."""
    native, described = running
    monkeypatch.setattr(
        "virtio_mmr_sim.model.function.FunctionModel.offered", property(lambda self: self.config.features & ~1 ^ 2))
    with pytest.raises(fuzz.Mismatch) as caught:
        fuzz.run(native, described, 20_000, 40, repeat="vmmr fuzz some.toml")
    text = str(caught.value)
    assert "Repeat with: vmmr fuzz some.toml --seed 4" in text
    assert "expected" in text and "got" in text
    report = text.split("the last transactions:\n")[1].splitlines()
    assert sum(line.startswith("  ") for line in report) == 10


@pytest.mark.parametrize("mode", fuzz.MODES)
def test_every_way_of_driving_is_used(running, mode):
    native, described = running
    statistics = fuzz.run(native, described, SMALL, 77, modes={mode: 1})
    assert statistics.modes == {mode: statistics.modes[mode]}


@pytest.fixture(scope="module", params=[together(name, name) for name in VIRTUAL])
def running_several(request):
    """The same for devices with virtual functions."""
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


#: Devices that do DMA: as many reads and as large as they come, and as few, behind a hard block with little room.
WITH_DMA = {
    "wide": """
        [datapath]
        width = 128
        max_payload = 512
        [requester]
        reads = 256
        largest_read = 1024
        """,
    "narrow": """
        [datapath]
        width = 64
        max_payload = 128
        [requester]
        reads = 32
        largest_read = 256
        completion_headers = 24
        completion_bytes = 1024
        """,
}


@pytest.fixture(scope="module", params=[together(name, name) for name in WITH_DMA])
def reaching(request):
    """A simulated device that does DMA, and what it was generated from."""
    text = "\n".join(line.strip() for line in WITH_DMA[request.param].splitlines())
    described = fuzz_dma.hurried(config.loads(f'schema = 1\n[device]\nkind = "block"\n{text}\n'))
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


@pytest.mark.parametrize("seed", range(100, 600, 100))
def test_random_dma_keeps_every_rule(reaching, seed):
    native, described = reaching
    found = fuzz_dma.run(native, described, 6000, seed)
    assert found.total >= 6000
    assert min(found.reads["ok"], found.writes["ok"]) > 1500
    assert found.reads["blocked"] and found.writes["blocked"]
    assert found.messages > 100


def test_dma_goes_beside_all_other_traffic(reaching):
    native, described = reaching
    statistics = fuzz.run(native, described, 4000, 3, modes=fuzz_dma.MODES, round_type=fuzz_dma.DmaRound)
    assert statistics.modes["dma"]


@pytest.mark.parametrize("change, said", [
    ({"request": 128, "payload": 128}, "is cut wrongly|is next|that nobody handed in"),
    ({"wide": 0}, "may not be used"),
    ({"requester": 0x2AF8}, "a request of 0x"),
    ({"must_block": 1}, "a request leaves while the gate is closed"),
])
def test_a_judge_who_knows_less_than_the_device_objects(reaching, monkeypatch, change, said):
    """What software is thought to have set is wrong from some time on; then the first packet that shows it is found."""
    native, described = reaching
    if "wide" in change and described.requester.reads == 32:
        pytest.skip("such a device never has more than 32 tags")
    if "request" in change and described.requester.largest_read < 512:
        pytest.skip("such a device may have been told 128 in truth")
    settle = fuzz_dma.DmaRound._open

    def misled(self):
        settle(self)
        for name, value in change.items():
            if name in ("request", "payload"):
                getattr(self._live, name)[:] = [value, value]
            else:
                setattr(self._live, name, value)

    monkeypatch.setattr(fuzz_dma.DmaRound, "_open", misled)
    with pytest.raises(fuzz.Mismatch, match=said) as caught:
        fuzz_dma.run(native, described, 30_000, 12)
    assert "the last packets of DMA" in str(caught.value)
    assert "Repeat with: vmmr fuzz --dma 3000 --seed 1" in str(caught.value)


@pytest.mark.full
def test_a_million_dma_requests_keep_every_rule(reaching):
    native, described = reaching
    assert fuzz_dma.run(native, described, 500_000, 5000).total >= 500_000


@pytest.mark.full
def test_a_million_packets_agree_with_the_model(running):
    native, described = running
    million = 1_000_000 // (len(DEVICES) * len(WIDTHS)) + 1
    assert fuzz.run(native, described, million, 1000).packets >= million

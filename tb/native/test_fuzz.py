"""The generated design against the golden model under random traffic."""

import itertools

import pytest
from selection import full
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from system.devices import TRANSITIONAL  # noqa: E402
from virtio_mmr_sim.native import fuzz  # noqa: E402
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

#: Each width once; with --broad each type and each width twice; the other pairs belong to the large volumes.
PAIRS = (("net", 64), ("transitional", 128))
MORE_PAIRS = (("block", 128), ("console", 64))
SEEDS = [*range(1, 9), *full(*range(9, 21))]

#: Packets of each seed.
SMALL = 300


def device(kind: str, width: int) -> str:
    if kind == "transitional":
        return TRANSITIONAL.text.replace("[control]", f"[datapath]\nwidth = {width}\n[control]")
    text = "\n".join(line.strip() for line in DEVICES[kind].splitlines())
    return f'schema = 1\n[device]\nkind = "{kind}"\n{text}\n[datapath]\nwidth = {width}\nmax_payload = 256\n'


def pairs(marks, kinds):
    """Parameters for *kinds* of devices, with their widths."""
    return [pytest.param(pair, id=f"{pair[0]}-{pair[1]}", marks=marks) for pair in kinds]


@pytest.fixture(scope="module", params=[
    *pairs((), PAIRS),
    *pairs(pytest.mark.broad, MORE_PAIRS),
    *pairs(pytest.mark.full, sorted(set(itertools.product(DEVICES, WIDTHS)) - {*PAIRS, *MORE_PAIRS}))])
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


@pytest.mark.full
def test_a_million_packets_agree_with_the_model(running):
    native, described = running
    million = 1_000_000 // (len(DEVICES) * len(WIDTHS)) + 1
    assert fuzz.run(native, described, million, 1000).packets >= million

"""DMA of the generated design against a host that judges every packet."""

import pytest
from selection import broad
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from virtio_mmr_sim.native import fuzz, fuzz_dma  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

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


@pytest.fixture(scope="module", params=["narrow", *broad("wide")])
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

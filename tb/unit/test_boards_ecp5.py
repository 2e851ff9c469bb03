"""The open flow: the top's clocks are legal, its pins are the board's, and the same sources give the same bitstream."""

from pathlib import Path

import pytest
from virtio_mmr import config
from virtio_mmr_boards import constraints
from virtio_mmr_boards.catalogue import BOARDS
from virtio_mmr_boards.checks import pins
from virtio_mmr_boards.ecp5 import flow
from virtio_mmr_boards.ecp5.design import sources
from virtio_mmr_boards.ecp5.top import CLOCKS, ports
from virtio_mmr_sim import toolchain

VERSA = BOARDS["versa-ecp5-5g"]
DEVICE = Path(__file__).parents[2] / "examples" / "area-mmr.toml"


def test_clocks_are_what_the_pll_can_do():
    """ECP5 family data sheet: oscillator 400 to 800 MHz, phase detector from 10 MHz on."""
    for rate, clock in CLOCKS.items():
        assert clock.mhz == rate == 100 / clock.reference * clock.feedback
        assert 400 <= clock.oscillator <= 800
        assert 100 / clock.reference >= 10


def test_pins_are_those_of_the_top():
    assert pins.check(VERSA, constraints.find(VERSA).read_text(), ports(VERSA)) == []


@pytest.mark.full
def test_the_bitstream_meets_its_clock_and_is_the_same_each_time(tmp_path, monkeypatch):
    """Two builds, neither of which sees what the other kept."""
    toolchain.skip_or_fail("yosys", "nextpnr-ecp5", "ecppack")
    made = []
    for place in ("first", "second"):
        monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path / place))
        toolchain.forget()
        design = "".join(sources(VERSA, config.load(DEVICE), 125.0).values())
        routed = flow.route(VERSA, design, constraints.find(VERSA).read_text(), 125.0, range(1, 6))
        assert routed.met, f"{routed.fmax} MHz with seed {routed.seed}"
        made.append(flow.pack(routed))
    toolchain.forget()
    assert made[0] == made[1]
    assert made[0].startswith(b"\xff\x00") and len(made[0]) > 100_000

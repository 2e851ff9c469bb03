"""What real guests did is done again without them, and every register reads what it read for them."""

from dataclasses import replace
from pathlib import Path

import pytest
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.guest import record, replay
from virtio_mmr_sim.guest.designs import Show

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.jsonl"))


@pytest.mark.broad
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_recorded_guest_reads_what_it_read(path):
    toolchain.skip_or_fail("verilator", "g++", "make")
    about, events = record.load(path)
    assert not replay.differences(about["device"], Show(about["show"]), events)


def test_a_recording_that_says_otherwise_is_noticed():
    toolchain.skip_or_fail("verilator", "g++", "make")
    about, events = record.load(next(path for path in GOLDEN if path.stem == "seabios-blk-raw"))
    number = next(number for number, event in enumerate(events)
                  if isinstance(event, record.Access) and (event.region, event.offset, event.write) == (0, 0, False))
    events[number] = replace(events[number], value=events[number].value ^ 0x20)
    [found] = replay.differences(about["device"], Show(about["show"]), events)
    assert "legacy.device_features" in found

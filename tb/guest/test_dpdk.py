"""DPDK's own virtio driver, which polls: every frame comes back, with its addresses exchanged."""

import pytest
from virtio_mmr_sim.guest import dpdk
from virtio_mmr_sim.guest.designs import Show


@pytest.mark.full
@pytest.mark.parametrize("show", [Show.RAW, Show.HYPERVISOR], ids=lambda show: show.value)
def test_testpmd_sends_every_frame_back(show, guest_parts):
    guest_parts(dpdk.KERNEL, "busybox", "dpdk")
    found = dpdk.run(show, 1000)
    assert not found.problems, (found.problems, found.said)

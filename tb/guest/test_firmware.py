"""Firmware with legacy drivers, which want their registers in I/O space: from the hypervisor, or from an I/O BAR."""

import pytest
from virtio_mmr_sim.guest import seabios
from virtio_mmr_sim.guest.designs import Show

SHOWS = [pytest.param(Show.HYPERVISOR, id="hypervisor"), pytest.param(Show.RAW, id="raw", marks=pytest.mark.full)]


@pytest.mark.parametrize("show", SHOWS)
def test_seabios_boots_from_the_design_and_copies_sectors(show, guest_parts):
    guest_parts()
    found = seabios.run(show)
    assert not found.problems, (found.problems, found.said)

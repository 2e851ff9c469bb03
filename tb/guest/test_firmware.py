"""Firmware with legacy drivers, which want their registers in I/O space: from the hypervisor, or from an I/O BAR."""

import pytest
from virtio_mmr_sim.guest import ipxe, seabios
from virtio_mmr_sim.guest.designs import Show

SHOWS = [pytest.param(Show.HYPERVISOR, id="hypervisor"), pytest.param(Show.RAW, id="raw", marks=pytest.mark.full)]


@pytest.mark.parametrize("show", SHOWS)
def test_seabios_boots_from_the_design_and_copies_sectors(show, guest_parts):
    guest_parts()
    found = seabios.run(show)
    assert not found.problems, (found.problems, found.said)


@pytest.mark.broad
@pytest.mark.parametrize("show", SHOWS)
def test_ipxe_loads_a_file_through_the_design_and_runs_it(show, guest_parts):
    guest_parts("ipxe")
    found = ipxe.run(show)
    assert not found.problems, (found.problems, found.said)


def test_a_rom_for_another_id_still_adds_up_to_zero():
    data = bytearray(1024)
    data[0:3], data[0x18:0x1A] = b"\x55\xAA\x02", (0x1C).to_bytes(2, "little")
    data[0x1C:0x24] = b"PCIR" + bytes.fromhex("f41a4110")
    changed = ipxe.rom(bytes(data))
    assert changed[0x1C:0x24] == b"PCIR" + bytes.fromhex("f41a0010")
    assert sum(changed) % 256 == 0

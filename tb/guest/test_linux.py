"""Linux drives the generated design with its own drivers; what it moves is right, and each interrupt is heard.

Three boots have every choice (device, show, kernel, kind of interrupts). With five more there is every pair of two of
them, but for rng under the modern interface: nine pairs of device and show are one more than eight boots have.
"""

import itertools

import pytest
from virtio_mmr_sim.guest import designs, linux, packages
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.linux import Boot

CHOICES = [
    Boot("rng", Show.RAW, "6.12", msix=True),
    Boot("blk", Show.MODERN, "6.1", msix=True),
    Boot("net", Show.HYPERVISOR, "6.12", msix=False),
]
PAIRS = [
    *CHOICES,
    Boot("rng", Show.HYPERVISOR, "6.1", msix=False),
    Boot("blk", Show.RAW, "6.1", msix=False),
    Boot("blk", Show.HYPERVISOR, "6.12", msix=True),
    Boot("net", Show.RAW, "6.1", msix=True),
    Boot("net", Show.MODERN, "6.12", msix=False),
]
ALL = [Boot(*choice) for choice in itertools.product(designs.DEVICES, Show, packages.KERNELS, (True, False))]


def marks(boot):
    """The least run that takes this one."""
    return () if boot in CHOICES else pytest.mark.broad if boot in PAIRS else pytest.mark.full


@pytest.mark.parametrize("boot", [pytest.param(boot, marks=marks(boot), id=str(boot)) for boot in ALL])
def test_linux_drives_the_design(boot, guest_parts):
    guest_parts(boot.kernel, "busybox")
    found = linux.run(boot)
    assert not found.problems, (found.problems, found.said)

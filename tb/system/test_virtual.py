"""Virtual functions over TLPs: statements VF-01 to VF-11 of the test plan."""

from system.devices import VIRTUAL_DEVICES

DEVICES, BROAD = VIRTUAL_DEVICES, ("pcie4-virtual",)

BENCH = "bench_virtual"


def test_virtual(check):
    """One case of the bench on one device."""
    check()

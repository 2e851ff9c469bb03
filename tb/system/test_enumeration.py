"""An independent root complex enumerates the device: parts of MMR, CFG and LEG of the test plan."""

from system.devices import BEHIND_EACH_KIND, USUAL, USUAL_TOO

DEVICES, BROAD = (*USUAL, *BEHIND_EACH_KIND), USUAL_TOO
FULL = ("pcie4-64", "pcie4-256", "pcie4c-128", "series7-net-64")

BENCH = "bench_enumeration"


def test_enumeration(check):
    """One case of the bench on one device."""
    check()

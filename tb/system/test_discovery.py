"""Ids, capability layouts and the extent of the window: statements MMR-01 to MMR-16 of the test plan."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO, WIDE

DEVICES, BROAD = USUAL, (*USUAL_TOO, *WIDE)
FULL = BEHIND_HARD_IP

BENCH = "bench_discovery"


def test_discovery(check):
    """One case of the bench on one device."""
    check()

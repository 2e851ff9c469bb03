"""Sequences of real drivers: statements LEG-51 to LEG-53 of the test plan."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = BEHIND_HARD_IP

BENCH = "bench_driver"


def test_driver(check):
    """One case of the bench on one device."""
    check()

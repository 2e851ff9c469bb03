"""Sequences of real drivers: statements LEG-51 to LEG-53 of the test plan."""

from system.devices import SERIES7, ULTRASCALE, USUAL

DEVICES = USUAL
FULL = (*ULTRASCALE, *SERIES7)

BENCH = "bench_driver"


def test_driver(check):
    """One case of the bench on one device."""
    check()

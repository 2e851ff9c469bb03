"""The legacy window, register by register: statements LEG-01 to LEG-50 and LEG-54 of the test plan."""

from system.devices import SERIES7, ULTRASCALE, USUAL

DEVICES = USUAL
FULL = (*ULTRASCALE, *SERIES7)

BENCH = "bench_legacy"


def test_legacy(check):
    """One case of the bench on one device."""
    check()

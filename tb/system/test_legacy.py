"""The legacy window, register by register: statements LEG-01 to LEG-50 and LEG-54 of the test plan."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = BEHIND_HARD_IP

BENCH = "bench_legacy"


def test_legacy(check):
    """One case of the bench on one device."""
    check()

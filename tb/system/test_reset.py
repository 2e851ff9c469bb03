"""The core's reset input, at any moment."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = BEHIND_HARD_IP

BENCH = "bench_reset"


def test_reset(check):
    """One case of the bench on one device."""
    check()

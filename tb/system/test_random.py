"""Random packets against the golden model, at every width."""

from system.devices import EVERY, SERIES7

DEVICES = (*EVERY, "transitional", "series7-transitional")
FULL = SERIES7

BENCH = "bench_random"


def test_random(check):
    """One case of the bench on one device."""
    check()

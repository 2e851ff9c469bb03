"""The core's reset input, at any moment."""

from system.devices import ULTRASCALE, USUAL

DEVICES = USUAL
FULL = ULTRASCALE

BENCH = "bench_reset"


def test_reset(check):
    """One case of the bench on one device."""
    check()

"""The core's reset input, at any moment."""

from system.devices import SERIES7, ULTRASCALE, USUAL

DEVICES = USUAL
FULL = (*ULTRASCALE, *SERIES7)

BENCH = "bench_reset"


def test_reset(check):
    """One case of the bench on one device."""
    check()

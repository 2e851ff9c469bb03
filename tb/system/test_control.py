"""The control page: statements MMR-20 to MMR-25 of the test plan."""

from system.devices import SERIES7, ULTRASCALE, USUAL

DEVICES = USUAL
FULL = (*ULTRASCALE, *SERIES7)

BENCH = "bench_control"


def test_control(check):
    """One case of the bench on one device."""
    check()

"""The transaction layer: statements TLP-01 to TLP-22 of the test plan."""

from system.devices import EVERY, SERIES7, ULTRASCALE

DEVICES = EVERY
FULL = (*ULTRASCALE, *SERIES7)

BENCH = "bench_transport"


def test_transport(check):
    """One case of the bench on one device."""
    check()

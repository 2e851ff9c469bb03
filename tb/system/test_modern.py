"""The modern interface: statements MOD-01 to MOD-24 of the test plan."""

from system.devices import MODERN, MODERN_TOO, VIRTUAL_DEVICES

DEVICES, BROAD = (*MODERN, *VIRTUAL_DEVICES), MODERN_TOO
FULL = ("series7-transitional", "pcie4-transitional")

BENCH = "bench_modern"


def test_modern(check):
    """One case of the bench on one device."""
    check()

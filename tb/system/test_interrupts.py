"""Interrupts: statements MSX-01 to MSX-06, LEG-42 to LEG-44 and CFG-16 of the test plan."""

from system.devices import MODERN, MODERN_TOO, ULTRASCALE, USUAL, USUAL_TOO

DEVICES, BROAD = (*USUAL, *MODERN, "series7-net-128"), (*USUAL_TOO, *MODERN_TOO)
FULL = (*ULTRASCALE, "pcie4-virtual", "series7-net-64", "series7-transitional")

BENCH = "bench_interrupts"


def test_interrupts(check):
    """One case of the bench on one device."""
    check()

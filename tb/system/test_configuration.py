"""Configuration space over TLPs: statements CFG-01 to CFG-15 of the test plan, and the MSI-X table."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = BEHIND_HARD_IP

BENCH = "bench_configuration"


def test_configuration(check):
    """One case of the bench on one device."""
    check()

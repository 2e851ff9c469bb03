"""The control page: statements MMR-20 to MMR-25 of the test plan."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = BEHIND_HARD_IP

BENCH = "bench_control"


def test_control(check):
    """One case of the bench on one device."""
    check()

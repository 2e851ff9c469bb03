"""Random packets against the golden model, at every width."""

from system.devices import BEHIND_HARD_IP, EVERY

DEVICES = (*EVERY, "transitional", "series7-transitional", "pcie4-transitional")
FULL = BEHIND_HARD_IP

BENCH = "bench_random"


def test_random(check):
    """One case of the bench on one device."""
    check()

"""Random packets against the golden model, at every width."""

from system.devices import EVERY

DEVICES = (*EVERY, "transitional")

BENCH = "bench_random"


def test_random(check):
    """One case of the bench on one device."""
    check()

"""Guests through the hypervisor on the simulated core."""

from system.devices import BEHIND_HARD_IP

DEVICES, BROAD = ("net-128",), ("block", "rng")
FULL = BEHIND_HARD_IP

BENCH = "bench_hypervisor"


def test_hypervisor(check):
    """One case of the bench on one device."""
    check()

"""Guests through the hypervisor on the simulated core."""

DEVICES = ("net-128", "block", "rng")
FULL = ("pcie4-128", "series7-dma-128")

BENCH = "bench_hypervisor"


def test_hypervisor(check):
    """One case of the bench on one device."""
    check()

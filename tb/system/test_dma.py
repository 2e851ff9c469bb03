"""DMA of the back end through the generated ports."""

from system.devices import BEHIND_EACH_KIND

DEVICES = ("net-128", *BEHIND_EACH_KIND)
FULL = ("dma-64", "pcie4-64", "pcie4-256", "series7-net-64")

BENCH = "bench_dma"


def test_dma(check):
    """One case of the bench on one device."""
    check()

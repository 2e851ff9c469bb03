"""DMA of the back end through the generated ports."""

from system.devices import REACHING

DEVICES = (*REACHING, "pcie4-64", "series7-dma-64")
FULL = ("pcie4-128", "pcie4-256", "series7-dma-128")

BENCH = "bench_dma"


def test_dma(check):
    """One case of the bench on one device."""
    check()

"""DMA of the back end through the generated ports."""

from system.devices import REACHING as DEVICES  # noqa: F401

BENCH = "bench_dma"


def test_dma(check):
    """One case of the bench on one device."""
    check()

"""An independent root complex enumerates the device: parts of MMR, CFG and LEG of the test plan."""

from system.devices import USUAL

DEVICES = (*USUAL, "pcie4-128", "series7-dma-128")
FULL = ("pcie4-64", "pcie4-256", "pcie4c-128", "series7-dma-64")

BENCH = "bench_enumeration"


def test_enumeration(check):
    """One case of the bench on one device."""
    check()

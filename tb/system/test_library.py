"""The UltraScale+ adapter on a model of the block that was not written for this project."""

DEVICES = ("pcie4-128",)
FULL = ("pcie4-64", "pcie4-256", "pcie4c-128")

BENCH = "bench_library"


def test_library(check):
    """One case of the bench on one device."""
    check()

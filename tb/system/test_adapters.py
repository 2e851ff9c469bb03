"""What the adapters to hard IP add to the endpoint."""

DEVICES = ("pcie4-128",)
FULL = ("pcie4-64", "pcie4-256", "pcie4c-128", "pcie4-virtual")

BENCH = "bench_adapters"


def test_adapters(check):
    """One case of the bench on one device."""
    check()

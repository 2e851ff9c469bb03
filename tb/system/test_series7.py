"""Beside AMD's 7-series block."""

DEVICES = ("series7-net-128",)
FULL = ("series7-net-64",)

BENCH = "bench_series7"


def test_series7(check):
    """One case of the bench on one device."""
    check()

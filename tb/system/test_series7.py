"""Beside AMD's 7-series block."""

from system.devices import SERIES7 as DEVICES  # noqa: F401

BENCH = "bench_series7"


def test_series7(check):
    """One case of the bench on one device."""
    check()

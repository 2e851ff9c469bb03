"""Recorded guests over TLPs, on the devices that they were recorded on."""

from system.devices import GOLDEN_DEVICES

DEVICES, BROAD, FULL = (), GOLDEN_DEVICES[:1], GOLDEN_DEVICES[1:]

BENCH = "bench_golden"


def test_golden(check):
    """One case of the bench on one device."""
    check()

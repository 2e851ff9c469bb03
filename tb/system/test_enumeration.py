"""An independent root complex enumerates the device: parts of MMR, CFG and LEG of the test plan."""

from system.devices import USUAL as DEVICES  # noqa: F401

BENCH = "bench_enumeration"


def test_enumeration(check):
    """One case of the bench on one device."""
    check()

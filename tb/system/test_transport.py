"""The transaction layer: statements TLP-01 to TLP-22 of the test plan."""

from system.devices import BEHIND_HARD_IP, USUAL, USUAL_TOO, WIDE

DEVICES, BROAD = USUAL, USUAL_TOO
FULL = (*WIDE, *BEHIND_HARD_IP)

BENCH = "bench_transport"


def test_transport(check):
    """One case of the bench on one device."""
    check()

"""Random packets against the golden model; at every width with ``--full``."""

from system.devices import BEHIND_EACH_KIND, MODERN, USUAL, USUAL_TOO, WIDE

DEVICES, BROAD = (*USUAL, *MODERN, *BEHIND_EACH_KIND), USUAL_TOO
FULL = (*WIDE, "pcie4-64", "pcie4-256", "pcie4-transitional", "series7-net-64", "series7-transitional")

BENCH = "bench_random"


def test_random(check):
    """One case of the bench on one device."""
    check()

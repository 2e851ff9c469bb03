"""The example tops beside hard IP, with models of the blocks inside of them."""

DEVICES, BROAD, FULL = (), ("card-7series",), ("card-ultrascale",)

BENCH = "bench_cards"


def test_cards(check):
    """One case of the bench on one card."""
    check()

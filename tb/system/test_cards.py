"""The example tops beside hard IP, with models of the blocks inside of them."""

DEVICES = ("card-7series",)
FULL = ("card-ultrascale",)

BENCH = "bench_cards"


def test_cards(check):
    """One case of the bench on one card."""
    check()

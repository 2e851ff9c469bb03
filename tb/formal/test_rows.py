"""Rows in block RAM behave as registers would, whatever the RAM shows in a collision."""

from amaranth.hdl import Signal, unsigned
from formal.proof import proof
from virtio_mmr.gateware.state.rows import RowStore
from virtio_mmr_sim.formal import Harness, Mode


def rows(latency: int) -> Harness:
    """A store of four rows; one of them, whichever it is, is followed in a register."""
    h = Harness()
    dut = h.add(RowStore(unsigned(2), 4, latency=latency))
    mine = h.constant(2, "mine")
    kept = Signal(2)
    shown = Signal(latency + 1)
    h.m.d.sync += shown.eq(shown << 1 | 1)
    here = shown[latency - 1] & (dut.number == mine)
    h.assume(~dut.change | shown[latency - 1])
    with h.m.If(here & dut.change):
        h.m.d.sync += kept.eq(dut.new)
    h.check(~here | (dut.row == kept))
    looks = [dut.look]
    for _ in range(latency):
        looks.append(h.past(looks[-1], "looked"))
    h.check(~shown[latency - 1] | (dut.number == looks[latency]))
    h.cover(here & (kept == 3) & h.past(here & dut.change & (kept == 2)))
    h.cover(here & (kept == 3) & ~h.past(here) & h.past(h.past(here & dut.change & (kept == 2))))
    return h


CLAIM = "a row shows every change from the clock after it on, at every distance of look and change"


@proof(CLAIM + " (the selected queue's place)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_a_clock_ahead():
    return rows(1)


@proof(CLAIM + " (queues)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_two_clocks_ahead():
    return rows(2)


@proof(CLAIM + " (functions)", block="RowStore", mode=Mode.BOUNDED, depth=10, cover=9)
def test_rows_three_clocks_ahead():
    return rows(3)

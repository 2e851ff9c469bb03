"""A coarse clock: how long ago something happened, in a few bits."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

#: Bits of a stamp.
STAMP = 4


class Age(wiring.Component):
    """Counts eighths of a time-out.

    What carries a stamp of `now` is `expired` between one time-out and nine eighths of it later, and until
    fifteen eighths; whoever asks must ask more often than that.

    Parameters
    ----------
    timeout
        Clock cycles, at least 16.

    Members
    -------
    hold : In(1)
        This clock does not count.
    now : Out(4)
    """

    def __init__(self, timeout: int):
        if timeout < 16:
            raise ValueError(f"a time-out of {timeout} clocks is too short to count in eighths; use at least 16")
        self._eighth = timeout // 8
        super().__init__({"hold": In(1), "now": Out(STAMP)})

    def elaborate(self, platform):
        m = Module()
        clocks = Signal(range(self._eighth))
        # The end of an eighth is seen a clock late, which keeps the comparison out of the counter's path.
        over = Signal()
        with m.If(~self.hold):
            m.d.sync += [over.eq(clocks == self._eighth - 2), clocks.eq(clocks + 1)]
            with m.If(over):
                m.d.sync += [clocks.eq(0), self.now.eq(self.now + 1)]
        return m


class Expired(wiring.Component):
    """Whether a stamp is a time-out old.

    Members
    -------
    now, stamp : In(4)
    expired : Out(1)
    """

    now: In(STAMP)
    stamp: In(STAMP)
    expired: Out(1)

    def elaborate(self, platform):
        m = Module()
        age = Signal(STAMP)
        m.d.comb += [age.eq(self.now - self.stamp), self.expired.eq(age > 8)]
        return m

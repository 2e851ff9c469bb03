"""Rows of state in block RAM, one a clock, with every change seen by the very next look."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class RowStore(wiring.Component):
    """Reads a row ahead of its use and changes it in the clock of its use.

    A look that was given in one clock shows its row `latency` clocks later; the row that is shown may be replaced
    in that clock. One look and one change a clock, whichever rows they are of: what a look cannot find in the RAM
    yet, because it is being written or will be, is handed on to it. The RAM's answer in a clock in which the same
    row is written is not used.

    Cost: `latency` rows of registers beside the RAM (none for a latency of 1, but for the last change), and
    nothing that grows with `count` but the RAM.

    Parameters
    ----------
    shape
        Shape of a row.
    count
        Number of rows.
    latency
        Clocks from look to use, at least 1. With 1 the RAM's output is used as it comes, which is late in the clock.
    init
        Contents at power up, a row each; zero where there is none. A reset does not bring them back.

    Members
    -------
    look : In(range(count))
        A row that is wanted later.
    number : Out(range(count))
        Number of the row that is shown.
    row : Out(shape)
    change : In(1), new : In(shape)
        The row that is shown becomes this.
    """

    def __init__(self, shape, count: int, *, latency: int, init=()):
        if latency < 1:
            raise ValueError(f"a row store has a latency of {latency}; block RAM needs at least 1")
        self._count = count
        self._latency = latency
        self._init = init
        super().__init__({
            "look": In(range(max(count, 2))),
            "number": Out(range(max(count, 2))),
            "row": Out(shape),
            "change": In(1),
            "new": In(shape),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=self.row.shape(), depth=self._count, init=self._init,
            attrs={"no_rw_check": 1, "ram_style": "block"})
        read, write = rows.read_port(), rows.write_port()
        m.d.comb += [
            read.addr.eq(self.look),
            write.addr.eq(self.number),
            write.data.eq(self.new),
            write.en.eq(self.change),
        ]

        # The change of the clock before, which the RAM may not have shown.
        changed, last_number, last = Signal(), Signal.like(self.number), Signal.like(self.new)
        m.d.sync += [changed.eq(self.change), last_number.eq(self.number), last.eq(self.new)]

        number = Signal.like(self.look)
        m.d.sync += number.eq(self.look)
        row = Signal.like(self.row)
        m.d.comb += row.eq(Mux(changed & (last_number == number), last, read.data))
        for _ in range(self._latency - 1):
            # On its way, a row follows what happens to it.
            next_number, next_row = Signal.like(number), Signal.like(row)
            overtaken = self.change & (self.number == number)
            m.d.sync += [next_number.eq(number), next_row.eq(Mux(overtaken, self.new, row))]
            number, row = next_number, next_row
        m.d.comb += [self.number.eq(number), self.row.eq(row)]
        return m

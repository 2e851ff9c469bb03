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

    Cost: a row of registers beside the RAM with a latency of 1, and one more than `latency` else; nothing that grows
    with `count` but the RAM.

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
    apart
        The RAM is asked for a row by a number of its own, which may come earlier in the clock than `look`.
    early
        With a latency of 2: `look` comes early enough in its clock to be compared with the one before. Much follows
        from that, and so it stands in a register. Not with `elsewhere`.
    elsewhere
        A change names its row, which need not be the one that is shown.

    Members
    -------
    look : In(range(count))
        A row that is wanted later.
    number : Out(range(count))
        Number of the row that is shown.
    row : Out(shape)
    change : In(1), new : In(shape)
        The row that is shown becomes this.
    changed_number : In(range(count))
        The row that becomes `new`, and not the one that is shown. Only with `elsewhere`.
    coming_number : Out(range(count)), coming : Out(shape)
        What the next clock will show, with this clock's change in it; it is as late in the clock as `new`. Only with a
        latency of 2 or more.
    overtaken : Out(1), unchanged : Out(shape)
        This clock's change is of the row that comes; that row without it. Likewise.
    handed : Out(1), handed_on : Out(shape), stored : Out(shape)
        With a latency of 2, where `unchanged` is from: what was handed on, or else what is stored.
    fetch : In(range(count))
        With `apart`: the row that the RAM is asked for. Where that is not `look`, what is shown may be that row under
        the other's number.
    """

    def __init__(self, shape, count: int, *, latency: int, init=(), apart: bool = False, early: bool = False,
                 elsewhere: bool = False):
        if latency < 1:
            raise ValueError(f"a row store has a latency of {latency}; block RAM needs at least 1")
        if early and (latency != 2 or elsewhere):
            raise ValueError(
                f"early with latency {latency} and elsewhere {elsewhere}; a row store needs 2 and False for it")
        self._count = count
        self._latency = latency
        self._init = init
        self._apart = apart
        self._early = early
        self._elsewhere = elsewhere
        super().__init__({
            "look": In(range(max(count, 2))),
            "number": Out(range(max(count, 2))),
            "row": Out(shape),
            "change": In(1),
            "new": In(shape),
            **({"changed_number": In(range(max(count, 2)))} if elsewhere else {}),
            **({"coming_number": Out(range(max(count, 2))), "coming": Out(shape),
                "overtaken": Out(1), "unchanged": Out(shape)} if latency > 1 else {}),
            **({"handed": Out(1), "handed_on": Out(shape), "stored": Out(shape)} if latency == 2 else {}),
            **({"fetch": In(range(max(count, 2)))} if apart else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=self.row.shape(), depth=self._count, init=self._init,
            attrs={"no_rw_check": 1, "ram_style": "block"})
        read, write = rows.read_port(), rows.write_port()
        target = self.changed_number if self._elsewhere else self.number
        # Changes that the RAM has not shown yet: that of the clock before and, because a change comes late in its clock
        # and the RAM's inputs are far away, the one before that, which reached the RAM a clock later.
        changes = [(self.change, target, self.new)]
        for _ in range(1 if self._latency == 1 else 2):
            changes.append(tuple(Signal.like(part) for part in changes[-1]))
            m.d.sync += [later.eq(part) for later, part in zip(changes[-1], changes[-2], strict=True)]
        written = changes[-2]
        m.d.comb += [
            read.addr.eq(self.fetch if self._apart else self.look),
            write.en.eq(written[0]),
            write.addr.eq(written[1]),
            write.data.eq(written[2]),
        ]

        number = Signal.like(self.look)
        m.d.sync += number.eq(self.look)
        row = Signal.like(self.row)
        m.d.comb += row.eq(read.data)
        for changed, changed_number, changed_row in reversed(changes[1:]):
            with m.If(changed & (changed_number == number)):
                m.d.comb += row.eq(changed_row)
        # Whether this clock's change is of the row that comes. Where both are shown one behind the other, that is found
        # out a clock ahead, because much follows from it.
        coincides = target == number
        if self._early:
            coincides = Signal(init=1)
            m.d.sync += coincides.eq(self.look == number)
        if self._latency == 2:
            m.d.comb += [self.stored.eq(read.data), self.handed_on.eq(changes[-1][2])]
            for happened, its_number, its_row in reversed(changes[1:]):
                with m.If(happened & (its_number == number)):
                    m.d.comb += [self.handed.eq(1), self.handed_on.eq(its_row)]
        for stage in range(self._latency - 1):
            # On its way, a row follows what happens to it.
            next_number, next_row = Signal.like(number), Signal.like(row)
            overtaken = self.change & (coincides if stage == 0 else target == number)
            onward = Mux(overtaken, self.new, row)
            m.d.sync += [next_number.eq(number), next_row.eq(onward)]
            if stage == self._latency - 2:
                m.d.comb += [
                    self.coming_number.eq(number),
                    self.coming.eq(onward),
                    self.overtaken.eq(overtaken),
                    self.unchanged.eq(row),
                ]
            number, row = next_number, next_row
        m.d.comb += [self.number.eq(number), self.row.eq(row)]
        return m

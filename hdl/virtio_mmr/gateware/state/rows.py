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

    Cost: a row of registers beside the RAM with a latency of 1, and one more than `latency` else, or two more with
    `behind`; nothing that grows with `count` but the RAM.

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
        The RAM is asked for rows by two numbers of their own, which come earlier in the clock than `look` and than the
        choice between them. That takes the RAM twice. Implies `behind`.
    behind
        With a latency of 2 or more: what the RAM answers and what may take its place stand in registers of their own,
        and the choice is made behind them. So nothing is between the RAM and a register, and the row comes later in
        its clock.
    late_bits
        With a latency of 2: so many of the lowest bits of `look` come too late in their clock to be compared with those
        of before, and the others do not. Much follows from that, and so it stands in a register. None if all are late.
        Not with `elsewhere`.
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
    fetch : In(range(count)).array(2), second : In(1)
        With `apart`: the rows that the RAM is asked for, and which of them counts. Where that is not `look`, what is
        shown may be that row under the other's number.
    """

    def __init__(self, shape, count: int, *, latency: int, init=(), apart: bool = False, behind: bool = False,
                 late_bits: int | None = None, elsewhere: bool = False):
        if latency < 1:
            raise ValueError(f"a row store has a latency of {latency}; block RAM needs at least 1")
        if behind and latency < 2:
            raise ValueError(f"behind with a latency of {latency}; a choice behind registers takes at least 2")
        if late_bits is not None and (latency != 2 or elsewhere):
            raise ValueError(
                f"late_bits with latency {latency} and elsewhere {elsewhere}; a row store needs 2 and False for it")
        self._count = count
        self._latency = latency
        self._init = init
        self._apart = apart
        self._behind = behind or apart
        self._late_bits = late_bits
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
            **({"fetch": In(range(max(count, 2))).array(2), "second": In(1)} if apart else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=self.row.shape(), depth=self._count, init=self._init,
            attrs={"no_rw_check": 1, "ram_style": "block"})
        write = rows.write_port()
        asked = list(self.fetch) if self._apart else [self.look]
        answers = [rows.read_port() for _ in asked]
        m.d.comb += [read.addr.eq(number) for read, number in zip(answers, asked, strict=True)]
        stored = answers[0].data
        if self._apart:
            second = Signal()
            m.d.sync += second.eq(self.second)
            stored = Mux(second, *(read.data for read in reversed(answers)))
        target = self.changed_number if self._elsewhere else self.number
        # Changes that the RAM has not shown yet: that of the clock before and, because a change comes late in its clock
        # and the RAM's inputs are far away, the one before that, which reached the RAM a clock later.
        changes = [(self.change, target, self.new)]
        for _ in range(1 if self._latency == 1 else 2):
            changes.append(tuple(Signal.like(part) for part in changes[-1]))
            m.d.sync += [later.eq(part) for later, part in zip(changes[-1], changes[-2], strict=True)]
        written = changes[-2]
        m.d.comb += [
            write.en.eq(written[0]),
            write.addr.eq(written[1]),
            write.data.eq(written[2]),
        ]

        number = Signal.like(self.look)
        m.d.sync += number.eq(self.look)
        # Which of the changes are of the row that comes. Much follows from that, so it is found out a clock ahead where
        # that can be: the changes are of the rows that were shown, one behind the other.
        coincide = [its_number == number for _, its_number, _ in changes]
        if self._late_bits is not None:
            low, high = slice(self._late_bits), slice(self._late_bits, None)
            same_high = [Signal(init=1, name=f"same_high_{i}") for i in range(len(changes))]
            shown_before = [number, *(its_number for _, its_number, _ in changes[:-1])]
            m.d.sync += [same.eq(self.look[high] == before[high])
                         for same, before in zip(same_high, shown_before, strict=True)]
            coincide = [same & (its_number[low] == number[low])
                        for same, (_, its_number, _) in zip(same_high, changes, strict=True)]
        handed, handed_on = Signal(), Signal.like(self.row)
        for same, (changed, _, changed_row) in reversed(list(zip(coincide, changes, strict=True))[1:]):
            with m.If(changed & same):
                m.d.comb += [handed.eq(1), handed_on.eq(changed_row)]
        row = Signal.like(self.row)
        m.d.comb += row.eq(Mux(handed, handed_on, stored))
        if self._latency == 2:
            m.d.comb += [self.stored.eq(stored), self.handed.eq(handed), self.handed_on.eq(handed_on)]
        for stage in range(self._latency - 1):
            # On its way, a row follows what happens to it.
            next_number, next_row = Signal.like(number), Signal.like(row)
            m.d.sync += next_number.eq(number)
            if stage > 0:
                overtaken = self.change & (target == number)
                onward = Mux(overtaken, self.new, row)
                m.d.sync += next_row.eq(onward)
            else:
                # The RAM's answer is late. What may take its place stands ready, so that nothing but that choice is
                # between the RAM and a register. Where there was a choice of answers already, it is behind it.
                overtaken = self.change & coincide[0]
                replaced, instead = Signal(attrs={"keep": 1}), Signal.like(row, attrs={"keep": 1})
                m.d.comb += [
                    replaced.eq(overtaken | handed),
                    instead.eq(Mux(overtaken, self.new, handed_on)),
                ]
                onward = Mux(replaced, instead, stored)
                if not self._behind:
                    m.d.sync += next_row.eq(onward)
                else:
                    choices = [replaced, instead, stored]
                    chosen = [Signal(), Signal.like(row), Signal.like(row)]
                    m.d.sync += [then.eq(now) for then, now in zip(chosen, choices, strict=True)]
                    m.d.comb += next_row.eq(Mux(*chosen))
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

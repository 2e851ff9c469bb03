"""A queue in block RAM with a registered head."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class BlockQueue(wiring.Component):
    """First in, first out; three clocks from end to end, then one item a clock.

    `amaranth.lib.fifo` has the same contract but cannot be told to stay out of LUT RAM. The head is a register
    of its own, because a block RAM takes half a clock to show what it read.

    Parameters
    ----------
    shape
        Shape of an item.
    depth
        Items that fit, a power of two.

    Members
    -------
    entries : In(stream.Signature(shape))
    head : Out(stream.Signature(shape))
    empty : Out(1)
        Nothing was inside a clock ago, not even on its way to the head, and nothing came.
    stored : Out(range(depth + 1))
        Items that the RAM holds and has not shown yet; two more fit behind it.
    """

    def __init__(self, shape, depth: int):
        self._shape = shape
        self._depth = depth
        super().__init__({
            "entries": In(stream.Signature(shape)),
            "head": Out(stream.Signature(shape)),
            "empty": Out(1),
            "stored": Out(range(depth + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=self._shape, depth=self._depth, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
        write, read = store.write_port(), store.read_port()
        stored = self.stored
        first, last = Signal(range(self._depth)), Signal(range(self._depth))
        # `shown`: the RAM shows an item that the head has not taken.
        push, fetch, shown, move = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.entries.ready.eq(stored != self._depth),
            push.eq(self.entries.valid & self.entries.ready),
            write.addr.eq(last),
            write.data.eq(self.entries.p),
            write.en.eq(push),
            read.addr.eq(first),
            read.en.eq(fetch),
            move.eq(shown & (~self.head.valid | self.head.ready)),
            fetch.eq((stored != 0) & (~shown | move)),
        ]
        with m.If(move):
            m.d.sync += self.head.p.eq(read.data)
        m.d.sync += [
            self.empty.eq((stored == 0) & ~shown & ~self.head.valid & ~push),
            last.eq(last + push),
            first.eq(first + fetch),
            stored.eq(stored + push - fetch),
            shown.eq(fetch | (shown & ~move)),
            self.head.valid.eq(move | (self.head.valid & ~self.head.ready)),
        ]
        return m

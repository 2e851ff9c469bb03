"""A queue in block RAM whose head is the RAM's own output register."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class BlockQueue(wiring.Component):
    """First in, first out; two clocks from end to end, then one item a clock.

    `amaranth.lib.fifo` has the same contract but cannot be told to stay out of LUT RAM.

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
        Nothing is inside, not even on its way to the head.
    """

    def __init__(self, shape, depth: int):
        self._shape = shape
        self._depth = depth
        super().__init__({
            "entries": In(stream.Signature(shape)),
            "head": Out(stream.Signature(shape)),
            "empty": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(
            shape=self._shape, depth=self._depth, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
        write, read = store.write_port(), store.read_port()
        # Items that the RAM holds and the head does not.
        stored = Signal(range(self._depth + 1))
        first, last = Signal(range(self._depth)), Signal(range(self._depth))
        push, fetch = Signal(), Signal()
        m.d.comb += [
            self.entries.ready.eq(stored != self._depth),
            push.eq(self.entries.valid & self.entries.ready),
            write.addr.eq(last),
            write.data.eq(self.entries.p),
            write.en.eq(push),
            read.addr.eq(first),
            read.en.eq(fetch),
            self.head.p.eq(read.data),
            fetch.eq((stored != 0) & (~self.head.valid | self.head.ready)),
            self.empty.eq((stored == 0) & ~self.head.valid),
        ]
        m.d.sync += [
            last.eq(last + push),
            first.eq(first + fetch),
            stored.eq(stored + push - fetch),
            self.head.valid.eq(Mux(fetch, 1, self.head.valid & ~self.head.ready)),
        ]
        return m

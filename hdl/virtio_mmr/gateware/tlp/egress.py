"""The way out: packets leave whole, in the order in which they were handed in.

Specification: PCI Express Base 5.0, 2.4.1 (ordering). Messages of interrupts come before completions: an
interrupt may pass a completion that was handed in before it, and none that was handed in after it passes the
interrupt.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .beat import raw_beat


class TlpEgress(wiring.Component):
    """Joins the sources of packets; a packet that has begun is not interrupted.

    Latency: none. Sources are served by number, at packet boundaries.

    Members
    -------
    sources : In(stream.Signature(raw_beat(width))).array(count)
    beats : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int, count: int = 1):
        self._count = count
        super().__init__({
            "sources": In(stream.Signature(raw_beat(width))).array(count),
            "beats": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        if self._count == 1:
            wiring.connect(m, wiring.flipped(self.sources[0]), wiring.flipped(self.beats))
            return m

        self._owner = owner = Signal(range(max(self._count, 2)))
        self._held = held = Signal()
        chosen = Signal.like(owner)
        m.d.comb += chosen.eq(owner)
        with m.If(~held):
            for number in reversed(range(self._count)):
                with m.If(self.sources[number].valid):
                    m.d.comb += chosen.eq(number)
        with m.Switch(chosen):
            for number in range(self._count):
                source = self.sources[number]
                with m.Case(number):
                    m.d.comb += [
                        self.beats.valid.eq(source.valid),
                        self.beats.p.eq(source.p),
                        source.ready.eq(self.beats.ready),
                    ]
        # Once offered, a packet keeps its place until its last beat has gone.
        with m.If(self.beats.valid):
            m.d.sync += [owner.eq(chosen), held.eq(~(self.beats.ready & self.beats.p.last))]
        return m

"""Raw TLPs on AXI4-Stream: header and payload in one row of dwords.

Bit 0 of lane 0 is bit 0 of header dword 0; header dwords are numbers, payload bytes little-endian.
There is no padding between header and payload.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.tlp.beat import raw_beat, tlp_beat


class RawReceiver(wiring.Component):
    """Puts the header beside the payload and the payload on lane 0.

    Latency: none from 128 bits on; at 64 bits the first of the two header beats is held for a clock.
    ``raw.ready`` follows ``beats.ready``. A packet that ends inside its header leaves as a beat whose
    ``last`` comes with ``truncated``.

    Members
    -------
    raw : In(stream.Signature(raw_beat(width)))
    beats : Out(stream.Signature(tlp_beat(width)))
    truncated : Out(1)
        The first beat on offer ends before its header does; its dwords are not to be believed.
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "raw": In(stream.Signature(raw_beat(width))),
            "beats": Out(stream.Signature(tlp_beat(width))),
            "truncated": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        raw, beats = self.raw, self.beats
        count = Signal(range(lanes + 1))
        m.d.comb += count.eq(sum(raw.p.keep[i] for i in range(lanes)))

        self._body = body = Signal()
        # Where the payload starts in the first beat, in dwords of the packet, is 3 or 4.
        long_header = Signal()
        if lanes == 2:
            held = Signal(64)
            self._half = half = Signal()
            m.d.comb += [
                long_header.eq(Mux(half, held[29], raw.p.data[29])),
                beats.p.header.eq(Cat(held, raw.p.data)),
            ]
            before = 2
            header_here = half
        else:
            m.d.comb += [
                long_header.eq(raw.p.data[29]),
                beats.p.header.eq(raw.p.data[:128]),
            ]
            before = 0
            header_here = ~body

        words = [raw.p.data[32 * i:32 * i + 32] for i in range(lanes)]
        at = 3 - before
        # A lane that has no payload dword behind the header shows anything.
        with m.If(body):
            m.d.comb += [beats.p.data.eq(raw.p.data), beats.p.dwords.eq(count)]
        with m.Elif(long_header):
            m.d.comb += [
                beats.p.data.eq(Cat(*words[at + 1:], *words[lanes - at - 1:])),
                beats.p.dwords.eq(Mux(count > at, count - (at + 1), 0)),
                self.truncated.eq(count < at + 1),
            ]
        with m.Else():
            m.d.comb += [
                beats.p.data.eq(Cat(*words[at:], *words[lanes - at:])),
                beats.p.dwords.eq(Mux(count > at - 1, count - at, 0)),
                self.truncated.eq(count < at),
            ]
        if lanes == 4:
            # Only one payload dword can stand behind a header: no lane but the first ever moves.
            m.d.comb += beats.p.data.eq(Cat(Mux(body, words[0], words[3]), *words[1:]))

        m.d.comb += [beats.p.first.eq(~body), beats.p.last.eq(raw.p.last)]
        transferred = raw.valid & raw.ready
        if lanes == 2:
            # A packet that ends in its first half has no second half: it leaves at once, truncated.
            short = ~half & ~body & raw.p.last
            with m.If(short):
                m.d.comb += self.truncated.eq(1)
            m.d.comb += [
                beats.valid.eq(raw.valid & (body | header_here | short)),
                raw.ready.eq(Mux(body | header_here | short, beats.ready, 1)),
            ]
            with m.If(transferred):
                with m.If(~body & ~half):
                    m.d.sync += [held.eq(raw.p.data), half.eq(~raw.p.last)]
                with m.Else():
                    m.d.sync += [half.eq(0), body.eq(~raw.p.last)]
        else:
            m.d.comb += [beats.valid.eq(raw.valid), raw.ready.eq(beats.ready)]
            with m.If(transferred):
                m.d.sync += body.eq(~raw.p.last)
        return m


class RawTransmitter(wiring.Component):
    """Puts header and payload back into one row of dwords, behind a register.

    A first beat carries as many payload dwords as fit behind its header, in the half of it that holds the last
    header dword at 64 bits: so no dword behind the first beat changes its lane. Latency: one clock to the first
    beat. Once a packet has begun, beats follow as fast as ``beats`` offers them.

    Members
    -------
    beats : In(stream.Signature(tlp_beat(width)))
    raw : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "beats": In(stream.Signature(tlp_beat(width))),
            "raw": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        beats, raw = self.beats, self.raw
        free = Signal()
        m.d.comb += free.eq(~raw.valid | raw.ready)

        header = beats.p.header
        long_header = header[29]
        keep = Signal(lanes)
        word = Signal(self._width)
        last = Signal()
        take = Signal(init=1)
        if lanes == 2:
            self._half = half = Signal()
            with m.If(beats.p.first & ~half):
                m.d.comb += [word.eq(header[:64]), keep.eq(0b11), last.eq(0), take.eq(0)]
            with m.Elif(beats.p.first):
                m.d.comb += [word.eq(Cat(header[64:96], Mux(long_header, header[96:], beats.p.data[:32]))),
                             keep.eq(Cat(1, long_header | (beats.p.dwords != 0))), last.eq(beats.p.last), take.eq(1)]
            with m.Else():
                m.d.comb += [word.eq(beats.p.data), keep.eq(Cat(1, beats.p.dwords[1])), last.eq(beats.p.last),
                             take.eq(1)]
            with m.If(free & beats.valid & beats.p.first):
                m.d.sync += half.eq(~half)
        else:
            filled = Signal(range(lanes + 1))
            m.d.comb += [last.eq(beats.p.last), take.eq(1),
                         keep.eq(Cat(filled > i for i in range(lanes)))]
            with m.If(beats.p.first):
                m.d.comb += [
                    word.eq(Mux(long_header, Cat(header, beats.p.data), Cat(header[:96], beats.p.data))),
                    filled.eq(beats.p.dwords + 3 + long_header),
                ]
            with m.Else():
                m.d.comb += [word.eq(beats.p.data), filled.eq(beats.p.dwords)]

        m.d.comb += beats.ready.eq(free & take)
        with m.If(free):
            m.d.sync += [
                raw.valid.eq(beats.valid),
                raw.p.data.eq(word),
                raw.p.keep.eq(keep),
                raw.p.last.eq(last),
            ]
        return m

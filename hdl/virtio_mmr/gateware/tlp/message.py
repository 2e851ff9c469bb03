"""Packets that the endpoint sends of its own accord to interrupt the host.

Specification: PCI Express Base 5.0, 2.2.7 (memory requests), 2.2.8.1 (INTx messages).
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA, MESSAGE_LOCAL, TlpType

from .beat import MemoryHeader, raw_beat


class MsixMessage(data.Struct):
    """A memory write of one dword that interrupts the host."""

    function: unsigned(8)
    vector: unsigned(11)
    address: unsigned(64)
    dword: unsigned(32)


class _Packet(wiring.Component):
    """Cuts one short request, whose dwords stand still, into beats, and puts the requester into it.

    Members
    -------
    valid : In(1), done : Out(1)
        The packet is offered; its last beat is taken.
    requester : In(16)
        Added to the second dword, as it was in the clock before the packet was offered.
    dwords : In(32).array(5)
    five : In(1)
        All five count; otherwise the first four.
    beats : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int):
        self._lanes = width // 32
        super().__init__({
            "valid": In(1),
            "done": Out(1),
            "requester": In(16),
            "dwords": In(32).array(5),
            "five": In(1),
            "beats": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, beats = self._lanes, self.beats
        count = -(-5 // lanes)
        self._beat = beat = Signal(range(count))
        m.d.comb += [beats.valid.eq(self.valid), self.done.eq(beats.valid & beats.ready & beats.p.last)]
        # A packet on offer keeps its requester, whatever number the function is given meanwhile.
        requester = Signal(16)
        with m.If(~self.valid | self.done):
            m.d.sync += requester.eq(self.requester)
        dwords = [*self.dwords]
        dwords[1] = dwords[1] | Cat(C(0, 16), requester)
        with m.Switch(beat):
            for number in range(count):
                with m.Case(number):
                    here = range(lanes * number, min(lanes * number + lanes, 5))
                    m.d.comb += [
                        beats.p.data.eq(Cat(dwords[i] for i in here)),
                        beats.p.keep.eq(Cat(self.five if i == 4 else C(1) for i in here)),
                        beats.p.last.eq(~self.five if lanes * number + lanes == 4 else lanes * number + lanes > 4),
                    ]
        with m.If(beats.valid & beats.ready):
            m.d.sync += beat.eq(Mux(beats.p.last, 0, beat + 1))
        return m


class MessageBuilder(wiring.Component):
    """Makes a memory write of one dword of each message: three header dwords below 4 GiB, four from there on.

    Latency: none.

    Parameters
    ----------
    several
        There are several functions: a message tells its own.
    long_headers
        Four header dwords everywhere.

    Members
    -------
    message : In(stream.Signature(MsixMessage))
    requester : In(16)
        Bus, device and function number; with several functions those of number 0, whose device and function are 0.
    beats : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int, *, several: bool = False, long_headers: bool = False):
        self._width = width
        self._several = several
        self._long_headers = long_headers
        super().__init__({
            "message": In(stream.Signature(MsixMessage)),
            "requester": In(16),
            "beats": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.packet = packet = _Packet(self._width)
        self._packet = packet
        message, p = self.message, self.message.p
        header = Signal(MemoryHeader)
        low, high = p.address[:32], p.address[32:]
        long = C(1) if self._long_headers else high.any()
        m.d.comb += [
            header.length.eq(1),
            header.fmt.eq(Mux(long, 0b011, 0b010)),
            header.type.eq(TlpType.MEMORY.value),
            header.first_be.eq(0b1111),
            packet.requester.eq(self.requester),
            packet.valid.eq(message.valid),
            packet.five.eq(long),
            packet.dwords[0].eq(header.as_value()[:32]),
            packet.dwords[1].eq(header.as_value()[32:] | (p.function << 16 if self._several else 0)),
            packet.dwords[2].eq(Mux(long, high, low)),
            packet.dwords[3].eq(Mux(long, low, p.dword)),
            packet.dwords[4].eq(p.dword),
            message.ready.eq(packet.done),
        ]
        wiring.connect(m, packet.beats, wiring.flipped(self.beats))
        return m


class IntxMessenger(wiring.Component):
    """Tells the host of each change of a level, as messages Assert_INTA and Deassert_INTA.

    Latency: none. A change that is undone before its message has been taken is told twice or not at all.

    Members
    -------
    level : In(1)
    requester : In(16)
    beats : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "level": In(1),
            "requester": In(16),
            "beats": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.packet = packet = _Packet(self._width)
        self._packet = packet
        self._told = told = Signal()
        offered = Signal()
        header = Signal(MemoryHeader)
        m.d.comb += [
            header.fmt.eq(0b001),
            header.type.eq(TlpType.MESSAGE.value | MESSAGE_LOCAL),
            # The byte of the byte enables is the message code.
            header.first_be.eq(Mux(told, DEASSERT_INTA & 0xF, ASSERT_INTA & 0xF)),
            header.last_be.eq(Mux(told, DEASSERT_INTA >> 4, ASSERT_INTA >> 4)),
            packet.requester.eq(self.requester),
            packet.valid.eq(offered | (self.level != told)),
            packet.dwords[0].eq(header.as_value()[:32]),
            packet.dwords[1].eq(header.as_value()[32:]),
        ]
        m.d.sync += offered.eq(packet.valid & ~packet.done)
        with m.If(packet.done):
            m.d.sync += told.eq(~told)
        wiring.connect(m, packet.beats, wiring.flipped(self.beats))
        return m

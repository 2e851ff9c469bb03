"""What every stream, access port and packet stream of the core promises, as components to watch them.

Each contract only watches. On the side that is under proof it asserts; on the other it assumes, which
makes a free sender or receiver a lawful one.
"""

import enum

from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Side(enum.Enum):
    """Whether a contract is to be proved or taken for granted."""

    ASSERT = "assert"
    ASSUME = "assume"


def _state(m: Module, side: Side, condition) -> None:
    """Assert or assume *condition*; a failure names the line that states it."""
    m.d.comb += (Assert if side is Side.ASSERT else Assume)(condition, src_loc_at=1)


def _significant(payload) -> list:
    """Parts of a stream's payload that must not change while it waits."""
    shape = payload.shape()
    if not isinstance(shape, data.StructLayout) or not {"header", "dwords"} <= set(shape.members):
        return [Value.cast(payload)]
    lanes = len(payload.data) // 32
    return [Mux(payload.first, payload.header, 0), payload.dwords, payload.first, payload.last,
            *(Mux(lane < payload.dwords, payload.data[32 * lane:32 * lane + 32], 0) for lane in range(lanes))]


class StreamContract(wiring.Component):
    """Once offered, a word stays as it is until it is taken.

    Covers a transfer, and a word that had to wait.

    Parameters
    ----------
    width
        Bits of the payload.
    side
        Whether the sender is under proof.
    waits
        The receiver can make the sender wait; otherwise no cover asks for it.

    Members
    -------
    valid, ready : In(1)
    payload : In(width)
    """

    def __init__(self, width: int, side: Side = Side.ASSERT, *, waits: bool = True):
        self._side = side
        self._waits = waits
        super().__init__({"valid": In(1), "ready": In(1), "payload": In(width)})

    @classmethod
    def watch(cls, harness, name: str, port, side: Side = Side.ASSERT, *, also=(), waits: bool = True):
        """Add a contract for the stream *port* to *harness*; *also* are signals that belong to its payload.

        Of a `tlp_beat` only what means something counts: the header of a first beat, and lanes with payload.
        """
        payload = [*_significant(port.payload), *(Value.cast(extra) for extra in also)]
        contract = cls(sum(map(len, payload)), side, waits=waits)
        harness.m.submodules[f"contract_{name}"] = contract
        harness.m.d.comb += [
            contract.valid.eq(port.valid),
            contract.ready.eq(port.ready),
            contract.payload.eq(Cat(*payload)),
        ]
        return contract

    def elaborate(self, platform):
        m = Module()
        waiting = Signal()
        before = Signal.like(self.payload)
        m.d.sync += [waiting.eq(self.valid & ~self.ready), before.eq(self.payload)]
        _state(m, self._side, ~waiting | (self.valid & (self.payload == before)))
        if self._side is Side.ASSERT:
            m.d.comb += Cover(self.valid & self.ready & (waiting | (not self._waits)))
        return m


class AccessPortContract(wiring.Component):
    """A window answers in the clock of the access, and shows zero otherwise.

    Members
    -------
    valid, answered : In(1)
        ``access.valid`` and ``reply.valid``.
    data : In(32)
    """

    def __init__(self, side: Side = Side.ASSERT):
        self._side = side
        super().__init__({"valid": In(1), "answered": In(1), "data": In(32)})

    @classmethod
    def watch(cls, harness, name: str, port, side: Side = Side.ASSERT):
        """Add a contract for the access port *port* to *harness*."""
        contract = cls(side)
        harness.m.submodules[f"contract_{name}"] = contract
        harness.m.d.comb += [
            contract.valid.eq(port.access.valid),
            contract.answered.eq(port.reply.valid),
            contract.data.eq(port.reply.p.data),
        ]
        return contract

    def elaborate(self, platform):
        m = Module()
        _state(m, self._side, self.answered == self.valid)
        _state(m, self._side, self.valid | (self.data == 0))
        if self._side is Side.ASSERT:
            m.d.comb += Cover(self.answered & (self.data != 0))
        return m


class PacketContract(wiring.Component):
    """Beats form packets: ``first`` exactly behind ``last``, payload only where there may be some.

    A `tlp_beat` stream says ``first`` itself; for a `raw_beat` stream, give none. With ``gapless`` a packet that has
    begun is offered in every clock until its end.

    Members
    -------
    valid, ready, first, last : In(1)
    inside : Out(1)
        A packet has begun and not ended.
    """

    def __init__(self, side: Side = Side.ASSERT, *, gapless: bool = False, says_first: bool = True):
        self._side = side
        self._gapless = gapless
        self._says_first = says_first
        super().__init__({"valid": In(1), "ready": In(1), "first": In(1), "last": In(1), "inside": Out(1)})

    @classmethod
    def watch(cls, harness, name: str, port, side: Side = Side.ASSERT, *, gapless: bool = False):
        """Add a contract for the stream of beats *port* to *harness*."""
        says_first = "first" in dict(port.payload.shape())
        contract = cls(side, gapless=gapless, says_first=says_first)
        harness.m.submodules[f"contract_{name}"] = contract
        harness.m.d.comb += [
            contract.valid.eq(port.valid),
            contract.ready.eq(port.ready),
            contract.last.eq(port.p.last),
        ]
        if says_first:
            harness.m.d.comb += contract.first.eq(port.p.first)
        return contract

    def elaborate(self, platform):
        m = Module()
        inside = self.inside
        with m.If(self.valid & self.ready):
            m.d.sync += inside.eq(~self.last)
        if self._says_first:
            _state(m, self._side, ~self.valid | (self.first == ~inside))
        if self._gapless:
            _state(m, self._side, ~inside | self.valid)
        if self._side is Side.ASSERT:
            m.d.comb += Cover(inside & self.valid & self.ready & self.last)
        return m

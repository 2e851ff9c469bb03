"""Sends a script of requests into the core and compares every completion: a stand-in for a link, in fabric."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from virtio_mmr.gateware.tlp.beat import raw_beat

from .script import WIDTH, Script

_LANES = WIDTH // 32


def _packet(words):
    """Dwords of a packet as a number, and one bit for each of them."""
    return sum(word << 32 * i for i, word in enumerate(words)), (1 << len(words)) - 1


class TrafficGenerator(wiring.Component):
    """One request at a time, its answer awaited before the next; about ten clocks each.

    Parameters
    ----------
    script
        What is sent, and what must come back.
    patience
        Clocks to wait for a completion, a power of two.

    Members
    -------
    requests : Out(stream.Signature(raw_beat(128)))
        To the core.
    completions : In(stream.Signature(raw_beat(128)))
        From the core; what is not a completion is taken and ignored.
    passes : Out(32)
        Times that the script has been done to its end; wraps.
    wrong, silent : Out(1)
        A completion was not the expected one; none came. Both stay until reset, and nothing is sent any more.
    step : Out(8)
        Where it stands, or where it stopped.
    """

    def __init__(self, script: Script, patience: int = 1 << 12):
        self._script = script
        self._patience = patience
        super().__init__({
            "requests": Out(stream.Signature(raw_beat(WIDTH))),
            "completions": In(stream.Signature(raw_beat(WIDTH))),
            "passes": Out(32),
            "wrong": Out(1),
            "silent": Out(1),
            "step": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        row = data.StructLayout({"packet": WIDTH, "keep": _LANES, "answer": WIDTH, "answer_keep": _LANES, "end": 1})
        steps = self._script.steps
        rows = []
        for number, one in enumerate(steps):
            packet, keep = _packet(one.packet)
            answer, answer_keep = _packet(one.answer)
            rows.append({"packet": packet, "keep": keep, "answer": answer, "answer_keep": answer_keep,
                         "end": int(number == len(steps) - 1)})
        m.submodules.rom = rom = memory.Memory(shape=row, depth=len(rows), init=rows)
        read = rom.read_port()
        now = read.data
        waiting = Signal(range(self._patience))
        seen = self.completions.p
        # What came, with the dwords that are not there as zeros, a clock before it is judged.
        came = Signal(WIDTH)
        came_keep = Signal(_LANES)
        came_last = Signal()
        came_completion = Signal()

        m.d.comb += [
            read.addr.eq(self.step),
            read.en.eq(1),
            self.requests.p.data.eq(now.packet),
            self.requests.p.keep.eq(now.keep),
            self.requests.p.last.eq(1),
            self.completions.ready.eq(1),
        ]
        m.d.sync += [
            came.eq(Cat(seen.data[32 * i:32 * i + 32] & seen.keep[i].replicate(32) for i in range(_LANES))),
            came_keep.eq(seen.keep),
            came_last.eq(seen.last),
            # Bits 28:24 of the first dword are the type; a completion's are 01010.
            came_completion.eq(self.completions.valid & (seen.data[24:29] == Const(0b01010, 5))),
        ]
        # Lanes are compared by themselves first, so that no path goes through 128 bits.
        same = Signal(_LANES)
        judged = Signal()
        complete = Signal()
        m.d.sync += [
            same.eq(Cat((came[32 * i:32 * i + 32] == now.answer[32 * i:32 * i + 32])
                        & (came_keep[i] == now.answer_keep[i]) for i in range(_LANES))),
            judged.eq(came_completion),
            complete.eq(came_last),
        ]

        with m.FSM():
            with m.State("FETCH"):
                m.d.sync += waiting.eq(0)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.requests.valid.eq(1)
                with m.If(self.requests.ready):
                    with m.If(now.answer_keep.any()):
                        m.next = "WAIT"
                    with m.Else():
                        m.next = "NEXT"
            with m.State("WAIT"):
                m.d.sync += waiting.eq(waiting + 1)
                with m.If(judged):
                    with m.If(same.all() & complete):
                        m.next = "NEXT"
                    with m.Else():
                        m.d.sync += self.wrong.eq(1)
                        m.next = "STOPPED"
                with m.Elif(waiting.all()):
                    m.d.sync += self.silent.eq(1)
                    m.next = "STOPPED"
            with m.State("NEXT"):
                m.d.sync += self.step.eq(self.step + 1)
                with m.If(now.end):
                    m.d.sync += [self.step.eq(self._script.again), self.passes.eq(self.passes + 1)]
                m.next = "FETCH"
            with m.State("STOPPED"):
                pass
        return m

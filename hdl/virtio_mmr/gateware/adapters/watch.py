"""Tells of functions whose configuration, which hard IP shows as levels, has changed.

Specification: PCI Express Base 5.0, 6.6.2 (function level reset: the function answers for its state afterwards).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .link import FunctionChange


class FunctionWatcher(wiring.Component):
    """Looks at one function after the other and compares its levels with what was last told.

    Every second look is at the function whose configuration space was last written: its change is noticed within two
    clocks, every other one within twice as many as there are functions, if none waits. Of a function in reset nothing
    but the reset is told, once; its other levels count as zero until it is over.

    Parameters
    ----------
    functions
        Number of functions.

    Members
    -------
    bus_master, msix_enable, msix_mask, resetting : In(functions)
        Levels of each function.
    written : In(1), written_function : In(8)
        Software has written to this function's configuration space, one clock; its levels may change then or later. A
        number that is no function's is ignored.
    look : Out(range(functions))
        The function that is looked at in this clock.
    change : Out(stream.Signature(FunctionChange))
    reset_done : Out(1), reset_function : Out(range(functions))
        A reset has been taken; one clock.
    """

    def __init__(self, functions: int):
        self._functions = functions
        super().__init__({
            **{name: In(functions) for name in ("bus_master", "msix_enable", "msix_mask", "resetting")},
            "written": In(1),
            "written_function": In(8),
            "look": Out(range(functions)),
            "change": Out(stream.Signature(FunctionChange)),
            "reset_done": Out(1),
            "reset_function": Out(range(functions)),
        })

    def elaborate(self, platform):
        m = Module()
        levels = data.StructLayout({"reset": 1, "bus_master": 1, "msix_enable": 1, "msix_mask": 1})
        change, look = self.change, self.look
        now, told = Signal(levels), Signal(levels)

        def level(signal):
            return signal.bit_select(look, 1) if self._functions > 1 else signal

        m.d.comb += now.reset.eq(level(self.resetting))
        with m.If(~now.reset):
            m.d.comb += [
                now.bus_master.eq(level(self.bus_master)),
                now.msix_enable.eq(level(self.msix_enable)),
                now.msix_mask.eq(level(self.msix_mask)),
            ]
        if self._functions == 1:
            row = Signal(levels)
            m.d.comb += told.eq(row)
            with m.If(change.valid & change.ready):
                m.d.sync += row.eq(change.p.as_value()[8:])
            step = ~change.valid
            with m.If(step & (now != told)):
                m.d.sync += [change.valid.eq(1), change.p.eq(now.as_value() << 8)]
        else:
            m.submodules.rows = rows = memory.Memory(shape=levels, depth=self._functions, init=[])
            read, write = rows.read_port(domain="comb"), rows.write_port()
            # After the core's reset rows are zero again, one after the other.
            starting, step = Signal(init=1), Signal()
            in_turn, last_written, turn = Signal.like(look), Signal.like(look), Signal()
            with m.If(self.written & (self.written_function < self._functions)):
                m.d.sync += last_written.eq(self.written_function)
            m.d.comb += [
                look.eq(Mux(turn, last_written, in_turn)),
                read.addr.eq(look),
                told.eq(read.data),
                write.addr.eq(look),
                write.data.eq(Mux(starting, 0, now)),
                step.eq(~change.valid),
                write.en.eq(step),
            ]
            with m.If(step):
                m.d.sync += turn.eq(~turn & ~starting)
                with m.If(~turn):
                    m.d.sync += in_turn.eq(Mux(in_turn == self._functions - 1, 0, in_turn + 1))
                    with m.If(in_turn == self._functions - 1):
                        m.d.sync += starting.eq(0)
                with m.If(~starting & (now != told)):
                    m.d.sync += [change.valid.eq(1), change.p.eq(now.as_value() << 8), change.p.function.eq(look)]
        with m.If(change.valid & change.ready):
            m.d.sync += change.valid.eq(0)
        m.d.comb += [
            self.reset_done.eq(change.valid & change.ready & change.p.reset),
            self.reset_function.eq(change.p.function),
        ]
        return m

"""Verilog of the traffic generator with flat ports."""

from amaranth.back import verilog
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .script import WIDTH, Script
from .traffic import TrafficGenerator

MODULE = "traffic"


class TrafficShell(wiring.Component):
    """`TrafficGenerator` whose streams have the port names of the core's other side."""

    def __init__(self, script: Script):
        self._script = script
        super().__init__({
            **{f"tx_{name}": Out(width) for name, width in (("tdata", WIDTH), ("tkeep", WIDTH // 8), ("tlast", 1),
                                                            ("tvalid", 1))},
            "tx_tready": In(1),
            **{f"rx_{name}": In(width) for name, width in (("tdata", WIDTH), ("tkeep", WIDTH // 8), ("tlast", 1),
                                                           ("tvalid", 1))},
            "rx_tready": Out(1),
            "passes": Out(32), "wrong": Out(1), "silent": Out(1), "step": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.generator = inner = TrafficGenerator(self._script)
        out, back = inner.requests, inner.completions
        lanes = range(WIDTH // 32)
        m.d.comb += [
            self.tx_tdata.eq(out.p.data), self.tx_tkeep.eq(Cat(out.p.keep[i].replicate(4) for i in lanes)),
            self.tx_tlast.eq(out.p.last), self.tx_tvalid.eq(out.valid), out.ready.eq(self.tx_tready),
            back.p.data.eq(self.rx_tdata), back.p.keep.eq(Cat(self.rx_tkeep[4 * i] for i in lanes)),
            back.p.last.eq(self.rx_tlast), back.valid.eq(self.rx_tvalid), self.rx_tready.eq(back.ready),
            *(getattr(self, name).eq(getattr(inner, name)) for name in ("passes", "wrong", "silent", "step")),
        ]
        return m


def traffic(script: Script) -> str:
    """Verilog of the generator; the same script gives the same bytes."""
    return str(verilog.convert(TrafficShell(script), name=MODULE, emit_src=False, strip_internal_attrs=True))

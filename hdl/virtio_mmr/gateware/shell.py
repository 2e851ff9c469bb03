"""The endpoint for people who never see Python: flat, named, documented ports, and Verilog.

Every field of a struct becomes a port of its own, so that no user has to count bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Shape
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config import DeviceConfig

from . import backend
from .adapters.table import adapter_of
from .endpoint import _COUNTERS, _ERRORS, Endpoint, backend_streams

#: Name of the generated module.
MODULE = "virtio_mmr"

_PORT_DOCS = {
    "clk": "Clock of everything.",
    "rst": "Synchronous reset, active high; legal at any time.",
    "rx_np_ok": "While high, 16 more non-posted requests will be taken.",
    "s_axis_rx_tdata": "TLPs from the link: header dwords as numbers, dword 0 lowest, payload little-endian.",
    "s_axis_rx_tkeep": "One bit a byte; whole dwords, contiguous.",
    "s_axis_rx_tlast": "Last beat of a packet.",
    "s_axis_rx_tvalid": "A beat is offered.",
    "s_axis_rx_tready": "The beat is taken.",
    "m_axis_tx_tdata": "TLPs to the link, in the same form.",
    "m_axis_tx_tkeep": "One bit a byte; whole dwords, contiguous.",
    "m_axis_tx_tlast": "Last beat of a packet.",
    "m_axis_tx_tvalid": "A beat is offered; the beats of a packet follow without a gap.",
    "m_axis_tx_tready": "The beat is taken.",
    "intx": "Interrupt INTA as a level, for IP with a pin; the TLPs to the link carry it as messages. Do not use both.",
    "count_malformed": "Packets dropped as malformed; wraps.",
    "count_poisoned": "Requests refused or dropped because their payload is poisoned; wraps.",
    "count_unsupported": "Requests refused or dropped as unsupported; wraps.",
    "count_unexpected": "Completions that belong to no request; wraps.",
    "count_hole": "Dwords accessed inside a BAR where no window is; wraps.",
    "error_correctable": "A correctable error was detected, one clock.",
    "error_nonfatal": "A non-fatal error was detected, one clock.",
    "error_fatal": "A fatal error was detected, one clock.",
}

#: What each stream of the back-end boundary is for, in one line.
_STREAM_DOCS = {
    "driver_update": backend.DriverUpdate.__doc__,
    "notification": backend.Notification.__doc__,
    "queue_update": backend.QueueUpdate.__doc__,
    "reset_request": backend.ResetRequest.__doc__,
    "config_write": backend.ConfigWrite.__doc__,
    "dma_read_data": "What a DmaRead brought, first byte in lane 0.",
    "dma_write_done": backend.DmaWriteDone.__doc__,
    "queue_quiet": backend.QueueQuiet.__doc__,
    "reset_done": backend.ResetDone.__doc__,
    "config_update": backend.ConfigUpdate.__doc__,
    "interrupt_cause": backend.InterruptCause.__doc__,
    "fault": backend.Fault.__doc__,
    "dma_read": backend.DmaRead.__doc__,
    "dma_write": backend.DmaWrite.__doc__,
    "dma_write_data": "What a DmaWrite writes, first byte in lane 0.",
}


@dataclass(frozen=True)
class Generated:
    """Verilog text, and the description of its ports as plain data."""

    verilog: str
    interface: dict[str, Any]


def _fields(member: wiring.Member) -> dict[str, int]:
    """Names and widths of a stream's payload fields, lowest bit first."""
    shape = member.signature.members["payload"].shape
    layout = shape if isinstance(shape, data.Layout) else data.Layout.cast(shape)
    return {name: Shape.cast(field.shape).width for name, field in layout}


class VerilogShell(wiring.Component):
    """An `Endpoint` with flat ports.

    Members
    -------
    s_axis_rx_*, m_axis_tx_*
        AXI4-Stream, ``tkeep`` with one bit a byte. With an adapter to hard IP, instead of these and ``rx_np_ok``: the
        ports of the IP, under their names there.
    be_<stream>_<field>, be_<stream>_valid, be_<stream>_ready
        The back-end boundary.
    """

    def __init__(self, config: DeviceConfig):
        self._config = config
        width = config.datapath.width
        ports: dict[str, wiring.Member] = {}
        self._adapter = adapter_of(config)
        if self._adapter is not None:
            ports |= {name: member for name, member in self._adapter.signature.members.items() if name != "link"}
        else:
            for prefix, flow, back in (("s_axis_rx", In, Out), ("m_axis_tx", Out, In)):
                ports |= {
                    f"{prefix}_tdata": flow(width), f"{prefix}_tkeep": flow(width // 8), f"{prefix}_tlast": flow(1),
                    f"{prefix}_tvalid": flow(1), f"{prefix}_tready": back(1),
                }
            ports["rx_np_ok"] = Out(1)
        ports |= {name: Out(16) for name in _COUNTERS} | {name: Out(1) for name in _ERRORS}
        if self._adapter is None:
            ports["intx"] = Out(1)
        for name, member in backend_streams(width).items():
            forward, backward = (Out, In) if member.flow == Out else (In, Out)
            ports |= {f"be_{name}_{field}": forward(bits) for field, bits in _fields(member).items()}
            ports |= {f"be_{name}_valid": forward(1), f"be_{name}_ready": backward(1)}
        super().__init__(ports)

    @property
    def adapter_docs(self) -> Mapping[str, str]:
        """What the ports toward hard IP are for, by name."""
        return {} if self._adapter is None else self._adapter.PORT_DOCS

    def elaborate(self, platform):
        m = Module()
        m.submodules.endpoint = endpoint = Endpoint(self._config)
        if self._adapter is not None:
            m.submodules.adapter = adapter = self._adapter
            wiring.connect(m, adapter.link, endpoint.link)
            for name, member in adapter.signature.members.items():
                if name != "link":
                    outside, inside = getattr(self, name), getattr(adapter, name)
                    m.d.comb += inside.eq(outside) if member.flow == In else outside.eq(inside)
        else:
            lanes = self._config.datapath.width // 32
            rx, tx = endpoint.rx, endpoint.tx
            m.d.comb += [
                rx.p.data.eq(self.s_axis_rx_tdata),
                rx.p.keep.eq(Cat(self.s_axis_rx_tkeep[4 * i] for i in range(lanes))),
                rx.p.last.eq(self.s_axis_rx_tlast),
                rx.valid.eq(self.s_axis_rx_tvalid),
                self.s_axis_rx_tready.eq(rx.ready),
                self.m_axis_tx_tdata.eq(tx.p.data),
                self.m_axis_tx_tkeep.eq(Cat(tx.p.keep[i].replicate(4) for i in range(lanes))),
                self.m_axis_tx_tlast.eq(tx.p.last),
                self.m_axis_tx_tvalid.eq(tx.valid),
                tx.ready.eq(self.m_axis_tx_tready),
                self.rx_np_ok.eq(endpoint.rx_np_ok),
                self.intx.eq(endpoint.intx),
            ]
        for name in (*_COUNTERS, *_ERRORS):
            m.d.comb += getattr(self, name).eq(getattr(endpoint, name))
        for name, member in backend_streams(self._config.datapath.width).items():
            inner = getattr(endpoint, name)
            for field in _fields(member):
                outside, inside = getattr(self, f"be_{name}_{field}"), inner.p[field]
                m.d.comb += outside.eq(inside) if member.flow == Out else inside.eq(outside)
            valid, ready = getattr(self, f"be_{name}_valid"), getattr(self, f"be_{name}_ready")
            if member.flow == Out:
                m.d.comb += [valid.eq(inner.valid), inner.ready.eq(ready)]
            else:
                m.d.comb += [inner.valid.eq(valid), ready.eq(inner.ready)]
        return m


def describe(shell: VerilogShell, config: DeviceConfig) -> dict[str, Any]:
    """Ports and streams of the generated module, as plain data for JSON."""
    streams = backend_streams(config.datapath.width)
    docs = {**_PORT_DOCS, **shell.adapter_docs}
    ports = [{"name": name, "direction": "input", "width": 1, "doc": docs[name]} for name in ("clk", "rst")]
    for name, member in shell.signature.members.items():
        doc = docs.get(name)
        if doc is None:
            stream = next(s for s in streams if name.startswith(f"be_{s}_") and name[len(s) + 4:] in
                          (*_fields(streams[s]), "valid", "ready"))
            doc = f"{name[len(stream) + 4:]} of stream {stream}."
        ports.append({"name": name, "direction": "input" if member.flow == In else "output",
                      "width": Shape.cast(member.shape).width, "doc": doc})
    return {
        "module": MODULE,
        "width": config.datapath.width,
        "ports": ports,
        "streams": [
            {"name": name, "direction": "out" if member.flow == Out else "in",
             "doc": (_STREAM_DOCS[name] or "").split("\n")[0],
             "fields": [{"name": field, "width": bits} for field, bits in _fields(member).items()]}
            for name, member in streams.items()
        ],
    }


def generate(config: DeviceConfig) -> Generated:
    """Verilog of the device; the same configuration gives the same bytes.

    Raises
    ------
    ConfigError
        If the gateware does not build such a device; see `Endpoint`.
    """
    shell = VerilogShell(config)
    text = verilog.convert(shell, name=MODULE, emit_src=False, strip_internal_attrs=True)
    return Generated(verilog=text, interface=describe(shell, config))

"""Adapter to AMD's UltraScale+ hard blocks PCIE4 and PCIE4C, by the ports of their IP.

Specification: AMD PG213. Streams of 64, 128 or 256 bits without straddle; MSI-X "external", with tables and messages
in the core; client tags; the configuration extend interface. The IP answers for the header and the standard
capabilities of every function, decodes base addresses, and numbers functions: 0, and virtual ones from 4 on.
"""

from collections.abc import Mapping
from types import MappingProxyType

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config import DeviceConfig

from .link import Link
from .ultrascale_rx import CQ_USER, RC_USER, CompleterRequests, RequesterCompletions, own_number
from .ultrascale_tx import CC_USER, RQ_USER, DescriptorTransmitter
from .watch import FunctionWatcher

#: Virtual functions that the IP's vectors have room for, and functions of other kinds.
_VIRTUAL, _PHYSICAL = 252, 4

#: `cfg_function_power_state` and `cfg_vf_power_state`: three bits a function; D1 and D3hot are not D0.
_NOT_D0 = 0b110

_STREAM = ("tdata", "tkeep", "tuser", "tlast", "tvalid", "tready")


def _stream_docs(prefix: str, what: str) -> dict[str, str]:
    return {f"{prefix}_{name}": what for name in _STREAM}


class NonPostedCredit(wiring.Component):
    """Lends the IP places for non-posted requests, at most as many at a time as are certainly free.

    Members
    -------
    np_ok : In(1)
        16 more will be taken.
    arrived : In(1)
        One has come.
    np_req : Out(2)
        One more may come; `pcie_cq_np_req` of the IP.
    """

    np_ok: In(1)
    arrived: In(1)
    np_req: Out(2)

    def elaborate(self, platform):
        m = Module()
        lent, lend = Signal(5), Signal()
        m.d.comb += [
            # Those that are lent are counted as if they had not come yet, the one of this clock too.
            lend.eq(self.np_ok & (lent < 15)),
            self.np_req.eq(lend),
        ]
        with m.If(lend & ~self.arrived):
            m.d.sync += lent.eq(lent + 1)
        with m.Elif(~lend & self.arrived & (lent != 0)):
            m.d.sync += lent.eq(lent - 1)
        return m


#: Clocks after the IP has taken a read until its credit has certainly been subtracted; AMD's guide speaks of two.
_CREDIT_DELAY = 8


class ReadCredit(wiring.Component):
    """Lets reads go only as far as the host has credit for them, so that the IP never holds one before a write.

    Members
    -------
    available : In(4)
        Credit as the IP shows it, some clocks late; 15 stands for more, too.
    leaves, sent : In(1)
        A read is on its way to the IP; the IP takes it.
    ok : Out(1)
        There is credit for another one.
    """

    available: In(4)
    leaves: In(1)
    sent: In(1)
    ok: Out(1)

    def elaborate(self, platform):
        m = Module()
        # Reads on their way, and those whose credit may not have been subtracted yet.
        unseen, ages = Signal(4), Signal(_CREDIT_DELAY)
        m.d.sync += [ages.eq(Cat(self.sent, ages)), unseen.eq(unseen + self.leaves - ages[-1])]
        m.d.comb += self.ok.eq(self.available > unseen)
        return m


class InterruptPin(wiring.Component):
    """Tells the IP of each change of INTA, one at a time.

    Members
    -------
    level : In(1)
    pin : Out(1)
        Changes only when the message of the last change has been sent.
    sent : In(1)
        It has.
    """

    level: In(1)
    pin: Out(1)
    sent: In(1)

    def elaborate(self, platform):
        m = Module()
        busy = Signal()
        with m.If(busy):
            m.d.sync += busy.eq(~self.sent)
        with m.Elif(self.level != self.pin):
            m.d.sync += [self.pin.eq(self.level), busy.eq(1)]
        return m


class UltraScalePlus(wiring.Component):
    """The IP's streams and status on one side, the endpoint on the other.

    Latency: see `CompleterRequests`, `RequesterCompletions` and `DescriptorTransmitter`. A change of a function's state
    reaches its row some clocks after it is seen: see `FunctionWatcher`.

    Members
    -------
    link : Out(Link(width))
    others
        Ports of the IP under their names there, see `PORT_DOCS`.
    """

    PORT_DOCS: Mapping[str, str] = MappingProxyType({
        **_stream_docs("m_axis_cq", "Completer requests."),
        **_stream_docs("s_axis_cc", "Completer completions."),
        **_stream_docs("s_axis_rq", "Requester requests."),
        **_stream_docs("m_axis_rc", "Requester completions."),
        "pcie_cq_np_req": "One more non-posted request may come.",
        "pcie_rq_seq_num0": "Sequence number of a request that is on its way.",
        "pcie_rq_seq_num_vld0": "It is.",
        "pcie_rq_seq_num1": "A second one.",
        "pcie_rq_seq_num_vld1": "It is.",
        "pcie_tfc_nph_av": "Credit of the host for headers of non-posted requests.",
        "extended_tag": "No port of the IP: high if Extended Tag Field Enable is set; low allows 32 reads in flight.",
        "cfg_max_payload": "Max_Payload_Size of function 0.",
        "cfg_max_read_req": "Max_Read_Request_Size of function 0.",
        "cfg_rcb_status": "Read completion boundary by physical function.",
        "cfg_bus_number": "Captured bus number.",
        "cfg_function_status": "I/O, memory, bus master enable and INTx disable, by physical function.",
        "cfg_function_power_state": "Power state, by physical function.",
        "cfg_vf_status": "VF enable and bus master enable, by virtual function.",
        "cfg_vf_power_state": "Power state, by virtual function.",
        "cfg_flr_in_process": "Function level reset, by physical function.",
        "cfg_flr_done": "It is done.",
        "cfg_vf_flr_in_process": "Function level reset, by virtual function.",
        "cfg_vf_flr_func_num": "Virtual function, from 0 on, whose reset is done.",
        "cfg_vf_flr_done": "It is, one clock.",
        "cfg_interrupt_int": "INTA of function 0 as a level.",
        "cfg_interrupt_pending": "An interrupt of function 0 is pending.",
        "cfg_interrupt_sent": "The message of the last change of cfg_interrupt_int has been sent.",
        "cfg_interrupt_msix_enable": "MSI-X Enable, by physical function.",
        "cfg_interrupt_msix_mask": "MSI-X Function Mask, by physical function.",
        "cfg_interrupt_msix_vf_enable": "MSI-X Enable, by virtual function.",
        "cfg_interrupt_msix_vf_mask": "MSI-X Function Mask, by virtual function.",
        "cfg_ext_read_received": "A configuration read.",
        "cfg_ext_write_received": "A configuration write.",
        "cfg_ext_register_number": "Dword of configuration space.",
        "cfg_ext_function_number": "Function.",
        "cfg_ext_write_data": "What is written.",
        "cfg_ext_write_byte_enable": "Bytes that are written.",
        "cfg_ext_read_data": "What is read.",
        "cfg_ext_read_data_valid": "The answer to a read, one clock.",
    })

    def __init__(self, config: DeviceConfig):
        self._config = config
        width = config.datapath.width
        streams: dict[str, wiring.Member] = {}
        for prefix, user, into, ready in (("m_axis_cq", CQ_USER, True, 1), ("s_axis_cc", CC_USER, False, 4),
                                          ("s_axis_rq", RQ_USER, False, 4), ("m_axis_rc", RC_USER, True, 1)):
            forward, back = (In, Out) if into else (Out, In)
            streams |= {f"{prefix}_tdata": forward(width), f"{prefix}_tkeep": forward(width // 32),
                        f"{prefix}_tuser": forward(user), f"{prefix}_tlast": forward(1), f"{prefix}_tvalid": forward(1),
                        f"{prefix}_tready": back(ready)}
        virtual: dict[str, wiring.Member] = {} if config.vf is None else {
            "cfg_vf_status": In(2 * _VIRTUAL),
            "cfg_vf_power_state": In(3 * _VIRTUAL),
            "cfg_vf_flr_in_process": In(_VIRTUAL),
            "cfg_vf_flr_func_num": Out(8),
            "cfg_vf_flr_done": Out(1),
            "cfg_interrupt_msix_vf_enable": In(_VIRTUAL),
            "cfg_interrupt_msix_vf_mask": In(_VIRTUAL),
        }
        super().__init__({
            "link": Out(Link(width, completions=config.requester is not None)),
            **streams,
            "pcie_cq_np_req": Out(2),
            **{f"pcie_rq_seq_num{i}": In(6) for i in range(2)},
            **{f"pcie_rq_seq_num_vld{i}": In(1) for i in range(2)},
            "pcie_tfc_nph_av": In(4),
            "extended_tag": In(1),
            "cfg_max_payload": In(2),
            "cfg_max_read_req": In(3),
            "cfg_rcb_status": In(_PHYSICAL),
            "cfg_bus_number": In(8),
            "cfg_function_status": In(4 * _PHYSICAL),
            "cfg_function_power_state": In(3 * _PHYSICAL),
            "cfg_flr_in_process": In(_PHYSICAL),
            "cfg_flr_done": Out(_PHYSICAL),
            "cfg_interrupt_int": Out(4),
            "cfg_interrupt_pending": Out(_PHYSICAL),
            "cfg_interrupt_sent": In(1),
            "cfg_interrupt_msix_enable": In(_PHYSICAL),
            "cfg_interrupt_msix_mask": In(_PHYSICAL),
            **virtual,
            "cfg_ext_read_received": In(1),
            "cfg_ext_write_received": In(1),
            "cfg_ext_register_number": In(10),
            "cfg_ext_function_number": In(8),
            "cfg_ext_write_data": In(32),
            "cfg_ext_write_byte_enable": In(4),
            "cfg_ext_read_data": Out(32),
            "cfg_ext_read_data_valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, link = self._config, self.link
        width, first = config.datapath.width, config.datapath.hard_ip.first_virtual_function

        # --- Streams ------------------------------------------------------------------------------------
        m.submodules.requests = requests = CompleterRequests(width, first)
        m.submodules.transmitter = transmitter = DescriptorTransmitter(width, first)
        m.submodules.credit = credit = NonPostedCredit()
        for block, prefix in ((requests, "m_axis_cq"), *(
                [] if config.requester is None else [(RequesterCompletions(width, first), "m_axis_rc")])):
            for name in ("tdata", "tkeep", "tuser", "tlast", "tvalid"):
                m.d.comb += getattr(block, name).eq(getattr(self, f"{prefix}_{name}"))
            m.d.comb += getattr(self, f"{prefix}_tready").eq(block.tready)
            if block is not requests:
                m.submodules.completions = block
                wiring.connect(m, block.completions, wiring.flipped(link.completions))
        if config.requester is None:
            # Nothing was asked for.
            m.d.comb += self.m_axis_rc_tready.eq(1)
        else:
            m.submodules.read_credit = read_credit = ReadCredit()
            m.d.comb += [
                read_credit.available.eq(self.pcie_tfc_nph_av),
                read_credit.leaves.eq(link.read_leaves),
                read_credit.sent.eq(transmitter.read_sent),
                link.reads_ok.eq(read_credit.ok),
            ]
        for prefix in ("cc", "rq"):
            for name in ("tdata", "tkeep", "tuser", "tlast", "tvalid"):
                m.d.comb += getattr(self, f"s_axis_{prefix}_{name}").eq(getattr(transmitter, f"{prefix}_{name}"))
            # The IP shows the same four times.
            m.d.comb += getattr(transmitter, f"{prefix}_tready").eq(getattr(self, f"s_axis_{prefix}_tready")[0])
        wiring.connect(m, requests.beats, wiring.flipped(link.beats))
        wiring.connect(m, wiring.flipped(link.tx), transmitter.raw)
        m.d.comb += [
            link.hit.eq(requests.hit),
            transmitter.sent.eq(Cat(self.pcie_rq_seq_num_vld0, self.pcie_rq_seq_num_vld1)),
            transmitter.sent_number[0].eq(self.pcie_rq_seq_num0),
            transmitter.sent_number[1].eq(self.pcie_rq_seq_num1),
            credit.np_ok.eq(link.np_ok),
            credit.arrived.eq(requests.non_posted),
            self.pcie_cq_np_req.eq(credit.np_req),
        ]

        # --- State of the physical function -------------------------------------------------------------
        control, status = link.control, self.cfg_function_status
        awake = (self.cfg_function_power_state[:3] & _NOT_D0) == 0
        m.d.comb += [
            control.awake.eq(awake),
            control.io_enabled.eq(status[0] & awake),
            control.memory_enabled.eq(status[1] & awake),
            control.bus_master.eq(status[2] & awake),
            control.interrupt_disable.eq(status[3] | ~awake),
            control.msix_enable.eq(self.cfg_interrupt_msix_enable[0]),
            control.msix_mask.eq(self.cfg_interrupt_msix_mask[0]),
            control.max_payload_size.eq(self.cfg_max_payload),
            control.max_read_request_size.eq(self.cfg_max_read_req),
            control.extended_tag.eq(self.extended_tag),
            control.read_completion_boundary.eq(self.cfg_rcb_status[0]),
            control.bus.eq(self.cfg_bus_number),
        ]
        m.submodules.pin = pin = InterruptPin()
        m.d.comb += [
            # MSI-X is off at once, and the reset of what is pending comes some clocks later.
            pin.level.eq(link.intx & ~self.cfg_flr_in_process[0]),
            pin.sent.eq(self.cfg_interrupt_sent),
            self.cfg_interrupt_int.eq(pin.pin),
            self.cfg_interrupt_pending.eq(link.interrupt_status),
        ]

        # --- Changes of functions -----------------------------------------------------------------------
        m.submodules.watcher = watcher = FunctionWatcher(config.functions)
        wiring.connect(m, watcher.change, wiring.flipped(link.change))
        physical_done = Signal()
        with m.If(watcher.reset_done & (watcher.reset_function == 0)):
            m.d.sync += physical_done.eq(1)
        with m.Elif(~self.cfg_flr_in_process[0]):
            m.d.sync += physical_done.eq(0)
        m.d.comb += [
            self.cfg_flr_done.eq(physical_done),
            # The IP tells of every write, not only of those in the core's windows.
            watcher.written.eq(self.cfg_ext_write_received),
            watcher.written_function.eq(own_number(self.cfg_ext_function_number, first)),
            watcher.resetting[0].eq(self.cfg_flr_in_process[0]),
            watcher.msix_enable[0].eq(self.cfg_interrupt_msix_enable[0]),
        ]
        if config.vf is not None:
            self._virtual(m, watcher)

        # --- The door of configuration accesses ---------------------------------------------------------
        door = link.door
        m.d.comb += [
            door.read_received.eq(self.cfg_ext_read_received),
            door.write_received.eq(self.cfg_ext_write_received),
            door.register_number.eq(self.cfg_ext_register_number),
            door.function_number.eq(own_number(self.cfg_ext_function_number, first)),
            door.write_data.eq(self.cfg_ext_write_data),
            door.write_byte_enable.eq(self.cfg_ext_write_byte_enable),
            self.cfg_ext_read_data.eq(door.read_data),
            self.cfg_ext_read_data_valid.eq(door.read_data_valid),
        ]
        return m

    def _virtual(self, m: Module, watcher: FunctionWatcher) -> None:
        """What the virtual functions are told, and how many there are."""
        count = self._config.vf.count
        awake = [(self.cfg_vf_power_state[3 * i:3 * i + 3] & _NOT_D0) == 0 for i in range(count)]
        enabled = Cat(self.cfg_vf_status[2 * i] for i in range(count))
        m.d.comb += [
            watcher.bus_master[1:].eq(Cat(self.cfg_vf_status[2 * i + 1] & awake[i] for i in range(count))),
            watcher.msix_enable[1:].eq(self.cfg_interrupt_msix_vf_enable),
            watcher.msix_mask[1:].eq(self.cfg_interrupt_msix_vf_mask),
            watcher.resetting[1:].eq(self.cfg_vf_flr_in_process),
            self.cfg_vf_flr_done.eq(watcher.reset_done & (watcher.reset_function != 0)),
            # The bit of `cfg_vf_flr_in_process`, not the IP's number of the function.
            self.cfg_vf_flr_func_num.eq(watcher.reset_function - 1),
        ]
        # They are counted in the course of a round, and none counts while the first one is off.
        control = self.link.control
        number, seen, counted = Signal(range(count)), Signal(range(count + 1)), Signal(range(count + 1))
        here = enabled.bit_select(number, 1) if count > 1 else enabled
        m.d.sync += [number.eq(number + 1), seen.eq(seen + here)]
        with m.If(number == count - 1):
            m.d.sync += [number.eq(0), seen.eq(0), counted.eq(seen + here)]
        with m.If(~enabled[0]):
            m.d.sync += [number.eq(0), seen.eq(0), counted.eq(0)]
        m.d.comb += [
            control.vf_enable.eq(enabled[0] & (counted != 0)),
            control.num_vfs.eq(Mux(enabled[0], counted, 0)),
        ]

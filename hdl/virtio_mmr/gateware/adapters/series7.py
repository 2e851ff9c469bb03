"""AMD 7-series integrated block (`pcie_7x`, PCIE_2_1): its streams, its status ports and its interrupt port.

The block hands over whole TLPs, as `raw` has them, but for three things: payload dwords are big-endian; at 128 bits
a packet may begin in the upper half of the beat in which another ends; which BAR was hit stands in ``tuser``. The
block answers what is for its own header and capabilities; configuration requests for the user's part of
configuration space come as TLPs among the others.

Names of ports are those of the block.
"""

from types import MappingProxyType

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.config import DeviceConfig
from virtio_mmr.gateware.access.interface import NOWHERE
from virtio_mmr.gateware.control import FunctionControl
from virtio_mmr.gateware.tlp.beat import raw_beat

from .link import Link
from .raw import RawReceiver
from .watch import FunctionWatcher

#: Widths that the block can have.
WIDTHS = (64, 128)


class RxUser(data.Struct):
    """``m_axis_rx_tuser``, lowest bit first."""

    #: The digest of the packet that ends here does not fit.
    ecrc_error: unsigned(1)
    #: The packet is poisoned; its header says so too.
    forwarded_error: unsigned(1)
    #: A bit for each BAR, both halves of one of 64 bits; the last is the expansion ROM.
    bar_hit: unsigned(7)
    _reserved: unsigned(1)
    #: Byte at which a packet begins, 0 or 8.
    start_byte: unsigned(4)
    starts: unsigned(1)
    _reserved_2: unsigned(2)
    #: Last byte of a packet: 3, 7, 11 or 15.
    end_byte: unsigned(4)
    ends: unsigned(1)


def rx_beat(width: int) -> data.StructLayout:
    """One clock of ``m_axis_rx``; ``keep`` has one bit a byte, and like ``last`` means nothing at 128 bits."""
    return data.StructLayout({
        "data": unsigned(width),
        "keep": unsigned(width // 8),
        "last": unsigned(1),
        "user": RxUser,
    })


class Series7Realigner(wiring.Component):
    """Begins each packet of ``m_axis_rx`` on lane 0 of a beat of its own.

    Latency: none. A beat in which one packet ends and another begins costs no more clocks than others, as the rest of
    the second packet follows half a beat late; where a packet moved like this has a half beat left at its end, the link
    waits for a clock. A packet with a wrong digest leaves without its last dword, so that whoever counts finds it
    malformed.

    Members
    -------
    link : In(stream.Signature(rx_beat(width)))
    raw : Out(stream.Signature(raw_beat(width)))
        Payload as it came, big-endian.
    bar : Out(3)
        Lowest BAR that the packet of the beat on offer hit, or `NOWHERE`.
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "link": In(stream.Signature(rx_beat(width))),
            "raw": Out(stream.Signature(raw_beat(width))),
            "bar": Out(3),
        })

    def elaborate(self, platform):
        m = Module()
        link, raw, user = self.link, self.raw, self.link.p.user
        self._inside = inside = Signal()
        hit, hit_before = Signal(3), Signal(3, init=NOWHERE)
        m.d.comb += hit.eq(NOWHERE)
        for index in reversed(range(6)):
            with m.If(user.bar_hit[index]):
                m.d.comb += hit.eq(index)

        if self._width == 64:
            cut = user.ecrc_error & link.p.last
            m.d.comb += [
                raw.valid.eq(link.valid),
                raw.p.data.eq(link.p.data),
                raw.p.keep.eq(Cat(~cut | link.p.keep[4], link.p.keep[4] & ~cut)),
                raw.p.last.eq(link.p.last),
                link.ready.eq(raw.ready),
                self.bar.eq(Mux(inside, hit_before, hit)),
            ]
            with m.If(link.valid & link.ready):
                m.d.sync += [inside.eq(~link.p.last), hit_before.eq(self.bar)]
            return m

        # A packet that began in an upper half runs half a beat late: its last half is held. What is left of it when
        # the link's beat with its end has been taken is its tail.
        self._late = late = Signal()
        self._tail = tail = Signal()
        self._held = held = Signal(64)
        self._tail_keep = tail_keep = Signal(2)
        low, high = link.p.data[:64], link.p.data[64:]
        begins_low, begins_high = user.starts & ~user.start_byte[3], user.starts & user.start_byte[3]
        ends_low, ends_high = user.ends & ~user.end_byte[3], user.ends & user.end_byte[3]
        # Which dwords of the half in which it ends a packet has.
        end_keep = Cat(user.end_byte[2] | ~user.ecrc_error, user.end_byte[2] & ~user.ecrc_error)
        # Something leaves together with the beat.
        offers = inside | begins_low
        m.d.comb += [
            raw.valid.eq(tail | (link.valid & offers)),
            link.ready.eq(~tail & (raw.ready | ~offers)),
            self.bar.eq(Mux(inside | tail, hit_before, hit)),
        ]
        with m.If(tail):
            m.d.comb += [raw.p.data.eq(held), raw.p.keep.eq(tail_keep), raw.p.last.eq(1)]
        with m.Elif(late):
            m.d.comb += [raw.p.data.eq(Cat(held, low)), raw.p.last.eq(ends_low),
                         raw.p.keep.eq(Cat(C(0b11, 2), Mux(ends_low, end_keep, 0b11)))]
        with m.Else():
            m.d.comb += [raw.p.data.eq(Cat(low, high)), raw.p.last.eq(user.ends),
                         raw.p.keep.eq(Mux(ends_low, end_keep, Cat(C(0b11, 2), Mux(ends_high, end_keep, 0b11))))]

        with m.If(link.valid & link.ready):
            m.d.sync += [
                held.eq(high),
                tail.eq(late & ends_high),
                tail_keep.eq(end_keep),
                inside.eq(begins_high | (offers & ~user.ends)),
                late.eq(begins_high | (late & ~ends_low)),
            ]
            with m.If(user.starts):
                m.d.sync += hit_before.eq(hit)
        with m.If(tail & raw.ready):
            m.d.sync += [tail.eq(0), late.eq(0)]
        return m


class ByteSwap(wiring.Component):
    """Turns the bytes of each payload dword round and leaves header dwords as they are; its own inverse.

    Combinational. A digest counts as payload.

    Members
    -------
    source : In(stream.Signature(raw_beat(width)))
    swapped : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "source": In(stream.Signature(raw_beat(width))),
            "swapped": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        source, swapped = self.source, self.swapped
        # Beats of the packet that have gone: none, one, more.
        self._gone = gone = Signal(range(3))
        # Bit 29 of the first dword: the header has four dwords.
        long_before = Signal()
        m.d.comb += [
            swapped.valid.eq(source.valid),
            source.ready.eq(swapped.ready),
            swapped.p.keep.eq(source.p.keep),
            swapped.p.last.eq(source.p.last),
        ]
        for lane in range(lanes):
            word = source.p.data[32 * lane:32 * lane + 32]
            if lanes == 2:
                in_header = (gone == 0) | ((gone == 1) & (long_before if lane else 1))
            else:
                in_header = (gone == 0) & (source.p.data[29] if lane == 3 else 1)
            m.d.comb += swapped.p.data[32 * lane:32 * lane + 32].eq(
                Mux(in_header, word, Cat(word[24:], word[16:24], word[8:16], word[:8])))
        with m.If(source.valid & source.ready):
            with m.If(source.p.last):
                m.d.sync += gone.eq(0)
            with m.Elif(gone != 2):
                m.d.sync += gone.eq(gone + 1)
            with m.If(gone == 0):
                m.d.sync += long_before.eq(source.p.data[29])
        return m


class Series7Receiver(wiring.Component):
    """From ``m_axis_rx`` to raw TLPs. Latency: none.

    Members
    -------
    link : In(stream.Signature(rx_beat(width)))
    raw : Out(stream.Signature(raw_beat(width)))
    bar : Out(3)
        Lowest BAR that the packet of the beat on offer hit, or `NOWHERE`.
    """

    def __init__(self, width: int):
        self._width = width
        super().__init__({
            "link": In(stream.Signature(rx_beat(width))),
            "raw": Out(stream.Signature(raw_beat(width))),
            "bar": Out(3),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.realigner = realigner = Series7Realigner(self._width)
        m.submodules.swap = swap = ByteSwap(self._width)
        wiring.connect(m, wiring.flipped(self.link), realigner.link)
        wiring.connect(m, realigner.raw, swap.source)
        wiring.connect(m, swap.swapped, wiring.flipped(self.raw))
        m.d.comb += self.bar.eq(realigner.bar)
        return m


class Series7Interrupt(wiring.Component):
    """Tells the block of each change of INTA; it sends the message.

    The request stands until the block has taken it. A change that is undone before is told twice or not at all.

    Members
    -------
    level : In(1)
    cfg_interrupt, cfg_interrupt_assert : Out(1)
    cfg_interrupt_rdy : In(1)
    """

    level: In(1)
    cfg_interrupt: Out(1)
    cfg_interrupt_assert: Out(1)
    cfg_interrupt_rdy: In(1)

    def elaborate(self, platform):
        m = Module()
        self._told = told = Signal()
        with m.If(self.cfg_interrupt & self.cfg_interrupt_rdy):
            m.d.sync += [told.eq(self.cfg_interrupt_assert), self.cfg_interrupt.eq(0)]
        with m.Elif(~self.cfg_interrupt & (self.level != told)):
            m.d.sync += [self.cfg_interrupt.eq(1), self.cfg_interrupt_assert.eq(self.level)]
        return m


class Series7Status(wiring.Component):
    """What the block's header and capabilities say, as the core asks for it. Combinational.

    Members
    -------
    cfg_command, cfg_dcommand, cfg_lcommand : In(16)
        Command, Device Control, Link Control.
    cfg_pmcsr_powerstate : In(2)
    cfg_bus_number, cfg_device_number : In(8), In(5)
    cfg_interrupt_msixenable, cfg_interrupt_msixfm : In(1)
    control : Out(FunctionControl())
        Base addresses and ``reset`` stay zero; there are no virtual functions.
    """

    cfg_command: In(16)
    cfg_dcommand: In(16)
    cfg_lcommand: In(16)
    cfg_pmcsr_powerstate: In(2)
    cfg_bus_number: In(8)
    cfg_device_number: In(5)
    cfg_interrupt_msixenable: In(1)
    cfg_interrupt_msixfm: In(1)
    control: Out(FunctionControl())

    def elaborate(self, platform):
        m = Module()
        control, awake = self.control, Signal()
        m.d.comb += [
            awake.eq(self.cfg_pmcsr_powerstate == 0),
            control.awake.eq(awake),
            control.io_enabled.eq(self.cfg_command[0] & awake),
            control.memory_enabled.eq(self.cfg_command[1] & awake),
            control.bus_master.eq(self.cfg_command[2] & awake),
            control.interrupt_disable.eq(self.cfg_command[10] | ~awake),
            control.msix_enable.eq(self.cfg_interrupt_msixenable),
            control.msix_mask.eq(self.cfg_interrupt_msixfm),
            control.max_payload_size.eq(self.cfg_dcommand[5:8]),
            control.extended_tag.eq(self.cfg_dcommand[8]),
            control.max_read_request_size.eq(self.cfg_dcommand[12:15]),
            control.read_completion_boundary.eq(self.cfg_lcommand[3]),
            control.bus.eq(self.cfg_bus_number),
            control.device.eq(self.cfg_device_number),
        ]
        return m


def _ports(width: int) -> dict[str, tuple[wiring.Member, str]]:
    """Ports of the block that the core uses, from the core's side, each with what it is for."""
    return {
        "m_axis_rx_tdata": (In(width), "TLPs from the block: payload big-endian."),
        "m_axis_rx_tkeep": (In(width // 8), "One bit a byte; looked at at 64 bits alone."),
        "m_axis_rx_tlast": (In(1), "Last beat of a packet; looked at at 64 bits alone."),
        "m_axis_rx_tuser": (In(22), "Where packets begin and end, which BAR they hit, and errors."),
        "m_axis_rx_tvalid": (In(1), "A beat is offered."),
        "m_axis_rx_tready": (Out(1), "The beat is taken."),
        "rx_np_ok": (Out(1), "While high, the core takes non-posted requests, and 16 more after it fell."),
        "s_axis_tx_tdata": (Out(width), "TLPs to the block: payload big-endian."),
        "s_axis_tx_tkeep": (Out(width // 8), "One bit a byte; whole dwords, contiguous."),
        "s_axis_tx_tlast": (Out(1), "Last beat of a packet."),
        "s_axis_tx_tuser": (Out(4), "Zero: no digest, no poison, no cut-through, no discarding."),
        "s_axis_tx_tvalid": (Out(1), "A beat is offered; the beats of a packet follow without a gap."),
        "s_axis_tx_tready": (In(1), "The beat is taken."),
        "cfg_command": (In(16), "Command register."),
        "cfg_dcommand": (In(16), "Device Control register."),
        "cfg_lcommand": (In(16), "Link Control register."),
        "cfg_pmcsr_powerstate": (In(2), "Power state."),
        "cfg_bus_number": (In(8), "Captured bus number."),
        "cfg_device_number": (In(5), "Captured device number."),
        "cfg_received_func_lvl_rst": (In(1), "A function level reset is on."),
        "cfg_interrupt_msixenable": (In(1), "MSI-X Enable."),
        "cfg_interrupt_msixfm": (In(1), "MSI-X Function Mask."),
        "cfg_interrupt": (Out(1), "INTA is to change; high until taken."),
        "cfg_interrupt_assert": (Out(1), "INTA is to be raised, or else lowered."),
        "cfg_interrupt_di": (Out(8), "Zero: INTA."),
        "cfg_interrupt_rdy": (In(1), "The change of INTA is taken."),
        "cfg_interrupt_stat": (Out(1), "Interrupt Status of the Status register; needs no interrupt to be enabled."),
    }


class Series7(wiring.Component):
    """Between the endpoint and the block. One function.

    Configuration requests that the block hands over go to the endpoint among the others, and are completed in order
    with them: each of them, writes too, by the number that the block has captured.

    Members
    -------
    link : Out(Link(width))
    ports of the block
        See `PORT_DOCS`.
    """

    #: What each port is for.
    PORT_DOCS = MappingProxyType({name: doc for name, (_, doc) in _ports(64).items()})

    def __init__(self, config: DeviceConfig):
        self._width = config.datapath.width
        super().__init__({
            "link": Out(Link(self._width, completions=False)),
            **{name: member for name, (member, _) in _ports(self._width).items()},
        })

    def elaborate(self, platform):
        m = Module()
        lanes, link = self._width // 32, self.link

        # --- Requests and completions from the link -------------------------------------------------------
        m.submodules.receiver = receiver = Series7Receiver(self._width)
        m.submodules.beats = beats = RawReceiver(self._width)
        wiring.connect(m, receiver.raw, beats.raw)
        wiring.connect(m, beats.beats, wiring.flipped(link.beats))
        m.d.comb += [
            receiver.link.valid.eq(self.m_axis_rx_tvalid),
            receiver.link.p.data.eq(self.m_axis_rx_tdata),
            receiver.link.p.keep.eq(self.m_axis_rx_tkeep),
            receiver.link.p.last.eq(self.m_axis_rx_tlast),
            receiver.link.p.user.eq(self.m_axis_rx_tuser),
            self.m_axis_rx_tready.eq(receiver.link.ready),
            link.truncated.eq(beats.truncated),
            # At 64 bits the header is on offer with its second beat.
            link.hit.bar.eq(receiver.bar),
            self.rx_np_ok.eq(link.np_ok),
        ]

        # --- Packets to the link --------------------------------------------------------------------------
        m.submodules.swap = swap = ByteSwap(self._width)
        wiring.connect(m, wiring.flipped(link.tx), swap.source)
        m.d.comb += [
            self.s_axis_tx_tvalid.eq(swap.swapped.valid),
            self.s_axis_tx_tdata.eq(swap.swapped.p.data),
            self.s_axis_tx_tkeep.eq(Cat(swap.swapped.p.keep[i].replicate(4) for i in range(lanes))),
            self.s_axis_tx_tlast.eq(swap.swapped.p.last),
            swap.swapped.ready.eq(self.s_axis_tx_tready),
        ]

        # --- Status and interrupt -------------------------------------------------------------------------
        m.submodules.status = status = Series7Status()
        m.submodules.watcher = watcher = FunctionWatcher(1)
        m.submodules.interrupt = interrupt = Series7Interrupt()
        # A reset that is over before it was told is told all the same.
        resetting, before = Signal(), Signal()
        m.d.sync += before.eq(self.cfg_received_func_lvl_rst)
        with m.If(self.cfg_received_func_lvl_rst & ~before):
            m.d.sync += resetting.eq(1)
        with m.Elif(watcher.reset_done):
            m.d.sync += resetting.eq(0)
        wiring.connect(m, status.control, wiring.flipped(link.control))
        wiring.connect(m, watcher.change, wiring.flipped(link.change))
        for part in (status, interrupt):
            for name, member in part.signature.members.items():
                if name.startswith("cfg_"):
                    inner, outer = getattr(part, name), getattr(self, name)
                    m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
        m.d.comb += [
            watcher.bus_master.eq(link.control.bus_master),
            watcher.msix_enable.eq(link.control.msix_enable),
            watcher.msix_mask.eq(link.control.msix_mask),
            watcher.resetting.eq(self.cfg_received_func_lvl_rst | resetting),
            # MSI-X is off at once, and the reset of what is pending comes some clocks later.
            interrupt.level.eq(link.intx & ~watcher.resetting),
            self.cfg_interrupt_stat.eq(link.interrupt_status),
        ]
        return m

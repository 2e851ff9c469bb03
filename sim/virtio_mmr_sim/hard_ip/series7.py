"""AMD's 7-series block between a host and the core: configuration space, BARs, streams, interrupt and status ports.

Toward the host it takes and gives TLPs as lists of dwords, as the raw ports do, so that one host serves both. It
answers for its own part of configuration space, refuses what hits no BAR, swallows messages, drops what is malformed,
and hands over the rest. What the block leaves open is random: gaps, which packets straddle, ``s_axis_tx_tready``, when
an interrupt is taken, how many non-posted requests still come when ``rx_np_ok`` has fallen.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, Event, RisingEdge
from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA, MESSAGE_LOCAL, CompletionStatus, TlpType

from virtio_mmr_sim.bus.handshake import Receiver, Sender
from virtio_mmr_sim.bus.raw import GRACE, is_non_posted
from virtio_mmr_sim.model import tlp as codec
from virtio_mmr_sim.model.configuration import D0, ConfigurationSpaceModel
from virtio_mmr_sim.model.malformed import why_malformed
from virtio_mmr_sim.model.series7 import RxBeat, RxFramer, RxPacket, TxReader
from virtio_mmr_sim.model.tlp import Completion, ConfigRequest, IoRequest, MemoryRequest, Message

from .configuration import space_behind

#: Clocks from when the packets before a configuration request have been handed over until registers change.
LATENCY = 8


class Series7Ip:
    """Both ends of the link: see `RawTlpSource` and `RawTlpSink`, whose members it has.

    Parameters
    ----------
    idle, stall
        Probability of a clock without a beat toward the user, and of one without ``s_axis_tx_tready``.
    straddle
        Probability that a packet which can begin in the middle of a beat does.
    """

    def __init__(self, dut: Any, config: DeviceConfig, *, rng: random.Random, idle: float = 0.2, stall: float = 0.3,
                 straddle: float = 0.6):
        self._dut, self._config, self._rng = dut, config, rng
        #: Header, the block's capabilities, and what software has written there.
        self.space = ConfigurationSpaceModel(config, space_behind(config))
        #: The last classic structure of the block points at the core's. In a block as it is generated it does not.
        self.chained = True
        #: Bus and device number, as the last configuration write said.
        self.captured = 0
        #: INTA, as the core has asked for it.
        self.inta = False
        #: What came in and has not been handed over, oldest first; the first may be on its way.
        self._arrived: deque[tuple[int, ...]] = deque()
        self._ready: deque[RxPacket] = deque()
        self._wake, self._empty, self._answered = Event(), Event(), Event()
        self._empty.set()
        #: As in `RawTlpSource`.
        self.least_grace = 0
        self.grace = 0
        #: TLPs for the host.
        self.tlps: deque[list[int]] = deque()

        width = len(dut.m_axis_rx_tdata)
        self._framer, self._reader = RxFramer(width, rng=rng, straddle=straddle), TxReader(width)
        self._sender = Sender(dut.clk, dut.m_axis_rx_tvalid, dut.m_axis_rx_tready, self._drive, rng=rng, idle=idle)
        self._receiver = Receiver("s_axis_tx", dut.clk, dut.rst, dut.s_axis_tx_tvalid, dut.s_axis_tx_tready,
                                  self._sample, rng=rng, stall=stall)
        dut.cfg_interrupt_rdy.value = 0
        dut.cfg_received_func_lvl_rst.value = 0
        self._tell()
        self._task = cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())
        cocotb.start_soon(self._interrupt())

    # As a source of TLPs.

    @property
    def idle(self) -> float:
        """Probability of another clock without a beat."""
        return self._sender.idle

    @idle.setter
    def idle(self, value: float) -> None:
        self._sender.idle = value

    def share(self, space: ConfigurationSpaceModel) -> None:
        """Have the configuration space of somebody else, who keeps it up to date."""
        self.space = space

    @property
    def pending(self) -> int:
        """TLPs that the user has not taken wholly."""
        return len(self._arrived) + len(self._ready) + self._framer.inside

    @property
    def posted_pending(self) -> int:
        """Those that have not begun and want no completion."""
        return sum(not is_non_posted(tlp) for tlp in [*self._arrived, *(one.dwords for one in self._ready)])

    def put(self, tlp: Sequence[int]) -> None:
        """A TLP comes from the host."""
        self._arrived.append(tuple(tlp))
        self._empty.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Wait until everything has been answered or handed over."""
        await self._empty.wait()

    def abort(self) -> None:
        """The link is reset: forget everything."""
        self._task.cancel()
        self._sender.stop()
        self._framer.abort()
        self._arrived.clear()
        self._ready.clear()
        self._empty.set()
        self.space.reset()
        self.captured = 0
        self._tell()
        self._task = cocotb.start_soon(self._send())

    # As a sink of TLPs.

    @property
    def stall(self) -> float:
        """Probability that a beat is refused in a clock."""
        return self._receiver.stall

    @stall.setter
    def stall(self, value: float) -> None:
        self._receiver.stall = value
        self._receiver.draw()

    def clear(self) -> None:
        """Forget what has arrived; only for resets."""
        self.tlps.clear()
        self._reader.clear()

    async def receive(self) -> list[int]:
        """The oldest TLP for the host, once there is one."""
        while not self.tlps:
            self._answered.clear()
            await self._answered.wait()
        return self.tlps.popleft()

    def _answer(self, dwords: list[int]) -> None:
        self.tlps.append(dwords)
        self._answered.set()

    # Ports of the user.

    def _tell(self) -> None:
        """Drive the status ports."""
        dut = self._dut

        def bits(**places: int) -> int:
            return sum(self.space.get(f"control.{name}") << place for name, place in places.items())

        dut.cfg_command.value = bits(io_enable=0, memory_enable=1, bus_master=2, interrupt_disable=10)
        dut.cfg_dcommand.value = bits(max_payload_size=5, extended_tag=8, max_read_request_size=12)
        dut.cfg_lcommand.value = bits(read_completion_boundary=3)
        dut.cfg_pmcsr_powerstate.value = bits(power_state=0)
        dut.cfg_interrupt_msixenable.value = bits(msix_enable=0)
        dut.cfg_interrupt_msixfm.value = bits(msix_mask=0)
        self._capture(self.captured)

    def _capture(self, identity: int) -> None:
        self.captured = identity
        self._dut.cfg_bus_number.value, self._dut.cfg_device_number.value = identity >> 8, identity >> 3 & 0x1F

    def _drive(self, beat: RxBeat) -> None:
        dut = self._dut
        dut.m_axis_rx_tdata.value, dut.m_axis_rx_tkeep.value = beat.data, beat.keep
        dut.m_axis_rx_tlast.value, dut.m_axis_rx_tuser.value = beat.last, beat.user

    def _sample(self) -> tuple[int, int, int, int]:
        dut = self._dut
        return (int(dut.s_axis_tx_tdata.value), int(dut.s_axis_tx_tkeep.value), int(dut.s_axis_tx_tlast.value),
                int(dut.s_axis_tx_tuser.value))

    async def _receive(self) -> None:
        while True:
            beat = await self._receiver.transfer(at_once=self._reader.inside)
            if beat is None:
                self._reader.clear()
                continue
            tlp = self._reader.beat(*beat)
            if tlp is not None:
                found = codec.parse(tlp)
                assert not isinstance(found, Message), f"the block sends messages itself: {found}"
                self._answer(tlp)

    async def _interrupt(self) -> None:
        """Take requests to raise and lower INTA, after a while each."""
        dut = self._dut
        while True:
            await RisingEdge(dut.clk)
            dut.cfg_interrupt_rdy.value = 0
            if int(dut.rst.value):
                self.inta = False
                continue
            if not int(dut.cfg_interrupt.value) or int(dut.cfg_interrupt_rdy.value):
                continue
            what = int(dut.cfg_interrupt_assert.value)
            for _ in range(self._rng.choice([0, 0, 1, 7])):
                await RisingEdge(dut.clk)
                if int(dut.rst.value):
                    break
                asked = int(dut.cfg_interrupt.value), int(dut.cfg_interrupt_assert.value)
                assert asked == (1, what), "a request for an interrupt changed before it was taken"
            else:
                assert not int(dut.cfg_interrupt_di.value), "INTA has number 0"
                dut.cfg_interrupt_rdy.value = 1
                assert self.inta != bool(what), "INTA is told twice"
                self.inta = bool(what)
                self._answer(codec.build(Message(
                    code=ASSERT_INTA if what else DEASSERT_INTA, routing=MESSAGE_LOCAL, requester=self.captured)))

    # What becomes of a TLP.

    async def _send(self) -> None:
        dut = self._dut
        while True:
            # Before every beat, because what comes next may begin in this packet's last one.
            if not self._ready:
                await self._choose()
            beat = self._framer.beat(self._ready)
            if beat is not None:
                await self._sender.transfer(beat)
            elif self._arrived:
                await RisingEdge(dut.clk)
            else:
                self._empty.set()
                self._wake.clear()
                await self._wake.wait()

    async def _choose(self) -> None:
        """Look at TLPs, oldest first, until there is one for the user that may go now.

        While non-posted requests may not go, others pass them; nothing passes a posted one.
        """
        if int(self._dut.rx_np_ok.value):
            # One that was chosen while the flag was up may still wait behind another packet.
            self.grace = self._rng.randint(min(self.least_grace, GRACE - 1), GRACE - 1)
        for tlp in list(self._arrived):
            if is_non_posted(tlp) and not int(self._dut.rx_np_ok.value) and not self.grace:
                continue
            if self._framer.inside and tlp[0] >> 24 & 0x1F == TlpType.CONFIG_0:
                # It may change what the packet on its way finds.
                return
            if is_non_posted(tlp) and not int(self._dut.rx_np_ok.value):
                self.grace -= 1
            self._arrived.remove(tlp)
            packet = await self._handle(tlp)
            if packet is not None:
                self._ready.append(packet)
                return

    async def _handle(self, dwords: tuple[int, ...]) -> RxPacket | None:
        """Answer a TLP, or give it back as a packet for the user."""
        largest = min(128 << self.space.get("control.max_payload_size"), self._config.datapath.max_payload)
        if why_malformed(dwords, largest, self._config.datapath.check_byte_enables):
            return None
        found = codec.parse(dwords)
        if isinstance(found, ConfigRequest):
            return await self._configure(found, dwords)
        if isinstance(found, Completion):
            return RxPacket(dwords)
        if isinstance(found, MemoryRequest | IoRequest):
            hit = self._hit(found.address, io=isinstance(found, IoRequest))
            if hit and not (isinstance(found, MemoryRequest) and found.locked):
                return RxPacket(dwords, hit)
        if is_non_posted(dwords):
            self._refuse(found)
        return None

    async def _configure(self, request: ConfigRequest, dwords: tuple[int, ...]) -> RxPacket | None:
        if request.type1 or request.function or (request.poisoned and request.write):
            self._refuse(request)
            return None
        if request.write:
            self._capture(request.bus << 8 | request.device << 3)
        windows = self._config.datapath.hard_ip.classic, self._config.datapath.hard_ip.extended
        if any(start <= request.offset < end for start, end in windows):
            return RxPacket(dwords)
        payload: tuple[int, ...] = ()
        # Registers change some time after the packets before have been handed over.
        await ClockCycles(self._dut.clk, LATENCY)
        if not request.write:
            payload = (self._read(request.offset, request.first_be),)
        elif self.space.write(request.offset, request.data, request.first_be):
            self.space.reset()
            cocotb.start_soon(self._reset_function())
        self._tell()
        self._answer(codec.build(Completion(
            requester=request.requester, tag=request.tag, completer=self.captured, payload=payload)))
        return None

    def _read(self, offset: int, enables: int) -> int:
        live = {"live.interrupt_status": bool(int(self._dut.cfg_interrupt_stat.value))}
        found = self.space.read(offset, enables, live)
        own = [placed.offset for placed in self.space.layout.capabilities if placed.kind == "classic"
               and placed.offset < self._config.datapath.hard_ip.classic[0]]
        return found if self.chained or offset != max(own) else found & ~0xFF00

    def _hit(self, address: int, *, io: bool) -> int:
        """``bar_hit``: both bits of a BAR of 64 bits."""
        get = self.space.get
        if get("control.power_state") != D0 or not get("control.io_enable" if io else "control.memory_enable"):
            return 0
        for bar in sorted(self._config.bars, key=lambda bar: bar.index):
            base = self.space.base_address(bar.index, bar.kind is BarKind.MEMORY64)
            if (bar.kind is BarKind.IO) == io and base <= address < base + bar.decoded_size:
                return (0b11 if bar.kind is BarKind.MEMORY64 else 0b1) << bar.index
        return 0

    async def _reset_function(self) -> None:
        self._dut.cfg_received_func_lvl_rst.value = 1
        for _ in range(4):
            await RisingEdge(self._dut.clk)
        self._dut.cfg_received_func_lvl_rst.value = 0

    def _refuse(self, request: Any) -> None:
        """Unsupported Request; of a memory read, with the byte count that it asked for."""
        completion = Completion(
            requester=request.requester, tag=request.tag, traffic_class=request.traffic_class,
            attributes=request.attributes, completer=self.captured, status=CompletionStatus.UNSUPPORTED)
        if isinstance(request, MemoryRequest):
            cut = codec.pieces(request.address, request.length, *codec.enables(request))[0]
            completion = replace(completion, byte_count=cut.byte_count, lower_address=cut.lower_address,
                                 locked=request.locked)
        self._answer(codec.build(completion))

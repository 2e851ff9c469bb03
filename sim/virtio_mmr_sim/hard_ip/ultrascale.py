"""AMD's UltraScale+ block on the link's side of the adapter: configuration, streams with descriptors, status.

Specification: AMD PG213. Toward the host it takes and gives TLPs as lists of dwords, as the raw ports do, so that one
host serves both. What the block answers by itself never reaches the core: configuration space outside the core's
windows, requests that no BAR claims, malformed packets, messages. The host finds virtual function n at routing id n;
the block's number for it is n + 3, and its bit in vectors, which `cfg_vf_flr_func_num` names, n - 1.
"""

import functools
import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge
from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.spec.sriov import page_bytes
from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA, MESSAGE_LOCAL, CompletionStatus, TlpType

from virtio_mmr_sim.bus.handshake import Receiver, Sender
from virtio_mmr_sim.bus.raw import is_non_posted
from virtio_mmr_sim.model.configuration import D0, ConfigurationSpaceModel
from virtio_mmr_sim.model.malformed import why_malformed
from virtio_mmr_sim.model.tlp import (
    AtomicRequest,
    Completion,
    ConfigRequest,
    IoRequest,
    MemoryRequest,
    Message,
    build,
    byte_count,
    enables,
    lower_address,
    parse,
)

from .configuration import space_behind

#: Most credits for non-posted requests that the block keeps.
_MOST_CREDIT = 32

#: Reads for whose headers the host has room.
_READ_CREDIT = 64

#: Clocks that an answer of the core to a configuration read may take.
_MOST_CLOCKS = 2

_REQUEST_TYPES = {TlpType.FETCH_ADD: 4, TlpType.SWAP: 5, TlpType.COMPARE_SWAP: 6}


class UltraScaleIp:
    """Both ends of the link: see `RawTlpSource` and `RawTlpSink`, whose members it has.

    Parameters
    ----------
    idle
        Probability of another empty clock before each beat toward the core.
    stall
        Probability that the block refuses a beat in a clock.
    """

    def __init__(self, dut: Any, config: DeviceConfig, *, rng: random.Random, idle: float = 0.2, stall: float = 0.3):
        self._dut, self._config, self._rng = dut, config, rng
        self._hard_ip = config.datapath.hard_ip
        kinds = [config] if config.vf is None else [config, config.vf.function]
        self._spaces = [ConfigurationSpaceModel(kind, space_behind(kind)) for kind in kinds]
        #: Configuration space of each function.
        self.spaces = [self._spaces[min(number, 1)].another() for number in range(config.functions)]
        self._bus, self._device = 0, 0
        self._queue: deque[tuple[int, ...]] = deque()
        self._answers: deque[tuple[int, ...]] = deque()
        self._credit = 0
        self._wake, self._empty = Event(), Event()
        self._empty.set()
        #: What the core and the block sent to the host, oldest first.
        self.tlps: deque[list[int]] = deque()
        self._arrived = Event()
        #: Headers of reads that the host has room for.
        self.read_credit = _READ_CREDIT
        self._read_credit_returns: list[int] = []
        #: Requests that were dropped because their function may not send any.
        self.blocked = 0
        #: Functions whose reset is going on.
        self._resets: set[int] = set()
        self._waits: list[tuple[int, int]] = []
        self._drivers = {
            prefix: Sender(dut.clk, getattr(dut, f"m_axis_{prefix}_tvalid"), getattr(dut, f"m_axis_{prefix}_tready"),
                           functools.partial(self._drive, prefix), rng=self._fork(), idle=idle)
            for prefix in ("cq", "rc")
        }
        self._takers = {
            prefix: Receiver(f"s_axis_{prefix}", dut.clk, dut.rst, getattr(dut, f"s_axis_{prefix}_tvalid"),
                             getattr(dut, f"s_axis_{prefix}_tready"), functools.partial(self._sample, prefix),
                             rng=self._fork(), stall=stall)
            for prefix in ("cc", "rq")
        }
        for signal in ("cfg_ext_read_received", "cfg_ext_write_received", "cfg_interrupt_sent",
                       "pcie_rq_seq_num_vld0", "pcie_rq_seq_num_vld1"):
            getattr(dut, signal).value = 0
        self._show()
        for prefix in ("cc", "rq"):
            cocotb.start_soon(self._take(prefix))
        self._tasks = self._start()
        for task in (self._count_credit(), self._show_read_credit(), self._tell_sent(), self._follow_pin(),
                     self._follow_resets()):
            cocotb.start_soon(task)

    def _fork(self) -> random.Random:
        return random.Random(self._rng.random())

    # The ends of the link.

    @property
    def idle(self) -> float:
        """Probability of another empty clock before each beat toward the core."""
        return self._drivers["cq"].idle

    @idle.setter
    def idle(self, value: float) -> None:
        for driver in self._drivers.values():
            driver.idle = value

    @property
    def stall(self) -> float:
        """Probability that the block refuses a beat in a clock."""
        return self._takers["cc"].stall

    @stall.setter
    def stall(self, value: float) -> None:
        for taker in self._takers.values():
            taker.stall = value
            taker.draw()

    def share(self, space: ConfigurationSpaceModel) -> None:
        """Have the configuration space of somebody else, who keeps it up to date."""
        self.spaces[0] = space

    @property
    def pending(self) -> int:
        """TLPs from the host that are not done with."""
        return len(self._queue) + len(self._answers)

    @property
    def posted_pending(self) -> int:
        """Posted TLPs among them."""
        return sum(not is_non_posted(tlp) for tlp in self._queue)

    @property
    def grace(self) -> int:
        """Non-posted requests that the core takes for certain."""
        return self._credit

    def put(self, tlp: Sequence[int]) -> None:
        """Queue a TLP from the host."""
        (self._answers if tlp[0] >> 24 & 0x1E == TlpType.COMPLETION else self._queue).append(tuple(tlp))
        self._empty.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Wait until everything that was queued is done with."""
        await self._empty.wait()

    async def receive(self) -> list[int]:
        """The oldest TLP to the host, once there is one."""
        while not self.tlps:
            self._arrived.clear()
            await self._arrived.wait()
        return self.tlps.popleft()

    def abort(self) -> None:
        """The link goes down: forget everything, configuration too; only for resets."""
        for task in self._tasks:
            task.cancel()
        for driver in self._drivers.values():
            driver.stop()
        self._queue.clear()
        self._answers.clear()
        self._waits.clear()
        self._resets.clear()
        self._read_credit_returns.clear()
        self.read_credit = _READ_CREDIT
        self._credit = self._bus = self._device = 0
        self._dut.cfg_ext_read_received.value = 0
        self._dut.cfg_ext_write_received.value = 0
        for space in self.spaces:
            space.reset()
        self._show()
        self._empty.set()
        self._tasks = self._start()

    def clear(self) -> None:
        """Forget what has arrived; only for resets."""
        self.tlps.clear()

    def _to_host(self, tlp: Sequence[int]) -> None:
        self.tlps.append(list(tlp))
        self._arrived.set()

    def _start(self) -> list[Any]:
        return [cocotb.start_soon(self._serve()), cocotb.start_soon(self._answer())]

    # Requests.

    def _next(self) -> tuple[int, ...] | None:
        """The oldest TLP that may go now: a posted one passes those that wait for credit or for the end of a reset."""
        blocked = False
        for tlp in self._queue:
            if not is_non_posted(tlp) or self._malformed(tlp):
                return tlp
            configuration = tlp[0] >> 24 & 0x1E == TlpType.CONFIG_0
            if blocked or (configuration and self._target(parse(tlp)) in self._resets):
                continue
            if self._credit or configuration:
                return tlp
            blocked = True
        return None

    def _target(self, request: Any) -> int:
        """The function that a configuration request is for."""
        device, function = int(request.device), int(request.function)
        return device << 3 | function if self._config.vf is not None else function

    async def _serve(self) -> None:
        while True:
            tlp = self._next() if self._queue else None
            if tlp is None:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                await RisingEdge(self._dut.clk)
                continue
            await self._deliver(tlp)
            self._queue.remove(tlp)
            if not self.pending:
                self._empty.set()

    async def _deliver(self, tlp: tuple[int, ...]) -> None:
        if self._malformed(tlp):
            return
        request: Any = parse(tlp)
        if isinstance(request, ConfigRequest):
            await self._configure(request)
        elif isinstance(request, MemoryRequest | IoRequest | AtomicRequest):
            found = self._decode(request.address, isinstance(request, IoRequest))
            # Without data, poison means nothing.
            if found is not None and not (request.poisoned and tlp[0] >> 30 & 1):
                self._credit -= is_non_posted(tlp)
                await self._send("cq", self._describe(request, *found), request)
            elif is_non_posted(tlp):
                self._refuse(request)

    def _malformed(self, tlp: tuple[int, ...]) -> bool:
        """The block drops it."""
        largest = min(128 << self.spaces[0].get("control.max_payload_size"), self._config.datapath.max_payload)
        return why_malformed(tlp, largest, self._config.datapath.check_byte_enables) is not None

    def _refuse(self, request: Any) -> None:
        more: dict[str, int] = {}
        if isinstance(request, MemoryRequest):
            first, last = enables(request)
            more = {"byte_count": byte_count(request.length, first, last),
                    "lower_address": lower_address(request.address, first)}
        locked = getattr(request, "locked", False)
        self._complete(request, 0, status=CompletionStatus.UNSUPPORTED, locked=locked, **more)

    def _complete(self, request: Any, function: int, **fields: Any) -> None:
        """An answer of the block itself."""
        self._to_host(build(Completion(**{
            "requester": request.requester, "tag": request.tag, "traffic_class": request.traffic_class,
            "attributes": request.attributes, "completer": self._id(function), "byte_count": 4, **fields})))

    def _id(self, function: int) -> int:
        return self._bus << 8 | self._device << 3 | function

    @property
    def present(self) -> int:
        """Virtual functions that exist."""
        get = self.spaces[0].get
        return get("control.num_vfs") if get("control.vf_enable") else 0

    def _decode(self, address: int, io: bool) -> tuple[int, int, int] | None:
        """Function, BAR and its bits of the request's address; the physical function's BARs first."""
        own = self.spaces[0]
        if own.get("control.power_state") != D0:
            return None
        for bar in self._config.bars:
            base = own.base_address(bar.index, bar.kind is BarKind.MEMORY64)
            enabled = own.get("control.io_enable" if bar.kind is BarKind.IO else "control.memory_enable")
            if (bar.kind is BarKind.IO) == io and enabled and base <= address < base + bar.decoded_size:
                return 0, bar.index, bar.decoded_size.bit_length() - 1
        if io or self._config.vf is None or not own.get("control.vf_memory_enable"):
            return None
        page = page_bytes(own.get("control.system_page_size"))
        for bar in self._config.vf.function.bars:
            base = own.base_address(bar.index, bar.kind is BarKind.MEMORY64, "vf_")
            number, offset = divmod(address - base, max(bar.decoded_size, page))
            if 0 <= number < self.present and offset < bar.decoded_size:
                return number + 1, bar.index, bar.decoded_size.bit_length() - 1
        return None

    def _number(self, function: int) -> int:
        """The block's number of a function."""
        return function and function + self._hard_ip.first_virtual_function - 1

    def _function(self, number: int) -> int:
        """The other way round.

        Raises
        ------
        AssertionError
            If there is no such function.
        """
        function = number and number - self._hard_ip.first_virtual_function + 1
        assert 0 <= function < self._config.functions, f"the core speaks of function number {number}"
        return function

    def _describe(self, request: Any, function: int, bar: int, aperture: int) -> list[int]:
        """The descriptor of a completer request, and its payload."""
        payload: tuple[int, ...] = ()
        if isinstance(request, IoRequest):
            kind, length, payload = 2 + request.write, 1, (request.data,) if request.write else ()
        elif isinstance(request, AtomicRequest):
            kind, length, payload = _REQUEST_TYPES[request.operation], len(request.payload), request.payload
        else:
            kind, length, payload = 7 if request.locked else int(request.write), request.length, request.payload
        return [
            request.address & 0xFFFF_FFFC | request.address_type, request.address >> 32,
            length | kind << 11 | request.requester << 16,
            request.tag & 0xFF | self._number(function) << 8 | bar << 16 | aperture << 19
            | request.traffic_class << 25 | request.attributes << 28, *payload]

    # Completions of the core's reads.

    async def _answer(self) -> None:
        while True:
            if not self._answers:
                self._wake.clear()
                await self._wake.wait()
                continue
            if not self._malformed(self._answers[0]):
                await self._send("rc", self._describe_answer(parse(self._answers[0])))
            self._answers.popleft()
            if not self.pending:
                self._empty.set()

    def _describe_answer(self, answer: Any) -> list[int]:
        """The descriptor of a requester completion, and its payload."""
        payload = answer.payload
        count = answer.byte_count or 4096
        requester = answer.requester & 0xFF00 | self._number(answer.requester & 0xFF ^ self._device << 3)
        done = not payload or count <= 4 * len(payload) - (answer.lower_address & 3)
        return [
            answer.lower_address | (1 if answer.poisoned else 0) << 12 | count << 16 | done << 30,
            len(payload) | answer.status << 11 | answer.poisoned << 14 | requester << 16,
            answer.tag & 0xFF | answer.completer << 8 | answer.traffic_class << 25 | answer.attributes << 28,
            *payload]

    # Streams.

    def _drive(self, prefix: str, beat: tuple[Sequence[int], bool, int]) -> None:
        dwords, last, user = beat
        for name, value in (("tdata", sum(dword << 32 * lane for lane, dword in enumerate(dwords))),
                            ("tkeep", (1 << len(dwords)) - 1), ("tlast", last), ("tuser", user)):
            getattr(self._dut, f"m_axis_{prefix}_{name}").value = value

    async def _send(self, prefix: str, dwords: Sequence[int], request: Any = None) -> None:
        lanes = self._config.datapath.width // 32
        user = 1 << 32
        if prefix == "cq":
            # Byte enables of the payload and parity are for whoever looks at them.
            first, last = (request.first_be, 0) if isinstance(request, IoRequest) else (0, 0)
            if isinstance(request, MemoryRequest):
                first, last = enables(request)
            user = first | last << 4 | self._rng.getrandbits(32) << 8 | 1 << 40 | self._rng.getrandbits(32) << 53
        for start in range(0, len(dwords), lanes):
            await self._drivers[prefix].transfer(
                (dwords[start:start + lanes], start + lanes >= len(dwords), user if start == 0 else 0))

    def _sample(self, prefix: str) -> tuple[int, ...]:
        return tuple(int(getattr(self._dut, f"s_axis_{prefix}_{name}").value)
                     for name in ("tdata", "tkeep", "tlast", "tuser"))

    async def _take(self, prefix: str) -> None:
        lanes = self._config.datapath.width // 32
        partial: list[int] = []
        user = 0
        while True:
            beat = await self._takers[prefix].transfer(at_once=bool(partial))
            if beat is None:
                partial = []
                continue
            data, keep, last, beat_user = beat
            assert keep and keep & keep + 1 == 0, f"s_axis_{prefix}_tkeep is {keep:#x}: not contiguous"
            assert last or keep == (1 << lanes) - 1, f"s_axis_{prefix}_tkeep is {keep:#x} before the last beat"
            user = user if partial else beat_user
            partial += [data >> 32 * lane & 0xFFFF_FFFF for lane in range(keep.bit_count())]
            if last:
                (self._completion if prefix == "cc" else self._request)(partial, user)
                partial = []

    def _completion(self, dwords: list[int], user: int) -> None:
        d, payload = dwords[:3], tuple(dwords[3:])
        assert len(payload) == d[1] & 0x7FF, f"a completion of {d[1] & 0x7FF} dwords with {len(payload)}"
        assert not user and not d[2] >> 24 & 1 and not d[1] >> 14 & 1
        self._to_host(build(Completion(
            requester=d[1] >> 16, tag=d[2] & 0xFF, traffic_class=d[2] >> 25 & 7, attributes=d[2] >> 28 & 7,
            completer=self._id(self._function(d[2] >> 8 & 0xFF)), status=d[1] >> 11 & 7, locked=bool(d[0] >> 29 & 1),
            byte_count=d[0] >> 16 & 0x1FFF, lower_address=d[0] & 0x7F, payload=payload)))

    def _request(self, dwords: list[int], user: int) -> None:
        d, payload = dwords[:4], tuple(dwords[4:])
        kind, length = d[2] >> 11 & 0xF, d[2] & 0x7FF
        assert kind in (0, 1) and len(payload) == length * kind and not d[3] >> 24 & 1 and not d[2] >> 15 & 1
        if not kind:
            assert self.read_credit, "the block must hold a read, and with it all that comes behind"
            self.read_credit -= 1
            self._read_credit_returns.append(self._rng.randrange(4, 40))
        self._waits.append((self._rng.randrange(2, 24), user >> 24 & 0xF | user >> 60 << 4))
        function = self._function(d[2] >> 16 & 0xFF)
        if not self.spaces[function].get("control.bus_master"):
            self.blocked += 1
            return
        address = d[0] & 0xFFFF_FFFC | d[1] << 32
        self._to_host(build(MemoryRequest(
            write=bool(kind), address=address, wide=address >> 32 != 0, length=length, first_be=user & 0xF,
            last_be=user >> 4 & 0xF, requester=self._id(function), tag=d[3] & 0xFF, traffic_class=d[3] >> 25 & 7,
            attributes=d[3] >> 28 & 7, payload=payload)))

    # Side bands.

    async def _count_credit(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            if int(self._dut.rst.value):
                continue
            self._credit = min(self._credit + int(self._dut.pcie_cq_np_req.value), _MOST_CREDIT)

    async def _show_read_credit(self) -> None:
        late = [0, 0]
        while True:
            await RisingEdge(self._dut.clk)
            late = [min(self.read_credit, 15), *late[:-1]]
            self._dut.pcie_tfc_nph_av.value = late[-1]
            self.read_credit += sum(clocks <= 0 for clocks in self._read_credit_returns)
            self._read_credit_returns = [clocks - 1 for clocks in self._read_credit_returns if clocks > 0]

    async def _tell_sent(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            for index in range(2):
                # Those of one kind stay in order.
                first = [next((wait for wait in self._waits if wait[1] >> 5 == kind), None) for kind in (0, 1)]
                due = next((wait for wait in first if wait and wait[0] <= 0), None)
                getattr(self._dut, f"pcie_rq_seq_num_vld{index}").value = due is not None
                if due is not None:
                    self._waits.remove(due)
                    getattr(self._dut, f"pcie_rq_seq_num{index}").value = due[1]
            self._waits = [(clocks - 1, number) for clocks, number in self._waits]

    async def _follow_pin(self) -> None:
        told = 0
        while True:
            await RisingEdge(self._dut.clk)
            self._dut.cfg_interrupt_sent.value = 0
            level = int(self._dut.cfg_interrupt_int.value) & 1
            if int(self._dut.rst.value):
                told = 0
            elif level != told:
                for _ in range(self._rng.randrange(1, 8)):
                    await RisingEdge(self._dut.clk)
                assert int(self._dut.cfg_interrupt_int.value) & 1 == level, "the pin changed before it was told"
                code = ASSERT_INTA if level else DEASSERT_INTA
                self._to_host(build(Message(code=code, routing=MESSAGE_LOCAL, requester=self._id(0))))
                told = level
                self._dut.cfg_interrupt_sent.value = 1

    async def _follow_resets(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            if int(self._dut.cfg_flr_done.value) & 1 and 0 in self._resets:
                self._end_reset(0)
            if self._config.vf is not None and int(self._dut.cfg_vf_flr_done.value):
                self._end_reset(int(self._dut.cfg_vf_flr_func_num.value) + 1)

    def _end_reset(self, function: int) -> None:
        """The core is done; accesses to the function's configuration space were held back until now."""
        self._resets.remove(function)
        self._show()

    # Configuration space.

    def _show(self) -> None:
        """Every level that tells of configuration space, as it stands now."""
        dut, own = self._dut, self.spaces[0]

        def get(name: str) -> int:
            return own.get(f"control.{name}")

        levels = {
            "cfg_max_payload": min(get("max_payload_size"), 3),
            "cfg_max_read_req": get("max_read_request_size"),
            "cfg_rcb_status": get("read_completion_boundary"),
            "extended_tag": get("extended_tag"),
            "cfg_bus_number": self._bus,
            "cfg_function_status": get("io_enable") | get("memory_enable") << 1 | get("bus_master") << 2
            | get("interrupt_disable") << 3,
            "cfg_function_power_state": 1 if get("power_state") == D0 else 4,
            "cfg_interrupt_msix_enable": get("msix_enable"),
            "cfg_interrupt_msix_mask": get("msix_mask"),
            "cfg_flr_in_process": int(0 in self._resets),
        }
        if self._config.vf is not None:
            virtual = self.spaces[1:]

            def each(name: str) -> int:
                return sum(space.get(f"control.{name}") << i for i, space in enumerate(virtual))

            masters = each("bus_master")
            levels |= {
                "cfg_vf_status": sum(1 << 2 * i for i in range(self.present))
                | sum((masters >> i & 1) << 2 * i + 1 for i in range(len(virtual))),
                "cfg_vf_power_state": sum(1 << 3 * i for i in range(len(virtual))),
                "cfg_interrupt_msix_vf_enable": each("msix_enable"),
                "cfg_interrupt_msix_vf_mask": each("msix_mask"),
                "cfg_vf_flr_in_process": sum(1 << number - 1 for number in self._resets if number),
            }
        for name, value in levels.items():
            getattr(dut, name).value = value

    def _ours(self, offset: int) -> bool:
        """Whether the core answers for the register."""
        return any(first <= offset < end for first, end in (self._hard_ip.classic, self._hard_ip.extended))

    async def _configure(self, request: ConfigRequest) -> None:
        function = self._target(request)
        if request.type1 or (request.poisoned and request.write) or function > self.present:
            self._refuse(request)
            return
        if request.write:
            self._bus, self._device = request.bus, 0 if self._config.vf is not None else request.device
        space = self.spaces[function]
        read = await self._forward(request, function)
        if not request.write:
            live = {} if function else {
                "live.interrupt_status": bool(int(self._dut.cfg_interrupt_pending.value) & 1)
                and not space.get("control.msix_enable")}
            data = space.read(request.offset, request.first_be, live)
            if self._ours(request.offset):
                lanes = sum(0xFF << 8 * lane for lane in range(4) if request.first_be >> lane & 1)
                data = read & lanes
            self._complete(request, function, payload=(data,))
            return
        present = self.present
        if not self._ours(request.offset) and space.write(request.offset, request.data, request.first_be):
            space.reset()
            if not function:
                # What the physical function loses, its virtual ones lose.
                for other in self.spaces[1:]:
                    other.reset()
            self._resets.add(function)
        for other in self.spaces[1 + self.present:1 + present]:
            other.reset()
        self._show()
        # Far less than the round of the core over all functions; but virtual functions that have just been enabled may
        # be used only much later (PCI Express Base 5.0, 9.3.3.3.1).
        counting = 0 if self.present == present else 2 * self._config.functions + 16
        for _ in range(counting + self._rng.randrange(4, 12)):
            await RisingEdge(self._dut.clk)
        self._complete(request, function)

    async def _forward(self, request: ConfigRequest, function: int) -> int:
        """Show the access to the core, with a pulse or a level; gives what the core says to a read of its own."""
        dut, clk = self._dut, self._dut.clk
        held = self._ours(request.offset) and self._rng.random() < 0.5 and not request.write
        strobe = dut.cfg_ext_write_received if request.write else dut.cfg_ext_read_received
        dut.cfg_ext_register_number.value = request.offset // 4
        dut.cfg_ext_function_number.value = self._number(function)
        dut.cfg_ext_write_data.value = request.data
        dut.cfg_ext_write_byte_enable.value = request.first_be
        strobe.value = 1
        await RisingEdge(clk)
        answers: list[tuple[int, int]] = []
        for clock in range(6):
            if not held or answers:
                strobe.value = 0
            await RisingEdge(clk)
            if int(dut.cfg_ext_read_data_valid.value):
                answers.append((clock, int(dut.cfg_ext_read_data.value)))
        strobe.value = 0
        await RisingEdge(clk)
        if request.write:
            assert not answers, "the core answered a configuration write"
            return 0
        assert len(answers) == 1, f"the core gave {len(answers)} answers to a configuration read"
        assert answers[0][0] < _MOST_CLOCKS, f"the core took {answers[0][0] + 1} clocks"
        return answers[0][1]

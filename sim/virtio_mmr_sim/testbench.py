"""What a bench case finds when it starts: the core out of reset, a host, a back end, and windows.

A case is a coroutine under `@case`; it gets a `Testbench`. Before it runs the core is reset and, unless
it says otherwise, the host has given every BAR an address and enabled memory, I/O and bus mastering.
After it the bench checks that nothing is left in any queue. Back-pressure is random on every stream.
"""

import functools
import json
import os
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, RisingEdge
from virtio_mmr.config.device import Bar, BarKind, Space
from virtio_mmr.spec import control

from . import bench
from .bus.raw import RawTlpSink, RawTlpSource
from .bus.streams import StreamSink, StreamSource
from .design import Design
from .hard_ip.configuration import space_behind
from .hard_ip.series7 import Series7Ip
from .hard_ip.ultrascale import UltraScaleIp
from .host.host import SUCCESSFUL, TAGS, Host, Unsupported
from .model.tlp import MemoryRequest, extent, strobe

#: Clock period in nanoseconds.
PERIOD = 4

#: A case that takes longer than this many microseconds of simulated time has hung.
LIMIT = 20_000

#: Streams whose words a case must read; what the core says on the others may be left unread.
MUST_BE_READ = frozenset({"notification", "dma_read_data", "dma_write_done"})

COMMAND, MSIX_ENABLE = 0x04, 1 << 15

#: The byte of the control page that is the gate.
GATE = next(register.offset for register in control.TABLE if register.name == "platform") + 1


class Window:
    """A register window at an address, in memory or I/O space."""

    def __init__(self, host: Host, address: int, size: int, *, io: bool = False):
        self._host, self.address, self.size, self.io = host, address, size, io

    async def read(self, offset: int, size: int = 4) -> int:
        """Read *size* bytes as a little-endian number."""
        if not self.io:
            return await self._host.read_number(self.address + offset, size)
        start, length, first, last = extent(self.address + offset, size)
        value = 0
        for index in range(length):
            answer = await self._host.io_read(start + 4 * index, strobe(length, first, last, index))
            if answer.status != SUCCESSFUL:
                raise Unsupported(f"I/O read at {start + 4 * index:#x}")
            value |= answer.data << 32 * index
        return value >> 8 * (offset & 3) & (1 << 8 * size) - 1

    async def write(self, offset: int, value: int, size: int = 4) -> None:
        """Write *size* bytes of a number: one posted request, or an I/O write for each dword."""
        if not self.io:
            self._host.write(self.address + offset, value, size)
            return
        start, length, first, last = extent(self.address + offset, size)
        shifted = value << 8 * (offset & 3)
        for index in range(length):
            dword, enables = shifted >> 32 * index & 0xFFFF_FFFF, strobe(length, first, last, index)
            answer = await self._host.io_write(start + 4 * index, dword, enables)
            if answer.status != SUCCESSFUL:
                raise Unsupported(f"I/O write at {start + 4 * index:#x}")

    async def read_lanes(self, offset: int, enables: int) -> int:
        """Read one dword with any byte enables."""
        if self.io:
            answer = await self._host.io_read(self.address + offset, enables)
        else:
            answer = await self._host.request(MemoryRequest(address=self.address + offset, first_be=enables))
        if answer.status != SUCCESSFUL:
            raise Unsupported(f"read of lanes {enables:#x} at {offset:#x}")
        return answer.data

    async def write_lanes(self, offset: int, data: int, enables: int) -> None:
        """Write one dword with any byte enables."""
        if self.io:
            await self._host.io_write(self.address + offset, data, enables)
        else:
            address = self.address + offset
            self._host.post(MemoryRequest(write=True, address=address, first_be=enables, payload=(data,)))


class Testbench:
    """The core, its clock, a host on its link and a software back end on its streams."""

    __test__ = False

    def __init__(self, dut: Any, name: str):
        folder = Path(os.environ[bench.DESIGN])
        self.dut, self.name = dut, name
        self.design = Design(folder, folder.name)
        self.config = self.design.config
        self.space = space_behind(self.config)
        #: Configuration space of a virtual function; with none, the physical function's.
        self.virtual_space = space_behind(self.config.of(1))
        #: Every random choice of the case comes from here.
        self.rng = random.Random(f"{os.environ[bench.SEED]}:{name}")
        self._log = open(os.environ[bench.LOG], "a")
        dut.rst.value = 1
        Clock(dut.clk, PERIOD, unit="ns").start()

        self.source, self.sink = self._link(dut)
        self.host = Host(dut, self.source, self.sink, rng=self._fork(), log=self.log, tags=self.tags)
        self.host.routed_by_function = self.config.vf is not None
        #: Streams out of the core, by name.
        self.out: dict[str, StreamSink] = {}
        #: Streams into the core, by name.
        self.into: dict[str, StreamSource] = {}
        for stream in self.design.interface["streams"]:
            kind: Any = StreamSink if stream["direction"] == "out" else StreamSource
            end = kind(dut, stream["name"], stream["fields"], rng=self._fork(), log=self.log)
            (self.out if stream["direction"] == "out" else self.into)[stream["name"]] = end
        #: Reset requests that the back end has got, oldest first.
        self.resets: deque[SimpleNamespace] = deque()
        #: Epoch of the newest reset request; 0 before the first.
        self.epoch = 0
        #: The back end acknowledges reset requests at once.
        self.acknowledge = True
        #: Addresses of the BARs, by index.
        self.bar: dict[int, int] = {}
        self.pulses: Counter[str] = Counter()
        cocotb.start_soon(self._serve_resets())
        for pulse in ("error_correctable", "error_nonfatal", "error_fatal"):
            cocotb.start_soon(self._count_pulses(pulse))

    def _link(self, dut: Any) -> tuple[Any, Any]:
        """Both ends of the link: the raw ports, or a model of the hard IP behind its adapter."""
        self.tags = TAGS
        if self.config.datapath.hard_ip.described:
            # A descriptor has eight bits for a tag.
            self.tags = range(TAGS.start, 0x100)
            block = UltraScaleIp(dut, self.config, rng=self._fork())
            return block, block
        if self.config.datapath.hard_ip.owns_header:
            series7 = Series7Ip(dut, self.config, rng=self._fork())
            return series7, series7
        return RawTlpSource(dut, rng=self._fork(), idle=0.2), RawTlpSink(dut, rng=self._fork(), stall=0.3)

    def _fork(self) -> random.Random:
        return random.Random(self.rng.random())

    def log(self, what: str, fields: dict[str, Any]) -> None:
        """One line of the transaction log."""
        entry = {"case": self.name, "ns": round(get_sim_time("ns")), "what": what}
        json.dump(entry | fields, self._log)
        self._log.write("\n")

    @property
    def intx(self) -> int:
        """The level of INTA at the core's port, or as the block has it."""
        if not self.config.datapath.hard_ip.owns_header:
            return int(self.dut.intx.value)
        return int(self.dut.cfg_interrupt_int.value) & 1 if self.config.datapath.hard_ip.described else self.source.inta

    @property
    def offers(self) -> int:
        """How many streams toward the link offer something now."""
        streams = ("s_axis_cc", "s_axis_rq") if self.config.datapath.hard_ip.described else (
            "s_axis_tx" if self.config.datapath.hard_ip.owns_header else "m_axis_tx",)
        return sum(int(getattr(self.dut, f"{prefix}_tvalid").value) for prefix in streams)

    # Reset and bring-up.

    async def reset(self, clocks: int = 4) -> None:
        """Hold the core in reset, also in the middle of anything; both ends forget what was under way."""
        self.dut.rst.value = 1
        self.log("reset", {})
        self.source.abort()
        for source in self.into.values():
            source.clear()
        await ClockCycles(self.dut.clk, clocks)
        self.sink.clear()
        self.host.forget()
        self.resets.clear()
        self.epoch = 0
        for sink in self.out.values():
            sink.take_all()
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def bring_up(self) -> None:
        """Give every BAR an address and enable the function."""
        self.host.target = (self.rng.randrange(1, 256), 0 if self.config.vf else self.rng.randrange(32))
        low, high, ports = 0xF000_0000, self.rng.randrange(1, 1 << 16) << 36, 0xC000
        for bar in self.config.bars:
            if bar.kind is BarKind.IO:
                ports = self.bar[bar.index] = -(-ports // bar.decoded_size) * bar.decoded_size
                ports += bar.decoded_size
            elif bar.kind is BarKind.MEMORY64:
                high = self.bar[bar.index] = -(-high // bar.decoded_size) * bar.decoded_size
                high += bar.decoded_size
            else:
                low = self.bar[bar.index] = -(-low // bar.decoded_size) * bar.decoded_size
                low += bar.decoded_size
            await self.place(bar, self.bar[bar.index])
        await self.host.config_write(COMMAND, 0b111, 2)

    async def place(self, bar: Bar, address: int) -> None:
        """Write a BAR's address registers."""
        self.bar[bar.index] = address
        await self.host.config_write(0x10 + 4 * bar.index, address & 0xFFFF_FFFF)
        if bar.kind is BarKind.MEMORY64:
            await self.host.config_write(0x14 + 4 * bar.index, address >> 32)

    # Windows.

    def window(self, space: Space) -> Window:
        """The window of a register space; skips the case if the device has none."""
        found = self.config.find(space)
        if found is None:
            self.skip(f"the device shows no {space.value} window")
        assert found is not None
        bar, region = found
        return Window(self.host, self.bar[bar.index] + region.offset, region.size, io=bar.kind is BarKind.IO)

    @property
    def legacy(self) -> Window:
        """The legacy window."""
        return self.window(Space.LEGACY)

    @property
    def control(self) -> Window:
        """The control page."""
        return self.window(Space.CONTROL)

    def capability(self, name: str) -> int:
        """Offset of a capability in configuration space; skips the case if it was not placed."""
        for placed in self.space.capabilities:
            if placed.name == name:
                return placed.offset
        self.skip(f"the device has no capability {name}")
        raise AssertionError

    def register(self, name: str) -> int:
        """Offset of a register in configuration space."""
        return next(register.offset for register in self.space.registers if register.name == name)

    def skip(self, reason: str) -> None:
        """End the case: the device has not what it needs."""
        import pytest

        pytest.skip(reason)

    async def set_msix(self, enable: bool, *, mask: bool = False) -> None:
        """Write MSI-X Enable and Function Mask."""
        await self.host.config_write(self.capability("msix") + 2, enable << 15 | mask << 14, 2)

    async def open_gate(self, open_: bool = True) -> None:
        """Open or close the control page's gate, if there is one."""
        if self.config.find(Space.CONTROL) is not None:
            await self.control.write(GATE, int(open_), 1)

    # Back end.

    async def _serve_resets(self) -> None:
        if "reset_request" not in self.out:
            return
        while True:
            request = await self.out["reset_request"].receive()
            self.resets.append(request)
            self.epoch = request.epoch
            if self.acknowledge:
                self.into["reset_done"].put(function=request.function, epoch=request.epoch)

    async def cause(self, *, queue: int = 0, config_change: bool = False, epoch: int | None = None) -> None:
        """Report an interrupt cause and wait until the core has taken it."""
        await self.into["interrupt_cause"].send(
            function=0,
            epoch=self.epoch if epoch is None else epoch,
            queue=queue,
            config_change=int(config_change),
        )
        await ClockCycles(self.dut.clk, 8)

    async def fault(self, cause: int, *, epoch: int | None = None) -> None:
        """Report a fault and wait until the core has taken it."""
        await self.into["fault"].send(function=0, epoch=self.epoch if epoch is None else epoch, queue=0, cause=cause)
        await ClockCycles(self.dut.clk, 8)

    async def events(self, stream: str, clocks: int = 150) -> list[SimpleNamespace]:
        """Everything that arrived on a stream once all requests are sent and some clocks have passed."""
        await self.host.settle(clocks)
        return self.out[stream].take_all()

    # Errors.

    async def _count_pulses(self, name: str) -> None:
        signal = getattr(self.dut, name)
        while True:
            await RisingEdge(self.dut.clk)
            if not int(signal.value):
                await RisingEdge(signal)
                continue
            self.pulses[name] += 1

    def counter(self, name: str) -> int:
        """Value of the counter ``count_<name>``."""
        return int(getattr(self.dut, f"count_{name}").value)

    # End.

    async def finish(self) -> None:
        """Check that nothing is left anywhere."""
        await self.host.settle()
        left = {
            "TLPs not taken by the core": self.source.pending,
            "requests without completion": self.host.outstanding,
            "TLPs that came up unasked": len(self.host.unasked),
            "MSI-X messages that nobody looked at": len(self.host.messages),
            **{f"words not taken from be_{name}": source.pending for name, source in self.into.items()},
            **{f"unread words on be_{name}": len(self.out[name].items) for name in MUST_BE_READ & self.out.keys()},
        }
        wrong = {what: count for what, count in left.items() if count}
        assert not wrong, f"left over at the end: {wrong}"

    def close(self) -> None:
        """Flush the transaction log."""
        self._log.close()


def case(function: Callable[[Testbench], Awaitable[None]] | None = None, *, bring_up: bool = True) -> Any:
    """Make a bench case of a coroutine that takes a `Testbench`.

    Parameters
    ----------
    bring_up
        Give the BARs addresses and enable the function before the case starts.
    """
    if function is None:
        return functools.partial(case, bring_up=bring_up)

    async def run(dut: Any) -> None:
        testbench = Testbench(dut, function.__name__)
        try:
            await testbench.reset()
            if bring_up:
                await testbench.bring_up()
            await function(testbench)
            await testbench.finish()
        finally:
            testbench.close()

    run.__name__ = run.__qualname__ = function.__name__
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    return cocotb.test(timeout_time=LIMIT, timeout_unit="us")(run)

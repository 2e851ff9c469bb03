"""The link's side of the raw TLP ports, at any width: a TLP is a list of dwords, header first.

Dword *i* stands at bits 32 * (*i* mod lanes) of beat *i* div lanes; header dwords are numbers, payload
dwords have the byte at the lowest address in bits 7:0. There is no padding, and ``tkeep`` is all ones
except in the last beat.
"""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge

from .handshake import Receiver, Sender

#: Non-posted requests that may still be sent after ``rx_np_ok`` fell.
GRACE = 16


def is_non_posted(tlp: Sequence[int]) -> bool:
    """Whether the TLP waits in the queue that ``rx_np_ok`` watches: a request that wants a completion."""
    fmt, kind = tlp[0] >> 29, tlp[0] >> 24 & 0x1F
    if kind & 0b11000 == 0b10000 or kind in {0b01010, 0b01011}:
        return False
    return not (kind == 0 and fmt & 0b010)


class RawTlpSource:
    """Sends TLPs to the core, in order, with random gaps between beats.

    Non-posted requests stop when ``rx_np_ok`` is low (after up to `GRACE` more, see `least_grace`);
    posted ones then pass them, as PCIe's ordering rules allow. Nothing ever passes a posted one.

    Parameters
    ----------
    idle
        Probability of another empty clock before each beat.
    """

    def __init__(self, dut: Any, *, rng: random.Random, idle: float = 0.2, prefix: str = "s_axis_rx"):
        self._dut, self._rng = dut, rng
        self._data, self._keep, self._last = (getattr(dut, f"{prefix}_{name}") for name in ("tdata", "tkeep", "tlast"))
        self._lanes = len(self._data) // 32
        self._tlps: deque[tuple[int, ...]] = deque()
        self._wake, self._empty = Event(), Event()
        self._empty.set()
        #: How many more are sent after a fall is drawn anew for every fall, from here to `GRACE`.
        self.least_grace = 0
        #: How many more may be sent now if the flag is low.
        self.grace = rng.randint(0, GRACE)
        self._sender = Sender(
            dut.clk,
            getattr(dut, f"{prefix}_tvalid"),
            getattr(dut, f"{prefix}_tready"),
            self._drive,
            rng=rng,
            idle=idle,
        )
        self._task = cocotb.start_soon(self._run())

    @property
    def idle(self) -> float:
        """Probability of another empty clock before each beat."""
        return self._sender.idle

    @idle.setter
    def idle(self, value: float) -> None:
        self._sender.idle = value

    @property
    def pending(self) -> int:
        """TLPs whose last beat the core has not taken yet."""
        return len(self._tlps)

    @property
    def posted_pending(self) -> int:
        """Those among them that want no completion."""
        return sum(not is_non_posted(tlp) for tlp in self._tlps)

    def put(self, tlp: Sequence[int]) -> None:
        """Queue a TLP."""
        self._tlps.append(tuple(tlp))
        self._empty.clear()
        self._wake.set()

    async def drained(self) -> None:
        """Wait until the core has taken everything that was queued."""
        await self._empty.wait()

    def abort(self) -> None:
        """Stop at once, also in the middle of a TLP, and forget the rest; only for resets."""
        self._task.cancel()
        self._sender.stop()
        self._tlps.clear()
        self._empty.set()
        self._task = cocotb.start_soon(self._run())

    def _drive(self, beat: Sequence[int]) -> None:
        dwords, last = beat
        self._data.value = sum(dword << 32 * lane for lane, dword in enumerate(dwords))
        self._keep.value = (1 << 4 * len(dwords)) - 1
        self._last.value = last

    def _next(self) -> tuple[int, ...] | None:
        """The oldest TLP that may be sent now, or None."""
        if int(self._dut.rx_np_ok.value):
            self.grace = self._rng.randint(self.least_grace, GRACE)
            return self._tlps[0]
        if not is_non_posted(self._tlps[0]):
            return self._tlps[0]
        if self.grace:
            self.grace -= 1
            return self._tlps[0]
        return next((tlp for tlp in self._tlps if not is_non_posted(tlp)), None)

    async def _run(self) -> None:
        while True:
            while not self._tlps:
                self._wake.clear()
                await self._wake.wait()
            tlp = self._next()
            if tlp is None:
                await RisingEdge(self._dut.clk)
                continue
            for start in range(0, len(tlp), self._lanes):
                await self._sender.transfer((tlp[start : start + self._lanes], start + self._lanes >= len(tlp)))
            self._tlps.remove(tlp)
            if not self._tlps:
                self._empty.set()


class RawTlpSink:
    """Takes TLPs from the core, with random back-pressure, and checks the stream rules of the port.

    Checked in every clock: a beat stays until it is taken; a packet has no gap between its beats;
    ``tkeep`` is contiguous in whole dwords, and all ones before the last beat.

    Parameters
    ----------
    stall
        Probability that ``tready`` is low in a clock; 1 is a link that never takes anything.
    """

    def __init__(self, dut: Any, *, rng: random.Random, stall: float = 0.3, prefix: str = "m_axis_tx"):
        self._dut, self._prefix = dut, prefix
        self._data, self._keep, self._last, self._valid, self._ready = (
            getattr(dut, f"{prefix}_{name}") for name in ("tdata", "tkeep", "tlast", "tvalid", "tready")
        )
        self._lanes = len(self._data) // 32
        self.tlps: deque[list[int]] = deque()
        self._arrived = Event()
        self._partial: list[int] = []
        self._receiver = Receiver(
            prefix, dut.clk, dut.rst, self._valid, self._ready, self._sample, rng=rng, stall=stall
        )
        cocotb.start_soon(self._run())

    @property
    def stall(self) -> float:
        """Probability that the sink refuses a beat in a clock."""
        return self._receiver.stall

    @stall.setter
    def stall(self, value: float) -> None:
        self._receiver.stall = value
        self._receiver.draw()

    def clear(self) -> None:
        """Forget what has arrived; only for resets."""
        self.tlps.clear()
        self._partial.clear()

    async def receive(self) -> list[int]:
        """The oldest TLP, once there is one."""
        while not self.tlps:
            self._arrived.clear()
            await self._arrived.wait()
        return self.tlps.popleft()

    def _sample(self) -> tuple[int, int, int]:
        return int(self._data.value), int(self._keep.value), int(self._last.value)

    def _unpack(self, beat: tuple[int, int, int]) -> list[int]:
        data, keep, last = beat
        count = bin(keep).count("1") // 4
        assert keep and keep == (1 << 4 * count) - 1, f"{self._prefix}_tkeep is {keep:#x}: not contiguous whole dwords"
        assert last or count == self._lanes, f"{self._prefix}_tkeep is {keep:#x} before the last beat"
        return [data >> 32 * lane & 0xFFFF_FFFF for lane in range(count)]

    async def _run(self) -> None:
        while True:
            beat = await self._receiver.transfer(at_once=bool(self._partial))
            if beat is None:
                self._partial.clear()
                continue
            self._partial += self._unpack(beat)
            if beat[2]:
                self.tlps.append(list(self._partial))
                self._partial.clear()
                self._arrived.set()

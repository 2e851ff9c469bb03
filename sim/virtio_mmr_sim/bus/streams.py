"""Back-end streams of the generated Verilog, by name: ``be_<stream>_<field>``, ``_valid``, ``_ready``.

Fields and widths come from the interface description that stands beside the Verilog, so nothing here
knows what a stream carries.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import cocotb
from cocotb.triggers import Event

from .handshake import Receiver, Sender


class StreamSink:
    """Collects what the core sends on one stream.

    Words wait in `items`, oldest first, as namespaces with one integer per field.
    """

    def __init__(
        self,
        dut: Any,
        name: str,
        fields: Sequence[Mapping[str, Any]],
        *,
        rng: random.Random,
        stall: float = 0.3,
        log: Any = None,
    ):
        self.name = name
        self.items: deque[SimpleNamespace] = deque()
        self._arrived = Event()
        self._log = log
        handles = {field["name"]: getattr(dut, f"be_{name}_{field['name']}") for field in fields}

        def sample() -> dict[str, int]:
            return {field: int(handle.value) for field, handle in handles.items()}

        self._receiver = Receiver(
            f"be_{name}",
            dut.clk,
            dut.rst,
            getattr(dut, f"be_{name}_valid"),
            getattr(dut, f"be_{name}_ready"),
            sample,
            rng=rng,
            stall=stall,
        )
        cocotb.start_soon(self._run())

    @property
    def stall(self) -> float:
        """Probability that the sink refuses a word in a clock."""
        return self._receiver.stall

    @stall.setter
    def stall(self, value: float) -> None:
        self._receiver.stall = value
        self._receiver.draw()

    async def _run(self) -> None:
        while True:
            word = await self._receiver.transfer()
            if word is None:
                continue
            if self._log is not None:
                self._log(self.name, word)
            self.items.append(SimpleNamespace(**word))
            self._arrived.set()

    async def receive(self) -> SimpleNamespace:
        """The oldest word, once there is one."""
        while not self.items:
            self._arrived.clear()
            await self._arrived.wait()
        return self.items.popleft()

    def take_all(self) -> list[SimpleNamespace]:
        """Everything that has arrived; the sink is empty afterwards."""
        items = list(self.items)
        self.items.clear()
        return items


class StreamSource:
    """Offers words to the core on one stream, in the order in which `put` got them."""

    def __init__(
        self,
        dut: Any,
        name: str,
        fields: Sequence[Mapping[str, Any]],
        *,
        rng: random.Random,
        idle: float = 0.2,
        log: Any = None,
    ):
        self.name = name
        self._log = log
        self._words: deque[dict[str, int]] = deque()
        self._wake, self._empty = Event(), Event()
        self._empty.set()
        handles = {field["name"]: getattr(dut, f"be_{name}_{field['name']}") for field in fields}
        for handle in handles.values():
            handle.value = 0

        def drive(word: Mapping[str, int]) -> None:
            for field, value in word.items():
                handles[field].value = value

        self._fields = tuple(handles)
        self._sender = Sender(
            dut.clk,
            getattr(dut, f"be_{name}_valid"),
            getattr(dut, f"be_{name}_ready"),
            drive,
            rng=rng,
            idle=idle,
        )
        self._task = cocotb.start_soon(self._run())

    @property
    def pending(self) -> int:
        """Words that the core has not taken yet."""
        return len(self._words)

    def put(self, **fields: int) -> None:
        """Queue a word; fields that are not named are zero."""
        unknown = set(fields) - set(self._fields)
        assert not unknown, f"be_{self.name} has no field {', '.join(sorted(unknown))}"
        self._words.append({name: 0 for name in self._fields} | fields)
        self._empty.clear()
        self._wake.set()

    async def send(self, **fields: int) -> None:
        """`put` a word and wait until the core has taken it and all before it."""
        self.put(**fields)
        await self._empty.wait()

    def clear(self) -> None:
        """Forget what has not been taken; only for resets."""
        self._task.cancel()
        self._sender.stop()
        self._words.clear()
        self._empty.set()
        self._task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            while not self._words:
                self._wake.clear()
                await self._wake.wait()
            await self._sender.transfer(self._words[0])
            word = self._words.popleft()
            if self._log is not None:
                self._log(self.name, word)
            if not self._words:
                self._empty.set()

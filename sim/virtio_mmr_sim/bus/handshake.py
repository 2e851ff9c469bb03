"""One end of a valid/ready handshake in cocotb, with pauses drawn from a generator.

Signals are sampled at the rising edge of the clock, before registers change, and driven right after
it; so what is sampled is what the registers on the other side sample at the same edge.
"""

import random
from collections.abc import Callable
from typing import Any

from cocotb.triggers import RisingEdge


class Sender:
    """Drives ``valid`` and a payload.

    Parameters
    ----------
    drive
        Puts an item on the payload signals.
    idle
        Probability of another clock without ``valid`` before an item. May be changed at any time.
    """

    def __init__(
        self,
        clock: Any,
        valid: Any,
        ready: Any,
        drive: Callable[[Any], None],
        *,
        rng: random.Random,
        idle: float = 0.0,
    ):
        self._clock, self._valid, self._ready, self._drive, self._rng = clock, valid, ready, drive, rng
        self.idle = idle
        valid.value = 0

    def stop(self) -> None:
        """Take back whatever is on offer; only for resets."""
        self._valid.value = 0

    async def transfer(self, item: Any) -> None:
        """Offer *item* until it is taken. Back to back if ``idle`` is zero."""
        while self.idle and self._rng.random() < self.idle:
            await RisingEdge(self._clock)
        self._drive(item)
        self._valid.value = 1
        while True:
            await RisingEdge(self._clock)
            if int(self._ready.value):
                break
        self._valid.value = 0


class Receiver:
    """Drives ``ready`` and checks that what is on offer stays until it is taken.

    Parameters
    ----------
    sample
        Reads the payload signals.
    stall
        Probability that ``ready`` is low in a clock; 1 refuses everything. May be changed at any time.

    Raises
    ------
    AssertionError
        From `transfer`, if ``valid`` falls or the payload changes before the word was taken.
    """

    def __init__(
        self,
        name: str,
        clock: Any,
        reset: Any,
        valid: Any,
        ready: Any,
        sample: Callable[[], Any],
        *,
        rng: random.Random,
        stall: float = 0.0,
    ):
        self._name, self._clock, self._reset, self._valid, self._ready = name, clock, reset, valid, ready
        self._sample, self._rng = sample, rng
        self.stall = stall
        self._offered = False
        self._held: Any = None
        self.draw()

    def draw(self) -> None:
        """Choose ``ready`` for the next clock; call it after changing `stall` to make that take effect now."""
        self._ready.value = int(not self.stall or self._rng.random() >= self.stall)

    async def transfer(self, *, at_once: bool = False) -> Any:
        """The next word that is taken, or None if a reset came instead.

        With *at_once*, ``valid`` must be high in the next clock and stay so.
        """
        while True:
            if not at_once and not int(self._valid.value) and not self._offered:
                # Nothing to do until a word comes: sleep, which keeps idle time cheap.
                await RisingEdge(self._valid)
            await RisingEdge(self._clock)
            was_ready = int(self._ready.value)
            self.draw()
            if int(self._reset.value):
                self._offered = False
                return None
            if not int(self._valid.value):
                assert not self._offered, f"{self._name}: valid fell before the word was taken"
                assert not at_once, f"{self._name}: a gap inside a packet"
                continue
            word = self._sample()
            assert not self._offered or word == self._held, (
                f"{self._name}: payload changed before it was taken, from {self._held} to {word}"
            )
            self._offered, self._held = not was_ready, word
            if was_ready:
                return word

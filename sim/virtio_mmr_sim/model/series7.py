"""The streams of AMD's 7-series block: how it packs TLPs into beats, and how it reads those of the user.

A TLP is a list of dwords, header first, payload little-endian, as everywhere in this package; on the block's streams
payload dwords are big-endian. Whatever the block leaves open is random here: lanes without a packet, and at 128 bits
``tkeep``, ``tlast`` and, behind the beat in which a packet begins, which BAR it hit.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from .tlp import header_dwords

#: Bits of ``m_axis_rx_tuser``, and where its fields begin.
USER_BITS = 22
ECRC_ERROR, FORWARDED_ERROR, BAR_HIT, START, END = 0, 1, 2, 10, 17


@dataclass(frozen=True)
class RxPacket:
    """A TLP on its way to the user."""

    dwords: tuple[int, ...]
    #: A bit for each BAR that it hit; the seventh is the expansion ROM.
    bar_hit: int = 0
    ecrc_error: bool = False


@dataclass(frozen=True)
class RxBeat:
    """One clock of ``m_axis_rx``."""

    data: int
    keep: int
    last: int
    user: int


def turned(dwords: Sequence[int]) -> list[int]:
    """A TLP with the bytes of each payload dword the other way round; its own inverse."""
    header = header_dwords(dwords[0])
    payload = [int.from_bytes(dword.to_bytes(4, "little"), "big") for dword in dwords[header:]]
    return [*dwords[:header], *payload]


class RxFramer:
    """Packs TLPs into beats of ``m_axis_rx``, one beat for each call of `beat`.

    Parameters
    ----------
    straddle
        Probability that a TLP which may begin in the middle of a beat, does; at 128 bits alone.
    """

    def __init__(self, width: int, *, rng: random.Random, straddle: float = 0.5):
        self._lanes, self._rng, self.straddle = width // 32, rng, straddle
        self._left: list[int] = []
        self._packet: RxPacket | None = None

    @property
    def inside(self) -> bool:
        """A packet has begun and not ended."""
        return bool(self._left)

    def abort(self) -> None:
        """Forget the packet that has begun."""
        self._left.clear()

    def beat(self, waiting: deque[RxPacket]) -> RxBeat | None:
        """The next beat; takes packets from the front of *waiting*. None if there is nothing to send."""
        lanes, rng = self._lanes, self._rng
        user = start = None
        words: list[int | None] = []
        if not self._left:
            if not waiting:
                return None
            start = 0
            self._begin(waiting.popleft())
        begun, old = self._packet, start is None
        assert begun is not None
        words, self._left = list(self._left[:lanes]), self._left[lanes:]
        end = None if self._left else len(words) - 1
        ecrc_error = end is not None and begun.ecrc_error
        if lanes == 4 and end is not None and end < 2 and waiting and rng.random() < self.straddle:
            words += [None] * (2 - len(words))
            start = 8
            self._begin(waiting.popleft())
            words += self._left[:2]
            self._left = self._left[2:]
        now = self._packet
        assert now is not None
        data = sum((rng.getrandbits(32) if word is None else word) << 32 * lane
                   for lane, word in enumerate(words + [None] * (lanes - len(words))))
        known = lanes == 2 or start is not None
        user = (ecrc_error << ECRC_ERROR
                | (now.dwords[0] >> 14 & 1 if known else rng.getrandbits(1)) << FORWARDED_ERROR
                | (now.bar_hit if known else rng.getrandbits(7)) << BAR_HIT)
        if start is not None:
            user |= (1 << 4 | start) << START
        if end is not None:
            user |= (1 << 4 | 4 * end + 3) << END
        assert not (lanes == 2 and old and start is not None)
        if lanes == 2:
            return RxBeat(data, (1 << 4 * len(words)) - 1, int(end is not None), user)
        return RxBeat(data, rng.getrandbits(16), rng.getrandbits(1), user)

    def _begin(self, packet: RxPacket) -> None:
        self._packet, self._left = packet, turned(packet.dwords)


class TxReader:
    """Reads TLPs from beats of ``s_axis_tx`` and holds the user to the rules of that stream."""

    def __init__(self, width: int):
        self._lanes = width // 32
        self._words: list[int] = []

    @property
    def inside(self) -> bool:
        """A packet has begun and not ended, so the next beat must be offered at once."""
        return bool(self._words)

    def clear(self) -> None:
        """Forget what has begun; only for resets."""
        self._words.clear()

    def beat(self, data: int, keep: int, last: int, user: int) -> list[int] | None:
        """Take a beat; the TLP that ends with it, or None.

        Raises
        ------
        AssertionError
            If the beat breaks a rule.
        """
        count = keep.bit_count() // 4
        assert keep and keep == (1 << 4 * count) - 1, f"s_axis_tx_tkeep is {keep:#x}: not contiguous whole dwords"
        assert last or count == self._lanes, f"s_axis_tx_tkeep is {keep:#x} before the last beat"
        assert user == 0, f"s_axis_tx_tuser is {user:#x}: no digest, poison, streaming or discarding was expected"
        self._words += [data >> 32 * lane & 0xFFFF_FFFF for lane in range(count)]
        if not last:
            return None
        words, self._words = self._words, []
        return turned(words)

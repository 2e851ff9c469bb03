"""Random accesses to a legacy window: mostly what drivers do, and everything that they do not.

The sequence depends on the seed and the device alone, so a longer run begins like a shorter one.
"""

import random

from virtio_mmr.spec.features import UNUSED_BIT
from virtio_mmr.spec.legacy import CONFIG_OFFSET, HEADER, WINDOW_SIZE
from virtio_mmr.spec.register import Present

from .qtest import Access, SetMsix, Step

WIDTHS = (1, 2, 4)

_MASK = {width: (1 << 8 * width) - 1 for width in WIDTHS}


class Stimulus:
    """An endless sequence of steps for a device with *queues* queues and *vectors* vectors.

    *offered* are its feature bits, *config_length* the bytes of its configuration.
    """

    def __init__(self, seed: int, *, queues: int, vectors: int, offered: int, config_length: int) -> None:
        self._rng = random.Random(seed)
        self._queues, self._vectors, self._offered = queues, vectors, offered
        self._config_length = config_length
        self._msix = False

    def __iter__(self) -> "Stimulus":
        return self

    def __next__(self) -> Step:
        kind = self._rng.random()
        if kind < 0.02:
            self._msix = not self._msix
            return SetMsix(self._msix)
        if kind < 0.60:
            return self._register()
        if kind < 0.70:
            return self._configuration()
        return self._anything()

    @property
    def _end(self) -> int:
        """First byte behind the device configuration."""
        return CONFIG_OFFSET[self._msix] + self._config_length

    def _register(self) -> Access:
        """A whole register, as drivers access it."""
        present = [register for register in HEADER if register.present is Present.ALWAYS or self._msix]
        register = self._rng.choice(present)
        if self._rng.random() < 0.5:
            return Access(register.offset, register.size)
        value = getattr(self, f"_{register.name}", self._bits)
        return Access(register.offset, register.size, value() & _MASK[register.size])

    def _configuration(self) -> Access:
        """Device configuration at a natural width, sometimes beyond its end."""
        width = self._rng.choice(WIDTHS)
        start = CONFIG_OFFSET[self._msix]
        offset = start + self._rng.randrange(0, self._config_length + 8) // width * width
        return Access(offset, width, self._bits() & _MASK[width] if self._rng.random() < 0.3 else None)

    def _anything(self) -> Access:
        """Any width at any offset, a few far behind the end."""
        width = self._rng.choice(WIDTHS)
        last = WINDOW_SIZE - width if self._rng.random() < 0.05 else self._end + 8
        offset = self._rng.randint(0, last)
        return Access(offset, width, self._bits() & _MASK[width] if self._rng.random() < 0.5 else None)

    # Values

    def _bits(self) -> int:
        """32 bits with bytes that matter: zeros, ones, small numbers."""
        return int.from_bytes(
            bytes(self._rng.choice((0, 0, 1, 3, 0xFF, self._rng.randrange(256))) for _ in range(4)), "little")

    def _driver_features(self) -> int:
        value = self._rng.getrandbits(32) & ~(1 << UNUSED_BIT)
        return self._rng.choice((value & self._offered, value, value, 0, value | 1 << UNUSED_BIT))

    def _queue_address(self) -> int:
        """A page in memory, behind it, or none."""
        return self._rng.choice((self._rng.randrange(1, 0x8000), self._rng.getrandbits(32), self._rng.randrange(1, 64),
                                 self._rng.randrange(1 << 20, 1 << 32), 0))

    def _queue_select(self) -> int:
        below = self._rng.randrange(self._queues)
        return self._rng.choice((below, below, below, below, self._rng.randrange(1024), self._rng.getrandbits(16)))

    def _queue_notify(self) -> int:
        return self._rng.choice((self._rng.randrange(self._queues), self._rng.getrandbits(16)))

    def _device_status(self) -> int:
        return self._rng.choice((0, 1, 3, 3, 7, 7, 0x0B, 0x0F, 0x83, self._rng.getrandbits(8)))

    def _config_vector(self) -> int:
        below = self._rng.randrange(self._vectors)
        return self._rng.choice((below, below, self._vectors, 0xFFFF, self._rng.getrandbits(16)))

    _queue_vector = _config_vector

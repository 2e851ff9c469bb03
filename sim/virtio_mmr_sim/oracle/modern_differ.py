"""The differential runner of the modern interface: random accesses to QEMU's modern BAR and to ours.

Both BARs have QEMU's layout. Every access has the width of its field, as virtio demands of drivers. A
write is followed by a read of the same register on both sides. Where the two differ, a difference of
`virtio_mmr_sim.oracle.modern_differences` must explain it, and they are made equal again; from time to
time every register of every queue is compared.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice

from virtio_mmr.config.device import Bar, BarKind, DeviceConfig, Identity, Region, Space
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.modern import COMMON
from virtio_mmr.spec.status import Status

from .differ import Outcome, Unexplained
from .modern_differences import BY_NAME
from .qtest import Access, ModernBar, QtestDevice, SetMsix, Step
from .target import MODERN_MAKERS, ModernMaker, device_config_like

#: QEMU's modern BAR: where its windows are, and what is between two notification addresses.
ISR, DEVICE, NOTIFY, STRIDE = 0x1000, 0x2000, 0x3000, 4

_PAGE = 0x1000
_BAR = 4
_SELECTIONS = 1024
_WHOLE_STATE = 500

#: Guest memory in which queues are placed: a piece for each queue, a part of it for each area.
_PIECE, _PART = 0x10_0000, 0x4_0000

(DEVICE_SELECT, DEVICE_WORD, DRIVER_SELECT, DRIVER_WORD, CONFIG_VECTOR, QUEUES, STATUS, GENERATION, SELECT, SIZE,
 VECTOR, ENABLE, NOTIFY_OFF, DESCRIPTORS, AVAILABLE, USED, NOTIFY_DATA, RESET, ADMIN_INDEX, ADMIN_NUMBER) = (
    register.offset for register in COMMON)

#: Width of the access to each field; addresses are accessed by halves.
_WIDTHS = {
    at: min(register.size, 4) for register in COMMON for at in range(register.offset, register.end, 4)}

_ADDRESSES = range(DESCRIPTORS, USED + 8, 4)
_WRITABLE = (DEVICE_SELECT, DRIVER_SELECT, DRIVER_WORD, CONFIG_VECTOR, STATUS, SELECT, SIZE, VECTOR, ENABLE, RESET,
             *_ADDRESSES)
_OF_QUEUE = (SIZE, VECTOR, ENABLE, NOTIFY_OFF, *_ADDRESSES)


def config_like(qemu: QtestDevice) -> DeviceConfig:
    """A device that offers through both interfaces what *qemu* does, with a modern BAR like QEMU's."""
    legacy = device_config_like(qemu)
    bar = ModernBar(qemu)
    bar.write(DEVICE_SELECT, 4, 1)
    upper = bar.read(DEVICE_WORD, 4)
    bar.write(DEVICE_SELECT, 4, 0)
    size = next(region for region in legacy.bars[0].regions if region.space is Space.MSIX).size
    windows = {0: ((Space.LEGACY, 0), (Space.CONTROL, _PAGE)),
               _BAR: ((Space.COMMON, 0), (Space.ISR, ISR), (Space.DEVICE, DEVICE), (Space.NOTIFY, NOTIFY))}
    regions = {
        index: [Region(space=space, offset=at, size=_PAGE, stride=STRIDE if space is Space.NOTIFY else 0)
                for space, at in members] for index, members in windows.items()}
    regions[0].append(Region(space=Space.MSIX, offset=max(2 * _PAGE, size), size=size))
    return DeviceConfig(
        kind=legacy.kind, identity=Identity.MMR, features=legacy.features | upper << 32, queues=legacy.queues,
        msix_vectors=legacy.msix_vectors, config_image=legacy.config_image,
        bars=tuple(Bar(index=index, kind=BarKind.MEMORY64, regions=tuple(members))
                   for index, members in regions.items()))


class ModernStimulus:
    """An endless sequence of steps for a device like *config*: what drivers do, and what they should not."""

    def __init__(self, config: DeviceConfig, config_length: int, seed: int) -> None:
        self._config, self._length, self._rng = config, config_length, random.Random(seed)
        self._msix = False
        self._intended: deque[Step] = deque()

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        rng = self._rng
        if self._intended and rng.random() < 0.5:
            return self._intended.popleft()
        kind = rng.random()
        if kind < 0.04:
            self._msix = not self._msix
            return SetMsix(self._msix)
        if kind < 0.1 and not self._intended:
            self._intended.extend(self._life())
        if kind < 0.24:
            width = rng.choice((1, 2, 4))
            offset = rng.randrange(0, self._length + 8) // width * width
            value = rng.getrandbits(8 * width) if rng.random() < 0.3 else None
            return Access(DEVICE + offset, width, value)
        if kind < 0.32:
            queue = rng.randrange(len(self._config.queues))
            return Access(NOTIFY + STRIDE * queue, 2, queue)
        if kind < 0.36:
            return Access(ISR, 1)
        if kind < 0.66:
            offset = rng.choice(list(_WIDTHS))
            return Access(offset, _WIDTHS[offset])
        offset = rng.choice(_WRITABLE)
        return Access(offset, _WIDTHS[offset], self.value(offset))

    def _life(self) -> list[Step]:
        """A driver comes up, with most features, and perhaps resets a queue."""
        rng = self._rng
        features = self._config.modern_features & (rng.getrandbits(64) | 1 << TransportFeature.VERSION_1)
        if rng.random() < 0.7:
            features |= self._config.modern_features & 1 << TransportFeature.RING_RESET
        queue = rng.randrange(len(self._config.queues))
        course = [(STATUS, 0), (STATUS, 1), (STATUS, 3), (DRIVER_SELECT, 0), (DRIVER_WORD, features & 0xFFFF_FFFF),
                  (DRIVER_SELECT, 1), (DRIVER_WORD, features >> 32), (STATUS, 0x0B), (SELECT, queue), (ENABLE, 1),
                  (STATUS, 0x0F), (SELECT, queue), (RESET, 1)]
        return [Access(offset, _WIDTHS[offset], value) for offset, value in course[:rng.choice((9, 11, 13, 13))]]

    def value(self, offset: int) -> int:
        """Something worth writing."""
        rng = self._rng
        vector = rng.choice((rng.randrange(self._config.msix_vectors), 0xFFFF, rng.getrandbits(16)))
        size = rng.choice((1, 4, 16, 64, 128, 256, 96, 0, rng.getrandbits(16)))
        queue = rng.randrange(len(self._config.queues))
        word = self._config.modern_features >> 32 * rng.randrange(2) & 0xFFFF_FFFF
        return {
            DEVICE_SELECT: rng.choice((0, 1, 2, rng.getrandbits(32))),
            DRIVER_SELECT: rng.choice((0, 1, 1, 2, rng.getrandbits(32))),
            DRIVER_WORD: rng.choice((word, word & rng.getrandbits(32), rng.getrandbits(32), 0)),
            STATUS: rng.choice((0, 1, 3, 0x0B, 0x0F, 0x0F, 7, 0x4B, 0x83)),
            SELECT: rng.choice((queue, queue, queue, rng.randrange(_SELECTIONS), rng.getrandbits(16))),
            SIZE: size, CONFIG_VECTOR: vector, VECTOR: vector, ENABLE: rng.choice((1, 1, 1, 0, 2)), RESET: 1,
        }.get(offset, rng.choice((0, rng.getrandbits(32))))


class ModernRun:
    """One run: QEMU's BAR, a target, and where they may part."""

    def __init__(self, qemu: QtestDevice, config: DeviceConfig, make: ModernMaker, outcome: Outcome) -> None:
        self.config, self.outcome, self.qemu = config, outcome, ModernBar(qemu)
        self.config_length = len(qemu.config_bytes())
        self.target = make(config)
        self.recent: deque[Step] = deque(maxlen=10)
        self._writable = {
            at for part in config.kind.config if part.owner is Owner.DRIVER
            for at in range(part.offset, part.offset + part.size) if at < self.config_length}
        #: The driver has written configuration; queues that were reset and have had no size since.
        self._wrote = False
        self._was_reset: set[int] = set()
        self._rng = random.Random(outcome.seed)

    def fail(self, what: str) -> Unexplained:
        """The error for *what*, with everything that is needed to see it again."""
        outcome, recent = self.outcome, "\n  ".join(map(str, self.recent))
        return Unexplained(
            f"{what}\nlast steps:\n  {recent}\nagain with: vmmr differ --window modern --device {outcome.device} "
            f"--target {outcome.target} --accesses {outcome.accesses} --seed {outcome.seed}")

    def count(self, name: str) -> None:
        """Note that a difference was met."""
        assert name in BY_NAME
        self.outcome.met[name] += 1

    # Both sides

    def ours(self, offset: int) -> int:
        """A field of our common configuration."""
        return self.target.read(offset, _WIDTHS[offset])

    def theirs(self, offset: int) -> int:
        """The same of QEMU's."""
        return self.qemu.read(offset, _WIDTHS[offset])

    def both(self, offset: int, value: int) -> None:
        """Write a field on both sides."""
        self.target.write(offset, _WIDTHS[offset], value)
        self.qemu.write(offset, _WIDTHS[offset], value)

    def settle(self, offset: int, name: str) -> None:
        """If a field differs, *name* explains it, and QEMU gets our value."""
        ours = self.ours(offset)
        if ours == self.theirs(offset):
            return
        if not name:
            raise self.fail(f"common configuration {offset:#x}: {ours:#x} afterwards, QEMU {self.theirs(offset):#x}")
        self.count(name)
        self.qemu.write(offset, _WIDTHS[offset], ours)
        if (theirs := self.theirs(offset)) != ours:
            raise self.fail(f"common configuration {offset:#x}: QEMU does not take {ours:#x} but shows {theirs:#x}")

    @property
    def exists(self) -> bool:
        """The selected queue does."""
        return self.ours(SELECT) < len(self.config.queues)

    # Steps

    def step(self, step: Step) -> None:
        """Carry out one step on both sides and compare."""
        self.outcome.accesses += 1
        self.recent.append(step)
        if isinstance(step, SetMsix):
            self.qemu.set_msix(step.enable)
            self.target.set_msix(step.enable)
        elif step.offset >= NOTIFY:
            assert step.value is not None
            self.target.write(step.offset, step.width, step.value)
            self.qemu.write(step.offset, step.width, step.value)
        elif step.offset >= DEVICE:
            self.configuration(step)
        elif step.value is None:
            self.read(step)
        else:
            self.write(step.offset, step.value)

    def read(self, step: Access) -> None:
        """Compare a read."""
        ours, theirs = self.target.read(step.offset, step.width), self.qemu.read(step.offset, step.width)
        if ours == theirs:
            return
        if step.offset == NOTIFY_OFF and not self.exists:
            self.count("no_such_queue")
        elif step.offset == GENERATION and self._wrote:
            self.count("generation_after_driver")
        else:
            raise self.fail(f"{step}: read {ours:#x}, QEMU {theirs:#x}")

    def write(self, offset: int, value: int) -> None:
        """A write of the common configuration."""
        if offset == ENABLE:
            self.enable(value)
        elif offset == RESET:
            self.reset_queue()
        elif offset == STATUS:
            self.status(value)
        elif offset == SELECT:
            self.both(offset, value)
            if value >= _SELECTIONS:
                self.count("selections_from_1024")
                self.target.write(SELECT, 2, self.theirs(SELECT))
            self.settle(SELECT, "")
        elif offset == SIZE and self.exists and value > self.config.queues[self.ours(SELECT)]:
            self.target.write(SIZE, 2, value)
            self.count("size_beyond_the_queue")
            self.settle(SIZE, "")
        else:
            enabled = bool(self.ours(ENABLE)) and (offset == SIZE or offset in _ADDRESSES)
            agreed = bool(self.ours(STATUS) & Status.FEATURES_OK)
            offered = 0
            if offset == DRIVER_WORD and (select := self.ours(DRIVER_SELECT)) < 2:
                offered = self.config.modern_features >> 32 * select & 0xFFFF_FFFF
            before = self.ours(offset)
            self.both(offset, value)
            name, expected = "", None
            if (offset == VECTOR or offset in _ADDRESSES) and not self.exists:
                name = "no_such_queue"
            elif enabled:
                name, expected = "changes_while_enabled", before
            elif offset == SIZE and value.bit_count() != 1:
                name, expected = "any_size", before
            elif offset == DRIVER_WORD and agreed:
                name, expected = "features_after_features_ok", before
            elif offset == DRIVER_WORD and value & ~offered:
                name, expected = "accepted_bits_as_written", value & offered
            # Where QEMU may do otherwise, doing as QEMU does is wrong.
            if expected is not None and (ours := self.ours(offset)) != expected:
                raise self.fail(f"common configuration {offset:#x}: {ours:#x} afterwards, not {expected:#x}")
            self.settle(offset, name)
            if offset == SIZE:
                self._was_reset.discard(self.ours(SELECT))

    def enable(self, value: int) -> None:
        """A queue is enabled where there is memory for it."""
        if value != 1 or not self.exists:
            self.target.write(ENABLE, 2, value)
            self.count("no_such_queue" if value == 1 else "other_enable_values")
            self.settle(ENABLE, "")
            return
        if not self.ours(ENABLE):
            queue = self.ours(SELECT)
            for part, area in enumerate((DESCRIPTORS, AVAILABLE, USED)):
                self.both(area, _PIECE * (queue + 1) + _PART * part + _PAGE * self._rng.randrange(0x20))
                self.both(area + 4, 0)
        self.both(ENABLE, 1)
        self.settle(ENABLE, "")
        self.settle(STATUS, "")
        self.settle(SIZE, "size_survives_queue_reset" if self.ours(SELECT) in self._was_reset else "")
        self._was_reset.discard(self.ours(SELECT))

    def reset_queue(self) -> None:
        """A queue is reset; our back end lets go at once."""
        words = self.ours(STATUS) & Status.FEATURES_OK
        select = self.ours(DRIVER_SELECT)
        self.both(DRIVER_SELECT, 1)
        negotiated = words and self.ours(DRIVER_WORD) >> TransportFeature.RING_RESET - 32 & 1
        self.both(DRIVER_SELECT, select)
        self.target.write(RESET, 2, 1)
        if not negotiated or not self.exists:
            self.count("reset_not_negotiated")
        else:
            self.target.let_go(self.ours(SELECT))
            self.qemu.write(RESET, 2, 1)
            self._was_reset.add(self.ours(SELECT))
            for offset in _ADDRESSES:
                self.settle(offset, "addresses_survive_queue_reset")
        for offset in (RESET, ENABLE, SIZE, VECTOR):
            self.settle(offset, "")

    def status(self, value: int) -> None:
        """A status write, which may reset, and which may change what QEMU shows of its configuration."""
        before = self.ours(STATUS)
        if value == Status.DEVICE_NEEDS_RESET:
            value = 0
        self.both(STATUS, value)
        if value == 0:
            self._was_reset.clear()
            for offset in (DEVICE_SELECT, DRIVER_SELECT):
                self.settle(offset, "selectors_survive_reset")
            for offset in (STATUS, SELECT, CONFIG_VECTOR, DRIVER_WORD, *_OF_QUEUE):
                self.settle(offset, "")
        else:
            name = "needs_reset_stored" if value & Status.DEVICE_NEEDS_RESET else ""
            if value & ~before & Status.FEATURES_OK and not self.ours(STATUS) & Status.FEATURES_OK:
                name = "features_ok_always"
            self.settle(STATUS, name)
        self.follow("mac_comes_back" if value == 0 else "")

    # Device configuration

    def configuration(self, step: Access) -> None:
        """An access to the device configuration."""
        at = step.offset - DEVICE
        if step.value is not None:
            if at + step.width > self.config_length:
                return
            self.target.write(step.offset, step.width, step.value)
            self.qemu.write(step.offset, step.width, step.value)
            self._wrote = True
            self.follow("mac_fixed_by_version_1")
        ours, theirs = self.target.read(step.offset, step.width), self.qemu.read(step.offset, step.width)
        if ours != theirs:
            if at + step.width <= self.config_length:
                raise self.fail(f"{step}: configuration is {ours:#x}, QEMU's {theirs:#x}")
            self.count("config_beyond_the_end")

    def follow(self, net: str) -> None:
        """Our configuration gets what QEMU shows; *net* explains a difference on a network device."""
        name = {"net": net, "blk": "cache_mode_is_qemus"}.get(self.outcome.device, "")
        for at in sorted(self._writable):
            theirs = self.qemu.read(DEVICE + at, 1)
            if self.target.read(DEVICE + at, 1) != theirs:
                if not name:
                    raise self.fail(f"configuration byte {at}: QEMU shows {theirs:#x}")
                self.count(name)
                self.target.write(DEVICE + at, 1, theirs)
                self._wrote = True

    # The whole state

    def compare_all(self) -> None:
        """Compare every register of every queue, and all of the configuration."""
        selected = self.ours(SELECT)
        for offset in (DEVICE_SELECT, DEVICE_WORD, DRIVER_SELECT, DRIVER_WORD, CONFIG_VECTOR, QUEUES, STATUS, SELECT,
                       NOTIFY_DATA, RESET, ADMIN_INDEX, ADMIN_NUMBER):
            self.settle(offset, "")
        for queue in range(len(self.config.queues)):
            self.both(SELECT, queue)
            for offset in _OF_QUEUE:
                self.settle(offset, "")
        self.both(SELECT, selected)
        for at in range(self.config_length):
            if self.target.read(DEVICE + at, 1) != self.qemu.read(DEVICE + at, 1):
                raise self.fail(f"configuration byte {at} differs")
        self.outcome.whole_state += 1


def run(device: str, accesses: int, seed: int, target: str = "model", *,
        progress: Callable[[int], None] = lambda done: None, make: ModernMaker | None = None) -> Outcome:
    """Compare *accesses* random steps on QEMU's *device* (``net``, ``blk`` or ``rng``) and on *target*.

    *make* makes the target, by default one of `virtio_mmr_sim.oracle.target.MODERN_MAKERS`.

    Raises
    ------
    Unexplained
        At the first difference that no name explains.
    virtio_mmr_sim.toolchain.ToolMissing
        If there is no QEMU.
    """
    with QtestDevice(device) as qemu:
        outcome = Outcome(device, target, seed, qemu.version, met=Counter())
        config = config_like(qemu)
        compared = ModernRun(qemu, config, make or MODERN_MAKERS[target], outcome)
        started_at = time.monotonic()
        try:
            steps = ModernStimulus(config, compared.config_length, seed)
            for number, step in enumerate(islice(steps, accesses), 1):
                compared.step(step)
                if number % _WHOLE_STATE == 0:
                    compared.compare_all()
                    progress(number)
            compared.compare_all()
        finally:
            outcome.seconds = time.monotonic() - started_at
            outcome.qemu_accesses = compared.qemu.accesses
            compared.target.close()
    return outcome

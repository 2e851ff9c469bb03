"""The differential runner: random accesses to QEMU's legacy window and to ours, compared byte by byte.

Three questions are asked of each access. What does QEMU answer to the access as it is? What does
QEMU answer to what the access means under our byte rules, put as accesses to whole registers? What
do we answer? The second and the third must agree; where the first departs from them, or where QEMU
cannot follow us at all, a difference of `virtio_mmr_sim.oracle.differences` must explain it.

Reads and plain writes are sent to QEMU in batches. All other writes are taken one by one, between
snapshots of QEMU's state.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.spec.device_types import Owner
from virtio_mmr.spec.features import UNUSED_BIT
from virtio_mmr.spec.legacy import CONFIG_OFFSET, HEADER
from virtio_mmr.spec.register import Present, Register

from .differences import BY_NAME
from .qtest import Access, QtestDevice, SetMsix, Step
from .snapshot import ACCEPTED, CONFIG_VECTOR, PAGE, QUEUE_VECTOR, SELECT, STATUS, QemuState, Snapshot
from .stimulus import Stimulus
from .target import MAKERS, Maker, device_config_like

SIZE, NOTIFY = 0x0C, 0x10

#: Selections that QEMU takes are below this.
_SELECTIONS = 1024

_NEEDS_RESET, _CONTROL_MAC = 1 << 6, 1 << 23

#: Steps between comparisons of the whole state.
_WHOLE_STATE = 1000

#: Plain accesses that are sent to QEMU at once.
_BATCH = 200


class Unexplained(AssertionError):
    """A difference that the table does not explain; the text holds what is needed to see it again."""


@dataclass
class Outcome:
    """What a run has found."""

    device: str
    target: str
    seed: int
    qemu: str
    accesses: int = 0
    #: Accesses to QEMU, those of snapshots and replays included.
    qemu_accesses: int = 0
    #: Comparisons of the whole state.
    whole_state: int = 0
    seconds: float = 0.0
    #: How often each difference was met.
    met: Counter[str] = field(default_factory=Counter)


def registers(msix: bool) -> dict[int, Register]:
    """The register of each byte of the header."""
    present = [register for register in HEADER if register.present is Present.ALWAYS or msix]
    return {register.offset + byte: register for register in present for byte in range(register.size)}


_REGISTERS = {msix: registers(msix) for msix in (False, True)}


def shapes(access: Access, msix: bool, config_length: int) -> list[str]:
    """Differences that lie in offset and width alone."""
    offset, width, value = access
    start = CONFIG_OFFSET[msix]
    if offset % width:
        return ["unaligned"]
    if offset >= start:
        return ["beyond_the_end"] if offset + width > start + config_length else []
    register = _REGISTERS[msix][offset]
    if register.offset != offset:
        return ["middle_of_register"]
    names = ["wide_access"] if width > register.size else []
    if width < register.size and value is not None:
        names.append("narrow_write")
    return names


class _Run:
    """One run: QEMU, target, and what is known about both."""

    def __init__(self, qemu: QtestDevice, config: DeviceConfig, make: Maker, outcome: Outcome) -> None:
        self.config, self.outcome = config, outcome
        self.target = make(config)
        self.msix = False
        self.config_length = len(qemu.config_bytes())
        self.writable = [
            at for part in config.kind.config if part.owner is Owner.DRIVER
            for at in range(part.offset, part.offset + part.size) if at < self.config_length
        ]
        self.qemu = QemuState(qemu, len(config.queues), self.writable)
        self.recent: deque[Step] = deque(maxlen=10)
        #: Accesses that wait to be sent to QEMU, and for reads the whole registers they cover.
        self.waiting: list[tuple[Access, list[Access]]] = []

    # Failing

    def fail(self, what: str) -> Unexplained:
        """The error for *what*, with everything that is needed to see it again."""
        recent = "\n  ".join(map(str, self.recent))
        outcome = self.outcome
        return Unexplained(
            f"{what}\nlast accesses, MSI-X {'on' if self.msix else 'off'} at the end:\n  {recent}\n"
            f"seed {outcome.seed}; again with: vmmr differ --device {outcome.device} --target {outcome.target} "
            f"--accesses {outcome.accesses} --seed {outcome.seed}")

    def count(self, names: Iterable[str]) -> None:
        """Note that differences were met."""
        for name in names:
            assert name in BY_NAME
            self.outcome.met[name] += 1

    # Steps

    def step(self, step: Step) -> None:
        """Carry out one step on both sides; its comparison may wait for `flush`."""
        self.outcome.accesses += 1
        if isinstance(step, SetMsix):
            self.flush()
            self.recent.append(step)
            self.qemu.run([step])
            self.target.set_msix(step.enable)
            self.msix = step.enable
        elif step.value is None:
            self.waiting.append((step, self.covered(step)))
        elif self.is_plain(step):
            self.waiting.append((step, []))
        else:
            self.flush()
            self.recent.append(step)
            self.write(step)
        if len(self.waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Send what waits to QEMU, carry it out on the target, and compare what was read."""
        waiting, self.waiting = self.waiting, []
        answers = iter(self.qemu.run([one for access, covered in waiting for one in (access, *covered)]))
        for access, covered in waiting:
            theirs = next(answers)
            whole = dict(zip(covered, islice(answers, len(covered)), strict=True))
            self.recent.append(access)
            if access.value is None:
                self.compare_read(access, theirs, whole)
            else:
                self.target.write(access.offset, access.width, access.value)

    # Reads

    def covered(self, access: Access) -> list[Access]:
        """Whole registers and configuration bytes under a read; none if it is such an access itself.

        The notification register, which has no value, and bytes beyond the end are left out.
        """
        offset, width, _ = access
        if not shapes(access, self.msix, self.config_length):
            return []
        end = CONFIG_OFFSET[self.msix] + self.config_length
        found: dict[Access, None] = {}
        for at in range(offset, min(offset + width, end)):
            register = _REGISTERS[self.msix].get(at)
            if register is None:
                found[Access(at, 1)] = None
            elif register.offset != NOTIFY:
                found[Access(register.offset, register.size)] = None
        return list(found)

    def compare_read(self, access: Access, theirs: int, whole: dict[Access, int]) -> None:
        """Compare a read; *whole* are QEMU's values of the registers under it."""
        ours = self.target.read(access.offset, access.width)
        names = shapes(access, self.msix, self.config_length)
        if names:
            expected = self.assemble(access, whole)
        else:
            expected = theirs
            if access.offset == NOTIFY:
                expected = 0
        covered = range(access.offset, access.offset + access.width)
        if 3 in covered:
            expected &= ~(1 << UNUSED_BIT - 24 + 8 * (3 - access.offset))
        if ours != expected:
            width = 2 * access.width + 2
            raise self.fail(f"{access}: read {ours:#0{width}x}, but QEMU's registers say {expected:#0{width}x}")
        if ours == theirs:
            return
        if NOTIFY in covered and not set(names) & {"unaligned", "middle_of_register"}:
            names = [*names, "notify_reads_ones"]
        if 3 in covered and not set(names) & {"unaligned", "middle_of_register"}:
            names = [*names, "bit_30_offered"]
        if not names:
            raise self.fail(f"{access}: read {ours:#x}, QEMU {theirs:#x}")
        self.count(names)

    @staticmethod
    def assemble(access: Access, whole: dict[Access, int]) -> int:
        """The bytes under *access*, from the registers that hold them; zero where there is none."""
        value = 0
        for (offset, width, _), content in whole.items():
            for byte in range(width):
                lane = offset + byte - access.offset
                if 0 <= lane < access.width:
                    value |= (content >> 8 * byte & 0xFF) << 8 * lane
        return value

    # Writes

    def is_plain(self, access: Access) -> bool:
        """Whether a write means the same to both, whatever the state."""
        offset, _, value = access
        assert value is not None
        if offset >= CONFIG_OFFSET[self.msix]:
            return offset >= CONFIG_OFFSET[self.msix] + self.config_length
        if shapes(access, self.msix, self.config_length):
            return False
        match _REGISTERS[self.msix][offset].name:
            case "driver_features":
                return not value >> UNUSED_BIT & 1
            case "queue_address":
                return value != 0
            case "queue_select":
                return value < _SELECTIONS
            case "device_status":
                return value != 0 and not value & _NEEDS_RESET and self.outcome.device != "blk"
            case "queue_vector":
                return False
        return True

    def write(self, access: Access) -> None:
        """A write that needs thought: compared at once, with QEMU's state from before at hand."""
        assert access.value is not None
        before = self.qemu.after()
        raw = self.qemu.after([access])
        meaning = _Meaning(access, self.msix, before, self.config_length, self.writable)
        start = meaning.state or (before if raw != before else None)
        after = self.qemu.after([*(self.qemu.steps_to(start) if start else []), *meaning.accesses])
        if raw != after:
            names = shapes(access, self.msix, self.config_length) + meaning.names
            if not names:
                raise self.fail(f"{access}: QEMU went from {before} to {raw}, where {after} was expected")
            self.count(names)
        self.target.write(access.offset, access.width, access.value)
        self.compare_state(access, after, meaning)
        if meaning.touches_config:
            self.compare_config(access, after, meaning)

    def compare_state(self, access: Access, after: Snapshot, meaning: "_Meaning") -> None:
        """Compare the registers that the target shows now with QEMU's state."""
        select = after.select
        if meaning.hidden_select is not None:
            select = meaning.hidden_select
        page, vector = after.selected
        size = self.config.queues[after.select] if after.select < len(self.config.queues) else 0
        expected = [
            ("driver_features", Access(ACCEPTED, 4, after.accepted)),
            ("queue_address", Access(PAGE, 4, page)),
            ("queue_select and queue_size", Access(SIZE, 4, select << 16 | size)),
            ("device_status", Access(STATUS, 1, after.status)),
        ]
        if self.msix:
            vectors = vector << 16 | after.config_vector
            expected.append(("queue_vector and config_vector", Access(CONFIG_VECTOR, 4, vectors)))
        for name, (offset, width, value) in expected:
            ours = self.target.read(offset, width)
            if ours != value:
                raise self.fail(f"{access}: {name}: {ours:#x} afterwards, but QEMU has {value:#x}")
        if meaning.hidden_select is not None:
            self.target.write(SELECT, 2, after.select)

    def compare_config(self, access: Access, after: Snapshot, meaning: "_Meaning") -> None:
        """Compare the configuration bytes that a driver can write; then make ours equal to QEMU's."""
        start = CONFIG_OFFSET[self.msix]
        for at, theirs, expected in zip(self.writable, after.config, meaning.config, strict=True):
            ours = self.target.read(start + at, 1)
            if ours != expected:
                raise self.fail(f"{access}: configuration byte {at} is {ours:#x} afterwards, not {expected:#x}")
            if ours != theirs:
                self.count([self.why_config(access, meaning, after, ours, theirs)])
                self.target.write(start + at, 1, theirs)

    def why_config(self, access: Access, meaning: "_Meaning", after: Snapshot, ours: int, theirs: int) -> str:
        """Name of a difference between configuration bytes."""
        if self.outcome.device == "net":
            if meaning.resets:
                return "mac_restored_by_reset"
            if after.accepted & _CONTROL_MAC:
                return "mac_fixed_by_feature"
        if self.outcome.device == "blk":
            if meaning.writes_status:
                return "cache_mode_follows_features"
            if theirs == (ours != 0):
                return "writeback_is_one_bit"
        raise self.fail(f"{access}: configuration shows {ours:#x}, QEMU's {theirs:#x}")

    # The whole state

    def compare_all(self) -> None:
        """Compare the state of every queue, and all of the configuration."""
        self.flush()
        theirs, target = self.qemu.after(), self.target
        queues = []
        for index in range(len(self.config.queues)):
            target.write(SELECT, 2, index)
            page = target.read(PAGE, 4)
            queues.append((page, target.read(QUEUE_VECTOR, 2) if self.msix else theirs.queues[index][1]))
        target.write(SELECT, 2, theirs.select)
        ours = Snapshot(
            status=target.read(STATUS, 1), accepted=target.read(ACCEPTED, 4), select=target.read(SELECT, 2),
            config_vector=target.read(CONFIG_VECTOR, 2) if self.msix else theirs.config_vector,
            queues=tuple(queues), stray_vector=theirs.stray_vector, config=theirs.config)
        start = CONFIG_OFFSET[self.msix]
        places = range(start, start + self.config_length)
        ours_config = [target.read(at, 1) for at in places]
        theirs_config = self.qemu.run([Access(at, 1) for at in places])
        if (ours, ours_config) != (theirs, theirs_config):
            raise self.fail(f"the whole state differs: ours\n  {ours}, configuration {bytes(ours_config).hex()}\n"
                            f"and QEMU's\n  {theirs}, configuration {bytes(theirs_config).hex()}")
        self.outcome.whole_state += 1


class _Meaning:
    """What a write means under our byte rules, as accesses to whole registers, from a known state."""

    def __init__(self, access: Access, msix: bool, before: Snapshot, config_length: int,
                 writable: list[int]) -> None:
        #: Whole-register accesses for QEMU, in order.
        self.accesses: list[Access] = []
        #: State to give QEMU first, where no access leads to it.
        self.state: Snapshot | None = None
        #: Differences that lie in values.
        self.names: list[str] = []
        #: Selection that QEMU cannot hold.
        self.hidden_select: int | None = None
        #: Writable configuration bytes that we show afterwards.
        self.config = bytearray(before.config)
        self.resets = self.writes_status = False
        self._known = before
        offset, width, value = access
        assert value is not None
        enabled = {offset + byte: value >> 8 * byte & 0xFF for byte in range(width)}
        start = CONFIG_OFFSET[msix]
        self.touches_config = any(at >= start for at in enabled)
        self._features(enabled)
        self._page(enabled)
        self._select(enabled)
        self._status(enabled)
        self._notify(enabled)
        if msix:
            self._vectors(enabled)
        for at, byte in enabled.items():
            place = at - start
            if 0 <= place < config_length:
                self.accesses.append(Access(at, 1, byte))
                if place in writable:
                    self.config[writable.index(place)] = byte
        self.touches_config |= self.writes_status

    @staticmethod
    def _merge(enabled: dict[int, int], at: int, width: int, old: int) -> int | None:
        """The register at *at* with the enabled bytes changed; None if none is enabled."""
        value = old
        for byte in range(width):
            if at + byte in enabled:
                value = value & ~(0xFF << 8 * byte) | enabled[at + byte] << 8 * byte
        return value if any(at + byte in enabled for byte in range(width)) else None

    def _features(self, enabled: dict[int, int]) -> None:
        value = self._merge(enabled, ACCEPTED, 4, self._known.accepted)
        if value is not None:
            if value >> UNUSED_BIT & 1:
                self.names.append("bit_30_accepted")
            self.accesses.append(Access(ACCEPTED, 4, value & ~(1 << UNUSED_BIT)))

    def _page(self, enabled: dict[int, int]) -> None:
        value = self._merge(enabled, PAGE, 4, self._known.selected[0])
        if value:
            self.accesses.append(Access(PAGE, 4, value))
        elif value == 0:
            self.names.append("page_zero_resets")
            self.state = self._known.without_page()

    def _select(self, enabled: dict[int, int]) -> None:
        value = self._merge(enabled, SELECT, 2, self._known.select)
        if value is None:
            return
        if value >= _SELECTIONS:
            self.names.append("select_out_of_range")
            self.hidden_select = value
            value = _SELECTIONS - 1
        self.accesses.append(Access(SELECT, 2, value))

    def _status(self, enabled: dict[int, int]) -> None:
        if STATUS not in enabled:
            return
        value = enabled[STATUS]
        self.writes_status, self.resets = True, value == 0
        if value & _NEEDS_RESET:
            self.names.append("needs_reset_bit")
        if value == _NEEDS_RESET:
            # Nothing but a reset makes QEMU's status zero.
            self.state = replace(self._known, status=0)
            return
        if value == 0:
            self._known = self._known.after_reset()
            self.hidden_select = None
        self.accesses.append(Access(STATUS, 1, value & ~_NEEDS_RESET))

    def _notify(self, enabled: dict[int, int]) -> None:
        if NOTIFY in enabled and not self.resets:
            self.accesses.append(Access(NOTIFY, 2, enabled[NOTIFY] | enabled.get(NOTIFY + 1, 0) << 8))

    def _vectors(self, enabled: dict[int, int]) -> None:
        value = self._merge(enabled, CONFIG_VECTOR, 2, self._known.config_vector)
        if value is not None:
            self.accesses.append(Access(CONFIG_VECTOR, 2, value))
        value = self._merge(enabled, QUEUE_VECTOR, 2, self._known.selected[1])
        if value is None:
            return
        if self._known.select >= len(self._known.queues):
            self.names.append("vector_of_no_queue")
        else:
            self.accesses.append(Access(QUEUE_VECTOR, 2, value))


def run(device: str, accesses: int, seed: int, target: str | Maker = "model", *,
        progress: Callable[[int], None] = lambda done: None, qemu: QtestDevice | None = None) -> Outcome:
    """Compare *accesses* random steps on QEMU's *device* (``net``, ``blk`` or ``rng``) and on *target*.

    *target* is a name of `virtio_mmr_sim.oracle.target.MAKERS`, or makes a target for the device that
    QEMU shows. *progress* hears how many steps are done. *qemu* is started if not given.

    Raises
    ------
    Unexplained
        At the first difference that no name explains.
    virtio_mmr_sim.toolchain.ToolMissing
        If there is no QEMU.
    """
    if qemu is None:
        with QtestDevice(device) as started:
            return run(device, accesses, seed, target, progress=progress, qemu=started)
    make = MAKERS[target] if isinstance(target, str) else target
    outcome = Outcome(device, target if isinstance(target, str) else make.__name__, seed, qemu.version)
    config = device_config_like(qemu)
    sent = qemu.accesses
    compared = _Run(qemu, config, make, outcome)
    started_at = time.monotonic()
    try:
        steps = Stimulus(seed, queues=len(config.queues), vectors=config.msix_vectors, offered=config.features,
                         config_length=compared.config_length)
        for number, step in enumerate(islice(steps, accesses), 1):
            compared.step(step)
            if number % _WHOLE_STATE == 0:
                compared.compare_all()
                progress(number)
        compared.compare_all()
    except Unexplained:
        raise
    except Exception as error:
        error.add_note(str(compared.fail("the run ended here")))
        raise
    finally:
        outcome.seconds = time.monotonic() - started_at
        outcome.qemu_accesses = qemu.accesses - sent
        compared.target.close()
    return outcome

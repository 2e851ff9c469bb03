"""A design that runs, with its back end, and the guests that are shown its functions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from virtio_mmr_sim import design
from virtio_mmr_sim.device.attach import Device
from virtio_mmr_sim.device.function import FunctionDevice
from virtio_mmr_sim.host.hypervisor import Guest, Policy, TransitionalDevice, Unfit, find, finish
from virtio_mmr_sim.host.hypervisor.native import NativeHost
from virtio_mmr_sim.native.model import NativeError, NativeModel

from . import loop
from .bridge import Bridge
from .designs import Show
from .firmware import PHYSICAL, bring_up
from .memory import GuestMemory
from .qemu import Qemu
from .record import Event, Recorder
from .show import HypervisedDevice, ModernDevice, RawDevice
from .vfio_user import ProtocolError

#: Clock of the design, for simulated time: 250 MHz.
CLOCK_HZ = 250_000_000


@dataclass(frozen=True)
class Summary:
    """What a session was, in numbers."""

    #: Accesses of all guests, by kind.
    accesses: dict[str, int]
    #: TLPs but completions, by kind.
    tlps: dict[str, int]
    clocks: int
    #: Seconds.
    simulated: float
    wall: float

    @property
    def tlps_per_second(self) -> float:
        """Of wall time."""
        return sum(self.tlps.values()) / self.wall


@dataclass(frozen=True)
class Outcome:
    """What became of a guest."""

    said: dict[str, list[str]]
    #: Interrupts sent to it, by vector or as "line".
    interrupts: dict[str, int]
    summary: Summary
    problems: list[str]
    #: The device file, and what the guest did to the device.
    device: str
    events: list[Event]


class GuestFailed(RuntimeError):
    """A guest did not do what it was to do; the text ends with what it printed last.

    *outcome* is how far the first guest came, if one was started.
    """

    def __init__(self, text: str, outcome: Outcome | None = None):
        super().__init__(text)
        self.outcome = outcome


def said(console: str) -> dict[str, list[str]]:
    """What the guest's script has printed, by name."""
    found: dict[str, list[str]] = {}
    for line in console.splitlines():
        _, marker, rest = line.partition("guest: ")
        if marker:
            name, _, text = rest.strip().partition(" ")
            found.setdefault(name, []).append(text)
    return found


class Machine:
    """One guest: what it is shown, and the process that it runs in."""

    def __init__(self, shown: RawDevice | HypervisedDevice, memory: GuestMemory, *, keep: bool):
        #: Interrupts as they were when the console showed a text: `mark` has named it.
        self.marked: dict[str, int] = {}
        self._mark = ""
        self.shown, self.memory = shown, memory
        self.recorder = Recorder(shown, keep=keep)
        shown.told = self.recorder.told
        self.qemu: Qemu | None = None
        self._console: list[bytes] = []
        #: What QEMU said on its way, and why it ended without the guest's doing.
        self.complaint = self.gave_up = ""

    @property
    def console(self) -> str:
        """What it has printed."""
        return b"".join(self._console).decode(errors="replace").replace("\r", "")

    @property
    def said(self) -> dict[str, list[str]]:
        """What its script has printed."""
        return said(self.console)

    def start(self, arguments: Sequence[str], *, echo: Callable[[str], None] | None = None, **options: object) -> None:
        """Start QEMU with *arguments*; *options* are those of `Qemu`. *echo* hears what the guest prints."""
        def hear(data: bytes) -> None:
            self._console.append(data)
            if self._mark and self._mark in self.console:
                self.marked, self._mark = self.interrupts, ""
            if echo is not None:
                echo(data.decode(errors="replace"))

        self.qemu = Qemu(arguments, self.recorder, self.memory, console=hear, **options)  # type: ignore[arg-type]

    def mark(self, text: str) -> None:
        """Keep the interrupts as they are when the console shows *text*."""
        self._mark = text

    @property
    def ended(self) -> bool:
        """Whether it runs no more; a guest that the hypervisor has stopped does not."""
        stopped = isinstance(self.shown, HypervisedDevice) and self.shown.stopped
        return self.qemu is None or self.qemu.ended or bool(stopped)

    def close(self) -> None:
        """End it."""
        if self.qemu is not None:
            self.complaint, self.gave_up = self.qemu.close().strip(), self.qemu.gave_up
            self.qemu = None
        self.shown.close()

    @property
    def interrupts(self) -> dict[str, int]:
        """How often the guest was told, by vector, and of its line."""
        return {str(vector): count for vector, count in sorted(self.shown.messages.counts.items())} | (
            {"line": self.shown.intx.count} if self.shown.intx.count else {})


class Session:
    """The design of the device file *text*; *devices* makes each function's device."""

    def __init__(self, text: str, devices: Callable[[int], FunctionDevice | None], *, keep: bool = False):
        self.text = text
        made = design.generate(text)
        self.config = made.config
        self._keep = keep
        # A guest takes few clocks: the compiler's time counts more than the design's.
        self.model = NativeModel(made.config, verilog=made.verilog.read_text(), interface=made.interface,
                                 optimize=False)
        self.model.reset()
        self._nobody = GuestMemory()
        self.device = Device(self.model, devices)
        self.bridge = Bridge(self.model, self.device, self._nobody)
        self.machines: list[Machine] = []
        self._host: NativeHost | None = None
        self._wall = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every guest, and free the design."""
        for machine in self.machines:
            machine.close()
        self.model.close()

    def show(self, show: Show, function: int = 0, policy: Policy | None = None) -> Machine:
        """A guest of function number *function*; it has still to be started.

        Raises
        ------
        GuestFailed
            If the hypervisor cannot have the function.
        """
        routing_id, memory = PHYSICAL + function, GuestMemory()
        shown: RawDevice | HypervisedDevice

        def attach(guest: HypervisedDevice) -> TransitionalDevice:
            # The hypervisor opens the gate: what the function sends then must have somewhere to go.
            self.bridge.attach(routing_id, guest.function, memory)
            return self._attach(guest, routing_id, policy)

        if show is Show.HYPERVISOR:
            try:
                shown = HypervisedDevice(attach)
            except (NativeError, Unfit) as error:
                raise self._failure(str(error)) from error
            self.bridge.settled.append(shown.poll)
        else:
            kind = ModernDevice if show is Show.MODERN else RawDevice
            shown = kind(self.bridge, self.config, routing_id)
            self.bridge.attach(routing_id, shown, memory)
        machine = Machine(shown, memory, keep=self._keep)
        self.machines.append(machine)
        return machine

    def _attach(self, guest: Guest, routing_id: int, policy: Policy | None) -> TransitionalDevice:
        if self._host is None:
            self._host = NativeHost(self.bridge, bring_up(self.bridge, self.config))
        function = finish(find(self._host, routing_id))
        assert function is not None, f"the design has no function at {routing_id:#06x}"
        return finish(TransitionalDevice.attach(self._host, function, guest, policy=policy))

    def run(self, limit: float, done: Callable[[], bool] = lambda: False) -> None:
        """Run until every guest has ended or was stopped, or *done*.

        Raises
        ------
        GuestFailed
            If that takes more than *limit* seconds, QEMU gives up, or the design or QEMU does what it must not.
        """
        start = time.monotonic()
        guests = [machine.qemu for machine in self.machines if machine.qemu is not None]
        try:
            loop.run(self.bridge, guests, limit=limit,
                     done=lambda: done() or all(machine.ended for machine in self.machines))
        except (RuntimeError, ProtocolError, Unfit) as error:
            raise self._failure(str(error)) from error
        finally:
            self._wall += time.monotonic() - start
            for machine in self.machines:
                if machine.ended:
                    machine.close()
        if why := next((machine.gave_up for machine in self.machines if machine.gave_up), ""):
            raise self._failure(why)

    def _failure(self, why: str) -> GuestFailed:
        parts = [why]
        for machine in self.machines:
            machine.close()
            parts += ["the guest's last lines:", *machine.console.splitlines()[-8:],
                      *(["QEMU says:", machine.complaint] if machine.complaint else [])]
        text = "\n  ".join(parts)
        return GuestFailed(text, self.outcome(self.machines[0], []) if self.machines else None)

    def outcome(self, machine: Machine, problems: list[str], said: dict[str, list[str]] | None = None) -> Outcome:
        """What became of the guest on *machine*; *said* is in place of its own words."""
        if strange := machine.shown.strange:
            problems = [*problems, f"{strange} messages came that no vector of the design sends"]
        if problems and machine.complaint:
            problems = [*problems, f"QEMU says: {machine.complaint}"]
        return Outcome(machine.said if said is None else said, machine.interrupts, self.summary(), problems, self.text,
                       machine.recorder.events)

    def summary(self) -> Summary:
        """The numbers so far."""
        accesses: dict[str, int] = {}
        for machine in self.machines:
            for name, count in machine.recorder.counts.items():
                accesses[name] = accesses.get(name, 0) + count
        return Summary(dict(sorted(accesses.items())), self.bridge.tlps(), self.model.now, self.model.now / CLOCK_HZ,
                       self._wall)

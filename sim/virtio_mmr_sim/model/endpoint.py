"""The endpoint: packets in, completions out, and everything that may be seen of it in between.

`EndpointModel.receive` takes one packet after the other and finishes each before the next, so a read
sees every write before it. What the model says about order is: completions come in the order of
their requests, and in address order within one.

Specification: PCI Express Base 5.0, 2.3 (handling of received packets); spec of this project's
register windows in `virtio_mmr.spec`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.spec.tlp import MESSAGE_VENDOR_1, MESSAGES_ACCEPTED, CompletionStatus

from .configuration import D0, ConfigurationSpaceModel
from .events import STREAMS, Event
from .function import FunctionModel
from .malformed import why_malformed
from .tlp import (
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
    pieces,
    strobe,
)
from .windows import Window, windows

#: Counters and error pulses are this many bits wide and wrap.
COUNTER_MASK = 0xFFFF

Request = MemoryRequest | AtomicRequest | IoRequest | ConfigRequest


@dataclass
class Counters:
    """What went wrong so far."""

    malformed: int = 0
    poisoned: int = 0
    unsupported: int = 0
    unexpected: int = 0
    hole: int = 0


@dataclass
class Errors:
    """Error pulses given so far, by severity."""

    correctable: int = 0
    nonfatal: int = 0
    fatal: int = 0


class Shown(NamedTuple):
    """A region of a BAR with the window that it shows."""

    start: int
    end: int
    window: Window


class Decoded(NamedTuple):
    """A BAR that is enabled now."""

    base: int
    size: int
    io: bool
    regions: tuple[Shown, ...]


class EndpointModel:
    """One function of a device with its configuration space, BARs and windows."""

    def __init__(self, config: DeviceConfig):
        self.config = config
        self.space = ConfigurationSpaceModel(config)
        self.function = FunctionModel(config)
        self.windows = windows(self.function)
        self.counters = Counters()
        self.errors = Errors()
        #: As captured from configuration writes.
        self.bus, self.device = 0, 0
        self.max_payload = 128
        #: BARs that decode now, in order of precedence.
        self.bars: tuple[Decoded, ...] = ()
        self._regions = {
            bar.index: tuple(
                Shown(region.offset, region.end, self.windows[region.space]) for region in bar.regions)
            for bar in config.bars
        }
        self._follow_configuration()

    # Configuration space, as the rest of the endpoint sees it

    def _follow_configuration(self) -> None:
        """Take over what a configuration write may have changed."""
        get = self.space.get
        self.max_payload = min(128 << get("control.max_payload_size"), self.config.datapath.max_payload)
        control = self.function.control
        control.bus_master = get("control.bus_master") != 0
        control.d0 = get("control.power_state") == D0
        self.function.set_msix_enabled(get("control.msix_enable") != 0)
        self.bars = tuple(
            Decoded(self.space.base_address(bar.index, bar.kind is BarKind.MEMORY64),
                    bar.decoded_size, bar.kind is BarKind.IO, self._regions[bar.index])
            for bar in sorted(self.config.bars, key=lambda bar: bar.index)
            if control.d0 and get("control.io_enable" if bar.kind is BarKind.IO else "control.memory_enable")
        )

    @property
    def completer(self) -> int:
        """Id of the function in its completions."""
        return self.bus << 8 | self.device << 3 | self.function.number

    def _decode(self, address: int, io: bool) -> Decoded | None:
        """The BAR that claims *address*; the lowest index wins."""
        for bar in self.bars:
            if bar.io == io and bar.base <= address < bar.base + bar.size:
                return bar
        return None

    # Errors

    def _report(self, severity: str, *events: str) -> None:
        """Set sticky bits in configuration space and give an error pulse."""
        for event in events:
            self.space.set_event(f"event.{event}")
        setattr(self.errors, severity, getattr(self.errors, severity) + 1)

    def _count(self, counter: str) -> None:
        setattr(self.counters, counter, (getattr(self.counters, counter) + 1) & COUNTER_MASK)

    def _unsupported_posted(self) -> list[list[int]]:
        self._count("unsupported")
        self._report("nonfatal", "unsupported_detected", "nonfatal_detected")
        return []

    def _unsupported(self, request: Request) -> list[list[int]]:
        """Completion "unsupported request" of a non-posted request."""
        self._count("unsupported")
        self._report("correctable", "unsupported_detected", "correctable_detected")
        return [self._refusal(request)]

    def _poisoned_posted(self) -> list[list[int]]:
        self._count("poisoned")
        self._report("nonfatal", "detected_parity_error", "nonfatal_detected")
        return []

    def _poisoned(self, request: Request) -> list[list[int]]:
        """A non-posted request with poisoned data is not applied."""
        self._count("poisoned")
        self._report("correctable", "detected_parity_error", "unsupported_detected", "correctable_detected")
        return [self._refusal(request)]

    # Completions

    def _completion(self, request: Request, *, status: int = CompletionStatus.SUCCESSFUL,
                    payload: tuple[int, ...] = (), byte_count: int = 4, lower_address: int = 0,
                    locked: bool = False) -> list[int]:
        return build(Completion(
            requester=request.requester, tag=request.tag, traffic_class=request.traffic_class,
            attributes=request.attributes, completer=self.completer, status=status, payload=payload,
            byte_count=byte_count, lower_address=lower_address, locked=locked))

    def _refusal(self, request: Request) -> list[int]:
        """"Unsupported request", with the byte count that a successful memory read would have had."""
        if isinstance(request, MemoryRequest):
            first, last = enables(request)
            return self._completion(
                request, status=CompletionStatus.UNSUPPORTED, locked=request.locked,
                byte_count=byte_count(request.length, first, last),
                lower_address=lower_address(request.address, first))
        return self._completion(request, status=CompletionStatus.UNSUPPORTED)

    # Packets

    def receive(self, dwords: Sequence[int]) -> list[list[int]]:
        """Take one packet; gives its completions in order, each a list of dwords."""
        if why_malformed(dwords, self.max_payload, self.config.datapath.check_byte_enables):
            self._count("malformed")
            self._report("fatal", "fatal_detected")
            return []
        packet = parse(dwords)
        match packet:
            case MemoryRequest():
                return self._memory(packet)
            case ConfigRequest():
                return self._configuration(packet)
            case IoRequest():
                return self._io(packet)
            case AtomicRequest():
                return self._poisoned(packet) if packet.poisoned else self._unsupported(packet)
            case Message():
                return self._message(packet)
            case Completion():
                self._count("unexpected")
                self._report("correctable", "correctable_detected")
                return []

    def _message(self, message: Message) -> list[list[int]]:
        if message.payload is not None and message.poisoned:
            return self._poisoned_posted()
        if message.code == MESSAGE_VENDOR_1 or message.code in MESSAGES_ACCEPTED:
            return []
        return self._unsupported_posted()

    def _memory(self, request: MemoryRequest) -> list[list[int]]:
        if request.write and request.poisoned:
            return self._poisoned_posted()
        refused = request.locked or (
            self.config.datapath.strict_64bit and request.wide and request.address >> 32 == 0)
        bar = None if refused else self._decode(request.address, io=False)
        if request.write:
            if bar is None:
                return self._unsupported_posted()
            for index, dword in enumerate(request.payload):
                be = strobe(request.length, request.first_be, request.last_be, index)
                self._write(bar, request.address + 4 * index, dword, be)
            return []

        if bar is None:
            return self._unsupported(request)
        first, last = enables(request)
        data = [
            self._read(bar, request.address + 4 * index, strobe(request.length, first, last, index))
            for index in range(request.length)
        ]
        return [
            self._completion(request, payload=tuple(data[piece.start:piece.start + piece.length]),
                             byte_count=piece.byte_count, lower_address=piece.lower_address)
            for piece in pieces(request.address, request.length, first, last)
        ]

    def _io(self, request: IoRequest) -> list[list[int]]:
        if request.write and request.poisoned:
            return self._poisoned(request)
        bar = self._decode(request.address, io=True)
        if bar is None:
            return self._unsupported(request)
        if request.write:
            self._write(bar, request.address, request.data, request.first_be)
            return [self._completion(request)]
        return [self._completion(request, payload=(self._read(bar, request.address, request.first_be),))]

    def _configuration(self, request: ConfigRequest) -> list[list[int]]:
        if request.write and request.poisoned:
            return self._poisoned(request)
        if request.type1 or request.function != self.function.number:
            return self._unsupported(request)
        if not request.write:
            live = {"live.interrupt_status": self.function.interrupt_status}
            data = self.space.read(request.offset, request.first_be, live)
            return [self._completion(request, payload=(data,))]

        self.bus, self.device = request.bus, request.device
        if self.space.write(request.offset, request.data, request.first_be):
            self._function_level_reset()
        self._follow_configuration()
        return [self._completion(request)]

    def _function_level_reset(self) -> None:
        """Everything but the captured bus and device number returns to its value after reset."""
        self.space.reset()
        self.function.function_level_reset()

    # One dword of a BAR

    def _find(self, bar: Decoded, address: int) -> tuple[Window, int] | None:
        """The window at *address* and the offset inside it; None, and counted, for a hole."""
        offset = address - bar.base
        for region in bar.regions:
            if region.start <= offset < region.end:
                return region.window, offset - region.start
        self._count("hole")
        return None

    def _read(self, bar: Decoded, address: int, be: int) -> int:
        found = self._find(bar, address)
        return 0 if found is None else found[0].read(found[1], be)

    def _write(self, bar: Decoded, address: int, dword: int, be: int) -> None:
        found = self._find(bar, address)
        if found is not None:
            found[0].write(found[1], dword, be)

    # The back end's side; inputs for functions that do not exist are ignored

    def interrupt_cause(self, function: int, epoch: int, queue: int, config_change: bool) -> None:
        """The device used a buffer of *queue*, or changed its configuration."""
        if function == self.function.number:
            self.function.interrupt_cause(epoch, config_change)

    def fault(self, function: int, epoch: int, queue: int, cause: int) -> None:
        """The device cannot go on; *cause* is a bit of BADSTATE, 1 to 3."""
        if function == self.function.number:
            self.function.fault(epoch, cause)

    def config_update(self, function: int, offset: int, data: int, strobe: int, last: bool) -> None:
        """One beat of a change of the device configuration; all beats are applied at the last."""
        if function == self.function.number:
            self.function.config_update(offset, data, strobe, last)

    def reset_done(self, function: int, epoch: int) -> None:
        """The back end has finished the reset of *epoch*."""
        if function == self.function.number:
            self.function.reset_done(epoch)

    def queue_quiet(self, function: int, queue: int) -> None:
        """Nothing waits for it yet: only the modern interface resets single queues."""

    def drain(self, accept: Collection[str] = STREAMS, limit: int | None = None) -> list[Event]:
        """What the back end hears if it accepts the streams *accept*: at most *limit* events, in order."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            event = self.function.take(accept)
            if event is None:
                break
            events.append(event)
        return events

    def state(self) -> dict[str, int | bytes]:
        """Everything that can be observed from outside, without touching any of it."""
        live = {"live.interrupt_status": self.function.interrupt_status}
        return {
            **self.function.state(),
            "configuration": self.space.image(live),
            "bus": self.bus,
            "device": self.device,
            "count_malformed": self.counters.malformed,
            "count_poisoned": self.counters.poisoned,
            "count_unsupported": self.counters.unsupported,
            "count_unexpected": self.counters.unexpected,
            "count_hole": self.counters.hole,
            "error_correctable": self.errors.correctable,
            "error_nonfatal": self.errors.nonfatal,
            "error_fatal": self.errors.fatal,
        }

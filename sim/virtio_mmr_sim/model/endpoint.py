"""The endpoint: packets in, completions and interrupts out, and everything that may be seen of it in between.

`EndpointModel.receive` takes one packet after the other and finishes each before the next, so a read
sees every write before it. What the model says about order is: completions come in the order of
their requests, and in address order within one. What the endpoint sends of its own accord is kept for
`EndpointModel.take_sent`.

Specification: PCI Express Base 5.0, 2.3 (handling of received packets); spec of this project's
register windows in `virtio_mmr.spec`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.spec.sriov import MOST_WITHOUT_ARI, page_bytes
from virtio_mmr.spec.tlp import (
    ASSERT_INTA,
    DEASSERT_INTA,
    MESSAGE_LOCAL,
    MESSAGE_VENDOR_1,
    MESSAGES_ACCEPTED,
    CompletionStatus,
)

from virtio_mmr_sim.hard_ip.configuration import space_behind

from . import dma
from .configuration import D0, LANES, ConfigurationSpaceModel
from .events import STREAMS, Event, ResetCause
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


class Unit:
    """A function with its configuration space and windows."""

    def __init__(self, device: DeviceConfig, number: int, space: ConfigurationSpaceModel):
        self.number = number
        self.config = replace(device.of(number), config_image=device.image_of(number))
        self.space = space
        self.function = FunctionModel(self.config, number, number << device.queue_bits)
        self.windows = windows(self.function)
        #: What each BAR shows, by its index.
        self.regions = {
            bar.index: tuple(
                Shown(region.offset, region.end, self.windows[region.space]) for region in bar.regions)
            for bar in self.config.bars
        }

    @property
    def live(self) -> dict[str, bool]:
        """Bits of configuration space that are not stored there."""
        return {} if self.config.virtual else {"live.interrupt_status": self.function.interrupt_status}

    def reset(self, cause: ResetCause) -> None:
        """Everything but epoch and generation returns to its value after reset."""
        self.space.reset()
        self.function.function_level_reset(cause)


class Decoded(NamedTuple):
    """A BAR that is enabled now, with the function that it belongs to."""

    unit: Unit
    base: int
    size: int
    io: bool
    regions: tuple[Shown, ...]


class Aperture(NamedTuple):
    """A BAR of all virtual functions that exist now: *size* bytes for each of them, one after the other."""

    bar: int
    base: int
    size: int


class EndpointModel:
    """A device: its functions, each with configuration space, BARs and windows.

    ``space``, ``function`` and ``windows`` are those of the physical function, number 0.
    """

    def __init__(self, config: DeviceConfig):
        self.config = config
        spaces = [ConfigurationSpaceModel(kind, space_behind(kind)) for kind in (
            config, *([] if config.vf is None else [config.vf.function]))]
        self.units = tuple(
            Unit(config, number, spaces[min(number, 1)].another()) for number in range(config.functions))
        self.physical = self.units[0]
        self.space = self.physical.space
        self.function = self.physical.function
        self.windows = self.physical.windows
        self.counters = Counters()
        self.errors = Errors()
        #: As captured from configuration writes; with virtual functions there is no device number.
        self.bus, self.device = 0, 0
        self.max_payload = 128
        #: Virtual functions that exist now; their numbers start at 1.
        self.present = 0
        self._sent: list[list[int]] = []
        #: The host has been told that INTA is raised.
        self._intx_told = False
        #: BARs that decode now, in order of precedence.
        self.bars: tuple[Decoded, ...] = ()
        self.apertures: tuple[Aperture, ...] = ()
        self._follow_configuration()

    # Configuration space, as the rest of the endpoint sees it

    def _follow_configuration(self) -> None:
        """Take over what a configuration write may have changed."""
        get = self.space.get
        self.max_payload = min(128 << get("control.max_payload_size"), self.config.datapath.max_payload)
        awake = get("control.power_state") == D0
        for unit in self.units:
            control = unit.function.control
            control.bus_master = unit.space.get("control.bus_master") != 0
            control.d0 = awake
            control.interrupt_disable = unit.space.get("control.interrupt_disable") != 0
            control.msix_masked = unit.space.get("control.msix_mask") != 0
            unit.function.set_msix_enabled(unit.space.get("control.msix_enable") != 0)
        self.bars = tuple(
            Decoded(self.physical, self.space.base_address(bar.index, bar.kind is BarKind.MEMORY64),
                    bar.decoded_size, bar.kind is BarKind.IO, self.physical.regions[bar.index])
            for bar in sorted(self.config.bars, key=lambda bar: bar.index)
            if awake and get("control.io_enable" if bar.kind is BarKind.IO else "control.memory_enable")
        )
        self._follow_virtual_functions()

    def _follow_virtual_functions(self) -> None:
        """Which virtual functions exist, and where their BARs stand."""
        if self.config.vf is None:
            return
        get = self.space.get
        before, self.present = self.present, get("control.num_vfs") if get("control.vf_enable") else 0
        if not get("control.ari_hierarchy"):
            self.present = min(self.present, MOST_WITHOUT_ARI)
        for unit in self.units[self.present + 1:before + 1]:
            unit.reset(ResetCause.VF_DISABLE)
        page = page_bytes(get("control.system_page_size"))
        decodes = get("control.vf_memory_enable") and self.function.control.d0
        self.apertures = tuple(
            Aperture(bar.index, self.space.base_address(bar.index, bar.kind is BarKind.MEMORY64, "vf_"),
                     max(bar.decoded_size, page))
            for bar in sorted(self.config.vf.function.bars, key=lambda bar: bar.index) if decodes
        )

    def requester_id(self, unit: Unit) -> int:
        """Id of the function in its completions."""
        return self.bus << 8 | self.device << 3 | unit.number

    def _decode(self, address: int, io: bool) -> Decoded | None:
        """The BAR that claims *address*; the lowest index wins, the physical function's first."""
        for bar in self.bars:
            if bar.io == io and bar.base <= address < bar.base + bar.size:
                return bar
        for aperture in self.apertures:
            number = (address - aperture.base) // aperture.size + 1
            if not io and 1 <= number <= self.present:
                unit = self.units[number]
                return Decoded(unit, aperture.base + (number - 1) * aperture.size, aperture.size, False,
                               unit.regions[aperture.bar])
        return None

    def _target(self, request: ConfigRequest) -> Unit | None:
        """The function that a configuration request names, if it exists."""
        if request.type1:
            return None
        if self.config.vf is None:
            return self.physical if request.function == 0 else None
        number = request.device << 3 | request.function
        return self.units[number] if number <= self.present else None

    def concerned(self, dwords: Sequence[int]) -> Unit:
        """The function whose state a packet may read or change; the physical one, if nobody else is meant."""
        if why_malformed(dwords, self.max_payload, self.config.datapath.check_byte_enables):
            return self.physical
        match parse(dwords):
            case MemoryRequest(address=address):
                found = self._decode(address, io=False)
                return self.physical if found is None else found.unit
            case ConfigRequest() as request:
                return self._target(request) or self.physical
        return self.physical

    # Errors

    def _report(self, unit: Unit, severity: str, *events: str) -> None:
        """Set sticky bits in a function's configuration space and give an error pulse."""
        for event in events:
            unit.space.set_event(f"event.{event}")
        setattr(self.errors, severity, getattr(self.errors, severity) + 1)

    def _count(self, counter: str) -> None:
        setattr(self.counters, counter, (getattr(self.counters, counter) + 1) & COUNTER_MASK)

    def count_inbound(self, *, malformed: int, poisoned: int, unexpected: int) -> None:
        """Completions of DMA that were so many times wrong; who made them knows."""
        for counter, number, severity, events in (
            ("malformed", malformed, "fatal", ("fatal_detected",)),
            ("poisoned", poisoned, "nonfatal", ("detected_parity_error", "nonfatal_detected")),
            ("unexpected", unexpected, "correctable", ("correctable_detected",)),
        ):
            for _ in range(number):
                self._count(counter)
                self._report(self.physical, severity, *events)

    def _unsupported_posted(self) -> list[list[int]]:
        self._count("unsupported")
        self._report(self.physical, "nonfatal", "unsupported_detected", "nonfatal_detected")
        return []

    def _unsupported(self, request: Request) -> list[list[int]]:
        """Completion "unsupported request" of a non-posted request that no function serves."""
        self._count("unsupported")
        self._report(self.physical, "correctable", "unsupported_detected", "correctable_detected")
        return [self._refusal(request, self.physical)]

    def _poisoned_posted(self, unit: Unit) -> list[list[int]]:
        self._count("poisoned")
        self._report(unit, "nonfatal", "detected_parity_error", "nonfatal_detected")
        return []

    def _poisoned(self, request: Request, unit: Unit) -> list[list[int]]:
        """A non-posted request with poisoned data is not applied."""
        self._count("poisoned")
        self._report(unit, "correctable", "detected_parity_error", "unsupported_detected", "correctable_detected")
        return [self._refusal(request, unit)]

    # Completions

    def _completion(self, request: Request, unit: Unit, *, status: int = CompletionStatus.SUCCESSFUL,
                    payload: tuple[int, ...] = (), byte_count: int = 4, lower_address: int = 0,
                    locked: bool = False) -> list[int]:
        return build(Completion(
            requester=request.requester, tag=request.tag, traffic_class=request.traffic_class,
            attributes=request.attributes, completer=self.requester_id(unit), status=status, payload=payload,
            byte_count=byte_count, lower_address=lower_address, locked=locked))

    def _refusal(self, request: Request, unit: Unit) -> list[int]:
        """"Unsupported request", with the byte count that a successful memory read would have had."""
        if isinstance(request, MemoryRequest):
            first, last = enables(request)
            return self._completion(
                request, unit, status=CompletionStatus.UNSUPPORTED, locked=request.locked,
                byte_count=byte_count(request.length, first, last),
                lower_address=lower_address(request.address, first))
        return self._completion(request, unit, status=CompletionStatus.UNSUPPORTED)

    # Packets

    def receive(self, dwords: Sequence[int]) -> list[list[int]]:
        """Take one packet; gives its completions in order, each a list of dwords."""
        if why_malformed(dwords, self.max_payload, self.config.datapath.check_byte_enables):
            self._count("malformed")
            self._report(self.physical, "fatal", "fatal_detected")
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
                return self._poisoned(packet, self.physical) if packet.poisoned else self._unsupported(packet)
            case Message():
                return self._message(packet)
            case Completion():
                self._count("unexpected")
                self._report(self.physical, "correctable", "correctable_detected")
                return []

    def _message(self, message: Message) -> list[list[int]]:
        if message.payload is not None and message.poisoned:
            return self._poisoned_posted(self.physical)
        if message.code == MESSAGE_VENDOR_1 or message.code in MESSAGES_ACCEPTED:
            return []
        return self._unsupported_posted()

    def _memory(self, request: MemoryRequest) -> list[list[int]]:
        refused = request.locked or (
            self.config.datapath.strict_64bit and request.wide and request.address >> 32 == 0)
        bar = None if refused else self._decode(request.address, io=False)
        if request.write and request.poisoned:
            return self._poisoned_posted(self.physical if bar is None else bar.unit)
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
            self._completion(request, bar.unit, payload=tuple(data[piece.start:piece.start + piece.length]),
                             byte_count=piece.byte_count, lower_address=piece.lower_address)
            for piece in pieces(request.address, request.length, first, last)
        ]

    def _io(self, request: IoRequest) -> list[list[int]]:
        if request.write and request.poisoned:
            return self._poisoned(request, self.physical)
        bar = self._decode(request.address, io=True)
        if bar is None:
            return self._unsupported(request)
        if request.write:
            self._write(bar, request.address, request.data, request.first_be)
            return [self._completion(request, bar.unit)]
        return [self._completion(request, bar.unit, payload=(self._read(bar, request.address, request.first_be),))]

    def _configuration(self, request: ConfigRequest) -> list[list[int]]:
        unit = self._target(request)
        if request.write and request.poisoned:
            return self._poisoned(request, self.physical if unit is None else unit)
        if unit is None:
            return self._unsupported(request)
        through = self._through_window(unit, request)
        if not request.write and through is not None:
            bar, offset, lanes = through
            data = self._read(bar, offset & ~3, lanes) >> 8 * (offset % 4) & LANES[request.first_be]
            return [self._completion(request, unit, payload=(data,))]
        if not request.write:
            data = unit.space.read(request.offset, request.first_be, unit.live)
            return [self._completion(request, unit, payload=(data,))]

        self.bus = request.bus
        if self.config.vf is None:
            self.device = request.device
        if through is not None:
            bar, offset, lanes = through
            self._write(bar, offset & ~3, request.data << 8 * (offset % 4) & 0xFFFF_FFFF, lanes)
            return [self._completion(request, unit)]
        if unit.space.write(request.offset, request.data, request.first_be):
            unit.reset(ResetCause.FLR)
        self._follow_configuration()
        for each in self.units:
            self._interrupt(each)
        return [self._completion(request, unit)]

    def _through_window(self, unit: Unit, request: ConfigRequest) -> tuple[Decoded, int, int] | None:
        """Which bytes of which BAR a request for the data of the access window means: offset and byte enables.

        None if it is for something else, or if the place that the driver set makes no sense.
        """
        if request.offset != unit.space.window_data:
            return None
        bar, offset, length = (unit.space.get(f"control.window_{name}") for name in ("bar", "offset", "length"))
        found = next((known for known in unit.config.bars if known.index == bar), None)
        if found is None or length not in (1, 2, 4):
            return None
        lanes = (1 << length) - 1
        enabled = request.first_be & lanes if request.write else lanes if request.first_be else 0
        if offset % length or offset >= found.decoded_size or not enabled:
            return None
        decoded = Decoded(unit, 0, found.decoded_size, False, unit.regions[bar])
        return decoded, offset, enabled << offset % 4

    # What the endpoint sends of its own accord

    def _interrupt(self, unit: Unit) -> None:
        """Send what a function may send: MSI-X messages, and the news that INTA was raised or lowered."""
        requester = self.requester_id(unit)
        for address, data in unit.function.messages():
            self._sent.append(build(MemoryRequest(
                write=True, address=address, payload=(data,), requester=requester)))
        if unit is self.physical and unit.function.intx != self._intx_told:
            self._intx_told = unit.function.intx
            self._sent.append(build(Message(
                code=ASSERT_INTA if self._intx_told else DEASSERT_INTA, routing=MESSAGE_LOCAL, requester=requester)))

    def take_sent(self) -> list[list[int]]:
        """Requests and messages since the last call, oldest first, each a list of dwords.

        Within one packet everything is sent as soon as it may be; a device may be slower, so that causes melt into
        one message, a reset later in the packet forgets them, or a vector that has two reasons tells one behind the
        other because of the gate.
        """
        found, self._sent = self._sent, []
        return found

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
        if found is None:
            return 0
        value = found[0].read(found[1], be)
        self._interrupt(bar.unit)
        return value

    def _write(self, bar: Decoded, address: int, dword: int, be: int) -> None:
        found = self._find(bar, address)
        if found is not None:
            found[0].write(found[1], dword, be)
            self._interrupt(bar.unit)

    # The back end's side; inputs for functions that do not exist are ignored

    def interrupt_cause(self, function: int, epoch: int, queue: int, config_change: bool) -> None:
        """The device used a buffer of *queue*, or changed its configuration."""
        if function < len(self.units):
            self.units[function].function.interrupt_cause(epoch, config_change, queue)
            self._interrupt(self.units[function])

    def fault(self, function: int, epoch: int, queue: int, cause: int) -> None:
        """The device cannot go on; *cause* is a bit of BADSTATE, 1 to 3."""
        if function < len(self.units):
            self.units[function].function.fault(epoch, cause)
            self._interrupt(self.units[function])

    def config_update(self, function: int, offset: int, data: int, strobe: int, last: bool) -> None:
        """One beat of a change of the device configuration; all beats are applied at the last."""
        if function < len(self.units):
            self.units[function].function.config_update(offset, data, strobe, last)

    def reset_done(self, function: int, epoch: int) -> None:
        """The back end has finished the reset of *epoch*."""
        if function < len(self.units):
            self.units[function].function.reset_done(epoch)

    def queue_quiet(self, function: int, queue: int) -> None:
        """The back end has let go of a queue."""
        if function < len(self.units):
            self.units[function].function.queue_quiet(queue)

    def dma_read(self, function: int, epoch: int, address: int, size: int) -> list[MemoryRequest] | None:
        """The packets of a read, with tag 0 for whatever tag the device gives them; None: it is blocked."""
        if not self._may_request(function, epoch):
            return None
        assert self.config.requester is not None
        largest = min(128 << self.space.get("control.max_read_request_size"), 4096, self.config.requester.largest_read)
        return dma.reads(address, size, largest, self.requester_id(self.units[function]))

    def dma_write(self, function: int, epoch: int, address: int, data: bytes) -> list[MemoryRequest] | None:
        """The packets of a write; None: it is blocked."""
        if not self._may_request(function, epoch):
            return None
        return dma.writes(address, data, self.max_payload, self.requester_id(self.units[function]))

    def _may_request(self, function: int, epoch: int) -> bool:
        return self.config.requester is not None and function < len(self.units) \
            and self.units[function].function.may_request(epoch)

    def drain(self, accept: Collection[str] = STREAMS, limit: int | None = None) -> list[Event]:
        """What the back end hears if it accepts the streams *accept*: at most *limit* events.

        They are in order for each function; which function goes first is not part of the contract.
        """
        events: list[Event] = []
        for unit in self.units:
            while limit is None or len(events) < limit:
                event = unit.function.take(accept)
                if event is None:
                    break
                events.append(event)
        return events

    def state(self) -> dict[str, int | bytes]:
        """Everything that can be observed from outside, without touching any of it.

        What belongs to a virtual function has its number before the name.
        """
        found: dict[str, int | bytes] = {
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
        for unit in self.units:
            prefix = f"{unit.number}." if unit.number else ""
            found[f"{prefix}configuration"] = unit.space.image(unit.live)
            found.update({prefix + name: value for name, value in unit.function.state().items()})
        return found

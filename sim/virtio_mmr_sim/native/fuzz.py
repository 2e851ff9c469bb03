"""Random traffic through the generated design and the golden model, compared as it goes.

A run is a chain of rounds, each from reset and from a seed of its own, so that a mismatch late in a long
run repeats in seconds. A round mixes four ways of driving:

- *stepwise*: one packet or back-end input at a time, with random gaps; completions, back-end events,
  counters and error pulses must be equal after each;
- *pipelined*: posted packets, then non-posted ones, sent as one, while the back end speaks of functions
  that they do not concern; configuration writes go alone, because a packet behind one may be judged before or
  after it, but sometimes the next ones come as soon as it is answered;
- *stalled*: nothing is taken from the design while writes keep coming; they must all be accepted;
  what makes the device send something of its own accord ends a burst or a stall, so that nothing behind it can
  make it another message or none;
- *reset*: ``rst`` in the middle of packets; afterwards the design must equal a fresh model.

Each function has a model of its own, and the back end's events are compared function by function: which function
the back end hears of first is free.

What a burst makes of back-end events depends on when the back end accepts them, since changes that it has
not heard of melt into one. There the comparison is: everything that the model reports was reported, and
the last report about each queue and each configuration byte is the model's.
"""

import collections
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.spec.legacy import NO_VECTOR
from virtio_mmr.spec.tlp import ASSERT_INTA, DEASSERT_INTA, TlpType

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.configuration import LANES
from virtio_mmr_sim.model.endpoint import EndpointModel, Unit
from virtio_mmr_sim.model.events import DriverEvent, QueueChange
from virtio_mmr_sim.model.function import DRIVER_UPDATES
from virtio_mmr_sim.model.stimulus import Flow, Stimulus, flow_of

from .describe import describe
from .model import NativeModel

#: Packets of a round.
ROUND = 2000

#: Clocks without movement after which a packet has certainly taken effect, besides one for each dword of it.
SETTLED = 24

#: How many more it takes until several functions have told an interrupt, with a few visits in vain.
TOLD = 72

#: Packets of a burst of reads.
BURST = 200

#: Clocks within which a stalled design must have accepted all writes.
STALL_LIMIT = 50_000

#: Writes that bring functions back, before each way of driving; with virtual functions there is more to do.
REVIVALS, VIRTUAL_REVIVALS = 6, 18

#: Configuration registers that never change: ids, revision and class, subsystem.
_CONSTANT = (0x00, 0x08, 0x2C)

#: An address that BARs are not given.
_NOWHERE = 0xFFFF_FFFF_FFFF_0000

_COUNTERS = ("malformed", "poisoned", "unsupported", "unexpected", "hole")
_ERRORS = ("correctable", "nonfatal", "fatal")

#: Fields by which items of a stream are told apart where the order between them is free.
_SORTED_BY = {"queue_update": "queue", "notification": "queue", "config_write": "offset"}

Event = tuple[str, dict[str, int]]
#: What the back end heard of one function, by stream.
Events = dict[str, list[dict[str, int]]]
#: A stream, and which queue or kind of update.
Key = tuple[str, int]


class Mismatch(AssertionError):
    """The design and the model differ; the text says where, and how to repeat it."""


@dataclass
class Statistics:
    """What a run did."""

    seed: int
    packets: int = 0
    completions: int = 0
    events: int = 0
    #: MSI-X and INTx messages.
    messages: int = 0
    rounds: int = 0
    clocks: int = 0
    seconds: float = 0.0
    modes: dict[str, int] = field(default_factory=dict)


class Round:
    """One round: a design and a model from reset on."""

    def __init__(self, native: NativeModel, config: DeviceConfig, seed: int):
        self._native, self._config, self.seed = native, config, seed
        self._rng = random.Random(seed)
        self._history: collections.deque[tuple[str, object]] = collections.deque(maxlen=10)
        self.packets = self.completions = self.events = self.messages = 0
        self._start()

    def _start(self) -> None:
        self._golden = EndpointModel(self._config)
        #: Error pulses that fell on the same clock as another of their kind.
        self._merged = dict.fromkeys(_ERRORS, 0)
        #: The host has heard that INTA is raised.
        self._intx = False
        #: What still waits in the model after a burst in which the design may have told it already, by function.
        self._doubtful: dict[int, set[Key]] = {}
        #: Clocks for which the design may look still, and be visiting its functions one by one.
        self._visits = 0 if self._config.vf is None else self._config.functions
        vf = self._config.vf
        self._tells = vf is not None and max(self._config.msix_vectors, vf.function.msix_vectors) > 0
        self._stimulus = Stimulus(self._golden, self._rng)

    def run(self, packets: int, modes: Mapping[str, int], used: dict[str, int]) -> None:
        """Drive about *packets* packets; *modes* gives each way of driving its weight.

        Raises
        ------
        Mismatch
            If the design and the model differ.
        """
        ways = self._ways()
        self._native.reset(self._rng.randrange(1, 5))
        self._native.hold_tx(False)
        self._listen(True)
        self._randomize()
        while self.packets < packets:
            for _ in range(REVIVALS if self._config.vf is None else VIRTUAL_REVIVALS):
                self._step(tlp.build(self._stimulus.revive()))
            before = self.packets
            mode = self._rng.choices(list(modes), list(modes.values()))[0]
            self._randomize()
            ways[mode](max(1, min(self._rng.choice((10, 50, 200)), packets - self.packets)))
            used[mode] = used.get(mode, 0) + self.packets - before
        self._probe()
        self._check_violations()

    def _ways(self) -> dict[str, Callable[[int], None]]:
        """Ways of driving, by name: each drives about as many packets as it is told."""
        return {"stepwise": self._stepwise, "pipelined": self._pipelined, "stalled": self._stalled,
                "reset": self._reset}

    def _randomize(self) -> None:
        rng = self._rng
        gap, stall = (rng.choice((0.0, 0.0, 0.1, 0.5)) for _ in range(2))
        back_end_stall, back_end_gap = (rng.choice((0.0, 0.0, 0.3, 0.8)) for _ in range(2))
        self._native.randomize(
            rng.getrandbits(32), rx_gap=gap, tx_stall=stall, be_stall=back_end_stall, be_gap=back_end_gap)

    # Ways of driving

    def _stepwise(self, count: int) -> None:
        for _ in range(count):
            if self._rng.random() < 0.15:
                self._back_end_input()
            else:
                self._step(self._stimulus.next().dwords)

    def _pipelined(self, count: int) -> None:
        """Bursts; what goes alone is left to the other ways of driving, but for some configuration writes."""
        rng = self._rng
        end = self.packets + count
        while self.packets < end:
            items = [self._stimulus.next() for _ in range(rng.randrange(2, 32))]
            burst = [item.dwords for flow in (Flow.POSTED, Flow.NON_POSTED) for item in items if item.flow is flow]
            self._group(burst)
            for item in items:
                if item.flow is Flow.BARRIER:
                    (self._step if rng.random() < 0.5 else self._hurry)(item.dwords)
                    break
            if rng.random() < 0.3:
                self._back_end_input()

    def _hurry(self, packet: list[int]) -> None:
        """A configuration write, and others as soon as it is answered.

        Virtual functions may take their time to come and go; so may what the device sends of its own accord.
        """
        present = self._golden.present
        expected, sent = self._receive(packet), self._golden.take_sent()
        if sent or self._golden.present != present:
            self._conclude(packet, expected, sent)
            return
        self._compare_tlps(expected, [], got=self._native.exchange(packet, 0, expected=len(expected)))
        items = [self._stimulus.next() for _ in range(self._rng.randrange(1, 6))]
        burst = [item.dwords for flow in (Flow.POSTED, Flow.NON_POSTED) for item in items if item.flow is flow]
        self._group(burst or [self._constant_read()])

    def _group(self, packets: list[list[int]]) -> None:
        """Send as one, or up to what makes the device send something of its own accord, and then the rest."""
        while packets:
            expected: list[list[int]] = []
            sent: list[list[int]] = []
            burst: list[list[int]] = []
            while len(burst) < len(packets) and not sent:
                burst.append(packets[len(burst)])
                expected += self._receive(burst[-1])
                sent = self._golden.take_sent()
            self._burst(burst, expected, sent)
            packets = packets[len(burst):]

    def _burst(self, packets: list[list[int]], expected: list[list[int]], sent: list[list[int]]) -> None:
        """Send as one, with the back end listening or not; the last one makes the device send *sent*."""
        listening = self._rng.random() < 0.5
        self._listen(listening)
        self._native.np_slack(self._rng.choice((0, 16)))
        self._native.send(*packets)
        self._inputs_beside(packets)
        sent = [*sent, *self._golden.take_sent()]
        melts = _is_several(packets[-1])
        self._wait(len(expected) + (0 if melts else len(sent)), sum(map(len, packets)))
        self._compare_tlps(expected, sent, melts=melts)
        self._listen(True)
        self._native.settle(self._settled())
        self._compare_melted_events()
        self._compare_counters(burst=True)

    def _stalled(self, count: int) -> None:
        """Reads of what no write changes, so that it does not matter which writes pass them."""
        rng, native = self._rng, self._native
        native.hold_tx()
        native.np_slack(rng.choice((0, 16)))
        expected: list[list[int]] = []
        sent: list[list[int]] = []
        packets: list[list[int]] = []
        while len(packets) < count and not sent:
            packets.append(self._posted() if rng.random() < 0.7 else self._constant_read())
            expected += self._receive(packets[-1])
            sent = self._golden.take_sent()
        native.send(*packets)
        for _ in range(0, STALL_LIMIT, 64):
            native.clock(64)
            if not native.unsent_posted:
                break
        else:
            self._fail(f"{native.unsent_posted} writes were not accepted within {STALL_LIMIT} clocks of stall")
        native.settle(SETTLED + (TOLD if self._tells else 0))
        self._compare_tlps([], [])
        native.hold_tx(False)
        melts = _is_several(packets[-1])
        self._wait(len(expected) + (0 if melts else len(sent)), sum(map(len, packets)))
        self._compare_tlps(expected, sent, melts=melts)
        self._compare_melted_events()
        self._compare_counters(burst=True)

    def _posted(self) -> list[int]:
        while (item := self._stimulus.next()).flow is not Flow.POSTED:
            pass
        return item.dwords

    def _constant_read(self) -> list[int]:
        """A read of the ids, or of an address where no BAR stands."""
        rng = self._rng
        requester, tag = rng.getrandbits(16), rng.getrandbits(10)
        if rng.random() < 0.7:
            number = self._stimulus.choose_unit().number
            return tlp.build(tlp.ConfigRequest(
                device=number >> 3, function=number & 7, offset=rng.choice(_CONSTANT), first_be=rng.randrange(16),
                requester=requester, tag=tag))
        length = rng.choice((1, 2, 40))
        return tlp.build(tlp.MemoryRequest(
            address=_NOWHERE, length=length, last_be=0xF if length > 1 else 0, requester=requester, tag=tag))

    def _reset(self, count: int) -> None:
        """Cut off whatever is on its way."""
        rng, native = self._rng, self._native
        packets = [self._stimulus.next().dwords for _ in range(rng.randrange(min(count, 30) + 1))]
        self.packets += len(packets)
        if packets:
            native.send(*packets)
        native.clock(rng.randrange(100))
        self._check_violations()
        native.reset(rng.randrange(1, 5))
        self._history.append(("rst", None))
        self._start()
        if rng.random() < 0.3:
            self._probe()

    def _probe(self) -> None:
        """Read configuration space of every function, and then all of its registers, for every queue.

        These packets do not count.
        """
        rng, stimulus, golden, before = self._rng, self._stimulus, self._golden, self.packets
        offsets = sorted({*range(0, 0x200, 4), *(4 * rng.randrange(1024) for _ in range(32))})
        self._read_all([
            tlp.ConfigRequest(device=unit.number >> 3, function=unit.number & 7, offset=offset, tag=offset >> 2)
            for unit in golden.units for offset in (offsets if unit.number <= golden.present else offsets[:1])])
        for _ in range(20):
            self._step(tlp.build(stimulus.config_read()))
        present = golden.units[:golden.present + 1]
        for queue in range(1 + max(len(unit.config.queues) for unit in golden.units)):
            for unit in present:
                self._group([tlp.build(packet) for packet in stimulus.select_queue(unit, queue)])
            self._read_all([packet for unit in present for packet in stimulus.read_registers(unit)])
        self.packets = before

    def _read_all(self, packets: Sequence[tlp.Tlp]) -> None:
        """In bursts."""
        for start in range(0, len(packets), BURST):
            self._group([tlp.build(packet) for packet in packets[start:start + BURST]])

    # Packets

    def _receive(self, packet: list[int]) -> list[list[int]]:
        """Give a packet to the model."""
        self._history.append(("packet", packet))
        self.packets += 1
        if self._config.vf is not None and flow_of(packet) is Flow.BARRIER and not packet[2] >> 16 & 0xFF:
            self._visits = 2 * self._config.functions
        completions = self._golden.receive(packet)
        self.completions += len(completions)
        return completions

    def _step(self, packet: list[int]) -> None:
        """Send one packet, and compare everything."""
        self._conclude(packet, self._receive(packet), self._golden.take_sent())

    def _conclude(self, packet: list[int], expected: list[list[int]], sent: list[list[int]]) -> None:
        """Send one packet to the design, and compare everything with what the model made of it."""
        several = _is_several(packet)
        wanted = len(expected) + (0 if several else len(sent))
        got = self._native.exchange(packet, self._settled() + len(packet), expected=wanted)
        self._compare_tlps(expected, sent, melts=several, got=got)
        if several:
            self._compare_melted_events()
        else:
            self._compare_events()
        self._compare_counters()

    def _wait(self, tlps: int, dwords: int) -> None:
        """Until that many packets came, and what was sent before them has taken effect."""
        self._native.wait(tlps, 40_000 + 64 * dwords)
        self._native.settle(self._settled() + 64)

    def _settled(self) -> int:
        """Clocks without movement after which everything so far has taken effect."""
        visits, self._visits = self._visits, 0
        return SETTLED + visits + (TOLD if self._tells else 0)

    def _compare_tlps(self, expected: list[list[int]], sent: list[list[int]], *, melts: bool = False,
                      got: list[tuple[int, ...]] | None = None) -> None:
        """Completions, which are in order; and beside them what the device sends of its own accord.

        With *melts* the model may have sent more than a device that takes a few clocks for it.
        """
        got = self._native.take() if got is None else got
        completions = [packet for packet in got if _is_completion(packet)]
        if completions != list(map(tuple, expected)):
            self._fail_packets("completion", expected, completions)
        levels = [packet for packet in got if tlp.type_of(packet[0]) & TlpType.MESSAGE]
        told = [tuple(packet) for packet in sent if tlp.type_of(packet[0]) & TlpType.MESSAGE]
        before, self._intx = self._intx, self._golden.function.intx
        alternates = (len(levels) % 2 == 1) == (before != self._intx) and levels == _alternating(levels, told, before)
        if levels != told and not (melts and alternates):
            self._fail_packets("INTx message", list(map(list, told)), levels)
        messages = sorted(packet for packet in got if tlp.type_of(packet[0]) == TlpType.MEMORY)
        wanted = sorted(tuple(packet) for packet in sent if tlp.type_of(packet[0]) == TlpType.MEMORY)
        # A reset later in the same packet may have forgotten some.
        lacks = [packet for packet in set(wanted) - set(messages)
                 if not self._sender(packet).function.fence.requested]
        if messages != wanted and (not melts or lacks or collections.Counter(messages) - collections.Counter(wanted)):
            self._fail_packets("MSI-X message", list(map(list, wanted)), messages)
        self.messages += len(messages) + len(levels)

    def _sender(self, packet: Sequence[int]) -> Unit:
        """The function that a message came from."""
        return self._golden.units[packet[1] >> 16 & (7 if self._config.vf is None else 0xFF)]

    def _fail_packets(self, what: str, expected: list[list[int]], got: list[tuple[int, ...]]) -> None:
        place = next((i for i, (one, other) in enumerate(zip(expected, got, strict=False)) if tuple(one) != other),
                     min(len(expected), len(got)))
        lines = [f"{what} {place} differs ({len(expected)} expected, {len(got)} came)"]
        for name, packets in (("expected", expected), ("got", got)):
            lines.append(f"  {name}: {describe(packets[place]) if place < len(packets) else 'none'}")
        self._fail("\n".join(lines))

    # The back end

    def _listen(self, on: bool) -> None:
        for name in self._native.backend.outputs:
            self._native.backend.accept(name, on)

    def _back_end_input(self) -> None:
        """One input of one function, or every reset acknowledged."""
        rng, golden = self._rng, self._golden
        if self._config.vf is not None and rng.random() < 0.25:
            for each in golden.units:
                if each.function.fence.outstanding:
                    self._put("reset_done", function=each.number, epoch=each.function.fence.epoch)
                    golden.reset_done(each.number, each.function.fence.epoch)
            self._compare_back_end()
            return
        unit = self._stimulus.choose_unit()
        reaching = [each for each in golden.units[:golden.present + 1]
                    if each.function.may_request(each.function.fence.epoch)] if self._config.requester else []
        if reaching and rng.random() < 0.3:
            unit = rng.choice(reaching)
            self._transfer(unit.number, rng.random() < 0.5, unit.function.fence.epoch)
            self._compare_back_end()
            return
        listening = [each for each in golden.units[1:golden.present + 1]
                     if each.function.control.msix_enabled and not each.function.fence.outstanding]
        if listening and rng.random() < 0.5:
            unit = rng.choice(listening)
        self._compare_back_end(self._input(unit, unit.number if rng.random() < 0.97 else rng.randrange(256)))

    def _input(self, unit: Unit, number: int, *, dma: bool = True) -> list[Event]:
        """One input that makes sense for *unit*, of function *number*; what comes of it but events of functions."""
        rng, golden = self._rng, self._golden
        fence, config = unit.function.fence, unit.config
        epoch = fence.epoch if rng.random() < 0.85 else rng.randrange(4)
        resetting = [index for index, queue in enumerate(unit.function.queues) if queue.resetting]
        names = ("reset_done", "interrupt_cause", "fault", "config_update", "queue_quiet", "dma_read", "dma_write")
        weights = (30 if fence.outstanding else 3, 20, 3, 10, 20 if resetting else 2, 2 * dma, 2 * dma)
        name = rng.choices(names, weights)[0]
        queue = rng.randrange(len(config.queues))
        if name == "queue_quiet" and resetting and rng.random() < 0.8:
            queue = rng.choice(resetting)
        told = [index for index, each in enumerate(unit.function.queues) if each.vector != NO_VECTOR]
        if name == "interrupt_cause" and told and rng.random() < 0.6:
            queue = rng.choice(told)
        expected: list[Event] = []
        match name:
            case "reset_done":
                self._put(name, function=number, epoch=epoch)
                golden.reset_done(number, epoch)
            case "interrupt_cause":
                change = rng.random() < 0.3
                self._put(name, function=number, epoch=epoch, queue=queue, config_change=change)
                golden.interrupt_cause(number, epoch, queue, change)
            case "fault":
                cause = rng.choice((1, 2, 3, rng.randrange(16)))
                self._put(name, function=number, epoch=epoch, queue=queue, cause=cause)
                golden.fault(number, epoch, queue, cause)
            case "config_update":
                beats = rng.choice((1, 1, 2, 3))
                for beat in range(beats):
                    offset = 4 * rng.randrange(max(1, (config.kind.config_size + 3) // 4))
                    data, strobe, last = rng.getrandbits(32), rng.randrange(16), beat == beats - 1
                    self._put(name, function=number, offset=offset, data=data, strobe=strobe, last=last)
                    golden.config_update(number, offset, data, strobe, last)
            case "queue_quiet" if ("queue_update", queue) not in self._doubtful.get(number, ()):
                self._put(name, function=number, queue=queue)
                golden.queue_quiet(number, queue)
            case "dma_read" | "dma_write" if self._config.requester is not None:
                self._transfer(number, name == "dma_write", epoch)
            case "dma_read":
                owner, context = rng.randrange(8), rng.getrandbits(16)
                self._put(name, function=number, epoch=epoch, address=rng.getrandbits(64), bytes=rng.randrange(1, 4097),
                          owner=owner, context=context)
                expected.append(("dma_read_data", {
                    "owner": owner, "context": context, "bytes": 0, "last": 1, "status": 5}))
            case "dma_write":
                context, report, beats = rng.getrandbits(16), rng.random() < 0.7, rng.randrange(1, 4)
                width = self._config.datapath.width // 8
                self._put(name, function=number, epoch=epoch, address=rng.getrandbits(64), bytes=beats * width,
                          context=context, report=report)
                for beat in range(beats):
                    self._put("dma_write_data", data=rng.getrandbits(8 * width), bytes=width, last=beat == beats - 1)
                if report:
                    expected.append(("dma_write_done", {"context": context, "status": 1}))
        return expected

    def _inputs_beside(self, packets: Sequence[Sequence[int]]) -> None:
        """While *packets* are under way, the back end speaks of functions that none of them concerns."""
        rng, golden = self._rng, self._golden
        busy = {golden.concerned(packet).number for packet in packets} | {0}
        for _ in range(rng.randrange(8)):
            unit = self._stimulus.choose_unit() if rng.random() < 0.5 else rng.choice(golden.units[:golden.present + 1])
            if unit.number not in busy:
                busy.add(unit.number)
                self._input(unit, unit.number, dma=False)

    def _compare_back_end(self, expected: Sequence[Event] = ()) -> None:
        """What came of inputs from the back end."""
        self._native.settle(self._settled())
        self._compare_tlps([], self._golden.take_sent())
        self._compare_events(expected)
        self._compare_counters()

    def _transfer(self, function: int, write: bool, epoch: int) -> None:
        """One request of DMA: its packets, and for a read what the back end gets if the host answers it well."""
        rng, native, row = self._rng, self._native, self._config.datapath.width // 8
        address = rng.getrandbits(rng.choice((32, 48, 63)))
        content = rng.randbytes(rng.choice((0, 1, 3, 64, rng.randrange(1, 4097))))
        common = {"function": function, "epoch": epoch, "address": address, "bytes": len(content),
                  "context": rng.getrandbits(16)}
        if write:
            self._put("dma_write", report=1, **common)
            for at in range(0, max(len(content), 1), row):
                part = content[at:at + row]
                self._put("dma_write_data", data=int.from_bytes(part, "little"), bytes=len(part),
                          last=at + row >= len(content))
            expected = self._golden.dma_write(function, epoch, address, content)
        else:
            self._put("dma_read", owner=rng.randrange(8), **common)
            expected = self._golden.dma_read(function, epoch, address, len(content))
        native.settle(SETTLED + (TOLD if self._tells else 0))
        left = list(expected or ())
        requester = self._config.requester
        while got := [_enabled(tlp.parse(packet)) for packet in native.take()]:
            tags = [packet.tag if isinstance(packet, tlp.MemoryRequest) else -1 for packet in got]
            wanted = [replace(one, tag=tag) for one, tag in zip(left, tags, strict=False)]
            if got != wanted or (not write and len(set(tags)) < len(tags)):
                self._fail(f"packets of DMA differ:\n  expected: {left}\n  got:      {got}")
            left = left[len(got):]
            if left and (write or requester is None or requester.completion_space is None):
                break
            if write:
                continue
            # Those that the hard IP has no room for yet leave when answers have made some.
            completions = [packet for one in wanted for packet in _answers(one, address, content)]
            rng.shuffle(completions) if len(wanted) == len(completions) else None
            native.send(*completions)
            native.settle(SETTLED + 64)
        if left:
            self._fail(f"packets of DMA have not left: {left}")
        if write:
            done = [item.fields for item in native.backend.take("dma_write_done")]
            if done != [{"context": common["context"], "status": int(expected is None)}]:
                self._fail(f"a write of DMA ends as {done}")
            return
        beats = [item.fields for item in native.backend.take("dma_read_data")]
        status = 0 if expected is not None else 5
        found = b"".join(beat["data"].to_bytes(row, "little")[:beat["bytes"]] for beat in beats)
        if found != (b"" if status else content) or not beats or {beat["status"] for beat in beats} != {status}:
            self._fail(f"a read of DMA brings {beats}, expected {content.hex()} with status {status}")

    def _put(self, name: str, **fields: int) -> None:
        values = {field: int(value) for field, value in fields.items()}
        self._history.append((f"back end, {name}", values))
        self._native.backend.put(name, delay=self._rng.choice((0, 0, 3, 20)), **values)

    def _events(self) -> dict[int, Events]:
        """What the back end heard, by function."""
        found = [(name, item.fields) for name, items in self._native.backend.take_all().items() for item in items]
        self.events += len(found)
        return _by_function(found)

    def _compare_events(self, more: Sequence[Event] = ()) -> None:
        """Everything the back end heard, in order within a function and a stream; queues and dwords in any order."""
        heard, told = self._events(), _by_function([*self._golden.drain(), *more])
        for number in sorted({*heard, *told}):
            got, expected = heard.get(number, {}), told.get(number, {})
            if got != expected:
                for found in (got, expected):
                    for name, field_name in _SORTED_BY.items():
                        found.get(name, []).sort(key=lambda fields: fields[field_name])
            doubtful = self._doubtful.get(number, set())
            if got != expected and _without(expected, doubtful - _keys(got)) != got:
                self._fail_events(number, expected, got)
        self._doubt({})

    def _compare_melted_events(self) -> None:
        """The back end heard all that the model reports, and last what the model reports last."""
        heard, told = self._events(), _by_function(self._golden.drain())
        for number in sorted({*heard, *told}):
            got, expected = heard.get(number, {}), told.get(number, {})
            if not _melts(_without(expected, self._doubtful.get(number, set())), got):
                self._fail_events(number, expected, got)
            for request in got.get("reset_request", ())[-1:]:
                # How many epochs a burst of resets takes depends on how fast the back end accepts requests.
                self._golden.units[number].function.fence.epoch = request["epoch"]
        self._doubt(heard)

    def _doubt(self, heard: Mapping[int, Events]) -> None:
        """Remember what the model still waits to tell of what was *heard* already."""
        self._doubtful = {
            number: doubts for number in {*self._doubtful, *heard}
            if (doubts := (self._doubtful.get(number, set()) | _keys(heard.get(number, {}))) & self._waiting(number))}

    def _waiting(self, number: int) -> set[Key]:
        """What the model cannot tell the back end yet of a function."""
        function = self._golden.units[number].function
        found = {("driver_update", DRIVER_UPDATES.index(name)) for name in function.driver.updates}
        for index, queue in enumerate(function.queues):
            found |= {("queue_update", index)} if queue.changed else set()
            found |= {("notification", index)} if queue.notified else set()
        return found

    def _fail_events(self, number: int, expected: Events, got: Events) -> None:
        lines = [f"back-end events of function {number} differ"]
        for name in sorted({*expected, *got}):
            if expected.get(name) != got.get(name):
                lines += [f"  {name} expected: {expected.get(name, [])}", f"  {name} got:      {got.get(name, [])}"]
        self._fail("\n".join(lines))

    # What can be seen besides

    def _compare_counters(self, burst: bool = False) -> None:
        """In a *burst* two errors may be noticed in one clock: then there are two counts and one pulse."""
        native, golden = self._native, self._golden
        for name in _COUNTERS:
            expected, got = getattr(golden.counters, name), native.output(f"count_{name}")
            if got != expected:
                self._fail(f"count_{name} is {got}, expected {expected}")
        for name in _ERRORS:
            expected, got = getattr(golden.errors, name) - self._merged[name], native.pulses(f"error_{name}")
            if burst and got < expected <= 2 * got:
                self._merged[name] += expected - got
            elif got != expected:
                self._fail(f"error_{name} was given {got} times, expected {expected}")

    def _check_violations(self) -> None:
        for violation in self._native.violations():
            self._fail(f"the transmit stream broke a rule in clock {violation.clock}: {violation.rule}")

    def _fail(self, what: str) -> None:
        lines = [what, f"after packet {self.packets} of the round with seed {self.seed}; the last transactions:"]
        for kind, content in self._history:
            if kind == "packet":
                assert isinstance(content, list)
                lines.append(f"  {describe(content, self._golden)}")
            else:
                lines.append(f"  {kind}" if content is None else f"  {kind}: {content}")
        for violation in self._native.violations()[:1]:
            lines.append(f"The transmit stream broke a rule in clock {violation.clock}: {violation.rule}.")
        raise Mismatch("\n".join(lines))


def _is_several(packet: Sequence[int]) -> bool:
    """Whether a packet may change several dwords."""
    return tlp.format_of(packet[0]) & tlp.DATA != 0 and tlp.length_of(packet[0]) > 1


def _is_completion(packet: Sequence[int]) -> bool:
    return tlp.type_of(packet[0]) in (TlpType.COMPLETION, TlpType.COMPLETION_LOCKED)


def _alternating(levels: Sequence[tuple[int, ...]], told: Sequence[tuple[int, ...]], raised: bool
                 ) -> list[tuple[int, ...]]:
    """As many messages as *levels*, of those *told*, in turn Assert and Deassert."""
    by_code = {packet[1] & 0xFF: packet for packet in told}
    codes = (ASSERT_INTA, DEASSERT_INTA)
    return [by_code.get(codes[(place + raised) % 2], ()) for place in range(len(levels))]


def _by_function(events: Iterable[Event]) -> dict[int, Events]:
    """Events by function, and by stream; what names no function counts as the physical one's."""
    found: dict[int, Events] = {}
    for name, fields in events:
        found.setdefault(fields.get("function", 0), {}).setdefault(name, []).append(_meaning(name, fields))
    return found


def _enabled(packet: tlp.Tlp) -> tlp.Tlp:
    """*packet* without what stands on lanes that are not enabled; ``wide`` only where it need not be."""
    if not isinstance(packet, tlp.MemoryRequest):
        return packet
    return replace(packet, wide=packet.wide and not packet.address >> 32, payload=tuple(
        dword & LANES[tlp.strobe(packet.length, packet.first_be, packet.last_be, index)]
        for index, dword in enumerate(packet.payload)))


def _answers(request: tlp.MemoryRequest, address: int, content: bytes) -> list[list[int]]:
    """Completions of a read: what stands in memory from *address* on is *content*."""
    start, end = request.address, request.address + 4 * request.length
    head = start - address
    memory = bytes(max(0, -head)) + content[max(0, head):end - address]
    memory += bytes(4 * request.length - len(memory))
    dwords = tlp.to_dwords(memory)
    return [
        tlp.build(tlp.Completion(
            requester=request.requester, tag=request.tag, byte_count=piece.byte_count,
            lower_address=piece.lower_address, payload=tuple(dwords[piece.start:piece.start + piece.length])))
        for piece in tlp.pieces(start, request.length, request.first_be, request.last_be)
    ]


def _key(name: str, fields: Mapping[str, int]) -> Key:
    """What an event is about: newer ones about the same replace it while it waits."""
    if name == "driver_update":
        return name, min(fields["event"], DriverEvent.GATE_OPEN)
    return name, fields.get("queue", 0)


def _keys(events: Events) -> set[Key]:
    return {_key(name, item) for name, items in events.items() for item in items}


def _without(events: Events, keys: set[Key]) -> Events:
    """*events* that are not about *keys*."""
    kept = {name: [item for item in items if _key(name, item) not in keys] for name, items in events.items()}
    return {name: items for name, items in kept.items() if items}


def _meaning(name: str, fields: Mapping[str, int]) -> dict[str, int]:
    """An event without what has no meaning in it: lanes not written, rings of a stopped queue, no data."""
    found = {field: int(value) for field, value in fields.items()}
    if name == "config_write":
        found["data"] &= LANES[found["strobe"]]
    elif name == "queue_update" and found["change"] != QueueChange.ENABLE:
        found |= {"descriptors": 0, "available": 0, "used": 0}
    elif name == "dma_read_data":
        found.pop("data", None)
    return found


def _melts(expected: Events, got: Events) -> bool:
    """Whether *got* may be what was heard of a burst whose outcome is *expected*."""
    for name in ("notification", "driver_update", "queue_update", "config_write", "reset_request"):
        wanted, heard = expected.get(name, []), got.get(name, [])
        if name == "reset_request":
            if bool(wanted) != bool(heard):
                return False
        elif name == "driver_update":
            if not {item["event"] for item in wanted} <= {item["event"] for item in heard}:
                return False
        elif name == "notification":
            if not {item["queue"] for item in wanted} <= {item["queue"] for item in heard}:
                return False
        elif name == "queue_update":
            last = {item["queue"]: _lasting(item) for item in heard}
            if any(last.get(item["queue"]) != _lasting(item) for item in wanted):
                return False
        elif not _written(wanted).items() <= _written(heard).items():
            return False
    return not got.keys() & {"dma_read_data", "dma_write_done"}


def _lasting(update: dict[str, int]) -> dict[str, int]:
    """A queue update without what may change after it without another update."""
    return {**update, "vector_valid": 0, **({"size": 0} if update["change"] != QueueChange.ENABLE else {})}


def _written(writes: list[dict[str, int]]) -> dict[int, int]:
    """The last value of every configuration byte."""
    return {
        write["offset"] + lane: write["data"] >> 8 * lane & 0xFF
        for write in writes for lane in range(4) if write["strobe"] >> lane & 1
    }


#: Weights of the ways of driving.
MODES = {"stepwise": 6, "pipelined": 4, "stalled": 1, "reset": 1}


def run(
    native: NativeModel,
    config: DeviceConfig,
    packets: int,
    seed: int,
    *,
    modes: Mapping[str, int] = MODES,
    round_type: type[Round] = Round,
    repeat: str = "vmmr fuzz",
    progress: Callable[[Statistics], None] = lambda statistics: None,
) -> Statistics:
    """Compare *native* with the golden model of *config* for about so many packets.

    Round *n* has the seed ``seed + n``. *repeat* begins the command that is printed with a mismatch.

    Raises
    ------
    Mismatch
        If they differ.
    """
    statistics = Statistics(seed)
    start, clock = time.perf_counter(), native.now
    while statistics.packets < packets:
        this = round_type(native, config, seed + statistics.rounds)
        length = min(ROUND, packets - statistics.packets)
        try:
            this.run(length, modes, statistics.modes)
        except Mismatch as mismatch:
            command = f"{repeat} --seed {this.seed} --tlps {length}"
            raise Mismatch(f"{mismatch}\nRepeat with: {command}") from None
        statistics.rounds += 1
        statistics.packets += this.packets
        statistics.completions += this.completions
        statistics.events += this.events
        statistics.messages += this.messages
        statistics.clocks = native.now - clock
        statistics.seconds = time.perf_counter() - start
        progress(statistics)
    return statistics

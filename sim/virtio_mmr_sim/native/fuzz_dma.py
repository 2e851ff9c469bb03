"""Random DMA beside register traffic, while software changes whatever it may change.

A course begins with ``rst``. A legacy driver brings the device up; then the back end reads and writes at random while
the root port answers well and badly, and software moves the sizes, closes the gate in every way there is, resets the
device, and opens it again. `dma.hpp` judges each packet, each answer and each tag; completions of registers, events
and counters are compared with the golden model, as in all other ways of driving.
"""

from collections.abc import Callable
from dataclasses import replace

from virtio_mmr.config.device import BarKind, DeviceConfig, Space
from virtio_mmr.spec.configuration import BAR0

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.driver import CONFIG_VECTOR, QUEUE_SELECT, QUEUE_VECTOR
from virtio_mmr_sim.model.tlp import ConfigRequest

from . import fuzz
from .dma import MESSAGES, MOST_VECTORS, RandomDma, Transfers
from .fuzz import Mismatch, Round
from .model import NativeModel
from .setup import addresses, windows

#: Requests of a course where there is nothing else.
COURSE = 3000

#: Clocks that a host has at most for a read, where the fuzzer may say.
TIMEOUT = 4096

#: Weights of the ways of driving a device that does DMA.
MODES = {**fuzz.MODES, "dma": 2}

#: Clocks for a host with patience, in time-outs: a read that is the newest of its owner waits for all others.
_PATIENCE = 60

#: Bus number throughout a course, and device number where its bits do not name virtual functions.
_BUS, _DEVICE = 3, 5

#: Probabilities of a course: ways to answer a read.
_FATES: tuple[dict[str, float], ...] = (
    {},
    dict.fromkeys(("unsupported", "retry", "reserved", "aborted", "poisoned", "surplus", "empty", "unsupported_later"),
                  0.01),
    {"unsupported": 0.01, "short": 0.0005, "forgotten": 0.0005, "late": 0.002, "stranger": 0.0005},
)


def possible(config: DeviceConfig) -> bool:
    """Whether *config* has what a course needs: a requester, and registers in memory."""
    return config.requester is not None and config.find_in_memory(Space.LEGACY) is not None


def hurried(config: DeviceConfig) -> DeviceConfig:
    """*config* with a time-out that a simulation can wait for."""
    if config.requester is None:
        return config
    return replace(config, requester=replace(config.requester, timeout=min(config.requester.timeout, TIMEOUT)))


class DmaRound(Round):
    """A round of a device that does DMA: courses of it are one more way of driving.

    A course begins and ends with ``rst``, so the other ways see nothing of it.
    """

    def __init__(self, native: NativeModel, config: DeviceConfig, seed: int):
        assert config.requester is not None
        super().__init__(native, config, seed)
        self.transfers = Transfers()
        self._timeout = config.requester.timeout
        self._patience = _PATIENCE * self._timeout
        self._places = addresses(config)
        self._windows = windows(config, self._places)
        #: One for the configuration, the others for queues.
        self._vectors = min(config.msix_vectors, len(config.queues) + 1, MOST_VECTORS) \
            if Space.MSIX in self._windows else 0

    def course(self, count: int) -> None:
        """One course with random gaps and stalls.

        Raises
        ------
        Mismatch
            If a rule is broken, or the design and the model differ.
        """
        self._randomize()
        self._course(count)

    def _ways(self) -> dict[str, Callable[[int], None]]:
        return {**super()._ways(), "dma": self._course}

    def _course(self, count: int) -> None:
        """A course of about *count* requests of the back end; they count as packets."""
        for _ in range(2):
            self._native.reset(self._rng.randrange(1, 5))
            self._history.append(("rst", None))
            self._start()
            if count:
                self._play(count)
                self._check_violations()
                self.packets += count
                count = 0

    def _play(self, transfers: int) -> None:
        rng = self._rng
        self._native.np_slack(16)
        bad = rng.random() < 0.5
        #: Where completions may be as large as packets, the host lets its reads end before it makes packets smaller.
        self._careful = rng.random() < 0.5
        fates = dict(rng.choice(_FATES))
        if self._careful:
            fates.pop("late", None)
        self._dma = dma = RandomDma(
            self._native, self._config, rng.getrandbits(64), fates=fates, open_=rng.choice((4, 24, 60)),
            noise=0.002 if bad else 0.0, broken=0.01 if bad else 0.0)
        self._live = live = dma.live
        live.paused = live.may_block = live.must_block = 1
        self._bring_up()
        self._open()
        ways = [self._sizes, self._sizes, self._sizes, self._close_for_a_while, self._reset_dma]
        left = transfers
        while left > 0:
            part = min(left, rng.choice((20, 100, 300)))
            self._beside(part)
            left -= part
            rng.choice(ways)()
        if rng.random() < 0.2:
            # Cut off in the middle: whatever is on its way is nobody's.
            self._go(transfers, rng.randrange(200))
        else:
            self._drain()
            live.paused = 1
            # What comes late comes to nobody.
            self._go(1, 3 * self._timeout)
            self._native.settle()
            self._compare_tlps([], self._golden.take_sent())
            if not dma.finish():
                self._fail(dma.failure)
            self._compare_melted_events()
            self._compare_dma_counters()
        dma.add_to(self.transfers)

    # Time

    def _judge(self) -> None:
        if self._dma.failure:
            self._fail(self._dma.failure)

    def _go(self, requests: int, clocks: int, expected: int = 0) -> None:
        self._dma.run(requests, clocks, expected=expected)
        self._judge()

    def _drain(self) -> None:
        """Nothing new, until everything has ended."""
        self._live.paused = 1
        self._go(1 << 40, 64)
        for _ in range(1000):
            if not self._dma.open:
                break
            self._go(self._dma.open, self._patience // 1000)
        else:
            self._fail(f"{self._dma.open} requests of the back end have not ended")
        # Of some writes nobody hears when they leave.
        self._go(1 << 40, 600)
        self._live.paused = 0

    def _send(self, *packets: list[int]) -> None:
        """Packets whose completions are compared before anything else is sent."""
        expected = [completion for packet in packets for completion in self._receive(packet)]
        self._native.send(*packets)
        self._go(1 << 40, 50_000, len(expected))
        if not expected:
            self._go(1 << 40, 64)
        self._compare_tlps(expected, self._golden.take_sent())

    def _beside(self, requests: int) -> None:
        """Reads of registers beside DMA."""
        reads = [self._constant_read() for _ in range(self._rng.randrange(4))]
        expected = [completion for packet in reads for completion in self._receive(packet)]
        if reads:
            self._native.send(*reads)
        self._go(requests, self._patience)
        if expected:
            self._go(1 << 40, 50_000, len(expected))
        self._compare_tlps(expected, self._golden.take_sent())
        self._native.backend.take_all()
        self._golden.drain()

    # What software does

    def _config_write(self, offset: int, data: int, enables: int = 0xF) -> list[int]:
        device = _DEVICE if self._config.vf is None else 0
        return tlp.build(ConfigRequest(
            write=True, bus=_BUS, device=device, offset=offset, data=data, first_be=enables, tag=7))

    def _field(self, view: str, value: int) -> tuple[int, int]:
        """Dword offset of a field of configuration space, and *value* at its place."""
        for register in self._golden.space.layout.registers:
            for part in register.fields:
                if part.view_of == view:
                    return register.offset & ~3, value << 8 * (register.offset % 4) + part.lsb
        raise KeyError(view)

    def _memory_write(self, space: Space, offset: int, data: bytes) -> list[int]:
        return tlp.build(tlp.memory_write(self._windows[space] + offset, data))

    def _legacy(self, register: tuple[int, int], value: int) -> list[int]:
        """A write of a register, given as its offset and width."""
        offset, size = register
        return self._memory_write(Space.LEGACY, offset, value.to_bytes(size, "little"))

    def _fence(self) -> list[int]:
        """A read behind writes: they have taken effect when it is answered."""
        return tlp.build(tlp.memory_read(self._windows[Space.LEGACY] + 8, 4))

    def _bring_up(self) -> None:
        for bar in self._config.bars:
            self._send(self._config_write(BAR0 + 4 * bar.index, self._places[bar.index] & 0xFFFF_FFFF))
            if bar.kind is BarKind.MEMORY64:
                self._send(self._config_write(BAR0 + 4 * bar.index + 4, self._places[bar.index] >> 32))
        self._command(7)
        self._live.requester = self._golden.requester_id(self._golden.physical)
        if self._vectors:
            self._send(self._config_write(*self._field("control.msix_enable", 1), 8), *(
                self._memory_write(Space.MSIX, 16 * vector, (MESSAGES + 4 * vector).to_bytes(8, "little") + bytes(8))
                for vector in range(self._vectors)), self._fence())
            self._live.vectors = self._vectors
        self._start_driver()
        self._set_sizes()
        if Space.CONTROL in self._windows:
            self._gate(True)

    def _start_driver(self) -> None:
        """A legacy driver that starts its first queue early, or a ready one; vectors first."""
        if self._vectors:
            self._send(self._legacy(CONFIG_VECTOR, 0), *(packet for queue in range(self._vectors - 1) for packet in (
                self._legacy(QUEUE_SELECT, queue), self._legacy(QUEUE_VECTOR, queue + 1))),
                self._legacy(QUEUE_SELECT, 0), self._fence())
        if self._rng.random() < 0.5:
            self._send(self._memory_write(Space.LEGACY, 8, self._rng.randrange(1, 1 << 32).to_bytes(4, "little")),
                       self._fence())
        else:
            self._send(self._memory_write(Space.LEGACY, 0x12, b"\x07"), self._fence())

    def _command(self, value: int) -> None:
        self._send(self._config_write(4, value, 3))

    def _gate(self, open_: bool) -> None:
        self._send(self._memory_write(Space.CONTROL, 0x25, bytes([open_])), self._fence())

    def _power(self, state: int) -> None:
        offset, value = self._field("control.power_state", state)
        self._send(self._config_write(offset, value, 1))

    def _sizes(self) -> None:
        self.transfers.changes["sizes"] = self.transfers.changes.get("sizes", 0) + 1
        if self._careful:
            self._drain()
        self._set_sizes()

    def _set_sizes(self) -> None:
        """Payload, request, boundary and tags. Both old and new may hold until what was begun has ended."""
        rng, live = self._rng, self._live
        most = self._config.datapath.max_payload
        payload = rng.choice([size for size in range(6) if 128 << size <= most])
        request, wide, boundary = rng.randrange(6), rng.random() < 0.7, rng.random() < 0.5
        live.payload[1], live.request[1] = 128 << payload, 128 << request
        if not live.payload[0]:
            live.payload[0], live.request[0] = live.payload[1], live.request[1]
        live.limit = min(live.payload) if self._careful else 128
        live.boundary = 128
        live.wide = 1
        offset, value = self._field("control.max_payload_size", payload)
        value |= self._field("control.max_read_request_size", request)[1] | self._field("control.extended_tag", wide)[1]
        link, bit = self._field("control.read_completion_boundary", boundary)
        packets = [self._config_write(offset, value, 3), self._config_write(link, bit, 1)]
        rng.shuffle(packets)
        for packet in packets:
            self._send(packet)
        if not live.paused:
            self._go(rng.choice((0, 20)), self._patience)
            self._drain()
        live.payload[0], live.request[0] = live.payload[1], live.request[1]
        live.limit = live.payload[0] if self._careful else 128
        live.wide, live.boundary = wide, 128 if boundary else 64

    # The gate

    def _open(self) -> None:
        """What was set opens the gate; from a while later on it must be open."""
        self._live.must_block = 0
        self._live.paused = 0
        self._go(1 << 40, 40)
        self._live.may_block = 0

    def _close_for_a_while(self) -> None:
        rng, live = self._rng, self._live
        ways: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "bus_master": (lambda: self._command(3), lambda: self._command(7)),
            "power": (lambda: self._power(3), lambda: self._power(0)),
        }
        if Space.CONTROL in self._windows:
            ways["gate"] = (lambda: self._gate(False), lambda: self._gate(True))
        name = rng.choice(sorted(ways))
        self.transfers.changes[name] = self.transfers.changes.get(name, 0) + 1
        close, open_ = ways[name]
        live.may_block = 1
        close()
        live.must_block = 1
        self._go(rng.choice((0, 5, 50)), self._patience)
        live.must_block = 0
        open_()
        self._open()

    def _reset_dma(self) -> None:
        """By a zero in the status, or function level; the back end takes its time, and the driver does not wait."""
        rng, live, golden = self._rng, self._live, self._golden
        level = rng.random() < 0.3
        name = "function_level_reset" if level else "reset"
        self.transfers.changes[name] = self.transfers.changes.get(name, 0) + 1
        if level and self._careful:
            # It sets the largest payload to the least.
            live.limit = 128
            self._drain()
        live.may_block = 1
        if level:
            offset, value = self._field("control.initiate_reset", 1)
            self._send(self._config_write(offset, value))
        else:
            self._send(self._memory_write(Space.LEGACY, 0x12, b"\0"), self._fence())
        live.must_block = 1
        self._go(rng.choice((0, 5, 50)), self._patience)
        self._drain()
        live.paused = 1
        if level:
            self._bring_up()
        else:
            self._start_driver()
        live.paused = 0
        self._go(rng.choice((0, 5)), self._patience)
        self._drain()
        live.paused = 1
        golden.drain()
        requests = self._native.backend.take("reset_request")
        if not requests:
            self._fail("the back end has heard of no reset")
        live.epoch = golden.function.fence.epoch = requests[-1].fields["epoch"]
        self._native.backend.put("reset_done", function=0, epoch=live.epoch)
        golden.reset_done(0, live.epoch)
        live.must_block = 0
        self._go(1 << 40, 200)
        self._native.backend.take_all()
        golden.drain()
        self._open()

    # Counters

    def _compare_dma_counters(self) -> None:
        """What the root port has sent wrongly counts as the model would count it."""
        golden, inbound = self._golden, self._dma.inbound
        least = golden.counters.unexpected + inbound["unexpected"]
        got = self._native.output("count_unexpected")
        unexpected = got - least & 0xFFFF
        if unexpected > inbound["perhaps_unexpected"]:
            self._fail(f"count_unexpected is {got}, expected {least & 0xFFFF} or up to "
                             f"{inbound['perhaps_unexpected']} more")
        golden.count_inbound(malformed=inbound["malformed"], poisoned=inbound["poisoned"],
                             unexpected=inbound["unexpected"] + unexpected)
        self._compare_counters(burst=True)


def run(
    native: NativeModel,
    config: DeviceConfig,
    transfers: int,
    seed: int,
    *,
    repeat: str = "vmmr fuzz",
    progress: Callable[[Transfers], None] = lambda transfers: None,
) -> Transfers:
    """Courses of DMA alone, until about so many requests have ended; course *n* has the seed ``seed + n``.

    *repeat* begins the command that is printed with a mismatch.

    Raises
    ------
    Mismatch
        If a rule is broken, or the design and the model differ.
    """
    sums = Transfers()
    while sums.total < transfers:
        this = DmaRound(native, config, seed)
        this.transfers = sums
        length = min(COURSE, transfers - sums.total)
        try:
            this.course(length)
        except Mismatch as mismatch:
            raise Mismatch(f"{mismatch}\nRepeat with: {repeat} --dma {length} --seed {seed}") from None
        seed += 1
        progress(sums)
    return sums

"""DMA through the composed endpoint: beside register traffic, behind a gate, in order with completions."""

import random
from dataclasses import replace

import pytest
from block.dma_bench import Answer, answers_to, any_range
from block.memory_host import MemoryHost, enabled_bytes
from block.simulation import offer, plain, raw_beats, simulate, split
from block.test_endpoint import OUTPUTS, device
from model_devices import BASE, COMMON, CONTROL, MSIX, block, net, transitional
from selection import broad, full
from virtio_mmr.config.device import Control, Requester
from virtio_mmr.gateware.endpoint import Endpoint
from virtio_mmr.layout import place
from virtio_mmr_sim.model.tlp import ConfigRequest, build, memory_read, memory_write

COMMAND, BUS_MASTER_AND_MEMORY, POWER = 0x04, 0x0006, 0x44
DEVICE_CAPABILITIES_2, DEVICE_CONTROL_2, TIMEOUT_DISABLE = 0xE4, 0xE8, 1 << 4

#: Writes of a legacy driver that starts queue 0 before anything else, and of one that has not started it yet.
LEGACY_DRIVER = ((0x08, b"\x34\x12\0\0"),)
LATE_DRIVER = ((0x12, b"\x07"),)
#: A modern driver that has enabled queue 0, and its last step.
EARLY_MODERN_DRIVER = (
    (COMMON + 0x08, b"\1\0\0\0"), (COMMON + 0x0C, b"\1\0\0\0"), (COMMON + 0x14, b"\x0B"),
    (COMMON + 0x20, bytes(2) + b"\1\0"), (COMMON + 0x1C, b"\1\0"))
MODERN_DRIVER = (*EARLY_MODERN_DRIVER, (COMMON + 0x14, b"\x0F"))


class Link:
    """Root port with memory, and back end, of one endpoint that may do DMA."""

    def __init__(self, *, width=128, seed=0, gate_open=True, fates=(), timeout=3000, make=block, driver=LEGACY_DRIVER,
                 flow=0.8, reports=0.8):
        self.rng, self.driver = random.Random(seed), driver
        #: Probability that the link takes a beat, and the back end a report of a write.
        self.flow, self.reports = flow, reports
        print(f"seed {seed}")
        config = replace(
            device(width, make), requester=Requester(timeout=timeout), control=Control(gate_open=gate_open))
        self.dut, self.lanes = Endpoint(config), width // 32
        self.memory = MemoryHost(self.rng, fates=fates, limit=128)
        #: Packets to send, and completions of register requests and everything else that came, in order.
        self.waiting, self.completions, self.seen = [], [], []
        self.answers = {owner: [] for owner in range(8)}
        self.done = []

    async def _send(self, ctx):
        while True:
            if self.waiting and self.rng.random() < 0.7:
                packet = self.waiting.pop(0)
            else:
                found = self.memory.completion()
                if found is None:
                    await ctx.tick()
                    continue
                packet = found[0]
            await offer(ctx, self.dut.rx, raw_beats(packet, self.lanes))

    async def _receive(self, ctx):
        tx, packet = self.dut.tx, []
        while True:
            ctx.set(tx.ready, self.rng.random() < self.flow)
            _, _, valid, ready, payload = await ctx.tick().sample(tx.valid, tx.ready, tx.payload)
            self.memory.clock += 1
            assert valid or not packet, "a gap inside a packet"
            if valid and ready:
                beat = plain(payload)
                packet += split(beat["data"], beat["keep"].bit_count())
                if beat["last"]:
                    self.seen.append(packet)
                    if packet[0] >> 24 in (0x0A, 0x4A):
                        self.completions.append(packet)
                    else:
                        self.memory.request(packet)
                    packet = []

    async def _take(self, ctx):
        port, done = self.dut.dma_read_data, self.dut.dma_write_done
        parts = {owner: [] for owner in range(8)}
        while True:
            ctx.set(port.ready, self.rng.random() < 0.8)
            ctx.set(done.ready, self.rng.random() < self.reports)
            _, _, valid, ready, payload, done_valid, done_ready, done_payload = await ctx.tick().sample(
                port.valid, port.ready, port.payload, done.valid, done.ready, done.payload)
            if valid and ready:
                word = plain(payload)
                parts[word["owner"]].append(word["data"].to_bytes(4 * self.lanes, "little")[:word["bytes"]])
                if word["last"]:
                    self.answers[word["owner"]].append(
                        Answer(word["context"], word["status"].value, b"".join(parts[word["owner"]])))
                    parts[word["owner"]] = []
            if done_valid and done_ready:
                word = plain(done_payload)
                self.done.append((word["context"], word["status"]))

    async def ask(self, ctx, request):
        """One register request and its completion."""
        before = len(self.completions)
        self.waiting.append(build(request))
        while len(self.completions) == before:
            await ctx.tick()
        return self.completions[before]

    async def enumerate(self, ctx, command=BUS_MASTER_AND_MEMORY):
        await self.ask(ctx, ConfigRequest(write=True, bus=1, offset=0x10, data=BASE))
        await self.ask(ctx, ConfigRequest(write=True, bus=1, offset=COMMAND, data=command))
        for offset, value in self.driver:
            self.waiting.append(build(memory_write(BASE + offset, value)))
        await self.ask(ctx, memory_read(BASE + CONTROL, 4))

    async def write(self, ctx, request, content):
        row = 4 * self.lanes
        await offer(ctx, self.dut.dma_write, [request])
        await offer(ctx, self.dut.dma_write_data, [
            {"data": int.from_bytes(content[at:at + row], "little"), "bytes": len(content[at:at + row]),
             "last": at + row >= len(content)} for at in range(0, max(len(content), 1), row)])

    async def until(self, ctx, finished, limit=30_000):
        for _ in range(limit):
            if finished():
                return
            await ctx.tick()
        raise AssertionError(f"not finished after {limit} clocks")

    def run(self, *testbenches, limit=100_000):
        async def begin(ctx):
            for name in OUTPUTS:
                ctx.set(getattr(self.dut, name).ready, 1)
            await self.enumerate(ctx)
            await testbenches[0](ctx)

        def later(testbench):
            async def wait(ctx):
                while len(self.completions) < 3:
                    await ctx.tick()
                await testbench(ctx)
            return wait

        simulate(self.dut, begin, *map(later, testbenches[1:]), limit=limit,
                 background=[self._send, self._receive, self._take])


def read(number, address, size, owner=0, epoch=0):
    return {"function": 0, "epoch": epoch, "address": address, "bytes": size, "owner": owner, "context": number}


def write(number, address, size, epoch=0):
    return {"function": 0, "epoch": epoch, "address": address, "bytes": size, "context": number, "report": 1}


@pytest.mark.parametrize("width", [128, *full(64, 256)])
def test_reads_and_writes_run_beside_register_traffic(width):
    link = Link(width=width, seed=width, fates={"unsupported": 0.05, "no_data": 0.05, "wrong_function": 0.05}.items())
    rng = random.Random(width)
    reads = [read(number, *any_range(rng, 700), owner=rng.randrange(8)) for number in range(14)]
    writes = []
    for number in range(14):
        address, size = any_range(rng, 700)
        address = 0x7_0000_0000 + address % (1 << 33) + (number << 13)
        writes.append((write(number, address, size), rng.randbytes(size)))

    async def play(ctx):
        await offer(ctx, link.dut.dma_read, reads)
        await link.until(ctx, lambda: sum(map(len, link.answers.values())) == len(reads) and len(link.done) == 14)
        for _ in range(300):
            await ctx.tick()
        assert (await link.ask(ctx, memory_read(BASE + CONTROL, 4)))[3] == 0x524D4D56

    async def store(ctx):
        for request, content in writes:
            await link.write(ctx, request, content)

    async def look(ctx):
        for _ in range(12):
            await ctx.tick().repeat(40)
            link.waiting.append(build(memory_read(BASE + CONTROL, 4)))

    link.run(play, store, look)
    assert link.done == [(number, 0) for number in range(14)]
    wanted = {request["address"] + i: byte for request, content in writes for i, byte in enumerate(content)}
    assert link.memory.written == wanted
    wanted = answers_to(reads, link.memory.log, bus=1)
    for owner, answers in link.answers.items():
        assert [(one.context, one.status) for one in answers] == [(one.context, one.status) for one in wanted[owner]]
        assert all(got.status or got.data == one.data for got, one in zip(answers, wanted[owner], strict=True))


def test_what_follows_a_write_is_seen_after_it():
    link = Link(seed=5)

    async def play(ctx):
        link.seen.clear()
        for number in range(12):
            await link.write(ctx, write(number, 0x10_0000 + 0x1000 * number, 100), bytes([number] * 100))
            await link.until(ctx, lambda number=number: len(link.done) > number)
            # What the driver asks now is answered behind what the device has queued.
            answer = await link.ask(ctx, memory_read(BASE + CONTROL, 4))
            before = [packet[2] for packet in link.seen[:link.seen.index(answer)] if packet[0] >> 24 == 0x40]
            assert before[-1] >= 0x10_0000 + 0x1000 * number
            link.seen.clear()

    link.run(play)


#: Where messages go, one dword a vector.
MESSAGES = 0x9_0000_0000

#: A legacy driver that unmasks three vectors and gives them to the configuration and two queues.
INTERRUPTED_DRIVER = (
    *((MSIX + 16 * vector, (MESSAGES + 4 * vector).to_bytes(8, "little") + bytes(8)) for vector in range(3)),
    (0x14, b"\0\0"), (0x0E, b"\0\0"), (0x16, b"\1\0"), (0x0E, b"\1\0"), (0x16, b"\2\0"), (0x0E, b"\0\0"),
    *LEGACY_DRIVER)


async def enable_msix(ctx, link):
    offset = place(replace(net(), requester=Requester()))["msix_control"].offset & ~3
    await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=offset, data=1 << 31, first_be=0b1000))
    for at, value in INTERRUPTED_DRIVER:
        link.waiting.append(build(memory_write(BASE + at, value)))
    await link.ask(ctx, memory_read(BASE + CONTROL, 4))


def vector_of(packet):
    """The vector whose message a packet is, or None."""
    is_message = packet[0] >> 24 == 0x60 and packet[2] == MESSAGES >> 32
    return (packet[3] - MESSAGES & 0xFFFF_FFFF) // 4 if is_message else None


async def cause(ctx, link, vector):
    await offer(ctx, link.dut.interrupt_cause, [
        {"function": 0, "epoch": 0, "queue": max(vector - 1, 0), "config_change": vector == 0}])


@pytest.mark.parametrize("width, flow", [
    (128, 0.8), *full((64, 0.3), (64, 0.8), (128, 0.3), (256, 0.3), (256, 0.8))])
def test_an_interrupt_leaves_behind_every_write_handed_in_before_its_cause(width, flow):
    link = Link(width=width, seed=width, make=net, flow=flow, reports=0.5)
    rng = random.Random(width)
    #: Last byte of each write; how many had been handed in before each cause of each vector.
    ends, causes, over = [], {0: [], 1: [], 2: []}, []

    def told(vector):
        return sum(vector_of(packet) == vector for packet in link.seen)

    async def play(ctx):
        await enable_msix(ctx, link)
        for _ in range(16):
            await ctx.tick().repeat(rng.choice([1, 1, 20, 60]))
            # The next cause of a vector waits for the message of the one before: so each has its own.
            vector = rng.randrange(3)
            await link.until(ctx, lambda vector=vector: told(vector) == len(causes[vector]))
            causes[vector].append(len(ends))
            await cause(ctx, link, vector)
            if rng.random() < 0.3:
                link.waiting.append(build(memory_read(BASE + CONTROL, 4)))
        over.append(True)
        await link.until(ctx, lambda: all(told(vector) == len(causes[vector]) for vector in causes))

    async def store(ctx):
        while not over:
            address, size = 0x10_0000 + 0x1000 * len(ends) + rng.randrange(64), rng.choice([1, 4, 100, 700])
            await link.write(ctx, write(0, address, size), bytes(size))
            ends.append(address + size - 1)
            await ctx.tick().repeat(rng.choice([1, 1, 1, 30]))

    link.run(play, store)
    left, seen = set(), {0: 0, 1: 0, 2: 0}
    for packet in link.seen:
        vector = vector_of(packet)
        if vector is not None:
            assert left >= set(ends[:causes[vector][seen[vector]]]), "an interrupt has overtaken a write"
            seen[vector] += 1
        elif packet[0] >> 24 in (0x40, 0x60):
            left |= set(ends) & set(enabled_bytes(packet))


def test_reports_that_nobody_takes_hold_up_neither_an_interrupt_nor_a_register():
    link = Link(seed=9, make=net, reports=0.0)

    async def play(ctx):
        await enable_msix(ctx, link)
        await link.write(ctx, write(1, 0x10_0000, 300), bytes(300))
        await offer(ctx, link.dut.dma_write, [write(2, 0x10_1000, 300)])
        # The data of the second write are not taken while the report of the first waits.
        ctx.set(link.dut.dma_write_data.payload, {"data": 0, "bytes": 16, "last": 0})
        ctx.set(link.dut.dma_write_data.valid, 1)
        await ctx.tick().repeat(60)
        await cause(ctx, link, 1)
        await link.until(ctx, lambda: any(vector_of(packet) == 1 for packet in link.seen), 300)
        await link.ask(ctx, memory_read(BASE + CONTROL, 4))

    link.run(play)


def both(link, epoch=0):
    """A read and a write, and when both have ended."""
    async def play(ctx):
        await offer(ctx, link.dut.dma_read, [read(1, 0x1000, 300, epoch=epoch)])
        await link.write(ctx, write(2, 0x2000, 300, epoch=epoch), bytes(300))
        await link.until(ctx, lambda: link.answers[0] and link.done)
        for _ in range(100):
            await ctx.tick()
    return play


def check_blocked(link):
    assert link.answers[0] == [Answer(1, 5, b"")]
    assert link.done == [(2, 1)]
    assert all(packet[0] >> 24 in (0x0A, 0x4A) for packet in link.seen)


@pytest.mark.parametrize("closed_by", ["bus_master", "gate", "reset", *broad("power", "epoch", "bad_state")])
def test_nothing_leaves_while_the_gate_is_closed(closed_by):
    link = Link(seed=6, gate_open=closed_by != "gate")

    async def play(ctx):
        match closed_by:
            case "bus_master":
                await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=COMMAND, data=0x0002))
            case "power":
                await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=POWER, data=3, first_be=1))
            case "bad_state":
                await offer(ctx, link.dut.fault, [{"function": 0, "epoch": 0, "queue": 0, "cause": 2}])
                await link.until(ctx, lambda: True)
                await offer(ctx, link.dut.reset_done, [{"function": 0, "epoch": 1}])
                await link.ask(ctx, memory_read(BASE + CONTROL, 4))
            case "reset":
                # The driver starts again at once; the back end has not said that it has stopped.
                link.waiting += [build(memory_write(BASE + 0x12, b"\0")), build(memory_write(BASE + 0x08, b"\5"))]
                await link.ask(ctx, memory_read(BASE + CONTROL, 4))
        await both(link, epoch={"epoch": 2, "bad_state": 1, "reset": 1}.get(closed_by, 0))(ctx)

    link.run(play)
    check_blocked(link)


@pytest.mark.parametrize("driver, make", [
    ((), block), (EARLY_MODERN_DRIVER, transitional), *broad(((), transitional))])
def test_nothing_leaves_before_there_is_a_driver(driver, make):
    link = Link(seed=7, driver=driver, make=make)
    link.run(both(link))
    check_blocked(link)


@pytest.mark.parametrize("driver, make", [
    (LATE_DRIVER, block), (MODERN_DRIVER, transitional),
    *full((LEGACY_DRIVER, block), (LEGACY_DRIVER, transitional))])
def test_a_driver_of_either_kind_opens_the_gate(driver, make):
    link = Link(seed=8, driver=driver, make=make)
    link.run(both(link))
    assert [(one.context, one.status, len(one.data)) for one in link.answers[0]] == [(1, 0, 300)]
    assert link.done == [(2, 0)]


def test_software_switches_the_time_out_of_reads_off_and_on():
    timeout = 400
    link = Link(fates={"forgotten": 1.0}, timeout=timeout)
    over = link.answers[0]

    async def play(ctx):
        answer = await link.ask(ctx, ConfigRequest(bus=1, offset=DEVICE_CAPABILITIES_2))
        assert answer[3] == TIMEOUT_DISABLE
        await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=DEVICE_CONTROL_2, data=TIMEOUT_DISABLE))
        await offer(ctx, link.dut.dma_read, [read(7, 0x7000, 64)])
        await ctx.tick().repeat(4 * timeout)
        assert not over and any(packet[0] >> 24 in (0x00, 0x20) for packet in link.seen)
        await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=DEVICE_CONTROL_2, data=0))
        await link.until(ctx, lambda: over, limit=timeout * 9 // 8 + 100)
        assert [(one.context, one.status) for one in over] == [(7, 4)]

    link.run(play)


@pytest.mark.parametrize("how", ["level", *broad("status", "bus_master")])
@pytest.mark.parametrize("seed", [0, *full(1)])
def test_no_request_leaves_after_the_completion_that_says_it_is_over(how, seed):
    link = Link(width=(64, 128)[seed], seed=seed, fates={"forgotten": 0.05, "unsupported": 0.05}, timeout=600)
    rng = random.Random(seed)
    asked, over = [], []

    async def ask(ctx):
        while not over:
            asked.append(read(len(asked), *any_range(rng, 700), owner=rng.randrange(8)))
            await offer(ctx, link.dut.dma_read, asked[-1:])

    async def store(ctx):
        while not over:
            await link.write(ctx, write(0, 0x7000 + rng.randrange(4096), 200), bytes(200))

    async def play(ctx):
        await ctx.tick().repeat(300 + rng.randrange(60))
        match how:
            case "status":
                link.waiting.append(build(memory_write(BASE + 0x12, b"\0")))
                answer = await link.ask(ctx, memory_read(BASE + 0x10, 4))
            case "bus_master":
                answer = await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=COMMAND, data=0x0002))
            case "level":
                answer = await link.ask(ctx, ConfigRequest(write=True, bus=1, offset=0xC8, data=1 << 15))
        over.append(answer)
        await link.until(ctx, lambda: sum(map(len, link.answers.values())) == len(asked))
        for _ in range(700):
            await ctx.tick()

    link.run(play, ask, store)
    place = next(place for place, packet in enumerate(link.seen) if packet is over[0])
    assert all(packet[0] >> 24 in (0x0A, 0x4A) for packet in link.seen[place:])
    assert any(packet[0] >> 24 in (0x00, 0x20) for packet in link.seen[:place])
    for owner, answers in link.answers.items():
        # Reads that had left end as the host answers them, all others as blocked; each once.
        assert [one.context for one in answers] == [one["context"] for one in asked if one["owner"] == owner]
        statuses = [one.status for one in answers]
        assert set(statuses) <= {0, 1, 4, 5}
        assert 5 not in statuses or set(statuses[statuses.index(5):]) == {5}

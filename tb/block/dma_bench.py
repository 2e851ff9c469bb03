"""Drives a requester from both ends: a back end that asks, and a root port with memory that answers."""

import random
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Value
from block.memory_host import FATES, MemoryHost, byte_at, enabled_bytes
from block.simulation import offer, plain, simulate, split, tlp_beats
from virtio_mmr.gateware.requester.requester import Requester


@dataclass
class Answer:
    """What became of one read."""

    context: int
    status: int
    data: bytes


def answers_to(requests, packets, *, bus):
    """What each owner should be told, from the fate of each read packet that left.

    Every piece must have left, in order: for runs in which nothing is blocked.
    """
    reads = iter(packets)
    found: dict[int, list[Answer]] = {owner: [] for owner in range(8)}
    for request in requests:
        wanted = list(range(request["address"], request["address"] + request["bytes"]))
        status, seen = 0, []
        while True:
            read = next(reads)
            assert read.requester == bus << 8 | request["function"]
            seen += enabled_bytes(read.packet)
            status = status or FATES[read.fate]
            if len(seen) >= len(wanted):
                break
        assert seen == wanted, "the pieces are the request"
        data = b"" if status else bytes(byte_at(address) for address in wanted)
        found[request["owner"]].append(Answer(request["context"], status, data))
    assert next(reads, None) is None, "more packets than requests have pieces"
    return found


@dataclass
class Bench:
    """A requester, its surroundings, and what they saw.

    Parameters
    ----------
    width, seed
    host
        Keyword arguments of the root port.
    size
        Field of Max_Payload_Size and Max_Read_Request_Size: bytes are 128 << size.
    stall
        Probability that the back end does not take an answer, and that the link does not take a beat.
    """

    width: int
    seed: int
    host: dict = field(default_factory=dict)
    size: int = 2
    stall: float = 0.2
    idle: float = 0.2
    extended: bool = True
    timeout: int = 4000
    reads: int = 64
    largest: int = 512
    space: tuple[int, int] | None = None

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        print(f"seed {self.seed}")
        self.dut = Requester(self.width, reads=self.reads, largest=self.largest, timeout=self.timeout,
                             space=self.space)
        self.memory = MemoryHost(self.rng, **self.host)
        self.answers: dict[int, list[Answer]] = {owner: [] for owner in range(8)}
        self.done: list[tuple[int, int]] = []
        self.packets: list[tuple[int, list[int]]] = []
        self.unexpected = self.poisoned = 0
        self.clock = 0
        #: May change at any clock.
        self.closed: set[int] = set()
        self.epoch = [0] * 256

    def _gate(self, gate):
        """Answers one clock late, as a table in memory does."""
        async def answer(ctx):
            while True:
                _, _, function = await ctx.tick().sample(gate.function)
                ctx.set(gate.may_request, function not in self.closed)
                ctx.set(gate.epoch, self.epoch[function])
                ctx.set(gate.requester, 0x2A00 | function)
        return answer

    async def _link_out(self, ctx):
        """Takes packets of both queues; a packet that has begun has no gap."""
        dut, rng, lanes = self.dut, self.rng, self.width // 32
        ctx.set(dut.max_payload_size, self.size)
        ctx.set(dut.max_read_request_size, self.size)
        ctx.set(dut.extended_tag, self.extended)
        ctx.set(dut.read_completion_boundary, self.memory.boundary == 128)
        packet, size = [], 0
        writes = dut.writes
        beat = Cat(writes.p.data, writes.p.dwords, writes.p.first, writes.p.last)
        while True:
            ctx.set(Cat(dut.reads.ready, writes.ready),
                    (rng.random() >= self.stall) | (rng.random() >= self.stall) << 1)
            (_, _, read_valid, read_ready, read_header, valid, ready, header, word) = await ctx.tick().sample(
                dut.reads.valid, dut.reads.ready, dut.reads.p.header, writes.valid, writes.ready, writes.p.header, beat)
            self.clock += 1
            self.memory.clock = self.clock
            assert valid or not packet, "a gap inside a packet"
            if valid and ready:
                data, word = split(word, lanes), word >> self.width
                bits = lanes.bit_length()
                dwords, first, last = word & (1 << bits) - 1, word >> bits & 1, word >> bits + 1
                assert first == (not packet)
                if first:
                    size = 4 if header >> 29 & 1 else 3
                    packet = split(header, size)
                    assert last or dwords == max(0, (lanes if lanes > 4 else 4) - size), "dwords beside the header"
                else:
                    assert last or dwords == lanes
                packet += data[:dwords]
                if last:
                    self._request(packet)
                    packet = []
            if read_valid and read_ready:
                size_ = 4 if read_header >> 29 & 1 else 3
                self._request(split(read_header, size_))

    def _request(self, packet):
        length = packet[0] & 0x3FF or 1024
        assert 4 * length <= 128 << self.size, "larger than software allows"
        assert packet[1] >> 24 == 0x2A, "requester id"
        self.packets.append((self.clock, packet))
        self.memory.request(packet)

    async def _link_in(self, ctx):
        """Sends completions, a beat in any clock."""
        dut, rng, lanes = self.dut, self.rng, self.width // 32
        port = dut.completions
        while True:
            found = self.memory.completion() if rng.random() >= self.idle else None
            if found is None:
                ctx.set(port.valid, 0)
                await ctx.tick()
                continue
            packet, malformed = found
            beats = tlp_beats(packet, lanes)
            for beat in beats:
                while rng.random() < self.idle / 4:
                    ctx.set(port.valid, 0)
                    await ctx.tick()
                ctx.set(port.payload, {"beat": beat, "malformed": malformed and beat["last"]})
                ctx.set(port.valid, 1)
                await ctx.tick()
            ctx.set(port.valid, 0)

    async def _take(self, ctx):
        """Collects answers; each beat but the last of a good answer is full."""
        dut, rng, row = self.dut, self.rng, self.width // 8
        port, done = dut.dma_read_data, dut.dma_write_done
        open_: dict[int, list] = {owner: [] for owner in range(8)}
        held = None
        while True:
            ctx.set(Cat(port.ready, done.ready), (rng.random() >= self.stall) | (rng.random() >= self.stall) << 1)
            _, _, valid, ready, payload, done_valid, done_ready, done_payload, unexpected, poisoned = (
                await ctx.tick().sample(port.valid, port.ready, port.payload, done.valid, done.ready, done.payload,
                                        dut.unexpected, dut.poisoned))
            self.unexpected += unexpected
            self.poisoned += poisoned
            if held is not None:
                assert valid and Value.cast(payload).value == held, "an answer on offer changed"
            held = Value.cast(payload).value if valid and not ready else None
            if valid and ready:
                word = plain(payload)
                status = Value.cast(payload["status"]).value
                parts = open_[word["owner"]]
                parts.append((word["context"], word["data"].to_bytes(row, "little")[:word["bytes"]]))
                assert len({context for context, _ in parts}) == 1, "a request is interrupted"
                if word["last"]:
                    self.answers[word["owner"]].append(
                        Answer(word["context"], status, b"".join(part for _, part in parts)))
                    open_[word["owner"]] = []
                else:
                    assert status == 0 and word["bytes"] == row, "a beat in the middle is full"
            if done_valid and done_ready:
                done_word = plain(done_payload)
                self.done.append((done_word["context"], done_word["status"]))

    async def read(self, ctx, requests):
        """Hand in reads."""
        await offer(ctx, self.dut.dma_read, requests, rng=self.rng, idle=self.idle)

    async def write(self, ctx, writes):
        """Hand in writes and their data, pairs of a request and bytes."""
        row = self.width // 8
        for request, content in writes:
            await offer(ctx, self.dut.dma_write, [request], rng=self.rng, idle=self.idle)
            parts = [content[at:at + row] for at in range(0, len(content), row)] or [b""]
            await offer(ctx, self.dut.dma_write_data, [
                {"data": int.from_bytes(part + self.rng.randbytes(row - len(part)), "little"),
                 "bytes": len(part), "last": index == len(parts) - 1}
                for index, part in enumerate(parts)], rng=self.rng, idle=self.idle)

    async def settle(self, ctx, finished, limit=20_000):
        """Wait until *finished* and for a while after it, so that what comes twice is seen."""
        for _ in range(limit):
            if finished():
                break
            await ctx.tick()
        else:
            raise AssertionError(f"not finished after {limit} clocks")
        # What nobody asked for must be through when it is counted.
        noise, self.memory.noise = self.memory.noise, 0.0
        for _ in range(200):
            await ctx.tick()
        self.memory.noise = noise

    def run(self, *testbenches, limit=200_000):
        """Run until all *testbenches* have ended."""
        dut = self.dut
        simulate(dut, *testbenches, limit=limit, background=[
            self._gate(dut.read_gate), self._gate(dut.write_gate),
            self._link_out, self._link_in, self._take])

    def check(self, requests):
        """Compare all answers; before a bad end, a request may have handed out good data."""
        expected = answers_to(requests, self.memory.log, bus=0x2A)
        for owner, answers in self.answers.items():
            assert [(one.context, one.status) for one in answers] == [
                (one.context, one.status) for one in expected[owner]], f"owner {owner}"
            for got, wanted in zip(answers, expected[owner], strict=True):
                assert got.status or got.data == wanted.data, f"owner {owner}, context {got.context}"
        assert self.unexpected == self.memory.unexpected
        assert self.poisoned == self.memory.poisoned


def any_range(rng, most=4096):
    """Address and bytes: all alignments, near and across page borders, below and above 4 GiB."""
    size = rng.choice([0, 1, 2, 3, 4, 7, 8, 16, 18, 64, 100, 128, 513, 1500, 4095, 4096, rng.randrange(1, 4097)])
    size = min(size, most)
    page = rng.choice([1, 0x1234, 0xFFFFF, 0x1_0000_0 - 1, 0x1_2345_6789, (1 << 52) - 3])
    address = page * 4096 + rng.choice([0, 1, 2, 3, 5, 64, 4090, 4095, rng.randrange(4096)])
    return address, size


def read_request(rng, number, *, function=None, owner=None, most=4096, epoch=0):
    """One read at random; the context is its number."""
    address, size = any_range(rng, most)
    return {"function": rng.randrange(4) if function is None else function, "epoch": epoch, "address": address,
            "bytes": size, "owner": rng.randrange(8) if owner is None else owner, "context": number}

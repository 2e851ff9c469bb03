"""What leaves a device that sends requests: completions and writes as they were handed in, reads between them."""

import random

import pytest
from block.simulation import raw_beats, raw_packets, simulate, stalling, taking, tlp_beats
from selection import broad
from virtio_mmr.gateware.tlp.order import OrderedEgress

COMPLETION, WRITE, READ = 0x4A000000, 0x40000000, 0x00000001
#: The first source of messages; they look like writes.
MESSAGE = 0x5000_0000


@pytest.mark.parametrize("width", [128, *broad(64, 256)])
@pytest.mark.parametrize("seed", range(2))
def test_completions_and_writes_keep_the_order_in_which_they_came(width, seed):
    rng = random.Random(seed)
    dut, lanes = OrderedEgress(width), width // 32
    order, found = [], []
    #: Of each read, how many completions were complete when it came.
    tickets = {}

    def packet(kind, number):
        payload = [number] * rng.choice([1, 2, 9])
        return [READ, number, 0] if kind == READ else [kind | len(payload), number, 0, *payload]

    async def play(ctx):
        complete = left = 0
        sources = {COMPLETION: [], WRITE: [], READ: []}
        ports = {COMPLETION: dut.completions, WRITE: dut.writes, READ: dut.reads}
        clock = 0
        while clock < 800 or any(sources.values()):
            ctx.set(dut.left, left % 128)
            ctx.set(dut.pending, bool(sources[WRITE]))
            offered = {}
            for kind, port in ports.items():
                waiting = sources[kind]
                # A write is known to wait before it is on offer.
                offered[kind] = bool(waiting) and waiting[0]["from"] <= clock
                ctx.set(port.valid, offered[kind])
                if offered[kind]:
                    ctx.set(port.payload, waiting[0]["beats"][0])
            for kind, port in ((WRITE, dut.ticket), (READ, dut.read_ticket)):
                if sources[kind]:
                    ctx.set(port, sources[kind][0]["ticket"] % 128)
            _, _, *ready = await ctx.tick().sample(*(port.ready for port in ports.values()))
            for (kind, waiting), taken in zip(sources.items(), ready, strict=True):
                if taken and offered[kind]:
                    waiting[0]["beats"].pop(0)
                    if not waiting[0]["beats"]:
                        waiting.pop(0)
                        left += kind == COMPLETION
                        if waiting:
                            waiting[0]["from"] = max(waiting[0]["from"], clock + 1 + rng.choice([0, 0, 2]))
            # What comes in this clock is seen in the next; requests before a completion of the same clock.
            clock += 1
            if clock < 800:
                if rng.random() < 0.15 and len(sources[WRITE]) < 7:
                    one = packet(WRITE, len(order))
                    order.append(one)
                    sources[WRITE].append({"beats": tlp_beats(one, lanes), "ticket": complete,
                                           "from": clock + rng.choice([1, 3])})
                if rng.random() < 0.1 and len(sources[READ]) < 3:
                    one = packet(READ, clock)
                    sources[READ].append({"beats": tlp_beats(one, lanes), "from": clock, "ticket": complete})
                    tickets[clock] = complete
                if rng.random() < 0.15 and len(sources[COMPLETION]) < 12:
                    one = packet(COMPLETION, len(order))
                    order.append(one)
                    sources[COMPLETION].append({"beats": raw_beats(one, lanes), "from": clock})
                    complete += 1
        for port in ports.values():
            ctx.set(port.valid, 0)
        for _ in range(30):
            await ctx.tick()

    simulate(dut, play, background=[stalling(dut.beats, rng, 0.2), taking(dut.beats, found)])
    packets = raw_packets(found)
    assert [one for one in packets if one[0] != READ] == order
    reads = [one[1] for one in packets if one[0] == READ]
    assert reads == sorted(reads) and len(reads) > 30
    gone = 0
    for one in packets:
        if one[0] == READ:
            assert gone <= tickets[one[1]], "a completion that was complete later overtook a read"
        gone += one[0] >> 24 == COMPLETION >> 24
    assert any(tickets[one[1]] > sum(two[0] >> 24 == COMPLETION >> 24 for two in packets[:place])
               for place, one in enumerate(packets) if one[0] == READ), "a read need not wait for completions"


class Sources:
    """What comes to the way out at random, as a requester, interrupts and completions would bring it."""

    def __init__(self, dut, rng, lanes, sources):
        self.dut, self.rng, self.lanes = dut, rng, lanes
        self.ports = {COMPLETION: dut.completions, WRITE: dut.writes, READ: dut.reads}
        for number in range(sources):
            self.ports[MESSAGE + number] = dut.messages[number]
        self.waiting = {kind: [] for kind in self.ports}
        self.number = 0
        #: Writes whose data were handed in and which are not queued yet: number, and clock in which they will be.
        self.unqueued = []
        #: Of each packet by its number, what must have left before it.
        self.behind = {}
        self.written, self.complete, self.left = set(), 0, 0

    def _packet(self, kind, length):
        self.number += 1
        if kind == READ:
            return [READ, self.number, 0]
        return [(WRITE if kind >= MESSAGE else kind) | length, self.number, 0, *[self.number] * length]

    def _add(self, kind, beats, clock, **more):
        queue = self.waiting[kind]
        queue.append({"beats": beats, "from": clock if not queue else 1 << 30, "number": self.number, **more})

    def come(self, clock, now, last):
        """What comes in this clock; *now* is the ticket of what is queued in it. Nothing new when *last*."""
        rng, requests = self.rng, {one["number"] for one in (
            *self.waiting[WRITE], *(one for one in self.waiting[READ] if one["from"] <= clock))}
        if self.unqueued and self.unqueued[0][1] <= clock and len(self.waiting[WRITE]) < 7:
            number, _, packet = self.unqueued.pop(0)
            self.behind.setdefault(number, set())
            self._add(WRITE, tlp_beats(packet, self.lanes), clock + rng.choice([1, 3]), ticket=now)
            self.waiting[WRITE][-1]["number"] = number
            requests.add(number)
        if last:
            return
        if rng.random() < 0.12 and len(self.unqueued) < 2:
            packet = self._packet(WRITE, rng.choice([1, 2, 9, 32]))
            self.unqueued.append((self.number, clock + rng.choice([0, 1, 9]), packet))
            self.written.add(self.number)
        if rng.random() < 0.08 and len(self.waiting[READ]) < 3:
            self._add(READ, tlp_beats(self._packet(READ, 0), self.lanes), clock + 1)
        messages = [kind for kind in self.ports if kind >= MESSAGE]
        if rng.random() < 0.12 and len(self.waiting[COMPLETION]) < 12:
            packet = self._packet(COMPLETION, rng.choice([1, 2, 9]))
            self.behind[self.number] = requests | {
                one["number"] for kind in messages for one in self.waiting[kind] if one["shown"] <= clock}
            self._add(COMPLETION, raw_beats(packet, self.lanes), clock + 2)
            self.complete += 1
        for kind in messages:
            if rng.random() < 0.05 and not self.waiting[kind]:
                packet = self._packet(kind, rng.choice([1, 2]))
                # A driver is to find what was handed in before this.
                self.behind[self.number] = set(self.written)
                self._add(kind, raw_beats(packet, self.lanes), clock + 1, shown=clock + 1)

    async def play(self, ctx, clocks=500):
        dut, before, clock = self.dut, set(), 0
        while clock < clocks or self.unqueued or any(self.waiting.values()):
            assert clock < 30 * clocks, "something waits for ever"
            ctx.set(dut.complete, self.complete % 128)
            ctx.set(dut.left, self.left % 128)
            ctx.set(dut.pending, bool(self.waiting[WRITE]))
            ctx.set(dut.clear, not before)
            offered = {}
            for kind, port in self.ports.items():
                queue = self.waiting[kind]
                offered[kind] = bool(queue) and queue[0]["from"] <= clock
                ctx.set(port.valid, offered[kind])
                if offered[kind]:
                    ctx.set(port.payload, queue[0]["beats"][0])
            for kind, port in ((WRITE, dut.ticket), (READ, dut.read_ticket)):
                if offered[kind] or (kind == WRITE and self.waiting[kind]):
                    ctx.set(port, self.waiting[kind][0]["ticket"])
            _, _, mark, now, *ready = await ctx.tick().sample(
                dut.mark, dut.now, *(port.ready for port in self.ports.values()))
            for (kind, queue), taken in zip(self.waiting.items(), ready, strict=True):
                if taken and offered[kind]:
                    queue[0]["beats"].pop(0)
                    if not queue[0]["beats"]:
                        gone = queue.pop(0)["number"]
                        self.left += kind == COMPLETION
                        self.written.discard(gone)
                        before.discard(gone)
                        if queue:
                            queue[0]["from"] = clock + 1 + self.rng.choice([0, 0, 2])
            if mark:
                before = set(self.written)
            self.come(clock, now, clock >= clocks)
            # A read's ticket is that of the clock before it is offered.
            for one in self.waiting[READ][:1]:
                if clock < one["from"]:
                    one["ticket"] = now
            clock += 1
        for port in self.ports.values():
            ctx.set(port.valid, 0)
        ctx.set(dut.left, self.left % 128)
        await ctx.tick().repeat(300)


@pytest.mark.parametrize("width", [128, *broad(64, 256)])
@pytest.mark.parametrize("messages", [1, 2])
@pytest.mark.parametrize("stall", [0.0, 0.2, 0.8])
def test_a_message_leaves_behind_every_write_handed_in_before_it(width, messages, stall):
    rng = random.Random(width + messages + int(10 * stall))
    dut, found = OrderedEgress(width, messages), []
    sources = Sources(dut, rng, width // 32, messages)
    simulate(dut, sources.play, background=[stalling(dut.beats, rng, stall), taking(dut.beats, found)])
    packets = raw_packets(found)
    place = {packet[1]: number for number, packet in enumerate(packets)}
    assert sorted(place) == list(range(1, sources.number + 1)), "a packet is lost, or sent twice"
    for number, before in sources.behind.items():
        late = [one for one in before if place[one] > place[number]]
        assert not late, f"packets {late} were there before packet {number}, and leave behind it"
    for kind in (COMPLETION, READ):
        numbers = [packet[1] for packet in packets if packet[0] >> 24 == kind >> 24]
        assert numbers == sorted(numbers)

"""The sequencer walks every request as it should, and lets wait only what may wait."""

import random

import pytest
from block.simulation import any_dword, plain, simulate
from virtio_mmr.config.device import Bar, BarKind, Region
from virtio_mmr.config.device import Space as BuildSpace
from virtio_mmr.gateware.access.interface import CONFIG, NOWHERE, Kind, Outcome, Space
from virtio_mmr.gateware.access.sequencer import QUEUE_DEPTH, QUEUE_RESERVE, AccessSequencer
from virtio_mmr_sim.model.tlp import byte_count, lower_address, pieces, strobe

REGIONS = (
    Region(space=BuildSpace.LEGACY, offset=0x0000, size=0x1000),
    Region(space=BuildSpace.ISR, offset=0x1004, size=0x24),
    Region(space=BuildSpace.DEVICE, offset=0x2000, size=0x800),
)
BARS = (Bar(index=2, kind=BarKind.MEMORY32, regions=REGIONS),)
LONGEST_WRITE = 32

#: Completions that may be under way in all, and those longer than a dword.
ROOM = 16


def locate(place, index):
    """Window and offset of dword *index* of a request."""
    at = 4 * (place["offset"] + index)
    if place["bar"] == CONFIG:
        return Space.CONFIG, at
    for region in REGIONS:
        if region.offset <= at < region.end:
            return Space[region.space.name], at - region.offset
    return Space.HOLE, None


class Asked:
    """A request, its payload, and what should become of it."""

    def __init__(self, kind, *, place=None, length=1, first_be=0xF, last_be=0, payload=(), locked=False, poisoned=False,
                 address=None, write=False, rng=None):
        rng = rng or random.Random(0)
        self.kind, self.length, self.payload = kind, length, list(payload)
        self.place = place or {"bar": NOWHERE, "offset": 0}
        self.write = bool(write or payload)
        self.posted = kind is Kind.MESSAGE or (kind is Kind.MEMORY and self.write)
        self.address = (self.place["offset"] + 0x8000 if self.place["bar"] != NOWHERE else rng.getrandbits(28))
        self.address = address if address is not None else self.address
        if self.place["bar"] == NOWHERE:
            self.place = {"bar": NOWHERE, "offset": self.address & 0x3FF}
        self.first_be, self.last_be, self.locked, self.poisoned = first_be, last_be, locked, poisoned
        self.context = {"requester": rng.getrandbits(16), "tag": rng.getrandbits(10),
                        "traffic_class": rng.getrandbits(3), "attributes": rng.getrandbits(3), "locked": int(locked)}

    def fields(self):
        """As the sequencer gets it."""
        return {
            "kind": self.kind, "write": self.write, "posted": self.posted, "locked": self.locked,
            "poisoned": self.poisoned, "place": self.place,
            "length": self.length % 1024, "single": int(self.length == 1),
            "first_be": self.first_be, "last_be": self.last_be,
            "data": self.payload[0] if self.payload else 0,
            **{name: value for name, value in self.context.items() if name != "locked"},
        }

    @property
    def refused(self):
        return self.place["bar"] == NOWHERE or self.poisoned

    @property
    def dropped(self):
        """The outcome that is counted when it ends without an access, if any."""
        if self.kind in (Kind.MALFORMED, Kind.COMPLETION):
            return {Kind.MALFORMED: Outcome.MALFORMED, Kind.COMPLETION: Outcome.UNEXPECTED}[self.kind]
        if self.kind is Kind.IGNORE:
            return Outcome.POISONED if self.poisoned else None
        if self.posted and (self.refused or self.kind is Kind.MESSAGE):
            return Outcome.POISONED if self.poisoned else Outcome.UNSUPPORTED
        return None

    @property
    def answered(self):
        return self.kind in (Kind.IO, Kind.CONFIG, Kind.UNSUPPORTED) or (self.kind is Kind.MEMORY and not self.write)

    @property
    def captures(self):
        return self.kind is Kind.CONFIG and self.write and not self.refused

    def access(self, index):
        """One dword's access, with nothing that is of no meaning."""
        space, offset = locate(self.place, index)
        return {"space": space, "offset": offset, "write": int(self.write),
                "strobe": strobe(self.length, self.first_be, self.last_be, index),
                "data": self.payload[index] if self.write else None}

    def operations(self):
        """The slow, obvious list of its operations."""
        if self.posted:
            return [] if self.dropped is not None else [self.access(index) for index in range(self.length)]
        if not self.answered:
            return []
        memory = self.kind is Kind.MEMORY or self.locked
        at = 4 * self.address
        if self.refused:
            return [({"poisoned": int(self.poisoned)}, {
                "unsupported": 1, "has_data": 0, "final": 1,
                "byte_count": (byte_count(self.length, self.first_be, self.last_be) if memory else 4) % 4096,
                "lower_address": lower_address(at, self.first_be) if memory else 0}, True)]
        if self.kind is not Kind.MEMORY:
            return [(self.access(0), {"unsupported": 0, "has_data": int(not self.write), "final": 1, "byte_count": 4,
                                      "lower_address": 0, **({} if self.write else {"dwords": 1})}, True)]
        found = []
        cuts = pieces(at, self.length, self.first_be, self.last_be)
        for number, piece in enumerate(cuts):
            says = {"unsupported": 0, "has_data": 1, "final": int(number == len(cuts) - 1), "dwords": piece.length,
                    "byte_count": piece.byte_count % 4096, "lower_address": piece.lower_address}
            for index in range(piece.start, piece.start + piece.length):
                found.append((self.access(index), says if index == piece.start else None,
                              index == piece.start + piece.length - 1))
        return found


def masked(operation, like):
    """The fields of a sampled operation that *like* speaks of."""
    access, says, last = like if isinstance(like, tuple) else (like, None, None)
    flat = {**operation["access"], "poisoned": operation["poisoned"]}
    seen = {name: None if value is None else flat[name] for name, value in access.items()}
    if last is None:
        return seen
    return (seen, {name: operation["completion"][name] for name in says} if operation["first"] and says else None,
            bool(operation["last"]))


class Run:
    """What was seen, clock by clock."""

    def __init__(self):
        self.operations, self.slots, self.drops, self.captures = [], [], [], 0
        self.contexts, self.clock, self.taken_at, self.np_ok = [], 0, [], []


def run(requests, rng, *, idle=0.0, leave=1.0, events=0.0, room=True, clocks=None, hold=None):
    """Feed requests; completions leave with probability *leave* each clock; `room` False: none has room."""
    dut = AccessSequencer(BARS)
    seen = Run()
    under_way = []
    expected = sum(len(asked.operations()) for asked in requests)

    async def feed(ctx):
        for asked in requests:
            while rng.random() < idle:
                ctx.set(dut.request.valid, 0)
                await ctx.tick()
            ctx.set(dut.request.payload, asked.fields())
            ctx.set(dut.request.valid, 1)
            index = 0
            while True:
                if asked.payload:
                    ctx.set(dut.payload, asked.payload[min(index + 1, len(asked.payload) - 1)])
                _, _, ready, step = await ctx.tick().sample(dut.request.ready, dut.step)
                index += step
                if ready:
                    break
            seen.taken_at.append(seen.clock)
        ctx.set(dut.request.valid, 0)
        while len(seen.operations) < expected or under_way:
            await ctx.tick()
        await ctx.tick().repeat(12)

    async def watch(ctx):
        fresh = True
        while clocks is None or seen.clock < clocks:
            if under_way and under_way[0] and rng.random() < leave:
                under_way.pop(0)
            ctx.set(dut.room, room and len(under_way) < ROOM)
            ctx.set(dut.event_wanted, rng.random() < events)
            ctx.set(dut.hold, hold is not None and hold(seen.clock))
            _, _, valid, operation, slot, dropped, captures, np_ok = await ctx.tick().sample(
                dut.operation.valid, dut.operation.payload, dut.event_slot, dut.dropped, dut.captures,
                dut.non_posted_ok)
            if valid:
                operation = plain(operation)
                seen.operations.append((seen.clock, operation))
                if operation["answered"]:
                    if operation["first"]:
                        under_way.append(False)
                        seen.contexts += [operation["context"]] if fresh else []
                        fresh = bool(operation["completion"]["final"])
                    under_way[-1] = bool(operation["last"])
            seen.slots.append(slot)
            seen.np_ok.append(np_ok)
            seen.drops += [Outcome(bit) for bit in range(4) if dropped >> bit & 1]
            seen.captures += captures
            seen.clock += 1

    simulate(dut, *([feed] if clocks is None else [watch]), background=[watch] if clocks is None else [feed])
    return seen


def random_place(rng, most=1):
    """A place in the BAR, or none, from which *most* dwords stay in a page."""
    if rng.random() < 0.15:
        return None
    page = rng.randrange(3) << 10
    within = rng.choice([0, rng.randint(0, 1024 - most), 32 * rng.randint(0, 31)]) % (1025 - most)
    return {"bar": 2, "offset": page + within}


def random_request(rng, longest_read=70):
    """A request of any kind."""
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            length = rng.choice([1, 1, 2, rng.randint(1, LONGEST_WRITE)])
            return Asked(Kind.MEMORY, place=random_place(rng, length), length=length, first_be=rng.randrange(16),
                         last_be=rng.randrange(16) if length > 1 else 0, poisoned=rng.random() < 0.1,
                         payload=[any_dword(rng) for _ in range(length)], rng=rng)
        case 4 | 5 | 6:
            length = rng.choice([1, 1, 2, 3, rng.randint(1, longest_read)])
            return Asked(Kind.MEMORY, place=random_place(rng, length), length=length,
                         first_be=rng.randrange(16) if length == 1 else rng.randrange(1, 16),
                         last_be=rng.randrange(1, 16) if length > 1 else 0, rng=rng)
        case 7:
            write, config = rng.random() < 0.5, rng.random() < 0.5
            place = {"bar": CONFIG if config else 2, "offset": rng.randrange(1024)}
            return Asked(Kind.CONFIG if config else Kind.IO, rng=rng, first_be=rng.randrange(16), write=write,
                         place=rng.choice([None, place, place]), poisoned=write and rng.random() < 0.2,
                         payload=[any_dword(rng)] * write)
        case 8:
            length = rng.choice([1, 2, 5])
            return rng.choice([
                Asked(Kind.UNSUPPORTED, length=length, locked=True, first_be=rng.randrange(1, 16),
                      last_be=rng.randrange(1, 16) if length > 1 else 0, rng=rng),
                Asked(Kind.UNSUPPORTED, length=min(length, 2), payload=[1] * min(length, 2), rng=rng),
                Asked(Kind.UNSUPPORTED, rng=rng)])
        case _:
            return Asked(rng.choice([Kind.IGNORE, Kind.MESSAGE, Kind.COMPLETION, Kind.MALFORMED]), rng=rng,
                         length=rng.choice([1, 7]), poisoned=rng.random() < 0.3)


def compare(requests, seen):
    """Whole lists: posted operations, answered operations, contexts, drops, captures."""
    for posted in (True, False):
        want = [one for asked in requests if asked.posted is posted for one in asked.operations()]
        found = [operation for _, operation in seen.operations if bool(operation["answered"]) is not posted]
        assert len(found) == len(want)
        for operation, like in zip(found, want, strict=True):
            assert masked(operation, like) == like
    assert seen.contexts == [asked.context for asked in requests if asked.answered]
    assert seen.drops == [asked.dropped for asked in requests if asked.dropped is not None]
    assert seen.captures == sum(asked.captures for asked in requests)


def check_order(requests, seen):
    """No answer starts before every write in front of its request has been applied."""
    before, written = [], 0
    for asked in requests:
        if asked.posted:
            written += len(asked.operations())
        elif asked.answered:
            before.append(written)
    applied, answer = 0, 0
    for _, operation in seen.operations:
        if operation["answered"]:
            assert applied >= before[answer]
            answer += bool(operation["last"] and operation["completion"]["final"])
        else:
            applied += 1


@pytest.mark.parametrize("seed, idle, leave, events", [
    (1, 0.0, 1.0, 0.0), (2, 0.0, 0.1, 0.9), (3, 0.5, 0.5, 0.3), (4, 0.2, 0.3, 1.0)])
def test_any_traffic_becomes_the_right_operations_in_the_right_order(seed, idle, leave, events):
    rng = random.Random(seed)
    requests = [random_request(rng) for _ in range(110)]
    seen = run(requests, rng, idle=idle, leave=leave, events=events)
    compare(requests, seen)
    check_order(requests, seen)


@pytest.mark.parametrize("offset, length", [(0, 1024), (31, 2), (31, 33), (31, 34), (1023, 1), (960, 64)])
def test_reads_of_any_length_end_pieces_at_multiples_of_128_bytes(offset, length):
    rng = random.Random(length)
    requests = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 1024 + offset}, length=length, rng=rng,
                      first_be=0b1000, last_be=0b0001 if length > 1 else 0)]
    compare(requests, run(requests, rng))


def test_every_byte_enable_pattern_of_a_single_read_gives_its_byte_count_and_lower_address():
    rng = random.Random(0)
    requests = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 31}, first_be=enables, rng=rng) for enables in range(16)]
    requests += [Asked(Kind.MEMORY, first_be=enables, rng=rng, address=31) for enables in range(16)]
    compare(requests, run(requests, rng))


def test_request_in_front_of_a_window_walks_into_it_and_out_of_it():
    rng = random.Random(0)
    place = {"bar": 2, "offset": 0x400}
    requests = [Asked(Kind.MEMORY, place=place, length=20, last_be=0xF, rng=rng),
                Asked(Kind.MEMORY, place=place, length=20, last_be=0xF, payload=list(range(20)), rng=rng)]
    compare(requests, run(requests, rng))


def test_posted_writes_pass_non_posted_requests_that_have_no_room():
    rng = random.Random(0)
    reads = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 4}, rng=rng) for _ in range(QUEUE_DEPTH - 1)]
    writes = [Asked(Kind.MEMORY, place={"bar": 2, "offset": index}, payload=[index], rng=rng)
              for index in range(QUEUE_DEPTH - 1)]
    requests = [one for pair in zip(reads, writes, strict=True) for one in pair]
    seen = run(requests, rng, room=False, clocks=200)
    assert [operation["access"]["data"] for _, operation in seen.operations] == list(range(QUEUE_DEPTH - 1))
    assert len(seen.taken_at) == len(requests)


def test_at_least_sixteen_more_requests_are_taken_while_the_flag_is_high():
    rng = random.Random(0)
    reads = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 4}, rng=rng) for _ in range(QUEUE_DEPTH + 8)]
    seen = run(reads, rng, room=False, clocks=120)
    fallen = seen.np_ok.index(0, seen.np_ok.index(1))
    after = [clock for clock in seen.taken_at if clock >= fallen]
    assert QUEUE_DEPTH <= len(seen.taken_at) <= QUEUE_DEPTH + 2, "two more stand at the head"
    assert len(after) >= QUEUE_RESERVE


def test_flag_rises_again_when_the_queue_has_emptied():
    rng = random.Random(0)
    reads = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 4}, length=3, last_be=15, rng=rng) for _ in range(60)]
    seen = run(reads, rng, leave=0.15)
    assert 0 in seen.np_ok[2:] and seen.np_ok[-1] == 1
    compare(reads, seen)


def test_between_two_pieces_exactly_one_waiting_write_goes():
    rng = random.Random(0)
    read = Asked(Kind.MEMORY, place={"bar": 2, "offset": 0}, length=512, last_be=15, rng=rng)
    writes = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 0}, length=length, payload=[7] * length, rng=rng,
                    last_be=15 if length > 1 else 0) for length in [4] * 40]
    seen = run([read, *writes], rng)
    between, counts = 0, []
    for _, operation in seen.operations:
        if not operation["answered"]:
            between += 1
        elif operation["first"]:
            counts.append(between)
            between = 0
        else:
            assert between == 0, "a write inside a piece"
    assert counts[1:] == [4] * 15


def test_writes_do_not_starve_single_reads_nor_reads_writes():
    rng = random.Random(0)
    requests = []
    for _ in range(40):
        requests.append(Asked(Kind.MEMORY, place={"bar": 2, "offset": 1}, length=2, last_be=15, rng=rng))
        requests += [Asked(Kind.MEMORY, place={"bar": 2, "offset": 1}, payload=[1], rng=rng) for _ in range(3)]
    seen = run(requests, rng)
    kinds = [operation["answered"] for _, operation in seen.operations]
    start, end = kinds.index(1), len(kinds) - kinds[::-1].index(1)
    longest, run_length = 0, 0
    for kind in kinds[start:end]:
        run_length = 0 if kind else run_length + 1
        longest = max(longest, run_length)
    assert longest <= 6
    compare(requests, seen)


@pytest.mark.parametrize("requests", [
    [("write", 32)] * 12, [("write", 1)] * 100, [("read", 1)] * 100, [("read", 512)],
    [("read", 40), ("write", 5)] * 10])
def test_an_event_gets_a_clock_within_nine_clocks_of_any_load(requests):
    rng = random.Random(0)
    asked = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 0}, length=length, last_be=15 if length > 1 else 0, rng=rng,
                   payload=[3] * length if what == "write" else ()) for what, length in requests]
    seen = run(asked, rng, events=1.0)
    compare(asked, seen)
    gaps = "".join(map(str, seen.slots)).split("1")
    assert max(map(len, gaps)) <= 8
    busy = {clock for clock, _ in seen.operations}
    assert not any(slot and clock + 1 in busy for clock, slot in enumerate(seen.slots))


@pytest.mark.parametrize("payload", [(), (5,)])
def test_single_dwords_go_one_a_clock(payload):
    rng = random.Random(0)
    requests = [Asked(Kind.MEMORY, place={"bar": 2, "offset": 3}, payload=payload, rng=rng) for _ in range(50)]
    seen = run(requests, rng)
    clocks = [clock for clock, _ in seen.operations]
    assert clocks == list(range(clocks[0], clocks[0] + 50))


def test_nothing_starts_while_held():
    rng = random.Random(0)
    requests = [random_request(rng) for _ in range(20)]
    seen = run(requests, rng, hold=lambda clock: clock < 30)
    assert min(clock for clock, _ in seen.operations) > 30
    assert min(seen.taken_at) >= 30
    assert not any(seen.slots[:30])
    compare(requests, seen)

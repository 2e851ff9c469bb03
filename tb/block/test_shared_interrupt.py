"""Causes of several functions become messages; compared with slow sets, clock by clock of the pipeline."""

import random
from collections import deque
from dataclasses import dataclass

import pytest
from block.simulation import plain, simulate, stalling
from selection import broad, full
from virtio_mmr.gateware.shared_interrupt import SharedInterruptUnit
from virtio_mmr.gateware.state.function import EventKind

NO_VECTOR = 0xFFFF
QUEUE, CONFIG = 1, 2


@dataclass
class Clock:
    """What happens to one function in one clock: nothing, an event, an access."""

    function: int
    kind: EventKind = EventKind.NONE
    #: Of an event; the entry or group that the window wants, if `asked`.
    vector: int = 0
    asked: bool = False
    strobe: int = 0
    data: int = 0
    cause: int = 0
    reason: int = NO_VECTOR
    enabled: bool = True
    forget: bool = False
    restore: bool = False
    #: Whether the function may send, from the next clock on; and its queues.
    may_send: bool | None = None
    gate: bool | None = None
    #: Whether they may in this clock.
    may: bool = False
    may_queues: bool = False


class Functions:
    """The pipeline around the unit, and what the driver of each function is owed."""

    def __init__(self, vectors: int, functions: int, seed: int = 0, stall: float = 0.0):
        self.vectors, self.functions = vectors, functions
        self.dut = SharedInterruptUnit(vectors, functions=functions)
        self.rng, self.stall = random.Random(seed), stall
        #: What was looked at one, two and three clocks ago; the last is what has its effect.
        self.coming, self.now, self.then = Clock(0), Clock(0), Clock(0)
        self.may_send = [True] * functions
        self.gate = [True] * functions
        self.causes = deque()
        self.unsettled = False
        # (function, vector): a queue's cause on the way to its pending bit; pending for a queue, for the configuration;
        # unmasked; bytes of the entry.
        self.owed, self.for_queues, self.for_configuration = set(), set(), set()
        self.unmasked, self.entries = set(), {}
        self.told = []
        self._offered = False

    async def clock(self, ctx, what: Clock | None = None) -> None:
        """One clock, in which *what* is chosen, or an event, or nothing."""
        dut, rng = self.dut, self.rng
        ctx.set(dut.step.ready, 0)
        if what is None and ctx.get(dut.step.valid) and rng.random() < 0.8:
            ctx.set(dut.step.ready, 1)
            step = plain(ctx.get(dut.step.p))
            what = Clock(step["function"], EventKind(step["kind"]), step["queue"])
        elif what is None and self.causes and not self.unsettled:
            what, self.unsettled = self.causes.popleft(), True
        elif what is None:
            what = Clock(rng.randrange(self.functions))
        then, now, coming = self.then, self.now, self.coming
        self.then, self.now, self.coming = now, coming, what
        now.may, now.may_queues = self.may_send[now.function], self.gate[now.function]
        ctx.set(dut.look, what.function)
        ctx.set(dut.function_ahead, coming.function)
        ctx.set(dut.config_vector_ahead, coming.reason if coming.cause == CONFIG else rng.getrandbits(16))
        ctx.set(dut.event_ahead, {"kind": coming.kind, "function": coming.function, "queue": coming.vector})
        ctx.set(dut.asked_ahead, coming.asked)
        ctx.set(dut.vector_ahead, coming.vector)
        ctx.set(dut.function, now.function)
        ctx.set(dut.event, {"kind": now.kind, "function": now.function, "queue": now.vector})
        ctx.set(dut.table.strobe, now.strobe)
        ctx.set(dut.table.data, now.data)
        ctx.set(dut.cause, now.cause)
        ctx.set(dut.queue_vector, then.reason if then.cause == QUEUE else rng.getrandbits(16))
        ctx.set(dut.config_vector, now.reason if now.cause == CONFIG else rng.getrandbits(16))
        ctx.set(dut.msix_enable, now.enabled)
        ctx.set(dut.forget, now.forget)
        ctx.set(dut.restore, now.restore)
        ctx.set(dut.may_send, now.may)
        ctx.set(dut.gate, now.may_queues)
        ctx.set(dut.opened, bool(now.gate))
        if then.asked:
            entry = plain(ctx.get(dut.table.entry))
            if not ctx.get(dut.table.written):
                entry.update(address=0, data=0)
            self._shows(then, {"pending": ctx.get(dut.table.pending), **entry})
        if ctx.get(dut.settled):
            assert self.unsettled
            self.unsettled = False
        open_ = self.for_configuration | (self.for_queues if then.may_queues else set())
        sendable = open_ & self.unmasked if then.may else set()
        _, _, offered = await ctx.tick().sample(dut.message.valid & ~dut.message.ready)
        if ctx.get(dut.message.valid) and not offered:
            message = plain(ctx.get(dut.message.p))
            key = message["function"], message["vector"]
            assert key in sendable and key[0] == then.function, f"{key} is told although it may not be, or once more"
            entry = self.entry(key)
            assert (message["address"], message["dword"]) == (entry & (1 << 64) - 1, entry >> 64)
            self.for_configuration.discard(key)
            if then.may_queues:
                self.for_queues.discard(key)
            self.told.append(key)
        self._happens(then)
        if now.may_send is not None:
            self.may_send[now.function] = now.may_send
        if now.gate is not None:
            self.gate[now.function] = now.gate
        ctx.set(dut.may_send_then, self.may_send[now.function])

    @property
    def pending(self) -> set:
        return self.for_queues | self.for_configuration

    def entry(self, key) -> int:
        return int.from_bytes(self.entries.get(key, bytes(12)), "little")

    def group(self, function: int, vector: int) -> int:
        """Pending bits of the vector's group."""
        return sum(1 << v % 32 for f, v in self.pending if (f, v // 32) == (function, vector // 32))

    def _shows(self, now: Clock, shown: dict) -> None:
        """The window shows what everything before its access has left."""
        key = now.function, now.vector
        assert shown["pending"] == self.group(*key)
        if now.vector < self.vectors:
            assert shown["address"] | shown["data"] << 64 == self.entry(key)
            assert shown["masked"] == (key not in self.unmasked)

    def _happens(self, now: Clock) -> None:
        """Every cause is owed until it is told or forgotten."""
        if now.kind is EventKind.PEND:
            self.for_queues |= self.owed
            self.owed.clear()
        if now.forget or now.restore:
            for kept in (self.owed, self.for_queues, self.for_configuration):
                kept -= {key for key in kept if key[0] == now.function}
        if now.restore:
            self.unmasked = {key for key in self.unmasked if key[0] != now.function}
            self.entries = {key: bytes_ for key, bytes_ in self.entries.items() if key[0] != now.function}
        if now.cause and now.enabled and now.reason < self.vectors:
            (self.owed if now.cause == QUEUE else self.for_configuration).add((now.function, now.reason))
        if now.strobe:
            key = now.function, now.vector
            stored = bytearray(self.entries.get(key, bytes(12)))
            lanes = now.data.to_bytes(4, "little")
            for byte in range(12):
                if now.strobe >> byte & 1:
                    stored[byte] = lanes[byte % 4] & (0xFC if byte == 0 else 0xFF)
            self.entries[key] = bytes(stored)
            if now.strobe >> 12 & 1:
                (self.unmasked.discard if now.data & 1 else self.unmasked.add)(key)

    async def start(self, ctx) -> None:
        for function in range(self.functions):
            await self.clock(ctx, Clock(function, EventKind.INITIALISE, restore=True, forget=True))

    async def idle(self, ctx, clocks: int) -> None:
        for _ in range(clocks):
            await self.clock(ctx)

    async def access(self, ctx, function: int, vector: int, dword: int = 0, data: int = 0, strobe: int = 0) -> None:
        await self.clock(ctx, Clock(function, asked=True, vector=vector, strobe=strobe << 4 * dword, data=data))

    async def program(self, ctx, function: int, vector: int, mask: int = 0) -> None:
        for dword, value in enumerate((0xFEE0_0000 + 16 * vector, function, vector, mask)):
            await self.access(ctx, function, vector, dword, value, 0xF)

    def queue_cause(self, function: int, vector: int, **more) -> None:
        self.causes.append(Clock(function, EventKind.INTERRUPT, cause=QUEUE, reason=vector, **more))

    async def config_cause(self, ctx, function: int, vector: int, **more) -> None:
        await self.clock(ctx, Clock(function, cause=CONFIG, reason=vector, **more))

    def run(self, play) -> list:
        async def main(ctx):
            await self.start(ctx)
            await play(ctx)

        simulate(self.dut, main, background=[stalling(self.dut.message, random.Random(1), self.stall)])
        return self.told


def test_each_cause_sends_its_vector_once_and_no_other_functions():
    f = Functions(3, 4)

    async def play(ctx):
        for function in range(4):
            for vector in range(3):
                await f.program(ctx, function, vector)
        f.queue_cause(2, 1)
        await f.idle(ctx, 60)
        await f.config_cause(ctx, 3, 2)
        await f.idle(ctx, 60)
        f.queue_cause(1, NO_VECTOR)
        await f.config_cause(ctx, 1, NO_VECTOR)
        await f.config_cause(ctx, 1, 0, enabled=False)
        await f.idle(ctx, 60)

    assert f.run(play) == [(2, 1), (3, 2)]


def test_msx_03_a_masked_cause_is_pending_and_sent_once_when_unmasked():
    f = Functions(40, 3)

    async def play(ctx):
        for function in (1, 2):
            await f.program(ctx, function, 33, mask=1)
        for _ in range(3):
            f.queue_cause(2, 33)
            await f.idle(ctx, 20)
        await f.access(ctx, 2, 33)
        await f.idle(ctx, 60)
        assert (f.told, f.pending) == ([], {(2, 33)})
        await f.access(ctx, 1, 33, 3, 0, 1)
        await f.access(ctx, 2, 33, 3, 0, 1)
        await f.idle(ctx, 60)

    assert f.run(play) == [(2, 33)]


def test_msx_04_a_function_that_may_not_send_holds_up_nobody_and_sends_when_it_may():
    f = Functions(2, 3)

    async def play(ctx):
        for function in range(3):
            await f.program(ctx, function, 0)
        await f.clock(ctx, Clock(1, may_send=False))
        for _ in range(3):
            f.queue_cause(1, 0)
            f.queue_cause(2, 0)
            await f.idle(ctx, 80)
        assert f.told == [(2, 0)] * 3
        await f.clock(ctx, Clock(1, may_send=True))
        await f.idle(ctx, 40)
        assert f.told == [(2, 0)] * 3 + [(1, 0)]

    f.run(play)


def test_mmr_25_behind_a_closed_gate_the_queues_of_one_function_wait_and_nobody_else():
    f = Functions(40, 3)

    async def play(ctx):
        for function in (1, 2):
            for vector in (0, 1, 35):
                await f.program(ctx, function, vector, mask=vector == 35)
        await f.clock(ctx, Clock(1, gate=False))
        # Vector 1 is the configuration's and a queue's.
        for function in (1, 2):
            f.queue_cause(function, 0)
            await f.idle(ctx, 60)
            await f.config_cause(ctx, function, 1)
            await f.idle(ctx, 60)
            f.queue_cause(function, 1)
            f.queue_cause(function, 35)
            await f.idle(ctx, 80)
        await f.access(ctx, 1, 35, 3, 0, 1)
        await f.idle(ctx, 80)
        assert f.told == [(1, 1), (2, 0), (2, 1), (2, 1)]
        assert f.pending == {(1, 0), (1, 1), (1, 35), (2, 35)}
        await f.config_cause(ctx, 1, 1)
        await f.idle(ctx, 80)
        assert f.told[4:] == [(1, 1)] and (1, 1) in f.pending
        # Those whose visits have found nothing to send are visited again.
        await f.clock(ctx, Clock(1, gate=True))
        await f.idle(ctx, 120)
        assert sorted(f.told[5:]) == [(1, 0), (1, 1), (1, 35)] and f.pending == {(2, 35)}

    f.run(play)


def test_a_gate_that_closes_between_visit_and_message_holds_it_back():
    f = Functions(2, 2)

    async def play(ctx):
        await f.program(ctx, 1, 0)
        held = 0
        for clocks in range(30):
            f.queue_cause(1, 0)
            await f.idle(ctx, clocks)
            await f.clock(ctx, Clock(1, gate=False))
            await f.idle(ctx, 80)
            held += bool(f.pending)
            assert len(f.told) + len(f.pending) == clocks + 1
            await f.clock(ctx, Clock(1, gate=True))
            await f.idle(ctx, 80)
            assert len(f.told) == clocks + 1
        assert 0 < held < 30

    f.run(play)


def test_a_reset_forgets_its_functions_causes_wherever_they_are_but_not_its_own():
    f = Functions(3, 2)

    async def play(ctx):
        for function in range(2):
            for vector in range(3):
                await f.program(ctx, function, vector)
        # The fence comes in each clock between the cause of a queue and its message.
        for clocks in range(30):
            f.queue_cause(1, 1)
            f.queue_cause(0, 2)
            await f.idle(ctx, clocks)
            await f.clock(ctx, Clock(1, forget=True, cause=CONFIG, reason=0))
            await f.idle(ctx, 80)
            assert f.told[-2:].count((0, 2)) + f.told.count((1, 0)) >= clocks + 1
            assert not f.pending and not f.owed
        assert f.told.count((0, 2)) == f.told.count((1, 0)) == 30
        assert 0 < f.told.count((1, 1)) < 30

    f.run(play)


def test_a_function_and_a_vector_that_never_rest_do_not_keep_the_others_waiting():
    f = Functions(40, 2)

    async def play(ctx):
        wanted = [(0, 3), (0, 35), (1, 1)]
        for function, vector in ((0, 0), *wanted):
            await f.program(ctx, function, vector)
        for _ in range(400):
            if not f.causes:
                f.queue_cause(0, 0)
            await f.config_cause(ctx, 0, 0)
            await f.idle(ctx, 1)
            if len(f.told) == 3:
                for function, vector in wanted:
                    await f.config_cause(ctx, function, vector)
        assert set(wanted) <= set(f.told[:20])

    f.run(play)


def test_a_message_on_offer_waits_and_a_cause_behind_it_is_pending():
    f = Functions(2, 2, stall=1.0)

    async def play(ctx):
        await f.program(ctx, 1, 0)
        for _ in range(2):
            f.queue_cause(1, 0)
            await f.idle(ctx, 60)
        assert (f.told, f.pending) == ([(1, 0)], {(1, 0)})

    f.run(play)


@pytest.mark.parametrize(("vectors", "functions", "stall"), [
    (33, 5, 0.6), *broad((1, 2, 0.6), (3, 64, 0.0)),
    *full((1, 2, 0.0), (3, 3, 0.0), (3, 3, 0.6), (33, 5, 0.0), (3, 64, 0.6), (70, 2, 0.0), (70, 2, 0.6))])
def test_no_cause_is_lost_and_none_is_told_twice(vectors, functions, stall):
    f = Functions(vectors, functions, seed=vectors * functions, stall=stall)
    rng = f.rng

    async def play(ctx):
        for _ in range(900):
            function, vector = rng.choice((0, 1, rng.randrange(functions))), rng.choice((0, rng.randrange(vectors)))
            kind = rng.choices(("cause", "config", "mask", "write", "look", "forget", "restore", "may send", "gate",
                                "idle"), (8, 4, 8, 4, 4, 0.4, 0.2, 2, 2, 12))[0]
            if kind == "cause" and len(f.causes) < 4:
                f.queue_cause(function, rng.choice((vector, vector, NO_VECTOR)), enabled=rng.random() < 0.9)
            elif kind == "config":
                await f.config_cause(ctx, function, vector, enabled=rng.random() < 0.9, forget=rng.random() < 0.05)
            elif kind == "mask":
                await f.access(ctx, function, vector, 3, int(rng.random() < 0.3), 1)
            elif kind == "write":
                await f.access(ctx, function, vector, rng.randrange(3), rng.getrandbits(32), rng.randrange(16))
            elif kind == "look":
                await f.access(ctx, function, vector)
            elif kind in ("forget", "restore"):
                await f.clock(ctx, Clock(function, forget=True, restore=kind == "restore"))
            elif kind == "may send":
                await f.clock(ctx, Clock(function, may_send=rng.random() < 0.7))
            elif kind == "gate":
                await f.clock(ctx, Clock(function, gate=rng.random() < 0.6))
            else:
                await f.idle(ctx, rng.choice((1, 2, 20)))
        # At the end some wait behind their masks for a while, and all are told when the masks go.
        for function in range(functions):
            await f.clock(ctx, Clock(function, may_send=True, gate=True))
        everyone = [(function, vector) for function in range(functions) for vector in range(vectors)]
        last = everyone[-20:]
        for function, vector in last:
            await f.access(ctx, function, vector, 3, 1, 1)
            await f.config_cause(ctx, function, vector)
        await f.idle(ctx, 100)
        for function, vector in everyone:
            await f.access(ctx, function, vector, 3, 0, 1)
        clocks = 0
        while f.causes or f.unsettled or f.pending:
            await f.idle(ctx, 1)
            clocks += 1
            assert clocks < 40 * (len(last) + functions) + 400
        await f.idle(ctx, 60)
        assert not f.pending and not f.owed
        assert len(f.told) > 30

    f.run(play)

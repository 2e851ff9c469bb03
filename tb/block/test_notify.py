"""What is pending reaches the back end in the order that the rules say, once, and no queue is forgotten."""

import random
from itertools import pairwise

import pytest
from block.simulation import plain, simulate, taking
from virtio_mmr.gateware.backend import DriverEvent, QueueChange, ResetCause
from virtio_mmr.gateware.notify import NotifyUnit

STREAMS = ("driver_update", "queue_update", "notification", "reset_request")


class Row:
    """A function's flags, kept as the state block keeps them: a report clears what it took."""

    def __init__(self, queues, **values):
        self.queues = queues
        self.values = {"gate": 1, **values}

    def __getitem__(self, name):
        return self.values.get(name, 0)

    def __setitem__(self, name, value):
        self.values[name] = value

    def take(self, reported, scan):
        for name, flag in (("reset", "reset_unsent"), ("driver_ok", "tell_driver_ok"), ("features", "tell_features"),
                           ("gate", "tell_gate")):
            if reported[name]:
                self[flag] = 0
        if reported["queue"]:
            self["tell_queue"] = self["tell_queue"] & ~(1 << scan)
        if reported["notification"]:
            self["notified"] = self["notified"] & ~(1 << scan)


class Bench:
    """A `NotifyUnit` with its row, reporting whenever it wants to; what the back end took, in order."""

    def __init__(self, queues, rng, *, stall=0.0, report=1.0, modern=False, **row):
        self.dut = NotifyUnit(queues, modern=modern)
        self.row, self.rng, self.stall, self.report = Row(queues, **row), rng, stall, report
        self.may_request, self.queues = True, queues
        self.events, self.wanted = [], False

    async def step(self, ctx):
        """One clock."""
        dut, row = self.dut, self.row
        ctx.set(dut.row, {name: ResetCause(row[name]) if name == "reset_cause" else row[name]
                          for name in dut.row.shape().members if name in row.values})
        ctx.set(dut.may_request, self.may_request)
        ctx.set(dut.queue_size, 0x100)
        ctx.set(dut.vector, 1)
        # A report belongs to a clock in which one is wanted.
        self.wanted = ctx.get(dut.wanted)
        ctx.set(dut.scan, ctx.get(dut.next_queue))
        ctx.set(dut.report, bool(self.wanted) and self.rng.random() < self.report)
        _, _, reported, scan = await ctx.tick().sample(dut.reported, dut.scan)
        row.take(plain(reported), scan)

    def run(self, play):
        """Everything that the back end took while *play* went on: (stream, payload)."""
        bench = self

        class Log(list):
            def __init__(self, name):
                self.name = name

            def append(self, payload):
                bench.events.append((self.name, payload))

        async def back_end(ctx):
            while True:
                for name in STREAMS:
                    ctx.set(getattr(self.dut, name).ready, self.rng.random() >= self.stall)
                await ctx.tick()

        simulate(self.dut, play, background=[
            back_end,
            *(taking(getattr(self.dut, name), Log(name)) for name in STREAMS)])
        return self.events


@pytest.mark.parametrize("stall", [0.0, 0.7])
def test_driver_updates_come_in_order_and_before_notifications(stall):
    bench = Bench(2, random.Random(1), stall=stall, tell_driver_ok=1, tell_features=1, tell_gate=1, notified=3,
                  tell_queue=3, queue_page_bytes=0x0F, driver_features=0x1234, status=7, epoch=2)

    async def play(ctx):
        for _ in range(80):
            await bench.step(ctx)
        assert not bench.wanted

    events = bench.run(play)
    updates = [payload for name, payload in events if name == "driver_update"]
    assert [update["event"] for update in updates] == [
        DriverEvent.DRIVER_OK, DriverEvent.FEATURES, DriverEvent.GATE_OPEN]
    assert all((update["features"], update["epoch"], update["legacy"], update["driver_ok"]) == (0x1234, 2, 1, 1)
               for update in updates)
    changes = sorted((payload["queue"], payload["change"], payload["size"], payload["vector_valid"])
                     for name, payload in events if name == "queue_update")
    assert changes == [(0, QueueChange.ENABLE, 0x100, 0), (1, QueueChange.DISABLE, 0x100, 0)]
    notified = [payload["queue"] for name, payload in events if name == "notification"]
    assert sorted(notified) == [0, 1]
    names = [name for name, _ in events]
    last_update = max(index for index, name in enumerate(names) if name == "driver_update")
    assert names.index("notification") > last_update
    for queue in (0, 1):
        told = next(index for index, (name, payload) in enumerate(events)
                    if name == "queue_update" and payload["queue"] == queue)
        kicked = next(index for index, (name, payload) in enumerate(events)
                      if name == "notification" and payload["queue"] == queue)
        assert told < kicked


def test_gate_event_says_how_the_gate_stands():
    bench = Bench(1, random.Random(0), tell_gate=1, gate=0, big_endian=1)

    async def play(ctx):
        for _ in range(10):
            await bench.step(ctx)
        bench.row["gate"], bench.row["tell_gate"] = 1, 1
        for _ in range(10):
            await bench.step(ctx)

    events = bench.run(play)
    assert [(payload["event"], payload["big_endian"]) for _, payload in events] == [
        (DriverEvent.GATE_CLOSE, 1), (DriverEvent.GATE_OPEN, 1)]


@pytest.mark.parametrize("closed", [
    {"gate": 0}, {"badstate": 1 << 8}, {"badstate": 1}, {"may_request": False}, {"reset_outstanding": 1}])
def test_no_notification_while_the_function_may_not_do_dma(closed):
    bench = Bench(3, random.Random(0), notified=0b101)
    before = dict(bench.row.values)

    async def play(ctx):
        for name, value in closed.items():
            if name == "may_request":
                bench.may_request = value
            else:
                bench.row[name] = value
        for _ in range(40):
            await bench.step(ctx)
            assert not bench.wanted
        assert bench.events == []
        assert bench.row["notified"] == 0b101, "it stays pending"
        bench.may_request = True
        bench.row.values = before
        for _ in range(20):
            await bench.step(ctx)

    events = bench.run(play)
    assert sorted(payload["queue"] for name, payload in events) == [0, 2]


@pytest.mark.parametrize("stall", [0.0, 0.8])
def test_reset_comes_after_what_was_offered_before_it_and_before_everything_since(stall):
    rng = random.Random(3)
    bench = Bench(2, rng, stall=stall, queue_page_bytes=0xFF)
    causes = []

    async def play(ctx):
        for number in range(1, 31):
            bench.row.values.update(tell_driver_ok=1, tell_queue=rng.randrange(4), notified=rng.randrange(4), status=4)
            for _ in range(rng.randrange(10)):
                await bench.step(ctx)
            # A reset: everything pending is dropped, a new epoch begins.
            causes.append(ResetCause(rng.randrange(4)))
            bench.row.values.update(
                tell_driver_ok=0, tell_queue=0, notified=0, status=0, reset_unsent=1, reset_outstanding=1,
                reset_cause=causes[-1].value, epoch=number % 4)
            for _ in range(rng.randrange(4)):
                await bench.step(ctx)
            bench.row.values.update(tell_driver_ok=1, tell_queue=3, notified=3, status=4)
            while len(requests()) < number:
                await bench.step(ctx)
            heard = len(bench.events)
            for _ in range(rng.randrange(10)):
                await bench.step(ctx)
            assert len(bench.events) == heard, "nothing of the new epoch before the acknowledgement"
            bench.row["reset_outstanding"] = 0
        for _ in range(40):
            await bench.step(ctx)

    def requests():
        return [payload for name, payload in bench.events if name == "reset_request"]

    epoch = 0
    for name, payload in bench.run(play):
        if name == "reset_request":
            epoch = payload["epoch"]
        elif name == "driver_update":
            assert payload["epoch"] == epoch, "an update stands on the right side of the request"
    assert [(payload["epoch"], payload["cause"]) for payload in requests()] == [
        (number % 4, cause) for number, cause in enumerate(causes, 1)]


@pytest.mark.parametrize("queues", [1, 2, 3, 5])
def test_queues_that_are_always_notified_are_served_in_turn(queues):
    rng = random.Random(queues)
    bench = Bench(queues, rng, stall=0.3)

    async def play(ctx):
        for _ in range(60 * queues):
            bench.row["notified"] = (1 << queues) - 1
            await bench.step(ctx)

    served = [payload["queue"] for name, payload in bench.run(play)]
    assert len(served) >= 10 * queues
    counts = [served.count(queue) for queue in range(queues)]
    assert max(counts) - min(counts) <= 1
    assert all(one != other for one, other in pairwise(served)) or queues == 1


def test_notifications_coalesce_while_the_back_end_does_not_take_them():
    bench = Bench(2, random.Random(0), stall=1.0)

    async def play(ctx):
        for _ in range(50):
            bench.row["notified"] = 0b11
            await bench.step(ctx)
        bench.row["notified"] = 0b11
        bench.stall = 0.0
        for _ in range(20):
            await bench.step(ctx)

    events = bench.run(play)
    assert sorted(payload["queue"] for _, payload in events) in ([0, 0, 1], [0, 1, 1])


@pytest.mark.parametrize("seed", range(3))
def test_nothing_pending_is_lost_or_told_twice(seed):
    rng = random.Random(seed)
    queues = rng.choice([1, 2, 4])
    bench = Bench(queues, rng, stall=0.4, report=0.5)
    asked = {name: 0 for name in ("tell_driver_ok", "tell_features", "tell_gate")}

    async def play(ctx):
        for _ in range(300):
            for name in asked:
                if rng.random() < 0.05 and not bench.row[name]:
                    bench.row[name] = 1
                    asked[name] += 1
            if rng.random() < 0.2:
                bench.row["tell_queue"] = bench.row["tell_queue"] | 1 << rng.randrange(queues)
            if rng.random() < 0.2:
                bench.row["notified"] = bench.row["notified"] | 1 << rng.randrange(queues)
            before = dict(bench.row.values)
            await bench.step(ctx)
            kicked = before.get("notified", 0) & ~bench.row["notified"]
            if kicked:
                assert not kicked & before.get("tell_queue", 0)
                assert not any(before.get(name, 0) for name in asked)
        for _ in range(200):
            await bench.step(ctx)
        assert not bench.wanted
        assert not bench.row["tell_queue"] and not bench.row["notified"]

    events = bench.run(play)
    told = [payload["event"] for name, payload in events if name == "driver_update"]
    assert told.count(DriverEvent.DRIVER_OK) == asked["tell_driver_ok"]
    assert told.count(DriverEvent.FEATURES) == asked["tell_features"]
    assert told.count(DriverEvent.GATE_OPEN) == asked["tell_gate"]


def test_row_index_counts_functions_and_queues():
    bench = Bench(3, random.Random(0), tell_queue=0b111, queue_page_bytes=0xFFF, queue_vector_valid=0b010)

    async def play(ctx):
        ctx.set(bench.dut.function, 5)
        for _ in range(30):
            await bench.step(ctx)

    events = bench.run(play)
    assert sorted((payload["queue"], payload["row"], payload["function"], payload["vector_valid"])
                  for _, payload in events) == [(0, 20, 5, 0), (1, 21, 5, 1), (2, 22, 5, 0)]


@pytest.mark.parametrize("driver_ok", [0, 1])
def test_a_modern_queue_waits_for_driver_ok_and_one_with_a_page_does_not(driver_ok):
    bench = Bench(3, random.Random(0), modern=True, notified=0b111, queue_enabled=0b111, queue_by_page=0b010,
                  driver_features=1 << 32, status=0x0B | 4 * driver_ok, big_endian=1, tell_features=1)

    async def play(ctx):
        for _ in range(60):
            await bench.step(ctx)
        assert not bench.wanted

    events = bench.run(play)
    notified = [(payload["queue"], payload["legacy"]) for name, payload in events if name == "notification"]
    assert sorted(notified) == [(queue, 0) for queue in ((0, 1, 2) if driver_ok else (1,))]
    [update] = [payload for name, payload in events if name == "driver_update"]
    assert (update["legacy"], update["big_endian"], update["features"]) == (0, 0, 1 << 32)


@pytest.mark.parametrize("features, extra", [(1 << 32, 0), (1 << 32 | 1 << 38, 0x1234), (1 << 38, 0x1234)])
def test_notification_data_goes_along_once_it_is_negotiated(features, extra):
    bench = Bench(1, random.Random(0), modern=True, notified=1, queue_enabled=1, driver_features=features, status=15)

    async def play(ctx):
        ctx.set(bench.dut.data, 0x1234)
        for _ in range(10):
            await bench.step(ctx)

    [(_, payload)] = bench.run(play)
    assert (payload["extra"], payload["legacy"]) == (extra, not features >> 32 & 1)


@pytest.mark.parametrize("flags, change", [
    ({"queue_enabled": 1}, QueueChange.ENABLE), ({}, QueueChange.DISABLE),
    ({"queue_enabled": 1, "queue_resetting": 1}, QueueChange.RESET)])
def test_the_back_end_hears_what_became_of_a_modern_queue(flags, change):
    bench = Bench(1, random.Random(0), modern=True, tell_queue=1, **flags)

    async def play(ctx):
        for _ in range(10):
            await bench.step(ctx)

    [(name, payload)] = bench.run(play)
    assert (name, payload["change"]) == ("queue_update", change)

"""Causes become messages: each is told, pending, or forgotten for a reason; compared with slow sets."""

import random

import pytest
from block.simulation import simulate, stalling, taking
from selection import broad, full
from virtio_mmr.gateware.interrupt import InterruptUnit

QUEUE, CONFIG = 1, 2


def entry(vector):
    """Address and data that the tests give a vector."""
    return 0xFEE0_0000 + 16 * vector + (vector << 33), 0x5A00 + vector


class Driver:
    """One clock of accesses and events at a time."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    async def idle(self, clocks=1):
        for _ in range(clocks):
            await self.ctx.tick()

    async def _busy(self, **inputs):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.busy, 1)
        for name, value in inputs.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.busy, 0)
        for name in inputs:
            ctx.set(getattr(dut, name), 0)

    async def cause(self, vector, which=QUEUE, **more):
        self.ctx.set(self.dut.msix_enable, 1)
        self.ctx.set(self.dut.queue_vector, vector if which == QUEUE else 0xFFFF)
        self.ctx.set(self.dut.config_vector, vector if which == CONFIG else 0xFFFF)
        await self._busy(cause=which, **more)

    async def forget(self):
        await self._busy(forget=1)

    async def restore(self):
        await self._busy(forget=1, restore=1)

    async def write(self, vector, dword, data, strobe=0xF):
        ctx, table = self.ctx, self.dut.table
        ctx.set(table.asked, 1)
        ctx.set(table.vector, vector)
        ctx.set(table.strobe, strobe << 4 * dword)
        ctx.set(table.data, data)
        await self._busy()
        ctx.set(table.asked, 0)
        ctx.set(table.strobe, 0)

    async def program(self, vector, mask=0):
        address, data = entry(vector)
        for dword, value in enumerate((address & 0xFFFF_FFFF, address >> 32, data, mask)):
            await self.write(vector, dword, value)

    async def mask(self, vector, mask):
        await self.write(vector, 3, mask)

    async def pending(self, group=0):
        ctx, table = self.ctx, self.dut.table
        ctx.set(table.asked, 1)
        ctx.set(table.vector, 32 * group)
        await self._busy()
        ctx.set(table.asked, 0)
        return ctx.get(table.pending)


def messages(found):
    """Vectors that were sent; address and data must be theirs."""
    for one in found:
        assert (one["address"], one["dword"]) == entry(one["vector"])
    return [one["vector"] for one in found]


def run(play, vectors=3, stall=0.0, seed=0):
    """Everything that is sent while ``play(driver, found)`` runs."""
    dut, found = InterruptUnit(vectors), []

    async def main(ctx):
        ctx.set(dut.may_send, 1)
        ctx.set(dut.gate, 1)
        driver = Driver(ctx, dut)
        await play(driver, found)

    simulate(dut, main, background=[stalling(dut.message, random.Random(seed), stall), taking(dut.message, found)])
    return messages(found)


def test_each_cause_sends_its_vector_once():
    async def play(driver, found):
        for vector in range(3):
            await driver.program(vector)
        for vector, which in ((0, CONFIG), (2, QUEUE), (1, QUEUE), (1, QUEUE), (0xFFFF, QUEUE), (0xFFFF, CONFIG)):
            await driver.cause(vector, which=which)
            await driver.idle(12)
            assert await driver.pending() == 0

    assert run(play) == [0, 2, 1, 1]


def test_msx_03_masked_cause_is_pending_and_sent_once_when_unmasked():
    async def play(driver, found):
        await driver.program(1, mask=1)
        for _ in range(3):
            await driver.cause(1)
        await driver.idle(30)
        assert (found, await driver.pending()) == ([], 0b010)
        await driver.mask(1, 0)
        await driver.idle(12)
        assert (messages(found), await driver.pending()) == ([1], 0)
        await driver.mask(1, 1)
        await driver.mask(1, 0)
        await driver.idle(30)

    assert run(play) == [1]


def test_msx_04_nothing_is_sent_while_the_function_may_not():
    async def play(driver, found):
        await driver.program(0)
        driver.ctx.set(driver.dut.may_send, 0)
        await driver.cause(0)
        await driver.idle(30)
        assert (found, await driver.pending()) == ([], 1)
        driver.ctx.set(driver.dut.may_send, 1)
        await driver.idle(12)

    assert run(play) == [0]


def test_mmr_25_behind_a_closed_gate_queues_wait_and_the_configuration_does_not():
    async def play(driver, found):
        ctx, gate = driver.ctx, driver.dut.gate
        for vector in range(3):
            await driver.program(vector, mask=vector == 2)
        ctx.set(gate, 0)
        # Vector 1 is the configuration's and a queue's.
        for vector, which in ((0, QUEUE), (1, CONFIG), (1, QUEUE), (2, QUEUE)):
            await driver.cause(vector, which)
            await driver.idle(20)
        await driver.mask(2, 0)
        await driver.idle(20)
        assert (messages(found), await driver.pending()) == ([1], 0b111)
        await driver.cause(1, CONFIG)
        await driver.idle(20)
        assert (messages(found), await driver.pending()) == ([1, 1], 0b111)
        ctx.set(gate, 1)
        await driver.idle(40)
        assert await driver.pending() == 0

    told = run(play)
    assert (told[:2], sorted(told[2:])) == ([1, 1], [0, 1, 2])


def test_a_gate_that_closes_between_choice_and_message_holds_it_back():
    async def play(driver, found):
        ctx, gate = driver.ctx, driver.dut.gate
        await driver.program(0)
        held = 0
        for clocks in range(8):
            await driver.cause(0)
            await driver.idle(clocks)
            ctx.set(gate, 0)
            await driver.idle(20)
            told, pending = len(found), await driver.pending()
            held += pending
            assert told + pending == clocks + 1
            await driver.idle(20)
            assert len(found) == told
            ctx.set(gate, 1)
            await driver.idle(20)
            assert len(found) == clocks + 1
        assert 0 < held < 8

    run(play)


def test_without_msix_enable_a_cause_sets_no_bit():
    async def play(driver, found):
        await driver.program(0)
        driver.ctx.set(driver.dut.queue_vector, 0)
        driver.ctx.set(driver.dut.msix_enable, 0)
        await driver._busy(cause=QUEUE)
        await driver.idle(12)
        assert await driver.pending() == 0

    assert run(play) == []


def test_a_reset_forgets_what_is_pending_but_not_its_own_cause():
    async def play(driver, found):
        driver.ctx.set(driver.dut.may_send, 0)
        for vector in range(3):
            await driver.program(vector)
            await driver.cause(vector)
        await driver.cause(1, which=CONFIG, forget=1)
        assert await driver.pending() == 0b010
        await driver.cause(2)
        await driver.forget()
        assert await driver.pending() == 0
        await driver.cause(2)
        driver.ctx.set(driver.dut.may_send, 1)
        await driver.idle(20)

    assert run(play) == [2]


def test_after_the_table_has_been_restored_causes_wait_behind_the_masks():
    async def play(driver, found):
        await driver.program(0)
        await driver.restore()
        await driver.cause(0)
        await driver.idle(20)
        assert (found, await driver.pending()) == ([], 1)
        await driver.program(0)
        await driver.idle(20)

    assert run(play) == [0]


def test_a_message_on_offer_waits_and_a_cause_behind_it_is_pending():
    async def play(driver, found):
        await driver.program(0)
        await driver.cause(0)
        await driver.idle(12)
        assert await driver.pending() == 0
        await driver.cause(0)
        await driver.idle(12)
        assert await driver.pending() == 1

    assert run(play, stall=1.0) == []


def test_a_unit_that_gets_no_clock_of_its_own_asks_for_one():
    async def play(driver, found):
        ctx, dut = driver.ctx, driver.dut
        await driver.program(0)
        await driver.cause(0)
        ctx.set(dut.busy, 1)
        clocks = 0
        while not found:
            ctx.set(dut.busy, not ctx.get(dut.starved))
            await ctx.tick()
            clocks += 1
        assert clocks < 40

    assert run(play) == [0]


def test_masked_vectors_do_not_hold_up_the_others():
    async def play(driver, found):
        for vector in range(5):
            await driver.program(vector, mask=vector != 4)
            await driver.cause(vector)
        await driver.idle(40)

    assert run(play, vectors=5) == [4]


def test_a_vector_that_never_rests_does_not_keep_the_others_waiting():
    async def play(driver, found):
        await driver.program(0)
        await driver.program(1)
        await driver.cause(1)
        for _ in range(10):
            await driver.cause(0)
            await driver.idle(1)
        assert 1 in messages(found)

    run(play)


def test_a_cause_behind_the_place_that_a_visit_has_reached_is_told_in_the_next():
    async def play(driver, found):
        for vector in (0, 33):
            await driver.program(vector)
        for clocks in range(12):
            await driver.cause(33)
            await driver.idle(clocks)
            await driver.cause(0)
            await driver.idle(20)
            assert await driver.pending() == 0

    told = run(play, vectors=34)
    assert sorted(told) == [0] * 12 + [33] * 12


class Ledger:
    """What is owed to the driver, clock by clock: a slow statement of what the unit is for."""

    def __init__(self, dut, vectors):
        self._dut, self._vectors = dut, vectors
        #: Vectors with a cause that was neither told nor forgotten: of a queue, of the configuration.
        self.owed = {QUEUE: set(), CONFIG: set()}
        self.unmasked = set()
        self.told = 0

    async def watch(self, ctx):
        dut = self._dut
        waited = might_send = might_tell_queues = False
        # What happens has its effect in the clock behind: no message of that clock has heard of it.
        coming = (False,) * 11
        while True:
            _, _, may_send, gate, valid, ready, message, *happens = await ctx.tick().sample(
                dut.may_send, dut.gate, dut.message.valid, dut.message.ready, dut.message.p,
                dut.busy, dut.cause, dut.queue_vector, dut.config_vector, dut.msix_enable, dut.forget, dut.restore,
                dut.table.asked, dut.table.vector, dut.table.strobe, dut.table.data)
            (busy, cause, queue, config, enable, forget, restore, asked, vector, strobe, data), coming = coming, happens
            if valid and not waited:
                key = message["vector"]
                told = {QUEUE, CONFIG} if might_tell_queues else {CONFIG}
                assert any(key in self.owed[which] for which in told), f"{key} is told without a cause, or once more"
                assert key in self.unmasked and might_send, f"{key} is told although it may not be"
                for which in told:
                    self.owed[which].discard(key)
                self.told += 1
            waited, might_send, might_tell_queues = valid and not ready, may_send, gate
            if not busy:
                continue
            if forget or restore:
                for vectors in self.owed.values():
                    vectors.clear()
            if restore:
                self.unmasked.clear()
            vector_of = config if cause & CONFIG else queue
            if cause and enable and vector_of < self._vectors:
                self.owed[cause].add(vector_of)
            if asked and strobe >> 12 & 1:
                (self.unmasked.discard if data & 1 else self.unmasked.add)(vector)

    def pending(self, group):
        """How a group of pending bits must read once nothing may be sent any more."""
        return sum(1 << vector % 32 for vector in set().union(*self.owed.values()) if vector // 32 == group)


@pytest.mark.parametrize(("vectors", "stall"), [
    (3, 0.6), *broad((1, 0.6), (40, 0.6)), *full((1, 0.0), (3, 0.0), (40, 0.0))])
def test_no_cause_is_lost_and_none_is_told_twice(vectors, stall):
    rng = random.Random(vectors)
    dut = InterruptUnit(vectors)
    ledger = Ledger(dut, vectors)

    async def play(ctx):
        driver = Driver(ctx, dut)
        ctx.set(dut.gate, 1)
        for _ in range(600):
            vector = rng.randrange(vectors)
            match rng.choices(("cause", "mask", "forget", "restore", "may send", "gate", "idle", "look"),
                              (12, 8, 0.5, 0.2, 2, 2, 8, 1))[0]:
                case "cause":
                    await driver.cause(vector, rng.choice((QUEUE, CONFIG)), forget=rng.random() < 0.05)
                case "mask":
                    await driver.mask(vector, int(rng.random() < 0.3))
                case "forget":
                    await driver.forget()
                case "restore":
                    await driver.restore()
                case "may send":
                    ctx.set(dut.may_send, rng.random() < 0.7)
                case "gate":
                    ctx.set(dut.gate, rng.random() < 0.6)
                case "look":
                    ctx.set(dut.may_send, 0)
                    await driver.idle()
                    for group in range(-(-vectors // 32)):
                        assert await driver.pending(group) == ledger.pending(group)
                    ctx.set(dut.may_send, 1)
                case _:
                    await driver.idle(rng.choice((1, 2, 60)))
        # At the end some wait behind their masks for a while, and all are told when the masks go.
        ctx.set(dut.may_send, 1)
        ctx.set(dut.gate, 1)
        for vector in range(vectors):
            await driver.mask(vector, 1)
            await driver.cause(vector)
        await driver.idle(100)
        for vector in range(vectors):
            await driver.mask(vector, 0)
        await driver.idle(40 * vectors)
        assert not any(ledger.owed.values())
        assert ledger.told > 20

    simulate(dut, play, background=[stalling(dut.message, rng, stall), ledger.watch])

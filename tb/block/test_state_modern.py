"""Windows of both interfaces over one state do, access by access, what the golden model does."""

import random

import pytest
from block.modern_state import ModernState
from block.simulation import plain, simulate
from model_devices import UPPER, transitional
from selection import broad
from virtio_mmr.gateware.access.interface import Space as Place
from virtio_mmr.gateware.backend import ResetCause
from virtio_mmr.gateware.state.function import EventKind
from virtio_mmr.spec import legacy
from virtio_mmr_sim.model.function import FunctionModel
from virtio_mmr_sim.model.stimulus import STATUSES
from virtio_mmr_sim.model.windows import windows


class Bench:
    """The state, and the model beside it."""

    def __init__(self, stride, rng):
        self.config = transitional(stride, queues=(8, 256, 2048), msix_vectors=4)
        self.dut, self.rng = ModernState(self.config, stride=stride), rng
        self.model = FunctionModel(self.config)
        self.windows = {space.value: window for space, window in windows(self.model).items()}

    async def access(self, ctx, name, offset, strobe, data=None):
        """One dword on both sides; what is read must agree."""
        port = getattr(self.dut, name)
        ctx.set(port.access.p, {"space": Place[name.upper()], "offset": offset, "write": data is not None,
                                "data": data or 0, "strobe": strobe})
        ctx.set(port.access.valid, 1)
        shown = ctx.get(port.reply.p.data)
        await ctx.tick()
        ctx.set(port.access.valid, 0)
        if data is not None:
            self.windows[name].write(offset, data, strobe)
            return
        lanes = sum(0xFF << 8 * lane for lane in range(4) if strobe >> lane & 1)
        assert shown & lanes == self.windows[name].read(offset, strobe), f"{name} {offset:#x}"

    async def read_all(self, ctx):
        """Every register of both headers that a read leaves alone."""
        for offset in range(0, 0x40, 4):
            await self.access(ctx, "common", offset, 0xF)
        for offset, strobe in ((0, 15), (4, 15), (8, 15), (0xC, 15), (0x10, 7), (0x14, 15)):
            await self.access(ctx, "legacy", offset, strobe)

    async def event(self, ctx, kind, **fields):
        """One event; the model is told by the caller."""
        ctx.set(self.dut.event, {"kind": kind, "epoch": self.model.fence.epoch, **fields})
        await ctx.tick()
        ctx.set(self.dut.event, {"kind": EventKind.NONE})

    async def report(self, ctx):
        """The back end hears of one queue, one driver update, and of a reset."""
        model, scan = self.model, self.rng.randrange(len(self.config.queues))
        queue = model.queues[scan]
        taken = {"reset": model.fence.requested, "queue": queue.changed, "notification": queue.notified,
                 "driver_ok": "driver_ok" in model.driver.updates, "features": "features" in model.driver.updates,
                 "gate": "gate" in model.driver.updates}
        ctx.set(self.dut.scan, scan)
        ctx.set(self.dut.reported, taken)
        await self.event(ctx, EventKind.REPORT)
        model.fence.requested = False
        model.driver.updates.clear()
        queue.changed = queue.notified = False

    def compare_row(self, ctx):
        """What waits for the back end, and how every queue stands."""
        row, model = plain(ctx.get(self.dut.row)), self.model
        for name, flag in (("tell_queue", "changed"), ("notified", "notified"), ("queue_enabled", "enabled"),
                           ("queue_by_page", "by_page"), ("queue_resetting", "resetting")):
            want = sum(getattr(queue, flag) << index for index, queue in enumerate(model.queues))
            assert row[name] == want, name
        assert row["isr"] == model.driver.isr
        assert row["tell_features"] == ("features" in model.driver.updates)
        assert row["driver_features"] == model.driver.features
        assert (row["config_generation"], row["config_changed"]) == (model.config_generation, model.config_changed)
        if model.fence.requested:
            assert row["reset_cause"] == ResetCause(model.fence.cause)

    def value(self, name, offset):
        """A dword that matters."""
        choose, bits = self.rng.choice, self.rng.getrandbits
        queue, size = choose((0, 1, 2, 2, 3, 0x100)), choose((1, 8, 256, 1024, 2048, 4096, 96, 0))
        if name == "common":
            return choose({
                0x00: (0, 1, 2), 0x08: (0, 1, 1, 2), 0x0C: (UPPER >> 32, UPPER >> 32, bits(32) & bits(32), 1 << 5),
                0x10: (3, 4), 0x14: (queue << 16 | choose(STATUSES), queue << 16 | 0x0F), 0x18: (size, size | 3 << 16),
                0x1C: (1, 1, 0, 2, 0x101), 0x38: (1 << 16, 1 << 16, 3 << 16, 1 << 24),
            }.get(offset, (0, bits(32))))
        if name == "legacy":
            return choose({
                0x08: (0, bits(32) & bits(32), 1), 0x0C: (queue << 16,), 0x10: (queue, choose(STATUSES) << 16 | queue),
            }.get(offset, (bits(32),)))
        if name == "notify":
            return bits(16) << 16 | queue
        return choose((0, 0, bits(32) & bits(32) & bits(32), 0x1FF))

    async def step(self, ctx):
        """A random clock."""
        rng, model, roll = self.rng, self.model, self.rng.random()
        if roll < 0.55:
            name = rng.choice(("common", "common", "common", "legacy", "control", "notify"))
            end = {"common": 0x44, "legacy": legacy.HEADER.size, "control": 0x28, "notify": 0x20}[name]
            offset = 4 * rng.randrange(end // 4)
            strobe = rng.choice((15, 15, 3, 12, rng.randrange(16)))
            await self.access(ctx, name, offset, strobe, self.value(name, offset) if rng.random() < 0.8 else None)
        elif roll < 0.6:
            ctx.set(self.dut.driver_wrote, 1)
            await ctx.tick()
            ctx.set(self.dut.driver_wrote, 0)
            model.write_config({0: 1})
        elif roll < 0.65:
            ctx.set(self.dut.driver_read, 1)
            await ctx.tick()
            ctx.set(self.dut.driver_read, 0)
            model.read_config()
        elif roll < 0.66:
            ctx.set(self.dut.flr, 1)
            await ctx.tick()
            ctx.set(self.dut.flr, 0)
            model.function_level_reset()
            model.control.msix_enabled = True
        elif roll < 0.75:
            index = rng.randrange(4)
            await self.event(ctx, EventKind.QUIET, queue=index)
            model.queue_quiet(index)
        elif roll < 0.8:
            index, change = rng.randrange(4), rng.randrange(2)
            await self.event(ctx, EventKind.INTERRUPT, queue=index, value=change)
            model.interrupt_cause(model.fence.epoch, bool(change), index)
        elif roll < 0.85:
            await self.event(ctx, EventKind.RESET_DONE)
            model.reset_done(model.fence.epoch)
        else:
            await self.report(ctx)


@pytest.mark.parametrize("seed, stride", [(1, 4), *broad((2, 4), (3, 8), (4, 0))])
def test_any_accesses_and_events_do_what_the_model_does(seed, stride):
    bench = Bench(stride, random.Random(seed))
    bench.model.control.msix_enabled = True

    async def play(ctx):
        ctx.set(bench.dut.msix_enabled, 1)
        await bench.event(ctx, EventKind.INITIALISE)
        for number in range(1200):
            await bench.step(ctx)
            bench.compare_row(ctx)
            if number % 40 == 0:
                await bench.read_all(ctx)

    simulate(bench.dut, play)

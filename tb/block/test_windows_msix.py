"""The MSI-X window over the table of vectors, compared with the golden model's table access by access."""

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from block.simulation import simulate
from selection import broad
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.state.vectors import VectorTable
from virtio_mmr.gateware.windows.msix import MsixWindow
from virtio_mmr_sim.model.configuration import LANES
from virtio_mmr_sim.model.vectors import VectorTable as Golden


class Shown:
    """The window with the table behind it, which gets everything a clock late."""

    def __init__(self, vectors, size):
        self.m = Module()
        self.m.submodules.window = self.window = MsixWindow(vectors, size)
        self.m.submodules.table = self.table = VectorTable(vectors)
        self.half = size // 2
        ours, its = self.table, self.window.table
        self.vector = wiring.Signature({"vector": wiring.Out(11)}).create()
        self.m.d.comb += [
            ours.vector_ahead.eq(self.vector.vector),
            its.entry.eq(ours.stored), its.written.eq(ours.written), its.pending.eq(ours.pending)]
        self.m.d.sync += [ours.strobe.eq(its.strobe), ours.data.eq(its.data)]
        with self.m.If(its.asked):
            self.m.d.comb += ours.vector_ahead.eq(its.vector)

    async def access(self, ctx, offset, data=None, strobe=0xF):
        """The enabled bytes that are shown in the clock behind the access."""
        port = self.window.port
        ctx.set(port.access.payload, {
            "space": Space.MSIX, "offset": offset, "write": data is not None, "data": data or 0, "strobe": strobe})
        ctx.set(port.access.valid, 1)
        assert (ctx.get(port.reply.valid), ctx.get(port.reply.p.data)) == (1, 0)
        await ctx.tick()
        ctx.set(port.access.valid, 0)
        shown = ctx.get(self.window.late)
        await ctx.tick()
        assert (ctx.get(port.reply.valid), ctx.get(self.window.late)) == (0, 0)
        return shown

    async def change(self, ctx, *names, vector=0, pend=0):
        """One clock with some of the table's inputs high."""
        ctx.set(self.vector.vector, vector)
        await ctx.tick()
        ctx.set(self.vector.vector, 0)
        ctx.set(self.table.reason, vector)
        ctx.set(self.table.pend, pend)
        for name in names:
            ctx.set(getattr(self.table, name), 1)
        await ctx.tick()
        ctx.set(self.table.pend, 0)
        for name in names:
            ctx.set(getattr(self.table, name), 0)


def pend(golden, vector, reason):
    """The model's vector becomes pending for a queue (1) or for the configuration (2)."""
    (golden.pend_for_queue if reason == 1 else golden.pend_for_configuration)(vector)


def expected(golden, half, offset):
    """A dword of the window, by the model; 0 where there is nothing."""
    return golden.read(offset) if offset < half else golden.pending(offset - half)


@pytest.mark.parametrize(("vectors", "size"), [(1, 32), (3, 0x1000), *broad((16, 0x200), (40, 0x1000))])
def test_the_table_reads_as_it_was_written_byte_by_byte(vectors, size):
    shown, golden, rng = Shown(vectors, size), Golden(vectors), random.Random(vectors)
    places = [*range(0, 16 * vectors, 4), 16 * vectors, shown.half, shown.half + 4, shown.half + 8, size - 4]
    places = sorted({place for place in places if place < size})

    async def drive(ctx):
        for _ in range(1000):
            vector = rng.randrange(vectors)
            reason = rng.choice((1, 2))
            match rng.choices(("access", "pend", "sent", "forget", "pend alone", "restore"), (40, 8, 4, 1, 1, 1))[0]:
                case "pend":
                    await shown.change(ctx, vector=vector, pend=reason)
                    pend(golden, vector, reason)
                case "sent":
                    gate = rng.random() < 0.5
                    await shown.change(ctx, "sent", *["gate"] * gate, vector=vector)
                    golden.vectors[vector].for_configuration = False
                    golden.vectors[vector].for_queues &= not gate
                case "forget":
                    await shown.change(ctx, "forget")
                    golden.forget()
                case "pend alone":
                    await shown.change(ctx, "forget", vector=vector, pend=reason)
                    golden.forget()
                    pend(golden, vector, reason)
                case "restore":
                    await shown.change(ctx, "restore")
                    golden.reset()
                case _:
                    offset, strobe = rng.choice(places), rng.randrange(16)
                    write = rng.random() < 0.5
                    data = rng.getrandbits(32) if write else None
                    wanted = expected(golden, shown.half, offset) & LANES[strobe]
                    assert await shown.access(ctx, offset, data, strobe) == wanted
                    if write and offset < shown.half:
                        golden.write(offset, data, strobe)
            if rng.random() < 0.01:
                for offset in places:
                    assert await shown.access(ctx, offset) == expected(golden, shown.half, offset)

    simulate(shown.m, drive)


def test_msx_01_after_a_reset_a_byte_that_is_written_leaves_no_old_ones_beside_it():
    shown = Shown(3, 0x1000)

    async def drive(ctx):
        for offset in range(0, 48, 4):
            await shown.access(ctx, offset, 0xFFFF_FFFE)
        await shown.change(ctx, "restore")
        await shown.access(ctx, 0x14, 0x1234_5678, 0b0010)
        found = [await shown.access(ctx, offset) for offset in range(0, 48, 4)]
        assert found == [0, 0, 0, 1, 0, 0x5600, 0, 1, 0, 0, 0, 1]

    simulate(shown.m, drive)


def test_ready_shows_what_is_pending_and_neither_masked_nor_behind_the_gate():
    shown, golden, rng = Shown(40, 0x1000), Golden(40), random.Random(7)

    async def drive(ctx):
        for _ in range(500):
            vector = rng.randrange(40)
            if rng.random() < 0.5:
                reason = rng.choice((1, 2))
                await shown.change(ctx, vector=vector, pend=reason)
                pend(golden, vector, reason)
            else:
                data, strobe = rng.getrandbits(32), rng.randrange(16)
                await shown.access(ctx, 16 * vector + 12, data, strobe)
                golden.write(16 * vector + 12, data & LANES[strobe], strobe)
            for group, gate in ((0, 0), (0, 1), (1, 1), (1, 0)):
                ctx.set(shown.vector.vector, 32 * group)
                await ctx.tick()
                ctx.set(shown.table.gate, gate)
                wanted = sum((not one.masked and (one.for_configuration or (one.for_queues and gate))) << place
                             for place, one in enumerate(golden.vectors[32 * group:32 * group + 32]))
                assert ctx.get(shown.table.ready) == wanted

    simulate(shown.m, drive)

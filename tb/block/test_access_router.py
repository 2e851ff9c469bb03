"""The router hands each access to one window, and shows no byte that was not asked for."""

import random

import pytest
from amaranth.hdl import Module
from block.simulation import any_dword, plain, simulate
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.access.router import AccessRouter

SPACES = (Space.CONFIG, Space.LEGACY, Space.ISR, Space.MSIX)


def masked(value, strobe):
    """The bytes of a dword that are enabled; the others zero."""
    return sum(value & 0xFF << 8 * lane for lane in range(4) if strobe >> lane & 1)


@pytest.mark.parametrize("spaces", [SPACES, (Space.CONFIG,), tuple(Space)[1:]])
@pytest.mark.parametrize("reach", [None, {Space.LEGACY: 6, Space.MSIX: 12}])
def test_access_reaches_its_window_alone_and_its_enabled_bytes_come_back(spaces, reach):
    rng = random.Random(1)
    m = Module()
    m.submodules.dut = dut = AccessRouter(spaces, reach=reach)
    windows = {space: getattr(dut, f"window_{space.name.lower()}") for space in spaces}

    async def play(ctx):
        for _ in range(200):
            access = {"space": rng.choice(list(Space)), "function": rng.getrandbits(8), "offset": rng.getrandbits(20),
                      "write": rng.getrandbits(1), "data": any_dword(rng), "strobe": rng.getrandbits(4)}
            access["offset"] >>= rng.choice((0, 8, 14))
            valid = rng.random() < 0.8
            answer = any_dword(rng)
            if reach is not None:
                ctx.set(dut.coming.payload, access)
                ctx.set(dut.coming.valid, valid)
                await ctx.tick()
                # What comes next is something else already.
                ctx.set(dut.coming.payload, {"space": rng.choice(list(Space)), "offset": rng.getrandbits(20)})
                ctx.set(dut.coming.valid, rng.getrandbits(1))
            ctx.set(dut.port.access.payload, access)
            ctx.set(dut.port.access.valid, valid)
            for space, window in windows.items():
                ctx.set(window.reply.payload, {"data": answer if valid and space is access["space"] else 0})
                ctx.set(window.reply.valid, valid and space is access["space"])
            seen = [space for space, window in windows.items() if ctx.get(window.access.valid)]
            claimed = valid and access["space"] in spaces
            reached = claimed and access["offset"] >> (reach or {}).get(access["space"], 20) == 0
            assert seen == ([access["space"]] if reached else [])
            if reached:
                assert plain(ctx.get(windows[access["space"]].access.payload)) == access
            assert ctx.get(dut.hole) == (valid and not claimed)
            assert ctx.get(dut.port.reply.valid) == valid
            if valid:
                assert ctx.get(dut.port.reply.p.data) == (masked(answer, access["strobe"]) if claimed else 0)

    simulate(m, play)


def test_a_late_window_answers_behind_its_access():
    rng = random.Random(2)
    dut = AccessRouter(SPACES, late=(Space.MSIX,))

    async def play(ctx):
        before = None
        for _ in range(300):
            space, strobe, valid = rng.choice(list(Space)), rng.getrandbits(4), rng.random() < 0.8
            ctx.set(dut.port.access.payload, {"space": space, "strobe": strobe})
            ctx.set(dut.port.access.valid, valid)
            answer, late = any_dword(rng), any_dword(rng)
            ctx.set(dut.window_legacy.reply.payload, {"data": answer if valid and space is Space.LEGACY else 0})
            ctx.set(dut.late_msix, late if before is not None else 0)
            if valid:
                assert ctx.get(dut.port.reply.p.data) == (masked(answer, strobe) if space is Space.LEGACY else 0)
            assert ctx.get(dut.late) == (0 if before is None else late)
            before = strobe if valid and space is Space.MSIX else None
            await ctx.tick()

    simulate(dut, play)

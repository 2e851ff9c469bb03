"""A configuration access to the window's data becomes the access that the window's settings say."""

import random

import pytest
from block.simulation import any_dword, plain, simulate
from selection import broad
from virtio_mmr.config.device import Bar, BarKind, Region
from virtio_mmr.config.device import Space as BuildSpace
from virtio_mmr.gateware.access.detour import ConfigDetour
from virtio_mmr.gateware.access.interface import Space

DATA = 0xA8
BARS = (
    Bar(index=0, kind=BarKind.MEMORY32, regions=(
        Region(space=BuildSpace.LEGACY, offset=0, size=0x100), Region(space=BuildSpace.ISR, offset=0x180, size=4))),
    Bar(index=2, kind=BarKind.MEMORY64, regions=(Region(space=BuildSpace.COMMON, offset=0x1000, size=0x1000),)),
)


def place(bar, offset):
    """Window and offset inside it, or None where the BAR ends."""
    size = {0: 0x200, 2: 0x2000}.get(bar, 0)
    if offset >= size:
        return None
    for start, end, space in {0: ((0, 0x100, Space.LEGACY), (0x180, 0x184, Space.ISR)),
                              2: ((0x1000, 0x2000, Space.COMMON),)}[bar]:
        if start <= offset < end:
            return space, (offset - start) & ~3
    return Space.HOLE, offset & ~3


def expected(access, bar, offset, length, reply):
    """What goes on, and what comes back."""
    strobe = access["strobe"]
    lanes = [lane for lane in range(length) if not access["write"] or strobe >> lane & 1] if strobe else []
    ours = access["space"] is Space.CONFIG and access["offset"] == DATA and access["function"] == 0
    found = place(bar, offset) if length in (1, 2, 4) and offset % length == 0 else None
    if not ours or found is None or not lanes:
        return access, reply
    low = offset % 4
    went = {**access, "space": found[0], "offset": found[1],
            "strobe": sum(1 << lane + low for lane in lanes), "data": access["data"] << 8 * low & 0xFFFF_FFFF}
    mask = sum(0xFF << 8 * lane for lane in range(4) if strobe >> lane & 1)
    return went, reply >> 8 * low & mask


@pytest.mark.parametrize("seed", [0, *broad(1, 2)])
def test_settings_decide_where_an_access_goes(seed):
    rng = random.Random(seed)
    dut = ConfigDetour(BARS, DATA, late=True)

    async def play(ctx):
        before = None
        for _ in range(1500):
            bar = rng.choice((0, 0, 2, 2, 1, 5, 6, 7, 8, 0x82))
            offset = rng.choice((0, 0x10, 0x13, 0x12, 0xFC, 0x100, 0x180, 0x181, 0x1FE, 0x200, 0x1000, 0x1014, 0x1FFC,
                                 0x2000, 1 << 31, rng.getrandbits(13)))
            length = rng.choice((1, 2, 4, 1, 2, 4, 0, 3, 5, 8, 1 << 16 | 1))
            access = {"space": rng.choice((Space.CONFIG, Space.CONFIG, Space.LEGACY)),
                      "function": rng.choice((0, 0, 0, 0, 1, 0x80)),
                      "offset": rng.choice((DATA, DATA, DATA, DATA - 4, 0x1000 + DATA)), "write": rng.getrandbits(1),
                      "data": any_dword(rng), "strobe": rng.choice((15, 15, rng.getrandbits(4)))}
            reply, valid = any_dword(rng), rng.getrandbits(1)
            for signal, value in ((dut.bar, bar), (dut.offset, offset), (dut.length, length),
                                  (dut.port.access.p, access), (dut.port.access.valid, valid),
                                  (dut.onward.reply.p.data, reply), (dut.onward.reply.valid, valid)):
                ctx.set(signal, value)
            # What comes a clock late is treated as it would have been in time.
            late = any_dword(rng)
            ctx.set(dut.onward_late, late)
            if before is not None:
                assert ctx.get(dut.late) == expected(*before, late)[1]
            before = access, bar, offset, length
            went, answer = expected(access, bar, offset, length, reply)
            found = plain(ctx.get(dut.onward.access.p))
            if went is not access:
                # Bytes that are not enabled mean nothing.
                mask = sum(0xFF << 8 * lane for lane in range(4) if went["strobe"] >> lane & 1)
                found["data"], went["data"] = found["data"] & mask, went["data"] & mask
            assert found == went
            assert ctx.get(dut.port.reply.p.data) == answer
            assert (ctx.get(dut.onward.access.valid), ctx.get(dut.port.reply.valid)) == (valid, valid)
            await ctx.tick()

    simulate(dut, play)

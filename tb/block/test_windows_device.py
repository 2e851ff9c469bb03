"""One image of the device configuration serves every window, whoever changes it."""

import gc
import random
import warnings

import pytest
from block.simulation import any_dword, offer, plain, simulate, stalling, taking
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.device import DeviceWindow
from virtio_mmr.spec.device_types import BLOCK, CONSOLE, ENTROPY, NET, Owner
from virtio_mmr_sim.bus.amaranth import push

KINDS = {kind.name: kind for kind in (NET, BLOCK, CONSOLE, ENTROPY)}


def owner(kind, byte):
    """Who may change a byte; nobody behind the end."""
    for field in kind.config:
        if field.offset <= byte < field.offset + field.size:
            return field.owner
    return Owner.FIXED


def guest_byte(kind, byte, big):
    """The image's byte that a guest finds at *byte* of the legacy window."""
    if big:
        for field in kind.config:
            width = field.width // 8
            if field.offset <= byte < field.offset + field.size:
                element = (byte - field.offset) // width * width + field.offset
                return element + width - 1 - (byte - element)
    return byte


class Slow:
    """Bytes, who may change them, and what the device has not heard yet."""

    def __init__(self, kind, image):
        self.kind, self.image, self.bytes = kind, bytes(image), bytearray(image)
        self.staged, self.written = {}, set()

    def read(self, offset, big):
        data = 0
        for lane in range(4):
            at = guest_byte(self.kind, offset + lane, big)
            data |= (self.bytes[at] if at < len(self.bytes) else 0) << 8 * lane
        return data

    def write(self, offset, data, strobe, big):
        """Whether it changed a byte."""
        hit = False
        for lane in range(4):
            at = guest_byte(self.kind, offset + lane, big)
            if strobe >> lane & 1 and owner(self.kind, at) is Owner.DRIVER:
                self.bytes[at] = data >> 8 * lane & 0xFF
                self.written.add(at)
                hit = True
        return hit

    def stage(self, beat):
        for lane in range(4):
            at = (beat["offset"] & ~3) + lane
            if beat["strobe"] >> lane & 1 and owner(self.kind, at) is not Owner.FIXED:
                self.staged[at] = beat["data"] >> 8 * lane & 0xFF

    def apply(self):
        for at, value in self.staged.items():
            self.bytes[at] = value
        self.staged.clear()


def make(kind, rng, big):
    image = bytes(rng.randrange(256) for _ in range(kind.config_size))
    return DeviceWindow(kind, image, big_endian=big), Slow(kind, image)


async def access(ctx, dut, slow, *, direct, offset, write, data=0, strobe=0xF, big=False):
    """One access, and what it shows and does."""
    port, other = (dut.direct, dut.legacy) if direct else (dut.legacy, dut.direct)
    ctx.set(port.access.payload, {
        "space": Space.DEVICE, "offset": offset, "write": write, "data": data, "strobe": strobe})
    ctx.set(port.access.valid, 1)
    ctx.set(dut.big, big)
    _, _, valid, shown, wrote, silent = await ctx.tick().sample(
        port.reply.valid, port.reply.p.data, dut.driver_wrote, other.reply.valid)
    ctx.set(port.access.valid, 0)
    swap = big and not direct
    assert (valid, silent) == (1, 0)
    assert shown == slow.read(offset, swap), hex(offset)
    assert wrote == (slow.write(offset, data, strobe, swap) if write else False)


def random_beat(rng, kind, last=0):
    return {"function": 0, "offset": rng.randrange(0, kind.config_size + 8, 4) if kind.config_size else 0,
            "data": any_dword(rng), "strobe": rng.getrandbits(4), "last": last}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("big", [False, True])
def test_any_accesses_and_updates_leave_the_right_bytes(kind, big):
    rng = random.Random(f"{kind}{big}")
    dut, slow = make(KINDS[kind], rng, big)
    size = KINDS[kind].config_size

    class Staging(list):
        def append(self, beat):
            slow.stage(beat)

    async def device(ctx):
        for _ in range(60):
            beats = [random_beat(rng, KINDS[kind]) for _ in range(rng.randint(1, 4))]
            beats[-1]["last"] = 1
            for _ in range(rng.randrange(8)):
                await ctx.tick()
            await offer(ctx, dut.update, beats)

    async def driver(ctx):
        ctx.set(dut.write.ready, 1)
        for _ in range(250):
            if ctx.get(dut.update_waiting) and rng.random() < 0.5:
                await ctx.tick()
                slow.apply()
                ctx.set(dut.apply, 1)
                await ctx.tick()
                ctx.set(dut.apply, 0)
                continue
            if rng.random() < 0.01:
                slow.bytes[:] = slow.image
                ctx.set(dut.restore, 1)
                await ctx.tick()
                ctx.set(dut.restore, 0)
                continue
            if rng.random() < 0.2:
                await ctx.tick()
                continue
            await access(ctx, dut, slow, direct=rng.random() < 0.4, write=rng.random() < 0.5, data=any_dword(rng),
                         offset=rng.choice([rng.randrange(0, size + 9, 4), 4 * rng.getrandbits(18)]),
                         strobe=rng.getrandbits(4), big=big and rng.random() < 0.5)

    simulate(dut, driver, background=[device, taking(dut.update, Staging())])


@pytest.mark.parametrize("kind", ["net", "block", "console"])
def test_update_shows_nothing_before_it_is_applied_and_everything_then(kind):
    rng = random.Random(kind)
    dut, slow = make(KINDS[kind], rng, False)
    size = KINDS[kind].config_size

    async def play(ctx):
        for _ in range(3):
            beats = [{"function": 0, "offset": offset, "data": any_dword(rng), "strobe": 15, "last": 0}
                     for offset in range(0, size, 4)]
            beats[-1]["last"] = 1
            for beat in beats:
                assert not ctx.get(dut.update_waiting)
                slow.stage(beat)
                await push(ctx, dut.update, [beat])
                for offset in range(0, size, 4):
                    await access(ctx, dut, slow, direct=True, offset=offset, write=False)
            assert ctx.get(dut.update_waiting) and not ctx.get(dut.update.ready)
            slow.apply()
            ctx.set(dut.apply, 1)
            await ctx.tick()
            ctx.set(dut.apply, 0)
            assert not ctx.get(dut.update_waiting)
            for offset in range(0, size, 4):
                await access(ctx, dut, slow, direct=True, offset=offset, write=False)

    simulate(dut, play)


@pytest.mark.parametrize("kind", ["net", "block", "console"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("stall", [0.0, 0.9])
def test_device_hears_of_every_written_byte_and_the_last_value_counts(kind, big, stall):
    rng = random.Random(f"{kind}{big}{stall}")
    dut, slow = make(KINDS[kind], rng, big)
    size = KINDS[kind].config_size
    reports, mirror = [], dict(enumerate(slow.image))
    writable = [at for at in range(size) if owner(KINDS[kind], at) is Owner.DRIVER]

    async def driver(ctx):
        for _ in range(150):
            await access(ctx, dut, slow, direct=rng.random() < 0.4, offset=rng.randrange(0, size + 4, 4), write=True,
                         data=any_dword(rng), strobe=rng.getrandbits(4), big=big)
            for _ in range(rng.choice([0, 0, 0, 5])):
                await ctx.tick()
        for _ in range(250):
            await ctx.tick()

    simulate(dut, driver, background=[stalling(dut.write, rng, stall), taking(dut.write, reports)])
    for report in reports:
        assert report["strobe"], "a report of nothing"
        for lane in range(4):
            if report["strobe"] >> lane & 1:
                assert owner(KINDS[kind], report["offset"] + lane) is Owner.DRIVER
                mirror[report["offset"] + lane] = report["data"] >> 8 * lane & 0xFF
    assert bytes(mirror[at] for at in range(size)) == bytes(slow.bytes)
    assert slow.written == set(writable)
    if stall:
        assert len(reports) < 150, "reports coalesce"


def test_reports_wait_for_the_back_end_and_come_once():
    dut, slow = make(NET, random.Random(0), False)

    async def play(ctx):
        await access(ctx, dut, slow, direct=True, offset=0, write=True, data=0x4433_2211, strobe=0b0001)
        await ctx.tick().repeat(3)
        for strobe, data in ((0b0010, 0xAA00), (0b0010, 0xBB00), (0b1000, 0x77 << 24)):
            await access(ctx, dut, slow, direct=False, offset=0, write=True, data=data, strobe=strobe)
        await access(ctx, dut, slow, direct=False, offset=4, write=True, data=0x6655, strobe=0b1111)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.write.valid), "a word on offer stays"
        ctx.set(dut.write.ready, 1)
        found = []
        for _ in range(20):
            _, _, valid, report = await ctx.tick().sample(dut.write.valid, dut.write.payload)
            found += [plain(report)] if valid else []
        assert [(one["offset"], one["strobe"]) for one in found] == [(0, 0b0001), (0, 0b1010), (4, 0b0011)]
        assert found[1]["data"] >> 8 & 0xFF == 0xBB and found[1]["data"] >> 24 == 0x77
        assert found[2]["data"] & 0xFFFF == 0x6655

    simulate(dut, play)


@pytest.mark.parametrize("kind", ["net", "console"])
def test_restore_wins_and_takes_back_what_was_not_reported(kind):
    rng = random.Random(0)
    dut, slow = make(KINDS[kind], rng, False)
    size = KINDS[kind].config_size

    async def play(ctx):
        for offset in range(0, size, 4):
            await access(ctx, dut, slow, direct=True, offset=offset, write=True, data=any_dword(rng))
        ctx.set(dut.restore, 1)
        await ctx.tick()
        ctx.set(dut.restore, 0)
        slow.bytes[:] = slow.image
        for offset in range(0, size, 4):
            await access(ctx, dut, slow, direct=True, offset=offset, write=False)

    simulate(dut, play)


def test_image_of_the_wrong_size_is_refused():
    with warnings.catch_warnings(action="ignore"):
        # What raises while it is made is never used, and Amaranth complains of it.
        with pytest.raises(ValueError, match="the net configuration has 12 bytes; the image has 3"):
            DeviceWindow(NET, b"abc")
        gc.collect()

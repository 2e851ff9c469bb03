"""One image of the device configuration serves every window, whoever changes it."""

import gc
import random
import warnings

import pytest
from amaranth.hdl import Elaboratable, Module
from block.simulation import any_dword, offer, plain, simulate, stalling, taking
from selection import broad, full
from virtio_mmr.config.device import DeviceConfig, Identity, VirtualFunctions
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.device import DeviceWindow
from virtio_mmr.spec.device_types import BLOCK, CONSOLE, ENTROPY, NET, Owner
from virtio_mmr.spec.legacy import CONFIG_OFFSET
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


class Quiet(Elaboratable):
    """A window of one function; nobody but it wants a clock without an access, `apply` and `restore`."""

    def __init__(self, dut):
        self._dut = dut

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._dut
        m.d.comb += dut.report.eq(~(dut.legacy.access.valid | dut.direct.access.valid | dut.apply | dut.restore))
        return m


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

    simulate(Quiet(dut), driver, background=[device, taking(dut.update, Staging())])


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

    simulate(Quiet(dut), play)


@pytest.mark.parametrize("kind", ["net", "block", "console"])
@pytest.mark.parametrize("big, stall", [
    (False, 0.0), (True, 0.9),
    *full((False, 0.9), (True, 0.0))])
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

    simulate(Quiet(dut), driver, background=[stalling(dut.write, rng, stall), taking(dut.write, reports)])
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

    simulate(Quiet(dut), play)


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

    simulate(Quiet(dut), play)


def many_functions(kind, functions, rng, *, alike=False):
    """A device of so many functions, with images of which a MAC address soon carries into its upper bytes."""
    image, virtual = (bytes(rng.randrange(256) for _ in range(kind.config_size)) for _ in range(2))
    if kind is NET:
        image = image[:2] + b"\xFF\xFF\xFF\xFA" + image[6:]
        virtual = b"\xFF\xFF\xFF\xFF\xFF\xFD" + virtual[6:]
    one = DeviceConfig(kind=kind, identity=Identity.MMR, config_image=image if alike else virtual, virtual=True)
    return DeviceConfig(kind=kind, identity=Identity.MMR, config_image=image,
                        vf=VirtualFunctions(count=functions - 1, function=one))


def window_of(config, big=False):
    return DeviceWindow(config.kind, config.config_image, functions=config.functions,
                        virtual_image=config.vf.function.config_image, big_endian=big)


class ManyFunctions:
    """One operation a clock on the function that was looked at two clocks before, beside plain Python."""

    def __init__(self, dut, config, rng, big):
        self.dut, self.config, self.rng, self.big = dut, config, rng, big
        self.rows = {function: Slow(config.kind, config.image_of(function)) for function in range(config.functions)}
        self.staged = Slow(config.kind, config.config_image)
        #: Function of a complete update, and whether its clock has been chosen.
        self.waiting, self.chosen = None, False
        self.expected, self.looked = [], []
        #: The access of this clock, if there is one, and that of the next.
        self.access = self.coming = None

    def choose(self, force=None):
        """An operation and its function, for two clocks later."""
        rng = self.rng
        if force is not None:
            return force
        if self.waiting is not None and not self.chosen and rng.random() < 0.3:
            self.chosen = True
            return "apply", self.waiting
        names = ["read", "write", "write", "report", "report", "nothing"] + ["restore"] * (rng.random() < 0.1)
        functions = self.config.functions
        near = self.looked[-rng.randint(1, 4)][1] if len(self.looked) > 4 and rng.random() < 0.7 else functions
        return rng.choice(names), near if near < functions else rng.randrange(functions)

    async def clock(self, ctx, force=None):
        """One clock: a look, perhaps a beat of an update, and the operation of the look two clocks ago."""
        dut = self.dut
        for signal in (dut.restore, dut.apply, dut.report, dut.legacy.access.valid, dut.direct.access.valid):
            ctx.set(signal, 0)
        self.looked.append(self.choose(force))
        ctx.set(dut.look, self.looked[-1][1])
        self.access, self.coming = self.coming, None
        ctx.set(dut.coming.valid, 0)
        if len(self.looked) > 1 and self.looked[-2][0] in ("read", "write"):
            self.say(ctx, write=self.looked[-2][0] == "write")
        self.beat(ctx)
        ctx.set(dut.write.ready, self.rng.random() < 0.6)
        if len(self.looked) > 2:
            name, function = self.looked[-3]
            getattr(self, name)(ctx, function)
            if name != "apply":
                assert ctx.get(dut.unreported) == bool(self.rows[function].written), (name, function)
        await ctx.tick()

    def beat(self, ctx):
        rng, update = self.rng, self.dut.update
        ctx.set(update.valid, 0)
        assert ctx.get(self.dut.update_waiting) == (self.waiting is not None)
        if self.waiting is None and rng.random() < 0.5:
            function = rng.choice([0, self.config.functions - 1, rng.randrange(256)])
            beat = random_beat(rng, self.config.kind, last=int(rng.random() < 0.4)) | {"function": function}
            ctx.set(update.payload, beat)
            ctx.set(update.valid, 1)
            assert ctx.get(update.ready)
            self.staged.stage(beat)
            if beat["last"] and function in self.rows:
                self.waiting, self.chosen = function, False
            elif beat["last"]:
                # Of a function that does not exist: forgotten.
                self.staged.staged.clear()

    def nothing(self, ctx, function):
        pass

    def restore(self, ctx, function):
        row = self.rows[function]
        ctx.set(self.dut.restore, 1)
        row.bytes[:] = row.image
        row.written.clear()

    def apply(self, ctx, function):
        ctx.set(self.dut.apply, 1)
        assert ctx.get(self.dut.update_function) == function == self.waiting
        for at, value in self.staged.staged.items():
            self.rows[function].bytes[at] = value
        self.staged.staged.clear()
        self.waiting = None

    def say(self, ctx, write):
        """Chooses the access of the next clock and says which it will be."""
        rng, size = self.rng, self.config.kind.config_size
        written = [at & ~3 for at in range(size) if owner(self.config.kind, at) is Owner.DRIVER]
        offset = rng.choice(written) if rng.random() < 0.7 else rng.randrange(0, size + 5, 4)
        self.coming = {"write": write, "offset": offset, "data": any_dword(rng), "strobe": rng.getrandbits(4)}
        through_legacy, msix = rng.random() < 0.5, rng.random() < 0.5
        ctx.set(self.dut.coming.valid, 1)
        ctx.set(self.dut.coming.p, self.coming | {
            "space": Space.LEGACY if through_legacy else Space.DEVICE,
            "offset": offset + CONFIG_OFFSET[msix] if through_legacy else offset})
        self.coming |= {"through_legacy": through_legacy, "msix": msix}

    def read(self, ctx, function):
        rng, dut, row, access = self.rng, self.dut, self.rows[function], dict(self.access)
        port, big = dut.direct, False
        msix = access.pop("msix")
        if access.pop("through_legacy"):
            port, big = dut.legacy, self.big and rng.random() < 0.5
            ctx.set(dut.msix_enabled, msix)
        ctx.set(port.access.payload, {"space": Space.DEVICE, **access})
        ctx.set(port.access.valid, 1)
        ctx.set(dut.big, big)
        offset, write = access["offset"], access["write"]
        assert ctx.get(port.reply.p.data) == row.read(offset, big), (function, hex(offset))
        assert ctx.get(dut.driver_wrote) == (write and row.write(offset, access["data"], access["strobe"], big))

    write = read

    def report(self, ctx, function):
        """The lowest dword that was written leaves, if there is room for it."""
        out, row = self.dut.write, self.rows[function]
        ctx.set(self.dut.report, 1)
        if row.written and (not ctx.get(out.valid) or ctx.get(out.ready)):
            dword = min(row.written) // 4
            lanes = {at for at in row.written if at // 4 == dword}
            self.expected.append((function, 4 * dword, {at: row.bytes[at] for at in lanes}))
            row.written -= lanes


@pytest.mark.parametrize("kind", ["net", "block", "console"])
@pytest.mark.parametrize("functions, big", [
    (5, True), *broad((256, False)), *full((5, False), (256, True))])
def test_functions_have_rows_of_their_own_and_every_change_is_seen_by_the_next_look(kind, functions, big):
    rng = random.Random(f"{kind}{functions}{big}")
    config = many_functions(KINDS[kind], functions, rng)
    dut = window_of(config, big)
    many, found = ManyFunctions(dut, config, rng, big), []

    async def play(ctx):
        for function in range(functions):
            await many.clock(ctx, ("restore", function))
        for _ in range(1500):
            await many.clock(ctx)
        for _ in range(20):
            await many.clock(ctx, ("nothing", 0))

    simulate(dut, play, background=[taking(dut.write, found)])
    told = [(one["function"], one["offset"], {
        one["offset"] + lane: one["data"] >> 8 * lane & 0xFF for lane in range(4) if one["strobe"] >> lane & 1})
        for one in found]
    assert told == many.expected
    assert len(told) > 60 and len({function for function, _, _ in told}) >= min(functions, 20)


@pytest.mark.parametrize("kind", ["net", "block", "console", "rng"])
@pytest.mark.parametrize(("functions", "alike"), [
    (2, True), *broad((256, False)), *full((5, False), (256, True))])
def test_restored_function_shows_the_image_of_its_number(kind, functions, alike):
    config = many_functions(KINDS[kind], functions, random.Random(kind), alike=alike)
    dut = window_of(config)

    async def play(ctx):
        for restores in (True, False):
            for function in [*range(functions), None, None]:
                ctx.set(dut.look, function or 0)
                ctx.set(dut.restore, restores)
                await ctx.tick()
        ctx.set(dut.restore, 0)
        ctx.set(dut.coming.valid, 1)
        ctx.set(dut.coming.p.space, Space.DEVICE)
        ctx.set(dut.direct.access.valid, 1)
        for function in range(functions):
            ctx.set(dut.look, function)
            await ctx.tick()
            for offset in range(0, config.kind.config_size, 4):
                ctx.set(dut.coming.p.offset, offset)
                await ctx.tick()
                shown = ctx.get(dut.direct.reply.p.data).to_bytes(4, "little")
                assert shown == config.image_of(function)[offset:offset + 4], (function, offset)

    simulate(dut, play)


def test_image_of_the_wrong_size_is_refused():
    with warnings.catch_warnings(action="ignore"):
        # What raises while it is made is never used, and Amaranth complains of it.
        with pytest.raises(ValueError, match="the net configuration has 12 bytes; the image has 3"):
            DeviceWindow(NET, b"abc")
        gc.collect()

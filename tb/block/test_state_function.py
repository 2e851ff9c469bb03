"""A function's row changes as the specification says, whatever is touched and whatever happens beside it.

The expectation is `Slow`: the statements of virtio 1.3 and of the control page, one after the other.
"""

import random

import pytest
from block.simulation import plain, simulate
from virtio_mmr.gateware.backend import ResetCause
from virtio_mmr.gateware.state.function import EventKind, FunctionOptions, FunctionState
from virtio_mmr.gateware.windows.register import touch_layout, view_layout
from virtio_mmr.spec import control, legacy, modern

TABLES = (legacy.HEADER, control.TABLE, modern.ISR)
SIZES = (8, 64, 128)
OFFERED = 0x3A5A_00F5
VECTORS = 4
FLAGS = ("reset_outstanding", "reset_unsent", "tell_driver_ok", "tell_features", "tell_gate")


def merge(old, new, strobe):
    """Bytes of *old* replaced where *strobe* says so."""
    for lane in range(4):
        if strobe >> lane & 1:
            old = old & ~(0xFF << 8 * lane) | new & 0xFF << 8 * lane
    return old


class Slow:
    """One function."""

    def __init__(self, gate=1, big=True, page=True):
        self.gate_reset, self.big_supported, self.page = gate, big, page
        self.generation, self.epoch = 0, 0
        self.reset_outstanding = self.reset_unsent = 0
        self.cause = ResetCause.STATUS
        self.control_defaults()
        self.clear()

    def control_defaults(self):
        self.big_endian = self.badstate = self.required = self.forbidden = 0
        self.gate, self.tell_gate = self.gate_reset, 0

    def clear(self):
        self.status = self.isr = self.driver_features = self.queue_select = self.judged = 0
        self.config_vector = legacy.NO_VECTOR
        self.pages, self.vectors = [0] * len(SIZES), [legacy.NO_VECTOR] * len(SIZES)
        self.tell_driver_ok = self.tell_features = self.tell_queue = self.notified = 0

    @property
    def queue(self):
        return self.queue_select if self.queue_select < len(SIZES) else None

    def view(self):
        queue = self.queue
        return {
            "device_features": OFFERED & ~self.forbidden, "function_driver_features": self.driver_features,
            "queue_page": 0 if queue is None else self.pages[queue],
            "queue_size": 0 if queue is None else SIZES[queue], "function_queue_select": self.queue_select,
            "function_status": self.status, "function_isr": self.isr, "function_config_vector": self.config_vector,
            "queue_vector": legacy.NO_VECTOR if queue is None else self.vectors[queue],
            "build_supported": 31, "function_big_endian": self.big_endian, "build_big_endian": int(self.big_supported),
            "function_generation": self.generation, "function_badstate": self.badstate,
            "function_required": self.required, "function_forbidden": self.forbidden, "function_gate": self.gate,
        }

    def fence(self, cause):
        if not self.reset_unsent:
            self.epoch = (self.epoch + 1) % 4
        self.reset_unsent = self.reset_outstanding = 1
        self.cause = cause

    def stop(self, bit):
        if self.page:
            self.badstate |= 1 << bit
        if self.status:
            self.needs_reset()
        self.fence(ResetCause.BAD_STATE)

    def needs_reset(self):
        if not self.status & 0x40:
            self.generation += 1
        self.status |= 0x40
        self.isr |= 2

    def judge(self):
        self.judged = 1
        if self.required & ~self.driver_features:
            self.stop(0)

    def reset(self, cause):
        if cause is ResetCause.FLR:
            self.generation += 1
            self.control_defaults()
        elif self.status & 0x40:
            self.generation += 1
        self.clear()
        self.fence(cause)

    def write(self, item, data, strobe):
        """A register is written; *strobe* is not zero."""
        queue = self.queue
        match item:
            case "function_driver_features" if not self.status & 8:
                self.driver_features = merge(self.driver_features, data, strobe) & OFFERED & ~self.forbidden
                self.tell_features = 1
                if merge(0, data, strobe) & self.forbidden:
                    self.stop(0)
            case "function_queue_select":
                self.queue_select = merge(self.queue_select, data, strobe)
            case "queue_page" if queue is not None:
                was, self.pages[queue] = self.pages[queue], merge(self.pages[queue], data, strobe)
                if self.pages[queue] or was:
                    self.tell_queue |= 1 << queue
                if not self.pages[queue]:
                    self.notified &= ~(1 << queue)
            case "function_config_vector":
                value = merge(self.config_vector, data, strobe)
                self.config_vector = value if value < VECTORS else legacy.NO_VECTOR
            case "queue_vector" if queue is not None:
                value = merge(self.vectors[queue], data, strobe)
                self.vectors[queue] = value if value < VECTORS else legacy.NO_VECTOR
            case "function_status" if data == 0:
                self.reset(ResetCause.STATUS)
            case "function_status":
                was, self.status = self.status, data & 0xBF | self.status & 0x40
                if data & 4 and not was & 4:
                    self.tell_driver_ok = 1
                    if self.badstate:
                        self.needs_reset()
                    if self.page:
                        self.judge()
            case "kick" if strobe & 1:
                kicked = merge(0, data, strobe)
                if kicked < len(SIZES) and self.pages[kicked]:
                    self.notified |= 1 << kicked
                    if self.page and not self.judged:
                        self.judge()
            case "function_big_endian" if self.big_supported and self.status == 0:
                self.big_endian = data & 1
            case "function_badstate" if self.status == 0:
                self.badstate &= ~merge(0, data, strobe)
            case "function_forbidden" if self.status == 0:
                self.forbidden = merge(self.forbidden, data, strobe)
            case "function_required":
                self.required = merge(self.required, data, strobe)
            case "function_gate":
                self.tell_gate |= self.gate ^ data & 1
                self.gate = data & 1
            case "reject" if strobe & 1 and data & 1:
                self.stop(8)

    def event(self, event):
        """Something that is no access."""
        current = event["epoch"] == self.epoch and not self.reset_outstanding
        match event["kind"]:
            case EventKind.INTERRUPT if current:
                if event["value"] & 1:
                    self.isr |= 2
                elif not self.badstate:
                    self.isr |= 1
            case EventKind.FAULT if current and event["value"] in (1, 2, 3):
                self.stop(event["value"])
            case EventKind.UPDATE:
                self.generation += 1
            case EventKind.RESET_DONE if event["epoch"] == self.epoch:
                self.reset_outstanding = 0

    def row(self):
        """What the back end waits for."""
        return {name: getattr(self, name) for name in FLAGS} | {
            "tell_queue": self.tell_queue, "notified": self.notified, "epoch": self.epoch,
            **({"reset_cause": self.cause} if self.reset_unsent else {})}


class Bench:
    """A `FunctionState` with a queue table made of two lists."""

    def __init__(self, *, gate=1, big=True, page=True, vectors=VECTORS):
        view, self.layout = view_layout(TABLES), touch_layout(TABLES)
        self.dut = FunctionState(view, self.layout, FunctionOptions(
            queues=len(SIZES), offered=OFFERED, vectors=vectors, control_page=page, big_endian=big,
            gate_open=bool(gate)))
        self.slow = Slow(gate, big, page)
        self.pages, self.vectors = [bytearray(b"\xEE" * 4) for _ in SIZES], [0x7777] * len(SIZES)
        self.touched, self.page = {}, page

    async def clock(self, ctx, *, touch=None, event=None, flr=False, toggled=False, wrote=False, reported=None,
                    scan=0, access=True):
        """One clock: *touch* is item -> (write, read, data). Returns whether device configuration is restored."""
        dut = self.dut
        quiet = {"write": 0, "read": 0, "data": 0}
        ctx.set(dut.touch, {name: dict(zip(("write", "read", "data"), touch[name], strict=True))
                            if touch and name in touch else quiet for name, _ in self.layout})
        ctx.set(dut.access, bool(access and event is None))
        ctx.set(dut.event, event or {"kind": EventKind.NONE})
        ctx.set(dut.flr, flr)
        ctx.set(dut.msix_toggled, toggled)
        ctx.set(dut.driver_wrote, wrote)
        ctx.set(dut.scan, scan)
        ctx.set(dut.reported, reported or {})
        queue = ctx.get(dut.queue_select)
        exists = queue < len(SIZES)
        ctx.set(dut.queue_exists, exists)
        ctx.set(dut.queue_size, SIZES[queue] if exists else 0)
        page = bytes(self.pages[queue] if exists else b"\x55" * 4)
        present = ctx.get(dut.queue_page_bytes)
        ctx.set(dut.queue_page, int.from_bytes(
            bytes(byte if present >> lane & 1 else 0 for lane, byte in enumerate(page)), "little"))
        ctx.set(dut.queue_vector, self.vectors[queue] if exists else 0x5555)
        shown = plain(ctx.get(dut.view))
        _, _, write_page, new_page, write_vector, new_vector, restore = await ctx.tick().sample(
            dut.write_page, dut.new_page, dut.write_vector, dut.new_vector, dut.restore)
        assert exists or not (write_page or write_vector), "a queue that does not exist is written"
        for lane in range(4):
            if write_page >> lane & 1:
                self.pages[queue][lane] = new_page >> 8 * lane & 0xFF
        if write_vector:
            self.vectors[queue] = new_vector
        return shown, restore

    async def start(self, ctx):
        """Reset values are written in the first clock."""
        _, restore = await self.clock(ctx, event={"kind": EventKind.INITIALISE})
        assert restore
        self.compare((await self.clock(ctx))[0])

    def compare(self, shown):
        want = self.slow.view()
        if not self.page:
            want = {name: want[name] for name in want if not name.startswith(("function_gen", "build"))}
        assert {name: shown[name] for name in want} == {name: value % (1 << 32) for name, value in want.items()}

    def compare_row(self, ctx):
        found = plain(ctx.get(self.dut.row))
        want = self.slow.row()
        assert {name: found[name] for name in want} == want


#: The items of each dword that one access can touch, with the item's bytes.
DWORDS = (
    (("function_driver_features", 4),), (("queue_page", 4),), (("function_queue_select", 2),),
    (("function_status", 1), ("kick", 2)), (("function_config_vector", 2), ("queue_vector", 2)),
)
CONTROL_DWORDS = (
    (("function_big_endian", 1),), (("function_badstate", 4),), (("function_required", 4),),
    (("function_forbidden", 4),), (("function_gate", 1),), (("reject", 4),),
)


def random_data(rng, item):
    """Values that matter."""
    match item:
        case "function_status":
            return rng.choice([0, 1, 3, 7, 0xF, 0x0B, 0x80, 0x40, 0x44, rng.getrandbits(8)])
        case "function_queue_select" | "kick":
            return rng.choice([0, 1, 2, 2, 3, 0x100, 0x101, rng.getrandbits(16)])
        case "function_config_vector" | "queue_vector":
            return rng.choice([0, 3, 4, 0xFFFF, 0x103, rng.getrandbits(16)])
        case "queue_page":
            return rng.choice([0, 0, 1, 0x100, rng.getrandbits(32) & rng.getrandbits(32)])
        case "function_required" | "function_forbidden":
            return rng.choice([0, OFFERED & rng.getrandbits(32) & rng.getrandbits(32) & rng.getrandbits(32)])
        case "function_driver_features":
            return rng.choice([0xFFFF_FFFF, OFFERED, rng.getrandbits(32)])
        case "function_big_endian" | "function_gate":
            return rng.getrandbits(1)
        case "function_badstate":
            return 0x1FF if rng.random() < 0.7 else rng.getrandbits(32)
        case _:
            return rng.choice([0, 1, 1, 2, 0xFFFF_FFFF])


async def random_step(ctx, bench, rng):
    """One random clock on both sides; the view before it must agree."""
    slow, roll = bench.slow, rng.random()
    if roll < 0.62:
        dword = rng.choice(DWORDS + CONTROL_DWORDS * bench.page if rng.random() < 0.5 else DWORDS)
        touch = {name: ((1 << size) - 1 if rng.random() < 0.7 else rng.getrandbits(size), 0, random_data(rng, name))
                 for name, size in dword}
        shown, _ = await bench.clock(ctx, touch=touch)
        bench.compare(shown)
        suppressed = touch.get("function_status", (0, 0, 1))[0] and not touch["function_status"][2]
        for name, (strobe, _, value) in touch.items():
            if strobe and not (name == "kick" and suppressed):
                slow.write(name, value, strobe)
    elif roll < 0.67:
        lanes = rng.getrandbits(1)
        shown, _ = await bench.clock(ctx, touch={"function_isr": (0, lanes, 0)})
        bench.compare(shown)
        slow.isr = 0 if lanes else slow.isr
    elif roll < 0.70:
        shown, restore = await bench.clock(ctx, flr=True, toggled=rng.random() < 0.5)
        bench.compare(shown)
        assert restore
        slow.reset(ResetCause.FLR)
    elif roll < 0.74:
        toggled = rng.random() < 0.5
        bench.compare((await bench.clock(ctx, toggled=toggled, wrote=not toggled))[0])
        slow.generation += 1
    elif roll < 0.86:
        event = {"kind": rng.choice([EventKind.INTERRUPT, EventKind.FAULT, EventKind.UPDATE, EventKind.RESET_DONE]),
                 "epoch": rng.choice([slow.epoch] * 3 + [rng.getrandbits(2)]),
                 "value": rng.choice([0, 1, 2, 3, 4, 15])}
        if event["kind"] is EventKind.INTERRUPT:
            event["value"] &= 1
        bench.compare((await bench.clock(ctx, event=event))[0])
        slow.event(event)
    else:
        await report(ctx, bench, rng)


async def report(ctx, bench, rng):
    """The back end is told of something that is pending."""
    slow, scan = bench.slow, rng.randrange(len(SIZES))
    flags = {"reset": slow.reset_unsent, "driver_ok": slow.tell_driver_ok, "features": slow.tell_features,
             "gate": slow.tell_gate, "queue": slow.tell_queue >> scan & 1, "notification": slow.notified >> scan & 1}
    taken = {name: flag and rng.getrandbits(1) for name, flag in flags.items()}
    bench.compare((await bench.clock(ctx, event={"kind": EventKind.REPORT}, reported=taken, scan=scan))[0])
    slow.reset_unsent &= not taken["reset"]
    for name in ("driver_ok", "features", "gate"):
        setattr(slow, f"tell_{name}", getattr(slow, f"tell_{name}") & (not taken[name]))
    slow.tell_queue &= ~(taken["queue"] << scan)
    slow.notified &= ~(taken["notification"] << scan)


@pytest.mark.parametrize("seed, options", [
    (1, {}), (2, {}), (3, {"gate": 0}), (4, {"big": False}), (5, {"page": False, "big": False})])
def test_any_accesses_and_events_change_the_row_as_the_rules_say(seed, options):
    rng = random.Random(seed)
    bench = Bench(**options)

    async def play(ctx):
        await bench.start(ctx)
        for _ in range(300):
            await random_step(ctx, bench, rng)
            bench.compare_row(ctx)

    simulate(bench.dut, play)


def scripted(*steps, **options):
    """Write (item, data) or (item, data, strobe) after the other on both sides, comparing after each."""
    bench = Bench(**options)

    async def play(ctx):
        await bench.start(ctx)
        for item, value, *strobe in steps:
            size = bench.layout[item].shape["write"].width
            lanes = strobe[0] if strobe else (1 << size) - 1
            await bench.clock(ctx, touch={item: (lanes, 0, value)})
            bench.slow.write(item, value, lanes)
            bench.compare((await bench.clock(ctx))[0])
            bench.compare_row(ctx)

    simulate(bench.dut, play)
    return bench.slow


def test_status_zero_and_then_one_ends_with_one():
    slow = scripted(("function_status", 7), ("function_status", 0), ("function_status", 1))
    assert slow.status == 1


def test_control_settings_survive_a_status_reset():
    slow = scripted(("function_forbidden", 0x10), ("function_required", 0), ("function_big_endian", 1),
                    ("function_gate", 0), ("reject", 1), ("function_status", 7), ("function_status", 0))
    assert (slow.forbidden, slow.required, slow.big_endian, slow.gate, slow.badstate) == (0x10, 0, 1, 0, 1 << 8)
    assert slow.tell_gate == 1


def test_needs_reset_returns_with_driver_ok_while_badstate_stands():
    slow = scripted(("function_status", 3), ("reject", 1), ("function_status", 0), ("function_status", 3),
                    ("function_badstate", 0x100), ("function_status", 7))
    assert slow.status == 0x47 and slow.isr == 2
    slow = scripted(("function_status", 3), ("reject", 1), ("function_status", 0), ("function_badstate", 0x100),
                    ("function_status", 7))
    assert slow.status == 7


def test_page_written_in_parts_is_enabled_by_any_byte():
    slow = scripted(("queue_page", 0x1234_5678, 0b0100), ("kick", 0), ("queue_page", 0x0000_5600, 0b0010),
                    ("queue_page", 0, 0b0100), ("queue_page", 0, 0b1111))
    assert slow.pages[0] == 0 and slow.notified == 0 and slow.tell_queue == 1


def test_notification_beside_a_status_that_stores_zero_leaves_no_needs_reset():
    bench = Bench()

    async def play(ctx):
        await bench.start(ctx)
        for item, value in (("queue_page", 5), ("function_required", 1)):
            await bench.clock(ctx, touch={item: (15, 0, value)})
            bench.slow.write(item, value, 15)
        # Bit 6 belongs to the device: what is stored is zero, and the notification stops the function.
        await bench.clock(ctx, touch={"function_status": (1, 0, 0x40), "kick": (3, 0, 0)})
        bench.slow.write("function_status", 0x40, 1)
        bench.slow.write("kick", 0, 3)
        assert (bench.slow.status, bench.slow.badstate) == (0, 1)
        bench.compare((await bench.clock(ctx))[0])

    simulate(bench.dut, play)


def test_features_are_frozen_by_features_ok():
    slow = scripted(("function_driver_features", OFFERED), ("function_status", 0xB), ("function_driver_features", 0))
    assert slow.driver_features == OFFERED


def test_epoch_counts_once_while_a_request_waits_and_wraps_at_four():
    bench = Bench()
    rng = random.Random(0)

    async def play(ctx):
        await bench.start(ctx)
        for number in range(1, 10):
            for cause in range(rng.randint(1, 3)):
                await bench.clock(ctx, touch={"function_status": (1, 0, 0)} if cause else {"reject": (15, 0, 1)})
            await bench.clock(ctx)
            assert plain(ctx.get(bench.dut.row))["epoch"] == number % 4
            await bench.clock(ctx, event={"kind": EventKind.REPORT}, reported={"reset": 1})

    simulate(bench.dut, play)

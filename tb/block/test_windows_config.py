"""Configuration space keeps, clears and shows exactly the bits that the placer's table says."""

import random

import pytest
from block.simulation import any_dword, simulate
from model_devices import REGIONS, block, entropy, net
from virtio_mmr.config.device import Bar, BarKind
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.config import EVENTS, ConfigSpace
from virtio_mmr.layout import place

DEVICES = {
    "net": net(), "block": block(), "entropy": entropy(),
    "no msix": net(msix_vectors=0, bars=(Bar(index=0, kind=BarKind.MEMORY32, regions=REGIONS[:4]),)),
}

INITIATE_RESET = 1 << 15


class Slow:
    """4,096 bytes and three masks."""

    def __init__(self, space):
        self.space = space
        self.mask, self.clear = space.write_mask(), space.write_clear_mask()
        self.bytes = bytearray(space.reset_image())
        self.resets = 0

    def bit(self, name):
        """Byte and bit of a field, and its width."""
        for register in self.space.registers:
            for field in register.fields:
                if field.name == name:
                    return register.offset + field.lsb // 8, field.lsb % 8, field.width
        return None

    def get(self, name):
        found = self.bit(name)
        return 0 if found is None else self.bytes[found[0]] >> found[1] & (1 << found[2]) - 1

    def read(self, word):
        return int.from_bytes(self.bytes[4 * word:4 * word + 4], "little")

    def write(self, word, data, strobe, events=()):
        control = self.space["device_control"].offset
        before, power = bytes(self.bytes), self.bit("power_state")[0]
        for lane in range(4):
            at, new = 4 * word + lane, data >> 8 * lane & 0xFF
            if strobe >> lane & 1:
                keep = self.bytes[at] & ~self.clear[at] | self.bytes[at] & self.clear[at] & ~new
                self.bytes[at] = keep & ~self.mask[at] | new & self.mask[at]
                if at == power and new & 3 in (1, 2):
                    self.bytes[at] = self.bytes[at] & ~3 | before[at] & 3
        self.happen(events)
        at = control + 1
        if word == at // 4 and strobe >> at % 4 & 1 and data >> 8 * (at % 4) & INITIATE_RESET >> 8:
            self.bytes = bytearray(self.space.reset_image())
            self.resets += 1

    def happen(self, events):
        for event in events:
            at, lsb, _ = self.bit(event)
            self.bytes[at] |= 1 << lsb

    def control(self):
        """What the core hears."""
        awake = self.get("power_state") == 0
        return {
            "memory_enabled": self.get("memory_enable") & awake, "io_enabled": self.get("io_enable") & awake,
            "bus_master": self.get("bus_master") & awake,
            "interrupt_disable": self.get("interrupt_disable") | (not awake),
            **{name: self.get(name) for name in (
                "msix_enable", "max_payload_size", "max_read_request_size", "extended_tag",
                "read_completion_boundary")},
            "msix_mask": self.get("function_mask"),
        }


def access(word, data=0, strobe=0xF, write=0):
    return {"space": Space.CONFIG, "function": 0, "offset": 4 * word, "write": write, "data": data, "strobe": strobe}


async def step(ctx, dut, slow, word, *, write=False, data=0, strobe=0xF, events=()):
    """One access through the port, with events in the same clock; what it shows must be right."""
    ctx.set(dut.ahead, word)
    await ctx.tick()
    ctx.set(dut.ahead, word ^ 1)
    await ctx.tick()
    ctx.set(dut.port.access.payload, access(word, data, strobe, write))
    ctx.set(dut.port.access.valid, 1)
    for event in EVENTS:
        ctx.set(getattr(dut, event), event in events)
    _, _, valid, shown, reset = await ctx.tick().sample(
        dut.port.reply.valid, dut.port.reply.p.data, dut.control.reset)
    ctx.set(dut.port.access.valid, 0)
    for event in EVENTS:
        ctx.set(getattr(dut, event), 0)
    assert valid
    assert shown == slow.read(word), hex(4 * word)
    resets = slow.resets
    slow.write(word, data, strobe if write else 0, events)
    assert reset == slow.resets - resets


def heard(ctx, dut):
    return {name: ctx.get(getattr(dut.control, name)) for name in (
        "memory_enabled", "io_enabled", "bus_master", "interrupt_disable", "msix_enable", "msix_mask",
        "max_payload_size", "max_read_request_size", "extended_tag", "read_completion_boundary")}


@pytest.mark.parametrize("device", DEVICES)
def test_after_reset_every_dword_reads_as_the_table_says(device):
    space = place(DEVICES[device])
    dut, slow = ConfigSpace(space), Slow(space)

    async def sweep(ctx):
        for word in range(1024 if device == "net" else 128):
            await step(ctx, dut, slow, word)
        assert heard(ctx, dut) == slow.control()

    simulate(dut, sweep)


@pytest.mark.parametrize("device", ["entropy"])
def test_ones_everywhere_set_the_writable_bits_alone(device):
    space = place(DEVICES[device])
    dut, slow = ConfigSpace(space), Slow(space)
    control = space["device_control"]

    async def sweep(ctx):
        for word in range(1024):
            no_reset = INITIATE_RESET << 8 * (control.offset % 4) if word == control.offset // 4 else 0
            await step(ctx, dut, slow, word, write=True, data=0xFFFF_FFFF & ~no_reset)
        image, mask = space.reset_image(), space.write_mask()
        assert bytes(slow.bytes) == bytes(byte | ones for byte, ones in zip(image, mask, strict=True))
        for word in busy_words(space):
            await step(ctx, dut, slow, word)
        assert heard(ctx, dut) == slow.control()

    simulate(dut, sweep)


def busy_words(space):
    """Dwords with a bit that can change."""
    changing = [a | b for a, b in zip(space.write_mask(), space.write_clear_mask(), strict=True)]
    return sorted({at // 4 for at, byte in enumerate(changing) if byte})


@pytest.mark.parametrize("device", DEVICES)
def test_any_writes_with_any_byte_enables_and_events_in_the_same_clock(device):
    rng = random.Random(device)
    space = place(DEVICES[device])
    dut, slow = ConfigSpace(space), Slow(space)
    words = busy_words(space)
    control = space["device_control"].offset

    async def play(ctx):
        for _ in range(300):
            events = [event for event in EVENTS if rng.random() < 0.1]
            word = rng.choice(words) if rng.random() < 0.9 else rng.randrange(1024)
            data, strobe = any_dword(rng) & ~(INITIATE_RESET | INITIATE_RESET << 16), rng.randrange(16)
            if rng.random() < 0.03:
                word, data, strobe = control // 4, data | INITIATE_RESET << 8 * (control % 4), rng.choice([1, 2, 3, 15])
            await step(ctx, dut, slow, word, write=rng.random() < 0.7, data=data, strobe=strobe, events=events)
            assert heard(ctx, dut) == slow.control()
        for word in words:
            await step(ctx, dut, slow, word)

    simulate(dut, play)
    assert slow.resets


def test_sticky_bit_that_is_set_and_cleared_in_one_clock_stays_set():
    space = place(net())
    dut, slow = ConfigSpace(space), Slow(space)

    async def play(ctx):
        for event in EVENTS:
            at, lsb, _ = slow.bit(event)
            clear = {"write": True, "data": 1 << lsb << 8 * (at % 4), "strobe": 1 << at % 4}
            await step(ctx, dut, slow, at // 4, events=[event])
            await step(ctx, dut, slow, at // 4, **clear, events=[event])
            assert slow.get(event) == 1
            await step(ctx, dut, slow, at // 4)
            await step(ctx, dut, slow, at // 4, **clear)
            assert slow.get(event) == 0
            await step(ctx, dut, slow, at // 4)

    simulate(dut, play)


def test_bar_contents_reach_the_decoder():
    config = entropy()
    space = place(config)
    dut, slow = ConfigSpace(space), Slow(space)

    async def play(ctx):
        for index in range(6):
            await step(ctx, dut, slow, 4 + index, write=True, data=0x8765_4321 * (index + 1) & 0xFFFF_FFFF)
        for bar in config.bars:
            wide = bar.kind.value == "memory64"
            base = slow.read(4 + bar.index) | (slow.read(5 + bar.index) << 32 if wide else 0)
            found = ctx.get(dut.control.base[bar.index])
            assert found & (1 << 64 if wide else 1 << 32) - 1 == base & -bar.decoded_size

    simulate(dut, play)


def test_captured_number_survives_a_function_level_reset():
    space = place(net())
    dut, slow = ConfigSpace(space), Slow(space)
    control = space["device_control"].offset

    async def play(ctx):
        assert (ctx.get(dut.control.bus), ctx.get(dut.control.device)) == (0, 0)
        ctx.set(dut.capture, 1)
        ctx.set(dut.capture_id, 0x5A << 5 | 0x13)
        await ctx.tick()
        ctx.set(dut.capture, 0)
        ctx.set(dut.capture_id, 0)
        await step(ctx, dut, slow, control // 4, write=True, data=INITIATE_RESET << 8 * (control % 4))
        await ctx.tick()
        assert (ctx.get(dut.control.bus), ctx.get(dut.control.device)) == (0x5A, 0x13)

    simulate(dut, play)


def test_live_bit_is_shown_and_kept_nowhere():
    space = place(net())
    dut, slow = ConfigSpace(space), Slow(space)

    async def play(ctx):
        ctx.set(dut.ahead, 1)
        for live in (0, 1, 0):
            ctx.set(dut.interrupt_status, live)
            await ctx.tick().repeat(2)
            ctx.set(dut.port.access.payload, access(1))
            ctx.set(dut.port.access.valid, 1)
            _, _, shown = await ctx.tick().sample(dut.port.reply.p.data)
            assert shown == slow.read(1) | live << 19

    simulate(dut, play)


@pytest.mark.parametrize("strobe", [0b0010, 0b1000, 0b1111, 0b0111])
def test_msix_toggled_says_when_the_layout_moves(strobe):
    space = place(net())
    dut, slow = ConfigSpace(space), Slow(space)
    at, lsb, _ = slow.bit("msix_enable")
    control = space["device_control"].offset

    async def play(ctx):
        for word, data in [(at // 4, 1), (at // 4, 1), (at // 4, 0), (at // 4, 1), (control // 4, None), (at // 4, 1)]:
            data = INITIATE_RESET << 8 * (control % 4) if data is None else data << lsb << 8 * (at % 4)
            before = slow.get("msix_enable")
            lanes = 0xF if word == control // 4 else strobe
            ctx.set(dut.port.access.payload, access(word, data, lanes, 1))
            ctx.set(dut.port.access.valid, 1)
            slow.write(word, data, lanes)
            assert ctx.get(dut.msix_toggled) == (slow.get("msix_enable") != before)
            await ctx.tick()
            ctx.set(dut.port.access.valid, 0)
            assert not ctx.get(dut.msix_toggled)

    simulate(dut, play)


@pytest.mark.parametrize("held", [False, True])
def test_door_answers_within_two_clocks_and_reaches_the_same_bits(held):
    rng = random.Random(held)
    space = place(net())
    dut, slow = ConfigSpace(space, has_door=True), Slow(space)
    door = dut.door
    words = busy_words(space)

    async def play(ctx):
        for _ in range(250):
            word = rng.choice(words) if rng.random() < 0.8 else rng.randrange(1024)
            function = rng.choice([0, 0, 0, 1, 7, 200])
            ctx.set(door.register_number, word)
            ctx.set(door.function_number, function)
            if rng.random() < 0.5:
                data, strobe = any_dword(rng) & ~(INITIATE_RESET | INITIATE_RESET << 16), rng.randrange(16)
                ctx.set(door.write_data, data)
                ctx.set(door.write_byte_enable, strobe)
                ctx.set(door.write_received, 1)
                for _ in range(3 if held else 1):
                    await ctx.tick()
                ctx.set(door.write_received, 0)
                await ctx.tick()
                slow.write(word, data, strobe if function == 0 else 0)
                continue
            ctx.set(door.read_received, 1)
            for _clock in range(3):
                _, _, valid, shown = await ctx.tick().sample(door.read_data_valid, door.read_data)
                if not held:
                    ctx.set(door.read_received, 0)
                    ctx.set(door.register_number, rng.randrange(1024))
                if valid:
                    break
            assert valid, "an answer within two clocks"
            assert shown == (slow.read(word) if function == 0 else 0)
            ctx.set(door.read_received, 0)
            await ctx.tick()
            _, _, valid = await ctx.tick().sample(door.read_data_valid)
            assert not valid, "an answer that nobody asked for"

    simulate(dut, play)


def test_both_doors_lead_to_the_same_bits():
    space = place(net())
    dut, slow = ConfigSpace(space, has_door=True), Slow(space)

    async def play(ctx):
        await step(ctx, dut, slow, 1, write=True, data=0x0406)
        ctx.set(dut.door.register_number, 1)
        ctx.set(dut.door.read_received, 1)
        while not ctx.get(dut.door.read_data_valid):
            await ctx.tick()
        assert ctx.get(dut.door.read_data) == slow.read(1)
        ctx.set(dut.door.read_received, 0)
        await ctx.tick()
        ctx.set(dut.door.write_received, 1)
        ctx.set(dut.door.write_byte_enable, 0b0001)
        await ctx.tick()
        ctx.set(dut.door.write_received, 0)
        slow.write(1, 0, 0b0001)
        await ctx.tick()
        await step(ctx, dut, slow, 1)

    simulate(dut, play)

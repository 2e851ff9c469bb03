"""Configuration space keeps, clears and shows exactly the bits that the placer's table says."""

import random

import pytest
from block.simulation import any_dword, simulate
from model_devices import REGIONS, block, entropy, net
from selection import broad
from virtio_mmr.config import loads
from virtio_mmr.config.device import Bar, BarKind
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.config import EVENTS, ConfigSpace
from virtio_mmr.layout import place
from virtio_mmr.spec.sriov import SUPPORTED_PAGE_SIZES
from virtio_mmr_sim.model.configuration import ConfigurationSpaceModel

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
            # Max_Payload_Size, Read Completion Boundary and Common Clock Configuration stay.
            link = self.space["link_control"].offset
            for at, mask in ((control, 0xE0), (link, 0x48)):
                self.bytes[at] |= before[at] & mask
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
    early = hasattr(dut, "coming")
    if early:
        ctx.set(dut.coming.payload, access(word, data, strobe, write))
        ctx.set(dut.coming.valid, 1)
    await ctx.tick()
    if early:
        # Only the clock before the access counts.
        ctx.set(dut.coming.payload, access(word, 0xFFFF_FFFF, 0xF, True))
        ctx.set(dut.coming.valid, 0)
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


@pytest.mark.parametrize(("device", "early"), [*((device, False) for device in DEVICES), ("net", True)])
def test_any_writes_with_any_byte_enables_and_events_in_the_same_clock(device, early):
    rng = random.Random(device)
    space = place(DEVICES[device])
    dut, slow = ConfigSpace(space, early=early), Slow(space)
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
            ctx.set(dut.ahead, word)
            await ctx.tick().repeat(2)
            ctx.set(dut.port.access.payload, access(word, data, lanes, 1))
            ctx.set(dut.port.access.valid, 1)
            slow.write(word, data, lanes)
            assert ctx.get(dut.msix_toggled) == (slow.get("msix_enable") != before)
            await ctx.tick()
            ctx.set(dut.port.access.valid, 0)
            assert not ctx.get(dut.msix_toggled)

    simulate(dut, play)


PAGE_SIZES = [1 << bit for bit in range(11) if SUPPORTED_PAGE_SIZES >> bit & 1]

VIRTUAL = {
    "as many as there can be": loads("""
[device]
kind = "net"
[vf]
count = 255
"""),
    "BARs of every size": loads("""
[device]
kind = "console"
[vf]
count = 8
[vf.bars.0]
kind = "memory32"
size = 0x1000
regions = [{ space = "legacy", offset = 0, size = 0x1000 }]
[vf.bars.1]
kind = "memory64"
size = 0x100000
regions = [{ space = "control", offset = 0, size = 0x1000 }]
[vf.bars.3]
kind = "memory64"
size = 0x10000
prefetchable = true
regions = [{ space = "msix", offset = 0, size = 0x1000 }, { space = "isr", offset = 0x1000, size = 0x1000 }]
"""),
    "one": loads("""
[device]
kind = "net"
[vf]
count = 1
"""),
}


class Golden:
    """The golden model of a physical function, with what `Slow` has."""

    def __init__(self, config):
        self.config = config
        self.space = place(config)
        self.model = ConfigurationSpaceModel(config, self.space)
        self.resets = 0

    def read(self, word):
        return self.model.read(4 * word, 0xF, {})

    def write(self, word, data, strobe, events=()):
        reset = self.model.write(4 * word, data, strobe)
        for event in events:
            self.model.set_event(f"event.{event}")
        if reset:
            self.model.reset()
            self.resets += 1

    def control(self):
        """What the core hears of virtual functions."""
        get = self.model.get
        wide = {bar.index: bar.kind is BarKind.MEMORY64 for bar in self.config.vf.function.bars}
        return {
            "awake": get("control.power_state") == 0,
            **{name: get(f"control.{name}") for name in ("vf_enable", "vf_memory_enable", "ari_hierarchy", "num_vfs")},
            "page_size": get("control.system_page_size"),
            "vf_base": {index: self.model.base_address(index, wide[index], "vf_") for index in wide},
        }


def heard_of_virtual(ctx, dut, golden):
    control = dut.control
    return {
        **{name: ctx.get(getattr(control, name)) for name in (
            "awake", "vf_enable", "vf_memory_enable", "ari_hierarchy", "num_vfs", "page_size")},
        "vf_base": {bar.index: ctx.get(control.vf_base[bar.index]) & (1 << (
            64 if bar.kind is BarKind.MEMORY64 else 32)) - 1 for bar in golden.config.vf.function.bars},
    }


def likely(rng, golden, name):
    """A value that register *name* could take, or nearly."""
    count = golden.config.vf.count
    return {
        "num_vfs": lambda: rng.choice([rng.randrange(count + 1), count, count + 1, count | 0x100]),
        "system_page_size": lambda: rng.choice([*PAGE_SIZES, 1 << rng.randrange(12), any_dword(rng)]),
        "sriov_control": lambda: rng.choice([0, 0, 0, 8, 0x10, 0x19, any_dword(rng)]),
        "power_control": lambda: rng.randrange(4),
    }.get(name, lambda: any_dword(rng))()


@pytest.mark.parametrize("device", ["BARs of every size", *broad("one", "as many as there can be")])
def test_sriov_agrees_with_the_golden_model_as_fast_as_accesses_come(device):
    rng = random.Random(device)
    golden = Golden(VIRTUAL[device])
    dut = ConfigSpace(golden.space)
    sriov = golden.space.capability("sriov")
    theirs = [register for register in golden.space.registers if sriov.offset <= register.offset < sriov.end]
    choosy = [golden.space[name] for name in ("sriov_control", "num_vfs", "system_page_size")]
    others = [golden.space[name] for name in ("power_control", "device_control", "command")]
    seen = {name: set() for name in ("num_vfs", "page_size", "ari_hierarchy", "vf_enable")}

    def any_access():
        register = rng.choice(choosy if rng.random() < 0.5 else theirs if rng.random() < 0.9 else others)
        word = register.offset // 4
        data = likely(rng, golden, register.name) << 8 * (register.offset % 4) & 0xFFFF_FFFF
        if register.name == "device_control" and rng.random() < 0.5:
            data &= ~(INITIATE_RESET << 8 * (register.offset % 4))
        strobe = rng.choice([0xF, (1 << register.width // 8) - 1 << register.offset % 4, rng.randrange(16)])
        return access(word, data, strobe, int(rng.random() < 0.6))

    async def play(ctx):
        coming = any_access()
        ctx.set(dut.ahead, coming["offset"] // 4)
        await ctx.tick()
        for _ in range(2000):
            # A clock between two accesses, in which the second of them is looked up.
            ctx.set(dut.ahead, rng.randrange(1024))
            await ctx.tick()
            now, coming = coming, any_access()
            ctx.set(dut.port.access.payload, now)
            ctx.set(dut.port.access.valid, 1)
            ctx.set(dut.ahead, coming["offset"] // 4)
            _, _, shown, reset = await ctx.tick().sample(dut.port.reply.p.data, dut.control.reset)
            ctx.set(dut.port.access.valid, 0)
            word = now["offset"] // 4
            assert shown == golden.read(word), hex(now["offset"])
            before = golden.resets
            if now["write"]:
                golden.write(word, now["data"], now["strobe"])
            assert reset == golden.resets - before
            found = heard_of_virtual(ctx, dut, golden)
            assert found == golden.control(), hex(now["offset"])
            for name, values in seen.items():
                values.add(found[name])

    simulate(dut, play)
    assert golden.resets
    assert seen["page_size"] == set(PAGE_SIZES)
    assert seen["ari_hierarchy"] == seen["vf_enable"] == {0, 1}
    assert {0, golden.config.vf.count} <= seen["num_vfs"]


async def put(ctx, dut, golden, name, value, strobe=None):
    """Write a register of the SR-IOV capability, or only some of its bytes."""
    register = golden.space[name]
    lane = register.offset % 4
    strobe = (1 << register.width // 8) - 1 if strobe is None else strobe
    await step(ctx, dut, golden, register.offset // 4, write=True, data=value << 8 * lane & 0xFFFF_FFFF,
               strobe=strobe << lane)
    await step(ctx, dut, golden, register.offset // 4)


def test_number_of_functions_is_bounded_and_fixed_while_they_are_enabled():
    golden = Golden(VIRTUAL["BARs of every size"])
    dut = ConfigSpace(golden.space)

    async def play(ctx):
        for value, strobe, taken in (
                (8, 3, 8), (9, 3, 8), (0x108, 3, 8), (0x1FF, 1, 8), (0x103, 1, 3), (0x100, 2, 3), (0x1FF, 0, 3)):
            await put(ctx, dut, golden, "num_vfs", value, strobe)
            assert ctx.get(dut.control.num_vfs) == taken, hex(value)
        await put(ctx, dut, golden, "sriov_control", 1)
        await put(ctx, dut, golden, "num_vfs", 5)
        assert ctx.get(dut.control.num_vfs) == 3
        await put(ctx, dut, golden, "sriov_control", 0)
        await put(ctx, dut, golden, "num_vfs", 5)
        assert ctx.get(dut.control.num_vfs) == 5

    simulate(dut, play)


def test_page_size_takes_one_supported_bit_and_is_fixed_while_functions_are_enabled():
    golden = Golden(VIRTUAL["one"])
    dut = ConfigSpace(golden.space)

    async def play(ctx):
        assert ctx.get(dut.control.page_size) == 1
        expected = 1
        for value in (0, 2, 3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x401, 0x553, 0x800, 1, 0x10000):
            await put(ctx, dut, golden, "system_page_size", value)
            # What is above bit 10 does not exist.
            if value & 0x7FF in (1, 2, 0x10, 0x40, 0x100, 0x400):
                expected = value
            assert ctx.get(dut.control.page_size) == expected, hex(value)
        # One byte alone: with the other it would be two bits.
        await put(ctx, dut, golden, "system_page_size", 0x100, 0b0010)
        assert ctx.get(dut.control.page_size) == 1
        await put(ctx, dut, golden, "sriov_control", 1)
        await put(ctx, dut, golden, "system_page_size", 2)
        assert ctx.get(dut.control.page_size) == 1

    simulate(dut, play)


def test_hierarchy_may_be_set_with_vf_enable_and_then_stays():
    golden = Golden(VIRTUAL["one"])
    dut = ConfigSpace(golden.space)

    async def play(ctx):
        for value, taken in ((0x19, 0x19), (0x09, 0x19), (0x08, 0x18), (0x00, 0x00), (0x01, 0x01), (0x11, 0x01)):
            await put(ctx, dut, golden, "sriov_control", value)
            control = dut.control
            assert ctx.get(control.vf_enable) | ctx.get(control.vf_memory_enable) << 3 \
                | ctx.get(control.ari_hierarchy) << 4 == taken, hex(value)

    simulate(dut, play)


def test_base_addresses_lose_the_bits_that_a_page_takes_and_do_not_get_them_back():
    golden = Golden(VIRTUAL["BARs of every size"])
    dut = ConfigSpace(golden.space)

    async def play(ctx):
        bases = dut.control.vf_base
        for index in (0, 1, 2, 3, 4):
            await put(ctx, dut, golden, f"vf_bar{index}", 0xFFFF_FFFF)
        assert [ctx.get(bases[0]) & 0xFFFF_FFFF, ctx.get(bases[1]), ctx.get(bases[3])] == [
            0xFFFF_F000, 0xFFFF_FFFF_FFF0_0000, 0xFFFF_FFFF_FFFF_0000]
        for page_size, first, second, third in (
                (2, 0xFFFF_E000, 0xFFF0_0000, 0xFFFF_0000), (0x40, 0xFFFC_0000, 0xFFF0_0000, 0xFFFC_0000),
                (0x400, 0xFFC0_0000, 0xFFC0_0000, 0xFFC0_0000), (1, 0xFFC0_0000, 0xFFC0_0000, 0xFFC0_0000)):
            await put(ctx, dut, golden, "system_page_size", page_size)
            assert [ctx.get(bases[0]) & 0xFFFF_FFFF, ctx.get(bases[1]), ctx.get(bases[3])] == [
                first, 0xFFFF_FFFF << 32 | second, 0xFFFF_FFFF << 32 | third]
        await put(ctx, dut, golden, "vf_bar0", 0xFFFF_FFFF)
        assert ctx.get(bases[0]) & 0xFFFF_FFFF == 0xFFFF_F000

    simulate(dut, play)


def test_reset_of_the_physical_function_ends_the_virtual_ones():
    golden = Golden(VIRTUAL["as many as there can be"])
    dut = ConfigSpace(golden.space)
    control = golden.space["device_control"]

    async def play(ctx):
        await put(ctx, dut, golden, "num_vfs", 255)
        await put(ctx, dut, golden, "system_page_size", 0x400)
        await put(ctx, dut, golden, "vf_bar2", 0x8000_0000)
        await put(ctx, dut, golden, "sriov_control", 0x19)
        assert ctx.get(dut.control.num_vfs) == 255 and ctx.get(dut.control.vf_enable)
        await step(ctx, dut, golden, control.offset // 4, write=True, data=INITIATE_RESET << 8 * (control.offset % 4))
        assert heard_of_virtual(ctx, dut, golden) == {
            "awake": 1, "vf_enable": 0, "vf_memory_enable": 0, "ari_hierarchy": 0, "num_vfs": 0, "page_size": 1,
            "vf_base": {2: 0}}

    simulate(dut, play)


def test_without_the_capability_there_is_nothing_virtual():
    space = place(net())
    dut, slow = ConfigSpace(space), Slow(space)

    async def play(ctx):
        for word in busy_words(space):
            await step(ctx, dut, slow, word, write=True, data=0xFFFF_FFFF & ~INITIATE_RESET)
        control = dut.control
        assert not any(ctx.get(getattr(control, name)) for name in (
            "vf_enable", "vf_memory_enable", "ari_hierarchy", "num_vfs", "page_size"))
        assert not any(ctx.get(base) for base in control.vf_base)

    simulate(dut, play)

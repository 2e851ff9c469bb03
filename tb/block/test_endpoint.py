"""The composed endpoint: reset at any time, nothing waits that must not, every width gives the same answers."""

import random
from dataclasses import replace

import pytest
from amaranth.hdl import ResetInserter, Signal
from block.simulation import any_dword, offer, raw_beats, raw_packets, simulate, taking
from model_devices import BASE, CONTROL, DEVICE, ISR, MSIX, block, net
from selection import broad
from virtio_mmr.config.device import Datapath
from virtio_mmr.gateware.backend import DriverEvent, ResetCause
from virtio_mmr.gateware.endpoint import Endpoint
from virtio_mmr.layout import place
from virtio_mmr.spec import control
from virtio_mmr_sim.model.tlp import ConfigRequest, MemoryRequest, build, memory_read, memory_write, to_bytes

OUTPUTS = ("driver_update", "notification", "queue_update", "reset_request", "config_write")


def device(width=128, make=block, **changes):
    return replace(make(**changes), datapath=Datapath(width=width))


class Host:
    """Root port and back end of one endpoint: sends packets, gathers completions and events."""

    def __init__(self, config):
        self.config, self.lanes = config, config.datapath.width // 32
        self.rst = Signal()
        self.dut = Endpoint(config)
        self.beats, self.events = [], []

    def run(self, play, *background, limit=20_000):
        host = self

        class Log(list):
            def __init__(self, name):
                self.name = name

            def append(self, payload):
                host.events.append((self.name, payload))

        async def begin(ctx):
            ctx.set(self.dut.tx.ready, 1)
            for name in OUTPUTS:
                ctx.set(getattr(self.dut, name).ready, 1)
            await play(ctx)

        simulate(ResetInserter(self.rst)(self.dut), begin, limit=limit, background=[
            taking(self.dut.tx, self.beats), *background,
            *(taking(getattr(self.dut, name), Log(name)) for name in OUTPUTS)])

    async def reset(self, ctx, clocks=2):
        """Assert `rst`; what was under way is gone."""
        ctx.set(self.dut.rx.valid, 0)
        ctx.set(self.dut.tx.ready, 0)
        ctx.set(self.rst, 1)
        for _ in range(clocks):
            await ctx.tick()
        ctx.set(self.rst, 0)
        ctx.set(self.dut.tx.ready, 1)
        self.beats.clear()
        self.events.clear()

    async def send(self, ctx, packet):
        await offer(ctx, self.dut.rx, raw_beats(packet, self.lanes))

    async def wait(self, ctx, packets):
        """Until so many completions have come since the last call; interrupt messages are left out."""
        found = []
        while True:
            whole = max((place + 1 for place, beat in enumerate(self.beats) if beat["last"]), default=0)
            found += [packet for packet in raw_packets(self.beats[:whole]) if packet[0] >> 24 & 0x1E == 0x0A]
            del self.beats[:whole]
            if len(found) >= packets:
                return found
            await ctx.tick()

    async def ask(self, ctx, requests):
        """Send requests whose answers are one completion each, a few at a time; the answers in order."""
        found = []
        for start in range(0, len(requests), 12):
            some = requests[start:start + 12]
            for request in some:
                await self.send(ctx, build(request))
            found += await self.wait(ctx, len(some))
        return found

    async def read(self, ctx, *offsets):
        """Dwords of BAR 0."""
        answers = await self.ask(ctx, [memory_read(BASE + offset, 4) for offset in offsets])
        assert all(answer[0] >> 24 == 0x4A for answer in answers), "unsupported"
        return [answer[3] for answer in answers]

    async def write(self, ctx, offset, data, size=4):
        await self.send(ctx, build(memory_write(BASE + offset, data.to_bytes(size, "little"))))

    async def config_read(self, ctx, *offsets):
        answers = await self.ask(ctx, [ConfigRequest(bus=1, offset=offset) for offset in offsets])
        return [answer[3] for answer in answers]

    async def config_write(self, ctx, offset, data, first_be=0xF):
        [answer] = await self.ask(ctx, [
            ConfigRequest(write=True, bus=1, offset=offset, data=data, first_be=first_be)])
        assert answer[0] >> 24 == 0x0A and answer[1] >> 13 & 7 == 0
        return answer

    async def enumerate(self, ctx, command=0x0006):
        await self.config_write(ctx, 0x10, BASE)
        await self.config_write(ctx, 0x04, command)

    async def settle(self, ctx, clocks=40):
        for _ in range(clocks):
            await ctx.tick()


def after_reset(config):
    """Dwords of BAR 0 that a driver and a hypervisor see after reset, by offset."""
    image = config.config_image + bytes(-len(config.config_image) % 4)
    found = {0x00: config.features, 0x04: 0, 0x08: 0, 0x0C: config.queues[0], 0x10: 0}
    found |= {0x14 + at: int.from_bytes(image[at:at + 4], "little") for at in range(0, len(image), 4)}
    found |= {CONTROL + 4 * at: value for at, value in enumerate([
        control.MAGIC, 1, 31, 0x100, 0, 0, 0, 0, 0, 0x103])}
    found |= {ISR: 0, MSIX + 4: 0, MSIX + 0xC: 1}
    found |= {DEVICE + at: int.from_bytes(image[at:at + 4], "little") for at in range(0, len(image), 4)}
    return found


async def dirty(ctx, host, rng):
    """Change everything that can be changed."""
    space = place(host.config)
    flr = space["device_control"].offset
    await host.write(ctx, CONTROL + 0x18, 0xFFFF_FFFF)
    await host.write(ctx, CONTROL + 0x1C, 0x0000_0200)
    await host.write(ctx, CONTROL + 0x0C, 1)
    await host.write(ctx, CONTROL + 0x24, 0)
    for _ in range(2):
        await host.write(ctx, 0x04, any_dword(rng))
        await host.write(ctx, 0x08, any_dword(rng) | 1)
        await host.write(ctx, 0x10, 0, 2)
        await host.write(ctx, 0x12, 7, 1)
        for at in range(0x14, 0x14 + host.config.kind.config_size, 4):
            await host.write(ctx, at, any_dword(rng))
        await host.write(ctx, 0x0E, rng.getrandbits(16), 2)
    await host.config_write(ctx, space["msix_control"].offset & ~3, 0xFFFF_FFFF)
    await host.write(ctx, 0x14, 0x0001_0001)
    await offer(ctx, host.dut.config_update, [
        {"function": 0, "offset": 0, "data": any_dword(rng), "strobe": 15, "last": 1}])
    await host.settle(ctx)
    for word in range(0, 0x100, 4):
        if any(space.write_mask()[word:word + 4]) and word != 4:
            await host.config_write(ctx, word, any_dword(rng) & ~(1 << 15 + 8 * (flr % 4) if word == flr & ~3 else 0))


@pytest.mark.parametrize("how", ["rst", *broad("flr")])
def test_reset_returns_every_value_to_its_table(how):
    config = device()
    space = place(config)
    rng = random.Random(how)
    host = Host(config)
    words = [*range(0, 0x180, 4), 0x400, 0xFFC]
    want = after_reset(config)
    # Max_Payload_Size, Read Completion Boundary and Common Clock Configuration belong to the link.
    of_link = {space[name].offset & ~3: bits << 8 * (space[name].offset % 4)
               for name, bits in (("device_control", 0xE0), ("link_control", 0x48))}
    kept = {}

    async def play(ctx):
        for turn in range(2):
            image = await host.config_read(ctx, *words)
            reset_image = space.reset_image()
            assert image == [int.from_bytes(reset_image[word:word + 4], "little") | kept.get(word, 0) for word in words]
            await host.enumerate(ctx)
            found = dict(zip(want, await host.read(ctx, *want), strict=True))
            if turn and how == "flr":
                assert found.pop(CONTROL + 0x10) != 0, "the generation counts on"
            assert found == {offset: value for offset, value in want.items() if offset in found}
            if turn:
                break
            await dirty(ctx, host, rng)
            if how == "rst":
                await host.reset(ctx)
            else:
                found = await host.config_read(ctx, *of_link)
                kept.update({word: value & bits for value, (word, bits) in zip(found, of_link.items(), strict=True)})
                assert all(kept.values())
                at = space["device_control"].offset
                await host.config_write(ctx, at & ~3, 1 << 15 + 8 * (at % 4), 0xF)
                await host.settle(ctx)
                assert ResetCause.FLR in [payload["cause"] for name, payload in host.events if name == "reset_request"]

    host.run(play)


@pytest.mark.parametrize("width", [64])
def test_reset_in_the_middle_of_a_packet_forgets_the_packet(width):
    config = device(width)
    host = Host(config)
    write = build(memory_write(BASE + CONTROL + 0x18, bytes(range(128))))
    read = build(memory_read(BASE, 128))

    async def play(ctx):
        await host.enumerate(ctx)
        beats = raw_beats(write, host.lanes)
        for cut in range(1, len(beats), max(1, len(beats) // 4)):
            await offer(ctx, host.dut.rx, beats[:cut])
            await host.reset(ctx, clocks=1)
            await host.enumerate(ctx)
            assert await host.read(ctx, CONTROL, CONTROL + 0x18) == [control.MAGIC, 0]
        for wait in range(0, 45, 9):
            await host.send(ctx, read)
            for _ in range(wait):
                await ctx.tick()
            await host.reset(ctx, clocks=1)
            await host.enumerate(ctx)
            assert await host.read(ctx, CONTROL) == [control.MAGIC]

    host.run(play)


@pytest.mark.parametrize("width", [128])
def test_sixteen_more_requests_after_the_flag_fell_are_taken_and_writes_still_pass(width):
    host = Host(device(width))
    sent = []

    async def play(ctx):
        await host.enumerate(ctx)
        ctx.set(host.dut.tx.ready, 0)
        more, number = 16, 0
        while more:
            # The link looks at the flag when it starts a packet.
            more -= not ctx.get(host.dut.rx_np_ok)
            packet = build(memory_read(BASE + CONTROL, 4, tag=number))
            number += 1
            for beat in raw_beats(packet, host.lanes):
                await bounded(ctx, beat)
            sent.append(packet)
        ctx.set(host.dut.rx.valid, 0)
        # A write must reach its register although no completion can leave.
        for beat in raw_beats(build(memory_write(BASE + 8, (5).to_bytes(4, "little"))), host.lanes):
            await bounded(ctx, beat)
        ctx.set(host.dut.rx.valid, 0)
        await host.settle(ctx, 60)
        assert [payload["descriptors"] for name, payload in host.events if name == "queue_update"] == [5 << 12]
        assert host.beats == []
        ctx.set(host.dut.tx.ready, 1)
        answers = await host.wait(ctx, len(sent))
        assert [answer[2] >> 8 & 0xFF for answer in answers] == list(range(len(sent)))
        assert {answer[3] for answer in answers} == {control.MAGIC}
        await host.settle(ctx, 8)
        assert ctx.get(host.dut.rx_np_ok)

    async def bounded(ctx, beat):
        """The beat is taken without help from the stalled link."""
        ctx.set(host.dut.rx.payload, beat)
        ctx.set(host.dut.rx.valid, 1)
        for _ in range(60):
            if (await ctx.tick().sample(host.dut.rx.ready))[2]:
                return
        raise AssertionError(f"request {len(sent)} is not taken")

    host.run(play)


def random_traffic(rng):
    """Requests with at most one completion each, to every window."""
    found = []
    for _ in range(30):
        offset = rng.choice([0, CONTROL, ISR, DEVICE, MSIX, 0x7000]) + 4 * rng.randrange(12)
        length = rng.choice([1, 1, 2, rng.randint(1, 16)])
        first, last = (rng.randrange(16), 0) if length == 1 else (0xF, 0x3)
        common = {"address": BASE + offset, "length": length, "first_be": first, "last_be": last,
                  "tag": rng.getrandbits(8), "requester": rng.getrandbits(16), "wide": rng.random() < 0.3,
                  "digest": rng.choice([None, 1])}
        if rng.random() < 0.5 and offset & 0x7000 != CONTROL:
            found.append(MemoryRequest(write=True, payload=tuple(any_dword(rng) for _ in range(length)), **common))
        else:
            found.append(MemoryRequest(**common))
        if rng.random() < 0.1:
            found.append(ConfigRequest(offset=4 * rng.randrange(64), bus=1, tag=rng.getrandbits(8)))
    return found


def test_every_width_gives_the_same_answers():
    traffic = random_traffic(random.Random(9))
    answers = {}
    for width in (64, 128, 512):
        host = Host(device(width))

        async def play(ctx, host=host, width=width):
            await host.enumerate(ctx)
            # One answer at a time, so that no posted write passes a read at one width and not at another.
            answers[width] = []
            for request in traffic:
                await host.send(ctx, build(request))
                if not (isinstance(request, MemoryRequest) and request.write):
                    count = 1
                    if isinstance(request, MemoryRequest):
                        count = (request.address % 128 + 4 * request.length + 127) // 128
                    answers[width] += await host.wait(ctx, count)

        host.run(play)
    assert answers[64] == answers[128] == answers[512]
    assert len(answers[64]) > 15


@pytest.mark.parametrize("width, most", [(64, 5), (128, 4)])
def test_idle_single_read_is_answered_within_its_budget(width, most):
    host = Host(device(width))

    async def play(ctx):
        await host.enumerate(ctx)
        beats = raw_beats(build(memory_read(BASE, 4)), host.lanes)
        await host.settle(ctx)
        clocks = 0
        for beat in beats:
            ctx.set(host.dut.rx.payload, beat)
            ctx.set(host.dut.rx.valid, 1)
            await ctx.tick()
            clocks += 1
        ctx.set(host.dut.rx.valid, 0)
        while not ctx.get(host.dut.tx.valid):
            await ctx.tick()
            clocks += 1
        # From the clock of the request's first beat to the clock of the completion's first beat.
        assert clocks <= most

    host.run(play)


def test_single_dwords_go_one_a_clock_at_128_bits():
    host = Host(device())
    read, write = build(memory_read(BASE + CONTROL, 4)), build(memory_write(BASE + CONTROL + 0x18, bytes(4)))
    packets = [read] * 60 + [write] * 60 + [write, read] * 30
    taken = []

    async def play(ctx):
        await host.enumerate(ctx)
        for packet in packets:
            [beat] = raw_beats(packet, host.lanes)
            ctx.set(host.dut.rx.payload, beat)
            ctx.set(host.dut.rx.valid, 1)
            taken.append((await ctx.tick().sample(host.dut.rx.ready))[2])
        ctx.set(host.dut.rx.valid, 0)
        await host.settle(ctx)

    host.run(play)
    assert taken == [1] * len(packets)
    assert len(host.beats) == packets.count(read)


def test_back_end_is_heard_under_full_load():
    host = Host(device())
    read = build(memory_read(BASE + 0x14, 4))
    waits = []

    async def play(ctx):
        await host.enumerate(ctx)
        ctx.set(host.dut.interrupt_cause.payload, {"function": 0, "epoch": 0, "queue": 0, "config_change": 1})
        [beat] = raw_beats(read, host.lanes)
        ctx.set(host.dut.rx.payload, beat)
        ctx.set(host.dut.rx.valid, 1)
        await host.settle(ctx, 20)
        for _ in range(5):
            ctx.set(host.dut.interrupt_cause.valid, 1)
            waited = 1
            while not (await ctx.tick().sample(host.dut.interrupt_cause.ready))[2]:
                waited += 1
                assert waited < 100
            ctx.set(host.dut.interrupt_cause.valid, 0)
            waits.append(waited)
            await host.settle(ctx, 7)
        ctx.set(host.dut.rx.valid, 0)
        await host.settle(ctx)
        host.beats.clear()
        assert await host.read(ctx, ISR) == [2]

    host.run(play)
    assert max(waits) <= 12


def test_update_for_a_function_that_does_not_exist_changes_nothing():
    config = device()
    host = Host(config)

    async def play(ctx):
        await host.enumerate(ctx)
        before = await host.read(ctx, DEVICE, CONTROL + 0x10)
        await offer(ctx, host.dut.config_update, [
            {"function": 3, "offset": 0, "data": 0xFFFF_FFFF, "strobe": 15, "last": 1}])
        for name, fields in (("interrupt_cause", {"config_change": 1}), ("fault", {"cause": 2})):
            await offer(ctx, getattr(host.dut, name), [{"function": 1, "epoch": 0, "queue": 0, **fields}])
        await host.settle(ctx)
        assert await host.read(ctx, ISR, CONTROL + 0x14) == [0, 0]
        assert await host.read(ctx, DEVICE, CONTROL + 0x10) == before

    host.run(play)


def test_resets_behind_a_request_on_offer_become_one():
    """A word on offer may not change, so the first request stays; whatever follows shares the next epoch."""
    host = Host(device())

    async def play(ctx):
        await host.enumerate(ctx)
        ctx.set(host.dut.reset_request.ready, 0)
        for _ in range(3):
            await host.write(ctx, 0x12, 1, 1)
            await host.write(ctx, 0x12, 0, 1)
            await host.settle(ctx, 30)
        ctx.set(host.dut.reset_request.ready, 1)
        await host.settle(ctx)
        assert [payload["epoch"] for name, payload in host.events if name == "reset_request"] == [1, 2]

    host.run(play)


def test_nothing_of_the_new_epoch_is_told_before_the_reset_is_acknowledged():
    host = Host(device())

    async def play(ctx):
        await host.enumerate(ctx)
        await host.write(ctx, 0x12, 0, 1)
        await host.write(ctx, 0x04, 0)
        await host.write(ctx, 0x08, 7)
        await host.write(ctx, 0x10, 0, 2)
        await host.settle(ctx, 60)
        assert [name for name, _ in host.events] == ["reset_request"]
        await offer(ctx, host.dut.reset_done, [{"function": 0, "epoch": 1}])
        await host.settle(ctx, 60)
        names = [name for name, _ in host.events]
        assert sorted(names[1:3]) == ["driver_update", "queue_update"] and names[3:] == ["notification"]

    host.run(play)


def test_driver_that_reads_configuration_without_pause_does_not_hide_its_writes():
    host = Host(device())
    read = raw_beats(build(memory_read(BASE + DEVICE, 4)), 4)[0]

    async def play(ctx):
        await host.enumerate(ctx)
        await host.settle(ctx)
        writes = raw_beats(build(memory_write(BASE + DEVICE + 32, b"\1")), 4)[0]
        for beat in [read] * 20 + [writes] + [read] * 80:
            ctx.set(host.dut.rx.payload, beat)
            ctx.set(host.dut.rx.valid, 1)
            await ctx.tick()
        assert [name for name, _ in host.events] == ["config_write"]

    host.run(play)


def test_completions_carry_bus_and_device_of_the_newest_configuration_write():
    host = Host(device())

    async def play(ctx):
        for bus, number in ((0, 0), (0x5A, 3), (0xFF, 31)):
            [answer] = await host.ask(ctx, [ConfigRequest(write=True, bus=bus, device=number, offset=0x3C, first_be=0)])
            assert answer[1] >> 16 == bus << 8 | number << 3
            [other] = await host.ask(ctx, [ConfigRequest(write=True, bus=9, device=9, offset=0x3C, type1=True)])
            assert (other[1] >> 16, other[1] >> 13 & 7) == (bus << 8 | number << 3, 1)

    host.run(play)


def test_device_without_control_page_or_msix_answers_too():
    config = replace(device(make=net), control=None)
    regions = tuple(region for region in config.bars[0].regions if region.space.value in ("legacy", "device"))
    config = replace(config, msix_vectors=0, bars=(replace(config.bars[0], regions=regions),))
    host = Host(config)

    async def play(ctx):
        await host.config_write(ctx, 0x14, 0)
        await host.enumerate(ctx, command=2)
        [features, *words] = await host.read(ctx, 0, 0x14, 0x18, 0x1C)
        assert features == config.features
        assert to_bytes(words) == config.config_image
        await host.write(ctx, 8, 3)
        await host.write(ctx, 0x10, 0, 2)
        await host.settle(ctx)
        assert [name for name, _ in host.events] == ["queue_update"], "no bus master, no notification"
        await host.config_write(ctx, 4, 6)
        await host.settle(ctx)
        assert "notification" in [name for name, _ in host.events]

    host.run(play)


def test_a_config_write_that_nobody_takes_holds_up_nothing_else():
    host = Host(device(make=net))

    async def play(ctx):
        await host.enumerate(ctx)
        ctx.set(host.dut.config_write.ready, 0)
        for at in (0, 4):
            await host.write(ctx, DEVICE + at, 0x1234_5678)
        await host.write(ctx, 0x12, 0, 1)
        await host.settle(ctx)
        assert [name for name, _ in host.events] == ["reset_request"]
        await offer(ctx, host.dut.reset_done, [{"function": 0, "epoch": 1}])
        await offer(ctx, host.dut.interrupt_cause, [{"function": 0, "epoch": 1, "queue": 0, "config_change": 1}])
        await host.write(ctx, 0x08, 7)
        await host.settle(ctx)
        assert await host.read(ctx, ISR) == [2]
        assert [name for name, _ in host.events] == ["reset_request", "queue_update"]
        ctx.set(host.dut.config_write.ready, 1)
        await host.settle(ctx)
        assert [payload["offset"] for name, payload in host.events if name == "config_write"] == [0, 4]

    host.run(play)


def test_news_of_the_gate_outlives_a_reset_by_status():
    host = Host(device())

    async def play(ctx):
        await host.enumerate(ctx)
        await host.write(ctx, 0x12, 0, 1)
        await host.settle(ctx)
        await host.write(ctx, CONTROL + 0x24, 0)
        await host.write(ctx, 0x12, 0, 1)
        await host.settle(ctx)
        await offer(ctx, host.dut.reset_done, [{"function": 0, "epoch": 2}])
        await host.settle(ctx)
        assert [name for name, _ in host.events] == ["reset_request", "reset_request", "driver_update"]
        assert host.events[-1][1]["event"] == DriverEvent.GATE_CLOSE

    host.run(play)

"""The decoder of virtual functions agrees with the golden model, address by address."""

import itertools
import random

import pytest
from block.simulation import simulate, taking
from virtio_mmr.config import loads
from virtio_mmr.gateware.access.interface import NOWHERE, Kind
from virtio_mmr.gateware.access.virtual import VirtualDecoder, VirtualStage
from virtio_mmr.spec.sriov import SUPPORTED_PAGE_SIZES
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.tlp import ConfigRequest, build

SRIOV = 0x160

LEGACY = 'regions = [{ space = "legacy", offset = 0, size = 0x1000 }'
BARS = {
    "default": "",
    "two, one of 32 bits": f'msix_vectors = 2\n[vf.bars.0]\nkind = "memory32"\n{LEGACY}]\n[vf.bars.4]\n'
    'kind = "memory64"\nregions = [{ space = "msix", offset = 0x0, size = 0x8000 }]\n',
    "a MiB": f'[vf.bars.1]\nkind = "memory64"\nsize = 0x100000\n{LEGACY}, '
    '{ space = "msix", offset = 0x8000, size = 0x1000 }]\n',
}


class Setup:
    """A model whose SR-IOV capability is programmed, and the decoder's inputs that go with it."""

    def __init__(self, rng: random.Random, count: int, bars: str):
        self.config = loads(f'[device]\nkind = "net"\n[capabilities]\ncontrol = false\n[vf]\ncount = {count}\n{bars}')
        self.model = EndpointModel(self.config)
        page = rng.choice([bit for bit in range(11) if SUPPORTED_PAGE_SIZES >> bit & 1])
        self.write(0x20, 1 << page)
        for index in range(6):
            self.write(0x24 + 4 * index, rng.getrandbits(32) & rng.choice((0xFFFF_FFFF, 0xFF)))
        self.write(0x10, rng.randint(1, count))
        self.write(0x08, 1 | rng.choice((0, 8, 8, 8)) | 16)

    def write(self, offset: int, data: int) -> None:
        self.model.receive(build(ConfigRequest(write=True, offset=SRIOV + offset, data=data, first_be=0xF)))

    def drive(self, ctx, dut: VirtualDecoder) -> None:
        space = self.model.space
        ctx.set(dut.page_size, space.get("control.system_page_size"))
        ctx.set(dut.memory_enabled, space.get("control.vf_memory_enable"))
        ctx.set(dut.present, self.model.present)
        for bar in self.config.vf.function.bars:
            ctx.set(dut.base[bar.index], space.base_address(bar.index, bar.kind.value == "memory64", "vf_"))

    def addresses(self, rng: random.Random) -> list[int]:
        """On and beside every edge, and anywhere."""
        found = [rng.getrandbits(64) & ~3 for _ in range(20)]
        for aperture in self.model.apertures:
            for number in (0, 1, 2, self.model.present - 1, self.model.present, self.model.present + 1, 256):
                edge = aperture.base + number * aperture.size
                inside = edge + rng.randrange(aperture.size)
                found += [value & ~3 for value in (edge - 4, edge, inside) if 0 <= value < 1 << 64]
        return found


@pytest.mark.parametrize("bars", BARS)
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_model(bars, seed):
    rng = random.Random(seed)
    setups = [Setup(rng, rng.choice((1, 3, 8, 255)), BARS[bars]) for _ in range(12)]
    dut = VirtualDecoder(setups[0].config.vf.function.bars)
    claimed = set()

    async def check(ctx):
        ctx.set(dut.take, 1)
        for setup in setups:
            setup.drive(ctx, dut)
            for address in setup.addresses(rng):
                ctx.set(dut.address, address >> 2)
                await ctx.tick()
                expected = next((entry for entry in (setup.model._decode(address, io=False),) if entry), None)
                assert ctx.get(dut.claimed) == (expected is not None), hex(address)
                claimed.add(expected is not None)
                if expected is not None:
                    assert ctx.get(dut.function) == expected.unit.number
                    assert ctx.get(dut.offset) == (address - expected.base) >> 2
                    assert expected.regions == expected.unit.regions[ctx.get(dut.bar)]

    simulate(dut, check)
    assert claimed == {True, False}


class Stage:
    """A `VirtualStage` fed as `TlpIngress` does: the header a clock or more before the request, payload behind it."""

    def __init__(self, seed: int, *, stall: float = 0.3, idle: float = 0.3):
        self.rng = rng = random.Random(seed)
        self.setup = Setup(rng, 8, BARS["default"])
        self.stall, self.idle = stall, idle
        self.dut = VirtualStage(self.setup.config.vf.function.bars)
        #: What came out, with the clock and whether its input was taken in that clock.
        self.found, self.sent = [], []

    def requests(self, count: int, *, kinds=(Kind.MEMORY, Kind.CONFIG, Kind.MALFORMED)) -> list[tuple[int, dict]]:
        rng = self.rng
        made = []
        for number in range(count):
            kind, write = rng.choice(kinds), rng.randrange(2)
            bar, length = rng.choice((NOWHERE, NOWHERE, 0)), rng.choice((1, 1, 4))
            made.append((rng.choice(self.setup.addresses(rng)) >> 2, {
                "kind": kind, "write": write, "posted": write and kind is Kind.MEMORY, "length": length,
                "single": length == 1, "place": {"bar": bar, "function": 0, "offset": number}, "tag": number & 0xFF}))
        return made

    def expected(self, address: int, request: dict) -> dict:
        """The place that the request leaves with."""
        claimed = self.setup.model._decode(address << 2, io=False)
        if request["kind"] is not Kind.MEMORY or request["place"]["bar"] != NOWHERE or claimed is None:
            return request["place"]
        (bar,) = self.setup.config.vf.function.bars
        return {"bar": bar.index, "function": claimed.unit.number, "offset": (address << 2) - claimed.base >> 2}

    async def feed(self, ctx, requests) -> None:
        dut, rng = self.dut, self.rng
        ctx.set(dut.page_size, self.setup.model.space.get("control.system_page_size"))
        ctx.set(dut.memory_enabled, 1)
        ctx.set(dut.present, self.setup.model.present)
        for aperture in self.setup.model.apertures:
            ctx.set(dut.base[aperture.bar], aperture.base)
        pending, waiting = list(requests), None
        while pending or waiting is not None:
            ctx.set(dut.onward.ready, rng.random() >= self.stall)
            taken = waiting is not None and ctx.get(dut.request.ready)
            # A header is taken as the request before it is.
            comes = pending and (waiting is None or taken) and rng.random() >= self.idle
            ctx.set(dut.heading, bool(comes))
            ctx.set(dut.heading_address, pending[0][0] if comes else rng.getrandbits(62))
            await ctx.tick()
            if taken:
                waiting = None
            if comes:
                waiting = pending.pop(0)[1]
            ctx.set(dut.request.valid, waiting is not None)
            if waiting is not None:
                ctx.set(dut.request.payload, waiting)
        ctx.set(dut.heading, 0)
        ctx.set(dut.onward.ready, 1)
        await ctx.tick().repeat(3)


@pytest.mark.parametrize("seed", (0, 2, 3))
def test_requests_leave_in_order_with_their_places(seed):
    stage = Stage(seed)
    requests = stage.requests(120)
    dut = stage.dut

    async def feed(ctx):
        await stage.feed(ctx, requests)

    simulate(dut, feed, background=[taking(dut.onward, stage.found)])
    assert [found["tag"] for found in stage.found] == [request["tag"] for _, request in requests]
    for found, (address, request) in zip(stage.found, requests, strict=True):
        assert found["place"] == stage.expected(address, request), hex(address << 2)
    assert len({found["place"]["function"] for found in stage.found}) > 2


def test_a_long_write_stays_at_the_input_until_the_clock_behind():
    stage = Stage(7, stall=0.6)
    requests = [(address, request) for address, request in stage.requests(90, kinds=(Kind.MEMORY,))]
    dut = stage.dut

    async def feed(ctx):
        await stage.feed(ctx, requests)

    request, onward, clocks = dut.request, dut.onward, []

    async def watch(ctx):
        async for _, _, *now in ctx.tick().sample(
                onward.valid & onward.ready & onward.p.posted & ~onward.p.single, onward.p.tag,
                request.valid, request.ready, request.p.tag):
            clocks.append(now)

    simulate(dut, feed, background=[watch])
    long = 0
    for (leaves, tag, *at_input), (_, _, *behind) in itertools.pairwise(clocks):
        if leaves:
            long += 1
            assert (at_input, behind) == ([1, 0, tag], [1, 1, tag])
    assert long > 5


def test_a_stalled_output_does_not_reach_the_input_at_once():
    """Two requests come in while nothing goes out."""
    stage = Stage(5)
    dut, words = stage.dut, [request for _, request in stage.requests(3, kinds=(Kind.CONFIG,))]

    async def feed(ctx):
        taken = []
        for word in words:
            ctx.set(dut.request.valid, 1)
            ctx.set(dut.request.payload, word)
            taken.append(ctx.get(dut.request.ready))
            await ctx.tick()
        assert taken == [1, 1, 0]
        assert ctx.get(dut.onward.p.tag) == words[0]["tag"]

    simulate(dut, feed)


def test_short_requests_pass_one_a_clock():
    stage = Stage(3, stall=0, idle=0)
    requests = [(address, {**request, "length": 1, "single": 1}) for address, request in stage.requests(40)]
    dut, clocks = stage.dut, []

    async def feed(ctx):
        ctx.set(dut.onward.ready, 1)
        await stage.feed(ctx, requests)

    async def watch(ctx):
        clock = 0
        async for _, _, valid in ctx.tick().sample(dut.onward.valid):
            clock += 1
            if valid:
                clocks.append(clock)

    simulate(dut, feed, background=[watch])
    assert clocks == list(range(clocks[0], clocks[0] + 40))

"""The decoder of virtual functions agrees with the golden model, address by address."""

import random

import pytest
from block.simulation import simulate
from virtio_mmr.config import loads
from virtio_mmr.gateware.access.virtual import VirtualDecoder
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

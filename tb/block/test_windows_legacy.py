"""The legacy window splits where the device configuration starts, and that moves with MSI-X Enable."""

import pytest
from amaranth.hdl import Module
from block.simulation import plain, simulate
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.legacy import LegacyWindow

OFFSETS = [*range(0, 0x90, 4), 0x100, 0x114, 0x200, 0xFFC, 0x1000, 0x1014, 0x8000, 0xFFFFC]


@pytest.mark.parametrize("config_size", [0, 1, 12, 60, 96])
@pytest.mark.parametrize("msix", [False, True])
def test_header_ends_where_configuration_starts(config_size, msix):
    m = Module()
    m.submodules.dut = dut = LegacyWindow(config_size)
    start = 0x18 if msix else 0x14

    async def sweep(ctx):
        ctx.set(dut.msix_enabled, msix)
        for valid in (1, 0):
            for write in (0, 1):
                for offset in OFFSETS:
                    access = {"space": Space.LEGACY, "function": 0, "offset": offset, "write": write,
                              "data": 0x1234_5678, "strobe": 0b0110}
                    ctx.set(dut.port.access.payload, access)
                    ctx.set(dut.port.access.valid, valid)
                    header, config = ctx.get(dut.header.access.valid), ctx.get(dut.config.access.valid)
                    assert header == (valid and offset < start)
                    assert ctx.get(dut.port.reply.valid) == valid
                    if valid and start <= offset < start + config_size:
                        assert config
                    if config:
                        inner = plain(ctx.get(dut.config.access.payload))
                        assert valid and inner == {**access, "offset": offset - start}
                    if header:
                        assert plain(ctx.get(dut.header.access.payload)) == access
                    ctx.set(dut.header.reply.p.data, 0xAABB_0001 if header else 0)
                    ctx.set(dut.config.reply.p.data, 0xCCDD_0002 if config else 0)
                    answer = 0xAABB_0001 if header else 0xCCDD_0002 if config else 0
                    assert ctx.get(dut.port.reply.p.data) == answer

    simulate(m, sweep)

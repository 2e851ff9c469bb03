"""The MSI-X window shows the table's reset values and keeps nothing."""

import pytest
from amaranth.hdl import Module
from block.simulation import simulate
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.msix import MsixWindow


@pytest.mark.parametrize("vectors", [1, 3, 16, 17])
def test_entries_are_masked_and_everything_else_is_zero(vectors):
    m = Module()
    m.submodules.dut = dut = MsixWindow(vectors)

    async def sweep(ctx):
        for write in (1, 0):
            for offset in [*range(0, 0x200, 4), 0x800, 0x80C, 0x1000C, 0xFFFFC]:
                ctx.set(dut.port.access.payload, {
                    "space": Space.MSIX, "offset": offset, "write": write, "data": 0xFFFF_FFFF, "strobe": 0xF})
                ctx.set(dut.port.access.valid, 1)
                expected = int(offset < 16 * vectors and offset % 16 == 12)
                assert (ctx.get(dut.port.reply.valid), ctx.get(dut.port.reply.p.data)) == (1, expected)
                ctx.set(dut.port.access.valid, 0)
                assert (ctx.get(dut.port.reply.valid), ctx.get(dut.port.reply.p.data)) == (0, 0)

    simulate(m, sweep)

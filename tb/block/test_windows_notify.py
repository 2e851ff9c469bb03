"""A write to a notification address becomes a kick of its queue."""

import pytest
from block.simulation import plain, simulate
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.notify import NotifyWindow


@pytest.mark.parametrize("stride", [0, 4, 8, 0x1000])
def test_every_address_and_strobe(stride):
    dut = NotifyWindow(stride)

    async def sweep(ctx):
        for offset in (0, 4, 8, 12, 16, 0x1000, 0x1004, 0x3000, 0xF_FFFC):
            for strobe in range(16):
                for write in (0, 1):
                    for valid in (0, 1):
                        ctx.set(dut.port.access.p, {
                            "space": Space.NOTIFY, "offset": offset, "write": write, "data": 0x8765_4321,
                            "strobe": strobe})
                        ctx.set(dut.port.access.valid, valid)
                        lanes = [0x8765_4321 >> 8 * lane & 0xFF if strobe >> lane & 1 else 0 for lane in range(4)]
                        low, high = lanes[0] | lanes[1] << 8, lanes[2] | lanes[3] << 8
                        is_address = offset % stride == 0 if stride else offset == 0
                        queue = offset // stride if stride else low
                        kicks = valid and write and strobe & 1 and is_address
                        found = plain(ctx.get(dut.touch))["kick"]
                        assert found["write"] == (0b11 if kicks else 0) and found["read"] == 0
                        assert not kicks or (found["data"], ctx.get(dut.data)) == (queue & 0xFFFF, high)
                        assert valid or ctx.get(dut.data) == 0, "another window's access brings no data"
                        assert (ctx.get(dut.port.reply.valid), ctx.get(dut.port.reply.p.data)) == (valid, 0)

    simulate(dut, sweep)

"""The core's part of a configuration space that belongs to hard IP: every read is answered, once."""

import random

import pytest
from block.simulation import simulate
from virtio_mmr.config import loads
from virtio_mmr.gateware.windows.extension import ConfigExtension
from virtio_mmr.layout import place

DEVICE = loads("""
[device]
kind = "net"
[vf]
count = 3
[datapath]
adapter = "pcie4_uscale_plus"
""")
KINDS = [DEVICE, DEVICE.of(1)]


def expected(function: int, number: int) -> int:
    """Slow, obvious statement of what a register shows."""
    if function > 3:
        return 0
    return int.from_bytes(place(KINDS[function != 0]).reset_image()[4 * number:4 * number + 4], "little")


@pytest.mark.parametrize("held", [False, True])
def test_every_read_is_answered_in_the_next_clock_and_only_once(held):
    rng = random.Random(held)
    dut = ConfigExtension([place(kind) for kind in KINDS], DEVICE.functions)
    door = dut.door
    answers = []

    async def play(ctx):
        for _ in range(300):
            number = rng.choice([0x2C, 0x2D, 0x120, rng.randrange(0x120, 0x140), rng.randrange(1024)])
            function = rng.choice([0, 0, 1, 2, 3, 4, 252, 255])
            write = rng.random() < 0.2
            ctx.set(door.register_number, number)
            ctx.set(door.function_number, function)
            ctx.set(door.write_data, rng.getrandbits(32))
            ctx.set(door.write_byte_enable, 0xF)
            ctx.set(door.write_received if write else door.read_received, 1)
            clocks = 1 + rng.randrange(4) * (held or write)
            for clock in range(clocks + rng.randrange(1, 4)):
                if clock == clocks:
                    ctx.set(door.write_received, 0)
                    ctx.set(door.read_received, 0)
                    ctx.set(door.register_number, rng.randrange(1024))
                    ctx.set(door.function_number, rng.randrange(256))
                _, _, valid, shown = await ctx.tick().sample(door.read_data_valid, door.read_data)
                answers.append((valid, shown) if valid else None)
                due = clock == 1 and not write
                assert answers[-1] == ((1, expected(function, number)) if due else None)
            ctx.set(door.write_received, 0)
            ctx.set(door.read_received, 0)
            if clocks >= clock + 1:
                await ctx.tick()

    simulate(dut, play)
    assert sum(answer is not None for answer in answers) > 200
    assert any(answer and answer[1] for answer in answers)


def test_forwarded_requests_read_the_same_registers():
    dut = ConfigExtension([place(DEVICE.of(0))], 1)

    async def play(ctx):
        for number in range(0x118, 0x140):
            ctx.set(dut.ahead, number)
            await ctx.tick().repeat(2)
            ctx.set(dut.port.access.valid, 1)
            ctx.set(dut.port.access.p.offset, 4 * number)
            assert ctx.get(dut.port.reply.p.data) == expected(0, number)
            await ctx.tick()
            ctx.set(dut.port.access.valid, 0)
            assert ctx.get(dut.port.reply.p.data) == 0

    simulate(dut, play)

"""Every virtual function's configuration space is the golden model's, whichever of them is accessed in between."""

import random

import pytest
from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from block.simulation import any_dword, plain, simulate
from selection import full
from virtio_mmr.config import loads
from virtio_mmr.gateware.access.interface import Access, AccessPort, Space
from virtio_mmr.gateware.state.virtual import (
    DEVICE_ERRORS,
    STATUS_ERRORS,
    VirtualConfigChange,
    VirtualConfigState,
    VirtualErrors,
    applied,
)
from virtio_mmr.gateware.windows.virtual_config import VirtualConfigSpace
from virtio_mmr.layout import place
from virtio_mmr_sim.model.configuration import ConfigurationSpaceModel

DEVICES = {
    "net": loads('[device]\nkind = "net"\n[vf]\ncount = 8\n'),
    "no msix": loads('[device]\nkind = "console"\n[vf]\ncount = 3\nqueues = [16, 16]\nmsix_vectors = 0\n'),
    "modern": loads("""
[device]
kind = "net"
[vf]
count = 4
[vf.bars.2]
kind = "memory64"
regions = [
    { space = "legacy", offset = 0x0000, size = 0x1000 },
    { space = "common", offset = 0x1000, size = 0x1000 },
    { space = "isr",    offset = 0x2000, size = 0x1000 },
    { space = "device", offset = 0x3000, size = 0x1000 },
    { space = "msix",   offset = 0x4000, size = 0x1000 },
    { space = "notify", offset = 0x5000, size = 0x1000 },
]
"""),
}

COMMAND, MSIX_CONTROL, DEVICE_CONTROL, DEVICE_STATUS = 0x04, 0x4A, 0xC8, 0xCA
RESET = 1 << 15


class Rows(wiring.Component):
    """The space with rows of state, one for each function, as an endpoint has them."""

    def __init__(self, device):
        self._device = device
        super().__init__({
            "port": In(AccessPort()),
            "ahead": In(10),
            "coming": In(stream.Signature(Access, always_ready=True)),
            "function": In(8),
            "errors": In(VirtualErrors),
            "change": Out(VirtualConfigChange),
            "state": Out(VirtualConfigState),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.space = space = VirtualConfigSpace(place(self._device.of(1)))
        wiring.connect(m, wiring.flipped(self.port), space.port)
        wiring.connect(m, wiring.flipped(self.coming), space.coming)
        rows = Array([Signal(VirtualConfigState, name=f"row_{number}").as_value()
                      for number in range(self._device.functions)])
        m.d.comb += [
            space.ahead.eq(self.ahead),
            self.state.eq(rows[self.function]),
            space.state.eq(self.state),
            self.change.eq(space.change),
        ]
        m.d.sync += rows[self.function].eq(applied(self.state, space.change, self.errors))
        return m


class Functions:
    """Golden models of the virtual functions, the stimulus for all of them, and the comparison."""

    def __init__(self, name):
        self.device = DEVICES[name]
        self.rng = random.Random(name)
        self.space = place(self.device.of(1))
        self.models = {number: ConfigurationSpaceModel(self.device.of(number), self.space)
                       for number in range(1, self.device.functions)}
        self.dut = Rows(self.device)
        changing = [a | b for a, b in zip(self.space.write_mask(), self.space.write_clear_mask(), strict=True)]
        self.busy = sorted({at // 4 for at, byte in enumerate(changing) if byte})
        self.resets = 0
        self.announced = None

    async def access(self, ctx, function, offset, data=0, strobe=0xF, write=False, errors=(), then=None):
        """One access; gives what is told and what is shown.

        The access to *then* may follow as soon as it can, which is two clocks later.
        """
        dut = self.dut
        ctx.set(dut.port.access.valid, 0)
        ctx.set(dut.errors, {"status_errors": 0, "device_errors": 0})
        payload = {"space": Space.CONFIG, "function": function, "offset": offset, "write": write, "data": data,
                   "strobe": strobe}
        wait = [offset // 4] * (self.announced != offset) + [self.rng.randrange(1024)]
        for clocks, coming in enumerate(wait, 1 - len(wait)):
            ctx.set(dut.ahead, coming)
            ctx.set(dut.coming.valid, clocks == 0)
            ctx.set(dut.coming.payload, payload if clocks == 0 else {
                **payload, "write": 1, "strobe": 0xF, "data": 0xFFFF_FFFF})
            # Whatever the port says while it is not valid.
            ctx.set(dut.port.access.p.write, self.rng.getrandbits(1))
            ctx.set(dut.function, self.rng.choice([*self.models]))
            _, _, valid, shown, change = await ctx.tick().sample(
                dut.port.reply.valid, dut.port.reply.p.data, dut.change)
            assert not valid and shown == 0 and not any(plain(change).values())
        model = self.models[function]
        ctx.set(dut.function, function)
        ctx.set(dut.port.access.payload, payload)
        ctx.set(dut.port.access.valid, 1)
        ctx.set(dut.coming.valid, 0)
        ctx.set(dut.errors, {"status_errors": self.bits(STATUS_ERRORS, errors),
                             "device_errors": self.bits(DEVICE_ERRORS, errors)})
        self.announced = then
        ctx.set(dut.ahead, self.rng.randrange(1024) if then is None else then // 4)
        _, _, valid, shown, change = await ctx.tick().sample(dut.port.reply.valid, dut.port.reply.p.data, dut.change)
        assert valid
        assert shown == model.read(offset, 0xF, {}), (function, hex(offset))
        reset = write and model.write(offset, data, strobe)
        for event in errors:
            model.set_event(f"event.{event}")
        if reset:
            model.reset()
            self.resets += 1
        change = plain(change)
        assert change["reset"] == reset
        if not write:
            assert not any(change.values())
        return change, shown

    def bits(self, names, chosen):
        return sum(1 << i for i, name in enumerate(names) if name in chosen)

    async def sweep(self, ctx):
        """Every function shows what its model does."""
        ctx.set(self.dut.port.access.valid, 0)
        for function, model in self.models.items():
            ctx.set(self.dut.function, function)
            found = plain(ctx.get(self.dut.state))
            assert found == {
                **{name: model.get(f"control.{name}") for name in ("bus_master", "msix_enable", "msix_mask")},
                "status_errors": self.bits(STATUS_ERRORS, [
                    name for name in STATUS_ERRORS if model.get(f"event.{name}")]),
                "device_errors": self.bits(DEVICE_ERRORS, [
                    name for name in DEVICE_ERRORS if model.get(f"event.{name}")]),
            }
            for word in self.busy:
                await self.access(ctx, function, 4 * word)


@pytest.mark.parametrize("name", [
    "modern", *full(*(name for name in DEVICES if name != "modern"))])
def test_any_accesses_to_any_functions_agree_with_the_golden_model(name):
    functions = Functions(name)
    rng = functions.rng
    every = (*STATUS_ERRORS, *DEVICE_ERRORS)

    async def play(ctx):
        word = 0
        for _ in range(2500):
            data = any_dword(rng)
            if word == DEVICE_CONTROL // 4 and rng.random() < 0.6:
                data &= ~RESET
            then = rng.choice(functions.busy) if rng.random() < 0.85 else rng.randrange(1024)
            await functions.access(
                ctx, rng.choice([*functions.models]), 4 * word, data, rng.randrange(16), write=rng.random() < 0.6,
                errors=[event for event in every if rng.random() < 0.1], then=4 * then if rng.random() < 0.8 else None)
            word = then
        await functions.sweep(ctx)

    simulate(functions.dut, play)
    assert functions.resets > 10


@pytest.mark.parametrize("name", DEVICES)
def test_after_reset_every_dword_reads_as_the_table_says(name):
    functions = Functions(name)
    image = functions.space.reset_image()

    async def play(ctx):
        for at in range(0, 4096 if name == "net" else 512, 4):
            _, shown = await functions.access(ctx, 1, at)
            assert shown == int.from_bytes(image[at:at + 4], "little"), hex(at)

    simulate(functions.dut, play)


def test_ones_everywhere_set_bus_master_and_msix_control_alone():
    functions = Functions("net")

    async def play(ctx):
        for at in range(0, 4096, 4):
            no_reset = RESET if at == DEVICE_CONTROL else 0
            await functions.access(ctx, 2, at, 0xFFFF_FFFF & ~no_reset, write=True)
        ctx.set(functions.dut.function, 2)
        assert plain(ctx.get(functions.dut.state)) == {
            "bus_master": 1, "msix_enable": 1, "msix_mask": 1, "status_errors": 0, "device_errors": 0}
        assert (await functions.access(ctx, 2, COMMAND))[1] == 0x0010_0004
        assert (await functions.access(ctx, 2, MSIX_CONTROL - 2))[1] >> 16 == 0xC002
        assert (await functions.access(ctx, 1, COMMAND))[1] == 0x0010_0000

    simulate(functions.dut, play)


def test_nothing_else_of_a_write_that_resets_is_applied():
    functions = Functions("net")

    async def play(ctx):
        await functions.access(ctx, 1, COMMAND, 4, write=True, errors=["detected_parity_error"])
        await functions.access(ctx, 2, COMMAND, 4, write=True, errors=DEVICE_ERRORS)
        await functions.access(ctx, 1, 0, errors=DEVICE_ERRORS)
        change, shown = await functions.access(ctx, 1, DEVICE_CONTROL, 0x000F_8000, write=True)
        assert shown == 0x000F_0000
        assert {name for name, value in change.items() if value} == {"reset"}
        assert (await functions.access(ctx, 1, DEVICE_CONTROL))[1] == 0
        assert (await functions.access(ctx, 1, COMMAND))[1] == 0x0010_0000
        assert (await functions.access(ctx, 2, DEVICE_CONTROL))[1] == 0x000F_0000
        # The byte with the bit must be enabled.
        change, _ = await functions.access(ctx, 2, DEVICE_CONTROL, 0x000F_8000, 0b1101, write=True)
        assert change["device_clear"] == 0xF and not change["reset"]
        assert (await functions.access(ctx, 2, COMMAND))[1] == 0x0010_0004

    simulate(functions.dut, play)


def test_changes_are_told_for_the_bytes_that_are_written():
    functions = Functions("net")

    async def play(ctx):
        for offset, data, strobe, told in (
            (COMMAND, 4, 1, {"bus_master_write": 1, "bus_master": 1}),
            (COMMAND, 4, 2, {}),
            (COMMAND, 0, 1, {"bus_master_write": 1}),
            *((COMMAND, 1 << 16 + bit, 12, {"status_clear": 1 << index})
              for index, bit in enumerate((8, 11, 12, 13, 14, 15))),
            (COMMAND, 0x0100_0004, 9, {"bus_master_write": 1, "bus_master": 1, "status_clear": 1}),
            (MSIX_CONTROL - 2, 0x8000_0000, 8, {"msix_write": 1, "msix_enable": 1}),
            (MSIX_CONTROL - 2, 0x4000_0000, 8, {"msix_write": 1, "msix_mask": 1}),
            (MSIX_CONTROL - 2, 0xC000_0000, 7, {}),
            *((DEVICE_CONTROL, 0x10000 << bit, 4, {"device_clear": 1 << bit}) for bit in range(4)),
            (0x10, 0xFFFF_FFFF, 15, {}),
        ):
            change, _ = await functions.access(ctx, 3, offset, data, strobe, write=True)
            assert {name: value for name, value in change.items() if value} == told, hex(offset)

    simulate(functions.dut, play)


def test_error_in_the_clock_of_a_clearing_write_is_kept():
    functions = Functions("net")

    async def play(ctx):
        for event, word, bit in (("detected_parity_error", COMMAND, 31), ("nonfatal_detected", DEVICE_CONTROL, 17)):
            for _ in range(2):
                await functions.access(ctx, 1, word, 1 << bit, write=True, errors=[event])
                assert (await functions.access(ctx, 1, word))[1] >> bit & 1
            await functions.access(ctx, 1, word, 1 << bit, write=True)
            assert not (await functions.access(ctx, 1, word))[1] >> bit & 1

    simulate(functions.dut, play)

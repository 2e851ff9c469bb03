"""The traffic generator of the ECP5 board: it goes round with the core, and sees a wrong answer and a missing one."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from virtio_mmr import config
from virtio_mmr.gateware.endpoint import Endpoint
from virtio_mmr_boards.board import BoardError
from virtio_mmr_boards.ecp5.script import Script, script
from virtio_mmr_boards.ecp5.traffic import TrafficGenerator

RNG = '[device]\nkind = "rng"\n[interrupts]\nmsix_vectors = 0\n'


def run(steps, clocks=900):
    """State of the generator after so many clocks beside an entropy device, or when it has stopped."""
    device = config.loads(RNG)
    m = Module()
    m.submodules.core = core = Endpoint(device)
    m.submodules.traffic = traffic = TrafficGenerator(steps, patience=64)
    wiring.connect(m, traffic.requests, core.rx)
    wiring.connect(m, core.tx, traffic.completions)
    for out in (core.driver_update, core.queue_update, core.notification, core.config_write,
                core.dma_read_data, core.dma_write_done):
        m.d.comb += out.ready.eq(1)
    m.d.comb += [
        core.reset_done.valid.eq(core.reset_request.valid),
        core.reset_done.p.function.eq(core.reset_request.p.function),
        core.reset_done.p.epoch.eq(core.reset_request.p.epoch),
        core.reset_request.ready.eq(core.reset_done.ready),
    ]
    state = {}

    async def watch(ctx):
        for _ in range(clocks):
            await ctx.tick()
            if ctx.get(traffic.wrong) or ctx.get(traffic.silent):
                break
        state.update({name: ctx.get(getattr(traffic, name)) for name in ("passes", "wrong", "silent", "step")})

    simulator = Simulator(m)
    simulator.add_clock(8e-9)
    simulator.add_testbench(watch)
    simulator.run()
    return state


def planted(number, **change):
    """The script of the entropy device with one step changed."""
    right = script(config.loads(RNG))
    steps = list(right.steps)
    steps[number] = replace(steps[number], **change)
    return Script(tuple(steps), right.again)


def test_it_goes_round_and_every_answer_is_right():
    state = run(script(config.loads(RNG)))
    assert state["passes"] > 3
    assert (state["wrong"], state["silent"]) == (0, 0)


def test_every_bit_that_is_wrong_stops_it_where_it_is():
    """Of steps with an answer, the first, one in the middle and the last: another bit of another dword each."""
    right = script(config.loads(RNG)).steps
    asked = [number for number, step in enumerate(right) if step.answer]
    for turn, number in enumerate((asked[0], asked[len(asked) // 2], asked[-1])):
        answer = list(right[number].answer)
        answer[turn % len(answer)] ^= 1 << (7 * turn % 24)
        state = run(planted(number, answer=tuple(answer)))
        assert (state["wrong"], state["silent"], state["step"]) == (1, 0, number)


def test_an_answer_that_does_not_come_stops_it():
    """A posted write has none."""
    number = next(number for number, step in enumerate(script(config.loads(RNG)).steps) if not step.answer)
    state = run(planted(number, answer=(0x0A000000, 0, 0)))
    assert (state["wrong"], state["silent"], state["step"]) == (0, 1, number)


@pytest.mark.parametrize(("text", "said"), [
    (RNG + "[datapath]\nwidth = 64\n", "raw TLPs of 128 bit, and the device has raw of 64; write datapath.width = 128"),
    ('[device]\nkind = "rng"\nidentity = "legacy-io"\n', "the device has none in a memory BAR; add a region"),
])
def test_a_device_that_the_script_cannot_drive_is_refused(text, said):
    with pytest.raises(BoardError, match=said):
        script(config.loads(text))

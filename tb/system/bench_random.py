"""Random packets, wise and unwise, against the golden model; the link and the host pause at random."""

import os
from collections import deque
from dataclasses import replace

from cocotb.triggers import ClockCycles
from virtio_mmr.spec.tlp import TlpType
from virtio_mmr_sim import bench
from virtio_mmr_sim.host.host import hexadecimal
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.stimulus import Flow, Stimulus
from virtio_mmr_sim.testbench import case

#: Packets of a run, and of a run of judged volume.
PACKETS, PACKETS_FULL = 1500, 6000

#: Bits of the first dword that make a tag longer than eight bits.
LONG_TAG = 1 << 23 | 1 << 19

#: With DMA, completions go their own way, so that one of these may be found in the clock of another error: one pulse
#: then tells of both.
MEETS = {"error_correctable": "count_unexpected", "error_nonfatal": "count_poisoned", "error_fatal": "count_malformed"}

#: Completions may be this many clocks away.
PATIENCE = 20_000


class Scoreboard:
    """Compares what comes up with what the model answers, packet by packet and in order."""

    def __init__(self, tb):
        self._tb = tb
        self._expected = deque()
        #: What the endpoint has sent of its own accord since the last look.
        self._sent = []
        tb.host.others = self._found

    def expect(self, dwords):
        self._expected.append(list(dwords))

    def _found(self, dwords):
        if dwords[0] >> 24 & 0x1E != 0x0A:
            self._sent.append(list(dwords))
            return True
        assert self._expected, f"the endpoint sent {hexadecimal(dwords)}, the model nothing"
        if self._tb.config.datapath.hard_ip.owns_header and list(dwords) in self._expected:
            # What the block answers itself has no order to the rest.
            self._expected.remove(list(dwords))
            return True
        expected = self._expected.popleft()
        assert list(dwords) == expected, f"the endpoint sent {hexadecimal(dwords)}, the model {hexadecimal(expected)}"
        return True

    async def expect_sent(self, sent, melts):
        """Messages of the packet just sent; with *melts* some of them, if it changed several dwords."""
        await self.idle()
        clocks = 0
        while len(self._sent) < len(sent) and clocks < (200 if melts else PATIENCE):
            await ClockCycles(self._tb.dut.clk, 4)
            clocks += 4
        found, self._sent = self._sent, []
        assert sorted(found) == sorted(sent) or (melts and all(one in sent for one in found)), (
            f"the endpoint sent {found}, the model {sent}")

    async def idle(self):
        """Wait until everything expected has come."""
        clocks = 0
        while self._expected or self._tb.source.pending:
            await ClockCycles(self._tb.dut.clk, 4)
            clocks += 4
            assert clocks < PATIENCE, f"{len(self._expected)} completions did not come"
        await ClockCycles(self._tb.dut.clk, 20)


async def run(tb, packets, *, stall, idle):
    """Feed both, compare everything that comes back, then all of configuration space and the counters."""
    tb.acknowledge = False  # the fence then keeps the back end out of the comparison
    tb.sink.stall, tb.source.idle = stall, idle
    model = EndpointModel(tb.config)
    stimulus = Stimulus(model, tb._fork())
    scoreboard = Scoreboard(tb)
    owned = tb.config.datapath.hard_ip.owns_header
    if owned:
        # The block is not what is tested: it has the configuration space of the model.
        tb.source.share(model.space)
    non_posted = False
    for _ in range(packets):
        item = stimulus.next()
        if tb.config.datapath.hard_ip.described:
            # A descriptor has eight bits for a tag.
            item = replace(item, dwords=[item.dwords[0] & ~LONG_TAG, *item.dwords[1:]])
        if owned and item.dwords[0] >> 24 & 0x1F == TlpType.CONFIG_0:
            item = replace(item, flow=Flow.BARRIER)
        if item.flow is Flow.BARRIER or (item.flow is Flow.POSTED and non_posted):
            await scoreboard.idle()
            non_posted = False
        for completion in model.receive(item.dwords):
            scoreboard.expect(completion)
        tb.host.put(item.dwords)
        non_posted |= item.flow is not Flow.POSTED
        if sent := model.take_sent():
            await scoreboard.expect_sent(sent, melts=item.dwords[0] & 0x3FF != 1)
            non_posted = False
        if item.flow is Flow.BARRIER:
            await scoreboard.idle()
            non_posted = False
        if tb.source.pending > 24:
            await scoreboard.idle()
            non_posted = False
    await scoreboard.idle()
    await tb.host.settle()
    await scoreboard.expect_sent([], melts=False)

    state = model.state()
    counters = ("hole",) if owned else ("malformed", "poisoned", "unsupported", "unexpected", "hole")
    assert {name: tb.counter(name) for name in counters} == {name: state[f"count_{name}"] for name in counters}
    errors = () if owned else ("error_correctable", "error_nonfatal", "error_fatal")
    for name in errors:
        shared = state[MEETS[name]] if tb.config.requester is not None else 0
        assert state[name] - shared <= tb.pulses[name] <= state[name], f"{name}: {tb.pulses[name]}, model {state[name]}"
    tb.host.others = lambda dwords: False
    tb.host.intx = bool(state["intx"])
    tb.host.target = state["bus"], state["device"]
    tb.host.captured = state["bus"] << 8 | state["device"] << 3
    for offset in range(0, 4096, 4):
        if offset == model.space.window_data:
            continue  # what a BAR shows, and reading it may change that
        found = (await tb.host.config_request(offset)).data
        expected = int.from_bytes(state["configuration"][offset : offset + 4], "little")
        assert found == expected, f"register {offset:#x} reads {found:#x}, the model {expected:#x}"
    for stream in ("notification", "config_write"):
        tb.out[stream].take_all()


def volume():
    """Packets for this session."""
    return PACKETS_FULL if os.environ.get(bench.FULL) else PACKETS


@case(bring_up=False)
async def answers_agree_with_the_model_on_a_calm_link(tb):
    await run(tb, volume(), stall=0.0, idle=0.0)


@case(bring_up=False)
async def answers_agree_with_the_model_under_back_pressure(tb):
    await run(tb, volume(), stall=0.6, idle=0.1)


@case(bring_up=False)
async def answers_agree_with_the_model_behind_a_slow_host(tb):
    await run(tb, volume() // 2, stall=0.2, idle=0.6)

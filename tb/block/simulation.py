"""Runs a component in Amaranth's simulator, and speaks of streams, structs and packets in plain Python.

A TLP is a list of dwords, header first, as in `virtio_mmr_sim.model.tlp`.
"""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from amaranth.hdl import Cat, ClockDomain, Module, Shape, Value
from amaranth.lib import data
from amaranth.sim import Simulator

Testbench = Callable[[Any], Awaitable[None]]

CLOCK = 4e-9


def simulate(dut: Any, *testbenches: Testbench, background: Iterable[Testbench] = (), limit: int = 50_000) -> None:
    """Run until every testbench has ended; a component without registers gets its clock all the same.

    Raises
    ------
    AssertionError
        If they have not after *limit* clocks.
    """

    async def watchdog(ctx):
        await ctx.delay(limit * CLOCK)
        raise AssertionError(f"not finished after {limit} clocks")

    top = Module()
    top.domains.sync = ClockDomain()
    top.submodules.dut = dut
    simulator = Simulator(top)
    simulator.add_clock(CLOCK)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in (*background, watchdog):
        simulator.add_testbench(testbench, background=True)
    simulator.run()


def plain(value: Any) -> Any:
    """A sampled struct as a dict, an array as a list; everything else as it is."""
    if not isinstance(value, data.Const):
        return value
    layout = value.shape()
    if isinstance(layout, data.ArrayLayout):
        return [plain(value[index]) for index in range(layout.length)]
    return {name: plain(value[name]) for name, _ in layout}


async def offer(ctx: Any, port: Any, items: Iterable[Any], *, rng: random.Random | None = None,
                idle: float = 0.0) -> None:
    """As `virtio_mmr_sim.bus.amaranth.push`, in fewer steps of the simulator; also for testbenches that are cut off."""
    word, layout = Cat(port.valid, Value.cast(port.payload)), port.payload.shape()
    for item in items:
        while rng is not None and rng.random() < idle:
            ctx.set(port.valid, 0)
            await ctx.tick()
        ctx.set(word, 1 | (item if isinstance(layout, Shape) else Value.cast(layout.const(item)).value) << 1)
        while not (await ctx.tick().sample(port.ready))[2]:
            pass
    ctx.set(port.valid, 0)


def stalling(port: Any, rng: random.Random, stall: float) -> Testbench:
    """Background testbench that drops ``ready`` with probability *stall* in each clock."""

    async def drive(ctx):
        while True:
            ctx.set(port.ready, rng.random() >= stall)
            await ctx.tick()

    return drive


def taking(port: Any, found: list, *beside: Any) -> Testbench:
    """Background testbench that notes each word that *port* hands over.

    With signals *beside* the stream it notes tuples of the word and these signals.
    """

    async def watch(ctx):
        while True:
            _, _, valid, ready, payload, *others = await ctx.tick().sample(
                port.valid, port.ready, port.payload, *beside)
            if valid and ready:
                found.append((plain(payload), *others) if beside else plain(payload))

    return watch


def concat(dwords: Sequence[int]) -> int:
    """Dwords as one number, the first lowest."""
    return sum(dword << 32 * index for index, dword in enumerate(dwords))


def split(number: int, count: int) -> list[int]:
    """The lowest *count* dwords of a number."""
    return [number >> 32 * index & 0xFFFF_FFFF for index in range(count)]


def raw_beats(packet: Sequence[int], lanes: int) -> list[dict[str, int]]:
    """The beats of a raw TLP stream that carry one packet."""
    starts = range(0, len(packet), lanes)
    return [
        {"data": concat(packet[start:start + lanes]), "keep": (1 << len(packet[start:start + lanes])) - 1,
         "last": start + lanes >= len(packet)}
        for start in starts
    ]


def raw_packets(beats: Iterable[dict[str, int]]) -> list[list[int]]:
    """The packets that beats of a raw TLP stream carry; every beat but a last one must be full."""
    packets: list[list[int]] = [[]]
    for beat in beats:
        packets[-1] += split(beat["data"], beat["keep"].bit_count())
        assert beat["keep"] & beat["keep"] + 1 == 0, "tkeep has a gap"
        if beat["last"]:
            packets.append([])
    assert packets.pop() == [], "the last packet has no end"
    return packets


def header_size(packet: Sequence[int]) -> int:
    """Dwords of the packet's header."""
    return 4 if packet[0] >> 29 & 1 else 3


def tlp_beats(packet: Sequence[int], lanes: int) -> list[dict[str, int]]:
    """The core's own beats of one packet whose header is complete: the header beside what came with it."""
    size = header_size(packet)
    room = -(-size // lanes) * lanes - size
    payload = packet[size:]
    parts = [payload[:room], *(payload[at:at + lanes] for at in range(room, len(payload), lanes))]
    return [
        {"header": concat(packet[:size]) if index == 0 else 0, "data": concat(part), "dwords": len(part),
         "first": index == 0, "last": index == len(parts) - 1}
        for index, part in enumerate(parts)
    ]


def tlp_packets(beats: Iterable[dict[str, int]]) -> list[list[int]]:
    """The packets that the core's own beats carry."""
    packets: list[list[int]] = []
    inside = False
    for beat in beats:
        assert beat["first"] == (not inside), "first comes where a packet starts and nowhere else"
        if beat["first"]:
            packets.append(split(beat["header"], 4))
            packets[-1] = packets[-1][:header_size(packets[-1])]
        packets[-1] += split(beat["data"], beat["dwords"])
        inside = not beat["last"]
    assert not inside, "the last packet has no end"
    return packets


def any_dword(rng: random.Random) -> int:
    """A random dword."""
    return rng.getrandbits(32)

"""Ends of streams for Amaranth's own simulator: `push` feeds one, `pull` drains one.

Both keep Amaranth's stream rules (a word on offer stays until it is taken) and pause at random when
given a generator, so that a test meets every pairing of a slow sender and a slow receiver.
"""

import random
from collections.abc import Iterable
from typing import Any


async def push(ctx: Any, port: Any, items: Iterable[Any], *, rng: random.Random | None = None,
               idle: float = 0.0) -> None:
    """Offer every item on *port* (the component's input), in order.

    Parameters
    ----------
    ctx
        Testbench context of `amaranth.sim`.
    rng, idle
        Before each item, another idle clock follows with probability *idle*, drawn from *rng*.
    """
    for item in items:
        while rng is not None and rng.random() < idle:
            await ctx.tick()
        ctx.set(port.payload, item)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)


async def pull(ctx: Any, port: Any, count: int, *, rng: random.Random | None = None,
               stall: float = 0.0) -> list[Any]:
    """Take *count* items from *port* (the component's output) and return them in order.

    Parameters
    ----------
    ctx
        Testbench context of `amaranth.sim`.
    rng, stall
        Before each item, another clock without ``ready`` follows with probability *stall*, drawn from *rng*.
    """
    items = []
    for _ in range(count):
        while rng is not None and rng.random() < stall:
            await ctx.tick()
        ctx.set(port.ready, 1)
        (payload,) = await ctx.tick().sample(port.payload).until(port.valid)
        items.append(payload)
        ctx.set(port.ready, 0)
    return items

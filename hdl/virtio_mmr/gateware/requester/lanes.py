"""Turning a row of lanes by a number that is not known when it is built.

A stage for each bit of the number: two lookup tables a bit for four lanes, where a choice of one in four
would become three.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value


def rotated(m: Module, lanes: Sequence[Value], by: Value) -> list[Value]:
    """*lanes*, a power of two of them, moved up by *by* places; what leaves at the top comes in below."""
    count = len(lanes)
    now: list[Value] = list(lanes)
    for bit in range((count - 1).bit_length()):
        turned = [Signal(len(lane), name=f"turned_{bit}_{number}") for number, lane in enumerate(now)]
        for number in range(count):
            m.d.comb += turned[number].eq(Mux(by[bit], now[(number - (1 << bit)) % count], now[number]))
        now = list(turned)
    return now

"""Arithmetic of few bits that needs no carry chain: on an ECP5 such a chain costs four cells beside its bits."""

from amaranth.hdl import Cat, Const


def below(value, limit: int):
    """1 if *value* is less than the constant *limit*.

    High bits that any smaller value must leave zero are tested as a whole, the rest bit by bit; a
    comparison operator would become an adder as wide as *value*.
    """
    if limit <= 0:
        return Const(0)
    if limit >= 1 << len(value):
        return Const(1)
    bits = (limit - 1).bit_length()
    high_clear = ~value[bits:].any()
    less = Const(0)
    for i in range(bits):
        less = (~value[i] | less) if limit >> i & 1 else (~value[i] & less)
    return high_clear & (less if limit != 1 << bits else Const(1))


def following(value):
    """*value* + 1, of the same width."""
    return Cat(value[i] ^ value[:i].all() for i in range(len(value)))

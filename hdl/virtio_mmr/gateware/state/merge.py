"""Writes of some bytes of a register."""

from amaranth.hdl import Cat, Mux


def merged(old, new, strobe):
    """*old* with the bytes that *strobe* enables replaced by those of *new*."""
    return Cat(Mux(strobe[i], new[8 * i:8 * i + 8], old[8 * i:8 * i + 8]) for i in range(len(strobe)))


def masked(value, strobe):
    """*value* with the bytes that *strobe* does not enable zero."""
    return Cat(Mux(strobe[i], value[8 * i:8 * i + 8], 0) for i in range(len(strobe)))

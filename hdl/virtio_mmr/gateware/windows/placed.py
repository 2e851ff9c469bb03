"""What the placer made, cut into bits that never change and fields that do.

Specification: PCI Express Base 5.0, 7.5 and 7.7; the registers' own clauses stand in the placer's table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.layout import ConfigurationSpace
from virtio_mmr.spec.configuration import SPACE_SIZE
from virtio_mmr.spec.register import Access, Field, Register


@dataclass(frozen=True)
class PlacedField:
    """A field that is not constant, inside its dword of configuration space."""

    #: The state behind it is ``owner.name``.
    owner: str
    name: str
    access: Access
    #: Number of the dword, and the field's bits in it.
    dword: int
    positions: range
    reset: int


def _parts(register: Register) -> tuple[Field, ...]:
    """A register's fields, or the register itself as its only field."""
    if register.fields:
        return register.fields
    return (Field(name=register.name, lsb=0, width=register.width, access=register.access, reset=register.reset,
                  view_of=register.view_of),)


def changing_fields(space: ConfigurationSpace) -> Iterator[PlacedField]:
    """All fields with state behind them, in order of their place."""
    for register in space.registers:
        base = register.offset % 4 * 8
        for field in _parts(register):
            owner, _, name = field.view_of.partition(".")
            if owner:
                yield PlacedField(owner, name, field.access, register.offset // 4,
                                  range(base + field.lsb, base + field.lsb + field.width), field.reset)


class ConstantRegisters(wiring.Component):
    """Looks up the constant bits of a dword in block RAM, one clock later; all others are zero.

    Parameters
    ----------
    space
        What the placer made.

    Members
    -------
    number : In(10)
        Number of a dword.
    number_before : Out(10)
        What `number` was a clock ago.
    data : Out(32)
        Constant bits of dword `number_before`.
    """

    def __init__(self, space: ConfigurationSpace):
        changing = zip(space.write_mask(), space.write_clear_mask(), strict=True)
        image = bytes(byte & ~(stored | sticky)
                      for byte, (stored, sticky) in zip(space.reset_image(), changing, strict=True))
        self._dwords = [int.from_bytes(image[at:at + 4], "little") for at in range(0, SPACE_SIZE, 4)]
        # What is behind the last register is not in the RAM.
        self._depth = 1 << (space.registers[-1].offset // 4).bit_length()
        super().__init__({"number": In(10), "number_before": Out(10), "data": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dwords = dwords = memory.Memory(
            shape=32, depth=self._depth, init=self._dwords[:self._depth], attrs={"ram_style": "block"})
        read = dwords.read_port()
        inside = Signal()
        m.d.comb += [read.addr.eq(self.number), self.data.eq(Mux(inside, read.data, 0))]
        m.d.sync += [self.number_before.eq(self.number), inside.eq(self.number >> len(read.addr) == 0)]
        return m

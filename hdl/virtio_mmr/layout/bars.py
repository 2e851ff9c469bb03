"""The six base address registers of a function.

Specification: PCI Local Bus 3.0, 6.2.5.1.
"""

from virtio_mmr.config.device import Bar, BarKind
from virtio_mmr.spec.configuration import BAR0
from virtio_mmr.spec.register import Access, Field, Register, read_only

#: Number of base address registers.
COUNT = 6

_CLAUSE = "PCI Local Bus 3.0, 6.2.5.1"

#: Bits 3:0 without the prefetchable bit.
_TYPE = {BarKind.MEMORY32: 0b0000, BarKind.MEMORY64: 0b0100, BarKind.IO: 0b0001}
_PREFETCHABLE = 0b1000


def bar_registers(bars: tuple[Bar, ...], prefix: str = "") -> tuple[Register, ...]:
    """The registers bar0 to bar5, at their absolute offsets in a header; *prefix* stands before their names.

    A BAR's address bits are one field, ``address``, from the BAR's size up. The upper half of a
    64-bit BAR is the register of the next index. Unused registers read zero.
    """
    used: dict[int, Register] = {}
    for bar in bars:
        used[bar.index] = _lower(bar, prefix)
        if bar.kind is BarKind.MEMORY64:
            used[bar.index + 1] = _upper(bar, prefix)
    return tuple(
        used.get(index) or read_only(f"{prefix}bar{index}", BAR0 + 4 * index, 32, 0, _CLAUSE, "Unused.")
        for index in range(COUNT)
    )


def _lower(bar: Bar, prefix: str) -> Register:
    size_bits = bar.decoded_size.bit_length() - 1
    bits = _TYPE[bar.kind] | (_PREFETCHABLE if bar.prefetchable else 0)
    doc = f"{bar.decoded_size:#x} bytes, {bar.kind.value}."
    return _register(f"{prefix}bar{bar.index}", bar.index, size_bits, bits, doc)


def _upper(bar: Bar, prefix: str) -> Register:
    name = f"{prefix}bar{bar.index + 1}"
    return _register(name, bar.index + 1, 0, 0, f"Upper half of {prefix}bar{bar.index}.")


def _register(name: str, index: int, lsb: int, type_bits: int, doc: str) -> Register:
    address = Field(name="address", lsb=lsb, width=32 - lsb, access=Access.RW, view_of=f"control.{name}")
    return Register(
        name=name,
        offset=BAR0 + 4 * index,
        width=32,
        access=Access.RW,
        reset=type_bits,
        clause=_CLAUSE,
        doc=doc,
        fields=(address,),
    )

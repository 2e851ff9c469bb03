"""A register cut into fields without a gap that reads anything but zero."""

from collections.abc import Iterator

from virtio_mmr.layout.space import reset_value
from virtio_mmr.spec.register import Access, Field, Register


def parts(register: Register) -> tuple[Field, ...]:
    """The fields of *register* from bit 0 on, lowest first.

    A register without fields is one field of its own name. Bits between fields that read ones are a
    read-only field ``constant_<first bit>``; those that read zero belong to no field.
    """
    if not register.fields:
        whole = Field(
            name=register.name, lsb=0, width=register.width, access=register.access, reset=register.reset,
            view_of=register.view_of,
        )  # fmt: skip
        return (whole,)
    fields = sorted(register.fields, key=lambda part: part.lsb)
    return tuple(sorted((*fields, *_constants(register, fields)), key=lambda part: part.lsb))


def _constants(register: Register, fields: list[Field]) -> Iterator[Field]:
    """A field for each gap between *fields* that does not read zero."""
    value = reset_value(register)
    ends = [0, *(part.lsb + part.width for part in fields)]
    starts = [*(part.lsb for part in fields), register.width]
    for first, end in zip(ends, starts, strict=True):
        if reset := value >> first & ((1 << end - first) - 1):
            yield Field(name=f"constant_{first}", lsb=first, width=end - first, access=Access.RO, reset=reset,
                        doc="Constant.")

"""How a register is described, once, for gateware, model, documents and headers alike.

A `Register` stands at an offset of a window or of configuration space; its bits may be cut into
`Field`s. A `RegisterTable` is a checked list of them. Nothing here knows about hardware.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType


class Access(enum.Enum):
    """What software may do with a register or field."""

    RO = "ro"       #: writes are ignored
    RW = "rw"       #: reads back what is stored
    WO = "wo"       #: acts on a write, reads as zero
    RC = "rc"       #: reading clears
    RW1C = "rw1c"   #: writing one clears the bit


class Present(enum.Enum):
    """When a register exists; elsewhere its bytes belong to something else."""

    ALWAYS = "always"
    MSIX_ENABLED = "msix_enabled"


class Effect(enum.Enum):
    """What an access does besides moving data."""

    RESET_WHEN_ZERO = "reset_when_zero"
    KICK = "kick"
    CLEAR_ISR = "clear_isr"
    LOAD_QUEUE = "load_queue"
    REJECT = "reject"


#: Widths that a register may have, in bits.
WIDTHS = (8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of a register, counted from its bit 0."""

    name: str
    lsb: int
    width: int
    access: Access
    reset: int = 0
    #: State item behind the field, as ``owner.item``; empty for constants.
    view_of: str = ""
    doc: str = ""

    @property
    def mask(self) -> int:
        """The field's bits inside the register."""
        return ((1 << self.width) - 1) << self.lsb


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register.

    Raises
    ------
    ValueError
        If the width is not 8, 16, 32 or 64 bits, the reset value does not fit, or fields overlap.
    """

    name: str
    #: Bytes from the start of the window.
    offset: int
    #: Bits.
    width: int
    access: Access
    reset: int = 0
    #: State item behind the register, as ``owner.item``; empty for constants and reserved bytes.
    view_of: str = ""
    #: Register that selects which of several instances is seen.
    banked_by: str | None = None
    present: Present = Present.ALWAYS
    effect: Effect | None = None
    #: Names under which other software knows the register.
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    clause: str = ""
    doc: str = ""
    fields: tuple[Field, ...] = ()

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise ValueError(f"register {self.name} is {self.width} bits wide; a register has 8, 16, 32 or 64")
        if not 0 <= self.reset < 1 << self.width:
            raise ValueError(f"register {self.name} resets to {self.reset:#x}, which {self.width} bits cannot hold")
        taken = 0
        for part in self.fields:
            if part.lsb + part.width > self.width:
                raise ValueError(f"field {self.name}.{part.name} ends beyond bit {self.width - 1}")
            if taken & part.mask:
                raise ValueError(f"field {self.name}.{part.name} overlaps another field")
            taken |= part.mask

    @property
    def size(self) -> int:
        """Bytes."""
        return self.width // 8

    @property
    def end(self) -> int:
        """First byte behind the register."""
        return self.offset + self.size

    def at(self, offset: int) -> "Register":
        """The same register at another offset."""
        return replace(self, offset=offset)


@dataclass(frozen=True)
class RegisterTable:
    """A window's registers in ascending order.

    Registers may share bytes only when their `Present` conditions exclude each other.

    Raises
    ------
    ValueError
        If registers overlap, are not naturally aligned, or lie outside the window.
    """

    name: str
    #: Bytes of the window that the table describes.
    size: int
    registers: tuple[Register, ...]
    doc: str = ""

    def __post_init__(self) -> None:
        for register in self.registers:
            alignment = min(register.size, 4)
            if register.offset % alignment:
                raise ValueError(
                    f"{self.name}.{register.name} stands at {register.offset:#x}, "
                    f"which is not a multiple of {alignment}"
                )
            if register.end > self.size:
                raise ValueError(f"{self.name}.{register.name} ends behind the window ({self.size:#x} bytes)")
        for left, right in zip(self.registers, self.registers[1:], strict=False):
            if left.end > right.offset and left.present == right.present:
                raise ValueError(f"{self.name}.{left.name} and {self.name}.{right.name} overlap or are out of order")

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        known = ", ".join(register.name for register in self.registers)
        raise KeyError(f"{self.name} has no register {name!r}; it has {known}")


def read_only(name: str, offset: int, width: int, reset: int, clause: str, doc: str = "",
              fields: Sequence[Field] = ()) -> Register:
    """A constant register."""
    return Register(name=name, offset=offset, width=width, access=Access.RO, reset=reset, clause=clause, doc=doc,
                    fields=tuple(fields))

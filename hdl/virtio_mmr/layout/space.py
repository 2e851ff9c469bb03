"""A function's configuration space with everything in its place."""

from collections.abc import Callable
from dataclasses import dataclass

from virtio_mmr.spec.configuration import SPACE_SIZE
from virtio_mmr.spec.register import Access, Register


@dataclass(frozen=True)
class PlacedCapability:
    """A capability with its place; ``kind`` is "classic" or "extended", sizes and offsets are bytes."""

    name: str
    kind: str
    id: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """First byte behind the capability."""
        return self.offset + self.size


@dataclass(frozen=True)
class ConfigurationSpace:
    """All registers of one function, at absolute offsets and in ascending order.

    Bits that no register or field claims read zero. A register's value after reset is its own
    ``reset`` together with the resets of its fields.
    """

    registers: tuple[Register, ...]
    #: In the order of the lists: classic first, then extended.
    capabilities: tuple[PlacedCapability, ...]
    #: Capabilities that were wanted but not placed, each with the reason.
    left_out: tuple[tuple[str, str], ...]

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"configuration space has no register {name!r}")

    def capability(self, name: str) -> PlacedCapability:
        """The capability called *name*."""
        for capability in self.capabilities:
            if capability.name == name:
                return capability
        raise KeyError(f"configuration space has no capability {name!r}")

    def reset_image(self) -> bytes:
        """4096 bytes as they read after reset."""
        return self._bytes(reset_value)

    def write_mask(self) -> bytes:
        """4096 bytes; a one is a bit that software sets and clears by writing it."""
        return self._bytes(lambda register: bits_with(register, Access.RW))

    def write_clear_mask(self) -> bytes:
        """4096 bytes; a one is a bit that software clears by writing a one."""
        return self._bytes(lambda register: bits_with(register, Access.RW1C))

    def _bytes(self, value: Callable[[Register], int]) -> bytes:
        image = bytearray(SPACE_SIZE)
        for register in self.registers:
            image[register.offset : register.end] = value(register).to_bytes(register.size, "little")
        return bytes(image)


def reset_value(register: Register) -> int:
    """The register as it reads after reset."""
    value = register.reset
    for part in register.fields:
        value |= part.reset << part.lsb
    return value


def bits_with(register: Register, access: Access) -> int:
    """The bits of *register* that have this access: by field, or all of them if it has no fields."""
    if not register.fields:
        return (1 << register.width) - 1 if register.access is access else 0
    return sum(part.mask for part in register.fields if part.access is access)

"""The MSI-X table and pending bits (PCI Local Bus 3.0, 6.8.2)."""

from .register import Access, Field, Register, RegisterTable

_CLAUSE = "PCI Local Bus 3.0, 6.8.2"

#: Bytes of one table entry.
ENTRY_SIZE = 16

#: The pending bits start in the middle of the window that holds table and pending bits.
ENTRY = RegisterTable("msix_entry", ENTRY_SIZE, (
    Register(name="address_low", offset=0x00, width=32, access=Access.RW, view_of="vector.address_low",
             clause=_CLAUSE, doc="Message address, bits 31:2; bits 1:0 read zero."),
    Register(name="address_high", offset=0x04, width=32, access=Access.RW, view_of="vector.address_high",
             clause=_CLAUSE, doc="Message address, bits 63:32."),
    Register(name="data", offset=0x08, width=32, access=Access.RW, view_of="vector.data", clause=_CLAUSE,
             doc="Message data."),
    Register(name="vector_control", offset=0x0C, width=32, access=Access.RW, reset=1, clause=_CLAUSE,
             doc="Bit 0 masks the vector.",
             fields=(Field(name="mask", lsb=0, width=1, access=Access.RW, reset=1, view_of="vector.mask"),)),
), doc="One MSI-X table entry.")

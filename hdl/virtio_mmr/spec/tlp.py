"""Transaction layer packets: formats, types, statuses (PCI Express Base 5.0, 2.2).

Header dwords are numbers: bit 31 of a dword is the first bit on the wire.
"""

import enum


class TlpType(enum.IntEnum):
    """The five type bits; what a type means may depend on the format."""

    MEMORY = 0b00000
    MEMORY_LOCKED = 0b00001
    IO = 0b00010
    CONFIG_0 = 0b00100
    CONFIG_1 = 0b00101
    COMPLETION = 0b01010
    COMPLETION_LOCKED = 0b01011
    FETCH_ADD = 0b01100
    SWAP = 0b01101
    COMPARE_SWAP = 0b01110
    #: Types 10000 to 10111 are messages; the low bits say how they are routed.
    MESSAGE = 0b10000


class CompletionStatus(enum.IntEnum):
    """Completion status field."""

    SUCCESSFUL = 0b000
    UNSUPPORTED = 0b001
    RETRY = 0b010
    ABORT = 0b100


#: Codes of messages that a device is told apart by (2.2.8.6).
MESSAGE_VENDOR_0, MESSAGE_VENDOR_1 = 0x7E, 0x7F

#: Message codes that an endpoint receives in normal life: Unlock, Set_Slot_Power_Limit, and the ignored
#: hot-plug group of 2.2.8.4 and 2.2.8.7.
MESSAGES_ACCEPTED = frozenset({0x00, 0x50, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x14, 0x19, 0x52, 0x53})

#: Codes of the messages that raise and lower INTA (2.2.8.1), and their routing: to the other end of the link.
ASSERT_INTA, DEASSERT_INTA = 0x20, 0x24
MESSAGE_LOCAL = 0b100

#: A completion of this endpoint ends only here or at the end of the request.
READ_COMPLETION_BOUNDARY = 128

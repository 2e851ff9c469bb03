"""The control page: the hypervisor's side of an MMR function.

This page is the project's own answer to the review of the proposal; it is part of no standard. It
has a page to itself, so that a hypervisor can map the legacy page into a guest and keep this one.
"""

import enum

from .register import Access, Effect, Field, Register, RegisterTable

_CLAUSE = "virtio-mmr control page, version 1"

MAGIC = int.from_bytes(b"VMMR", "little")
VERSION = 1
WINDOW_SIZE = 0x1000


class Supported(enum.IntFlag):
    """What the build answers (register ``supported``)."""

    ENDIAN = 1
    GENERATION = 2
    BADSTATE = 4
    POLICY = 8
    PLATFORM = 16


class BadState(enum.IntFlag):
    """Why a function stopped (register ``badstate``)."""

    POLICY = 1 << 0
    QUEUE_ADDRESS = 1 << 1
    DMA_ERROR = 1 << 2
    RING_CONTENTS = 1 << 3
    BYTE_ORDER = 1 << 4
    REJECTED = 1 << 8


_REASONS = {
    BadState.POLICY: "A required feature was not accepted, or a forbidden one was.",
    BadState.QUEUE_ADDRESS: "The device cannot use the address of a ring.",
    BadState.DMA_ERROR: "DMA failed.",
    BadState.RING_CONTENTS: "What stands in a ring makes no sense.",
    BadState.BYTE_ORDER: "Reserved; the device never sets it.",
    BadState.REJECTED: "The hypervisor refused the driver, through `reject`.",
}


TABLE = RegisterTable("control", 0x28, (
    Register(name="magic", offset=0x00, width=32, access=Access.RO, reset=MAGIC, clause=_CLAUSE,
             doc="The bytes V, M, M, R."),
    Register(name="version", offset=0x04, width=32, access=Access.RO, reset=VERSION, clause=_CLAUSE,
             doc="Layout version of this page."),
    Register(name="supported", offset=0x08, width=32, access=Access.RO, view_of="build.supported", clause=_CLAUSE,
             doc="Bit 0 ENDIAN, 1 GENERATION, 2 BADSTATE, 3 POLICY, 4 PLATFORM."),
    Register(name="endian", offset=0x0C, width=32, access=Access.RW, clause=_CLAUSE,
             doc="Byte order of multi-byte device configuration in the legacy window. Taken while the "
                 "device status is zero.",
             fields=(
                 Field(name="big", lsb=0, width=1, access=Access.RW, view_of="function.big_endian",
                       doc="1: big-endian."),
                 Field(name="big_supported", lsb=8, width=1, access=Access.RO, view_of="build.big_endian",
                       doc="1: the back end can serve a big-endian guest."),
             )),
    Register(name="generation", offset=0x10, width=32, access=Access.RO, view_of="function.generation",
             clause=_CLAUSE, doc="Changes with every change of device configuration, of NEEDS_RESET and of the "
                                 "MSI-X-dependent layout; never by a read."),
    Register(name="badstate", offset=0x14, width=32, access=Access.RW1C, view_of="function.badstate", clause=_CLAUSE,
             doc="Why the function stopped. Cleared by writing ones while the device status is zero.",
             fields=tuple(
                 Field(name=cause.name.lower(), lsb=cause.value.bit_length() - 1, width=1, access=Access.RW1C,
                       doc=reason)
                 for cause, reason in _REASONS.items() if cause.name is not None
             )),
    Register(name="required", offset=0x18, width=32, access=Access.RW, view_of="function.required", clause=_CLAUSE,
             doc="Feature bits that the driver must have accepted at DRIVER_OK or at its first notification."),
    Register(name="forbidden", offset=0x1C, width=32, access=Access.RW, view_of="function.forbidden",
             clause=_CLAUSE, doc="Feature bits hidden from the driver. Taken while the device status is zero."),
    Register(name="reject", offset=0x20, width=32, access=Access.WO, effect=Effect.REJECT, clause=_CLAUSE,
             doc="Writing 1 stops the function with BADSTATE bit 8."),
    Register(name="platform", offset=0x24, width=32, access=Access.RW, clause=_CLAUSE,
             doc="What the device promises about memory access, and the gate for what queues do.",
             fields=(
                 Field(name="translated", lsb=0, width=1, access=Access.RO, reset=1,
                       doc="Addresses leave as given, to be translated upstream."),
                 Field(name="ordered", lsb=1, width=1, access=Access.RO, reset=1,
                       doc="DMA follows PCIe ordering: no relaxed ordering, no no-snoop."),
                 Field(name="gate", lsb=8, width=1, access=Access.RW, view_of="function.gate",
                       doc="1: DMA requests, notifications and interrupts of queues may leave the function."),
             )),
), doc="Control page of an MMR function.")

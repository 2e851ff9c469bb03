"""Descriptors of AMD's UltraScale and UltraScale+ streams, lowest bit first.

Specification: AMD PG213, "Completer Interface" and "Requester Interface". Payload follows in the next dword.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.lib.enum import Enum


class RequestType(Enum, shape=unsigned(4)):
    """What a request asks for."""

    MEMORY_READ = 0
    MEMORY_WRITE = 1
    IO_READ = 2
    IO_WRITE = 3
    FETCH_ADD = 4
    SWAP = 5
    COMPARE_SWAP = 6
    LOCKED_READ = 7
    MESSAGE = 12
    VENDOR_MESSAGE = 13
    ATS_MESSAGE = 14


class ErrorCode(Enum, shape=unsigned(4)):
    """How the IP judges a completion."""

    NORMAL = 0
    POISONED = 1
    BAD_STATUS = 2
    NO_DATA = 3
    MISMATCH = 4
    BAD_ADDRESS = 5
    BAD_TAG = 6
    RESET = 8
    TIMEOUT = 9


class CompleterRequest(data.Struct):
    """CQ: a request of the host."""

    address_type: unsigned(2)
    address: unsigned(62)
    dwords: unsigned(11)
    type: RequestType
    _reserved: unsigned(1)
    requester: unsigned(16)
    tag: unsigned(8)
    #: Number of the function; of a message its code.
    function: unsigned(8)
    #: Of a message its routing.
    bar: unsigned(3)
    aperture: unsigned(6)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    _reserved_2: unsigned(1)


class CompleterCompletion(data.Struct):
    """CC: an answer to one."""

    lower_address: unsigned(7)
    _reserved: unsigned(1)
    address_type: unsigned(2)
    _reserved_2: unsigned(6)
    byte_count: unsigned(13)
    locked: unsigned(1)
    _reserved_3: unsigned(2)
    dwords: unsigned(11)
    status: unsigned(3)
    poisoned: unsigned(1)
    _reserved_4: unsigned(1)
    requester: unsigned(16)
    tag: unsigned(8)
    function: unsigned(8)
    bus: unsigned(8)
    #: The bus is to be believed; an endpoint leaves it to the IP.
    bus_enable: unsigned(1)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    digest: unsigned(1)


class RequesterRequest(data.Struct):
    """RQ: a request of the core."""

    address_type: unsigned(2)
    address: unsigned(62)
    dwords: unsigned(11)
    type: RequestType
    poisoned: unsigned(1)
    function: unsigned(8)
    bus: unsigned(8)
    tag: unsigned(8)
    completer: unsigned(16)
    #: The bus is to be believed; an endpoint leaves it to the IP.
    bus_enable: unsigned(1)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    digest: unsigned(1)


class RequesterCompletion(data.Struct):
    """RC: an answer to it."""

    lower_address: unsigned(12)
    error: ErrorCode
    byte_count: unsigned(13)
    locked: unsigned(1)
    #: The last one of its request.
    completed: unsigned(1)
    _reserved: unsigned(1)
    dwords: unsigned(11)
    status: unsigned(3)
    poisoned: unsigned(1)
    _reserved_2: unsigned(1)
    requester: unsigned(16)
    tag: unsigned(8)
    completer: unsigned(16)
    _reserved_3: unsigned(1)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    _reserved_4: unsigned(1)

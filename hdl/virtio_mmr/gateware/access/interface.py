"""Requests, accesses and replies: what travels between the TLP side and the register windows."""

import enum

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import In, Out


class Kind(Enum, shape=unsigned(3)):
    """What a TLP asks for, once it has been found well formed or not."""

    #: Nothing to do: an accepted message.
    IGNORE = 0
    MEMORY = 1
    IO = 2
    CONFIG = 3
    #: A non-posted request that no endpoint of this kind serves: answered, not executed.
    UNSUPPORTED = 4
    #: A message that nobody understands: logged.
    MESSAGE = 5
    #: A completion that belongs to no request of ours.
    COMPLETION = 6
    #: Dropped without an answer.
    MALFORMED = 7


class Space(Enum, shape=unsigned(4)):
    """Register window that an access is meant for."""

    #: No window claims the address: reads as zero, ignores writes, is counted.
    HOLE = 0
    CONFIG = 1
    LEGACY = 2
    CONTROL = 3
    ISR = 4
    DEVICE = 5
    MSIX = 6
    COMMON = 7
    NOTIFY = 8


#: `Place.bar` of configuration space, and of nothing at all.
CONFIG, NOWHERE = 6, 7


class Place(data.Struct):
    """Where a request points: a BAR, configuration space, or nowhere."""

    #: 0 to 5, `CONFIG` or `NOWHERE`.
    bar: unsigned(3)
    #: Whose BAR or configuration space; 0 for what is nowhere.
    function: unsigned(8)
    #: Dwords from the start of the BAR or of configuration space; nowhere, the lowest bits of the dword address.
    offset: unsigned(20)


class Request(data.Struct):
    """A TLP's header, parsed and checked as far as its first beat and its length allow."""

    kind: Kind
    write: unsigned(1)
    posted: unsigned(1)
    locked: unsigned(1)
    poisoned: unsigned(1)
    #: What the address points at, by the BARs as they stood when the header arrived.
    place: Place
    #: Device and bus number that a configuration request is for.
    device: unsigned(13)
    #: 0 stands for 1024.
    length: unsigned(10)
    #: The length is 1: asked for early in a clock.
    single: unsigned(1)
    first_be: unsigned(4)
    last_be: unsigned(4)
    requester: unsigned(16)
    tag: unsigned(10)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    #: Payload of a request of one dword.
    data: unsigned(32)


class Access(data.Struct):
    """One dword of one request on its way to a window."""

    space: Space
    #: Number of the function; the windows' rows are looked up by it.
    function: unsigned(8)
    #: Bytes from the start of the window, dword aligned.
    offset: unsigned(20)
    write: unsigned(1)
    data: unsigned(32)
    #: Bytes that are read or written. A byte that is not enabled has no effect and reads as zero.
    strobe: unsigned(4)


class AccessReply(data.Struct):
    """What a window answers."""

    data: unsigned(32)


class RequestContext(data.Struct):
    """What a completion copies from its request."""

    requester: unsigned(16)
    tag: unsigned(10)
    traffic_class: unsigned(3)
    attributes: unsigned(3)
    locked: unsigned(1)


class CompletionDescriptor(data.Struct):
    """What a completion says of itself."""

    #: Payload dwords, 1 to 32; of no meaning without data.
    dwords: unsigned(6)
    #: 0 stands for 4096.
    byte_count: unsigned(12)
    lower_address: unsigned(7)
    unsupported: unsigned(1)
    has_data: unsigned(1)
    #: The last completion of its request.
    final: unsigned(1)


class AccessPort(wiring.Signature):
    """One window: an access goes in, its reply comes out in the same clock.

    Nothing waits here. The sequencer starts a read only when its completion has room, so a window is
    always ready, and a reply is always taken. ``reply.valid`` follows ``access.valid`` and is high for
    every access, writes included; the data of a window that is not accessed are zero. A window may give a
    part of its answer a clock late; that part goes another way.
    """

    def __init__(self) -> None:
        super().__init__({
            "access": Out(stream.Signature(Access, always_ready=True)),
            "reply": In(stream.Signature(AccessReply, always_ready=True)),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessPort)


class Outcome(enum.IntEnum):
    """Index of a traffic counter."""

    MALFORMED = 0
    POISONED = 1
    UNSUPPORTED = 2
    UNEXPECTED = 3
    HOLE = 4

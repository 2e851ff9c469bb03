"""The boundary behind which the device itself lives: every stream, field by field.

A back end may accept each output whenever it likes, but must not make one output wait for another
for ever. Outputs of one function come in this order: what was offered before a reset, the reset
request, and, once it is acknowledged, everything since.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.lib.enum import Enum


class DriverEvent(Enum, shape=unsigned(2)):
    """Why a `DriverUpdate` came."""

    DRIVER_OK = 0
    FEATURES = 1
    GATE_OPEN = 2
    GATE_CLOSE = 3


class QueueChange(Enum, shape=unsigned(2)):
    """What became of a queue. Enabling a queue starts it from index zero, even if it runs."""

    ENABLE = 0
    DISABLE = 1
    RESET = 2


class ResetCause(Enum, shape=unsigned(2)):
    """What started a new epoch of a function."""

    STATUS = 0
    FLR = 1
    VF_DISABLE = 2
    BAD_STATE = 3


class DmaStatus(Enum, shape=unsigned(3)):
    """How a read ended."""

    OK = 0
    UNSUPPORTED = 1
    ABORTED = 2
    POISONED = 3
    TIMED_OUT = 4
    BLOCKED = 5


class DriverUpdate(data.Struct):
    """One snapshot of what the driver decided, as it stands when offered."""

    function: unsigned(8)
    event: DriverEvent
    epoch: unsigned(2)
    features: unsigned(64)
    legacy: unsigned(1)
    big_endian: unsigned(1)
    driver_ok: unsigned(1)


class Notification(data.Struct):
    """A queue has new buffers. Coalesces."""

    function: unsigned(8)
    queue: unsigned(16)
    #: Flat index of function and queue.
    row: unsigned(16)
    #: Newest notification data; zero without that feature.
    extra: unsigned(16)
    legacy: unsigned(1)


class QueueUpdate(data.Struct):
    """A queue's final state after one or more changes."""

    function: unsigned(8)
    queue: unsigned(16)
    row: unsigned(16)
    change: QueueChange
    size: unsigned(16)
    descriptors: unsigned(64)
    available: unsigned(64)
    used: unsigned(64)
    first_available: unsigned(16)
    first_used: unsigned(16)
    vector_valid: unsigned(1)


class QueueQuiet(data.Struct):
    """The back end has let go of a queue."""

    function: unsigned(8)
    queue: unsigned(16)


class ResetRequest(data.Struct):
    """A new epoch began; whatever belongs to the old one is dropped."""

    function: unsigned(8)
    epoch: unsigned(2)
    cause: ResetCause


class ResetDone(data.Struct):
    """The back end has let go of everything before this epoch."""

    function: unsigned(8)
    epoch: unsigned(2)


class ConfigWrite(data.Struct):
    """Bytes that the driver wrote into driver-writable configuration. Coalesces; the last value counts."""

    function: unsigned(8)
    #: Bytes from the start of the configuration, dword aligned.
    offset: unsigned(8)
    data: unsigned(32)
    strobe: unsigned(4)


class ConfigUpdate(data.Struct):
    """Bytes that the device changes; the beats up to ``last`` are applied as one."""

    function: unsigned(8)
    offset: unsigned(8)
    data: unsigned(32)
    strobe: unsigned(4)
    last: unsigned(1)


class InterruptCause(data.Struct):
    """Buffers were used, or the configuration changed."""

    function: unsigned(8)
    epoch: unsigned(2)
    queue: unsigned(16)
    config_change: unsigned(1)


class Fault(data.Struct):
    """The back end cannot go on: BADSTATE bit 1, 2 or 3."""

    function: unsigned(8)
    epoch: unsigned(2)
    queue: unsigned(16)
    cause: unsigned(4)


class DmaRead(data.Struct):
    """Read host memory."""

    function: unsigned(8)
    epoch: unsigned(2)
    address: unsigned(64)
    bytes: unsigned(13)
    owner: unsigned(3)
    #: Handed back with the data.
    context: unsigned(16)


def dma_read_data(width: int) -> data.StructLayout:
    """What was read, first byte in lane 0; in the order of the requests of one owner."""
    return data.StructLayout({
        "owner": unsigned(3), "context": unsigned(16), "data": unsigned(width),
        "bytes": range(width // 8 + 1), "last": unsigned(1), "status": DmaStatus,
    })


class DmaWrite(data.Struct):
    """Write host memory; the data follow in their own stream."""

    function: unsigned(8)
    epoch: unsigned(2)
    address: unsigned(64)
    bytes: unsigned(13)
    context: unsigned(16)
    #: Answer with a `DmaWriteDone`.
    report: unsigned(1)


def dma_write_data(width: int) -> data.StructLayout:
    """What to write, first byte in lane 0."""
    return data.StructLayout({"data": unsigned(width), "bytes": range(width // 8 + 1), "last": unsigned(1)})


class DmaWriteDone(data.Struct):
    """A write is in the ordered queue (0), or was blocked (1)."""

    context: unsigned(16)
    status: unsigned(1)

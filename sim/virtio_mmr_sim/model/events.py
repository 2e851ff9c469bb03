"""What passes between a function and its back end, by the names of the streams.

An event is the name of its stream and the fields of its payload.
"""

import enum

Event = tuple[str, dict[str, int]]

#: Streams toward the back end, in the order in which the model gives what is pending.
STREAMS = ("reset_request", "driver_update", "queue_update", "config_write", "notification")


class DriverEvent(enum.IntEnum):
    """Field ``event`` of driver_update."""

    DRIVER_OK = 0
    FEATURES = 1
    GATE_OPEN = 2
    GATE_CLOSE = 3


class QueueChange(enum.IntEnum):
    """Field ``change`` of queue_update."""

    ENABLE = 0
    DISABLE = 1
    RESET = 2


class ResetCause(enum.IntEnum):
    """Field ``cause`` of reset_request."""

    STATUS = 0
    FLR = 1
    VF_DISABLE = 2
    BAD_STATE = 3

"""ctypes declarations of glue.cpp; `Library` knows argument types and nothing else."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

Words = POINTER(c_uint32)
Clocks = POINTER(c_uint64)


class Request(ctypes.Structure):
    """One register access of a batch."""

    _fields_ = [
        ("address", c_uint64),
        ("data", c_uint32),
        ("enables", c_uint8),
        ("write", c_uint8),
        ("unused", c_uint16),
    ]


#: Result type, argument types. TLP dwords go in as bytes objects. None: the handle, then integers of
#: which ctypes hands over the low 32 bits; that takes half the time of declared types.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...] | None]] = {
    "vm_create": (c_void_p, ()),
    "vm_destroy": (None, (c_void_p,)),
    "vm_now": (c_uint64, (c_void_p,)),
    "vm_reset": (None, (c_void_p, c_uint32)),
    "vm_clock": (None, (c_void_p, c_uint64)),
    "vm_run": (c_int64, (c_void_p, c_uint32, c_uint64)),
    "vm_wait": (c_int64, (c_void_p, c_uint32, c_uint64)),
    "vm_random": (None, (c_void_p, c_uint64, c_uint32, c_uint32, c_uint32, c_uint32)),
    "vm_hold_tx": (None, (c_void_p, c_int32)),
    "vm_slack": (None, (c_void_p, c_uint32)),
    "vm_accept": (None, (c_void_p, c_uint32, c_int32)),
    "vm_send": (None, (c_void_p, c_char_p, c_char_p, c_uint32)),
    "vm_unsent": (c_uint32, (c_void_p,)),
    "vm_unsent_posted": (c_uint32, (c_void_p,)),
    "vm_log_sent": (None, (c_void_p, c_int32)),
    "vm_sent": (c_uint32, (c_void_p, Clocks, c_uint32)),
    "vm_received": (c_uint32, (c_void_p,)),
    "vm_take": (c_uint32, (c_void_p, Words, c_uint32, Words, Clocks, c_uint32)),
    "vm_exchange": (
        c_int32,
        (c_void_p, c_char_p, c_uint32, c_uint32, c_uint32, c_uint64, Words, c_uint32, Words, Clocks, c_uint32),
    ),
    "vm_read32": (c_int64, None),
    "vm_write32": (c_int32, None),
    "vm_requests": (c_int64, (c_void_p, POINTER(Request), c_uint32, Words)),
    "vm_stream_take": (c_int32, (c_void_p, c_uint32, Words, Clocks)),
    "vm_stream_put": (None, (c_void_p, c_uint32, Words, c_uint64)),
    "vm_streams": (c_uint64, (c_void_p,)),
    "vm_stream_size": (c_uint32, (c_void_p, c_uint32)),
    "vm_lost": (c_uint64, (c_void_p,)),
    "vm_output": (c_uint64, (c_void_p, c_uint32)),
    "vm_pulses": (c_uint64, (c_void_p, c_uint32)),
    "vm_violations": (c_uint64, (c_void_p, c_uint32)),
    "vm_violation_log": (c_uint32, (c_void_p, Clocks, c_uint32)),
    "vm_dma_start": (None, (c_void_p, c_void_p, c_uint64)),
    "vm_dma_live": (c_void_p, (c_void_p,)),
    "vm_dma_counts": (c_void_p, (c_void_p,)),
    "vm_dma_open": (c_uint64, (c_void_p,)),
    "vm_dma_run": (c_int64, (c_void_p, c_uint64, c_uint64, c_uint32)),
    "vm_dma_finish": (c_int32, (c_void_p,)),
    "vm_dma_failure": (c_char_p, (c_void_p,)),
    "vm_trace": (c_int32, (c_void_p, c_char_p)),
}


class Library:
    """The functions of one built library, as attributes without their prefix: ``library.read32``.

    They keep the interpreter's lock: to give it back and take it again costs as much as a clock.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.PyDLL(str(path))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("vm_"), function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

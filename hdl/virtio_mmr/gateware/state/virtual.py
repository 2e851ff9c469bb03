"""Configuration state that a virtual function has to itself: a few bits of its row.

Specification: SR-IOV 1.1, 3.4 and 3.5; everything else of its configuration space is constant, or the physical
function's.
"""

from amaranth.hdl import Cat, unsigned
from amaranth.lib import data

#: Bits of `status_errors` and of `device_errors` by name: the sticky bits of Status and of Device Status.
STATUS_ERRORS = ("master_data_parity_error", "signaled_target_abort", "received_target_abort",
                 "received_master_abort", "signaled_system_error", "detected_parity_error")
DEVICE_ERRORS = ("correctable_detected", "nonfatal_detected", "fatal_detected", "unsupported_detected")


class VirtualConfigState(data.Struct):
    """What is stored of a virtual function's configuration space; all zero after reset."""

    bus_master: unsigned(1)
    msix_enable: unsigned(1)
    msix_mask: unsigned(1)
    status_errors: unsigned(6)
    device_errors: unsigned(4)


class VirtualConfigChange(data.Struct):
    """What a write does to it. All zero: nothing."""

    bus_master_write: unsigned(1)
    bus_master: unsigned(1)
    #: Both bits of MSI-X control are written; they are in one byte.
    msix_write: unsigned(1)
    msix_enable: unsigned(1)
    msix_mask: unsigned(1)
    status_clear: unsigned(6)
    device_clear: unsigned(4)
    #: Function level reset: nothing else of the write counts.
    reset: unsigned(1)


class VirtualErrors(data.Struct):
    """Sticky bits that an error sets."""

    status_errors: unsigned(6)
    device_errors: unsigned(4)


def applied(state, change, errors):
    """The `VirtualConfigState` behind *state*, after a *change* and *errors* of the same clock.

    An error wins over the write that clears its bit, and a reset over everything.
    """
    after = {
        "bus_master": state.bus_master & ~change.bus_master_write | change.bus_master,
        "msix_enable": state.msix_enable & ~change.msix_write | change.msix_enable,
        "msix_mask": state.msix_mask & ~change.msix_write | change.msix_mask,
        "status_errors": state.status_errors & ~change.status_clear | errors.status_errors,
        "device_errors": state.device_errors & ~change.device_clear | errors.device_errors,
    }
    layout = data.Layout.cast(VirtualConfigState)
    kept = Cat(after[name] for name, _ in layout)
    return VirtualConfigState(kept & ~change.reset.replicate(layout.size))

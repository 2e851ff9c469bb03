"""A hypervisor's part in the proposal: an MMR function below, an ordinary transitional device above."""

from .device import Policy, TransitionalDevice
from .discover import MmrFunction, find, scan
from .interface import Guest, GuestStopped, PciHost, Unfit, finish
from .interrupts import Delivery

__all__ = [
    "Delivery", "Guest", "GuestStopped", "MmrFunction", "PciHost", "Policy", "TransitionalDevice", "Unfit", "find",
    "finish", "scan",
]

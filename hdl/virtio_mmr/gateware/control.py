"""What configuration space tells the rest of the core, whoever owns its header."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out


class FunctionControl(wiring.Signature):
    """State of one function's header and PCI Express capability.

    Driven by `ConfigSpace` where the core owns the header, by an adapter where hard IP does.

    Members
    -------
    memory_enabled, io_enabled : Out(1)
        Decoding is on: enable bit set and power state D0.
    bus_master : Out(1)
        Requests may leave: enable bit set and power state D0.
    interrupt_disable : Out(1)
        INTx must be low: disable bit set, or power state not D0.
    msix_enable, msix_mask : Out(1)
    max_payload_size, max_read_request_size : Out(3)
        0 for 128 bytes; each step doubles.
    extended_tag : Out(1)
    read_completion_boundary : Out(1)
        0 for 64, 1 for 128 bytes.
    reset : Out(1)
        Function level reset begins; one clock.
    bus : Out(8), device : Out(5)
        As captured from configuration writes.
    base : Out(64).array(6)
        Base address registers; a 64-bit one stands at its lower number.
    """

    def __init__(self) -> None:
        super().__init__({
            "memory_enabled": Out(1),
            "io_enabled": Out(1),
            "bus_master": Out(1),
            "interrupt_disable": Out(1),
            "msix_enable": Out(1),
            "msix_mask": Out(1),
            "max_payload_size": Out(3),
            "max_read_request_size": Out(3),
            "extended_tag": Out(1),
            "read_completion_boundary": Out(1),
            "reset": Out(1),
            "bus": Out(8),
            "device": Out(5),
            "base": Out(64).array(6),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionControl)

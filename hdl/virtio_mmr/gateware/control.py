"""What configuration space tells the rest of the core, whoever owns its header."""

from amaranth.lib import wiring
from amaranth.lib.wiring import Out


class FunctionControl(wiring.Signature):
    """State of one function's header and PCI Express capability.

    Driven by `ConfigSpace` where the core owns the header, by an adapter where hard IP does.

    Without an SR-IOV capability everything of virtual functions is zero.

    Members
    -------
    awake : Out(1)
        Power state D0.
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
    completion_timeout_disable : Out(1)
        Reads do not time out; stays zero without a requester.
    reset : Out(1)
        Function level reset begins; one clock.
    bus : Out(8), device : Out(5)
        As captured from configuration writes.
    base : Out(64).array(6)
        Base address registers; a 64-bit one stands at its lower number.
    vf_enable, vf_memory_enable, ari_hierarchy : Out(1)
        As they stand in the SR-IOV capability, whatever the power state.
    num_vfs : Out(8)
        At most as many as there are; constant while ``vf_enable`` is set.
    page_size : Out(11)
        System Page Size: one bit of those that are supported; constant while ``vf_enable`` is set.
    vf_base : Out(64).array(6)
        As ``base``, of the first virtual function; bits inside a page are zero.
    """

    def __init__(self) -> None:
        super().__init__({
            "awake": Out(1),
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
            "completion_timeout_disable": Out(1),
            "reset": Out(1),
            "bus": Out(8),
            "device": Out(5),
            "base": Out(64).array(6),
            "vf_enable": Out(1),
            "vf_memory_enable": Out(1),
            "ari_hierarchy": Out(1),
            "num_vfs": Out(8),
            "page_size": Out(11),
            "vf_base": Out(64).array(6),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionControl)

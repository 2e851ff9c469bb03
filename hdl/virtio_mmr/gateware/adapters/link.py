"""What the endpoint and an adapter to hard IP say to each other.

The IP owns the header and the standard capabilities of every function. It decodes base addresses, and tells by levels
what software has written; the adapter makes `FunctionControl` of these for the physical function, and one event for
every change that concerns a function's row.
"""

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.control import FunctionControl
from virtio_mmr.gateware.tlp.beat import completion_beat, raw_beat, tlp_beat
from virtio_mmr.gateware.windows.extension import ConfigDoor


class Hit(data.Struct):
    """What the IP's address decoder says of a memory or I/O request."""

    #: 0 to 5; 6 is the expansion ROM.
    bar: unsigned(3)
    #: 0 is the physical function; virtual ones follow without a gap.
    function: unsigned(8)


class FunctionChange(data.Struct):
    """A function as the IP's configuration space has it now."""

    function: unsigned(8)
    #: A function level reset began: nothing else of this counts.
    reset: unsigned(1)
    bus_master: unsigned(1)
    msix_enable: unsigned(1)
    msix_mask: unsigned(1)


class Link(wiring.Signature):
    """Seen from the adapter.

    Parameters
    ----------
    width
        Bits of data in a beat.
    completions
        Completions of the core's own requests come by a stream of their own, and not among ``beats``.

    Members
    -------
    beats : Out(stream.Signature(tlp_beat(width)))
        Requests, see `TlpIngress`; a configuration request among them is one that the IP leaves to the core.
    truncated : Out(1)
        The first beat on offer ends inside its header.
    hit : Out(Hit)
        Of the first beat on offer; of no meaning for a configuration request.
    completions : Out(stream.Signature(completion_beat(width), always_ready=True))
        With *completions* alone, as the next two.
    reads_ok : Out(1)
        Another read will be taken at once, whatever waits for credit in the IP.
    read_leaves : In(1)
        A read is sent: it will come on ``tx``.
    tx : In(stream.Signature(raw_beat(width)))
        Completions, memory requests and MSI-X messages, in the order in which the host must see them, but that reads
        may pass and be passed. The beats of a packet follow without a gap. Where the IP takes descriptors, memory
        requests have headers of four dwords (see `HardIp.described`). Function numbers are the core's.
    np_ok : In(1)
        While it is high, 16 more non-posted requests will be taken.
    control : Out(FunctionControl())
        Of the physical function; base addresses, ``reset`` and ``completion_timeout_disable`` stay zero.
    change : Out(stream.Signature(FunctionChange))
        Every change of what it says, and of the physical function those of ``reset`` and ``msix_enable``; taken in the
        clock in which the function's row changes.
    door : Out(ConfigDoor())
        Accesses to configuration space that the IP leaves to the core, if they do not come as requests.
    intx : In(1)
        INTA as a level; nothing is sent for it.
    interrupt_status : In(1)
        The live bit of the Status register: an interrupt is pending, whether or not INTA may be raised.
    """

    def __init__(self, width: int, *, completions: bool):
        self._parameters = width, completions
        super().__init__({
            "beats": Out(stream.Signature(tlp_beat(width))),
            "truncated": Out(1),
            "hit": Out(Hit),
            **({"completions": Out(stream.Signature(completion_beat(width), always_ready=True)),
                "reads_ok": Out(1), "read_leaves": In(1)} if completions else {}),
            "tx": In(stream.Signature(raw_beat(width))),
            "np_ok": In(1),
            "control": Out(FunctionControl()),
            "change": Out(stream.Signature(FunctionChange)),
            "door": Out(ConfigDoor()),
            "intx": In(1),
            "interrupt_status": In(1),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and self._parameters == other._parameters

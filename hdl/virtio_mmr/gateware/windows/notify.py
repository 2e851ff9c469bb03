"""The notification region: an address for each queue, or one for all.

Specification: virtio 1.4, 4.1.4.4 and 4.1.5.2. A write here has the effect of one to the legacy
notification register.
"""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.gateware.state.merge import masked
from virtio_mmr.spec.modern import NOTIFY

from .register import touch_layout


class NotifyWindow(wiring.Component):
    """Turns writes into kicks. Reads give zero.

    With a stride the address alone says which queue is meant, so that a hypervisor may give pages of
    this window away; without one the low half of what is written does.

    Parameters
    ----------
    stride
        Bytes between the addresses of two queues, a power of two from 4 up; 0 if they share one.
    virtual_stride
        The same of virtual functions.

    Members
    -------
    port : In(AccessPort())
    touch : Out(touch_layout([NOTIFY]))
    data : Out(16)
        The upper half of what is written here, zero where it is not.
    """

    def __init__(self, stride: int, *, virtual_stride: int | None = None):
        self._stride = stride
        self._virtual_stride = stride if virtual_stride is None else virtual_stride
        super().__init__({"port": In(AccessPort()), "touch": Out(touch_layout([NOTIFY])), "data": Out(16)})

    def elaborate(self, platform):
        m = Module()
        access, kick = self.port.access, self.touch.kick
        written = access.valid & access.p.write
        data = masked(access.p.data, access.p.strobe)
        m.d.comb += [
            self.port.reply.valid.eq(access.valid),
            # A kick through the legacy register brings none.
            self.data.eq(Mux(access.valid, data[16:], 0)),
        ]
        write, number = self._kick(self._stride, written, data)
        if self._virtual_stride != self._stride:
            virtual_write, virtual_number = self._kick(self._virtual_stride, written, data)
            physical = access.p.function == 0
            write, number = Mux(physical, write, virtual_write), Mux(physical, number, virtual_number)
        m.d.comb += [kick.write.eq(write.replicate(2)), kick.data.eq(number)]
        return m

    def _kick(self, stride: int, written, data):
        """Whether this access is a notification where addresses have this *stride*, and its queue."""
        access = self.port.access.p
        low = stride.bit_length() - 1 if stride else len(access.offset)
        return (written & access.strobe[0] & (access.offset[:low] == 0),
                access.offset[low:] if stride else data[:16])

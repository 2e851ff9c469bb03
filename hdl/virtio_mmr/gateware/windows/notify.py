"""The notification region: an address for each queue, or one for all.

Specification: virtio 1.4, 4.1.4.4 and 4.1.5.2. A write here has the effect of one to the legacy
notification register.
"""

from amaranth.hdl import Cat, Module
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

    Members
    -------
    port : In(AccessPort())
    touch : Out(touch_layout([NOTIFY]))
    data : Out(16)
        The upper half of what is written, zero where it is not.
    """

    def __init__(self, stride: int):
        self._stride = stride
        super().__init__({"port": In(AccessPort()), "touch": Out(touch_layout([NOTIFY])), "data": Out(16)})

    def elaborate(self, platform):
        m = Module()
        access, kick = self.port.access, self.touch.kick
        written = access.valid & access.p.write
        data, offset = masked(access.p.data, access.p.strobe), access.p.offset
        m.d.comb += [
            self.port.reply.valid.eq(access.valid),
            self.data.eq(data[16:]),
        ]
        if self._stride:
            low = self._stride.bit_length() - 1
            m.d.comb += [
                kick.write.eq(Cat(written & access.p.strobe[0] & (offset[:low] == 0)).replicate(2)),
                kick.data.eq(offset[low:]),
            ]
        else:
            m.d.comb += [
                kick.write.eq(Cat(written & access.p.strobe[0] & (offset == 0)).replicate(2)),
                kick.data.eq(data[:16]),
            ]
        return m

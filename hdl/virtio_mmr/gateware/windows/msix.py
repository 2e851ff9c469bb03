"""The MSI-X table's window while no interrupt unit is built: it shows reset values and keeps nothing.

Specification: PCI Local Bus 3.0, 6.8.2.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.spec.msix import ENTRY, ENTRY_SIZE


class MsixWindow(wiring.Component):
    """Table entries at their reset values (masked, address and data zero); pending bits zero.

    Members
    -------
    port : In(AccessPort())
    """

    def __init__(self, vectors: int):
        self._vectors = vectors
        super().__init__({"port": In(AccessPort())})

    def elaborate(self, platform):
        m = Module()
        access, reply = self.port.access, self.port.reply
        m.d.comb += reply.valid.eq(access.valid)
        for register in ENTRY:
            if register.reset:
                with m.If(access.valid & (access.p.offset[2:4] == register.offset // 4)
                          & below(access.p.offset, self._vectors * ENTRY_SIZE)):
                    m.d.comb += reply.p.data.eq(register.reset)
        return m

"""The MSI-X window: the table, and in the second half of its region the pending bits.

Specification: PCI Local Bus 3.0, 6.8.2. Any byte enables are honoured; pending bits cannot be written.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.gateware.state.vectors import GROUP, VectorAccess
from virtio_mmr.spec.msix import ENTRY_SIZE


class MsixWindow(wiring.Component):
    """Finds the entry or the group of pending bits that an access is for; keeps nothing itself.

    Parameters
    ----------
    vectors
        Entries of the table.
    size
        Bytes of the window, a power of two.

    Members
    -------
    port : In(AccessPort())
    table : Out(VectorAccess())
    """

    def __init__(self, vectors: int, size: int):
        self._vectors = vectors
        self._half = size // 2
        super().__init__({"port": In(AccessPort()), "table": Out(VectorAccess())})

    def elaborate(self, platform):
        m = Module()
        access, reply, table = self.port.access, self.port.reply, self.table
        bits = (self._half - 1).bit_length()
        place, behind = access.p.offset[:bits], access.p.offset[bits + 1:].any()
        pending = access.p.offset[bits]
        groups = -(-self._vectors // GROUP)
        of_table = access.valid & ~behind & ~pending & below(place, self._vectors * ENTRY_SIZE)
        of_pending = access.valid & ~behind & pending & below(place, 4 * groups)
        entry = table.entry
        dword = Signal(32)
        with m.Switch(place[2:4]):
            for i, shown in enumerate((entry.address[:32], entry.address[32:], entry.data, entry.masked)):
                with m.Case(i):
                    m.d.comb += [
                        dword.eq(shown),
                        table.strobe[4 * i:4 * i + 4].eq(
                            Mux(of_table & access.p.write, access.p.strobe, 0)),
                    ]
        m.d.comb += [
            table.asked.eq(of_table | of_pending),
            table.vector.eq(Mux(pending, Cat(Const(0, 5), place[2:]), place[4:])),
            table.data.eq(access.p.data),
            reply.valid.eq(access.valid),
            reply.p.data.eq(Mux(of_table, dword, Mux(of_pending, table.pending, 0))),
        ]
        return m

"""The MSI-X window: the table, and in the second half of its region the pending bits.

Specification: PCI Local Bus 3.0, 6.8.2. Any byte enables are honoured; pending bits cannot be written.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import Access, AccessPort, Space
from virtio_mmr.gateware.state.merge import masked
from virtio_mmr.gateware.state.vectors import GROUP, VectorAccess
from virtio_mmr.spec.msix import ENTRY_SIZE


class _Places:
    """What an *offset* in a window of this many *vectors* and this *size* names."""

    def __init__(self, offset, vectors: int, size: int):
        half = size // 2
        bits = (half - 1).bit_length()
        place, pending = offset[:bits], offset[bits]
        inside = ~offset[bits + 1:].any()
        self.of_table = inside & ~pending & below(place, vectors * ENTRY_SIZE)
        self.of_pending = inside & pending & below(place, 4 * -(-vectors // GROUP))
        self.vector = Mux(pending, Cat(Const(0, 5), place[2:]), place[4:])


def _places(m: Module, access, kinds) -> tuple[Signal, Signal, Signal]:
    """What an *access* names: (of the table, of the pending bits, vector). *kinds*: vectors and size, by function."""
    of_table, of_pending, vector = Signal(), Signal(), Signal(11)
    for mine, (vectors, size) in zip((access.function == 0, access.function != 0), kinds, strict=False):
        places = _Places(access.offset, vectors, size)
        with m.If(mine if len(kinds) > 1 else Const(1)):
            m.d.comb += [
                of_table.eq(places.of_table), of_pending.eq(places.of_pending), vector.eq(places.vector)]
    return of_table, of_pending, vector


class MsixLook(wiring.Component):
    """Finds the vector of an access that comes in the next clock. Combinational.

    Parameters
    ----------
    vectors, size, virtual
        As of `MsixWindow`.

    Members
    -------
    access : In(stream.Signature(Access, always_ready=True))
        Of any space.
    asked : Out(1), vector : Out(11)
        As of `VectorAccess`.
    """

    def __init__(self, vectors: int, size: int, *, virtual: tuple[int, int]):
        self._kinds = ((vectors, size), virtual)
        super().__init__({
            "access": In(stream.Signature(Access, always_ready=True)),
            "asked": Out(1),
            "vector": Out(11),
        })

    def elaborate(self, platform):
        m = Module()
        access = self.access
        of_table, of_pending, vector = _places(m, access.p, self._kinds)
        m.d.comb += [
            self.asked.eq(access.valid & (access.p.space == Space.MSIX) & (of_table | of_pending)),
            self.vector.eq(vector),
        ]
        return m


class MsixWindow(wiring.Component):
    """Finds the entry or the group of pending bits that an access is for; keeps nothing itself.

    Parameters
    ----------
    vectors
        Entries of the table.
    size
        Bytes of the window, a power of two.
    virtual
        The same two of virtual functions, if there are any; a function without a window has 0 vectors.

    Members
    -------
    port : In(AccessPort())
        Its replies are zero.
    table : Out(VectorAccess())
    late : Out(32)
        The answer to the access of the clock before: its enabled bytes.
    """

    def __init__(self, vectors: int, size: int, *, virtual: tuple[int, int] | None = None):
        self._kinds = ((vectors, size),) if virtual is None else ((vectors, size), virtual)
        super().__init__({
            "port": In(AccessPort()),
            "table": Out(VectorAccess()),
            "late": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        access, table = self.port.access, self.table
        table_named, pending_named, vector = _places(m, access.p, self._kinds)
        of_table, of_pending = access.valid & table_named, access.valid & pending_named
        entry, number = table.entry, access.p.offset[2:4]
        m.d.comb += [
            table.asked.eq(of_table | of_pending),
            table.vector.eq(vector),
            table.data.eq(access.p.data),
        ]
        with m.Switch(number):
            for i in range(4):
                with m.Case(i):
                    m.d.comb += table.strobe[4 * i:4 * i + 4].eq(Mux(of_table & access.p.write, access.p.strobe, 0))

        # --- The answer, a clock later --------------------------------------------------------------------
        shows_table, shows_pending, shown = Signal(4), Signal(4), Signal(2)
        m.d.sync += [
            shows_table.eq(Mux(of_table, access.p.strobe, 0)),
            shows_pending.eq(Mux(of_pending, access.p.strobe, 0)),
            shown.eq(number),
        ]
        dword = Signal(32)
        with m.Switch(shown):
            for i, part in enumerate((entry.address[:32], entry.address[32:], entry.data, entry.masked)):
                with m.Case(i):
                    m.d.comb += dword.eq(part)
        m.d.comb += [
            self.port.reply.valid.eq(access.valid),
            self.late.eq(masked(dword, Mux(table.written | (shown == 3), shows_table, 0))
                         | masked(table.pending, shows_pending)),
        ]
        return m

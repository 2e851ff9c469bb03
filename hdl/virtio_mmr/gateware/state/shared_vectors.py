"""The MSI-X vectors of several functions: rows in block RAM, looked up ahead of the clock that changes them.

Specification: PCI Local Bus 3.0, 6.8.2. The rows are those of `VectorTable`, and beside them stand the groups of
vectors that are worth a visit.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .rows import RowStore
from .vectors import GROUP, STORED, VectorEntry


def vector_groups(vectors: int) -> tuple[int, int, int, int]:
    """Vectors of a row, rows, and how many bits number a vector in its row and a row: (width, groups, bits, bits)."""
    width, groups = min(vectors, GROUP), -(-vectors // GROUP)
    return width, groups, (width - 1).bit_length(), (groups - 1).bit_length()


class SharedVectorTable(wiring.Component):
    """Rows of vectors, the view of one of them, and the change of this clock.

    What is shown belongs to the function that was looked at three clocks ago, and to the vector named two clocks ago.
    So all that comes out of a RAM stands in registers first: what follows from a row is long enough without the RAM.

    Parameters
    ----------
    vectors
        Entries of the largest table of a function.
    functions
        Number of functions, at least 2.

    Members
    -------
    look : In(8)
        Whose row is wanted in three clocks.
    function_ahead : In(8), vector_ahead : In(11)
        Whose rows are wanted in two clocks; the function is the one that was looked at a clock ago.
    entry_ahead : In(11)
        The same vector, if its entry is wanted. It comes earlier in the clock than `vector_ahead`.
    vector : Out(11)
        The vector that is shown.
    entry : Out(VectorEntry), written : Out(1)
        Its entry, if that was wanted; whether that was ever written. Otherwise address and data are zero.
    stored : Out(VectorEntry)
        The same with address and data of no meaning then.
    gate : In(1)
        What is pending for queues of the function may be sent.
    pending, ready : Out(32)
        Pending bits of the vector's group; those of them that are neither masked nor behind the gate.
    sendable : Out(1)
        The vector is one of the latter.
    last : Out(5)
        The vector of the group that was `sent` last, or any.
    strobe : In(16), data : In(32)
        Write these bytes of the entry; `data` stands for each of its four dwords.
    pend : In(2)
        The vector becomes pending: bit 0 for a queue, bit 1 for the configuration; not both.
    sent : In(1)
        It is so no longer; for queues it stays so behind a closed gate. Never together with `pend`.
    visited : In(1)
        The group has had its visit; the vector was `sent` or could not be.
    forget : In(1)
        Clear all pending bits of the function, before `pend`; never together with a write or `sent`.
    restore : In(1)
        Return the function's entries and pending bits to their reset values; never together with another change.
    opened : In(1)
        The function's gate opens: what waited behind it is worth a visit.
    waiting : Out(groups)
        Groups of the function that may have ready vectors, as this clock leaves them; no other has.
    """

    def __init__(self, vectors: int, *, functions: int):
        self._vectors = vectors
        self._functions = functions
        super().__init__({
            "look": In(8),
            "function_ahead": In(8),
            "vector_ahead": In(11),
            "entry_ahead": In(11),
            "vector": Out(11),
            "entry": Out(VectorEntry),
            "written": Out(1),
            "stored": Out(VectorEntry),
            "gate": In(1),
            "pending": Out(GROUP),
            "ready": Out(GROUP),
            "sendable": Out(1),
            "last": Out(5),
            "strobe": In(16),
            "data": In(32),
            "pend": In(2),
            "sent": In(1),
            "visited": In(1),
            "forget": In(1),
            "restore": In(1),
            "opened": In(1),
            "waiting": Out(-(-vectors // GROUP)),
        })

    def elaborate(self, platform):
        m = Module()
        width, groups, place_bits, group_bits = vector_groups(self._vectors)
        place = self.vector[:place_bits]
        # One bit for each vector of the group, and for each group; of the vector that the next clock shows, too.
        coming_vector = Signal.like(self.vector)
        coming_group = coming_vector[place_bits:place_bits + group_bits]
        mine, here, coming_here = Signal(width), Signal(groups), Signal(groups)
        m.d.comb += coming_here.eq(Cat(coming_group == i for i in range(groups)))
        m.d.sync += [
            coming_vector.eq(self.vector_ahead),
            self.vector.eq(coming_vector),
            mine.eq(Cat(coming_vector[:place_bits] == i for i in range(width))),
            here.eq(coming_here),
        ]

        # --- Which rows count -----------------------------------------------------------------------------
        function_row = data.StructLayout({"valid": groups, "pending_valid": groups, "waiting": groups})
        m.submodules.functions = rows = RowStore(
            function_row, self._functions, latency=3, behind=True)
        row = rows.row
        valid, pending_valid = Signal(), Signal()
        m.d.sync += [
            valid.eq((rows.coming.valid & coming_here).any()),
            pending_valid.eq((rows.coming.pending_valid & coming_here).any()),
        ]

        # --- The group's bits -----------------------------------------------------------------------------
        group_row = data.StructLayout({
            "written": width, "unmasked": width, "for_queues": width, "for_configuration": width, "last": place_bits})
        # Compared late: with early numbers here, too, abc9 of yosys 0.70 ended without a word.
        m.submodules.groups = bits = RowStore(group_row, self._functions << group_bits, latency=2)
        now, new = Signal(group_row), Signal(group_row)
        m.d.comb += [
            rows.look.eq(self.look),
            bits.look.eq(Cat(self.vector_ahead[place_bits:place_bits + group_bits], self.function_ahead)),
            now.written.eq(Mux(valid, bits.row.written, 0)),
            now.unmasked.eq(Mux(valid, bits.row.unmasked, 0)),
            now.for_queues.eq(Mux(pending_valid, bits.row.for_queues, 0)),
            now.for_configuration.eq(Mux(pending_valid, bits.row.for_configuration, 0)),
            now.last.eq(bits.row.last),
            new.eq(now),
        ]
        self._now = now
        written = (now.written & mine).any()
        stored_strobe, mask_strobe = self.strobe[:STORED], self.strobe[STORED]
        with m.If(stored_strobe.any()):
            m.d.comb += new.written.eq(now.written | mine)
        with m.If(mask_strobe):
            m.d.comb += new.unmasked.eq(Mux(self.data[0], now.unmasked & ~mine, now.unmasked | mine))
        pends = self.pend.any()
        with m.If(pends):
            for bit, reason in enumerate(("for_queues", "for_configuration")):
                m.d.comb += new[reason].eq(Mux(self.forget, 0, now[reason]) | Mux(self.pend[bit], mine, 0))
        with m.Elif(self.sent):
            m.d.comb += [
                new.for_queues.eq(now.for_queues & ~Mux(self.gate, mine, 0)),
                new.for_configuration.eq(now.for_configuration & ~mine),
                new.last.eq(place),
            ]
        ready = (Mux(self.gate, now.for_queues, 0) | now.for_configuration) & now.unmasked
        changed = stored_strobe.any() | mask_strobe | pends | self.sent
        left = (ready & ~Mux(self.sent, mine, 0)).any()
        m.d.comb += [
            bits.new.eq(new),
            bits.change.eq(changed),
            rows.new.valid.eq(Mux(self.restore, 0, row.valid) | Mux(changed, here, 0)),
            rows.new.pending_valid.eq(Mux(self.restore | self.forget, 0, row.pending_valid) | Mux(changed, here, 0)),
            # A visit finds out; until then whatever could have made a vector ready counts.
            rows.new.waiting.eq(
                (Mux(self.restore | self.forget, 0, row.waiting) & ~Mux(self.visited & ~left, here, 0))
                | Mux(pends | mask_strobe, here, 0) | self.opened.replicate(groups)),
            rows.change.eq(1),
            self.waiting.eq(rows.new.waiting),
            self.pending.eq(now.for_queues | now.for_configuration),
            self.ready.eq(ready),
            self.sendable.eq((ready & mine).any()),
            self.last.eq(now.last),
        ]

        # --- The entry ------------------------------------------------------------------------------------
        entry_bits = (self._vectors - 1).bit_length()
        m.submodules.entries = entries = RowStore(
            data.ArrayLayout(8, STORED), self._functions << entry_bits, latency=2, late_bits=entry_bits)
        m.d.comb += [
            entries.look.eq(Cat(self.entry_ahead[:entry_bits], self.function_ahead)),
            entries.change.eq(stored_strobe.any()),
        ]
        # An entry that was never written has no bytes in the table's memory yet.
        shown = Signal.like(entries.row)
        m.d.comb += shown.eq(Mux(written, entries.row.as_value(), 0))
        for byte in range(STORED):
            lane = self.data[8 * (byte % 4):8 * (byte % 4) + 8]
            # Bits 1:0 of the address are zero.
            value = Cat(0, 0, lane[2:]) if byte == 0 else lane
            m.d.comb += entries.new[byte].eq(Mux(stored_strobe[byte], value, shown[byte]))
        m.d.comb += [
            self.entry.address.eq(shown.as_value()[:64]),
            self.entry.data.eq(shown.as_value()[64:]),
            self.entry.masked.eq(~(now.unmasked & mine).any()),
            self.written.eq(written),
            self.stored.address.eq(entries.row.as_value()[:64]),
            self.stored.data.eq(entries.row.as_value()[64:]),
            self.stored.masked.eq(self.entry.masked),
        ]
        return m

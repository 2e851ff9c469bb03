"""The MSI-X vectors of a single function: table entries, masks, pending bits.

Specification: PCI Local Bus 3.0, 6.8.2. Masks and pending bits stand in rows of up to 32 vectors, as the pending
bits are read; two bits a row say what of it counts, so that a reset takes one clock. A vector may be pending for
queues, for the configuration, or both: behind a closed gate only the latter is sent.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

#: Vectors whose bits stand in one row.
GROUP = 32

#: Bytes of an entry that are kept in the table's memory; the rest is the mask.
STORED = 12


class VectorEntry(data.Struct):
    """One table entry, as it reads."""

    address: unsigned(64)
    data: unsigned(32)
    masked: unsigned(1)


class VectorAccess(wiring.Signature):
    """What a window asks of the table in the clock of an access.

    Members
    -------
    asked : Out(1)
        An access to the table or to the pending bits.
    vector : Out(11)
        Whose entry, and whose group of pending bits, is meant.
    strobe : Out(16)
        Bytes of the entry to write.
    data : Out(32)
        For each of the entry's four dwords.
    entry : In(VectorEntry), written : In(1), pending : In(32)
        As they read, in the clock behind. Where the entry's address and data were never `written` they mean nothing,
        and read as zero.
    """

    def __init__(self) -> None:
        super().__init__({
            "asked": Out(1),
            "vector": Out(11),
            "strobe": Out(16),
            "data": Out(32),
            "entry": In(VectorEntry),
            "written": In(1),
            "pending": In(GROUP),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VectorAccess)


class VectorTable(wiring.Component):
    """Rows of vectors, the view of one of them, and the change of this clock.

    Nothing waits: what is named in a clock is shown in the next, and changed at the end of that.

    Parameters
    ----------
    vectors
        Entries of the table.

    Members
    -------
    vector_ahead : In(11)
        Whose rows are meant in the next clock.
    vector : Out(11)
        The vector that is shown.
    entry : Out(VectorEntry)
    gate : In(1)
        What is pending for queues may be sent.
    written : Out(1)
        The entry's address and data were ever written; otherwise they are zero.
    stored : Out(VectorEntry)
        The same with address and data of no meaning then.
    pending, ready : Out(32)
        Pending bits of the vector's group; those of them that are neither masked nor behind the gate. With `pend` they
        are of the reason's group, and the entry means nothing.
    sendable : Out(1)
        The vector is one of the latter.
    strobe : In(16), data : In(32)
        Write these bytes of the entry; `data` stands for each of its four dwords.
    sent : In(1)
        The vector is pending no longer; for queues it stays so behind a closed gate.
    pend : In(2), reason : In(11)
        This vector, and not `vector`, becomes pending: bit 0 for a queue, bit 1 for the configuration, not both. Never
        together with a write or `sent`.
    forget : In(1)
        Clear all pending bits, before `pend`.
    restore : In(1)
        Return entries and pending bits to their reset values; never together with another change. It follows a reset of
        the core, too, before anything else does.
    """

    def __init__(self, vectors: int):
        self._vectors = vectors
        super().__init__({
            "vector_ahead": In(11),
            "vector": Out(11),
            "entry": Out(VectorEntry),
            "written": Out(1),
            "stored": Out(VectorEntry),
            "gate": In(1),
            "pending": Out(GROUP),
            "ready": Out(GROUP),
            "sendable": Out(1),
            "strobe": In(16),
            "data": In(32),
            "sent": In(1),
            "pend": In(2),
            "reason": In(11),
            "forget": In(1),
            "restore": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = min(self._vectors, GROUP)
        groups = -(-self._vectors // GROUP)
        group_bits, place_bits = (groups - 1).bit_length(), (width - 1).bit_length()
        pends, forgets = self.pend.any(), self.forget | self.restore
        group = Mux(pends, self.reason, self.vector)[place_bits:place_bits + group_bits]

        # --- Which rows count -----------------------------------------------------------------------------
        all_valid, all_pending_valid = Signal(groups), Signal(groups)
        here = Cat(group == i for i in range(groups))
        valid, pending_valid = (all_valid & here).any(), (all_pending_valid & here).any()
        if groups == 1:
            # A reset clears the row that is looked at, and there is no other.
            valid = pending_valid = C(1)

        # --- The group's bits -----------------------------------------------------------------------------
        # An entry that was never written has no bytes in the table's memory yet.
        group_row = data.StructLayout(
            {"written": width, "unmasked": width, "for_queues": width, "for_configuration": width})
        m.submodules.groups = bits = memory.Memory(shape=group_row, depth=1 << group_bits, init=[])
        bits_read, bits_write = bits.read_port(domain="comb"), bits.write_port()
        now, new = Signal(group_row), Signal(group_row)
        mine, caused = Signal(width, init=1), Cat(self.reason[:place_bits] == i for i in range(width))
        m.d.sync += [
            self.vector.eq(self.vector_ahead),
            mine.eq(Cat(self.vector_ahead[:place_bits] == i for i in range(width))),
        ]
        m.d.comb += [
            bits_read.addr.eq(group),
            bits_write.addr.eq(group),
            now.written.eq(Mux(valid, bits_read.data.written, 0)),
            now.unmasked.eq(Mux(valid, bits_read.data.unmasked, 0)),
            now.for_queues.eq(Mux(pending_valid, bits_read.data.for_queues, 0)),
            now.for_configuration.eq(Mux(pending_valid, bits_read.data.for_configuration, 0)),
            new.eq(now),
        ]
        self._now = now
        m.d.comb += self.written.eq((now.written & mine).any())
        stored_strobe, mask_strobe = self.strobe[:STORED], self.strobe[STORED]
        with m.If(stored_strobe.any()):
            m.d.comb += new.written.eq(now.written | mine)
        with m.If(mask_strobe):
            m.d.comb += new.unmasked.eq(Mux(self.data[0], now.unmasked & ~mine, now.unmasked | mine))
        with m.If(self.restore):
            m.d.comb += [new.written.eq(0), new.unmasked.eq(0)]
        with m.If(pends | forgets):
            for bit, reason in enumerate(("for_queues", "for_configuration")):
                m.d.comb += new[reason].eq(Mux(forgets, 0, now[reason]) | Mux(self.pend[bit], caused, 0))
        with m.Elif(self.sent):
            m.d.comb += [
                new.for_queues.eq(now.for_queues & ~Mux(self.gate, mine, 0)),
                new.for_configuration.eq(now.for_configuration & ~mine),
            ]
        changed = stored_strobe.any() | mask_strobe | pends | self.sent | forgets
        m.d.comb += [
            bits_write.data.eq(new),
            bits_write.en.eq(changed),
            self.pending.eq(now.for_queues | now.for_configuration),
            self.ready.eq((Mux(self.gate, now.for_queues, 0) | now.for_configuration) & now.unmasked),
            self.sendable.eq((self.ready[:width] & mine).any()),
        ]
        m.d.sync += [
            all_valid.eq(Mux(self.restore, 0, all_valid) | Mux(changed, here, 0)),
            all_pending_valid.eq(Mux(forgets, 0, all_pending_valid) | Mux(changed, here, 0)),
        ]

        # --- The entry ------------------------------------------------------------------------------------
        entry_bits = (self._vectors - 1).bit_length()
        m.submodules.entries = entries = memory.Memory(
            shape=data.ArrayLayout(8, STORED), depth=1 << entry_bits, init=[])
        entry_read, entry_write = entries.read_port(domain="comb"), entries.write_port(granularity=1)
        m.d.comb += [entry_read.addr.eq(self.vector[:entry_bits]), entry_write.addr.eq(self.vector[:entry_bits])]
        for byte in range(STORED):
            lane = self.data[8 * (byte % 4):8 * (byte % 4) + 8]
            # Bits 1:0 of the address are zero.
            value = Cat(0, 0, lane[2:]) if byte == 0 else lane
            strobe = stored_strobe[byte]
            m.d.comb += [
                entry_write.data[byte].eq(Mux(strobe, value, 0)),
                entry_write.en[byte].eq(strobe | (stored_strobe.any() & ~self.written)),
            ]
        for entry, shown in ((self.stored, entry_read.data.as_value()),
                             (self.entry, Mux(self.written, entry_read.data.as_value(), 0))):
            m.d.comb += [
                entry.address.eq(shown[:64]),
                entry.data.eq(shown[64:]),
                entry.masked.eq(~(now.unmasked & mine).any()),
            ]
        return m

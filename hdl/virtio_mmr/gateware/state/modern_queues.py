"""The queues of every function where drivers of both kinds set them up: three addresses, size, vector.

Specification: virtio 1.4, 4.1.4.3 (common configuration) and 2.7.2 (legacy ring layout). A page number
becomes three addresses when it is written, so that there is one state, whoever the driver is.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.spec import legacy

from .merge import merged
from .queue_place import QueuePlace
from .queues import RingAddresses
from .rows import RowStore

#: Halves of the three addresses, as they stand in a row: descriptors, available, used, low half first.
_HALVES = 6


class ModernQueueTable(wiring.Component):
    """One row a queue, indexed by function and queue.

    A row has no reset: its function says whether addresses, size and vector count, so that a reset of the
    function takes one clock.

    Parameters
    ----------
    sizes
        Most entries of each queue of the physical function.
    functions
        Number of functions. With more than one the rows are in block RAM.
    virtual_sizes
        Most entries of each queue of a virtual function; None if they are as the physical function's.
    has_data
        Keep notification data.

    Members
    -------
    function : In(8), queue : In(16)
        Row that is read, combinationally, and perhaps written. With one function.
    look_function : In(8), look_queue : In(16)
        Row that everything below is about in the next clock. With several functions.
    addressed, sized : In(1)
        The row's addresses count; its size counts.
    exists : Out(1)
        The function has this queue.
    most : Out(16), size : Out(16)
        Most entries, and entries as set; zero if the queue does not exist.
    rings : Out(RingAddresses), page : Out(32)
        The three addresses, and the first as a page number; zero if they do not count.
    vector : Out(16)
        Of no meaning unless its function says that it counts.
    write_page : In(4), new_page : In(32)
        Store these bytes of the page number, and the addresses that follow from it and from `size`; as every
        write, only of a queue that exists.
    write_areas : In(ArrayLayout(8, 3)), new_areas : In(ArrayLayout(64, 3))
        Store these bytes of the addresses; not together with a page.
    write_size : In(1), new_size : In(16), write_vector : In(1), new_vector : In(16)
    kick : In(1), kicked : In(16), new_data : In(16)
        Store notification data of queue `kicked`, which is any of the row's function.
    data : Out(16)
        Notification data of the row; of no meaning before the first kick.
    """

    def __init__(self, sizes, *, functions: int = 1, virtual_sizes=None, has_data: bool = False):
        self._functions = functions
        self._place = QueuePlace(sizes, virtual_sizes, functions)
        self._has_data = has_data
        # What is stored of a queue.
        self._row = data.StructLayout({
            "areas": data.ArrayLayout(32, _HALVES), "size": self._place.most.bit_length(), "vector": 16})
        super().__init__({
            **self._place.members,
            "addressed": In(1),
            "sized": In(1),
            "exists": Out(1),
            "most": Out(16),
            "size": Out(16),
            "rings": Out(RingAddresses),
            "page": Out(32),
            "vector": Out(16),
            "write_page": In(4),
            "new_page": In(32),
            "write_areas": In(data.ArrayLayout(8, 3)),
            "new_areas": In(data.ArrayLayout(64, 3)),
            "write_size": In(1),
            "new_size": In(16),
            "write_vector": In(1),
            "new_vector": In(16),
            "kick": In(1),
            "kicked": In(16),
            "new_data": In(16),
            "data": Out(16),
        })

    def elaborate(self, platform):
        m = Module()
        self._place.select(m, self)

        # --- What the row says -----------------------------------------------------------------------------
        # Halves of addresses and their bytes: what they become, if enabled.
        areas, enables = Signal(data.ArrayLayout(32, _HALVES)), Signal(_HALVES)
        add = self._add_rows if self._functions == 1 else self._add_block_rows
        stored = add(m, areas, enables)
        m.d.comb += [
            self.exists.eq(self._place.exists()),
            self.most.eq(self._place.of(m, "entries", lambda size: size)),
            self.size.eq(Mux(self.sized, stored.size, self.most)),
            self.rings.eq(Mux(self.addressed, stored.areas.as_value(), 0)),
            self.page.eq(self.rings.descriptors[legacy.PAGE_SHIFT:]),
            self.vector.eq(stored.vector),
        ]

        # --- Addresses that follow from a page ---------------------------------------------------------------
        page, shift = Signal(32), legacy.PAGE_SHIFT
        size = self.size[:self._place.most.bit_length()]
        laid = Signal(RingAddresses)
        m.d.comb += [
            page.eq(merged(self.page, self.new_page, self.write_page)),
            laid.descriptors.eq(page << shift),
            # 16 bytes a descriptor: whole pages, or the low bits of one.
            laid.available.eq(((page + size[8:]) << shift) | Cat(0, 0, 0, 0, size[:8])),
            # Then 2 bytes an entry of the available ring and 6 more, up to the next page: an eighth as much.
            laid.used.eq((page + (size[8:] | size[11:]) + 1) << shift),
        ]

        # --- Writes of addresses -------------------------------------------------------------------------------
        loads = self.write_page.any()
        strobes = self.write_areas.as_value()
        given = self.new_areas.as_value()
        # The first write to a row that does not count makes all of it zero.
        clears = strobes.any() & ~self.addressed
        for i in range(_HALVES):
            part = slice(32 * i, 32 * i + 32)
            strobe = strobes[4 * i:4 * i + 4]
            mixed = merged(self.rings.as_value()[part], given[part], strobe)
            m.d.comb += [
                areas[i].eq(Mux(loads, laid.as_value()[part], mixed)),
                enables[i].eq(loads | strobe.any() | clears),
            ]

        if self._has_data:
            m.d.comb += self.data.eq((self._add_data if self._functions == 1 else self._add_block_data)(m))
        return m

    def _add_rows(self, m: Module, areas, enables):
        """Rows that are read in the clock of their use; gives what is stored."""
        depth = self._place.rows
        m.submodules.areas = places = memory.Memory(shape=self._row["areas"].shape, depth=depth, init=[])
        m.submodules.sizes = sizes = memory.Memory(shape=self._row["size"].shape, depth=depth, init=[])
        m.submodules.vectors = vectors = memory.Memory(shape=16, depth=depth, init=[])
        area_read, area_write = places.read_port(domain="comb"), places.write_port(granularity=1)
        size_read, size_write = sizes.read_port(domain="comb"), sizes.write_port()
        vector_read, vector_write = vectors.read_port(domain="comb"), vectors.write_port()
        for port in (area_read, area_write, size_read, size_write, vector_read, vector_write):
            m.d.comb += port.addr.eq(self._place.number(self.function, self.queue))
        stored = Signal(self._row)
        m.d.comb += [
            stored.areas.eq(area_read.data),
            stored.size.eq(size_read.data),
            stored.vector.eq(vector_read.data),
            area_write.data.eq(areas),
            area_write.en.eq(enables),
            size_write.data.eq(self.new_size),
            size_write.en.eq(self.write_size),
            vector_write.data.eq(self.new_vector),
            vector_write.en.eq(self.write_vector),
        ]
        return stored

    def _add_data(self, m: Module):
        """Notification data, read in the clock of their use."""
        m.submodules.data = notes = memory.Memory(shape=16, depth=self._place.rows, init=[])
        read, write = notes.read_port(domain="comb"), notes.write_port()
        m.d.comb += [
            read.addr.eq(self._place.number(self.function, self.queue)),
            write.addr.eq(Cat(self.kicked[:self._place.bits], self.function)),
            write.data.eq(self.new_data),
            write.en.eq(self.kick),
        ]
        return read.data

    def _add_block_rows(self, m: Module, areas, enables):
        """Rows in block RAM, which are written whole; gives what is stored."""
        m.submodules.rows = self._rows = rows = RowStore(self._row, self._place.rows, latency=1)
        row = rows.row
        m.d.comb += [
            rows.look.eq(self._place.number(self.look_function, self.look_queue)),
            rows.change.eq(enables.any() | self.write_size | self.write_vector),
            rows.new.size.eq(Mux(self.write_size, self.new_size, row.size)),
            rows.new.vector.eq(Mux(self.write_vector, self.new_vector, row.vector)),
            *(rows.new.areas[i].eq(Mux(enables[i], areas[i], row.areas[i])) for i in range(_HALVES)),
        ]
        return row

    def _add_block_data(self, m: Module):
        """Notification data in block RAM: whichever queue is shown, another one may be kicked."""
        m.submodules.data = notes = RowStore(unsigned(16), self._place.rows, latency=1, elsewhere=True)
        m.d.comb += [
            notes.look.eq(self._place.number(self.look_function, self.look_queue)),
            notes.changed_number.eq(Cat(self.kicked[:self._place.bits], notes.number[self._place.bits:])),
            notes.change.eq(self.kick),
            notes.new.eq(self.new_data),
        ]
        return notes.row

"""The queues of every function: page, vector, and the three ring addresses that follow from a page.

Specification: virtio 1.3, 2.7.2 (legacy ring layout) and 4.1.4.10. A back end sees addresses, never
page numbers.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.spec import legacy

from .merge import merged
from .queue_place import QueuePlace
from .rows import RowStore


class RingAddresses(data.Struct):
    """Where a queue's three parts are, in bytes."""

    descriptors: unsigned(64)
    available: unsigned(64)
    used: unsigned(64)


#: What is stored of a queue.
_ROW = data.StructLayout({"page": data.ArrayLayout(8, 4), "vector": 16})


class QueueTable(wiring.Component):
    """One row a queue, indexed by function and queue.

    A row has no reset: its function says which bytes of the page are non-zero and whether the vector counts,
    so that a reset of the function takes one clock.

    Rows of several functions come out of block RAM late in a clock, so they are shown, and written, in the clock behind
    that of their use: all that follows from one has a clock for itself.

    Parameters
    ----------
    sizes
        Entries of each queue of the physical function.
    functions
        Number of functions. With more than one the rows are in block RAM.
    virtual_sizes
        Entries of each queue of a virtual function; None if they are as the physical function's.

    Members
    -------
    function : In(8), queue : In(16)
        Row that is read, combinationally, and perhaps written. With one function.
    look_function : In(8), look_queue : In(16)
        Row that everything below is about in the next clock. With several functions.
    fetch_queue : In(16).array(2), second : In(1)
        Where that row is looked for, early in the clock, and a little later which of both it is: another queue of the
        function only if nothing of the row counts. With several functions.
    page_bytes : In(4)
        Bytes of the row's page that are not zero.
    exists : Out(1)
        The function has this queue.
    size : Out(16)
        Entries; zero if it does not exist.
    page : Out(32), vector : Out(16)
        Of no meaning if the queue does not exist; the vector only if its function says so. With several functions of
        the row of the clock before.
    write_page : In(4), new_page : In(32)
        Store these bytes; only of a queue that exists.
    write_vector : In(1), new_vector : In(16)
        Likewise the vector. With several functions of the row of the clock before.
    rings : Out(RingAddresses)
        From the `page` of the row of the clock before.
    """

    def __init__(self, sizes, *, functions: int = 1, virtual_sizes=None):
        self._functions = functions
        self._place = QueuePlace(sizes, virtual_sizes, functions)
        super().__init__({
            **self._place.members,
            **({"fetch_queue": In(16).array(2), "second": In(1)} if functions > 1 else {}),
            "page_bytes": In(4),
            "exists": Out(1),
            "size": Out(16),
            "page": Out(32),
            "vector": Out(16),
            "write_page": In(4),
            "new_page": In(32),
            "write_vector": In(1),
            "new_vector": In(16),
            "rings": Out(RingAddresses),
        })

    def elaborate(self, platform):
        m = Module()
        self._place.select(m, self)
        size = self._place.of(m, "entries", lambda size: size)
        used_pages = self._place.of(m, "used_pages", lambda size: legacy.used_ring_offset(size) >> legacy.PAGE_SHIFT)
        stored = self._add_rows(m) if self._functions == 1 else self._add_block_rows(m)
        # The rings are added up behind a register. Rows of several functions come that late by themselves.
        of_size, of_used, page_bytes, page = Signal.like(size), Signal.like(used_pages), self.page_bytes, self.page
        m.d.sync += [of_size.eq(size), of_used.eq(used_pages)]
        if self._functions > 1:
            page_bytes = Signal(4)
            m.d.sync += page_bytes.eq(self.page_bytes)
        else:
            page = Signal(32)
            m.d.sync += page.eq(self.page)
        m.d.comb += [
            self.exists.eq(self._place.exists()),
            self.size.eq(size),
            self.page.eq(Cat(Mux(page_bytes[i], stored.page[i], 0) for i in range(4))),
            self.vector.eq(stored.vector),
        ]
        available_pages = Mux(of_size < 256, 0, of_size >> 8)
        shift = legacy.PAGE_SHIFT
        m.d.comb += [
            self.rings.descriptors.eq(page << shift),
            # 16 bytes a descriptor: below a page the offset is the low bits, above it is whole pages.
            self.rings.available.eq(((page + available_pages) << shift) | Mux(of_size < 256, of_size << 4, 0)),
            self.rings.used.eq((page + of_used) << shift),
        ]
        return m

    def _add_rows(self, m: Module):
        """Rows that are read in the clock of their use; gives what is stored."""
        depth = self._place.rows
        # One or two rows cost less in flip-flops.
        m.submodules.pages = pages = memory.Memory(
            shape=data.ArrayLayout(8, 4), depth=depth, init=[], attrs={"ram_style": "registers"} if depth <= 2 else {})
        m.submodules.vectors = vectors = memory.Memory(shape=16, depth=depth, init=[])
        page_read, page_write = pages.read_port(domain="comb"), pages.write_port(granularity=1)
        vector_read, vector_write = vectors.read_port(domain="comb"), vectors.write_port()
        for port in (page_read, page_write, vector_read, vector_write):
            m.d.comb += port.addr.eq(self._place.number(self.function, self.queue))
        stored = Signal(_ROW)
        m.d.comb += [
            stored.page.eq(page_read.data),
            stored.vector.eq(vector_read.data),
            page_write.data.eq(self.new_page),
            page_write.en.eq(self.write_page),
            vector_write.data.eq(self.new_vector),
            vector_write.en.eq(self.write_vector),
        ]
        return stored

    def _add_block_rows(self, m: Module):
        """Rows in block RAM, which are written whole; gives what is stored."""
        m.submodules.rows = self._rows = rows = RowStore(
            _ROW, self._place.rows, latency=2, apart=True, late_bits=self._place.bits)
        write_page, new_page = Signal(4), Signal(32)
        m.d.sync += [write_page.eq(self.write_page), new_page.eq(self.new_page)]
        m.d.comb += [
            rows.look.eq(self._place.number(self.look_function, self.look_queue)),
            *(number.eq(self._place.number(self.look_function, queue))
              for number, queue in zip(rows.fetch, self.fetch_queue, strict=True)),
            rows.second.eq(self.second),
            rows.change.eq(write_page.any() | self.write_vector),
            rows.new.page.eq(merged(rows.row.page.as_value(), new_page, write_page)),
            rows.new.vector.eq(Mux(self.write_vector, self.new_vector, rows.row.vector)),
        ]
        return rows.row

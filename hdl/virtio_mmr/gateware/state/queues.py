"""The queues of every function: page, vector, and the three ring addresses that follow from a page.

Specification: virtio 1.3, 2.7.2 (legacy ring layout) and 4.1.4.10. A back end sees addresses, never
page numbers.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.spec import legacy


class RingAddresses(data.Struct):
    """Where a queue's three parts are, in bytes."""

    descriptors: unsigned(64)
    available: unsigned(64)
    used: unsigned(64)


class QueueTable(wiring.Component):
    """One row a queue, indexed by function and queue.

    A row has no reset: its function says which bytes of the page are non-zero and whether the vector counts,
    so that a reset of the function takes one clock.

    Parameters
    ----------
    sizes
        Entries of each queue of a function.
    functions
        Number of functions.

    Members
    -------
    function : In(8), queue : In(16)
        Row that is read, combinationally, and perhaps written.
    page_bytes : In(4)
        Bytes of the row's page that are not zero.
    exists : Out(1)
        The function has this queue.
    size : Out(16)
        Entries; zero if it does not exist.
    page : Out(32), vector : Out(16)
        Of no meaning if the queue does not exist; the vector only if its function says so.
    write_page : In(4), new_page : In(32)
        Store these bytes.
    write_vector : In(1), new_vector : In(16)
    rings : Out(RingAddresses)
        From the row's page.
    """

    def __init__(self, sizes, *, functions: int = 1):
        self._sizes = tuple(sizes)
        self._functions = functions
        super().__init__({
            "function": In(8),
            "queue": In(16),
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
        count = len(self._sizes)
        bits = (count - 1).bit_length()
        depth = self._functions << bits
        # One or two rows cost less in flip-flops.
        m.submodules.pages = pages = memory.Memory(
            shape=data.ArrayLayout(8, 4), depth=depth, init=[], attrs={"ram_style": "registers"} if depth <= 2 else {})
        m.submodules.vectors = vectors = memory.Memory(shape=16, depth=depth, init=[])
        page_read, page_write = pages.read_port(domain="comb"), pages.write_port(granularity=1)
        vector_read, vector_write = vectors.read_port(domain="comb"), vectors.write_port()
        address = Cat(self.queue[:bits], self.function)
        for port in (page_read, page_write, vector_read, vector_write):
            m.d.comb += port.addr.eq(address)
        m.d.comb += [
            self.exists.eq(below(self.queue, count)),
            page_write.data.eq(self.new_page),
            page_write.en.eq(self.write_page),
            vector_write.data.eq(self.new_vector),
            vector_write.en.eq(self.write_vector),
            self.page.eq(Cat(Mux(self.page_bytes[i], page_read.data[i], 0) for i in range(4))),
            self.vector.eq(vector_read.data),
        ]
        used_pages = Signal(16)
        with m.Switch(self.queue):
            for size in sorted(set(self._sizes)):
                with m.Case(*(i for i, other in enumerate(self._sizes) if other == size)):
                    m.d.comb += [
                        self.size.eq(size),
                        used_pages.eq(legacy.used_ring_offset(size) >> legacy.PAGE_SHIFT),
                    ]
        page = self.page
        available_pages = Mux(self.size < 256, 0, self.size >> 8)
        shift = legacy.PAGE_SHIFT
        m.d.comb += [
            self.rings.descriptors.eq(page << shift),
            # 16 bytes a descriptor: below a page the offset is the low bits, above it is whole pages.
            self.rings.available.eq(((page + available_pages) << shift) | Mux(self.size < 256, self.size << 4, 0)),
            self.rings.used.eq((page + used_pages) << shift),
        ]
        return m

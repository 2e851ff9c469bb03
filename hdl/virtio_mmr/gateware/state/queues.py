"""The queues of every function: page, vector, and the three ring addresses that follow from a page.

Specification: virtio 1.3, 2.7.2 (legacy ring layout) and 4.1.4.10. A back end sees addresses, never
page numbers.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.compare import below
from virtio_mmr.spec import legacy


class QueueRow(data.Struct):
    """What one queue remembers. A row counts only while its function says that it is valid."""

    page: unsigned(32)
    vector: unsigned(16)


class RingAddresses(data.Struct):
    """Where a queue's three parts are, in bytes."""

    descriptors: unsigned(64)
    available: unsigned(64)
    used: unsigned(64)


class QueueTable(wiring.Component):
    """One row a queue, indexed by function and queue.

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
    exists : Out(1)
        The function has this queue.
    size : Out(16)
        Entries; zero if it does not exist.
    row : Out(QueueRow)
        Of no meaning if the queue does not exist.
    write : In(1), next : In(QueueRow)
        Store *next*.
    rings : Out(RingAddresses)
        From the row's page.
    """

    def __init__(self, sizes, *, functions: int = 1):
        self._sizes = tuple(sizes)
        self._functions = functions
        super().__init__({
            "function": In(8),
            "queue": In(16),
            "exists": Out(1),
            "size": Out(16),
            "row": Out(QueueRow),
            "write": In(1),
            "next": In(QueueRow),
            "rings": Out(RingAddresses),
        })

    def elaborate(self, platform):
        m = Module()
        count = len(self._sizes)
        bits = (count - 1).bit_length()
        m.submodules.rows = rows = memory.Memory(shape=QueueRow, depth=self._functions << bits, init=[])
        read, write = rows.read_port(domain="comb"), rows.write_port()
        address = Cat(self.queue[:bits], self.function)
        m.d.comb += [
            self.exists.eq(below(self.queue, count)),
            read.addr.eq(address),
            write.addr.eq(address),
            write.data.eq(self.next),
            write.en.eq(self.write),
            self.row.eq(read.data),
        ]
        used_pages = Signal(16)
        with m.Switch(self.queue):
            for size in sorted(set(self._sizes)):
                with m.Case(*(i for i, other in enumerate(self._sizes) if other == size)):
                    m.d.comb += [
                        self.size.eq(size),
                        used_pages.eq(legacy.used_ring_offset(size) >> legacy.PAGE_SHIFT),
                    ]
        page = self.row.page
        available_pages = Mux(self.size < 256, 0, self.size >> 8)
        shift = legacy.PAGE_SHIFT
        m.d.comb += [
            self.rings.descriptors.eq(page << shift),
            # 16 bytes a descriptor: below a page the offset is the low bits, above it is whole pages.
            self.rings.available.eq(((page + available_pages) << shift) | Mux(self.size < 256, self.size << 4, 0)),
            self.rings.used.eq((page + used_pages) << shift),
        ]
        return m

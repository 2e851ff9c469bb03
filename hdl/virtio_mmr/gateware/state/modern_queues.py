"""The queues of every function where drivers of both kinds set them up: three addresses, size, vector.

Specification: virtio 1.4, 4.1.4.3 (common configuration) and 2.7.2 (legacy ring layout). A page number
becomes three addresses when it is written, so that there is one state, whoever the driver is.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.spec import legacy

from .merge import merged
from .queues import RingAddresses

#: Halves of the three addresses, as they stand in a row: descriptors, available, used, low half first.
_HALVES = 6


class ModernQueueTable(wiring.Component):
    """One row a queue, indexed by function and queue.

    A row has no reset: its function says whether addresses, size and vector count, so that a reset of the
    function takes one clock.

    Parameters
    ----------
    sizes
        Most entries of each queue of a function.
    functions
        Number of functions.
    has_data
        Keep notification data.

    Members
    -------
    function : In(8), queue : In(16)
        Row that is read, combinationally, and perhaps written.
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
        Store these bytes of the page number, and the addresses that follow from it and from `size`.
    write_areas : In(ArrayLayout(8, 3)), new_areas : In(ArrayLayout(64, 3))
        Store these bytes of the addresses; not together with a page.
    write_size : In(1), new_size : In(16), write_vector : In(1), new_vector : In(16)
    kick : In(1), kicked : In(16), new_data : In(16)
        Store notification data of queue `kicked`.
    data : Out(16)
        Notification data of the row; of no meaning before the first kick.
    """

    def __init__(self, sizes, *, functions: int = 1, has_data: bool = False):
        self._sizes = tuple(sizes)
        self._functions = functions
        self._has_data = has_data
        super().__init__({
            "function": In(8),
            "queue": In(16),
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
        count = len(self._sizes)
        bits = (count - 1).bit_length()
        depth = self._functions << bits
        m.submodules.areas = areas = memory.Memory(shape=data.ArrayLayout(32, _HALVES), depth=depth, init=[])
        m.submodules.sizes = sizes = memory.Memory(shape=max(self._sizes).bit_length(), depth=depth, init=[])
        m.submodules.vectors = vectors = memory.Memory(shape=16, depth=depth, init=[])
        area_read, area_write = areas.read_port(domain="comb"), areas.write_port(granularity=1)
        size_read, size_write = sizes.read_port(domain="comb"), sizes.write_port()
        vector_read, vector_write = vectors.read_port(domain="comb"), vectors.write_port()
        address = Cat(self.queue[:bits], self.function)
        for port in (area_read, area_write, size_read, size_write, vector_read, vector_write):
            m.d.comb += port.addr.eq(address)

        # --- What the row says -----------------------------------------------------------------------------
        with m.Switch(self.queue):
            for size in sorted(set(self._sizes)):
                with m.Case(*(i for i, other in enumerate(self._sizes) if other == size)):
                    m.d.comb += self.most.eq(size)
        m.d.comb += [
            self.exists.eq(below(self.queue, count)),
            self.size.eq(Mux(self.sized, size_read.data, self.most)),
            self.rings.eq(Mux(self.addressed, area_read.data.as_value(), 0)),
            self.page.eq(self.rings.descriptors[legacy.PAGE_SHIFT:]),
            self.vector.eq(vector_read.data),
            size_write.data.eq(self.new_size),
            size_write.en.eq(self.write_size),
            vector_write.data.eq(self.new_vector),
            vector_write.en.eq(self.write_vector),
        ]

        # --- Addresses that follow from a page ---------------------------------------------------------------
        page, shift = Signal(32), legacy.PAGE_SHIFT
        size = self.size[:max(self._sizes).bit_length()]
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
            stored = merged(self.rings.as_value()[part], given[part], strobe)
            m.d.comb += [
                area_write.data[i].eq(Mux(loads, laid.as_value()[part], stored)),
                area_write.en[i].eq(loads | strobe.any() | clears),
            ]

        if self._has_data:
            m.submodules.data = notes = memory.Memory(shape=16, depth=depth, init=[])
            data_read, data_write = notes.read_port(domain="comb"), notes.write_port()
            m.d.comb += [
                data_read.addr.eq(address),
                data_write.addr.eq(Cat(self.kicked[:bits], self.function)),
                data_write.data.eq(self.new_data),
                data_write.en.eq(self.kick),
                self.data.eq(data_read.data),
            ]
        return m

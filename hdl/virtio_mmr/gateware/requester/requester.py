"""The requester: DMA of the back end becomes packets, and completions become data.

Specification: PCI Express Base 5.0, 2.2 to 2.4 and 2.8.
"""

from amaranth.hdl import C, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaRead, DmaWrite, DmaWriteDone, dma_read_data, dma_write_data
from virtio_mmr.gateware.tlp.beat import TICKET, completion_beat, tlp_beat

from .gate import Gate
from .reads import ReadEngine
from .writer import WriteBuilder


class Requester(wiring.Component):
    """Every request ends once and says how, whatever the host does.

    A read never leaves before a write whose data was handed in, to its last beat, before the read was; that
    write may be any function's.

    Parameters
    ----------
    width
    reads
        Reads in flight, 32 to 256; 32 without Extended Tag.
    largest
        Bytes of the largest read: a power of two from 128 to 4096.
    payload
        Bytes of the largest write, likewise.
    timeout
        Clock cycles that the host has for a read.
    space
        Completion headers and 16-byte units of their data that the receiver has room for, or None for any number.
    long_headers
        Requests have four header dwords everywhere, and not from 4 GiB on.

    Members
    -------
    dma_read, dma_write, dma_write_data : In(stream)
    dma_read_data, dma_write_done : Out(stream)
    read_gate, write_gate : Out(Gate())
    max_payload_size, max_read_request_size : In(3)
    extended_tag, read_completion_boundary : In(1)
    timeout_disable : In(1)
        No read times out. One that is older than a time-out when this ends does so at once, or after another at the
        latest.
    completions : In(stream.Signature(completion_beat(width), always_ready=True))
        Taken whatever the back end does.
    reads_ok : In(1)
        Another read may be sent; until then it waits, as if the back end had asked later. High if nobody drives it.
    read_held : In(1)
        A read that was sent stands still before the link, which is no time of the host's.
    read_leaves : Out(1)
        A read is sent: it goes to `reads`, whatever `reads_ok` says from now on.
    unexpected, poisoned : Out(1)
        A completion belonged to no read; data of one that did are poisoned.
    now : In(TICKET)
        Ticket of a packet that is queued in this clock.
    ticket, read_ticket : Out(TICKET)
        That of the packet on offer at `writes`, and at `reads`.
    pending : Out(1)
        A write is queued, on offer or not yet.
    mark : In(1), clear : Out(1)
        Writes whose last beat was taken in the clock of the last `mark` or before have left, or were swallowed. Until
        that is so takes only what is taken from `writes` and `reads`.
    writes, reads : Out(stream.Signature(tlp_beat(width)))
    """

    def __init__(self, width: int, *, reads: int = 64, largest: int = 512, payload: int = 512,
                 timeout: int = 1 << 21, space: tuple[int, int] | None = None, long_headers: bool = False):
        self._width, self._reads, self._largest, self._payload = width, reads, largest, payload
        self._timeout, self._space, self._long_headers = timeout, space, long_headers
        super().__init__({
            "dma_read": In(stream.Signature(DmaRead)),
            "dma_read_data": Out(stream.Signature(dma_read_data(width))),
            "dma_write": In(stream.Signature(DmaWrite)),
            "dma_write_data": In(stream.Signature(dma_write_data(width))),
            "dma_write_done": Out(stream.Signature(DmaWriteDone)),
            "read_gate": Out(Gate()),
            "write_gate": Out(Gate()),
            "max_payload_size": In(3),
            "max_read_request_size": In(3),
            "extended_tag": In(1),
            "read_completion_boundary": In(1),
            "timeout_disable": In(1),
            "completions": In(stream.Signature(completion_beat(width), always_ready=True)),
            "reads_ok": In(1, init=1),
            "read_held": In(1),
            "read_leaves": Out(1),
            "unexpected": Out(1),
            "poisoned": Out(1),
            "now": In(TICKET),
            "ticket": Out(TICKET),
            "read_ticket": Out(TICKET),
            "pending": Out(1),
            "mark": In(1),
            "clear": Out(1),
            "writes": Out(stream.Signature(tlp_beat(width))),
            "reads": Out(stream.Signature(tlp_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.read = read = ReadEngine(
            self._width, tags=self._reads, slot=self._largest, timeout=self._timeout, space=self._space,
            long_headers=self._long_headers)
        m.submodules.write = write = WriteBuilder(
            self._width, self._payload, long_headers=self._long_headers)
        for mine, its in (
            (self.dma_read, read.request), (self.dma_read_data, read.answer), (self.read_gate, read.gate),
            (self.completions, read.completions), (self.reads, read.packets), (self.dma_write, write.write),
            (self.dma_write_data, write.data), (self.dma_write_done, write.done), (self.write_gate, write.gate),
            (self.writes, write.packets),
        ):
            wiring.connect(m, wiring.flipped(mine), its)
        m.d.comb += [
            read.size.eq(self.max_read_request_size),
            read.extended_tag.eq(self.extended_tag),
            read.boundary.eq(self.read_completion_boundary),
            read.timeout_disable.eq(self.timeout_disable),
            write.size.eq(self.max_payload_size),
            write.now.eq(self.now),
            self.ticket.eq(write.ticket),
            self.pending.eq(write.pending),
            self.read_leaves.eq(read.leaves),
            self.unexpected.eq(read.unexpected),
            self.poisoned.eq(read.poisoned),
        ]
        # A time-out begins when a read has its tag, so it must not go on while a read cannot leave: the tag could be
        # free again before.
        m.d.sync += read.held.eq(self.read_held | (self.reads.valid & ~self.reads.ready))
        # Clocks in which a read may be queued.
        with m.If(~self.reads.valid | self.reads.ready):
            m.d.sync += self.read_ticket.eq(self.now)
        # Writes that have been handed in and have not left; of these, those before the newest read and the mark.
        waiting, after = Signal(4), Signal(4)
        m.d.comb += after.eq(waiting + write.taken - write.left)
        m.d.sync += waiting.eq(after)
        for comes, may_leave, others, name in (
            (self.dma_read.valid & self.dma_read.ready, read.may_leave, self.reads_ok, "before_read"),
            (self.mark, self.clear, C(1), "before_mark"),
        ):
            before = Signal(4, name=name)
            m.d.comb += may_leave.eq((before == 0) & others)
            with m.If(comes):
                m.d.sync += before.eq(after)
            with m.Elif(write.left & (before != 0)):
                m.d.sync += before.eq(before - 1)
        return m

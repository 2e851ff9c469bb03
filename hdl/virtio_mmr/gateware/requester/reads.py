"""DMA reads, from the back end's request to its data."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaRead, DmaStatus, dma_read_data
from virtio_mmr.gateware.tlp.beat import completion_beat, tlp_beat

from .age import Age
from .completion_space import CompletionSpace
from .cutter import Cutter
from .gate import Gate
from .issuer import READ_EXTRA, ReadIssuer
from .matcher import CompletionMatcher
from .owners import OwnerQueues
from .slot_reader import SlotReader
from .tags import TagPool


class ReadEngine(wiring.Component):
    """Wires the parts of the read path, and decides who may write a row of progress.

    Completions come first, then time-outs, then new reads; each completion that writes one belongs to a read,
    so nobody waits for ever.

    Parameters
    ----------
    width
    tags
        Reads in flight.
    slot
        Bytes that a read may ask for, whatever `size` allows: a power of two from 128 to 4096.
    timeout
        Clock cycles after which a read that is the oldest of its owner ends without its data.
    space
        Completion headers and 16-byte units of their data that the receiver has room for, or None for any number.

    Members
    -------
    request : In(stream.Signature(DmaRead))
    answer : Out(stream.Signature(dma_read_data(width)))
    gate : Out(Gate())
    size : In(3)
        Max_Read_Request_Size.
    extended_tag, boundary : In(1)
        Extended Tag Field Enable, Read Completion Boundary.
    timeout_disable : In(1)
        No read times out. Tags go on resting, and are free again.
    may_leave : In(1)
        No write stands before the newest read, and the host has credit for one.
    held : In(1)
        A read cannot leave: this clock does not count for any time-out.
    leaves : Out(1)
        A read goes to `packets`.
    packets : Out(stream.Signature(tlp_beat(width)))
    completions : In(stream.Signature(completion_beat(width), always_ready=True))
    unexpected, poisoned : Out(1)
    """

    def __init__(self, width: int, *, tags: int, slot: int, timeout: int, space: tuple[int, int] | None,
                 long_headers: bool = False):
        self._width, self._tags, self._slot, self._timeout, self._space = width, tags, slot, timeout, space
        self._long_headers = long_headers
        super().__init__({
            "request": In(stream.Signature(DmaRead)),
            "answer": Out(stream.Signature(dma_read_data(width))),
            "gate": Out(Gate()),
            "size": In(3),
            "extended_tag": In(1),
            "boundary": In(1),
            "timeout_disable": In(1),
            "may_leave": In(1),
            "held": In(1),
            "leaves": Out(1),
            "packets": Out(stream.Signature(tlp_beat(width))),
            "completions": In(stream.Signature(completion_beat(width), always_ready=True)),
            "unexpected": Out(1),
            "poisoned": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width, tags, slot = self._width, self._tags, self._slot
        shape = (width, slot, tags)
        m.submodules.age = age = Age(self._timeout)
        m.submodules.cutter = cutter = Cutter(READ_EXTRA, slot)
        m.submodules.tags = pool = TagPool(tags)
        m.submodules.issuer = issuer = ReadIssuer(*shape, long_headers=self._long_headers)
        m.submodules.owners = owners = OwnerQueues(*shape)
        m.submodules.matcher = matcher = CompletionMatcher(*shape)
        m.submodules.reader = reader = SlotReader(*shape)
        wiring.connect(m, cutter.pieces, issuer.pieces)
        wiring.connect(m, pool.free, issuer.free)
        wiring.connect(m, issuer.gate, wiring.flipped(self.gate))
        wiring.connect(m, issuer.requests, wiring.flipped(self.packets))
        wiring.connect(m, owners.ended, reader.reads)
        wiring.connect(m, reader.answers, wiring.flipped(self.answer))
        wiring.connect(m, wiring.flipped(self.completions), matcher.completions)

        request = self.request
        m.d.comb += [
            cutter.size.eq(self.size),
            cutter.request.valid.eq(request.valid),
            cutter.request.p.address.eq(request.p.address),
            cutter.request.p.bytes.eq(request.p.bytes),
            *(cutter.request.p.extra[name].eq(request.p[name]) for name in ("function", "epoch", "owner", "context")),
            request.ready.eq(cutter.request.ready),
            pool.extended.eq(self.extended_tag),
            pool.now.eq(age.now),
            pool.returned.eq(reader.returned),
            pool.returned_tag.eq(reader.tag),
            pool.suspect.eq(reader.suspect),
            issuer.now.eq(age.now),
            owners.now.eq(age.now),
            owners.issued.eq(issuer.issued),
            owners.tag.eq(issuer.tag),
            owners.owner.eq(issuer.owner),
            owners.placement.eq(issuer.placement),
            matcher.used.eq(pool.used),
            matcher.issued.eq(issuer.issued),
            matcher.tag.eq(issuer.tag),
            matcher.requester.eq(issuer.requester),
            self.leaves.eq(issuer.issued & ~issuer.progress.done),
            age.hold.eq(self.held),
            self.unexpected.eq(matcher.unexpected),
            self.poisoned.eq(matcher.poisoned),
        ]

        # --- Room for the completions --------------------------------------------------------------------
        if self._space is None:
            m.d.comb += issuer.may_leave.eq(self.may_leave)
        else:
            m.submodules.space = space = CompletionSpace(tags, *self._space)
            m.d.comb += [
                space.waits.eq(issuer.pieces.valid),
                space.address.eq(issuer.pieces.p.address),
                space.reach.eq(issuer.pieces.p.reach),
                space.boundary.eq(self.boundary),
                space.issued.eq(issuer.issued),
                space.leaves.eq(~issuer.progress.done),
                space.tag.eq(issuer.tag),
                space.returned.eq(reader.returned),
                space.returned_tag.eq(reader.tag),
                issuer.may_leave.eq(self.may_leave & space.room),
            ]

        # --- One writer for the rows of progress, in two copies -----------------------------------------
        written, written_tag = Signal(), Signal.like(issuer.tag)
        row = Signal(issuer.progress.shape())
        due, expires = Signal(), Signal()
        m.d.comb += [
            due.eq(owners.expired & ~self.timeout_disable),
            expires.eq(due & ~matcher.advanced),
            issuer.may_write.eq(owners.ready & ~matcher.advanced & ~due),
            written.eq(matcher.advanced | due | issuer.issued),
            written_tag.eq(Mux(matcher.advanced, matcher.advanced_tag, Mux(expires, owners.expired_tag, issuer.tag))),
            row.eq(Mux(matcher.advanced, matcher.advance, issuer.progress)),
        ]
        with m.If(expires):
            m.d.comb += [row.status.eq(DmaStatus.TIMED_OUT), row.done.eq(1)]
        for reader_of_rows in (owners, matcher):
            m.d.comb += [
                reader_of_rows.written.eq(written),
                reader_of_rows.written_tag.eq(written_tag),
                reader_of_rows.progress.eq(row),
            ]

        # --- Slots ----------------------------------------------------------------------------------------
        lanes = width // 32
        words = []
        for lane in range(lanes):
            m.submodules[f"slots_{lane}"] = bank = memory.Memory(
                shape=unsigned(32), depth=tags * slot // (4 * lanes), init=[],
                attrs={"no_rw_check": 1, "ram_style": "block"})
            write, read = bank.write_port(), bank.read_port()
            m.d.comb += [
                write.addr.eq(matcher.store_row[lane]),
                write.data.eq(matcher.store_data[lane]),
                write.en.eq(matcher.store[lane]),
                read.addr.eq(reader.row),
                read.en.eq(reader.enable),
            ]
            words.append(read.data)
        m.d.comb += reader.words.eq(Cat(words))
        return m

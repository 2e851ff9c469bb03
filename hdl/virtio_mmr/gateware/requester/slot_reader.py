"""Hands reads back: from slots by tag to beats whose first byte is the request's."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.backend import DmaStatus, dma_read_data

from .owners import OWNERS
from .read_state import ended


def _row(width: int) -> data.StructLayout:
    """What a row that is on its way from the slots needs to know."""
    return data.StructLayout({
        # It becomes a part of what its request hands back, and it makes a beat.
        "joins": 1, "emits": 1,
        "last": 1, "bytes": range(width // 8 + 1), "owner": 3, "context": 16, "status": DmaStatus,
        # Bytes of the last lane of the row before that do not belong to the request, minus one.
        "skip": 2,
        # Lanes that come from the row before a cut; that row must be fetched first; it is not whole now either.
        "kept": width // 32, "away": 1, "partial": 1,
        # The row is the last of a read that does not end its request.
        "save": 1,
    })


class SlotReader(wiring.Component):
    """Joins the reads of a request into one row of full beats; only the last may be shorter.

    Where a read ends within a beat, the beat waits for the next read of the request, and reads of other
    owners may come between. A read that ended badly ends its request: with a beat without data, the status
    and ``last``; whatever else belongs to the request is swallowed. Four clocks from a read to its data.

    Parameters
    ----------
    width, slot, tags

    Members
    -------
    reads : In(stream.Signature(ended(width, slot, tags)))
    row : Out(...)
        Row of the slots that is wanted; upper bits are the tag.
    enable : Out(1)
    words : In(width)
        That row, one enabled clock later.
    returned : Out(1), tag : Out(range(tags))
        The slot has been read.
    suspect : Out(1)
        The tag may still see completions.
    answers : Out(stream.Signature(dma_read_data(width)))
    """

    def __init__(self, width: int, slot: int, tags: int):
        self._width, self._slot, self._tags = width, slot, tags
        super().__init__({
            "reads": In(stream.Signature(ended(width, slot, tags))),
            "row": Out((tags * slot * 8 // width - 1).bit_length()),
            "enable": Out(1),
            "words": In(width),
            "returned": Out(1),
            "tag": Out(unsigned((tags - 1).bit_length())),
            "suspect": Out(1),
            "answers": Out(stream.Signature(dma_read_data(width))),
        })

    def elaborate(self, platform):
        m = Module()
        width, lanes = self._width, self._width // 32
        row_bytes = width // 8
        reads, answers = self.reads, self.answers

        moves = Signal()
        m.d.comb += [moves.eq(~answers.valid | answers.ready), self.enable.eq(moves)]

        # --- Which row is wanted --------------------------------------------------------------------------
        busy, read = Signal(), Signal(reads.p.shape())
        place = read.placement
        step = Signal.like(place.steps)
        # Owners whose request has ended badly and still has reads to come.
        failed = Signal(OWNERS)
        bad = read.status != DmaStatus.OK
        silent = failed.bit_select(read.owner, 1)
        ordinary = ~bad & ~silent
        final = ~ordinary | (step == place.steps)
        # The row in which the request ended so far is still here, or was put away.
        owner_here = Signal(3)
        begins = ordinary & (step == 0) & ~place.first
        away = begins & (owner_here != read.owner)
        go = Signal()
        whole = place.tail == row_bytes

        one, two = Signal(_row(width)), Signal(_row(width))
        saving = (one.save & (one.owner == read.owner)) | (two.save & (two.owner == read.owner))
        skip = (step == 0) & place.first & (place.shift != 0)
        m.d.comb += [
            go.eq(busy & moves & ~(away & saving)),
            self.row.eq(Cat(step[:len(self.row) - len(read.tag)], read.tag)),
            self.returned.eq(go & final),
            self.tag.eq(read.tag),
            self.suspect.eq((read.status == DmaStatus.TIMED_OUT) | (read.status == DmaStatus.ABORTED)),
            reads.ready.eq(~busy | (go & final)),
        ]
        with m.If(go):
            m.d.sync += step.eq(step + 1)
            with m.If(ordinary):
                m.d.sync += owner_here.eq(read.owner)
            with m.If(final & (bad | silent)):
                m.d.sync += failed.bit_select(read.owner, 1).eq(~place.last)
        with m.If(reads.ready):
            m.d.sync += [busy.eq(reads.valid), read.eq(reads.p), step.eq(0)]

        # --- Block RAM's clocks -----------------------------------------------------------------------------
        with m.If(moves):
            m.d.sync += [
                one.joins.eq(go & ordinary),
                one.emits.eq(go & Mux(ordinary, ~skip & (~final | place.last | whole), ~silent)),
                one.last.eq(~ordinary | (final & place.last)),
                one.bytes.eq(Mux(ordinary, Mux(final & place.last, place.tail, row_bytes), 0)),
                one.owner.eq(read.owner),
                one.context.eq(place.context),
                one.status.eq(read.status),
                one.skip.eq(place.shift - 1),
                one.kept.eq(Mux(begins, (1 << place.lane) - 1, 0)),
                one.away.eq(go & away),
                one.partial.eq(final & ~place.last & ~whole),
                one.save.eq(go & ordinary & final & ~place.last),
                two.eq(one),
            ]

        # --- Rows that wait for their other part: all lanes but the last, and the last lane of the row before it
        m.submodules.parts = parts = memory.Memory(
            shape=unsigned(width), depth=OWNERS, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
        part_write, part_read = parts.write_port(), parts.read_port()
        words, part = Signal(width), Signal(width)
        merged, before, after = Signal(width), Signal(32), Signal(32)
        for lane in range(lanes):
            at = slice(32 * lane, 32 * lane + 32)
            m.d.comb += merged[at].eq(Mux(two.kept[lane], part[at], words[at]) if lane < lanes - 1 else words[at])
        m.d.comb += [
            before.eq(part[width - 32:]),
            after.eq(Mux(two.partial, before, merged[width - 32:])),
            part_read.addr.eq(read.owner),
            part_read.en.eq(moves),
            part_write.addr.eq(two.owner),
            part_write.data.eq(Cat(merged[:width - 32], after)),
            part_write.en.eq(moves & two.save),
        ]
        with m.If(moves):
            m.d.sync += words.eq(self.words)
            with m.If(one.away):
                m.d.sync += part.eq(part_read.data)
            with m.Elif(two.joins):
                m.d.sync += part.eq(part_write.data)

        # --- The answer -------------------------------------------------------------------------------------
        row, once = Cat(before, merged)[8:], Signal(width + 16)
        m.d.comb += once.eq(Mux(two.skip[0], row[8:], row))
        with m.If(moves):
            m.d.sync += [
                answers.valid.eq(two.emits),
                answers.p.owner.eq(two.owner),
                answers.p.context.eq(two.context),
                answers.p.bytes.eq(two.bytes),
                answers.p.last.eq(two.last),
                answers.p.status.eq(two.status),
            ]
            m.d.sync += answers.p.data.eq(Mux(two.skip[1], once[16:], once)[:width])
        return m

"""The requester: tags, order, cutting and what its streams promise, whatever the host and the back end do."""

from amaranth.hdl import Mux, Signal, Value
from formal.proof import proof
from virtio_mmr.gateware.backend import DmaStatus
from virtio_mmr.gateware.requester.cutter import Cutter
from virtio_mmr.gateware.requester.matcher import CompletionMatcher
from virtio_mmr.gateware.requester.owners import OwnerQueues
from virtio_mmr.gateware.requester.slot_reader import SlotReader
from virtio_mmr.gateware.requester.tags import TagPool
from virtio_mmr.gateware.requester.writer import WriteBuilder
from virtio_mmr_sim.formal import Engine, Harness, Mode, PacketContract, Side, StreamContract

TAGS = 4


@proof("a tag is never handed out while it is in use, nor for a time-out after it came back as suspect",
       block="TagPool", mode=Mode.BOUNDED, depth=18, cover=18, stage="broad")
def test_tags():
    h = Harness()
    tags = 2
    dut = h.add(TagPool(tags), driven={"now", "free", "extended"})
    h.m.d.comb += [dut.free.ready.eq(h.free(1, "ready")), dut.extended.eq(1)]
    tick = h.free(1, "tick")
    h.m.d.sync += dut.now.eq(dut.now + tick)
    # Who has which tag, as seen from outside.
    in_use = Signal(tags)
    given, returned = dut.free.valid & dut.free.ready, dut.returned
    h.assume(~returned | in_use.bit_select(dut.returned_tag, 1))
    after = Signal(tags)
    h.m.d.comb += after.eq((in_use | Mux(given, 1 << dut.free.payload, 0)) & ~Mux(returned, 1 << dut.returned_tag, 0))
    h.m.d.sync += in_use.eq(after)
    h.check(~dut.free.valid | ~in_use.bit_select(dut.free.payload, 1))
    # One tag's rest.
    chosen, resting, rested = h.constant(range(tags), "chosen"), Signal(), Signal(5)
    mine = returned & (dut.returned_tag == chosen)
    with h.m.If(mine):
        h.m.d.sync += [resting.eq(dut.suspect), rested.eq(tick)]
    with h.m.Elif(tick & ~rested[4]):
        h.m.d.sync += rested.eq(rested + 1)
    h.check(~(dut.free.valid & (dut.free.payload == chosen) & resting) | (rested > 8) | in_use.bit_select(chosen, 1))
    h.cover(given & (dut.free.payload == chosen) & resting)
    h.cover(given & (dut.free.payload == chosen) & ~resting & (rested != 0))
    return h


@proof("pieces follow each other without a gap or an overlap from the first byte to the last, none crosses a multiple "
       "of the largest packet, and the byte enables are those of the piece", block="Cutter", mode=Mode.BOUNDED,
       depth=11, cover=12, stage="full")
def test_cutter():
    h = Harness()
    dut = h.add(Cutter(4, 512), driven={"size"})
    size = h.constant(3, "size")
    h.m.d.comb += dut.size.eq(size)
    StreamContract.watch(h, "request", dut.request, Side.ASSUME)
    StreamContract.watch(h, "pieces", dut.pieces)
    p = dut.pieces.p
    taken = dut.request.valid & dut.request.ready
    wanted = Signal(dut.request.p.shape())
    next_address, left, open_ = Signal(64), Signal(14), Signal()
    with h.m.If(taken):
        h.m.d.sync += wanted.eq(dut.request.p)
    # Only one request is inside while its pieces are compared.
    h.assume(~dut.request.valid | ~open_)
    moves = dut.pieces.valid & dut.pieces.ready
    with h.m.If(taken):
        h.m.d.sync += [next_address.eq(dut.request.p.address), left.eq(dut.request.p.bytes), open_.eq(1)]
    with h.m.Elif(moves):
        h.m.d.sync += [next_address.eq(p.address + p.reach + 1), left.eq(left - p.reach - 1), open_.eq(~p.last)]
    most = Signal(13)
    h.m.d.comb += most.eq(Mux(size >= 2, 512, 128 << size[:2]))
    with h.m.If(dut.pieces.valid):
        h.check(p.address == next_address)
        h.check(p.extra == wanted.extra)
        h.check(p.empty == (wanted.bytes == 0))
        h.check(p.first == (p.address == wanted.address))
        h.check(((p.address & (most - 1)) + p.reach) < most)
        end = p.address[:2] + p.reach
        h.check(p.dwords == (end >> 2) + 1)
        with h.m.If(~p.empty):
            h.check(p.last == (left == p.reach + 1))
            h.check(p.last | (left > p.reach + 1))
            h.check(p.first_be == (0xF << p.address[:2]) & Mux(p.dwords == 1, 0xF >> ~end[:2], 0xF) & 0xF)
            h.check(p.last_be == Mux(p.dwords == 1, 0, 0xF >> ~end[:2]))
        with h.m.Else():
            h.check(p.last & (p.first_be == 0) & (p.last_be == 0))
    h.cover(moves & p.last & ~p.first & (size == 2))
    return h


@proof("each read of an owner is handed on once, in order, and only when its row says that it has ended",
       block="OwnerQueues", mode=Mode.BOUNDED, depth=18, cover=20, stage="broad")
def test_owners():
    h = Harness()
    dut = h.add(OwnerQueues(64, 128, TAGS), driven={"written", "written_tag", "progress", "issued"})
    # A tag is issued when it is free, and its row is written then and, some time, once more.
    busy, done = Signal(TAGS), Signal(TAGS)
    issue, end, ended_tag = h.free(1, "issue"), h.free(1, "end"), h.free(range(TAGS), "ended_tag")
    found = dut.ended
    moves = found.valid & found.ready
    h.assume(~issue | (dut.ready & ~busy.bit_select(dut.tag, 1) & ~end))
    h.assume(~end | (busy & ~done).bit_select(ended_tag, 1))
    h.m.d.comb += [
        dut.issued.eq(issue),
        dut.written.eq(issue | end),
        dut.written_tag.eq(Mux(issue, dut.tag, ended_tag)),
        dut.progress.done.eq(end),
        dut.progress.status.eq(Mux(end, DmaStatus.ABORTED, DmaStatus.OK)),
    ]
    h.m.d.sync += [
        busy.eq((busy | Mux(issue, 1 << dut.tag, 0)) & ~Mux(moves, 1 << found.p.tag, 0)),
        done.eq((done | Mux(end, 1 << ended_tag, 0)) & ~Mux(moves, 1 << found.p.tag, 0)),
    ]
    StreamContract.watch(h, "ended", found)
    # Two reads of one owner, one after the other.
    owner, first, second = h.constant(3, "owner"), h.constant(range(TAGS), "first"), h.constant(range(TAGS), "second")
    stage = Signal(2)
    mine = issue & (dut.owner == owner)
    with h.m.If(mine & (stage == 0) & (dut.tag == first)):
        h.m.d.sync += stage.eq(1)
    with h.m.Elif(mine & (stage == 1) & (dut.tag == second)):
        h.m.d.sync += stage.eq(2)
    with h.m.If(found.valid):
        h.check(busy.bit_select(found.p.tag, 1))
        h.check(done.bit_select(found.p.tag, 1))
        h.check(found.p.status == DmaStatus.ABORTED)
        with h.m.If((stage == 2) & (found.p.tag == second) & (found.p.owner == owner)):
            h.check(~busy.bit_select(first, 1) | (first == second))
    with h.m.If(moves & (found.p.tag == first) & (stage == 1)):
        h.m.d.sync += stage.eq(0)
    h.cover(moves & (stage == 2))
    return h


@proof("completions are taken in every clock; a row changes only for a read that has not ended and whose requester id "
       "the completion has, and only as far as the read asked", block="CompletionMatcher", mode=Mode.BOUNDED, depth=9,
       cover=9, engine=Engine.BOOLECTOR)
def test_matcher():
    h = Harness()
    dut = h.add(CompletionMatcher(64, 128, TAGS), driven={"written", "written_tag", "progress", "used"})
    # One read, its row as it stands, and all that others do elsewhere.
    chosen = h.constant(range(TAGS), "chosen")
    row, live, requester = Signal(dut.progress.shape()), Signal(), Signal(16)
    h.m.d.comb += [
        dut.used.eq(TAGS),
        dut.written.eq(dut.issued | dut.advanced),
        dut.written_tag.eq(Mux(dut.advanced, dut.advanced_tag, dut.tag)),
    ]
    begun = Signal(dut.progress.shape())
    h.m.d.comb += [Value.cast(begun).eq(h.free(len(Value.cast(begun)), "begun")),
                   dut.progress.eq(Mux(dut.advanced, dut.advance, begun))]
    h.assume(~(dut.issued & dut.advanced))
    h.assume(~dut.issued | ((begun.left <= 32) & (begun.left != 0) & ~begun.done))
    h.assume(~(dut.issued & (dut.tag == chosen)) | ~live)
    with h.m.If(dut.issued & (dut.tag == chosen)):
        h.m.d.sync += [row.eq(begun), live.eq(1), requester.eq(dut.requester)]
    mine = dut.advanced & (dut.advanced_tag == chosen)
    with h.m.If(mine):
        h.m.d.sync += [row.eq(dut.advance), live.eq(~dut.advance.done)]
        h.check(live)
        h.check((dut.advance.left <= row.left) | dut.advance.done)
        h.check((dut.advance.left == row.left) | dut.advance.done | (dut.advance.left != 0))
    # What is in the memory before is nobody's: only the chosen tag is looked at, from its issue on.
    beats = dut.completions
    inside = Signal()
    with h.m.If(beats.valid):
        h.m.d.sync += inside.eq(~beats.p.beat.last)
    h.assume(~beats.valid | (beats.p.beat.first == ~inside))
    h.assume(~beats.valid | (beats.p.beat.dwords <= 2))
    issued_before = Signal()
    h.m.d.sync += issued_before.eq(issued_before | (dut.issued & (dut.tag == chosen)))
    h.assume(issued_before | ~(beats.valid & beats.p.beat.first & (beats.p.beat.header[72:80] == chosen)))
    for lane in range(2):
        with h.m.If(dut.store[lane] & (dut.store_row[lane][4:] == chosen)):
            h.check(issued_before)
    h.cover(mine & dut.advance.done & (dut.advance.status == DmaStatus.OK))
    h.cover(mine & (dut.advance.status == DmaStatus.POISONED))
    h.cover(dut.unexpected & issued_before)
    return h


@proof("an answer stays until it is taken, every read that is taken is returned once, and a request has one last beat",
       block="SlotReader", mode=Mode.BOUNDED, depth=12, cover=12)
def test_reader():
    h = Harness()
    dut = h.add(SlotReader(64, 128, TAGS))
    StreamContract.watch(h, "reads", dut.reads, Side.ASSUME)
    StreamContract.watch(h, "answers", dut.answers)
    read = dut.reads.p
    place = read.placement
    h.assume(place.steps < 3)
    h.assume(read.owner == 5)
    # Reads of one owner: the first of a request behind the last of another.
    taken = dut.reads.valid & dut.reads.ready
    inside, begun, ended, given, returned = Signal(), Signal(4), Signal(4), Signal(4), Signal(4)
    h.assume(~dut.reads.valid | (place.first == ~inside))
    # A part that does not end its request has a row of its own, or shares one.
    h.assume(~dut.reads.valid | (place.tail != 0) | (place.first & place.last))
    h.assume(~dut.reads.valid | (place.steps != 0) | ~place.first | (place.shift == 0))
    with h.m.If(taken):
        h.m.d.sync += [inside.eq(~place.last), given.eq(given + 1), begun.eq(begun + place.last)]
    h.m.d.sync += returned.eq(returned + dut.returned)
    answers = dut.answers
    leaves = answers.valid & answers.ready
    h.m.d.sync += ended.eq(ended + (leaves & answers.p.last))
    h.check(~dut.returned | (returned < given))
    h.check(ended <= begun + inside)
    h.check(~answers.valid | answers.p.last | ((answers.p.status == DmaStatus.OK) & (answers.p.bytes == 8)))
    h.check(~answers.valid | (answers.p.owner == 5))
    h.cover(leaves & answers.p.last & (answers.p.status == DmaStatus.OK) & (ended == 1))
    h.cover(leaves & answers.p.last & (answers.p.status == DmaStatus.POISONED) & inside)
    return h


@proof("packets of writes stay until they are taken and leave without a gap; every write is reported once, or not",
       block="WriteBuilder", mode=Mode.BOUNDED, depth=16, cover=16, engine=Engine.BOOLECTOR,
       stage="full")
def test_writer():
    h = Harness()
    dut = h.add(WriteBuilder(64, 128), driven={"size"})
    StreamContract.watch(h, "write", dut.write, Side.ASSUME)
    StreamContract.watch(h, "data", dut.data, Side.ASSUME)
    h.assume(dut.write.p.bytes <= 24)
    # The data of a write end where its bytes do.
    left, expects = Signal(5), Signal(5)
    size = dut.write.p.bytes
    accepted = dut.write.valid & dut.write.ready
    h.assume(~dut.write.valid | (left == 0))
    h.m.d.comb += expects.eq(Mux(size == 0, 1, (size + 7) >> 3))
    given = dut.data.valid & dut.data.ready
    h.assume(~dut.data.valid | (left != 0))
    h.assume(~dut.data.valid | (dut.data.p.last == (left == 1)))
    with h.m.If(accepted):
        h.m.d.sync += left.eq(expects)
    with h.m.Elif(given):
        h.m.d.sync += left.eq(left - 1)
    StreamContract.watch(h, "packets", dut.packets, also=[Mux(dut.packets.p.first, dut.ticket, 0)])
    PacketContract.watch(h, "packets_whole", dut.packets, gapless=True)
    StreamContract.watch(h, "done", dut.done)
    asked, told, taken, gone = Signal(4), Signal(4), Signal(4), Signal(4)
    h.m.d.sync += [
        asked.eq(asked + (accepted & dut.write.p.report)),
        told.eq(told + (dut.done.valid & dut.done.ready)),
        taken.eq(taken + dut.taken),
        gone.eq(gone + dut.left),
    ]
    h.check(~dut.done.valid | (told < asked))
    h.check(~dut.left | (gone < taken))
    h.cover(dut.left & (gone == 1))
    return h


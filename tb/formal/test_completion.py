"""What is handed to the completion builder leaves as packets, in order, whole, with every field and dword."""

from amaranth.hdl import Cat, Mux, Signal
from formal.path import scaled
from formal.proof import proof
from virtio_mmr.gateware.tlp.beat import CompletionHeader
from virtio_mmr.gateware.tlp.completion import CompletionBuilder
from virtio_mmr_sim.formal import Engine, Harness, Mode, PacketContract, StreamContract


def completions(width: int, longest: int, *, late: bool = False, deferred: bool = False) -> Harness:
    """A small ring, a sender that keeps the rules of its ports, and one completion followed by its number."""
    h = Harness()
    with scaled():
        dut = h.add(CompletionBuilder(width, late=late, deferred=deferred), driven={"completer", "first", "last"})
    beats, c = dut.beats, dut.completion
    h.m.d.comb += dut.completer.eq(h.constant(16, "completer"))

    # The sender: a completion begins in the clock after it had room; its dwords may pause, and the clock behind a long
    # one begins nothing, where replies are deferred the one behind that neither.
    dwords = h.free(range(longest + 1), "dwords")
    begun, left, resting = Signal(), Signal(6), Signal()
    now = Mux(begun, left, dwords)
    opens = dut.reply_valid & dut.first
    h.m.d.comb += [dut.first.eq(~begun), dut.last.eq(now == 1)]
    ends = dut.reply_valid & dut.last & begun
    h.m.d.sync += resting.eq(ends | (h.past(ends) if deferred else 0))
    with h.m.If(dut.reply_valid):
        h.m.d.sync += [left.eq(now - 1), begun.eq(~dut.last)]
    h.assume(dwords != 0)
    h.assume(~opens | (h.past(dut.room) & ~resting))
    h.assume(~dut.reply_valid | ((c.dwords == now) & ((dut.first & dut.last) | c.has_data)))

    StreamContract.watch(h, "beats", beats)
    PacketContract.watch(h, "packets", beats, gapless=True)

    # One completion and one dword, whichever they are.
    chosen, came, gone = h.constant(4, "chosen"), Signal(5), Signal(5)
    descriptor, context, known = Signal.like(c), Signal.like(dut.context), Signal()
    h.m.d.sync += came.eq(came + opens)
    with h.m.If(opens & (came == chosen)):
        h.m.d.sync += [descriptor.eq(c), context.eq(dut.context), known.eq(1)]
    place, word, has_word = h.constant(range(longest), "place"), Signal(32), Signal()
    position = Signal(6)
    with h.m.If(dut.reply_valid):
        h.m.d.sync += position.eq(Mux(dut.last, 0, position + 1))
        with h.m.If((came - ~opens == chosen) & (position == place)):
            h.m.d.sync += [word.eq(dut.reply), has_word.eq(1)]

    # The packet as it should be, dword by dword.
    header, total = Signal(CompletionHeader), Mux(descriptor.has_data, descriptor.dwords, 0)
    h.m.d.comb += [
        header.fmt.eq(Cat(0, descriptor.has_data, 0)),
        header.type.eq(Mux(context.locked, 0b01011, 0b01010)),
        header.length.eq(total),
        Cat(header.tag, header.tag_8, header.tag_9).eq(context.tag),
        header.requester.eq(context.requester),
        header.traffic_class.eq(context.traffic_class),
        Cat(header.attributes_low, header.attribute_high).eq(context.attributes),
        header.completer.eq(dut.completer),
        header.status.eq(descriptor.unsupported),
        header.byte_count.eq(descriptor.byte_count),
        header.lower_address.eq(descriptor.lower_address),
    ]
    lanes = width // 32
    leaves, sent = beats.valid & beats.ready, Signal(7)
    h.m.d.sync += gone.eq(gone + (leaves & beats.p.last))
    with h.m.If(leaves):
        h.m.d.sync += sent.eq(Mux(beats.p.last, 0, sent + lanes))
    with h.m.If(beats.valid & (gone == chosen)):
        h.check(known)
        h.check(beats.p.last == (3 + total <= sent + lanes))
        for lane in range(lanes):
            h.check(beats.p.keep[lane] == (sent + lane < 3 + total))
            data = beats.p.data[32 * lane:32 * lane + 32]
            for number in range(lane, 3, lanes):
                with h.m.If(sent + lane == number):
                    h.check(data == header.as_value()[32 * number:32 * number + 32])
            with h.m.If(beats.p.keep[lane] & (sent + lane == 3 + place)):
                h.check(has_word & (data == word))
    if late:
        # Its rest comes a clock later.
        with h.m.If(h.past(dut.reply_valid & (came - ~opens == chosen) & (position == place), "half")):
            h.m.d.sync += word.eq(word | dut.late_reply)
    h.check(gone <= came)
    h.cover(leaves & (gone == chosen) & beats.p.last & (descriptor.dwords == longest) & (place == longest - 1))
    h.cover(~dut.room & (chosen == 3))
    h.cover((gone == 2) & leaves & beats.p.last)
    return h


CLAIM = ("completions leave in the order in which they were begun, whole and without a gap, with the fields of their "
         "descriptor and request and every dword in its place; what block RAM shows in a collision is never used")


@proof(CLAIM + " (128 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=8, cover=16, engine=Engine.BOOLECTOR)
def test_completions():
    return completions(128, 3)


@proof(CLAIM + " (128 bit, a part of a dword late)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=8, cover=16,
       engine=Engine.BOOLECTOR, stage="broad")
def test_completions_with_late_dwords():
    return completions(128, 3, late=True)


@proof(CLAIM + " (128 bit, a part of a dword late and deferred)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=8,
       cover=16, engine=Engine.BOOLECTOR, stage="broad")
def test_completions_with_deferred_dwords():
    return completions(128, 3, late=True, deferred=True)


@proof(CLAIM + " (64 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=11,
       engine=Engine.BOOLECTOR, stage="full")
def test_completions_at_64_bits():
    return completions(64, 4)


@proof(CLAIM + " (256 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=11,
       engine=Engine.BOOLECTOR, stage="full")
def test_completions_at_256_bits():
    return completions(256, 7)

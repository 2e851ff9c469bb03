"""What is handed to the completion builder leaves as packets, in order, whole, with every field and dword."""

from amaranth.hdl import Cat, Mux, Signal
from formal.path import scaled
from formal.proof import proof
from virtio_mmr.gateware.tlp.beat import CompletionHeader
from virtio_mmr.gateware.tlp.completion import CompletionBuilder
from virtio_mmr_sim.formal import Engine, Harness, Mode, PacketContract, StreamContract


def completions(width: int, longest: int) -> Harness:
    """A small builder, a sender that keeps the rules of its ports, and one completion followed by its number."""
    h = Harness()
    with scaled():
        dut = h.add(CompletionBuilder(width, contexts=8), driven={"completer", "admit", "admit_long", "first", "last"})
    beats, c = dut.beats, dut.completion
    h.m.d.comb += dut.completer.eq(h.constant(16, "completer"))

    # The sender: what is started in one clock begins in the next; its dwords may pause.
    start, dwords = h.free(1, "start"), h.free(range(longest + 1), "dwords")
    begun, left = Signal(), Signal(6)
    busy = Signal()
    ends = dut.reply_valid & dut.last
    h.m.d.comb += [
        dut.admit.eq(start & (dwords != 0)),
        dut.admit_long.eq(start & (dwords > 1)),
        dut.first.eq(~begun),
        dut.last.eq(left == 1),
    ]
    h.assume(~dut.admit | (Mux(dwords > 1, dut.room_long, dut.room) & (~busy | ends)))
    h.m.d.sync += busy.eq(dut.admit | (busy & ~ends))
    with h.m.If(dut.admit):
        h.m.d.sync += [left.eq(dwords), begun.eq(0)]
    with h.m.Elif(dut.reply_valid):
        h.m.d.sync += [left.eq(left - 1), begun.eq(1)]
    h.assume(~dut.reply_valid | busy)
    h.assume(~busy | begun | dut.reply_valid)
    h.assume(~(dut.reply_valid & dut.first) | ((c.dwords == left) & ((left == 1) | c.has_data)))
    # Contexts come before or with the start of the first completion that needs them.
    remembered, needed = Signal(5), Signal(5)
    opens = dut.reply_valid & dut.first
    finals = opens & c.final
    h.m.d.sync += [remembered.eq(remembered + dut.remember), needed.eq(needed + finals)]
    h.assume(~dut.admit | (remembered + dut.remember > needed + finals))
    forgotten = Signal(5)
    h.m.d.sync += forgotten.eq(forgotten + dut.forget)
    h.assume(~dut.remember | (remembered - forgotten < 8))

    StreamContract.watch(h, "beats", beats)
    PacketContract.watch(h, "packets", beats, gapless=True)

    # One completion, one context and one dword, whichever they are.
    chosen, came, gone = h.constant(4, "chosen"), Signal(5), Signal(5)
    descriptor, known, owner = Signal.like(c), Signal(), Signal(5)
    h.m.d.sync += came.eq(came + opens)
    with h.m.If(opens & (came == chosen)):
        h.m.d.sync += [descriptor.eq(c), known.eq(1), owner.eq(needed)]
    picked, context = h.constant(4, "picked"), Signal.like(dut.context)
    with h.m.If(dut.remember & (remembered == picked)):
        h.m.d.sync += context.eq(dut.context)
    place, word, has_word = h.constant(range(longest), "place"), Signal(32), Signal()
    position = Signal(6)
    with h.m.If(dut.reply_valid):
        h.m.d.sync += position.eq(Mux(dut.last, 0, position + 1))
        with h.m.If((came - ~opens == chosen) & (position == place)):
            h.m.d.sync += [word.eq(dut.reply), has_word.eq(1)]

    header, leaves = Signal(CompletionHeader), beats.valid & beats.ready
    sent = Signal(6)
    h.m.d.comb += header.eq(beats.p.header[:96])
    h.m.d.sync += [gone.eq(gone + (leaves & beats.p.last))]
    with h.m.If(leaves):
        h.m.d.sync += sent.eq(Mux(beats.p.last, 0, sent + beats.p.dwords))
    with h.m.If(beats.valid & (gone == chosen)):
        h.check(known)
        total = Mux(descriptor.has_data, descriptor.dwords, 0)
        h.check(beats.p.last == (sent + beats.p.dwords == total))
        with h.m.If(beats.p.first):
            h.check(header.fmt == Cat(0, descriptor.has_data, 0))
            h.check(header.length == total)
            h.check(header.byte_count == descriptor.byte_count)
            h.check(header.lower_address == descriptor.lower_address)
            h.check(header.status == descriptor.unsupported)
            h.check(header.completer == dut.completer)
            h.check(header.digest == 0)
            with h.m.If(owner == picked):
                h.check(header.type == Mux(context.locked, 0b01011, 0b01010))
                h.check(Cat(header.tag, header.tag_8, header.tag_9) == context.tag)
                h.check(header.requester == context.requester)
                h.check(header.traffic_class == context.traffic_class)
                h.check(Cat(header.attributes_low, header.attribute_high) == context.attributes)
        for lane in range(width // 32):
            with h.m.If((lane < beats.p.dwords) & (sent + lane == place)):
                h.check(has_word & (beats.p.data[32 * lane:32 * lane + 32] == word))
        h.check((leaves & beats.p.last & descriptor.final) == dut.forget)
    h.check(gone <= came)
    h.cover(leaves & (gone == chosen) & beats.p.last & (descriptor.dwords == longest) & (place == longest - 1))
    h.cover(~dut.room & (chosen == 3))
    h.cover((gone == 2) & leaves & beats.p.last)
    return h


CLAIM = ("completions leave in the order in which they were begun, whole and without a gap, with the fields of their "
         "descriptor and request and every dword in its place; what block RAM shows in a collision is never used")


@proof(CLAIM + " (128 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=8, cover=10, engine=Engine.BOOLECTOR)
def test_completions():
    return completions(128, 3)


@proof(CLAIM + " (64 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=11, engine=Engine.BOOLECTOR, full=True)
def test_completions_at_64_bits():
    return completions(64, 4)


@proof(CLAIM + " (256 bit)", block="CompletionBuilder", mode=Mode.BOUNDED, depth=11, engine=Engine.BOOLECTOR, full=True)
def test_completions_at_256_bits():
    return completions(256, 7)

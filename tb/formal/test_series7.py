"""The 7-series adapter loses, doubles and reorders nothing, whatever straddles and whoever waits."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from formal.proof import proof
from virtio_mmr import config
from virtio_mmr.gateware.adapters.series7 import WIDTHS, RxUser, Series7, Series7Interrupt, Series7Realigner
from virtio_mmr_sim.formal import Harness, PacketContract, Side, StreamContract

#: Bits of the number of a dword. No more than two dwords are ever inside, so a number means one dword.
NUMBER = 3


class LawfulLink(wiring.Component):
    """What the block promises of ``m_axis_rx`` at 128 bits, and which dwords of a beat belong to a packet.

    Members
    -------
    taken : In(1), user : In(RxUser)
    lawful : Out(1)
        The beat on offer keeps the rules.
    inside : Out(1)
        A packet goes on from the beat before.
    there, first, last : Out(4)
        For each lane: a packet's dword, its first one, its last one.
    """

    taken: In(1)
    user: In(RxUser)
    lawful: Out(1)
    inside: Out(1)
    there: Out(4)
    first: Out(4)
    last: Out(4)

    def elaborate(self, platform):
        m = Module()
        user = self.user
        inside = self.inside
        end = user.end_byte[2:]
        low, high = user.starts & (user.start_byte == 0), user.starts & (user.start_byte == 8)
        goes_on = inside | low
        with m.If(self.taken):
            m.d.sync += inside.eq(high | (goes_on & ~user.ends))
        m.d.comb += [
            self.lawful.eq(
                # Packets begin at byte 0 or 8, where nothing else is, and end at the end of a dword.
                (~user.starts | (user.start_byte == 0) | (user.start_byte == 8))
                & (user.end_byte[:2] == 3)
                & ~(low & inside)
                & (~user.ends | goes_on)
                & (~high | (inside & user.ends & (end < 2)))
                # The shortest has three dwords.
                & (~(low & user.ends) | (end >= 2))),
            self.first.eq(Cat(low, 0, high, 0)),
        ]
        for lane in range(4):
            here = goes_on & (~user.ends | (end >= lane))
            m.d.comb += [
                self.there[lane].eq(here | (high if lane >= 2 else 0)),
                self.last[lane].eq(goes_on & user.ends & (end == lane)),
            ]
        return m


class Numbered(wiring.Component):
    """Watches the dwords of a stream for those of one number.

    Members
    -------
    number : In(NUMBER)
    taken : In(1), there : In(4), words : In(34).array(4)
        Dwords that go by in this clock, with the marks of a packet's first and last.
    passed : Out(NUMBER)
        How many have gone by before this clock.
    comes : Out(1), word : Out(34)
        A dword of that number is on offer.
    """

    number: In(NUMBER)
    taken: In(1)
    there: In(4)
    words: In(34).array(4)
    passed: Out(NUMBER)
    comes: Out(1)
    word: Out(34)

    def elaborate(self, platform):
        m = Module()
        before = self.passed
        for lane in range(4):
            with m.If(self.there[lane] & (before == self.number)):
                m.d.comb += [self.comes.eq(1), self.word.eq(self.words[lane])]
            after = Signal(NUMBER, name=f"after_{lane}")
            m.d.comb += after.eq(before + self.there[lane])
            before = after
        with m.If(self.taken):
            m.d.sync += self.passed.eq(before)
        return m


@proof("the dwords of m_axis_rx at 128 bits leave in order, each once, with the packet's ends where they were",
       block="Series7Realigner", depth=2, cover=10)
def test_realigner():
    h = Harness()
    dut = h.add(Series7Realigner(128))
    StreamContract.watch(h, "link", dut.link, Side.ASSUME)
    StreamContract.watch(h, "raw", dut.raw, also=[dut.bar])
    inside_out = PacketContract.watch(h, "packets", dut.raw).inside
    user, raw = dut.link.p.user, dut.raw.p

    h.m.submodules.law = law = LawfulLink()
    taken, left = dut.link.valid & dut.link.ready, dut.raw.valid & dut.raw.ready
    h.m.d.comb += [law.taken.eq(taken), Value.cast(law.user).eq(Value.cast(user))]
    h.assume(~dut.link.valid | law.lawful)
    # A wrong digest takes a dword away; the block's test has that.
    h.assume(~user.ecrc_error)

    number = h.constant(NUMBER, "number")
    h.m.submodules.comes_in = comes_in = Numbered()
    h.m.submodules.goes_out = goes_out = Numbered()
    h.m.d.comb += [
        comes_in.number.eq(number), comes_in.taken.eq(taken), comes_in.there.eq(law.there),
        goes_out.number.eq(number), goes_out.taken.eq(left), goes_out.there.eq(raw.keep),
    ]
    for lane in range(4):
        final = raw.last & ~raw.keep[lane + 1:].any() if lane < 3 else raw.last
        first = ~inside_out if lane == 0 else 0
        h.m.d.comb += [
            comes_in.words[lane].eq(Cat(dut.link.p.data[32 * lane:32 * lane + 32], law.first[lane], law.last[lane])),
            goes_out.words[lane].eq(Cat(raw.data[32 * lane:32 * lane + 32], first, final)),
        ]

    # What has come in and not gone out is what is held: its number says where.
    late, tail, held = dut._late, dut._tail, dut._held
    one = tail & ~dut._tail_keep[1]
    count = Mux(late, Mux(one, 1, 2), 0)
    owed, place = Signal(NUMBER), Signal(NUMBER)
    h.m.d.comb += [owed.eq(comes_in.passed - goes_out.passed), place.eq(number - goes_out.passed)]
    h.check(owed == count)
    h.check(law.inside == dut._inside)
    h.check(Mux(tail, late & ~dut._inside & dut._tail_keep[0], ~late | dut._inside))
    # On the raw side a packet has begun too, unless its first half beat is what is held.
    h.check(Mux(inside_out, dut._inside | tail, ~dut._inside | late))

    # The dword of this number that has come in and not gone out, if there is one.
    enters, leaves = taken & comes_in.comes, left & goes_out.comes
    waits, kept = Signal(), Signal(34)
    h.m.d.sync += waits.eq((waits | enters) & ~leaves)
    with h.m.If(enters):
        h.m.d.sync += kept.eq(comes_in.word)
    h.check(waits == (place < count))
    h.check(~waits | (kept == Cat(
        Mux(place == 0, held[:32], held[32:]), (place == 0) & ~inside_out, tail & (place + 1 == count))))

    # Whatever leaves is what came in under its number, earlier or in this clock.
    h.check(~leaves | waits | enters)
    h.check(~leaves | (goes_out.word == Mux(waits, kept, comes_in.word)))
    h.cover(leaves & waits & tail)
    h.cover(taken & late & user.ends & user.starts & (user.start_byte == 8))
    return h


def by_hand(h, name, valid, ready, payload, side=Side.ASSERT):
    """A contract for a stream whose members are ports of their own."""
    h.m.submodules[f"contract_{name}"] = contract = StreamContract(len(payload), side)
    h.m.d.comb += [contract.valid.eq(valid), contract.ready.eq(ready), contract.payload.eq(payload)]


@proof("what is offered to block and core stays until it is taken; a packet that has begun leaves without a gap",
       block="Series7", depth=2, cover=8)
def test_adapter():
    h = Harness()
    for width in WIDTHS:
        device = config.loads(
            f'[device]\nkind = "net"\n[datapath]\nwidth = {width}\nadapter = "pcie_7x"\n')
        dut = h.add(Series7(device), f"dut_{width}")
        by_hand(h, f"rx_{width}", dut.m_axis_rx_tvalid, dut.m_axis_rx_tready, Cat(
            dut.m_axis_rx_tdata, dut.m_axis_rx_tkeep, dut.m_axis_rx_tlast, dut.m_axis_rx_tuser), Side.ASSUME)
        if width == 128:
            h.m.submodules.law = law = LawfulLink()
            h.m.d.comb += [law.taken.eq(dut.m_axis_rx_tvalid & dut.m_axis_rx_tready),
                           Value.cast(law.user).eq(dut.m_axis_rx_tuser)]
            h.assume(~dut.m_axis_rx_tvalid | law.lawful)
        StreamContract.watch(h, f"beats_{width}", dut.link.beats, also=[dut.link.truncated, dut.link.hit.bar])
        StreamContract.watch(h, f"change_{width}", dut.link.change)
        StreamContract.watch(h, f"from_core_{width}", dut.link.tx, Side.ASSUME)
        begun = PacketContract.watch(h, f"core_{width}", dut.link.tx, Side.ASSUME, gapless=True).inside
        by_hand(h, f"tx_{width}", dut.s_axis_tx_tvalid, dut.s_axis_tx_tready, Cat(
            dut.s_axis_tx_tdata, dut.s_axis_tx_tkeep, dut.s_axis_tx_tlast, dut.s_axis_tx_tuser))
        h.check(~begun | dut.s_axis_tx_tvalid)
    return h


@proof("a change of INTA is asked for until it is taken, and rises and falls take turns", block="Series7Interrupt",
       depth=2, cover=8)
def test_interrupt():
    h = Harness()
    dut = h.add(Series7Interrupt())
    by_hand(h, "request", dut.cfg_interrupt, dut.cfg_interrupt_rdy, dut.cfg_interrupt_assert)
    raised = Signal()
    with h.m.If(dut.cfg_interrupt & dut.cfg_interrupt_rdy):
        h.m.d.sync += raised.eq(dut.cfg_interrupt_assert)
    h.check(raised == dut._told)
    h.check(~dut.cfg_interrupt | (dut.cfg_interrupt_assert != raised))
    h.check(dut.cfg_interrupt | (h.past(dut.level) == raised) | (h.past(dut.cfg_interrupt, "asked") == 1)
            | ~h.started())
    return h

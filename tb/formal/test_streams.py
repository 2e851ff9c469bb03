"""Every stream between blocks keeps the stream rules, whatever comes in and whenever it is taken."""

from amaranth.hdl import Signal, Value, unsigned
from formal.proof import proof
from virtio_mmr.gateware.access.queue import BlockQueue
from virtio_mmr.gateware.adapters.raw import RawReceiver, RawTransmitter
from virtio_mmr.gateware.backend import DmaStatus
from virtio_mmr.gateware.requester.port import RequesterPort
from virtio_mmr.gateware.tlp.egress import TlpEgress
from virtio_mmr.gateware.tlp.order import OrderedEgress
from virtio_mmr_sim.formal import Harness, Mode, PacketContract, Side, StreamContract

#: One instance for each way in which widths differ.
WIDTHS = (64, 128, 256)


@proof("what the receiver offers stays until it is taken, and forms packets", block="RawReceiver", depth=2, cover=8)
def test_receiver():
    h = Harness()
    for width in WIDTHS:
        dut = h.add(RawReceiver(width), f"dut_{width}")
        StreamContract.watch(h, f"raw_{width}", dut.raw, Side.ASSUME)
        StreamContract.watch(h, f"beats_{width}", dut.beats, also=[dut.truncated])
        packets = PacketContract.watch(h, f"packets_{width}", dut.beats)
        h.check(packets.inside == dut._body)
        if width == 64:
            h.check(~(dut._half & dut._body))
    return h


@proof("packets of three sources leave whole and without a gap, and each beat stays until it is taken",
       block="TlpEgress", depth=2, cover=8)
def test_egress():
    h = Harness()
    dut = h.add(TlpEgress(64, 3))
    inside = []
    for i in range(3):
        StreamContract.watch(h, f"source_{i}", dut.sources[i], Side.ASSUME)
        inside.append(PacketContract.watch(h, f"packets_{i}", dut.sources[i], Side.ASSUME, gapless=True).inside)
    StreamContract.watch(h, "beats", dut.beats)
    packets = PacketContract.watch(h, "packets", dut.beats, gapless=True)
    h.check(~packets.inside | dut._held)
    for i in range(3):
        h.check(inside[i] == (packets.inside & (dut._owner == i)))
        h.check(~(dut._held & (dut._owner == i)) | dut.sources[i].valid)
    h.check(dut._owner < 3)
    return h


@proof("packets of completions, messages and requests leave whole and without a gap, and each beat stays until it is "
       "taken, whatever tickets say", block="OrderedEgress", depth=2, cover=10)
def test_ordered_egress():
    h = Harness()
    for width in (64, 128):
        dut = h.add(OrderedEgress(width, 2), f"dut_{width}")

        def source(name, port, width=width):
            """A lawful one; whether a packet of it has begun."""
            StreamContract.watch(h, f"{name}_{width}", port, Side.ASSUME)
            return PacketContract.watch(h, f"{name}_packets_{width}", port, Side.ASSUME, gapless=True).inside

        completing = source("completions", dut.completions)
        telling = [source(f"messages_{i}", port) for i, port in enumerate(dut.messages)]
        writing, reading = source("writes", dut.writes), source("reads", dut.reads)
        StreamContract.watch(h, f"beats_{width}", dut.beats)
        sent = PacketContract.watch(h, f"packets_{width}", dut.beats, gapless=True).inside
        raw, message = dut._requests.raw, dut._message_egress

        # Whose packet it is.
        h.check(~sent | dut._held)
        h.check(~(dut._holds_request & dut._holds_message))
        by_request, by_message = dut._held & dut._holds_request, dut._held & dut._holds_message
        by_completion = dut._held & ~dut._holds_request & ~dut._holds_message
        h.check(completing == (sent & by_completion))
        h.check(~by_completion | dut.completions.valid)
        h.check(~by_request | raw.valid)
        told = message._owner
        for i, inside in enumerate(telling):
            h.check(inside == (sent & by_message & (told == i)))
            h.check(~(message._held & (told == i)) | dut.messages[i].valid)
        h.check(~by_message | message._held)

        # Requests: whose packet enters the transmitter, and what of it stands in its register.
        inside, was_read = dut._inside, dut._was_read
        h.check(~writing | (inside & ~was_read))
        h.check(~reading | (inside & was_read))
        h.check(~(inside & was_read) | dut.reads.valid)
        h.check(~(inside & ~was_read) | dut.writes.valid)
        entered = writing | reading
        begun = entered | dut._requests._half if width == 64 else entered
        requesting = sent & by_request
        with h.m.If(raw.valid):
            h.check(raw.p.last == ~begun)
        with h.m.Else():
            h.check(~begun & ~requesting)
        if width == 64:
            h.check(~dut._requests._half | (inside & ~entered))
        for whose in (by_request, by_message, by_completion):
            h.cover(sent & whose)
    return h


@proof("what leaves for the link stays until it is taken; a packet that has begun leaves without a gap",
       block="RawTransmitter", depth=2, cover=10)
def test_transmitter():
    h = Harness()
    for width in WIDTHS:
        dut = h.add(RawTransmitter(width), f"dut_{width}")
        StreamContract.watch(h, f"beats_{width}", dut.beats, Side.ASSUME)
        taken = PacketContract.watch(h, f"packets_{width}", dut.beats, Side.ASSUME, gapless=True)
        StreamContract.watch(h, f"raw_{width}", dut.raw)
        sent = PacketContract.watch(h, f"raw_packets_{width}", dut.raw, gapless=True)
        begun = taken.inside | dut._half if width == 64 else taken.inside
        # A packet is being sent while some of it has been taken, or its last beat stands in the register.
        with h.m.If(dut.raw.valid):
            h.check(dut.raw.p.last == ~begun)
        with h.m.Else():
            h.check(~begun)
            h.check(~sent.inside)
        if width == 64:
            h.check(~(dut._half & taken.inside))
            h.check(~dut._half | dut.beats.valid)
    return h


@proof("each DMA read, and each write that asks for it, is answered \"blocked\" once, and the answer stays until it is "
       "taken", block="RequesterPort", depth=2, cover=6)
def test_requester():
    h = Harness()
    dut = h.add(RequesterPort(128))
    for name in ("dma_read", "dma_write", "dma_write_data"):
        StreamContract.watch(h, name, getattr(dut, name), Side.ASSUME)
    for name, asked in (("dma_read_data", dut.dma_read), ("dma_write_done", dut.dma_write)):
        answer = getattr(dut, name)
        StreamContract.watch(h, name, answer)
        wanted = asked.valid & asked.ready & (asked.p.report if name == "dma_write_done" else 1)
        fresh = answer.valid & ~h.past(answer.valid & ~answer.ready)
        h.check(fresh == h.past(wanted))
        p = answer.p
        with h.m.If(fresh):
            h.check(p.context == h.past(asked.p.context))
            if name == "dma_read_data":
                h.check((Value.cast(p.status) == DmaStatus.BLOCKED.value) & p.last)
            else:
                h.check(p.status)
    h.check(dut.dma_read_data.p.bytes == 0)
    return h


@proof("items leave in the order in which they came, each once; the head stays until it is taken; what is called "
       "empty is", block="BlockQueue", mode=Mode.BOUNDED, depth=12, cover=12)
def test_queue():
    h = Harness()
    dut = h.add(BlockQueue(unsigned(2), 4))
    StreamContract.watch(h, "entries", dut.entries, Side.ASSUME)
    StreamContract.watch(h, "head", dut.head)
    # One item, whichever it is, is followed by its number.
    chosen = h.constant(3, "chosen")
    came, left, item, known = Signal(4), Signal(4), Signal(2), Signal()
    enters, leaves = dut.entries.valid & dut.entries.ready, dut.head.valid & dut.head.ready
    h.m.d.sync += [came.eq(came + enters), left.eq(left + leaves)]
    with h.m.If(enters & (came == chosen)):
        h.m.d.sync += [item.eq(dut.entries.p), known.eq(1)]
    with h.m.If(dut.head.valid & (left == chosen)):
        h.check(known & (dut.head.p == item))
    h.check(dut.empty == h.past((came == left) & ~enters))
    h.cover(dut.entries.valid & ~dut.entries.ready)
    h.cover((left == 5) & (chosen == 5) & leaves)
    return h

"""A packet becomes one request with its payload, or is found malformed if its dwords do not add up."""

from amaranth.hdl import Cat, Mux, Signal, Value
from formal.proof import proof
from virtio_mmr.gateware.access.interface import Kind
from virtio_mmr.gateware.tlp.beat import MemoryHeader
from virtio_mmr.gateware.tlp.ingress import TlpIngress
from virtio_mmr_sim.formal import Engine, Harness, Mode, PacketContract, Side, StreamContract


def ingress(h: Harness, width: int, **options):
    """An ingress behind a sender that keeps the rules of beats."""
    dut = h.add(TlpIngress(width, **options), driven={"step"})
    beats = dut.beats
    StreamContract.watch(h, "beats", beats, Side.ASSUME, also=[dut.truncated])
    h.packets = PacketContract.watch(h, "packets", beats, Side.ASSUME)
    h.assume(~(beats.valid & dut.truncated) | (beats.p.first & beats.p.last))
    h.assume(beats.p.dwords <= width // 32)
    h.assume(~(beats.valid & beats.p.first) | (beats.p.dwords <= max(width // 32 - 3, 1)))
    h.assume(~beats.valid | beats.p.first | (beats.p.dwords != 0))
    h.assume(~beats.valid | beats.p.last | beats.p.first | (beats.p.dwords == width // 32))
    return dut


@proof("a request stays as it is until it is taken", block="TlpIngress", depth=2, cover=8)
def test_requests_stay():
    h = Harness()
    dut = ingress(h, 128, max_payload=256)
    step = h.free(1, "step")
    h.m.d.comb += dut.step.eq(step & dut.request.valid)
    h.check(dut._body == h.packets.inside)
    h.check(~(dut._body & dut.request.valid))
    StreamContract.watch(h, "request", dut.request)
    return h


def payloads(width: int, longest: int) -> Harness:
    h = Harness()
    dut = ingress(h, width, max_payload=16)
    beats, request = dut.beats, dut.request
    # Memory requests of which nothing else is wrong, perhaps with a digest.
    header = Signal(MemoryHeader)
    h.m.d.comb += header.eq(beats.p.header[:64])
    length = Cat(header.length, header.length == 0)
    begins = beats.valid & beats.p.first
    write = header.fmt[1]
    h.assume(~begins | (header.type == 0) & ~header.fmt[2] & ~header.hints & ~dut.truncated)
    h.assume(~begins | (length <= longest))
    h.assume(~begins | (header.first_be == 15) & (header.last_be == Mux(length == 1, 0, 15)))
    h.assume(~begins | (beats.p.header[64:76] == 0) & (beats.p.header[96:108] == 0))

    # What came, dword by dword.
    taken = beats.valid & beats.ready
    seen, write_now, digest, expected = Signal(8), Signal(), Signal(), Signal(11)
    before = Mux(beats.p.first, 0, seen)
    total = before + beats.p.dwords
    chosen, word = h.constant(range(longest), "chosen"), Signal(32)
    with h.m.If(taken):
        h.m.d.sync += seen.eq(total)
        with h.m.If(beats.p.first):
            h.m.d.sync += [write_now.eq(write), digest.eq(header.digest), expected.eq(Mux(write, length, 0))]
        for lane in range(width // 32):
            with h.m.If((lane < beats.p.dwords) & (before + lane == chosen)):
                h.m.d.sync += word.eq(beats.p.data[32 * lane:32 * lane + 32])
    finished = h.past(taken & beats.p.last)
    right = seen == expected + digest
    with h.m.If(finished):
        h.check(request.valid)
        h.check(Value.cast(request.p.kind) == Mux(right, Kind.MEMORY.value, Kind.MALFORMED.value))
        h.check(request.p.write == write_now)

    # Whoever takes the request walks its payload first, in its own time; the first dword comes with the request.
    walked, wants = Signal(8), h.free(1, "wants")
    long = (request.p.kind == Kind.MEMORY) & request.p.write & (request.p.length != 1)
    takes = wants & request.valid & long
    h.m.d.comb += dut.step.eq(takes & (walked != 0))
    h.assume(~long | ~request.valid | (request.ready == (takes & (walked + 1 == request.p.length))))
    with h.m.If(request.valid & request.ready):
        h.m.d.sync += walked.eq(0)
    with h.m.Elif(takes):
        h.m.d.sync += walked.eq(walked + 1)
    held = Signal(32)
    with h.m.If(finished):
        h.m.d.sync += held.eq(word)
    now = Mux(finished, word, held)
    with h.m.If(request.valid & long & (walked == chosen) & (walked != 0)):
        h.check(dut.payload == now)
    with h.m.If(request.valid & (request.p.kind == Kind.MEMORY) & request.p.write & (chosen == 0)):
        h.check(request.p.data == now)
    h.cover(request.valid & request.ready & long & (request.p.length == longest))
    h.cover(finished & ~right & write_now & (seen > expected + digest))
    h.cover(finished & right & digest)
    return h


CLAIM = ("a memory request is malformed exactly if its dwords do not add up, digest included; the payload is what "
         "came, dword by dword; what block RAM shows in a collision is never used")


@proof(CLAIM + " (128 bit)", block="TlpIngress", mode=Mode.BOUNDED, depth=7, cover=8, engine=Engine.BOOLECTOR)
def test_payloads():
    return payloads(128, 3)


@proof(CLAIM + " (128 bit)", block="TlpIngress", mode=Mode.BOUNDED, depth=11, engine=Engine.BOOLECTOR, stage="full")
def test_longer_payloads():
    return payloads(128, 4)


@proof(CLAIM + " (64 bit)", block="TlpIngress", mode=Mode.BOUNDED, depth=11, engine=Engine.BOOLECTOR, stage="full")
def test_payloads_at_64_bits():
    return payloads(64, 4)


@proof(CLAIM + " (256 bit)", block="TlpIngress", mode=Mode.BOUNDED, depth=11, engine=Engine.BOOLECTOR, stage="full")
def test_payloads_at_256_bits():
    return payloads(256, 4)

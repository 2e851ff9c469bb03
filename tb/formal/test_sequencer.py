"""The sequencer walks every request once, in order, dword by dword; posted writes never wait for completions."""

from amaranth.hdl import Cat, Mux, Signal, Value
from formal.path import BARS, Expected, is_non_posted, is_write, lawful, scaled
from formal.proof import proof
from virtio_mmr.gateware.access.interface import CONFIG, Space
from virtio_mmr.gateware.access.sequencer import AccessSequencer
from virtio_mmr_sim.formal import Engine, Harness, Mode


def sequencer(h: Harness, *, longest: int, driven=(), several: bool = False, **sizes):
    """A small sequencer whose requests are lawful, and whose completions leave only when they have begun.

    With *several* functions all of them have the same BARs, and long completions are stored late.
    """
    with scaled(**sizes):
        dut = h.add(AccessSequencer(BARS, virtual_bars=BARS if several else (), deferred=several),
                    driven={"hold", *driven})
    lawful(h, dut.request, longest=longest)
    op = dut.operation
    h.final = op.valid & op.p.answered & op.p.last & op.p.completion.final
    # Requests that are not answered yet.
    h.taken = dut.request.valid & dut.request.ready & is_non_posted(dut.request.p)
    h.unanswered = Signal(5)
    h.m.d.sync += h.unanswered.eq(h.unanswered + h.taken - h.final)
    # Room that there is stays until something is started.
    h.begins = op.valid & op.p.answered & op.p.first
    h.assume(~(h.past(dut.room) & ~h.begins) | dut.room)
    return dut


def walks(longest: int, *, several: bool = False) -> Harness:
    h = Harness()
    dut = sequencer(h, longest=longest, several=several)
    p, op, request = dut.request.p, dut.operation, dut.request
    access, completion = op.p.access, op.p.completion

    # One non-posted request, whichever it is, is followed by its number.
    came, answered, number = Signal(4), Signal(4), h.constant(4, "number")
    taken = h.taken
    h.m.d.sync += [came.eq(came + taken), answered.eq(answered + h.final)]
    mine = op.valid & op.p.answered & (answered == number)
    position, piece = Signal(11), Signal(11)
    e = Expected(h, p, taken & (came == number), mine & op.p.last)
    with h.m.If(mine):
        h.m.d.sync += [position.eq(position + 1), piece.eq(Mux(op.p.last, 0, piece + 1))]
        h.check(e.open)
        h.check(op.p.first == (piece == 0))
        h.check(op.p.last == (e.refused | (piece + 1 == e.dwords)))
        h.check(access.write == e.write)
        r = e.request
        h.check((access.function == r.place.function) | (not several))
        with h.m.If(e.refused):
            h.check(access.strobe == 0)
        with h.m.Else():
            h.check(access.strobe == Mux(position == 0, r.first_be, Mux(
                position + 1 == Cat(r.length, r.length == 0), r.last_be, 0b1111)))
            h.check(access.offset == ((r.place.offset + position)[:10] << 2))
            h.check(Value.cast(access.space) == Mux(r.place.bar == CONFIG, Space.CONFIG.value, Mux(
                r.place.offset[10], Space.CONTROL.value, Space.LEGACY.value)))
            h.check(~e.write | (access.data == r.data))
        with h.m.If(op.p.first):
            h.check(completion.byte_count == e.byte_count)
            h.check(completion.lower_address == e.lower_address)
            h.check(completion.unsupported == e.refused)
            h.check(completion.has_data == e.has_data)
            h.check(completion.final == e.final)
            for name in ("requester", "tag", "traffic_class", "attributes", "locked"):
                h.check(op.p.context[name] == e.request[name])
        h.check(~e.has_data | (completion.dwords == e.dwords - piece))
    h.check(~(op.valid & op.p.answered) | (answered < came))

    # Posted writes: what is on offer is what is walked.
    walked = Signal(11)
    before, payload, stepped = h.past(p, "request_before"), h.past(dut.payload), h.past(dut.step)
    done = request.valid & request.ready & is_write(p)
    posted = op.valid & ~op.p.answered
    length = Cat(before.length, before.length == 0)
    h.m.d.sync += walked.eq(Mux(h.past(done), posted * 0, walked + posted))
    h.check(~h.past(done) | (posted & (walked + 1 == length)))
    with h.m.If(posted):
        h.check(is_write(before) & access.write)
        h.check((access.function == before.place.function) | (not several))
        h.check(access.strobe == Mux(walked == 0, before.first_be, Mux(walked + 1 == length, before.last_be, 0b1111)))
        h.check(access.offset == ((before.place.offset + walked)[:10] << 2))
        h.check(access.data == Mux(walked == 0, before.data, payload))
        h.check((walked == 0) | stepped)

    # The queue and its head hold what is not answered, and so do the operations under way.
    h.check(h.unanswered <= 8 + 3)
    # A completion begins only where there is room, and not before a long one is stored; an event never meets an
    # operation.
    h.check(~h.begins | h.past(dut.room))
    ends = op.valid & op.p.answered & op.p.last & ~op.p.first
    h.check(~h.begins | ~(h.past(ends) | (h.past(h.past(ends)) & several)))
    h.check(~h.past(dut.event_slot) | ~op.valid)
    # Whose operation comes is said a clock ahead.
    h.check(~op.valid | (access.function == h.past(dut.function_ahead)))

    h.cover(mine & ~e.final & op.p.first & (e.dwords == 2) & (e.low == 1))
    h.cover(mine & e.final & op.p.last & (position == 2))
    h.cover(h.past(done) & (length == 3))
    h.cover(mine & e.refused & (e.request.length != 1))
    return h


CLAIM = ("each request is walked once, in order: non-posted requests with their cuts, byte counts and lower addresses, "
         "posted writes whole; every access has its own dword's offset, data and byte enables")


@proof(CLAIM, block="AccessSequencer", mode=Mode.BOUNDED, depth=8, cover=12, engine=Engine.BOOLECTOR)
def test_walks():
    return walks(longest=3)


FUNCTIONS = f"{CLAIM}; each is of its request's function, which is said a clock ahead"


@proof(FUNCTIONS, block="AccessSequencer", mode=Mode.BOUNDED, depth=8, cover=12, engine=Engine.BOOLECTOR)
def test_walks_of_several_functions():
    return walks(longest=3, several=True)


@proof(FUNCTIONS, block="AccessSequencer", mode=Mode.BOUNDED, depth=11, cover=12, engine=Engine.BOOLECTOR,
       stage="broad")
def test_walks_of_several_functions_for_longer():
    return walks(longest=3, several=True)


@proof(CLAIM, block="AccessSequencer", mode=Mode.BOUNDED, depth=13, engine=Engine.BOOLECTOR, stage="full")
def test_walks_for_longer():
    return walks(longest=5)


def stalled(*, reserve: int) -> Harness:
    """Nothing need ever leave; the link sends what it likes, but at most *reserve* requests once it must stop."""
    h = Harness()
    dut = sequencer(h, longest=2, reserve=reserve, driven={"request"})
    request = dut.request
    # The link, and the register of the ingress behind it.
    offered, waiting_offer = h.free(1, "offered"), Signal()
    payload = h.free(request.p.shape(), "offered_payload")
    taken = offered & (~request.valid | request.ready)
    with h.m.If(request.ready):
        h.m.d.sync += request.valid.eq(0)
    with h.m.If(taken):
        h.m.d.sync += [request.valid.eq(1), request.p.eq(payload)]
    h.m.d.sync += waiting_offer.eq(offered & ~taken)
    h.assume(~waiting_offer | (offered & (Value.cast(payload) == h.past(Value.cast(payload)))))
    fresh = offered & ~waiting_offer & is_non_posted(payload)
    late = Signal(range(reserve + 1))
    h.assume(~(fresh & ~dut.non_posted_ok & (late == reserve)))
    with h.m.If(dut.non_posted_ok & h.started()):
        h.m.d.sync += late.eq(0)
    with h.m.Elif(fresh):
        h.m.d.sync += late.eq(late + 1)
    # How long the oldest packet has been waiting.
    age = Signal(5)
    h.m.d.sync += age.eq(Mux(waiting_offer & ~taken, age + 1, 0))
    h.check(age < 10)
    h.cover((late == reserve) & request.valid & request.ready & is_write(request.p) & ~dut.room)
    h.cover(age == 3)
    return h


@proof("while the link respects rx_np_ok, every packet of at most 2 dwords is taken within 10 clocks, even if no "
       "completion ever leaves: so no write waits for the link", block="AccessSequencer", mode=Mode.BOUNDED, depth=22,
       cover=16, engine=Engine.BOOLECTOR)
def test_writes_are_always_taken():
    return stalled(reserve=2)


@proof("while completions have room, one of the waiting requests of at most 2 dwords is answered every 14 clocks, "
       "whatever writes and events there are", block="AccessSequencer", mode=Mode.BOUNDED, depth=24, cover=12,
       engine=Engine.BOOLECTOR)
def test_requests_are_answered():
    h = Harness()
    dut = sequencer(h, longest=2, driven={"room"})
    h.m.d.comb += dut.room.eq(1)
    idle = Signal(5)
    h.m.d.sync += idle.eq(Mux((h.unanswered == 0) | h.final, 0, idle + 1))
    h.check(idle < 14)
    h.cover((idle == 4) & (h.unanswered == 2) & dut.event_wanted)
    return h

"""The reads of each owner in their order: finds those that have ended and whose turn has come."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .age import STAMP, Expired
from .read_state import ended, placement, progress

OWNERS = 8


class OwnerQueues(wiring.Component):
    """Looks at the oldest read of one owner a clock, in turn.

    A look takes six clocks; every owner has one in each eight. What has ended is handed on, if there is
    room; what is a time-out old is reported for as long as it stands first.

    That bounds every read, not only the oldest. Reads of one owner leave in order, so none is older than the one that
    stands before it: when that ends by its time, at most nine eighths of a time-out old, the next is no older and is
    judged at the next look. So while the back end takes what is handed on, each read ends within nine eighths of a
    time-out and two looks for each read of its owner. If the back end takes nothing, the reads behind
    wait for it, and each has at most nine eighths of a time-out from when it stands first; its stamp may have come
    round by then.

    Parameters
    ----------
    width, slot, tags

    Members
    -------
    ready : Out(1)
        Low for eight clocks after reset; nothing may be issued then.
    issued : In(1), tag : In(range(tags)), owner : In(3), placement : In
        A read begins.
    written : In(1), written_tag : In(range(tags)), progress : In
        A row of progress is written.
    now : In(4)
        From `Age`.
    expired : Out(1), expired_tag : Out(range(tags))
        A read's time is over; its row should say so in this clock, or will be asked to again.
    ended : Out(stream.Signature(ended(width, slot, tags)))
    """

    def __init__(self, width: int, slot: int, tags: int):
        self._width, self._slot, self._tags = width, slot, tags
        tag = unsigned((tags - 1).bit_length())
        super().__init__({
            "ready": Out(1),
            "issued": In(1),
            "tag": In(tag),
            "owner": In(3),
            "placement": In(placement(width, slot)),
            "written": In(1),
            "written_tag": In(tag),
            "progress": In(progress(width, slot)),
            "now": In(STAMP),
            "expired": Out(1),
            "expired_tag": Out(tag),
            "ended": Out(stream.Signature(ended(width, slot, tags))),
        })

    def elaborate(self, platform):
        m = Module()
        tags = self._tags
        bits = (tags - 1).bit_length()
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}

        # --- Both ends of each owner's queue; one bit more than a place needs, to tell full from empty --
        turn = Signal(range(OWNERS))
        starting = Signal(init=1)
        m.d.sync += turn.eq(turn + 1)
        with m.If(turn == OWNERS - 1):
            m.d.sync += starting.eq(0)
        m.d.comb += self.ready.eq(~starting)
        m.submodules.heads = heads = memory.Memory(shape=bits + 1, depth=OWNERS, init=[])
        m.submodules.tails = tails = memory.Memory(shape=bits + 1, depth=OWNERS, init=[])
        head_write, head_read = heads.write_port(), heads.read_port(domain="comb")
        tail_write, tail_read = tails.write_port(), tails.read_port(domain="comb")
        tail_here = tails.read_port(domain="comb")
        m.d.comb += [
            head_read.addr.eq(turn),
            tail_here.addr.eq(turn),
            tail_read.addr.eq(self.owner),
            tail_write.addr.eq(Mux(starting, turn, self.owner)),
            tail_write.data.eq(Mux(starting, 0, tail_read.data + 1)),
            tail_write.en.eq(starting | self.issued),
        ]

        # --- Rows ---------------------------------------------------------------------------------------
        m.submodules.order = order = memory.Memory(shape=bits, depth=OWNERS * tags, init=[], attrs=in_block_ram)
        m.submodules.placements = placements = memory.Memory(
            shape=self.placement.shape(), depth=tags, init=[], attrs=in_block_ram)
        m.submodules.progresses = progresses = memory.Memory(
            shape=self.progress.shape(), depth=tags, init=[], attrs=in_block_ram)
        order_write, order_read = order.write_port(), order.read_port()
        place_write, place_read = placements.write_port(), placements.read_port()
        progress_write, progress_read = progresses.write_port(), progresses.read_port()
        m.d.comb += [
            order_write.addr.eq(Cat(tail_read.data[:bits], self.owner)),
            order_write.data.eq(self.tag),
            order_write.en.eq(self.issued),
            place_write.addr.eq(self.tag),
            place_write.data.eq(self.placement),
            place_write.en.eq(self.issued),
            progress_write.addr.eq(self.written_tag),
            progress_write.data.eq(self.progress),
            progress_write.en.eq(self.written),
        ]

        # --- The look: who, which tag, what about it ----------------------------------------------------
        owner = [Signal(range(OWNERS), name=f"owner_{stage}") for stage in range(1, 6)]
        head = [Signal(bits + 1, name=f"head_{stage}") for stage in range(1, 6)]
        some = [Signal(name=f"some_{stage}") for stage in range(1, 6)]
        m.d.sync += [
            owner[0].eq(turn),
            head[0].eq(head_read.data),
            some[0].eq((head_read.data != tail_here.data) & ~starting),
        ]
        for stage in range(4):
            m.d.sync += [owner[stage + 1].eq(owner[stage]), head[stage + 1].eq(head[stage])]
        tag_3, tag_4, tag_5 = Signal(bits), Signal(bits), Signal(bits)
        place, state = Signal(self.placement.shape()), Signal(self.progress.shape())
        # A row that is written while it is read shows nothing: the next look will see it.
        collides = self.written & (self.written_tag == tag_3)
        m.d.comb += [
            order_read.addr.eq(Cat(head[0][:bits], owner[0])),
            order_read.en.eq(1),
            place_read.addr.eq(tag_3),
            place_read.en.eq(1),
            progress_read.addr.eq(tag_3),
            progress_read.en.eq(1),
        ]
        m.d.sync += [
            some[1].eq(some[0]),
            some[2].eq(some[1]),
            tag_3.eq(order_read.data),
            some[3].eq(some[2] & ~collides),
            tag_4.eq(tag_3),
            some[4].eq(some[3]),
            tag_5.eq(tag_4),
            place.eq(place_read.data),
            state.eq(progress_read.data),
        ]

        m.submodules.age = age = Expired()
        found = self.ended
        takes = Signal()
        m.d.comb += [
            age.now.eq(self.now),
            age.stamp.eq(place.since),
            self.expired.eq(some[4] & ~state.done & age.expired),
            self.expired_tag.eq(tag_5),
            takes.eq(some[4] & state.done & (~found.valid | found.ready)),
            head_write.addr.eq(Mux(starting, turn, owner[4])),
            head_write.data.eq(Mux(starting, 0, head[4] + 1)),
            head_write.en.eq(starting | takes),
        ]
        with m.If(found.ready):
            m.d.sync += found.valid.eq(0)
        with m.If(takes):
            m.d.sync += [
                found.valid.eq(1),
                found.p.tag.eq(tag_5),
                found.p.owner.eq(owner[4]),
                found.p.status.eq(state.status),
                found.p.placement.eq(place),
            ]
        return m

"""The one tag space of all functions: what is free, and what must rest before it is free again.

Specification: PCI Express Base 5.0, 2.2.6.2 (transaction descriptor), 2.8 (completion time-out).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .age import STAMP, Expired

#: Tags that a requester may use without Extended Tag.
_NARROW = 32


class TagPool(wiring.Component):
    """Hands out free tags, the one that has rested longest first.

    A tag that came back with `suspect` may still see completions; it rests for another time-out before it
    is free. Tags are free after reset, whatever memory holds.

    Parameters
    ----------
    tags
        A power of two, at most 256.

    Members
    -------
    free : Out(stream.Signature(range(tags)))
    extended : In(1)
        Extended Tag Field Enable; without it tags from 32 on are not offered.
    returned : In(1), returned_tag : In(range(tags)), suspect : In(1)
        A tag comes back.
    now : In(4)
        From `Age`.
    used : Out(range(tags + 1))
        Tags from this number on have not been handed out since reset.
    """

    def __init__(self, tags: int):
        self._tags = tags
        super().__init__({
            "free": Out(stream.Signature(unsigned((tags - 1).bit_length()))),
            "extended": In(1),
            "returned": In(1),
            "returned_tag": In(range(tags)),
            "suspect": In(1),
            "now": In(STAMP),
            "used": Out(range(tags + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        tags, free = self._tags, self.free
        in_block_ram = {"no_rw_check": 1, "ram_style": "block"}

        # --- Tags that rest ---------------------------------------------------------------------------
        resting = data.StructLayout({"tag": range(tags), "since": unsigned(STAMP)})
        m.submodules.resting = rest = memory.Memory(shape=resting, depth=tags, init=[], attrs=in_block_ram)
        m.submodules.expired = expired = Expired()
        rest_write, rest_read = rest.write_port(), rest.read_port()
        rest_in, rest_out = Signal(range(tags)), Signal(range(tags))
        oldest = Signal(resting)
        # Clocks until `oldest` shows the entry that is the oldest now: read, then kept.
        settled = Signal(2)
        healed, heal = Signal(), Signal()
        m.d.comb += [
            rest_write.addr.eq(rest_in),
            rest_write.data.tag.eq(self.returned_tag),
            rest_write.data.since.eq(self.now),
            rest_write.en.eq(self.returned & self.suspect),
            rest_read.addr.eq(rest_out),
            rest_read.en.eq(1),
            expired.now.eq(self.now),
            expired.stamp.eq(oldest.since),
        ]
        filled = Signal(range(tags + 1))
        m.d.sync += [
            rest_in.eq(rest_in + rest_write.en),
            rest_out.eq(rest_out + healed),
            filled.eq(filled + rest_write.en - healed),
            oldest.eq(rest_read.data),
            settled.eq(Mux((filled == 0) | healed, 0, Cat(1, settled[0]))),
            heal.eq(settled[1] & expired.expired & ~healed),
        ]

        # --- Tags that are free -----------------------------------------------------------------------
        m.submodules.queue = queue = memory.Memory(shape=range(tags), depth=tags, init=[], attrs=in_block_ram)
        write, read = queue.write_port(), queue.read_port()
        queue_in, queue_out, count = Signal(range(tags)), Signal(range(tags)), Signal(range(tags + 1))
        offered, offering, fetching, is_new = Signal(range(tags)), Signal(), Signal(), Signal()
        is_wide = offered[_NARROW.bit_length() - 1:] != 0 if tags > _NARROW else 0
        unfit = is_wide & ~self.extended
        direct = self.returned & ~self.suspect
        # A tag that may not be used now goes to the end of the queue.
        aside = Signal()
        m.d.comb += [
            healed.eq(heal & ~direct),
            aside.eq(offering & unfit & ~is_new & ~direct & ~healed),
            write.en.eq(direct | healed | aside),
            write.addr.eq(queue_in),
            write.data.eq(Mux(direct, self.returned_tag, Mux(healed, oldest.tag, offered))),
            read.addr.eq(queue_out),
            read.en.eq(1),
            free.valid.eq(offering & ~unfit),
            free.payload.eq(offered),
        ]
        fresh = ~self.used[-1]
        if tags > _NARROW:
            fresh &= self.extended | (self.used[_NARROW.bit_length() - 1:] == 0)
        fetch = Signal()
        m.d.comb += fetch.eq(~offering & ~fetching & ~fresh & (count != 0))
        m.d.sync += [
            queue_in.eq(queue_in + write.en),
            queue_out.eq(queue_out + fetch),
            count.eq(count + write.en - fetch),
            fetching.eq(fetch),
        ]
        with m.If(offering):
            with m.If((free.valid & free.ready) | aside | (unfit & is_new)):
                m.d.sync += [offering.eq(0), self.used.eq(self.used + (free.valid & is_new))]
        with m.Elif(fetching):
            m.d.sync += [offering.eq(1), offered.eq(read.data), is_new.eq(0)]
        with m.Elif(fresh):
            m.d.sync += [offering.eq(1), offered.eq(self.used), is_new.eq(1)]
        return m

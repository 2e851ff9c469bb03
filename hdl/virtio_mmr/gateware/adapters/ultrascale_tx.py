"""UltraScale+ streams away from the core: completer completions (CC) and requester requests (RQ).

Specification: AMD PG213, "Completer Completion", "Requester Request", and "Transaction ordering": the IP keeps the
order inside each stream, not between them.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.tlp.beat import CompletionHeader, MemoryHeader, raw_beat

from .descriptors import CompleterCompletion, RequesterRequest, RequestType

#: Bits of ``tuser`` on streams of up to 256 bits.
CC_USER, RQ_USER = 33, 62

#: Posted requests that may be on their way through the IP: half of what five bits of a sequence number can tell apart,
#: so that no number of one that has been given up is taken for that of a newer one.
_MOST_UNSENT = 16

#: Clocks after which a posted request that the IP has not spoken of again is taken for sent or dropped: 4 ms at 250
#: MHz, less than the 10 ms that a host should at least wait for a completion.
PATIENCE = 1 << 20


def ip_number(number, first: int):
    """The IP's number of a function that the core calls *number*; the IP's first virtual function is *first*."""
    return Mux(number == 0, 0, number + (first - 1))[:8]


class _LookAhead(wiring.Component):
    """Holds one beat back, so that the beat behind it can be seen.

    Members
    -------
    raw : In(stream.Signature(raw_beat(64)))
    beats : Out(stream.Signature(raw_beat(64)))
        The same, a clock later; a beat that is not its packet's last is on offer only together with the next one.
    before, behind : Out(64)
        The beat before the one on offer, and the one behind it.
    """

    raw: In(stream.Signature(raw_beat(64)))
    beats: Out(stream.Signature(raw_beat(64)))
    before: Out(64)
    behind: Out(64)

    def elaborate(self, platform):
        m = Module()
        raw, beats = self.raw, self.beats
        full, held = Signal(), Signal(raw_beat(64))
        leaves = beats.valid & beats.ready
        m.d.comb += [
            beats.valid.eq(full & (held.last | raw.valid)),
            beats.p.eq(held),
            self.behind.eq(raw.p.data),
            raw.ready.eq(~full | leaves),
        ]
        with m.If(leaves):
            m.d.sync += [full.eq(0), self.before.eq(held.data)]
        with m.If(raw.valid & raw.ready):
            m.d.sync += [full.eq(1), held.eq(raw.p)]
        return m


class DescriptorTransmitter(wiring.Component):
    """Gives completions to one stream and requests to the other, each with a descriptor instead of its header.

    Latency: none from 128 bits on, a clock at 64. A completion waits until the IP has sent every write and message that
    was handed in before it, which its sequence number tells; no order of the two streams does. Posted requests stay in
    order, so a number speaks of those before it, too. One that is not on its way is ignored.

    Parameters
    ----------
    width
    first_virtual
        The IP's number of the first virtual function.
    patience
        See `PATIENCE`.

    Members
    -------
    raw : In(stream.Signature(raw_beat(width)))
        Completions, and memory requests with four header dwords.
    cc_tdata, cc_tkeep, cc_tuser, cc_tlast, cc_tvalid : Out, cc_tready : In(1)
        ``s_axis_cc`` of the IP.
    rq_tdata, rq_tkeep, rq_tuser, rq_tlast, rq_tvalid : Out, rq_tready : In(1)
        ``s_axis_rq`` of the IP.
    sent : In(2), sent_number : In(6).array(2)
        The request with this sequence number has its place in front of all completions to come.
    read_sent : Out(1)
        The IP takes the first beat of a read.
    """

    def __init__(self, width: int, first_virtual: int, patience: int = PATIENCE):
        self._width, self._first_virtual, self._patience = width, first_virtual, patience
        super().__init__({
            "raw": In(stream.Signature(raw_beat(width))),
            **{f"{prefix}_{name}": member for prefix, user in (("cc", CC_USER), ("rq", RQ_USER)) for name, member in (
                ("tdata", Out(width)), ("tkeep", Out(width // 32)), ("tuser", Out(user)), ("tlast", Out(1)),
                ("tvalid", Out(1)), ("tready", In(1)))},
            "sent": In(2),
            "sent_number": In(6).array(2),
            "read_sent": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 32
        beats = self.raw
        # Number of the beat in its packet, as far as there is a header in it.
        beat = Signal(range(3))
        if lanes == 2:
            m.submodules.look = look = _LookAhead()
            wiring.connect(m, wiring.flipped(self.raw), look.raw)
            beats = look.beats
            header = Mux(beat == 0, Cat(beats.p.data, look.behind), Cat(look.before, beats.p.data))
        else:
            header = beats.p.data[:128]
        taken = beats.valid & beats.ready
        with m.If(taken):
            m.d.sync += beat.eq(Mux(beats.p.last, 0, Mux(beat == 2, 2, beat + 1)))

        # --- Descriptors --------------------------------------------------------------------------------
        h, c = Signal(MemoryHeader), Signal(CompletionHeader)
        cc, rq = Signal(CompleterCompletion), Signal(RequesterRequest)
        length = Signal(11)
        is_completion, was_completion = Signal(), Signal()
        m.d.comb += [
            h.eq(header[:64]),
            c.eq(header[:96]),
            length.eq(Cat(h.length, h.length == 0)),
            is_completion.eq(Mux(beat == 0, h.type[3], was_completion)),
            cc.lower_address.eq(c.lower_address),
            cc.byte_count.eq(Cat(c.byte_count, c.byte_count == 0)),
            cc.locked.eq(c.type[0]),
            cc.dwords.eq(Mux(c.fmt[1], length, 0)),
            cc.status.eq(c.status),
            cc.poisoned.eq(c.poisoned),
            cc.requester.eq(c.requester),
            cc.tag.eq(c.tag),
            cc.function.eq(ip_number(c.completer[:8], self._first_virtual)),
            cc.traffic_class.eq(c.traffic_class),
            cc.attributes.eq(Cat(c.attributes_low, c.attribute_high)),
            rq.address.eq(Cat(header[98:128], header[64:96])),
            rq.dwords.eq(length),
            rq.type.eq(Mux(h.fmt[1], RequestType.MEMORY_WRITE, RequestType.MEMORY_READ)),
            rq.function.eq(ip_number(h.requester[:8], self._first_virtual)),
            rq.tag.eq(h.tag),
            rq.traffic_class.eq(h.traffic_class),
            rq.attributes.eq(Cat(h.attributes_low, h.attribute_high)),
        ]
        with m.If(taken & (beat == 0)):
            m.d.sync += was_completion.eq(is_completion)
        words = [beats.p.data[32 * i:32 * i + 32] for i in range(lanes)]
        for descriptor, size, target in ((cc, 3, self.cc_tdata), (rq, 4, self.rq_tdata)):
            d = [descriptor.as_value()[32 * i:32 * i + 32] for i in range(size)]
            if lanes == 2:
                first, second = Cat(d[:2]), Cat(*d[2:], *words[size - 2:])
                m.d.comb += target.eq(Mux(beat == 0, first, Mux(beat == 1, second, beats.p.data)))
            else:
                m.d.comb += target.eq(Mux(beat == 0, Cat(*d, *words[size:]), beats.p.data))

        # --- Order --------------------------------------------------------------------------------------
        posted = h.fmt[1]
        # Of the next one, and of the oldest one that is on its way.
        number, oldest = Signal(5), Signal(5)
        unsent, returned = Signal(range(_MOST_UNSENT + 1)), Signal(range(_MOST_UNSENT + 1))
        waiting = Signal(range(self._patience))
        begins = taken & (beat == 0) & ~is_completion & posted
        m.d.comb += self.read_sent.eq(taken & (beat == 0) & ~is_completion & ~posted)
        m.d.comb += unsent.eq((number - oldest)[:5])
        counts = []
        for sent, sent_number in zip(self.sent, self.sent_number, strict=True):
            count = Signal(5)
            m.d.comb += count.eq(sent_number[:5] - oldest + 1)
            counts.append(Mux(sent & sent_number[5] & (count <= unsent), count, 0))
        m.d.comb += returned.eq(Mux(counts[0] > counts[1], counts[0], counts[1]))
        m.d.sync += [number.eq(number + begins), oldest.eq(oldest + returned), waiting.eq(waiting + 1)]
        with m.If(returned.any() | begins | (unsent == 0)):
            m.d.sync += waiting.eq(0)
        with m.Elif(waiting == self._patience - 1):
            m.d.sync += oldest.eq(number)
        may_complete = (beat != 0) | (unsent == 0)
        may_request = (beat != 0) | ~posted | (unsent != _MOST_UNSENT)

        # --- Streams ------------------------------------------------------------------------------------
        m.d.comb += [
            self.cc_tkeep.eq(beats.p.keep),
            self.cc_tlast.eq(beats.p.last),
            self.cc_tvalid.eq(beats.valid & is_completion & may_complete),
            self.rq_tkeep.eq(beats.p.keep),
            self.rq_tlast.eq(beats.p.last),
            self.rq_tvalid.eq(beats.valid & ~is_completion & may_request),
            # Byte enables, and the sequence number in two parts: its highest bit says that the request is posted.
            self.rq_tuser.eq(Mux(beat == 0, Cat(
                h.first_be, h.last_be, C(0, 16), number[:4], C(0, 32), number[4], posted), 0)),
            beats.ready.eq(Mux(is_completion, self.cc_tready & may_complete, self.rq_tready & may_request)),
        ]
        return m

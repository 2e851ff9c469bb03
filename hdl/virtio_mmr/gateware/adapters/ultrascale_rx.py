"""UltraScale+ streams toward the core: completer requests (CQ) and requester completions (RC).

Specification: AMD PG213. Streams without straddle: one packet begins in lane 0 and ends with ``tlast``; payload follows
its descriptor in the next dword ("DWORD-aligned").
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.tlp.beat import CompletionHeader, MemoryHeader, completion_beat, tlp_beat
from virtio_mmr.spec.tlp import MESSAGE_LOCAL, CompletionStatus, TlpType

from .descriptors import CompleterRequest, ErrorCode, RequesterCompletion, RequestType
from .link import Hit

#: Bits of ``tuser`` on streams of up to 256 bits.
CQ_USER, RC_USER = 88, 75

_CQ_DISCONTINUE, _RC_DISCONTINUE = 41, 42

#: Fmt (without its lowest bit) and type of what a descriptor asks for; messages are made below.
_TLP_TYPES = {
    RequestType.MEMORY_READ: (0b00, TlpType.MEMORY),
    RequestType.MEMORY_WRITE: (0b01, TlpType.MEMORY),
    RequestType.IO_READ: (0b00, TlpType.IO),
    RequestType.IO_WRITE: (0b01, TlpType.IO),
    RequestType.FETCH_ADD: (0b01, TlpType.FETCH_ADD),
    RequestType.SWAP: (0b01, TlpType.SWAP),
    RequestType.COMPARE_SWAP: (0b01, TlpType.COMPARE_SWAP),
    RequestType.LOCKED_READ: (0b00, TlpType.MEMORY_LOCKED),
}


def own_number(number, first: int):
    """The core's number of a function that the IP calls *number*; its first virtual function is *first*.

    What the IP does not have becomes number 255.
    """
    return Mux(number == 0, 0, Mux(number < first, 0xFF, number - (first - 1)))[:8]


def _descriptor(m: Module, port, size: int, lanes: int):
    """Descriptor of the packet on offer, whether it is whole, and whether its payload has begun in an earlier beat."""
    body = Signal(name="body")
    taken = port.tvalid & port.tready
    if lanes > 2:
        with m.If(taken):
            m.d.sync += body.eq(~port.tlast)
        return port.tdata[:32 * size], ~body, body
    half, held = Signal(name="half"), Signal(64, name="held")
    with m.If(taken & ~body & ~half):
        m.d.sync += [held.eq(port.tdata), half.eq(~port.tlast)]
    with m.If(taken & (body | half)):
        m.d.sync += [half.eq(0), body.eq(~port.tlast)]
    return Cat(held, port.tdata)[:32 * size], half, body


def _port(width: int, user: int) -> dict[str, wiring.Member]:
    return {"tdata": In(width), "tkeep": In(width // 32), "tuser": In(user), "tlast": In(1), "tvalid": In(1),
            "tready": Out(1)}


class CompleterRequests(wiring.Component):
    """Makes a TLP of each descriptor.

    Latency: none from 128 bits on; at 64 bits the first of the two descriptor beats is held for a clock. Memory
    requests have headers of four dwords. A packet that the IP discontinues gets a wrong length, so that the ingress
    drops it as malformed.

    Parameters
    ----------
    width
    first_virtual
        The IP's number of the first virtual function.

    Members
    -------
    tdata, tkeep, tuser, tlast, tvalid : In, tready : Out(1)
        ``m_axis_cq`` of the IP.
    beats : Out(stream.Signature(tlp_beat(width)))
    hit : Out(Hit)
        Of the first beat on offer.
    non_posted : Out(1)
        This clock takes the descriptor of a request that wants a completion.
    """

    def __init__(self, width: int, first_virtual: int):
        self._width, self._first_virtual = width, first_virtual
        super().__init__({
            **_port(width, CQ_USER),
            "beats": Out(stream.Signature(tlp_beat(width))),
            "hit": Out(Hit),
            "non_posted": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, beats = self._width // 32, self.beats
        words, whole, body = _descriptor(m, self, 4, lanes)
        request = Signal(CompleterRequest)
        first_be, last_be = Signal(4), Signal(4)
        m.d.comb += request.eq(words)
        # They come with the first beat of a packet.
        enables = self.tuser[:8]
        if lanes == 2:
            enables_held = Signal(8)
            with m.If(self.tvalid & ~body & ~whole):
                m.d.sync += enables_held.eq(enables)
            enables = enables_held
        m.d.comb += Cat(first_be, last_be).eq(enables)

        header, message = Signal(MemoryHeader), Signal()
        low = Cat(C(0, 2), request.address[:30])
        m.d.comb += [
            header.length.eq(request.dwords),
            header.address_type.eq(request.address_type),
            header.attributes_low.eq(request.attributes[:2]),
            header.attribute_high.eq(request.attributes[2]),
            header.traffic_class.eq(request.traffic_class),
            header.first_be.eq(first_be),
            header.last_be.eq(last_be),
            header.tag.eq(request.tag),
            header.requester.eq(request.requester),
            # A message of type 1 from a vendor is dropped without a word, as the IP has judged it already.
            header.type.eq(TlpType.MESSAGE.value | MESSAGE_LOCAL),
            header.fmt.eq(Cat(1, request.dwords != 0)),
            message.eq(1),
        ]
        with m.Switch(request.type):
            for asked, (fmt, kind) in _TLP_TYPES.items():
                with m.Case(asked):
                    m.d.comb += [
                        header.fmt.eq(fmt << 1 | (kind is not TlpType.IO)),
                        header.type.eq(kind.value),
                        message.eq(0),
                    ]
        with m.If(message):
            m.d.comb += [header.type.eq(TlpType.MESSAGE.value | request.bar),
                         Cat(header.first_be, header.last_be).eq(request.function)]
        is_io = header.type == TlpType.IO
        m.d.comb += [
            beats.p.header.eq(Cat(header, Mux(is_io, low, request.address[30:]), low)),
            self.hit.bar.eq(request.bar),
            self.hit.function.eq(own_number(request.function, self._first_virtual)),
        ]

        count, dwords = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        m.d.comb += count.eq(sum(self.tkeep[i] for i in range(lanes)))
        payload = [self.tdata[32 * i:32 * i + 32] for i in range(lanes)]
        m.d.comb += [dwords.eq(count), beats.p.data.eq(self.tdata)]
        with m.If(~body):
            # The first beat has room for payload behind a descriptor from 256 bits on.
            m.d.comb += dwords.eq(count - 4 if lanes > 4 else 0)
            if lanes > 4:
                m.d.comb += beats.p.data.eq(Cat(*payload[4:], *payload[lanes - 4:]))
        discontinued = self.tlast & self.tuser[_CQ_DISCONTINUE]
        m.d.comb += [
            beats.p.dwords.eq(Mux(discontinued, Mux(dwords == 1, 2, 1), dwords)),
            beats.p.first.eq(~body),
            beats.p.last.eq(self.tlast),
            beats.valid.eq(self.tvalid & (whole | body)),
            self.tready.eq(beats.ready | ~(whole | body)),
            self.non_posted.eq(beats.valid & beats.ready & ~body & ~message
                               & (request.type != RequestType.MEMORY_WRITE)),
        ]
        return m


class RequesterCompletions(wiring.Component):
    """Makes a TLP of each descriptor, two clocks later at 64 bits, one at more.

    What the IP could not bring ends its read with the status "completer abort"; what it finds to belong to no request
    is malformed. ``tready`` is always high.

    Parameters
    ----------
    width
    first_virtual
        The IP's number of the first virtual function.

    Members
    -------
    tdata, tkeep, tuser, tlast, tvalid : In, tready : Out(1)
        ``m_axis_rc`` of the IP.
    completions : Out(stream.Signature(completion_beat(width), always_ready=True))
    """

    def __init__(self, width: int, first_virtual: int):
        self._width, self._first_virtual = width, first_virtual
        super().__init__({
            **_port(width, RC_USER),
            "completions": Out(stream.Signature(completion_beat(width), always_ready=True)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, out = self._width // 32, self.completions
        m.d.comb += self.tready.eq(1)
        words, whole, body = _descriptor(m, self, 3, lanes)
        answer = Signal(RequesterCompletion)
        m.d.comb += answer.eq(words)
        # Of no use, and of nobody; both keep for the rest of the packet.
        failed, stray, failed_before, stray_before = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [failed.eq(failed_before), stray.eq(stray_before)]
        with m.If(whole & ~body):
            m.d.comb += [failed.eq(0), stray.eq(0)]
            with m.Switch(answer.error):
                with m.Case(ErrorCode.NO_DATA, ErrorCode.BAD_ADDRESS, ErrorCode.RESET, ErrorCode.TIMEOUT):
                    m.d.comb += failed.eq(1)
                with m.Case(ErrorCode.MISMATCH, ErrorCode.BAD_TAG):
                    m.d.comb += stray.eq(1)
        with m.If(self.tvalid):
            m.d.sync += [failed_before.eq(failed), stray_before.eq(stray)]

        header, has_data = Signal(CompletionHeader), Signal()
        m.d.comb += [
            has_data.eq((answer.dwords != 0) & ~failed),
            header.fmt.eq(Cat(0, has_data)),
            header.type.eq(Mux(answer.locked, TlpType.COMPLETION_LOCKED.value, TlpType.COMPLETION.value)),
            header.length.eq(Mux(has_data, answer.dwords, 0)),
            header.attributes_low.eq(answer.attributes[:2]),
            header.attribute_high.eq(answer.attributes[2]),
            header.traffic_class.eq(answer.traffic_class),
            header.poisoned.eq(answer.poisoned),
            header.byte_count.eq(answer.byte_count),
            header.status.eq(Mux(failed, CompletionStatus.ABORT.value, answer.status)),
            header.completer.eq(answer.completer),
            header.lower_address.eq(answer.lower_address),
            header.tag.eq(answer.tag),
            header.requester.eq(Cat(own_number(answer.requester[:8], self._first_virtual), answer.requester[8:])),
        ]
        before = 2 if lanes == 2 else 0
        at = 3 - before
        count, dwords = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        payload = [self.tdata[32 * i:32 * i + 32] for i in range(lanes)]
        p = out.p
        m.d.comb += [
            count.eq(sum(self.tkeep[i] for i in range(lanes))),
            dwords.eq(Mux(body, count, Mux(count > at, count - at, 0))),
        ]
        m.d.sync += [
            out.valid.eq(self.tvalid & (whole | body)),
            p.beat.header.eq(header),
            p.beat.data.eq(Mux(body, self.tdata, Cat(*payload[at:], *payload[lanes - at:]))),
            p.beat.dwords.eq(Mux(failed, 0, dwords)),
            p.beat.first.eq(~body),
            p.beat.last.eq(self.tlast),
            p.malformed.eq(self.tlast & (stray | self.tuser[_RC_DISCONTINUE])),
        ]
        return m

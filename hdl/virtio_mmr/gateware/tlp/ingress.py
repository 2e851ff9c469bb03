"""Parses and checks TLPs, and stores the payload of longer writes until their end has been seen.

Specification: PCI Express Base 5.0, 2.2 (formats), 2.2.5 (byte enables), 2.3 (handling of received
TLPs). A packet that breaks a rule leaves as `Kind.MALFORMED`; nothing vanishes without a count.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import Kind, Request
from virtio_mmr.spec.tlp import MESSAGE_VENDOR_1, MESSAGES_ACCEPTED, TlpType

from .beat import MemoryHeader, tlp_beat

#: Format and type of everything that is no message, with what it becomes: (kind, locked).
_KINDS = (
    (("000", "001", "010", "011"), TlpType.MEMORY, Kind.MEMORY, 0),
    (("000", "001"), TlpType.MEMORY_LOCKED, Kind.UNSUPPORTED, 1),
    (("000", "010"), TlpType.IO, Kind.IO, 0),
    (("000", "010"), TlpType.CONFIG_0, Kind.CONFIG, 0),
    (("000", "010"), TlpType.CONFIG_1, Kind.UNSUPPORTED, 0),
    (("000", "010"), TlpType.COMPLETION, Kind.COMPLETION, 0),
    (("000", "010"), TlpType.COMPLETION_LOCKED, Kind.COMPLETION, 0),
    (("010", "011"), TlpType.FETCH_ADD, Kind.UNSUPPORTED, 0),
    (("010", "011"), TlpType.SWAP, Kind.UNSUPPORTED, 0),
    (("010", "011"), TlpType.COMPARE_SWAP, Kind.UNSUPPORTED, 0),
)


class TlpIngress(wiring.Component):
    """Turns beats into requests, one clock later.

    A packet with at most one payload dword costs as many clocks as it has beats. The payload of a
    longer write is stored a dword a clock, and its request leaves only after the last beat: so a write
    whose length turns out to be wrong has no effect at all.

    Parameters
    ----------
    width
        Bits of data in a beat.
    max_payload
        Largest payload in bytes that the device advertises; sizes the store.
    check_byte_enables
        Drop memory requests whose byte enables break 2.2.5 as malformed.

    Members
    -------
    beats : In(stream.Signature(tlp_beat(width)))
    truncated : In(1)
        The first beat on offer ends inside its header.
    request : Out(stream.Signature(Request))
    payload : Out(32)
        Dword of the request's payload at `step`'s count; valid with `request` if its length is not 1.
    step : In(1)
        Take the next payload dword.
    max_payload_size : In(3)
        Device Control's field: 0 for 128 bytes, each step doubles.
    """

    def __init__(self, width: int, *, max_payload: int = 128, check_byte_enables: bool = True):
        self._width = width
        self._max_payload = max_payload
        self._check_byte_enables = check_byte_enables
        super().__init__({
            "beats": In(stream.Signature(tlp_beat(width))),
            "truncated": In(1),
            "request": Out(stream.Signature(Request)),
            "payload": Out(32),
            "step": In(1),
            "max_payload_size": In(3),
        })

    def elaborate(self, platform):
        m = Module()
        beats, request = self.beats, self.request
        lanes = self._width // 32
        header = Signal(MemoryHeader)
        m.d.comb += header.eq(beats.p.header[:64])

        # --- What the header says, combinational on the first beat ---------------------------------
        kind = Signal(Kind, init=Kind.MALFORMED)
        posted, locked = Signal(), Signal()
        with m.Switch(Cat(header.type, header.fmt)):
            for formats, type_, becomes, is_locked in _KINDS:
                with m.Case(*(f"{fmt}{type_.value:05b}" for fmt in formats)):
                    m.d.comb += [kind.eq(becomes), locked.eq(is_locked)]
            with m.Case("0-110---"):
                m.d.comb += kind.eq(Kind.MESSAGE)
                code = Cat(header.first_be, header.last_be)
                with m.Switch(code):
                    with m.Case(*sorted(MESSAGES_ACCEPTED | {MESSAGE_VENDOR_1})):
                        m.d.comb += kind.eq(Kind.IGNORE)
        with_data = header.fmt[1]
        long_header = header.fmt[0]
        is_memory = (header.type == TlpType.MEMORY) | (header.type == TlpType.MEMORY_LOCKED)
        m.d.comb += posted.eq(((header.type == TlpType.MEMORY) & with_data) | header.type[4])

        attributes = Cat(header.attributes_low, header.attribute_high)
        simple = (kind == Kind.IO) | (kind == Kind.CONFIG) | (header.type == TlpType.CONFIG_1)
        broken = Signal()
        single = header.length == 1
        with m.If(simple):
            m.d.comb += broken.eq((header.traffic_class != 0) | (attributes != 0) | ~single | (header.last_be != 0))

        first_be, last_be = Signal(4), Signal(4)
        address_low = Mux(long_header, beats.p.header[96:128], beats.p.header[64:96])
        with m.If(header.hints & is_memory & ~with_data):
            # The byte enables of such a read hold a steering tag: 2.2.7.1.
            m.d.comb += [first_be.eq(0b1111), last_be.eq(Mux(single, 0, 0b1111))]
        with m.Else():
            m.d.comb += [first_be.eq(header.first_be), last_be.eq(header.last_be)]
        if self._check_byte_enables:
            first_whole, last_whole = Signal(), Signal()
            with m.Switch(first_be):
                with m.Case(0b1111, 0b1110, 0b1100, 0b1000):
                    m.d.comb += first_whole.eq(1)
            with m.Switch(last_be):
                with m.Case(0b1111, 0b0111, 0b0011, 0b0001):
                    m.d.comb += last_whole.eq(1)
            may_have_gaps = (header.length == 2) & ~address_low[2]
            with m.If(is_memory):
                m.d.comb += broken.eq(Mux(
                    single, last_be != 0,
                    (first_be == 0) | (last_be == 0) | (~may_have_gaps & ~(first_whole & last_whole))))

        # --- The packet's body ----------------------------------------------------------------------
        body = Signal()
        free = Signal()
        stored = Signal(range(self._max_payload // 4 + 1))
        storing_header = (kind == Kind.MEMORY) & with_data & ~single
        storing_body = Signal()
        storing = Mux(body, storing_body, storing_header)
        lane = Signal(range(lanes))
        lane_is_last = lane + 1 >= beats.p.dwords
        here = beats.valid & (body | free)
        accepted = Signal()
        m.d.comb += [
            free.eq(~request.valid | request.ready),
            accepted.eq(here & (~storing | lane_is_last)),
            beats.ready.eq((body | free) & (~storing | lane_is_last)),
        ]

        # Dwords that the header announces, less those of every beat but the newest; what the last beat leaves
        # must be nothing. The digest is a dword that no one announced.
        remaining = Signal(signed(12))
        newest = Signal(range(-1, lanes + 1))
        overrun, bad = Signal(), Signal()

        store = memory.Memory(shape=32, depth=self._max_payload // 4, init=[],
                              attrs={"no_rw_check": 1, "ram_style": "block"})
        m.submodules.store = store
        write, read = store.write_port(), store.read_port()
        walk = Signal(range(self._max_payload // 4))
        words = [beats.p.data[32 * i:32 * i + 32] for i in range(lanes)]
        word = Signal(32)
        with m.Switch(lane):
            for i in range(lanes):
                with m.Case(i):
                    m.d.comb += word.eq(words[i])
        room = stored < self._max_payload // 4
        m.d.comb += [
            write.addr.eq(stored),
            write.data.eq(word),
            write.en.eq(here & storing & (beats.p.dwords != 0) & room),
            read.addr.eq(Mux(request.valid, walk + self.step, 0)),
            read.en.eq(1),
            self.payload.eq(read.data),
        ]
        with m.If(request.valid):
            m.d.sync += walk.eq(walk + self.step)
        with m.Else():
            m.d.sync += walk.eq(0)

        # The header as it came; `request` shows it with its kind settled.
        p = Signal(Request)
        memory_request = Signal()
        with_payload = Signal()
        awaiting = Signal()
        take_word = Mux(body, awaiting, with_data)
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(here & storing & (beats.p.dwords != 0)):
            m.d.sync += lane.eq(Mux(lane_is_last, 0, lane + 1))
            with m.If(room):
                m.d.sync += stored.eq(stored + 1)
        with m.If(here & (beats.p.dwords != 0) & take_word & (lane == 0)):
            m.d.sync += [p.data.eq(words[0]), awaiting.eq(0)]
        with m.Elif(here & ~body):
            m.d.sync += awaiting.eq(with_data)
        with m.If(accepted):
            m.d.sync += [
                body.eq(~beats.p.last),
                remaining.eq(Mux(body, remaining - newest, Mux(with_data, Cat(header.length, header.length == 0), 0))),
                newest.eq(beats.p.dwords - (~body & header.digest)),
                overrun.eq(body & (overrun | (remaining < 0))),
                request.valid.eq(beats.p.last),
            ]
            with m.If(beats.p.last):
                m.d.sync += stored.eq(0)
        with m.If(here & ~body):
            m.d.sync += [
                storing_body.eq(storing_header),
                with_payload.eq(with_data),
                memory_request.eq(is_memory),
                bad.eq(broken | self.truncated),
                p.kind.eq(kind),
                p.write.eq(with_data),
                p.posted.eq(posted),
                p.locked.eq(locked),
                p.poisoned.eq(header.poisoned & with_data),
                p.long_address.eq(long_header),
                p.address.eq(Cat(address_low[2:], Mux(long_header, beats.p.header[64:96], 0))),
                p.length.eq(header.length),
                p.first_be.eq(first_be),
                p.last_be.eq(last_be),
                p.requester.eq(header.requester),
                p.tag.eq(Cat(header.tag, header.tag_8, header.tag_9)),
                p.traffic_class.eq(header.traffic_class),
                p.attributes.eq(attributes),
            ]

        # --- Checks that need the whole packet, or too much time for the first clock ------------------
        length = Signal(11)
        largest = Signal(11)
        limit = (self._max_payload // 128).bit_length() - 1
        m.d.comb += [
            length.eq(Cat(p.length, p.length == 0)),
            largest.eq(32 << Mux(self.max_payload_size > limit, limit, self.max_payload_size) if limit else 32),
        ]
        crosses = memory_request & (p.address[:10] + length > 1024)
        oversized = with_payload & (length > largest)
        m.d.comb += request.p.eq(p)
        with m.If(bad | overrun | (remaining != newest) | crosses | oversized):
            m.d.comb += request.p.kind.eq(Kind.MALFORMED)
        return m

"""Parses and checks TLPs, and stores the payload of longer writes until their end has been seen.

Specification: PCI Express Base 5.0, 2.2 (formats), 2.2.5 (byte enables), 2.3 (handling of received
TLPs). A packet that breaks a rule leaves as `Kind.MALFORMED`; nothing vanishes without a count.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below, following
from virtio_mmr.gateware.access.interface import Kind, Place, Request
from virtio_mmr.spec.tlp import MESSAGE_VENDOR_1, MESSAGES_ACCEPTED, TlpType

from .beat import MemoryHeader, completion_beat, tlp_beat

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

    A packet costs as many clocks as it has beats. Its request leaves only after the last one: so a write whose
    length turns out to be wrong has no effect at all.

    Parameters
    ----------
    width
        Bits of data in a beat.
    max_payload
        Largest payload in bytes that the device advertises; sizes the store.
    check_byte_enables
        Drop memory requests whose byte enables break 2.2.5 as malformed.
    requests
        The device sends requests, so completions leave by a stream of their own.

    Members
    -------
    beats : In(stream.Signature(tlp_beat(width)))
        A first beat has no more payload than fits behind a header of three dwords (at 64 bits, behind its last).
    truncated : In(1)
        The first beat on offer ends inside its header.
    heading_kind : Out(Kind), heading_address : Out(62), heading_long : Out(1)
        What the header on offer asks for, so that someone can say in the same clock where its address points.
    heading_taken : Out(1)
        This clock takes it.
    heading_place : In(Place)
    request : Out(stream.Signature(Request))
    payload : Out(32)
        The request's second payload dword, one clock after the request came; each `step` shows the next.
    step : In(1)
    max_payload_size : In(3)
        Device Control's field: 0 for 128 bytes, each step doubles.
    completions : Out(stream.Signature(completion_beat(width), always_ready=True))
        With *requests* alone: inbound completions, a clock late, whether or not a request waits.
    completion_malformed : Out(1)
        One of them ended badly.
    """

    def __init__(self, width: int, *, max_payload: int = 128, check_byte_enables: bool = True,
                 requests: bool = False):
        self._width = width
        self._requests = requests
        self._max_payload = max_payload
        self._check_byte_enables = check_byte_enables
        super().__init__({
            "beats": In(stream.Signature(tlp_beat(width))),
            "truncated": In(1),
            "heading_kind": Out(Kind),
            "heading_address": Out(62),
            "heading_long": Out(1),
            "heading_taken": Out(1),
            "heading_place": In(Place),
            "request": Out(stream.Signature(Request)),
            "payload": Out(32),
            "step": In(1),
            "max_payload_size": In(3),
            **({"completions": Out(stream.Signature(completion_beat(width), always_ready=True)),
                "completion_malformed": Out(1)} if requests else {}),
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
            # The third attribute is reserved there: 2.2.7.1.
            m.d.comb += broken.eq(
                (header.traffic_class != 0) | (header.attributes_low != 0) | ~single | (header.last_be != 0))

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

        m.d.comb += [
            self.heading_kind.eq(kind),
            self.heading_address.eq(Cat(address_low[2:], Mux(long_header, beats.p.header[64:96], 0))),
            self.heading_long.eq(long_header),
        ]

        # The header knows how long the payload should be, and so whether it may be.
        length = Signal(11)
        oversized = Signal()
        m.d.comb += length.eq(Cat(header.length, header.length == 0))
        largest = (self._max_payload // 128).bit_length() - 1
        with m.Switch(self.max_payload_size if largest else 0):
            for size in range(largest):
                with m.Case(size):
                    m.d.comb += oversized.eq(with_data & ~below(length, (32 << size) + 1))
            with m.Default():
                m.d.comb += oversized.eq(with_data & ~below(length, self._max_payload // 4 + 1))
        reach = Signal(11)
        m.d.comb += reach.eq(address_low[2:12] + length)
        crosses = is_memory & reach[10] & reach[:10].any()

        # --- The packet's body ----------------------------------------------------------------------
        body, free = Signal(), Signal()
        self._body = body
        # A completion needs no room where requests wait, and leaves alone what belongs to them.
        inbound, inbound_body = Signal(), Signal()
        if self._requests:
            m.d.comb += inbound.eq(Mux(body, inbound_body, kind == Kind.COMPLETION))
        comes = beats.valid & (body | free | inbound)
        here = comes & ~inbound
        m.d.comb += [
            free.eq(~request.valid | request.ready),
            beats.ready.eq(body | free | inbound),
            self.heading_taken.eq(here & ~body),
        ]

        # Dwords that are still to come. The digest is one that the length does not count.
        owed = Signal(12)
        exceeded = Signal()
        expected = Signal(12)
        # Negative while only the digest's place has been seen; that matches no length.
        dwords = Signal(range(-1, lanes + 1))
        bits = len(dwords) - 1
        matches = ~dwords[bits] & (expected[bits:] == 0) & (expected[:bits] == dwords[:bits])
        m.d.comb += [
            dwords.eq(beats.p.dwords - (~body & header.digest)),
            expected.eq(Mux(body, owed, Mux(with_data, length, 0))),
        ]

        # Payload is written a beat a clock and read a dword a clock. Each RAM holds one byte of every dword, so that
        # its write port is as many times wider as there are lanes, and no logic selects between them. The packet that
        # comes and the request that stays have a bank each, so a beat may be written before it is known to be taken.
        filled = beats.p.dwords != 0
        rows = 1 << (-(-self._max_payload // 4 // lanes)).bit_length()
        row, bank = Signal(range(rows + 1)), Signal()
        begins = here & filled & (row == 0)
        # The dword that `payload` shows next, and the one behind it.
        walk, after = Signal(range(rows * lanes)), Signal(range(rows * lanes))
        for byte in range(4):
            store = memory.Memory(
                shape=8, depth=2 * rows * lanes, init=[], attrs={"no_rw_check": 1, "ram_style": "block"})
            m.submodules[f"store_{byte}"] = store
            for lane in range(lanes):
                write = store.write_port()
                m.d.comb += [
                    write.addr.eq(Cat(Const(lane, (lanes - 1).bit_length()), row[:-1], bank)),
                    write.data.eq(beats.p.data[32 * lane + 8 * byte:32 * lane + 8 * byte + 8]),
                    write.en.eq(beats.valid & ~row[-1]),
                ]
            read = store.read_port()
            m.d.comb += [
                read.addr.eq(Cat(Mux(self.step, after, walk), ~bank)),
                read.en.eq(1),
                self.payload[8 * byte:8 * byte + 8].eq(read.data),
            ]
        with m.If(here):
            with m.If(beats.p.last):
                m.d.sync += [row.eq(0), bank.eq(~bank)]
            with m.Elif(filled & ~row[-1]):
                m.d.sync += row.eq(following(row))

        # How many dwords the first row holds; the rest of it is left out.
        in_first, in_first_last = Signal(range(lanes + 1)), Signal(range(lanes + 1))
        m.d.comb += in_first.eq(Mux(begins, beats.p.dwords, in_first_last))
        m.d.sync += in_first_last.eq(in_first)

        def behind(number):
            """Place of the dword behind the one at *number*."""
            one_more = following(number)
            leaves = (number >> (lanes.bit_length() - 1) == 0) & (one_more[:len(in_first)] == in_first)
            return Mux(leaves, lanes, one_more)

        start = Signal.like(walk)
        m.d.comb += start.eq(Mux(in_first == 1, lanes, 1))
        with m.If(~request.valid | request.ready):
            m.d.sync += [walk.eq(start), after.eq(behind(start) if lanes > 4 else following(start))]
        with m.Elif(self.step):
            m.d.sync += [walk.eq(after), after.eq(behind(after) if lanes > 4 else following(after))]

        p = request.p
        awaiting = Signal()
        take_word = Mux(body, awaiting, with_data)
        with m.If(request.ready):
            m.d.sync += request.valid.eq(0)
        with m.If(here & filled & take_word):
            m.d.sync += [p.data.eq(beats.p.data[:32]), awaiting.eq(0)]
        with m.Elif(here & ~body):
            m.d.sync += awaiting.eq(with_data)
        wrong = Signal()
        m.d.comb += wrong.eq(broken | crosses | oversized | self.truncated)
        with m.If(here & ~body):
            m.d.sync += [
                p.kind.eq(Mux(wrong, Kind.MALFORMED, kind)),
                p.write.eq(with_data),
                p.posted.eq(posted),
                p.locked.eq(locked),
                p.poisoned.eq(header.poisoned & with_data),
                p.place.eq(self.heading_place),
                p.device.eq(beats.p.header[64 + 19:96]),
                p.length.eq(header.length),
                p.single.eq(single),
                p.first_be.eq(first_be),
                p.last_be.eq(last_be),
                p.requester.eq(header.requester),
                p.tag.eq(Cat(header.tag, header.tag_8, header.tag_9)),
                p.traffic_class.eq(header.traffic_class),
                p.attributes.eq(attributes),
            ]
        mismatch = ~matches | (body & exceeded)
        with m.If(comes):
            m.d.sync += [
                body.eq(~beats.p.last),
                owed.eq(expected - dwords),
                # Nothing may follow the last dword that is owed, and no count may go below zero.
                exceeded.eq(matches | (body & (exceeded | owed[11]))),
            ]
        with m.If(here):
            m.d.sync += request.valid.eq(beats.p.last)
            with m.If(beats.p.last & mismatch):
                m.d.sync += p.kind.eq(Kind.MALFORMED)
        if self._requests:
            completions, wrong_body = self.completions, Signal()
            malformed = beats.p.last & (mismatch | Mux(body, wrong_body, wrong))
            with m.If(comes & ~body):
                m.d.sync += [inbound_body.eq(inbound), wrong_body.eq(wrong)]
            m.d.sync += [
                completions.valid.eq(comes & inbound),
                completions.p.beat.eq(beats.p),
                completions.p.malformed.eq(malformed),
                self.completion_malformed.eq(comes & inbound & malformed),
            ]
        return m

"""The way out of a device that sends requests of its own: one ordered queue, and reads beside it.

Specification: PCI Express Base 5.0, 2.4.1 (ordering).
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.adapters.raw import RawTransmitter

from .beat import TICKET, raw_beat, tlp_beat
from .egress import TlpEgress


class OrderedEgress(wiring.Component):
    """Sends completions and posted packets in the order in which they were handed in, and reads between them.

    A request comes with a ticket: `now`, which is `complete` a clock late, as it stood when the request was queued. A
    write goes when `left` has come to the same place; a read may go earlier, in turns with completions. No completion
    that was complete later overtakes either: so what a driver learns from a completion, as that a reset is over or
    bus mastering is off, no request contradicts. Latency of a completion or a message: none; of a request: a clock. A
    packet that has begun is not interrupted.

    A message of an interrupt goes as soon as the writes have left that had been handed in when it came: so what a
    driver is told of, it finds in memory. It passes completions, and none that was complete after it came passes it.

    Nobody waits for ever. Reads enter the transmitter first, so a posted packet that stands before a read there
    has the older ticket; and a read comes in less than every third clock, which leaves clocks to the others. While a
    message waits, `now` stands still, so the writes before it wait for no completion that waits for it; and when
    they have left, no other enters the transmitter before it has gone.

    Parameters
    ----------
    width
    messages
        Sources of messages.

    Members
    -------
    completions : In(stream.Signature(raw_beat(width)))
    complete, left : In(TICKET)
        See `CompletionBuilder`.
    now : Out(TICKET)
        Ticket of a request that is queued in this clock.
    messages : In(stream.Signature(raw_beat(width))).array(messages)
        Sources are served by number.
    mark : Out(1), clear : In(1)
        A message has come; the writes that had been handed in by the last `mark` have entered the transmitter.
    writes, reads : In(stream.Signature(tlp_beat(width)))
    pending : In(1)
        A write is queued, on offer or not yet.
    ticket, read_ticket : In(TICKET)
        Ticket of the write, and of the read, on offer.
    read_held : Out(1)
        A read has been taken that the link does not take.
    beats : Out(stream.Signature(raw_beat(width)))
    """

    def __init__(self, width: int, messages: int = 0):
        self._width, self._messages = width, messages
        super().__init__({
            "completions": In(stream.Signature(raw_beat(width))),
            "complete": In(TICKET),
            "left": In(TICKET),
            "now": Out(TICKET),
            "messages": In(stream.Signature(raw_beat(width))).array(messages),
            "mark": Out(1),
            "clear": In(1),
            "writes": In(stream.Signature(tlp_beat(width))),
            "reads": In(stream.Signature(tlp_beat(width))),
            "pending": In(1),
            "ticket": In(TICKET),
            "read_ticket": In(TICKET),
            "read_held": Out(1),
            "beats": Out(stream.Signature(raw_beat(width))),
        })

    def elaborate(self, platform):
        m = Module()
        beats, completions = self.beats, self.completions

        # --- Messages -----------------------------------------------------------------------------------
        m.submodules.message = self._message_egress = message_egress = TlpEgress(self._width, max(self._messages, 1))
        message, known, stays, cleared = message_egress.beats, Signal(), Signal(), Signal()
        for source, entrance in zip(self.messages, message_egress.sources, strict=False):
            wiring.connect(m, wiring.flipped(source), entrance)
        m.d.comb += [
            self.mark.eq(message.valid & ~known),
            cleared.eq(message.valid & known & self.clear),
            stays.eq(Cat(source.valid & ~(source.ready & source.p.last) for source in self.messages).any()),
        ]
        m.d.sync += known.eq(message.valid & ~(message.ready & message.p.last))
        with m.If(~stays):
            m.d.sync += self.now.eq(self.complete)

        # --- Requests, one packet after the other -------------------------------------------------------
        m.submodules.requests = self._requests = requests = RawTransmitter(self._width)
        joined, inside, was_read, is_read = requests.beats, Signal(), Signal(), Signal()
        self._inside, self._was_read = inside, was_read
        m.d.comb += is_read.eq(Mux(inside, was_read, self.reads.valid))
        with m.If(is_read):
            m.d.comb += [joined.valid.eq(self.reads.valid), joined.p.eq(self.reads.p),
                         self.reads.ready.eq(joined.ready)]
        with m.Elif(inside | ~cleared):
            m.d.comb += [joined.valid.eq(self.writes.valid), joined.p.eq(self.writes.p),
                         self.writes.ready.eq(joined.ready)]
        with m.If(joined.valid):
            m.d.sync += [was_read.eq(is_read), inside.eq(~(joined.ready & joined.p.last))]
        # What belongs to the packet whose first beat has come into the transmitter's register.
        request_is_read, ticket = Signal(), Signal(TICKET)
        with m.If((~requests.raw.valid | requests.raw.ready) & joined.valid & joined.p.first):
            m.d.sync += [request_is_read.eq(is_read), ticket.eq(Mux(is_read, self.read_ticket, self.ticket))]

        # --- Messages, requests and completions -----------------------------------------------------------
        raw = requests.raw
        m.d.comb += self.read_held.eq(raw.valid & request_is_read & ~raw.ready)
        held, holds_request, chosen, turn = Signal(), Signal(), Signal(), Signal()
        holds_message, chosen_message = Signal(), Signal()
        self._held, self._holds_request, self._holds_message = held, holds_request, holds_message
        # Everything that was complete before it has left.
        due = raw.valid & (ticket == self.left)
        write_here = raw.valid & ~request_is_read
        read_waits = self.reads.valid & (self.read_ticket == self.left)
        message_waits = message.valid & (self.now == self.left)
        # While nobody knows where the oldest write belongs, no completion may start.
        completion_next = completions.valid & ~due & ~read_waits & ~message_waits & (write_here | ~self.pending)
        read_next = raw.valid & request_is_read & ~(turn & completion_next)
        m.d.comb += [
            chosen_message.eq(Mux(held, holds_message, cleared & ~write_here)),
            chosen.eq(Mux(held, holds_request, due | read_next)),
        ]
        with m.If(chosen_message):
            m.d.comb += [beats.valid.eq(message.valid), beats.p.eq(message.p), message.ready.eq(beats.ready)]
        with m.Elif(chosen):
            m.d.comb += [beats.valid.eq(raw.valid), beats.p.eq(raw.p), raw.ready.eq(beats.ready)]
        with m.Else():
            m.d.comb += [
                beats.valid.eq(held | completion_next),
                beats.p.eq(completions.p),
                completions.ready.eq(beats.ready & (held | completion_next)),
            ]
        with m.If(beats.valid):
            m.d.sync += [
                holds_message.eq(chosen_message),
                holds_request.eq(chosen & ~chosen_message),
                held.eq(~(beats.ready & beats.p.last)),
            ]
            with m.If(~held & ~chosen_message):
                m.d.sync += turn.eq(chosen)
        return m

"""TCP for servers (RFC 9293): connections that others open, in order and without loss.

Out-of-order segments are not kept: they are acknowledged as missing and come again. There is no congestion on a cable,
so a fixed number of segments is on its way; the sender's window is honoured, and options but the segment size are not.
"""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from . import packets
from .host import Host
from .packets import Ip, Malformed

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

#: Bytes of a segment: the most that are sent, and what is taken if the other side names none.
MOST_SEGMENT, DEFAULT_SEGMENT = 1460, 536

#: Segments on their way.
IN_FLIGHT = 16

#: Our window.
WINDOW = 0xFFFF

#: Seconds before something is sent again: at first, each time twice as long, but no longer than; and how often it is.
TIMEOUT, LONGEST, TRIES = 0.5, 8.0, 12

#: Seconds for which a connection that both sides have closed still answers, and one that only we have closed waits.
LINGER, HALF_CLOSED = 2.0, 60.0

#: Acknowledgements of the same byte after which the segment counts as lost.
DUPLICATES = 3


def _before(first: int, second: int) -> bool:
    """Whether sequence number *first* is before *second*."""
    return (first - second) & 0xFFFF_FFFF >= 1 << 31


@dataclass(frozen=True)
class Segment:
    """A TCP segment."""

    source: int
    destination: int
    sequence: int
    acknowledgement: int
    flags: int
    window: int
    data: bytes = b""
    #: Largest segment that the sender takes, if it says so.
    most: int | None = None

    @property
    def length(self) -> int:
        """Sequence numbers that it takes."""
        return len(self.data) + (self.flags & SYN != 0) + (self.flags & FIN != 0)

    def pack(self, source: IPv4Address, destination: IPv4Address) -> Ip:
        """Its packet."""
        options = b"" if self.most is None else struct.pack("!BBH", 2, 4, self.most)
        header = struct.pack("!HHIIBBHHH", self.source, self.destination, self.sequence, self.acknowledgement,
                             (20 + len(options)) // 4 << 4, self.flags, self.window, 0, 0)
        bytes_ = header + options + self.data
        value = packets.transport_checksum(source, destination, packets.TCP, bytes_)
        return Ip(source, destination, packets.TCP, bytes_[:16] + value.to_bytes(2, "big") + bytes_[18:])


def parse(packet: Ip) -> Segment:
    """Take a segment apart; raises `Malformed`."""
    data = packet.payload
    if len(data) < 20:
        raise Malformed("no TCP header")
    source, destination, sequence, acknowledgement, offset, flags, window, _, _ = struct.unpack("!HHIIBBHHH", data[:20])
    start = offset >> 4 << 2
    if not 20 <= start <= len(data):
        raise Malformed("length of the TCP header")
    if packets.checksum(packets.pseudo_header(packet) + data):
        raise Malformed("checksum of the TCP segment")
    return Segment(source, destination, sequence, acknowledgement, flags & 0x3F, window, data[start:],
                   _segment_size(data[20:start]))


def _segment_size(options: bytes) -> int | None:
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            raise Malformed("an option of TCP")
        if options[at] == 2 and length == 4:
            return max(int.from_bytes(options[at + 2:at + 4], "big"), 1)
        at += length
    return None


class State(enum.Enum):
    """States of a connection that was opened from outside; TIME_WAIT and CLOSING are one."""

    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()
    CLOSED = enum.auto()


class Application(Protocol):
    """What a server does with a connection."""

    def received(self, connection: "Connection", data: bytes) -> None:
        """Data came."""

    def ended(self, connection: "Connection") -> None:
        """The other side will send no more."""


class Connection:
    """One connection, from the SYN that opened it."""

    def __init__(self, server: "TcpServer", peer: IPv4Address, syn: Segment, application: Application, sequence: int):
        self._server, self._peer, self._application = server, peer, application
        self._local, self._remote = syn.destination, syn.source
        self.state = State.SYN_RECEIVED
        self._most = min(syn.most or DEFAULT_SEGMENT, MOST_SEGMENT)
        #: Sequence numbers: the oldest unacknowledged one, the next to send, and the one behind all that was ever sent.
        #: The second is less than the third where something is sent again.
        self._unacknowledged = self._next = self._highest = sequence
        self._window = syn.window
        self._expected = (syn.sequence + 1) & 0xFFFF_FFFF
        #: Bytes from `_unacknowledged` on, once the SYN is acknowledged; a FIN stands behind them if we are closing.
        self._data = bytearray()
        self._closing = self._fin_acknowledged = self._fin_seen = False
        #: The oldest segment was sent again and is not acknowledged.
        self._again_sent = False
        self._duplicates = self._tries = 0
        self.due: float | None = None
        self._send_syn()

    # The application's side

    def send(self, data: bytes) -> None:
        """Queue data."""
        self._data += data
        self._output()

    def close(self) -> None:
        """Nothing more is sent behind what is queued."""
        self._closing = True
        self._output()

    # Sending

    def _emit(self, flags: int, data: bytes = b"", most: int | None = None) -> None:
        """Send a segment from `_next` on."""
        segment = Segment(self._local, self._remote, self._next, self._expected, flags, WINDOW, data, most)
        self._next = (self._next + segment.length) & 0xFFFF_FFFF
        if _before(self._highest, self._next):
            self._highest = self._next
        self._server.emit(self._peer, segment)

    def _send_syn(self) -> None:
        self._next = self._unacknowledged
        self._emit(SYN | ACK, most=MOST_SEGMENT)
        self._arm()

    def _acknowledge(self) -> None:
        self._server.emit(self._peer, Segment(
            self._local, self._remote, self._highest, self._expected, ACK, WINDOW))

    @property
    def _fin_sent(self) -> bool:
        return self._fin_acknowledged or (
            self._closing and (self._next - self._unacknowledged) & 0xFFFF_FFFF > len(self._data))

    def _arm(self) -> None:
        self.due = self._server.clock() + min(TIMEOUT * 2 ** self._tries, LONGEST)

    def _output(self) -> None:
        """Send what the window and the cable take."""
        if self.state is not State.ESTABLISHED or self._again_sent:
            return
        room = min(self._window, IN_FLIGHT * self._most)
        while not self._fin_sent:
            sent = (self._next - self._unacknowledged) & 0xFFFF_FFFF
            part = bytes(self._data[sent:sent + min(self._most, max(room - sent, 0))])
            rest = len(self._data) - sent - len(part)
            fin = self._closing and rest == 0
            if not part and not fin:
                break
            self._emit(ACK | (PSH if rest == 0 and part else 0) | (FIN if fin else 0), part)
        if self.due is None and (self._next != self._unacknowledged or self._data):
            self._arm()

    def wake(self) -> None:
        """The timer has run out: send again from the oldest byte on, at least one, whatever the window."""
        if self.state is State.CLOSED or self._fin_acknowledged or self._tries >= TRIES:
            self._server.forget(self)
            return
        self._tries += 1
        self.due = None
        if self.state is State.SYN_RECEIVED:
            self._send_syn()
            return
        self._again()
        self._arm()

    def _again(self) -> None:
        """Send the oldest segment again, and what is behind it only when that is acknowledged."""
        part = bytes(self._data[:min(self._most, max(self._window, 1))])
        self._next, self._again_sent = self._unacknowledged, True
        self._emit(ACK | (FIN if self._closing and len(part) == len(self._data) else 0), part)

    # Receiving

    def receive(self, segment: Segment) -> None:
        """Take a segment of this connection."""
        ahead = (segment.sequence - self._expected) & 0xFFFF_FFFF
        if segment.flags & RST:
            if ahead < WINDOW:
                self._server.forget(self)
            return
        if segment.flags & SYN:
            # The one that opened the connection, again; anything else is nobody's.
            if self.state is State.SYN_RECEIVED:
                self._send_syn()
            else:
                self._acknowledge()
            return
        if not segment.flags & ACK:
            return
        if not self._acknowledged(segment):
            return
        self._take(segment, ahead)
        self._output()
        if self._fin_acknowledged and self.state is not State.CLOSED:
            self.due = self._server.clock() + (LINGER if self._fin_seen else HALF_CLOSED)
            if self._fin_seen:
                self.state = State.CLOSED

    def _acknowledged(self, segment: Segment) -> bool:
        """Note what the other side has; False if the segment is worth nothing."""
        number = segment.acknowledgement
        if _before(self._highest, number):
            if self.state is State.SYN_RECEIVED:
                self._server.refuse(self._peer, segment)
            else:
                self._acknowledge()
            return False
        if self.state is State.SYN_RECEIVED:
            if number != self._highest:
                self._server.refuse(self._peer, segment)
                return False
            self.state = State.ESTABLISHED
            self._unacknowledged, self._tries, self.due = number, 0, None
        fresh = (number - self._unacknowledged) & 0xFFFF_FFFF
        if fresh >= 1 << 31:
            return True
        if fresh:
            self._fin_acknowledged |= self._closing and fresh > len(self._data)
            del self._data[:fresh]
            self._unacknowledged, self._duplicates, self._tries, self.due = number, 0, 0, None
            self._again_sent = False
            if _before(self._next, number):
                self._next = number
        elif self._next != number and not segment.length and segment.window == self._window:
            self._duplicates += 1
            if self._duplicates == DUPLICATES:
                self._again()
        self._window = segment.window
        return True

    def _take(self, segment: Segment, ahead: int) -> None:
        """Take the data that is next; say what is, if it is not that."""
        if not segment.length:
            return
        known = (self._expected - segment.sequence) & 0xFFFF_FFFF
        if ahead and (known >= 1 << 31 or known >= segment.length):
            self._acknowledge()
            return
        data = segment.data[known:]
        self._expected = (segment.sequence + segment.length) & 0xFFFF_FFFF
        ends = segment.flags & FIN != 0 and not self._fin_seen
        self._fin_seen |= ends
        self._acknowledge()
        if data:
            self._application.received(self, data)
        if ends:
            self._application.ended(self)


class TcpServer:
    """The ports of *host* that somebody listens at."""

    def __init__(self, host: Host, clock: Callable[[], float]):
        self._host, self.clock = host, clock
        #: By local port: makes the application of a new connection.
        self.listeners: dict[int, Callable[[], Application]] = {}
        self._connections: dict[tuple[IPv4Address, int, int], Connection] = {}
        self._sequence = 0x1000
        host.protocols[packets.TCP] = self

    @property
    def open(self) -> int:
        """Connections that are not forgotten."""
        return len(self._connections)

    @property
    def wake_at(self) -> float | None:
        """When the next timer runs out."""
        return min((connection.due for connection in self._connections.values() if connection.due is not None),
                   default=None)

    def wake(self, now: float) -> None:
        """Let connections go on whose timer has run out."""
        for connection in list(self._connections.values()):
            if connection.due is not None and connection.due <= now:
                connection.wake()

    def receive(self, packet: Ip) -> None:
        """Take a packet."""
        segment = parse(packet)
        key = packet.source, segment.source, segment.destination
        connection = self._connections.get(key)
        if connection is not None and connection.state is State.CLOSED and segment.flags & SYN:
            self.forget(connection)
            connection = None
        if connection is not None:
            connection.receive(segment)
        elif segment.flags & (SYN | ACK | RST) == SYN and segment.destination in self.listeners:
            self._sequence = (self._sequence + 0x0123_4567) & 0xFFFF_FFFF
            self._connections[key] = Connection(
                self, packet.source, segment, self.listeners[segment.destination](), self._sequence)
        elif not segment.flags & RST:
            self.refuse(packet.source, segment)

    def emit(self, destination: IPv4Address, segment: Segment) -> None:
        """Send a segment."""
        self._host.send(segment.pack(self._host.address, destination))

    def refuse(self, destination: IPv4Address, segment: Segment) -> None:
        """Answer a segment of no connection with a reset."""
        if segment.flags & ACK:
            flags, sequence, acknowledgement = RST, segment.acknowledgement, 0
        else:
            flags, sequence, acknowledgement = RST | ACK, 0, (segment.sequence + segment.length) & 0xFFFF_FFFF
        self.emit(destination, Segment(segment.destination, segment.source, sequence, acknowledgement, flags, 0))

    def forget(self, connection: Connection) -> None:
        """A connection is no more."""
        for key, found in list(self._connections.items()):
            if found is connection:
                del self._connections[key]

"""The network in user space, spoken to with frames that are made by hand from the RFCs."""

import random
import struct
from ipaddress import IPv4Address

import pytest
from frames import BROADCAST, CLIENT, SERVER_IP, dhcp, ip, ones_complement, pseudo, udp, unpack, unpack_dhcp, unpack_udp
from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_mmr_sim.device.network.mirror import Mirror, Source
from virtio_mmr_sim.device.peer import HARDWARE, Peer

FILES = {
    "empty": b"", "short": b"hello", "block": bytes(512), "boot/kernel": random.Random(1).randbytes(100_000),
    "two blocks": random.Random(2).randbytes(1024),
}


class Wire:
    """A client's end of the cable, and the time."""

    def __init__(self, **options):
        self.now, self.frames = 0.0, []
        self.peer = Peer(FILES, clock=lambda: self.now, **options)
        self.peer.connect(self.frames.append)

    def send(self, frame):
        """What comes back."""
        self.peer.receive(frame)
        return self.take()

    def take(self):
        frames, self.frames[:] = list(self.frames), []
        return frames

    def pass_time(self, seconds):
        self.now += seconds
        if self.peer.wake_at is not None and self.peer.wake_at <= self.now:
            self.peer.wake(self.now)
        return self.take()


# Addresses

def test_an_arp_request_is_answered():
    own = bytes([192, 0, 2, 16])
    request = bytes.fromhex("0001080006040001") + CLIENT + own + bytes(6) + SERVER_IP
    frame, = Wire().send(BROADCAST + CLIENT + b"\x08\x06" + request)
    assert frame[:42] == CLIENT + HARDWARE + b"\x08\x06" + bytes.fromhex("0001080006040002") + HARDWARE + SERVER_IP \
        + CLIENT + own
    assert not Wire().send(BROADCAST + CLIENT + b"\x08\x06" + request[:-1] + b"\x07")


def test_a_ping_is_answered():
    own = bytes([192, 0, 2, 16])
    message = bytearray(struct.pack("!BBHHH", 8, 0, 0, 0x1234, 5) + bytes(range(57)))
    struct.pack_into("!H", message, 2, 0xFFFF - ones_complement(message))
    wire = Wire()
    frame, = wire.send(ip(own, SERVER_IP, 1, bytes(message)))
    source, destination, protocol, answer = unpack(frame)
    assert (source, destination, protocol) == (SERVER_IP, own, 1)
    assert answer[:2] == b"\0\0" and answer[4:] == message[4:] and ones_complement(answer) == 0xFFFF
    message[20] ^= 1
    assert not wire.send(ip(own, SERVER_IP, 1, bytes(message)))
    assert wire.peer.host.dropped == 1


# DHCP

@pytest.mark.parametrize("flags", [0, 0x8000])
def test_an_address_is_offered_and_lent(flags):
    wire = Wire(boot_file="boot/kernel")
    frame, = wire.send(dhcp(1, flags=flags))
    hardware, destination, fields, options = unpack_dhcp(frame)
    address = fields["yours"]
    assert IPv4Address(address) in wire.peer.host.interface.network and address != SERVER_IP
    assert (hardware, destination) == ((BROADCAST, b"\xff" * 4) if flags else (CLIENT, address))
    assert fields == {"transaction": 0xCAFE, "client": bytes(4), "yours": address, "next": SERVER_IP,
                      "file": b"boot/kernel"}
    assert options == {53: b"\x02", 54: SERVER_IP, 1: bytes([255, 255, 255, 0]), 3: SERVER_IP,
                       51: (86400).to_bytes(4, "big")}
    frame, = wire.send(dhcp(3, flags=flags, requested=address, server=SERVER_IP, transaction=0xBEEF))
    _, _, fields, options = unpack_dhcp(frame)
    assert options[53] == b"\x05" and fields["yours"] == address and fields["transaction"] == 0xBEEF
    # Later the client asks again, from the address that it has.
    frame, = wire.send(dhcp(3, client=address))
    hardware, destination, fields, options = unpack_dhcp(frame)
    assert options[53] == b"\x05" and (hardware, destination) == (CLIENT, address) and fields["client"] == address


def test_an_address_of_somebody_else_is_denied():
    wire = Wire()
    frame, = wire.send(dhcp(3, requested=bytes([10, 0, 0, 9])))
    hardware, destination, fields, options = unpack_dhcp(frame)
    assert (hardware, destination) == (BROADCAST, b"\xff" * 4)
    assert options[53] == b"\x06" and fields["yours"] == bytes(4) and 51 not in options


def test_a_request_to_another_server_is_not_ours():
    assert Wire().send(dhcp(3, requested=bytes([192, 0, 2, 16]), server=bytes([192, 0, 2, 99]))) == []


# TFTP

class Tftp:
    """A client at one port."""

    def __init__(self, wire, port=2000):
        self.wire, self.port, self.server = wire, port, 69
        self.own = bytes([192, 0, 2, 16])

    def send(self, data, check=True):
        return self.read(self.wire.send(udp(self.own, SERVER_IP, (self.port, self.server), data, check=check)))

    def read(self, frames):
        found = []
        for frame in frames:
            source, destination, ports, data = unpack_udp(frame)
            assert (source, destination, ports[1]) == (SERVER_IP, self.own, self.port)
            self.server = ports[0]
            found.append(data)
        return found

    def request(self, name, opcode=1, mode=b"octet", **options):
        self.server = 69
        words = [name.encode(), mode, *(word for key, value in options.items()
                                        for word in (key.encode(), str(value).encode()))]
        return self.send(opcode.to_bytes(2, "big") + b"".join(word + b"\0" for word in words))

    def acknowledge(self, number):
        return self.send(struct.pack("!HH", 4, number & 0xFFFF))

    def fetch(self, answers, block=512, lose=lambda: False):
        """The file, from the first answer on; answers and acknowledgements may be lost."""
        content, number = b"", 1
        while True:
            while not answers or lose():
                answers = self.read(self.wire.pass_time(1.0))
            data, = answers
            if data[:2] == b"\0\6":
                answers = [] if lose() else self.acknowledge(0)
                continue
            assert data[:2] == b"\0\3"
            if int.from_bytes(data[2:4], "big") == number & 0xFFFF:
                content += data[4:]
                number += 1
            answers = [] if lose() else self.acknowledge(int.from_bytes(data[2:4], "big"))
            if len(data) < 4 + block:
                return content


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_in_blocks(name):
    wire = Wire()
    client = Tftp(wire)
    assert client.fetch(client.request("/" + name)) == FILES[name]
    assert wire.peer.tftp.served == [name] and wire.peer.wake_at is None


@pytest.mark.parametrize("asked, block", [(1432, 1428), (1428, 1428), (1000, 1000), (8, 8)])
def test_options_are_agreed_upon(asked, block):
    client = Tftp(Wire())
    answers = client.request("boot/kernel", tsize=0, blksize=asked, multicast="")
    assert answers == [b"\0\6" + b"\0".join([b"blksize", str(block).encode(), b"tsize", b"100000", b""])]
    assert client.fetch(answers, block) == FILES["boot/kernel"]


def test_a_transfer_survives_losses_and_begins_anew():
    wire, rng = Wire(), random.Random(3)
    client = Tftp(wire)
    client.request("boot/kernel")
    assert client.fetch(client.request("two blocks", tsize=0), lose=lambda: rng.random() < 0.3) == FILES["two blocks"]
    for _ in range(20):
        wire.pass_time(1.0)
    assert wire.peer.wake_at is None


def test_an_old_acknowledgement_sends_nothing_twice():
    client = Tftp(Wire())
    client.request("boot/kernel")
    assert client.acknowledge(1)
    assert client.acknowledge(1) == [] and client.acknowledge(7) == []


@pytest.mark.parametrize("arguments, code", [
    (("nothing",), 1), (("short", 2), 2), (("short", 1, b"netascii"), 4),
])
def test_what_cannot_be_had_is_refused(arguments, code):
    answer, = Tftp(Wire()).request(*arguments)
    assert answer[:4] == struct.pack("!HH", 5, code) and answer.endswith(b"\0")


# TCP and HTTP

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Tcp:
    """A client's connection: it keeps nothing that comes too early."""

    def __init__(self, wire, rng=None, loss=0.0, window=8192, most=1000, port=3000, sequence=0xFFFF_FFF0):
        self.wire, self.rng, self.loss, self.window, self.most = wire, rng, loss, window, most
        self.port, self.own = port, bytes([192, 0, 2, 16])
        self.sequence, self.expected, self.data, self.ended, self.reset = sequence, None, b"", False, False
        self.acknowledged, self.segments = sequence, []

    def say(self, data, **options):
        """Send data, once."""
        self.emit(ACK | PSH, data, **options)
        self.sequence = (self.sequence + len(data)) & 0xFFFF_FFFF

    def segment(self, flags, data=b"", sequence=None, acknowledgement=None, options=b"", window=None):
        sequence = self.sequence if sequence is None else sequence
        acknowledgement = acknowledgement if acknowledgement is not None else self.expected or 0
        header = struct.pack("!HHIIBBHHH", self.port, 80, sequence & 0xFFFF_FFFF, acknowledgement & 0xFFFF_FFFF,
                             (5 + len(options) // 4) << 4, flags, self.window if window is None else window, 0, 0)
        segment = header + options + data
        value = 0xFFFF - ones_complement(pseudo(self.own, SERVER_IP, 6, segment))
        return ip(self.own, SERVER_IP, 6, segment[:16] + struct.pack("!H", value) + segment[18:])

    def lost(self):
        return self.rng is not None and self.rng.random() < self.loss

    def emit(self, *arguments, **options):
        if not self.lost():
            self.wire.peer.receive(self.segment(*arguments, **options))

    def take(self):
        """Segments that arrive: (flags, sequence, acknowledgement, data), put in a random order if some may be lost."""
        found = []
        for frame in self.wire.take():
            source, destination, protocol, segment = unpack(frame)
            assert (source, destination, protocol) == (SERVER_IP, self.own, 6)
            assert ones_complement(pseudo(source, destination, 6, segment)) == 0xFFFF
            server, port, sequence, acknowledgement, offset, flags = struct.unpack("!HHIIBB", segment[:14])
            assert (server, port) == (80, self.port)
            if not self.lost():
                found.append((flags, sequence, acknowledgement, segment[(offset >> 4) * 4:]))
        if self.loss:
            self.rng.shuffle(found)
        return found

    def open(self):
        for _ in range(50):
            self.emit(SYN, options=struct.pack("!BBHBB", 2, 4, self.most, 1, 0) + bytes(2))
            for flags, sequence, acknowledgement, _ in self.take():
                assert flags == SYN | ACK and acknowledgement == (self.sequence + 1) & 0xFFFF_FFFF
                self.expected = (sequence + 1) & 0xFFFF_FFFF
            if self.expected is not None:
                self.sequence = (self.sequence + 1) & 0xFFFF_FFFF
                self.acknowledged = self.sequence
                self.emit(ACK)
                return
            self.wire.pass_time(0.5)
        raise AssertionError("no connection")

    def receive(self):
        """Take what comes; each segment is acknowledged."""
        for flags, sequence, acknowledgement, data in self.take():
            if flags & RST:
                self.reset = True
                return
            assert flags & ACK and len(data) <= self.most
            self.segments.append((sequence, len(data)))
            if (acknowledgement - self.acknowledged) & 0xFFFF_FFFF < 1 << 31:
                self.acknowledged = acknowledgement
            if sequence == self.expected and not self.ended:
                self.data += data
                self.expected = (self.expected + len(data) + (flags & FIN)) & 0xFFFF_FFFF
                self.ended = flags & FIN == FIN
            if data or flags & (FIN | SYN):
                self.emit(ACK)

    def get(self, text, patience=4000):
        """Ask, take the answer to its end, close."""
        request = text.encode()
        begin, end = self.sequence, (self.sequence + len(request)) & 0xFFFF_FFFF
        for _ in range(patience):
            if self.acknowledged == begin:
                self.emit(ACK | PSH, request, sequence=begin)
                self.sequence = end
            before = len(self.data)
            self.receive()
            if self.ended:
                break
            if len(self.data) == before:
                self.wire.frames += self.wire.pass_time(0.25)
        assert self.ended, f"{len(self.data)} bytes came"
        for _ in range(50):
            self.emit(ACK | FIN, sequence=end)
            self.receive()
            if self.acknowledged == (end + 1) & 0xFFFF_FFFF:
                return self.data
            self.wire.frames += self.wire.pass_time(0.5)
        raise AssertionError("the end was not acknowledged")


def body(response, status="200 OK"):
    head, _, content = response.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"HTTP/1.1 {status}"
    fields = dict(line.split(": ") for line in lines[1:])
    assert fields["Connection"] == "close"
    return content, int(fields["Content-Length"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_fetched_by_http(name):
    wire = Wire()
    client = Tcp(wire)
    client.open()
    url = "/" + name.replace(" ", "%20")
    content, length = body(client.get(f"GET {url} HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"))
    assert content == FILES[name] and length == len(content)
    assert wire.peer.served_by_http == [name]
    wire.pass_time(3)
    assert wire.peer.tcp.open == 0 and wire.peer.wake_at is None


@pytest.mark.parametrize("seed", range(20))
def test_a_file_is_fetched_while_segments_are_lost(seed):
    """A third of them at worst, and the others arrive in any order; windows and sizes of segments vary."""
    rng = random.Random(seed)
    client = Tcp(Wire(), rng, loss=rng.choice([0.02, 0.15, 0.3]), window=rng.choice([500, 2000, 65535]),
                 most=rng.choice([536, 1000, 1460]), sequence=rng.getrandbits(32))
    client.open()
    content, _ = body(client.get("GET /boot/kernel HTTP/1.1\r\n\r\n"))
    assert content == FILES["boot/kernel"]


def test_a_request_in_many_segments_is_one_request():
    wire = Wire()
    client = Tcp(wire)
    client.open()
    text = "HEAD /short HTTP/1.0\r\nHost: x\r\n\r\n"
    for character in text[:-1]:
        client.say(character.encode())
        client.receive()
    assert client.data == b""
    assert body(client.get(text[-1])) == (b"", 5)


@pytest.mark.parametrize("text, status", [
    ("GET /none HTTP/1.1", "404 Not Found"), ("POST /short HTTP/1.1", "405 Method Not Allowed"),
    ("GET /short", "400 Bad Request"), ("x" * 9000, "400 Bad Request"),
])
def test_other_requests_are_refused(text, status):
    client = Tcp(Wire())
    client.open()
    if len(text) > 1400:
        for at in range(0, len(text), 1000):
            client.say(text[at:at + 1000].encode())
        client.receive()
        assert body(client.data, status)
    else:
        body(client.get(text + "\r\n\r\n"), status)


def test_no_more_is_sent_than_the_window_takes():
    client = Tcp(Wire(), window=1500)
    client.open()
    client.take()
    client.say(b"GET /boot/kernel HTTP/1.1\r\n\r\n")
    sent = [(sequence - client.expected, len(data)) for _, sequence, _, data in client.take() if data]
    assert sent == [(0, 1000), (1000, 500)]


def test_a_closed_window_is_probed_and_opens_again():
    wire = Wire()
    client = Tcp(wire)
    client.open()
    client.take()
    client.say(b"GET /boot/kernel HTTP/1.1\r\n\r\n", window=0)
    assert [data for _, _, _, data in client.take() if data] == []
    wire.frames += wire.pass_time(0.6)
    assert [len(data) for _, _, _, data in client.take()] == [1]
    client.emit(ACK, window=4000)
    client.window = 4000
    for _ in range(200):
        client.receive()
        wire.frames += wire.pass_time(0.3)
    assert body(client.data)[0] == FILES["boot/kernel"]


def test_three_acknowledgements_of_one_byte_bring_it_again_at_once():
    client = Tcp(Wire(), window=65535)
    client.open()
    client.take()
    client.say(b"GET /boot/kernel HTTP/1.1\r\n\r\n")
    first = client.expected
    assert len([1 for _, _, _, data in client.take() if data]) == 16
    for _ in range(3):
        assert client.take() == []
        client.emit(ACK)
    (_, sequence, _, data), = client.take()
    assert (sequence, len(data)) == (first, 1000)


def test_a_segment_to_nobody_is_answered_with_a_reset():
    client = Tcp(Wire())
    client.emit(ACK, acknowledgement=0x1234)
    assert client.take() == [(RST, 0x1234, 0, b"")]
    client.emit(RST)
    assert client.take() == []
    client = Tcp(Wire())
    frame = bytearray(client.segment(SYN))
    frame[36:38] = (81).to_bytes(2, "big")
    checksum = int.from_bytes(frame[50:52], "big") - 1
    frame[50:52] = checksum.to_bytes(2, "big")
    client.wire.peer.receive(bytes(frame))
    segment = unpack(client.wire.take()[0])[3]
    assert segment[13] == RST | ACK and int.from_bytes(segment[8:12], "big") == client.sequence + 1


def test_a_reset_ends_a_connection():
    wire = Wire()
    client = Tcp(wire)
    client.open()
    client.take()
    client.say(b"GET /boot/kernel HTTP/1.1\r\n\r\n")
    client.emit(RST)
    assert wire.peer.tcp.open == 0 and wire.peer.wake_at is None


def test_a_client_that_has_vanished_is_forgotten():
    wire = Wire()
    client = Tcp(wire)
    client.open()
    client.say(b"GET /boot/kernel HTTP/1.1\r\n\r\n")
    for _ in range(400):
        wire.pass_time(1.0)
    assert wire.peer.tcp.open == 0 and wire.peer.wake_at is None


# Whatever comes

@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_damaged_frames_upset_nobody(seed):
    rng, wire = random.Random(seed), Wire(boot_file="short")
    own = bytes([192, 0, 2, 16])
    client = Tcp(wire, most=rng.choice([0, 1, 1460]))
    client.expected = rng.getrandbits(32)
    frames = [
        dhcp(rng.randrange(10)), udp(own, SERVER_IP, (9, 69), b"\0\1short\0octet\0blksize\0" + b"99\0" * 2),
        udp(own, SERVER_IP, (9, rng.choice([69, 49152])), rng.randbytes(rng.randrange(20)), check=rng.random() < 0.5),
        client.segment(rng.randrange(64), rng.randbytes(rng.randrange(5)), options=rng.randbytes(4 * rng.randrange(5))),
        client.segment(SYN), ip(own, SERVER_IP, rng.randrange(20), rng.randbytes(rng.randrange(60))),
    ]
    for _ in range(30):
        frame = bytearray(rng.choice(frames))
        if rng.random() < 0.5:
            del frame[rng.randrange(len(frame)):]
        for _ in range(rng.randrange(3)):
            if frame:
                frame[rng.randrange(len(frame))] = rng.getrandbits(8)
        wire.send(bytes(frame))
        wire.pass_time(rng.random())


# Frames alone

def test_a_mirror_sends_frames_back():
    back = []
    mirror = Mirror()
    mirror.connect(back.append)
    mirror.receive(HARDWARE + CLIENT + b"\x12\x34data")
    assert back == [CLIENT + HARDWARE + b"\x12\x34data"] and mirror.frames == 1


def test_a_source_counts_what_comes_back():
    now, sent = [0.0], []
    source = Source(CLIENT, 100, lambda: now[0], size=64, window=8)
    source.connect(sent.append)
    source.start()
    assert len(sent) == 8 and {len(frame) for frame in sent} == {64} and len(set(sent)) == 8
    for number, frame in enumerate(sent):
        if number == 50:
            source.receive(frame)
        elif number != 60:
            source.receive(frame[6:12] + frame[:6] + frame[12:])
    assert (source.sent, source.returned, source.strange) == (100, 98, 1)
    now[0] = 2.0
    source.wake(2.0)
    assert source.done and source.lost == 2 and source.wake_at is None

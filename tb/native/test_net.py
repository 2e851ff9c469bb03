"""Network devices in software on a design with virtual functions: frames cross rings, TLPs and a cable."""

import random

import frames
import pytest
from attached import Machine
from selection import full
from system.devices import both_interfaces
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")
pytestmark = pytest.mark.broad

from virtio_mmr_sim.device.net import Net  # noqa: E402
from virtio_mmr_sim.device.network.mirror import Mirror, turned  # noqa: E402
from virtio_mmr_sim.device.peer import Peer  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

DEVICE = f"""
schema = 1
[device]
kind = "net"
identity = "legacy-memory"
[features]
offer = ["NET_CSUM", "NET_MAC", "NET_STATUS", "NET_MRG_RXBUF", "RING_INDIRECT_DESC", "RING_EVENT_IDX"]
[queues]
sizes = [64, 64]
[interrupts]
msix_vectors = 3
{both_interfaces(4)}[config]
mac = "52:54:00:12:34:56"
[control]
gate_open = true
[datapath]
width = 128
max_payload = 256
[requester]
reads = 32
timeout = 4096
[vf]
count = 5
[vf.bars.0]
kind = "memory64"
prefetchable = true
regions = [
    {{ space = "legacy",  offset = 0x0000, size = 0x1000 }},
    {{ space = "control", offset = 0x1000, size = 0x1000 }},
    {{ space = "isr",     offset = 0x2000, size = 0x1000 }},
    {{ space = "device",  offset = 0x3000, size = 0x1000 }},
    {{ space = "msix",    offset = 0x4000, size = 0x1000 }},
]
"""

#: Where a driver's buffers are: so far apart, for receiving and for sending.
RECEIVE, TRANSMIT, APART = 0x20_0000, 0x28_0000, 2048

MERGEABLE, CHECKSUM = 1 << 15, 1


@pytest.fixture(scope="module")
def design(request):
    described = config.loads(DEVICE)
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


class Card:
    """A driver's frames."""

    def __init__(self, driver, header, base=0):
        self.driver, self.header, self.base = driver, header, base
        self.memory = driver.machine.memory
        self.slots, self.sent = {}, 0

    def lend(self, count, length=1600, parts=1):
        """Give buffers for receiving."""
        ring = self.driver.rings[0]
        for _ in range(count):
            slot = len(self.slots)
            address = self.base + RECEIVE + APART * slot
            share = length // parts
            buffers = [(address + share * part, share) for part in range(parts)]
            self.slots[ring.add([], buffers)] = (address, length)
        self.driver.notify(0)

    def send(self, frame, header=b"", split=False):
        address = self.base + TRANSMIT + APART * (self.sent % 16)
        data = header.ljust(self.header, b"\0") + frame
        self.memory.write(address, data)
        buffers = [(address, len(data))]
        if split:
            # The legacy framing: the header in a buffer of its own.
            buffers = [(address, self.header), (address + self.header, len(frame))]
        self.driver.rings[1].add(buffers, [])
        self.sent += 1
        self.driver.notify(1)

    def received(self):
        """Frames, and how many buffers each took."""
        found, waiting = [], 0
        for head, written in self.driver.rings[0].collect():
            address, _ = self.slots[head]
            data = self.memory.read(address, written)
            if waiting:
                found[-1][0] += data
            else:
                waiting = int.from_bytes(data[10:12], "little") if self.header == 12 else 1
                found.append([data[self.header:], waiting])
            waiting -= 1
        assert waiting == 0
        return [tuple(pair) for pair in found]

    def exchange(self, frame, **how):
        """Send a frame; what comes back."""
        self.send(frame, **how)
        found = []
        self.driver.machine.run(lambda: found.extend(self.received()) or found)
        return found


def machine_of(design, link=None, others=Mirror, clock=None):
    """A machine whose physical function has *link*, and each virtual one a mirror of its own."""
    links = [link or Mirror(), *(others() for _ in range(5))]
    return Machine(*design, lambda number: Net(links[number]), clock=clock), links


def frame_of(length, seed=1):
    return random.Random(seed).randbytes(length)


@pytest.mark.parametrize("kind, features, header", [
    ("linux", 0, 10), ("linux", MERGEABLE, 12), ("linux", (1 << 32) - 1, 12), ("modern", (1 << 64) - 1, 12),
    ("modern", 1 << 32 | 1 << 29, 12),
])
def test_frames_come_back_from_the_other_end(design, kind, features, header):
    machine, _ = machine_of(design)
    driver = machine.modern_driver(features=features) if kind == "modern" else machine.legacy_driver(features=features)
    card = Card(driver, header)
    card.lend(20)
    for length in (14, 15, 60, 61, 333, 1514):
        frame = frame_of(length)
        assert card.exchange(frame, split=length == 60) == [(turned(frame), 1)]
    assert card.driver.rings[1].collect()
    assert machine.faults == [] and machine.model.violation_counts() == {}


def test_a_frame_fills_as_many_mergeable_buffers_as_it_needs(design):
    machine, _ = machine_of(design)
    card = Card(machine.legacy_driver(features=MERGEABLE), 12)
    card.lend(1, 400)
    frame = frame_of(1514)
    card.send(frame)
    machine.settle()
    assert card.received() == [], "one is not enough"
    card.lend(2, 400)
    machine.settle()
    assert card.received() == []
    card.lend(7, 400)
    machine.settle()
    assert card.received() == [(turned(frame), 4)]
    assert card.exchange(frame_of(60)) == [(turned(frame_of(60)), 1)]


def test_a_frame_that_no_buffer_holds_is_lost_alone(design):
    machine, _ = machine_of(design)
    card = Card(machine.legacy_driver(features=0), 10)
    card.lend(4, 200, parts=3)
    card.send(frame_of(300))
    assert card.exchange(frame_of(150)) == [(turned(frame_of(150)), 1)]
    assert machine.faults == []


def test_a_frame_that_a_queue_full_of_buffers_does_not_hold_is_lost_alone(design):
    machine, _ = machine_of(design)
    card = Card(machine.legacy_driver(features=MERGEABLE), 12)
    card.lend(64, 20)
    card.send(frame_of(1514))
    assert card.exchange(frame_of(60)) == [(turned(frame_of(60)), 4)]
    assert machine.faults == []


def test_a_checksum_that_the_driver_leaves_open_is_completed(design):
    machine, _ = machine_of(design, Peer())
    card = Card(machine.legacy_driver(features=CHECKSUM), 10)
    card.lend(4)
    own = bytes([192, 0, 2, 16])
    request = frames.udp(own, frames.SERVER_IP, (2000, 69), b"\0\1none\0octet\0")
    pseudo = own + frames.SERVER_IP + bytes((0, 17)) + request[38:40]
    request = request[:40] + frames.ones_complement(pseudo).to_bytes(2, "big") + request[42:]
    (answer, _), = card.exchange(request, header=b"\1" + bytes(5) + (34).to_bytes(2, "little") + b"\6\0")
    assert frames.unpack_udp(answer)[3][:4] == b"\0\5\0\1"


def test_a_client_boots_over_the_link(design):
    """DHCP, then TFTP; the server's timers go by a clock that stands still."""
    now = [0.0]
    content = frame_of(3000)
    peer = Peer({"kernel": content}, boot_file="kernel", clock=lambda: now[0])
    machine, _ = machine_of(design, peer, clock=lambda: now[0])
    card = Card(machine.legacy_driver(), 12)
    card.lend(30)
    (offer, _), = card.exchange(frames.dhcp(1))
    _, _, fields, options = frames.unpack_dhcp(offer)
    (answer, _), = card.exchange(frames.dhcp(3, requested=fields["yours"], server=options[54]))
    _, _, fields, options = frames.unpack_dhcp(answer)
    assert options[53] == b"\5" and fields["file"] == b"kernel"
    own, got, port = fields["yours"], b"", 69
    request = b"\0\1" + fields["file"] + b"\0octet\0"
    while len(got) < len(content):
        (answer, _), = card.exchange(frames.udp(own, frames.SERVER_IP, (2000, port), request))
        _, _, (port, _), data = frames.unpack_udp(answer)
        assert data[:4] == b"\0\3" + (len(got) // 512 + 1).to_bytes(2, "big")
        got, request = got + data[4:], b"\0\4" + data[2:4]
        if len(got) == 1024:
            # This time the client says nothing, and time passes.
            assert machine.device.wake_at == 1.0
            now[0] = 1.0
            machine.settle()
            assert [frames.unpack_udp(again) for again, _ in card.received()] == [frames.unpack_udp(answer)]
            assert machine.device.wake_at == 2.0
            now[0] = 0.0
    assert got == content


def test_virtual_functions_have_queues_buffers_and_vectors_of_their_own(design):
    """The physical function and two virtual ones at once; a reset of one of them does not disturb the others."""
    machine, links = machine_of(design)
    cards = {}
    for number in (0, 1, 5):
        pages = [0x10 + 0x40 * number, 0x20 + 0x40 * number]
        driver = machine.legacy_driver(function=number, pages=pages, vectors=3, features=MERGEABLE)
        cards[number] = Card(driver, 12, base=0x3_0000 * number)
        cards[number].lend(30)
    for turn in range(5):
        for number, card in cards.items():
            card.send(frame_of(100 + 10 * number + turn, seed=number))
        if turn == 2:
            cards[1].driver.port.write(0x12, 1, 0)
        machine.settle()
        for number, card in cards.items():
            if number != 1 or turn < 2:
                assert card.received() == [(turned(frame_of(100 + 10 * number + turn, seed=number)), 1)]
        if turn == 2:
            del cards[1]
    assert {number for number, _ in machine.interrupts} == {0, 1, 5}
    assert {vector for _, vector in machine.interrupts} == {1, 2}
    assert [links[number].frames for number in (2, 3, 4)] == [0, 0, 0]
    assert machine.faults == [] and machine.host.dropped == 0


@pytest.mark.parametrize("number", [1, 5])
def test_a_function_level_reset_of_a_virtual_function_ends_its_traffic(design, number):
    machine, _ = machine_of(design)
    for attempt in range(2):
        driver = machine.legacy_driver(function=number, features=MERGEABLE)
        card = Card(driver, 12)
        card.lend(20)
        assert card.exchange(frame_of(99, attempt)) == [(turned(frame_of(99, attempt)), 1)]
        for _ in range(10):
            card.send(frame_of(1000))
        # Device Control of the PCI Express capability: initiate a function level reset.
        layout = driver.port._layout
        offset = next(register.offset for register in layout.registers for part in register.fields
                      if part.view_of == "control.initiate_reset")
        driver.port.config_write(offset & ~3, 1 << 15, 0b0011)
        assert driver.status() == 0
        before = bytes(machine.memory.bytes)
        machine.settle()
        assert machine.memory.bytes == before
        driver.port.command(4)
        driver.port.gate(True)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_rings_say_the_link_stays_up(design, seed):
    """Buffers of random lengths in random places, some of them nowhere; then another function still works."""
    rng = random.Random(seed)
    machine, _ = machine_of(design)
    driver = machine.legacy_driver(function=2, features=rng.choice([0, MERGEABLE, (1 << 32) - 1]))
    for _ in range(4):
        for ring in driver.rings:
            for index in range(ring.size):
                address = rng.choice([RECEIVE, TRANSMIT, rng.randrange(1 << 22), rng.getrandbits(64)])
                length = rng.choice([0, 1, 10, 12, 60, 1514, 70000, rng.getrandbits(32)])
                ring.descriptor(ring.descriptors, index, address, length, rng.choice([0, 1, 2, 3, 4, 5]),
                                rng.choice([(index + 1) % 64, rng.randrange(64), 0x1234]))
                ring.put(ring.available + 4 + 2 * index, rng.randrange(64), 2)
            ring.put(ring.available + 2, ring.get(ring.available + 2, 2) + rng.randrange(8), 2)
        for queue in (0, 1):
            driver.notify(queue)
        machine.device._devices[2].send(frame_of(rng.randrange(14, 1515)))
        machine.settle()
    card = Card(machine.legacy_driver(function=3, features=0, pages=[0x300, 0x310]), 10)
    card.lend(3)
    assert card.exchange(frame_of(80)) == [(turned(frame_of(80)), 1)]
    assert machine.model.violation_counts() == {}


@pytest.mark.parametrize("seed", [*range(4), *full(*range(4, 150))])
def test_what_happens_to_one_function_leaves_the_others_alone(design, seed):
    """Frames of the physical function and of virtual ones, while one after the other is reset, stopped, or taken away.

    What was taken away moves nothing from the next answer on; what was left alone loses nothing.
    """
    rng = random.Random(seed)
    machine, links = machine_of(design)
    machine.model.randomize(seed, **{where: rng.choice([0, 0.3, 0.6]) for where in
                                     ("rx_gap", "tx_stall", "be_stall", "be_gap")})
    cards, expected = {}, {}

    def start(number):
        pages = [0x10 + 0x40 * number, 0x20 + 0x40 * number]
        driver = machine.legacy_driver(rng.choice(["linux", "freebsd"]), function=number, pages=pages,
                                       features=MERGEABLE | rng.choice([0, 3 << 28]))
        cards[number], expected[number] = Card(driver, 12, base=0x2_0000 * number), []
        cards[number].lend(40)

    for number in (0, 1, 3, 5):
        start(number)
    for _ in range(5):
        for number, card in cards.items():
            for _ in range(rng.randrange(4)):
                frame = frame_of(rng.randrange(60, 1500), rng.random())
                card.send(frame)
                expected[number].append(turned(frame))
        for _ in range(rng.randrange(80)):
            machine.turn()
            machine.model.clock(rng.randrange(1, 8))
        victim, what = rng.choice([1, 3, 5]), rng.choice(["status", "function level reset", "all virtual functions"])
        gone = [1, 3, 5] if what == "all virtual functions" else [victim]
        port = cards[victim].driver.port
        if what == "status":
            port.write(0x12, 1, 0)
            assert port.read(0x12, 1) == 0
        elif what == "function level reset":
            offset = next(register.offset for register in port._layout.registers for part in register.fields
                          if part.view_of == "control.initiate_reset")
            port.config_write(offset & ~3, 1 << 15, 0b0011)
        else:
            machine.model.config_write(machine.sriov_control, 16, 0b0011)
        machine.host.step()
        areas = [(0x2_0000 * number + RECEIVE, 0x2_0000) for number in gone]
        areas += [((0x10 + 0x40 * number) << 12, 0x2_0000) for number in gone]
        before = [machine.memory.read(*area) for area in areas]
        machine.settle()
        assert [machine.memory.read(*area) for area in areas] == before
        if what == "all virtual functions":
            machine.enable_virtual()
        elif what != "status":
            port.command(4)
            port.gate(True)
        for number, card in cards.items():
            if number not in gone:
                assert [frame for frame, _ in card.received()] == expected[number]
                card.driver.rings[1].collect()
                expected[number].clear()
                card.lend(40 - len(card.driver.rings[0].outstanding))
        for number in gone:
            start(number)
    assert machine.faults == [] and machine.model.violation_counts() == {}
    assert [links[number].frames for number in (2, 4)] == [0, 0]

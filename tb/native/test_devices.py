"""Devices in software on the generated design: every byte of rings and buffers crosses the link as a TLP."""

import random
import re
from pathlib import Path

import pytest
from attached import Machine
from selection import full
from system.devices import both_interfaces
from virtio_mmr import config
from virtio_mmr.config.device import Space
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from virtio_mmr_sim.device.block import Block  # noqa: E402
from virtio_mmr_sim.device.entropy import Entropy  # noqa: E402
from virtio_mmr_sim.native.host_memory import Ram  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

#: A block device for every driver, with all that the rings can do.
BLOCK = f"""
schema = 1
[device]
kind = "block"
identity = "legacy-memory"
[features]
offer = ["BLK_FLUSH", "BLK_SEG_MAX", "RING_INDIRECT_DESC", "RING_EVENT_IDX", "NOTIFY_ON_EMPTY", "RING_RESET"]
[queues]
sizes = [64]
[interrupts]
msix_vectors = 2
intx = true
{both_interfaces(4)}[control]
big_endian = true
gate_open = true
[datapath]
width = 128
max_payload = 256
[requester]
reads = 32
largest_read = 512
timeout = 4096
"""

READ, WRITE, FLUSH, GET_ID = 0, 1, 4, 8
HEADER, STATUS, DATA, TABLE = 0x10_0000, 0x10_0100, 0x20_0001, 0x30_0000


@pytest.fixture(scope="module")
def design(request):
    described = config.loads(BLOCK)
    with NativeModel(described, optimize=request.config.getoption("full", default=False)) as native:
        yield native, described


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(random.Random(5).randbytes(256 * 512))
    return path


@pytest.fixture
def machine(design, image):
    device = Block(image, serial="a disk")
    yield Machine(*design, lambda number: device)
    device.close()


def ready(machine, kind, **options):
    return machine.modern_driver(**options) if kind == "modern" else machine.legacy_driver(kind, **options)


def sector(image, number):
    """What stands in a sector of the image."""
    return image.read_bytes()[512 * number:512 * number + 512]


class Disk:
    """Requests of a block driver."""

    def __init__(self, driver, indirect=False):
        self.driver, self.memory = driver, driver.machine.memory
        self.where = {"indirect": TABLE} if indirect else {}

    def request(self, kind, sector=0, out=(), into=()):
        """The status, and how many bytes were written."""
        self.memory.write(HEADER, kind.to_bytes(4, "little") + bytes(4) + sector.to_bytes(8, "little"))
        self.memory.write(STATUS, b"\xee")
        written = self.driver.request(0, [(HEADER, 16), *out], [*into, (STATUS, 1)], **self.where)
        return self.memory.read(STATUS, 1)[0], written

    def read(self, sector, *parts):
        assert self.request(READ, sector, into=parts) == (0, sum(length for _, length in parts) + 1)
        return b"".join(self.memory.read(*part) for part in parts)

    def write(self, sector, data, *parts):
        at = 0
        for address, length in parts:
            self.memory.write(address, data[at:at + length])
            at += length
        assert self.request(WRITE, sector, out=parts) == (0, 1)


@pytest.mark.parametrize("kind, indirect, features", [
    ("linux", False, 0), ("linux", True, 0xFFFF_FFFF), ("modern", True, (1 << 64) - 1),
])
def test_sectors_are_read_and_written(machine, image, kind, indirect, features):
    disk = Disk(ready(machine, kind, features=features), indirect)
    content = image.read_bytes()
    assert disk.read(3, (DATA, 512)) == content[1536:2048]
    # Any number of bytes in any place.
    parts = (0x20_0001, 700), (0x20_1003, 5), (0x20_2FFF, 319), (0x20_4000, 15 * 512)
    assert disk.read(100, *parts) == content[51200:51200 + 17 * 512]
    data = random.Random(6).randbytes(17 * 512)
    disk.write(200, data, *parts)
    assert image.read_bytes() == content[:102400] + data + content[102400 + len(data):]
    assert disk.request(FLUSH) == (0, 1)
    assert disk.request(GET_ID, into=[(DATA, 20)]) == (0, 21)
    assert machine.memory.read(DATA, 20) == b"a disk".ljust(20, b"\0")
    assert machine.host.dropped == machine.host.refused == 0
    assert machine.model.violation_counts() == {}


def test_the_driver_reads_the_capacity_of_the_image(machine):
    machine.legacy_driver()
    assert int.from_bytes(bytes(machine.ports[0].read(0x14 + at, 1) for at in range(8)), "little") == 256


@pytest.mark.parametrize("what, said", [
    ((READ, 256, 512), 1), ((READ, 255, 1024), 1), ((READ, 0, 100), 1), ((READ, 1 << 63, 512), 1), ((77, 0, 0), 2),
])
def test_what_cannot_be_served_ends_with_an_error_and_leaves_the_buffer_alone(machine, what, said):
    disk = Disk(machine.legacy_driver())
    kind, sector, length = what
    machine.memory.write(DATA, b"\x5A" * 2048)
    # "Written" counts from the first byte on, so the status counts only where nothing stands before it.
    assert disk.request(kind, sector, into=[(DATA, length)] if length else []) == (said, int(not length))
    assert machine.memory.read(DATA, 2048) == b"\x5A" * 2048


def test_a_mebibyte_is_read_in_a_queue_full_of_requests(machine, image):
    """It is the whole image, eight times."""
    driver = machine.legacy_driver()
    ring, memory = driver.rings[0], machine.memory
    content = image.read_bytes()
    for turn in range(8):
        for number in range(16):
            memory.write(HEADER + 16 * number, bytes(8) + (16 * number).to_bytes(8, "little"))
            ring.write_chain([(HEADER + 16 * number, 16)], [(0x20_0000 + 8192 * number, 8192), (STATUS + number, 1)])
        ring.make_available(*ring.outstanding)
        driver.notify(0)
        got = []
        machine.run(lambda: got.extend(ring.collect()) or len(got) == 16)  # noqa: B023
        assert memory.read(0x20_0000, len(content)) == content, turn
        memory.write(0x20_0000, bytes(len(content)))


def test_entropy_differs(design):
    machine = Machine(*design, lambda number: Entropy())
    driver = machine.legacy_driver()
    got = set()
    for length in (1, 64, 64, 4096, 5000):
        written = driver.request(0, [], [(DATA, length)])
        assert written == min(length, 4096)
        got.add(machine.memory.read(DATA, written))
    assert len(got) == 5


# Interrupts

def test_each_request_interrupts_by_message_or_by_line(machine):
    driver = machine.legacy_driver(vectors=2)
    disk = Disk(driver)
    disk.read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == [(0, 1)]
    driver.port.write(0x12, 1, 0)
    driver.port.set_msix(False)
    machine.interrupts.clear()
    driver = machine.legacy_driver()
    Disk(driver).read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == ["inta"]
    assert driver.port.read(0x13, 1) == 1
    machine.settle()
    assert machine.interrupts == ["inta", "no inta"]


def test_no_interrupt_where_the_driver_wants_none(machine):
    driver = machine.legacy_driver(vectors=2, features=0)
    disk = Disk(driver)
    driver.rings[0].no_interrupts()
    disk.read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == []
    driver.rings[0].no_interrupts(False)
    disk.read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == [(0, 1)]


def test_an_event_index_names_the_request_that_interrupts(machine):
    driver = machine.legacy_driver(vectors=2, features=~(1 << 24))
    disk = Disk(driver)
    assert driver.rings[0].event_index
    driver.rings[0].interrupt_at(2)
    for wanted in ([], [], [(0, 1)], []):
        machine.interrupts.clear()
        disk.read(0, (DATA, 512))
        machine.settle()
        assert machine.interrupts == wanted


def test_an_emptied_ring_interrupts_though_the_driver_wants_none(machine):
    """If NOTIFY_ON_EMPTY was negotiated, and only then."""
    driver = machine.legacy_driver(vectors=2, features=1 << 24)
    ring = driver.rings[0]
    ring.no_interrupts()
    Disk(driver).read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == [(0, 1)]
    driver.port.write(0x12, 1, 0)
    driver = machine.legacy_driver(vectors=2, features=0)
    driver.rings[0].no_interrupts()
    machine.interrupts.clear()
    Disk(driver).read(0, (DATA, 512))
    machine.settle()
    assert machine.interrupts == []


# What gets in the way

def flood(driver, count=16, length=8192):
    """Requests for more than the link carries in a while."""
    ring, memory = driver.rings[0], driver.machine.memory
    for number in range(count):
        memory.write(HEADER + 16 * number, bytes(16))
        ring.write_chain([(HEADER + 16 * number, 16)], [(0x20_0000, length), (STATUS, 1)])
    ring.make_available(*ring.outstanding)
    driver.notify(0)


@pytest.mark.parametrize("turns", [1, 5, 20, 80, 200])
@pytest.mark.parametrize("kind", ["linux", "modern"])
def test_after_a_reset_in_the_middle_of_traffic_not_a_byte_moves(machine, image, kind, turns):
    """The driver resets, gives its memory to others at once, and starts anew."""
    driver = ready(machine, kind)
    flood(driver)
    for _ in range(turns):
        machine.turn()
        machine.model.clock(4)
    if kind == "modern":
        machine.ports[0].put(Space.COMMON, 0x14, 1, 0)
    else:
        machine.ports[0].write(0x12, 1, 0)
    # The read of the status that the driver waits for: behind it, memory is its own again.
    assert (machine.ports[0].get(Space.COMMON, 0x14, 1) if kind == "modern" else driver.status()) == 0
    before = bytes(machine.memory.bytes)
    machine.settle()
    assert machine.memory.bytes == before
    assert Disk(ready(machine, kind)).read(7, (DATA, 512)) == sector(image, 7)
    assert machine.faults == []


@pytest.mark.parametrize("turns", [1, 10, 50, 150])
@pytest.mark.parametrize("way", ["gate", "bus master"])
def test_behind_a_closed_gate_everything_waits_and_then_goes_on(machine, image, way, turns):
    driver = machine.legacy_driver()
    flood(driver, 4)
    for _ in range(turns):
        machine.turn()
        machine.model.clock(4)
    if way == "gate":
        machine.ports[0].gate(False)
    else:
        machine.ports[0].command(3)
    assert driver.status() == 7
    before = bytes(machine.memory.bytes)
    machine.settle()
    assert machine.memory.bytes == before and machine.device.idle
    if way == "gate":
        machine.ports[0].gate(True)
    else:
        # Nobody tells a device of this: the driver notifies again.
        machine.ports[0].command(7)
        driver.notify(0)
    got = driver.rings[0].collect()
    machine.run(lambda: got.extend(driver.rings[0].collect()) or len(got) == 4)
    assert {written for _, written in got} == {8193}
    assert machine.memory.read(0x20_0000, 8192) == image.read_bytes()[:8192]
    assert machine.faults == []


def test_a_buffer_that_ends_outside_of_memory_stops_the_device(machine, image):
    """The first half of what the driver wants written is there, the second is not."""
    driver = machine.legacy_driver()
    end = len(machine.memory.bytes)
    machine.memory.write(HEADER, WRITE.to_bytes(4, "little") + bytes(12))
    driver.rings[0].add([(HEADER, 16), (end - 512, 1024)], [(STATUS, 1)])
    before = machine.device.functions[0].epoch
    driver.notify(0)
    machine.settle()
    assert [(queue, cause) for queue, cause, _ in machine.faults] == [(0, 2)]
    assert driver.status() & 0x40
    assert machine.ports[0].get(Space.CONTROL, 0x14, 4) == 1 << 2
    assert machine.device.functions[0].epoch != before
    # A reset alone does not help: first somebody says that it was seen.
    machine.ports[0].write(0x12, 1, 0)
    machine.ports[0].put(Space.CONTROL, 0x14, 4, 1 << 2)
    assert Disk(machine.legacy_driver()).read(0, (DATA, 512)) == sector(image, 0)


@pytest.mark.parametrize("spoil, cause", [
    (lambda ring, memory: ring.put(ring.available + 4, 64, 2), 3),
    (lambda ring, memory: ring.put(ring.available + 2, 65, 2), 3),
    (lambda ring, memory: ring.descriptor(ring.descriptors, 63, 0xFFFF_0000, 16, 4, 0), 2),
    (lambda ring, memory: ring.descriptor(ring.descriptors, 63, HEADER, 15, 0, 0), 3),
    (lambda ring, memory: ring.descriptor(ring.descriptors, 63, HEADER, 16, 1, 63), 3),
])
def test_a_ring_that_breaks_the_rules_stops_the_device(machine, spoil, cause):
    driver = machine.legacy_driver()
    driver.rings[0].add([(HEADER, 16)], [(STATUS, 1)])
    spoil(driver.rings[0], machine.memory)
    driver.notify(0)
    machine.settle()
    assert [(queue, found) for queue, found, _ in machine.faults] == [(0, cause)]
    assert machine.ports[0].get(Space.CONTROL, 0x14, 4) == 1 << cause


def test_rings_outside_of_memory_stop_the_device(machine):
    driver = machine.legacy_driver()
    machine.ports[0].write(0x08, 4, 0x10_0000)
    driver.notify(0)
    machine.settle()
    assert [(queue, found) for queue, found, _ in machine.faults] == [(0, 1)]


@pytest.mark.parametrize("turns", [10, 40, 60, 80, 100, 120, 140, 160])
def test_a_queue_that_is_reset_alone_is_let_go_of_and_can_be_started_again(machine, image, turns):
    driver = machine.modern_driver()
    flood(driver)
    for _ in range(turns):
        machine.turn()
        machine.model.clock(4)
    machine.ports[0].put(Space.COMMON, 0x16, 2, 0)
    machine.ports[0].put(Space.COMMON, 0x3A, 2, 1)
    machine.run(lambda: machine.ports[0].get(Space.COMMON, 0x3A, 2) == 0)
    before = bytes(machine.memory.bytes)
    machine.settle()
    assert machine.memory.bytes == before
    ring = driver.rings[0]
    machine.clear(ring.descriptors, ring.available, ring.used, ring.size)
    driver.rings[0] = type(ring)(ring.memory, ring.size, ring.descriptors, ring.available, ring.used, event_index=True)
    driver.play(driver.scripts.activate(0))
    driver.play(driver.scripts.enable(0))
    assert Disk(driver).read(3, (DATA, 512)) == sector(image, 3)


class WatchedRam(Ram):
    """Memory that notes where it was written to."""

    def __init__(self, size):
        super().__init__(size)
        self.log = []

    def write(self, address, data):
        super().write(address, data)
        self.log.append((address, address + len(data)))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_stands_in_memory_the_device_answers_or_stops(design, image, seed):
    """Descriptors, rings and headers at random, with a few bits of sense: no hang, no exception, no stray write."""
    rng = random.Random(seed)
    disk = Block(image)
    machine = Machine(*design, lambda number: disk, memory=WatchedRam(1 << 22))
    driver = ready(machine, rng.choice(["linux", "modern"]))
    ring, memory = driver.rings[0], machine.memory
    for _ in range(6):
        lent = [(ring.used, ring.used + 6 + 8 * ring.size)]
        for index in range(ring.size):
            address = rng.choice([HEADER, DATA, TABLE, rng.getrandbits(64), rng.randrange(1 << 22)])
            length = rng.choice([0, 1, 16, 17, 512, 1024, rng.getrandbits(32), rng.randrange(70000)])
            flags = [rng.choice([0, 1, 2, 3, 4, rng.getrandbits(16)]), rng.getrandbits(3)]
            ring.descriptor(ring.descriptors, index, address, length, flags[0],
                            rng.choice([index + 1, rng.randrange(ring.size), rng.getrandbits(16)]) & 0xFFFF)
            ring.descriptor(TABLE, index, address, length, flags[1], rng.randrange(80))
            if (flags[0] | flags[1]) & 2:
                lent.append((address, address + length))
            ring.put(ring.available + 4 + 2 * index, rng.choice([index, rng.randrange(ring.size)]), 2)
        memory.write(HEADER, rng.choice([READ, WRITE, GET_ID, rng.getrandbits(32)]).to_bytes(4, "little")
                     + bytes(4) + rng.choice([0, 3, rng.getrandbits(64)]).to_bytes(8, "little"))
        made = ring.get(ring.available + 2, 2) + rng.choice([1, 3, ring.size, rng.getrandbits(16)])
        ring.put(ring.available + 2, made & 0xFFFF, 2)
        memory.log.clear()
        driver.notify(0)
        machine.settle()
        assert machine.device.idle
        assert all(any(first <= start and end <= last for first, last in lent) for start, end in memory.log)
        if machine.faults:
            break
    machine.ports[0].write(0x12, 1, 0)
    machine.ports[0].put(Space.CONTROL, 0x14, 4, 0xFF)
    machine.settle()
    assert Disk(machine.legacy_driver()).read(3, (DATA, 512)) == sector(image, 3)
    assert machine.model.violation_counts() == {}
    disk.close()


@pytest.mark.parametrize("seed", [*range(5), *full(*range(5, 200))])
def test_whatever_the_link_and_the_driver_do_every_request_is_served_right(design, image, seed):
    """Random gaps and stalls; bursts of requests, in the middle of which the gate closes, or the driver resets."""
    rng = random.Random(seed)
    disk = Block(image)
    machine = Machine(*design, lambda number: disk)
    machine.model.randomize(seed, **{where: rng.choice([0, 0.3, 0.7]) for where in
                                     ("rx_gap", "tx_stall", "be_stall", "be_gap")})
    driver = None
    for _ in range(10):
        if driver is None:
            driver = ready(machine, rng.choice(["linux", "freebsd", "dpdk-uio", "windows", "modern"]),
                           features=(1 << 32 | rng.choice([0, 1 << 28, 3 << 28])))
        requests = [Random(rng, machine.memory, number) for number in range(rng.randrange(1, 6))]
        heads = [request.put_into(driver, rng) for request in requests]
        driver.rings[0].make_available(*heads)
        driver.notify(0)
        what = rng.choice(["nothing", "gate", "bus master", "reset"])
        if what != "nothing":
            a_while(machine, rng, 60)
        if what == "gate":
            machine.ports[0].gate(False)
            a_while(machine, rng, 30)
            machine.ports[0].gate(True)
        if what == "bus master":
            machine.ports[0].command(3)
            a_while(machine, rng, 30)
            machine.ports[0].command(7)
            # Nobody tells the device; it has to have heard that it was blocked.
            machine.settle()
            driver.notify(0)
        if what == "reset":
            machine.ports[0].write(0x12, 1, 0)
            assert driver.status() == 0
            before = bytes(machine.memory.bytes)
            machine.settle()
            assert machine.memory.bytes == before
            driver = None
            continue
        got = []
        machine.run(lambda: got.extend(driver.rings[0].collect()) or len(got) == len(heads))  # noqa: B023
        assert [head for head, _ in got] == heads
        content = image.read_bytes()
        for request in requests:
            request.check(content)
    assert machine.faults == [] and machine.model.violation_counts() == {}
    disk.close()


def a_while(machine, rng, rounds):
    for _ in range(rng.randrange(rounds)):
        machine.turn()
        machine.model.clock(rng.randrange(1, 8))


class Random:
    """A request for some sectors, in two buffers; each number writes to sectors of its own, and all read others."""

    def __init__(self, rng, memory, number):
        self.memory, self.kind = memory, rng.choice([READ, WRITE])
        self.count = rng.randrange(1, 9)
        self.sector = 200 + 10 * number if self.kind == WRITE else rng.randrange(190)
        self.header, self.status, start = HEADER + 16 * number, STATUS + number, 0x20_0000 + 0x4000 * number
        self.number, cut = number, rng.randrange(512 * self.count + 1)
        first = start + rng.randrange(64)
        self.parts = [(first, cut), (first + cut + rng.randrange(300), 512 * self.count - cut)]
        for part in self.parts:
            memory.write(part[0], rng.randbytes(part[1]))
        memory.write(self.header, self.kind.to_bytes(4, "little") + bytes(4) + self.sector.to_bytes(8, "little"))
        memory.write(self.status, b"\xee")

    def put_into(self, driver, rng):
        out, into = (self.parts, []) if self.kind == WRITE else ([], self.parts)
        indirect = driver.features >> 28 & 1 and rng.random() < 0.5
        return driver.rings[0].write_chain(
            [(self.header, 16), *out], [*into, (self.status, 1)],
            **{"indirect": TABLE + 0x100 * self.number} if indirect else {})

    def check(self, content):
        assert self.memory.read(self.status, 1) == b"\0"
        data = b"".join(self.memory.read(*part) for part in self.parts)
        assert data == content[512 * self.sector:][:512 * self.count]


PAGE = Path(__file__).parents[2] / "docs" / "devices.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is in the source tree alone")
def test_python_of_the_page_on_devices_runs(design):
    machine = Machine(*design, lambda number: None)
    [text] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(text, PAGE.name, "exec"), names)
    machine.host, machine.device = names["attach"](machine.model, machine.memory)
    driver = machine.legacy_driver()
    machine.memory.write(DATA, b"forwards")
    driver.rings[0].add([(DATA, 8)], [(TABLE, 20)])
    driver.notify(0)
    while names["turn"](machine.model, machine.host, machine.device):
        pass
    assert [written for _, written in driver.rings[0].collect()] == [8]
    assert machine.memory.read(TABLE, 9) == b"sdrawrof\0"

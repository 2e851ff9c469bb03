"""Devices in software on the generated design: every byte of rings and buffers crosses the link as a TLP."""

import random

import pytest
from attached import Machine
from virtio_mmr import config
from virtio_mmr_sim import toolchain

toolchain.skip_or_fail("verilator", "g++", "make")

from virtio_mmr_sim.device.block import Block  # noqa: E402
from virtio_mmr_sim.device.entropy import Entropy  # noqa: E402
from virtio_mmr_sim.native.model import NativeModel  # noqa: E402

#: A block device for every driver, with all that the rings can do.
BLOCK = """
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
[bars.0]
kind = "memory32"
regions = [
    { space = "legacy",  offset = 0x0000, size = 0x1000 },
    { space = "control", offset = 0x1000, size = 0x1000 },
    { space = "msix",    offset = 0x2000, size = 0x1000 },
]
[bars.2]
kind = "memory64"
regions = [
    { space = "common", offset = 0x0000, size = 0x1000 },
    { space = "isr",    offset = 0x1000, size = 0x1000 },
    { space = "device", offset = 0x2000, size = 0x1000 },
    { space = "notify", offset = 0x3000, size = 0x1000, stride = 4 },
]
[control]
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
def test_what_cannot_be_served_ends_with_an_error(machine, what, said):
    disk = Disk(machine.legacy_driver())
    kind, sector, length = what
    assert disk.request(kind, sector, into=[(DATA, length)] if length else [])[0] == said


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

"""What stands between QEMU and the link, each part alone: the server, shared memory, interrupts, the archive."""

import array
import json
import mmap
import os
import shutil
import socket
import struct
import subprocess

import pytest
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.guest import initramfs, packages, vfio_user
from virtio_mmr_sim.guest.interrupts import Line, Vectors
from virtio_mmr_sim.guest.memory import GuestMemory
from virtio_mmr_sim.guest.vfio_user import CONFIG_REGION, Disconnected, ProtocolError, Region, Server
from virtio_mmr_sim.native.host_memory import OutsideMemory
from virtio_mmr_sim.oracle.fetch import FetchError

HEADER = struct.Struct("<HHIII")


class Device:
    """Notes what it is asked."""

    def __init__(self):
        self.regions = {0: Region(0x1000), CONFIG_REGION: Region(256)}
        self.vectors, self.has_line = 3, True
        self.log = []

    def region_read(self, region, offset, size):
        self.log.append(("read", region, offset, size))
        return bytes(range(size))

    def region_write(self, region, offset, data):
        self.log.append(("write", region, offset, data))

    def set_line(self, descriptor):
        self.log.append(("line", descriptor is not None))

    def mask_line(self, masked):
        self.log.append(("mask", masked))

    def set_vectors(self, start, descriptors):
        self.log.append(("vectors", start, [descriptor is not None for descriptor in descriptors]))

    def reset(self):
        self.log.append(("reset",))


class Client:
    """The other end of the socket."""

    def __init__(self):
        self.socket, theirs = socket.socketpair()
        self.device, self.memory = Device(), GuestMemory()
        self.server = Server(theirs, self.device, self.memory)

    def send(self, command, body=b"", flags=0, descriptors=()):
        data = HEADER.pack(7, command, HEADER.size + len(body), flags, 0) + body
        socket.send_fds(self.socket, [data], descriptors)

    def ask(self, command, body=b"", descriptors=()):
        """Error number and body of the answer."""
        self.send(command, body, descriptors=descriptors)
        assert self.server.step() == 1
        answer = self.socket.recv(1 << 16)
        number, same, size, flags, error = HEADER.unpack_from(answer)
        assert (number, same, size, flags & 0xF) == (7, command, len(answer), 1)
        assert bool(flags & 0x20) == bool(error)
        return error, answer[HEADER.size:]


@pytest.fixture
def client():
    made = Client()
    yield made
    made.server.close()
    made.socket.close()
    made.memory.close()


def test_the_server_agrees_on_a_version_and_says_its_limits(client):
    error, answer = client.ask(1, struct.pack("<HH", 0, 2) + b'{"capabilities":{}}\0')
    assert (error, struct.unpack_from("<HH", answer)) == (0, (0, 1))
    assert json.loads(answer[4:-1])["capabilities"]["max_msg_fds"] == 8
    client.send(1, struct.pack("<HH", 1, 0) + b"{}\0")
    with pytest.raises(ProtocolError, match=r"speaks version 1\.0"):
        client.server.step()


def test_device_regions_and_interrupts_are_described(client):
    assert struct.unpack("<IIII", client.ask(4, bytes(16))[1])[1:] == (3, 9, 5)
    for index, size in ((0, 0x1000), (1, 0), (CONFIG_REGION, 256)):
        answer = struct.unpack("<IIIIQQ", client.ask(5, struct.pack("<IIIIQQ", 32, 0, index, 0, 0, 0))[1])
        assert answer == (32, 3 if size else 0, index, 0, size, 0)
    # The line is maskable and masks itself; messages are not.
    for index, (flags, count) in enumerate([(0b0111, 1), (0b1001, 0), (0b1001, 3), (0b1001, 0), (0b1001, 0)]):
        answer = client.ask(7, struct.pack("<IIII", 16, 0, index, 0))[1]
        assert struct.unpack("<IIII", answer)[1:] == (flags, index, count)
    assert client.ask(7, struct.pack("<IIII", 16, 0, 5, 0)) == (22, b"")


def test_accesses_reach_the_device_and_posted_writes_are_not_answered(client):
    place = struct.pack("<QII", 0x12, 0, 2)
    assert client.ask(9, place) == (0, place + b"\0\1")
    client.send(10, place + b"ab", flags=0x10)
    assert client.server.step() == 1
    assert client.ask(10, place + b"cd") == (0, place)
    assert client.device.log == [("read", 0, 0x12, 2), ("write", 0, 0x12, b"ab"), ("write", 0, 0x12, b"cd")]
    assert client.ask(9, struct.pack("<QII", 0, 3, 4)) == (22, b"")


def test_a_message_in_pieces_is_one_message(client):
    data = HEADER.pack(7, 13, HEADER.size, 0, 0)
    for part in (data[:5], data[5:]):
        client.socket.sendall(part)
        client.server.step()
    assert client.device.log == [("reset",)]
    assert HEADER.unpack(client.socket.recv(100)) == (7, 13, 16, 1, 0)


def test_a_client_that_leaves_or_talks_nonsense_is_noticed(client):
    client.socket.sendall(HEADER.pack(1, 4, 3, 0, 0))
    with pytest.raises(ProtocolError, match="message 1: command 4, 3 bytes"):
        client.server.step()
    other = Client()
    other.socket.close()
    with pytest.raises(Disconnected):
        other.server.step()
    other.server.close()


def test_interrupts_are_handed_over_with_their_descriptors(client):
    event = os.eventfd(0)

    def ask(flags, index, start, count, descriptors=()):
        assert client.ask(8, struct.pack("<IIIII", 20, flags, index, start, count), descriptors) == (0, b"")

    ask(0x24, 2, 1, 2, (event,))
    ask(0x21, 2, 0, 0)
    ask(0x24, 0, 0, 1, (event,))
    ask(0x11, 0, 0, 1)
    os.close(event)
    assert client.device.log == [("vectors", 1, [True, False]), ("vectors", 0, [False] * 3), ("line", True),
                                 ("mask", False)]


@pytest.mark.parametrize("flags, index, start, count, descriptors", [
    (0x24, 2, 2, 2, 0), (0x24, 2, 3, 1, 1), (0x24, 2, 0, 0xFFFF_FFFF, 0), (0x24, 2, 0, 1, 2), (0x24, 0, 1, 1, 1),
    (0x24, 1, 0, 1, 1), (0x21, 5, 0, 0, 0),
])
def test_interrupts_that_do_not_exist_are_refused_and_their_descriptors_closed(
        client, flags, index, start, count, descriptors):
    event, open_before = os.eventfd(0), len(os.listdir("/proc/self/fd"))
    assert client.ask(8, struct.pack("<IIIII", 20, flags, index, start, count), [event] * descriptors) == (22, b"")
    assert (client.device.log, len(os.listdir("/proc/self/fd"))) == ([], open_before)
    os.close(event)


@pytest.mark.parametrize("command, offset, region, count, data", [
    (9, 0xFFF, 0, 2, b""), (9, 0, 0, 1 << 31, b""), (9, (1 << 64) - 1, 0, 1, b""), (9, 0, 2, 1, b""),
    (10, 0xFFF, 0, 2, b"ab"), (10, 0, 0, 4, b"abc"), (10, 256, CONFIG_REGION, 1, b"a"),
])
def test_an_access_must_be_in_its_region_and_have_all_its_bytes(client, command, offset, region, count, data):
    assert client.ask(command, struct.pack("<QII", offset, region, count) + data) == (22, b"")
    assert client.device.log == []


def test_memory_that_cannot_be_shown_is_refused(client):
    descriptor = os.memfd_create("memory")
    os.ftruncate(descriptor, 0x1000)
    read_only = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    for flags, offset, address, size, file in (
            (3, 0, 0, 0x2000, descriptor), (3, 0, 0, 0, descriptor), (3, 0, 0, 1 << 63, descriptor),
            (3, 1 << 63, 0, 0x1000, descriptor), (3, 0, (1 << 64) - 0x800, 0x1000, descriptor),
            (3, 0, 0, 0x1000, read_only)):
        assert client.ask(2, struct.pack("<IIQQQ", 32, flags, offset, address, size), (file,)) == (22, b"")
        with pytest.raises(OutsideMemory):
            client.memory.read(address, 1)
    # For reading alone it may be had.
    assert client.ask(2, struct.pack("<IIQQQ", 32, 1, 0, 0, 0x1000), (read_only,)) == (0, b"")
    assert client.memory.read(0xFFF, 1) == b"\0"
    os.close(descriptor)
    os.close(read_only)


def test_all_memory_can_be_taken_away_at_once(client):
    descriptor = os.memfd_create("memory")
    os.ftruncate(descriptor, 0x1000)
    for address in (0x1000, 0x8000):
        assert client.ask(2, struct.pack("<IIQQQ", 32, 3, 0, address, 0x1000), (descriptor,)) == (0, b"")
    # Dirty pages are not logged.
    assert client.ask(3, struct.pack("<IIQQ", 24, 1, 0x1000, 0x1000)) == (22, b"")
    assert client.memory.read(0x1000, 1) == b"\0"
    assert client.ask(3, struct.pack("<IIQQ", 24, 2, 0, 0))[0] == 0
    for address in (0x1000, 0x8000):
        with pytest.raises(OutsideMemory):
            client.memory.read(address, 1)
    os.close(descriptor)


def test_a_message_longer_than_any_is_not_waited_for(client):
    client.socket.sendall(HEADER.pack(7, 10, 1 << 31, 0, 0))
    with pytest.raises(ProtocolError, match="2147483648 bytes"):
        client.server.step()


def test_a_client_that_takes_no_answers_ends_the_session(monkeypatch):
    monkeypatch.setattr(vfio_user, "_SEND_LIMIT", 1)
    other = Client()
    other.device.regions[0] = Region(1 << 20)
    other.send(9, struct.pack("<QII", 0, 0, 1 << 20))
    other.device.region_read = lambda region, offset, size: bytes(size)
    with pytest.raises(ProtocolError, match="not taken the answer"):
        other.server.step()
    other.server.close()
    other.socket.close()


def test_descriptors_belong_to_the_message_that_they_came_with(client):
    """Also if it arrives together with others, of the same kind and without descriptors."""
    descriptor = os.memfd_create("memory")
    os.ftruncate(descriptor, 0x2000)
    os.pwrite(descriptor, b"here", 0x1000)
    client.send(3, struct.pack("<IIQQ", 24, 0, 0, 0x1000))
    client.send(2, struct.pack("<IIQQQ", 32, 1, 0, 0xF000, 0x1000))
    client.send(2, struct.pack("<IIQQQ", 32, 3, 0x1000, 0x5000, 0x1000), descriptors=(descriptor,))
    client.send(2, struct.pack("<IIQQQ", 32, 1, 0, 0xE000, 0x1000))
    while client.server.step():
        pass
    assert client.memory.read(0x5000, 4) == b"here"
    for address in (0xE000, 0xF000):
        with pytest.raises(OutsideMemory):
            client.memory.read(address, 1)
    os.close(descriptor)


def test_shared_memory_is_read_and_written_at_guest_addresses(client):
    descriptor = os.memfd_create("memory")
    os.ftruncate(descriptor, 0x4000)
    for flags, offset, address, size in ((3, 0x1000, 0x8000, 0x1000), (3, 0x3000, 0x9000, 0x1000),
                                         (1, 0, 0x2_0000_0000, 0x1000)):
        assert client.ask(2, struct.pack("<IIQQQ", 32, flags, offset, address, size), (descriptor,)) == (0, b"")
    # Without a descriptor there is nothing to reach.
    assert client.ask(2, struct.pack("<IIQQQ", 32, 1, 0, 0xA000, 0x1000)) == (0, b"")
    client.memory.write(0x8FFE, b"abcd")
    with mmap.mmap(descriptor, 0x4000) as file:
        assert (file[0x1FFE:0x2000], file[0x3000:0x3002]) == (b"ab", b"cd")
    assert client.memory.read(0x8FFC, 8) == b"\0\0abcd\0\0"
    for address, size in ((0x7FFF, 1), (0x9FFF, 2), (0xA000, 1)):
        with pytest.raises(OutsideMemory):
            client.memory.read(address, size)
    with pytest.raises(OutsideMemory):
        client.memory.write(0x2_0000_0000, b"read-only")
    assert client.ask(3, struct.pack("<IIQQ", 24, 0, 0x8000, 0x1000))[0] == 0
    with pytest.raises(OutsideMemory):
        client.memory.read(0x8000, 1)
    assert client.memory.read(0x9000, 2) == b"cd"
    os.close(descriptor)


@pytest.mark.parametrize("second", [None, False])
def test_a_write_that_is_not_wholly_inside_changes_nothing(client, second):
    """Behind the first range there is none, or one for reading alone."""
    descriptor = os.memfd_create("memory")
    os.ftruncate(descriptor, 0x2000)
    client.memory.map(0x5000, 0x1000, descriptor, 0, writable=True)
    if second is not None:
        client.memory.map(0x6000, 0x1000, descriptor, 0x1000, writable=second)
    with pytest.raises(OutsideMemory):
        client.memory.write(0x5FFE, b"abcd")
    assert os.pread(descriptor, 0x2000, 0) == bytes(0x2000)
    os.close(descriptor)


def rings(event):
    """How often an eventfd was rung since the last look."""
    try:
        return array.array("Q", os.read(event, 8))[0]
    except BlockingIOError:
        return 0


def test_a_line_is_told_once_until_the_client_listens_again():
    event, line = os.eventfd(0, os.EFD_NONBLOCK), Line()
    line.set_level(True)
    line.set_descriptor(os.dup(event))
    assert rings(event) == 1
    line.set_level(False)
    line.set_level(True)
    assert rings(event) == 0
    line.mask(False)
    assert rings(event) == 1
    line.set_level(False)
    line.mask(False)
    assert (rings(event), line.count) == (0, 2)
    line.set_descriptor(None)
    os.close(event)


def test_a_vector_is_programmed_when_its_descriptor_comes_and_goes():
    event, programmed = os.eventfd(0, os.EFD_NONBLOCK), []
    vectors = Vectors(2, lambda vector, wanted: programmed.append((vector, wanted)))
    vectors.set_descriptors(0, [None, os.dup(event)])
    vectors.fire(1)
    vectors.fire(0)
    assert (rings(event), dict(vectors.counts)) == (1, {0: 1, 1: 1})
    # Another place to tell is nothing to the device.
    vectors.set_descriptors(1, [os.dup(event)])
    vectors.fire(1)
    assert (rings(event), programmed) == (1, [(1, True)])
    vectors.set_descriptors(0, [None, None])
    assert programmed == [(1, True), (1, False)]
    # After a reset nothing has to be taken back, and all has to be written again.
    vectors.set_descriptors(0, [os.dup(event), os.dup(event)])
    vectors.forget()
    vectors.set_descriptors(0, [None, os.dup(event)])
    assert programmed[2:] == [(0, True), (1, True), (1, True)]
    vectors.close()
    os.close(event)


def test_the_archive_is_one_that_others_can_read(tmp_path):
    data = initramfs.archive({"bin": (0o040755, b""), "bin/a": (0o100755, b"12345"), "b": (0o100644, b"")})
    cpio = shutil.which("cpio")
    if cpio is None:
        # Field by field, as the kernel reads it: magic, 13 numbers of 8 digits, name, padding to 4, data, padding.
        names, at = [], 0
        while at < len(data):
            assert data[at:at + 6] == b"070701"
            fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
            name = data[at + 110:at + 110 + fields[11] - 1].decode()
            body = (at + 110 + fields[11] + 3) // 4 * 4
            names.append((name, fields[1], data[body:body + fields[6]]))
            at = (body + fields[6] + 3) // 4 * 4
        assert names == [("bin", 0o040755, b""), ("bin/a", 0o100755, b"12345"), ("b", 0o100644, b""),
                         ("TRAILER!!!", 0, b"")]
    else:
        subprocess.run([cpio, "-i", "--quiet"], input=data, cwd=tmp_path, check=True)
        assert (tmp_path / "bin/a").read_bytes() == b"12345" and (tmp_path / "b").read_bytes() == b""
        assert os.access(tmp_path / "bin/a", os.X_OK)


def test_missing_packages_are_named_with_a_cure(monkeypatch, tmp_path):
    def refuse(plan, prefix, progress):
        raise FetchError("reading the package lists failed: no network")

    monkeypatch.setenv(toolchain.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(packages, "fetch_plan", refuse)
    with pytest.raises(packages.PackagesMissing, match=r"needs Debian's busybox-static from trixie.*; unpack"):
        packages.bundle("busybox")

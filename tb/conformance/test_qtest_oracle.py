"""What QEMU's transitional devices answer: the second opinion has to be known before it is asked.

Each test states one fact. Where QEMU departs from our rules the fact appears by name in
`virtio_mmr_sim.oracle.differences`.
"""

import json
import socket
import struct

import pytest
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle.qtest import Access, QtestDevice, QtestError

FEATURES, ACCEPTED, PAGE, SIZE, SELECT = 0x00, 0x04, 0x08, 0x0C, 0x0E
NOTIFY, STATUS, ISR, CONFIG_VECTOR, QUEUE_VECTOR = 0x10, 0x12, 0x13, 0x14, 0x16
BUS_MASTER = 1 << 2


@pytest.fixture(scope="module")
def device():
    toolchain.skip_or_fail("qemu")
    with QtestDevice("net") as device:
        yield device


@pytest.fixture
def net(device):
    """A network device after reset, MSI-X off, bus master on."""
    device.set_msix(False)
    device.reset_device()
    device.config_write(0x04, 2, 0x0007)
    return device


@pytest.fixture(scope="module")
def blk():
    toolchain.skip_or_fail("qemu")
    with QtestDevice("blk", queues=4, queue_size=64) as device:
        yield device


def reads(device, *accesses):
    return device.run([Access(*access) for access in accesses])


# The client

def test_a_device_is_found_and_switched_on(net):
    assert (net.device_id, net.subsystem_id, net.vectors, net.window_size) == (0x1000, 1, 4, 32)


def test_queues_and_vectors_can_be_chosen(blk):
    sizes = [blk.run([Access(SELECT, 2, index), Access(SIZE, 2)])[1] for index in range(6)]
    assert sizes == [64, 64, 64, 64, 0, 0]
    with QtestDevice("console", vectors=7) as console:
        assert (console.device_id, console.vectors) == (0x1003, 7)
    with QtestDevice("rng", vectors=0) as plain:
        assert plain.vectors == 0
        with pytest.raises(QtestError, match="no MSI-X"):
            plain.set_msix(True)
    with pytest.raises(ValueError, match="virtio-rng-pci cannot be chosen"):
        QtestDevice("rng", queues=2)


def test_many_commands_fit_one_batch(net):
    accesses = [Access(SELECT, 2, index % 3) if index % 2 else Access(SELECT, 2) for index in range(10001)]
    answers = net.run(accesses)
    assert answers[4::2] == [(index - 1) % 3 for index in range(4, 10001, 2)]


def test_a_device_that_does_not_start_says_why():
    toolchain.skip_or_fail("qemu")
    with pytest.raises(QtestError, match=r"QEMU says: .*nonsense"):
        QtestDevice("net", properties={"nonsense": 1})


def test_no_process_stays_behind():
    toolchain.skip_or_fail("qemu")
    device = QtestDevice("rng")
    process = device._process
    device.close()
    device.close()
    assert process.returncode is not None
    with pytest.raises(ValueError, match="closed file"):
        device.read(0, 4)


# Decoding

@pytest.mark.parametrize("offset", [0x01, 0x02, 0x03, 0x05, 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0D, 0x0F, 0x11])
def test_the_middle_of_a_register_reads_ones_and_ignores_writes(net, offset):
    state = [(ACCEPTED, 4), (PAGE, 4), (SELECT, 2), (STATUS, 1)]
    before = reads(net, *state)
    assert net.read(offset, 1) == 0xFF
    net.write(offset, 1, 0x5A)
    assert reads(net, *state) == before


def test_the_width_of_an_access_is_ignored(net):
    assert net.read(FEATURES, 2) == net.read(FEATURES, 4) & 0xFFFF
    net.write(ACCEPTED, 4, 0x0001_0020)
    net.write(ACCEPTED, 1, 0x24)
    assert net.read(ACCEPTED, 4) == 0x24, "a narrow write replaces the register"
    net.write(SELECT, 2, 2)
    assert net.read(SIZE, 4) == 64, "a wide read does not reach the next register"
    net.write(SIZE, 4, 0x0001_0000)
    assert net.read(SELECT, 2) == 2, "nor does a wide write"
    net.write(STATUS, 2, 0x0101)
    assert reads(net, (STATUS, 2), (STATUS, 1)) == [0x01, 0x01]


@pytest.mark.parametrize(("offset", "width"), [
    (offset, width) for width in (2, 4) for offset in range(0x20) if offset % width])
def test_an_unaligned_access_is_refused(net, offset, width):
    """QEMU 7.2 split it by alignment; 11.1 reads zero and drops writes."""
    net.set_msix(True)
    net.run([Access(STATUS, 1, 3), Access(ACCEPTED, 4, 0x24), Access(CONFIG_VECTOR, 2, 2), Access(PAGE, 4, 0x77)])
    state = [(at, 4) for at in range(0, 0x20, 4)]
    before = reads(net, *state)
    net.write(offset, width, 0)
    assert reads(net, *state) == before
    assert net.read(offset, width) == 0


def test_notify_reads_ones(net):
    assert reads(net, (NOTIFY, 2), (NOTIFY, 4)) == [0xFFFF, 0xFFFF_FFFF]


def test_read_only_registers_ignore_writes(net):
    before = reads(net, (FEATURES, 4), (SIZE, 2), (ISR, 1))
    net.run([Access(FEATURES, 4, 0x1234_5678), Access(SIZE, 2, 0x10), Access(ISR, 1, 0xFF)])
    assert reads(net, (FEATURES, 4), (SIZE, 2), (ISR, 1)) == before


# Features

def test_accepted_features_are_masked_read_back_and_fixed_by_features_ok(net):
    offered = net.read(FEATURES, 4)
    net.write(ACCEPTED, 4, 0xBFFF_FFFF)
    assert net.read(ACCEPTED, 4) == offered & 0xBFFF_FFFF
    net.write(STATUS, 1, 0x0B)
    net.write(ACCEPTED, 4, 0)
    assert net.read(ACCEPTED, 4) == offered & 0xBFFF_FFFF


def test_accepting_bit_30_gives_a_set_of_features_for_broken_drivers(net):
    assert net.read(FEATURES, 4) >> 30 & 1 == 1
    net.write(ACCEPTED, 4, 1 << 30)
    broken = net.read(ACCEPTED, 4)
    assert broken != 0 and broken >> 30 & 1 == 0


# Queues

def test_queue_select_above_1023_is_ignored(net):
    net.run([Access(SELECT, 2, 1), Access(SELECT, 2, 1024), Access(SELECT, 2, 0xFFFF)])
    assert net.read(SELECT, 2) == 1
    net.write(SELECT, 2, 1023)
    assert reads(net, (SELECT, 2), (SIZE, 2), (PAGE, 4)) == [1023, 0, 0]


def test_the_page_of_a_queue_that_does_not_exist_stays_zero(net):
    net.run([Access(SELECT, 2, 3), Access(PAGE, 4, 0x1234)])
    assert net.read(PAGE, 4) == 0


def test_page_zero_resets_the_whole_device(net):
    net.run([Access(STATUS, 1, 3), Access(ACCEPTED, 4, 0x20), Access(SELECT, 2, 1), Access(PAGE, 4, 0x1234)])
    assert reads(net, (STATUS, 1), (ACCEPTED, 4), (SELECT, 2), (PAGE, 4)) == [3, 0x20, 1, 0x1234]
    net.run([Access(SELECT, 2, 0), Access(PAGE, 4, 0)])
    net.write(SELECT, 2, 1)
    assert reads(net, (STATUS, 1), (ACCEPTED, 4), (PAGE, 4)) == [0, 0, 0]


def test_notifications_out_of_range_are_ignored(net):
    before = reads(net, (STATUS, 1), (SELECT, 2))
    net.run([Access(NOTIFY, 2, 3), Access(NOTIFY, 2, 1023), Access(NOTIFY, 2, 0xFFFF)])
    assert reads(net, (STATUS, 1), (SELECT, 2), (ISR, 1)) == [*before, 0]


# Status

def test_the_status_stores_every_bit(net):
    for value in (0x01, 0x03, 0x43, 0xFF):
        net.write(STATUS, 1, value)
        assert net.read(STATUS, 1) == value


def test_status_zero_resets(net):
    net.set_msix(True)
    net.run([
        Access(STATUS, 1, 3), Access(ACCEPTED, 4, 0x20), Access(SELECT, 2, 2), Access(PAGE, 4, 0x77),
        Access(CONFIG_VECTOR, 2, 1), Access(QUEUE_VECTOR, 2, 2)])
    assert reads(net, (CONFIG_VECTOR, 2), (QUEUE_VECTOR, 2)) == [1, 2]
    net.write(STATUS, 1, 0)
    assert reads(net, (STATUS, 1), (ACCEPTED, 4), (SELECT, 2), (ISR, 1), (CONFIG_VECTOR, 2)) == [0, 0, 0, 0, 0xFFFF]
    net.write(SELECT, 2, 2)
    assert reads(net, (PAGE, 4), (QUEUE_VECTOR, 2), (SIZE, 2)) == [0, 0xFFFF, 64]


def test_status_3_switches_the_bus_master_on(net):
    net.config_write(0x04, 2, 0x0003)
    net.write(STATUS, 1, 0x01)
    assert net.config_read(0x04, 2) & BUS_MASTER == 0
    net.write(STATUS, 1, 0x03)
    assert net.config_read(0x04, 2) & BUS_MASTER


def test_switching_the_bus_master_off_clears_driver_ok(net):
    net.write(STATUS, 1, 0x07)
    net.config_write(0x04, 2, 0x0003)
    assert net.read(STATUS, 1) == 0x03


# Interrupts

def use_a_buffer(net, running=0x07):
    """Send a command of class 0xff on the control queue, the third; its answer, one byte.

    Works once after each reset: loading the page again does not set the ring's indices back.
    """
    ring, command, answer = 0x10000, 0x20000, 0x20010
    size = net.run([Access(SELECT, 2, 2), Access(SIZE, 2)])[1]
    net.memory_write(command, b"\xff\x00")
    net.memory_write(answer, b"\xaa")
    net.memory_write(ring, struct.pack("<QIHHQIHH", command, 2, 1, 1, answer, 1, 2, 0))
    net.memory_write(ring + available_ring_offset(size), struct.pack("<HHH", 0, 1, 0))
    net.memory_write(ring + used_ring_offset(size), bytes(4))
    net.run([Access(STATUS, 1, 3), Access(PAGE, 4, ring >> 12), Access(STATUS, 1, running), Access(NOTIFY, 2, 2)])
    assert net.memory_read(ring + used_ring_offset(size) + 2, 2) == b"\1\0"
    return net.memory_read(answer, 1)


@pytest.mark.parametrize("msix", [False, True])
def test_a_used_buffer_sets_isr_bit_0_with_and_without_msix(net, msix):
    net.set_msix(msix)
    assert use_a_buffer(net) == b"\1", "the command is not known"
    assert reads(net, (ISR, 1), (ISR, 1)) == [1, 0], "reading clears"


def test_wide_reads_before_the_isr_neither_show_nor_clear_it(net):
    use_a_buffer(net)
    assert reads(net, (STATUS, 2), (NOTIFY, 4), (ISR, 1)) == [0x07, 0xFFFF_FFFF, 1]


def test_writing_the_isr_does_not_clear_it_and_a_reset_does(net):
    use_a_buffer(net)
    net.run([Access(ISR, 1, 1), Access(ISR, 1, 0)])
    assert net.read(ISR, 1) == 1
    net.reset_device()
    use_a_buffer(net)
    net.reset_device()
    assert net.read(ISR, 1) == 0


def test_a_queue_is_served_before_driver_ok(net):
    """Virtio's text on legacy initialisation asks for it."""
    assert use_a_buffer(net, running=0x03) == b"\1"


def test_a_configuration_change_sets_both_isr_bits_but_only_for_a_running_driver(tmp_path):
    toolchain.skip_or_fail("qemu")
    monitor = tmp_path / "qmp"
    arguments = ["-qmp", f"unix:{monitor},server=on,wait=off"]
    with (QtestDevice("net", properties={"id": "card"}, arguments=arguments) as net,
          socket.socket(socket.AF_UNIX) as control):
        control.connect(str(monitor))
        answers = control.makefile()
        answers.readline()

        def tell(command, **values):
            control.sendall(json.dumps({"execute": command, "arguments": values}).encode() + b"\n")
            assert any("return" in json.loads(line) for line in iter(answers.readline, ""))

        tell("qmp_capabilities")
        tell("set_link", name="card", up=False)
        assert reads(net, (0x1A, 2), (ISR, 1)) == [0, 0]
        net.write(STATUS, 1, 0x07)
        tell("set_link", name="card", up=True)
        assert reads(net, (0x1A, 2), (ISR, 1), (ISR, 1)) == [1, 3, 0]


# Interrupt vectors

def test_vectors_beyond_the_table_become_no_vector(net):
    net.set_msix(True)
    for register in (CONFIG_VECTOR, QUEUE_VECTOR):
        for value, stored in ((3, 3), (4, 0xFFFF), (0, 0), (0xFFFF, 0xFFFF), (1, 1), (0x1001, 0xFFFF)):
            net.write(register, 2, value)
            assert net.read(register, 2) == stored


def test_vectors_survive_switching_msix_off(net):
    net.set_msix(True)
    net.run([Access(CONFIG_VECTOR, 2, 2), Access(QUEUE_VECTOR, 2, 1)])
    net.set_msix(False)
    assert net.read(0x14, 1) == 0x52, "without MSI-X the device configuration is here"
    net.set_msix(True)
    assert reads(net, (CONFIG_VECTOR, 2), (QUEUE_VECTOR, 2)) == [2, 1]


def test_the_vector_of_a_queue_that_does_not_exist_is_stored(net):
    net.set_msix(True)
    net.run([Access(SELECT, 2, 100), Access(QUEUE_VECTOR, 2, 2)])
    assert net.read(QUEUE_VECTOR, 2) == 2


# Device configuration

def test_the_device_configuration_moves_with_msix(net):
    mac = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
    assert reads(net, *((0x14 + at, 1) for at in range(6))) == mac
    net.set_msix(True)
    assert reads(net, *((0x18 + at, 1) for at in range(6))) == mac


def test_configuration_beyond_its_end_reads_ones_as_a_whole(net):
    assert net.config_bytes() == bytes([0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 1, 0])
    assert reads(net, (0x1A, 2), (0x1C, 1), (0x1C, 4)) == [1, 0xFF, 0xFFFF_FFFF]
    with QtestDevice("blk") as disk:
        end = 0x14 + len(disk.config_bytes())
        assert end % 4 == 1
        assert reads(disk, (end - 1, 1), (end - 1, 2), (end - 1, 4)) == [1, 0xFFFF, 0xFFFF_FFFF]


def test_the_mac_can_be_written_until_another_way_is_negotiated(net):
    net.write(0x14, 1, 0xAA)
    assert net.read(0x14, 1) == 0xAA
    net.write(ACCEPTED, 4, 1 << 23)
    net.write(0x14, 1, 0xBB)
    assert net.read(0x14, 1) == 0xAA
    net.reset_device()
    assert net.read(0x14, 1) == 0x52, "a reset brings the first address back"


def test_the_write_back_byte_holds_one_bit_and_follows_the_features(blk):
    writeback = 0x14 + 32
    blk.reset_device()
    blk.write(writeback, 1, 0x05)
    assert blk.read(writeback, 1) == 1
    blk.write(writeback, 1, 0)
    assert blk.read(writeback, 1) == 0
    flush = 1 << 9
    blk.run([Access(ACCEPTED, 4, flush), Access(STATUS, 1, 0x07)])
    assert blk.read(writeback, 1) == 1, "a driver that flushes and cannot choose gets write-back"
    blk.reset_device()


def test_everything_behind_the_window_reads_ones(net):
    assert reads(net, (0x20, 1), (0x30, 2), (0x40, 4), (0xFFC, 4)) == [0xFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF]


@pytest.mark.parametrize(("kind", "size"), [("net", 32), ("blk", 128), ("rng", 32), ("console", 64)])
def test_the_window_is_the_power_of_two_that_holds_header_and_configuration(kind, size):
    toolchain.skip_or_fail("qemu")
    with QtestDevice(kind) as device:
        assert device.window_size == size

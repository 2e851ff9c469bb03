"""MSI-X of the golden model against QEMU's: the table, the pending bits, and what arrives in memory.

QEMU serves a real queue here, so its interrupts are real; the model is given a cause for each used buffer.
Where QEMU departs from our rules the accesses keep away: it stores bits 1:0 of an address and the reserved bits of
the mask, takes dwords and quadwords only, and loses messages while the bus master is off.
"""

import random
import struct

import pytest
from model_devices import MSIX, Host, net
from virtio_mmr.spec.legacy import available_ring_offset, used_ring_offset
from virtio_mmr_sim import toolchain
from virtio_mmr_sim.oracle.qtest import Access, QtestDevice

#: Where QEMU's table is put, and its pending bits behind it.
TABLE, PENDING = 0xE000_0000, 0xE000_0800
#: The queue that answers any command at once, its rings, and where its interrupts are to be written.
QUEUE, RING, COMMAND, ANSWER, TARGET = 2, 0x10000, 0x20000, 0x20010, 0x30_0000
VECTORS = 4
MSIX_CONTROL = 0x4A


class Pair:
    """QEMU's device and the golden model, driven alike."""

    def __init__(self, qemu):
        self.qemu = qemu
        self.model = Host(net(queues=(64, 64, 64), msix_vectors=VECTORS, intx=False), command=0x0006)
        self.qemu_control = qemu.capability(0x11) + 2
        qemu.place_bar(1, TABLE)
        qemu.config_write(0x04, 2, 0x0007)
        qemu.set_msix(False)
        qemu.reset_device()
        self.size = qemu.run([Access(0x0E, 2, QUEUE), Access(0x0C, 2)])[1]
        self._posted = 0
        for vector in range(VECTORS):
            self.table(16 * vector, 8, TARGET + 4 * vector)
            self.table(16 * vector + 8, 8, 1 << 32 | vector + 1)
        self.control(enable=True, mask=False)

    def start(self, vector):
        """The queue runs; its interrupts go to *vector*."""
        qemu = self.qemu
        qemu.memory_write(COMMAND, b"\xff\x00")
        qemu.memory_write(RING, struct.pack("<QIHHQIHH", COMMAND, 2, 1, 1, ANSWER, 1, 2, 0))
        qemu.memory_write(RING + available_ring_offset(self.size), bytes(4 + 2 * self.size))
        qemu.memory_write(RING + used_ring_offset(self.size), bytes(4))
        qemu.run([Access(0x12, 1, 3), Access(0x0E, 2, QUEUE), Access(0x08, 4, RING >> 12),
                  Access(0x16, 2, vector), Access(0x12, 1, 7)])
        self.model.write(0x0E, 2, QUEUE)
        self.model.write(0x16, 2, vector)

    def cause(self):
        """A buffer is used."""
        self._posted += 1
        available = RING + available_ring_offset(self.size)
        self.qemu.memory_write(available + 2, struct.pack("<H", self._posted))
        self.qemu.write(0x10, 2, QUEUE)
        used = self.qemu.memory_read(RING + used_ring_offset(self.size) + 2, 2)
        assert used == struct.pack("<H", self._posted)
        self.model.interrupt(queue=QUEUE)

    def table(self, offset, width, value):
        self.qemu.store(TABLE + offset, width, value)
        self.model.write(MSIX + offset, width, value)

    def control(self, *, enable, mask):
        """MSI-X Enable and Function Mask."""
        value = enable << 15 | mask << 14
        self.qemu.config_write(self.qemu_control, 2, value)
        self.model.config_write(MSIX_CONTROL, 2, value)

    def compare(self):
        """Messages since the last look, table and pending bits; true if there was a message."""
        wanted = bytearray(0x100)
        sent = self.model.sent()
        for message in sent:
            struct.pack_into("<I", wanted, message.address - TARGET, message.payload[0])
        assert self.qemu.memory_read(TARGET, 0x100) == bytes(wanted)
        self.qemu.memory_write(TARGET, bytes(0x100))
        for offset in range(0, 16 * VECTORS, 8):
            assert self.qemu.load(TABLE + offset, 8) == self.model.read(MSIX + offset, 8)
        for width in (4, 8):
            assert self.qemu.load(PENDING, width) == self.model.read(MSIX + 0x800, width)
        return len(sent)


@pytest.mark.parametrize("seed", range(3))
def test_messages_pending_bits_and_table_are_those_of_qemu(seed):
    toolchain.skip_or_fail("qemu")
    rng = random.Random(seed)
    with QtestDevice("net", vectors=VECTORS) as qemu:
        pair = Pair(qemu)
        pair.start(rng.randrange(VECTORS))
        sent = pending = 0
        for _ in range(400):
            vector = rng.randrange(VECTORS)
            match rng.choices(("cause", "mask", "address", "data", "control", "pending"), (8, 6, 2, 2, 2, 1))[0]:
                case "cause":
                    pair.cause()
                case "mask":
                    data, mask = rng.getrandbits(32) | 1, rng.randrange(2)
                    if rng.random() < 0.5:
                        pair.table(16 * vector + 8, 8, mask << 32 | data)
                    else:
                        pair.table(16 * vector + 12, 4, mask)
                case "address":
                    pair.table(16 * vector, rng.choice((4, 8)), TARGET + 4 * rng.randrange(64))
                case "data":
                    pair.table(16 * vector + 8, 4, rng.getrandbits(32) | 1)
                case "control":
                    pair.control(enable=rng.random() < 0.7, mask=rng.random() < 0.4)
                case _:
                    qemu.store(PENDING, 8, (1 << 64) - 1)
                    pair.model.write(MSIX + 0x800, 8, (1 << 64) - 1)
            sent += pair.compare()
            pending += pair.model.read(MSIX + 0x800, 4) != 0
        assert sent > 20 and pending > 20

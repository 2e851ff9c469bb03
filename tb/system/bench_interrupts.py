"""MSI-X messages with their table and pending bits, and INTx; seen from the link."""

import cocotb
from cocotb.triggers import ClockCycles
from system import modern_driver as modern
from system.legacy_driver import (
    CONFIG_VECTOR,
    ISR,
    NO_VECTOR,
    QUEUE_VECTOR,
    STATUS,
    needs_memory,
    needs_msix,
    needs_queues,
    select,
)
from virtio_mmr.config.device import Space
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr_sim.host.root_port import RootPort
from virtio_mmr_sim.model.tlp import MemoryRequest
from virtio_mmr_sim.testbench import COMMAND, GATE, case

#: Bytes of a table entry, and where its mask stands.
ENTRY, CONTROL = 16, 12


class Vectors:
    """The table as the bench programs it."""

    def __init__(self, tb):
        needs_memory(tb)
        needs_msix(tb)
        self._tb = tb
        self.window = tb.window(Space.MSIX)
        self.entries = [self._entry(vector) for vector in range(tb.config.msix_vectors)]

    def _entry(self, vector):
        """Address and data; every other address lies above 4 GiB."""
        rng = self._tb.rng
        return rng.getrandbits(30) << 2 | (rng.randrange(1, 1 << 32) << 32 if vector % 2 else 0), rng.getrandbits(32)

    async def program(self, *, mask=0):
        """Gate open, MSI-X on, every entry filled; configuration gets vector 0, queues one each as far as they go."""
        tb = self._tb
        await tb.open_gate()
        await tb.set_msix(True)
        for vector, (address, data) in enumerate(self.entries):
            await self.window.write(ENTRY * vector, address, 8)
            await self.window.write(ENTRY * vector + 8, data, 4)
            await self.mask(vector, mask)
        await tb.legacy.write(CONFIG_VECTOR, 0, 2)
        for queue in range(len(tb.config.queues)):
            await select(tb, queue)
            await tb.legacy.write(QUEUE_VECTOR, self.of_queue(queue), 2)
        await tb.host.settle()

    def of_queue(self, queue):
        return (queue + 1) % len(self.entries)

    async def mask(self, vector, mask=1):
        await self.window.write(ENTRY * vector + CONTROL, mask, 4)

    async def pending(self):
        return await self.window.read(self.window.size // 2, 8)

    def message(self, vector):
        """What the host must get: one dword, all bytes enabled, the shortest header."""
        address, data = self.entries[vector]
        return MemoryRequest(write=True, address=address, payload=(data,), wide=address >= 1 << 32,
                             requester=self._tb.host.captured)

    async def expect(self, *vectors):
        """Exactly these messages have come since the last look, in any order."""
        tb = self._tb
        await tb.host.settle(100)
        found = [tb.host.messages.popleft() for _ in range(len(tb.host.messages))]
        key = repr
        assert sorted(found, key=key) == sorted(map(self.message, vectors), key=key)


@case
async def entries_start_masked_with_zeros_also_after_a_function_level_reset(tb):
    for _ in range(2):
        vectors = Vectors(tb)
        for vector in range(len(vectors.entries)):
            assert await vectors.window.read(ENTRY * vector, 8) == 0
            assert await vectors.window.read(ENTRY * vector + 8, 8) == 1 << 32
        assert await vectors.pending() == 0
        await vectors.program()
        await tb.set_msix(True, mask=True)
        await tb.cause(config_change=True)
        assert await vectors.pending() == 1
        await tb.host.config_write(tb.capability("express") + 8, 1 << 15, 2)
        await tb.bring_up()


@case
async def table_takes_bytes_words_dwords_and_quadwords(tb):
    vectors = Vectors(tb)
    size = ENTRY * len(vectors.entries)
    stored = bytearray(b"".join(bytes(CONTROL) + b"\1\0\0\0" for _ in vectors.entries))
    for _ in range(120):
        width = tb.rng.choice((1, 2, 4, 8))
        offset = tb.rng.randrange(0, size, width)
        data = tb.rng.randbytes(width)
        await vectors.window.write(offset, int.from_bytes(data, "little"), width)
        for place, byte in enumerate(data, offset):
            reserved = {0: 0xFC, CONTROL: 1}.get(place % ENTRY, 0xFF if place % ENTRY < CONTROL else 0)
            stored[place] = byte & reserved
        if tb.rng.random() < 0.3:
            assert await vectors.window.read(offset, width) == int.from_bytes(stored[offset:offset + width], "little")
    for offset in range(0, size, 8):
        assert await vectors.window.read(offset, 8) == int.from_bytes(stored[offset:offset + 8], "little")
    assert await vectors.window.read(size, 8) == 0


@case
async def every_cause_sends_its_vector_and_no_vector_sends_none(tb):
    vectors = Vectors(tb)
    await vectors.program()
    await tb.cause(config_change=True)
    await vectors.expect(0)
    for queue in range(len(tb.config.queues)):
        await tb.cause(queue=queue)
        await vectors.expect(vectors.of_queue(queue))
        await select(tb, queue)
        await tb.legacy.write(QUEUE_VECTOR, NO_VECTOR, 2)
        await tb.host.settle()
        await tb.cause(queue=queue)
        await vectors.expect()
    await tb.legacy.write(CONFIG_VECTOR, NO_VECTOR, 2)
    await tb.host.settle()
    await tb.cause(config_change=True)
    # A queue that the device does not have has no vector either.
    await tb.cause(queue=len(tb.config.queues))
    await vectors.expect()
    assert await vectors.pending() == 0
    # The ISR is kept all the same.
    assert await tb.legacy.read(ISR, 1) == 3


@case
async def masked_vector_is_pending_and_unmasking_sends_once(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program(mask=1)
    mine = vectors.of_queue(0)
    for _ in range(3):
        await tb.cause(queue=0)
    await vectors.expect()
    assert await vectors.pending() == 1 << mine
    await vectors.window.write(vectors.window.size // 2, 0, 8)
    assert await vectors.pending() == 1 << mine
    await vectors.mask(mine, 0)
    await vectors.expect(mine)
    assert await vectors.pending() == 0
    await vectors.mask(mine, 1)
    await vectors.mask(mine, 0)
    await vectors.expect()


@case
async def function_mask_holds_all_and_without_enable_nothing_is_sent(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    mine = vectors.of_queue(0)
    await tb.set_msix(True, mask=True)
    await tb.cause(queue=0)
    await tb.cause(config_change=True)
    await vectors.expect()
    assert await vectors.pending() == 1 << mine | 1
    await tb.set_msix(False)
    await vectors.expect()
    # A cause without MSI-X is told by the ISR alone; what was pending stays.
    assert await tb.legacy.read(ISR, 1) == 3
    await tb.cause(queue=0)
    await vectors.expect()
    assert await tb.legacy.read(ISR, 1) == 1
    await tb.set_msix(True)
    await vectors.expect(*{mine, 0})
    assert await vectors.pending() == 0


@case
async def nothing_is_sent_without_bus_master_or_in_d3hot(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    for offset, off, on in ((COMMAND, 0b011, 0b111), (tb.capability("power") + 4, 3, 0)):
        await tb.host.config_write(offset, off, 2)
        await tb.cause(queue=0)
        await tb.cause(queue=0)
        await vectors.expect()
        await tb.host.config_write(offset, on, 2)
        await vectors.expect(vectors.of_queue(0))


@case
async def behind_a_closed_gate_queues_wait_and_the_configuration_does_not(tb):
    needs_gate(tb)
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    mine = vectors.of_queue(0)
    await move_gate(tb, False)
    await tb.cause(queue=0)
    await vectors.expect()
    assert await vectors.pending() == 1 << mine
    await tb.cause(config_change=True)
    await vectors.expect(0)
    assert await vectors.pending() == 1 << mine
    # What was pending behind a mask when the gate was open waits for both.
    await move_gate(tb, True)
    await vectors.expect(mine)
    await vectors.mask(mine)
    await tb.host.settle()
    await tb.cause(queue=0)
    await move_gate(tb, False)
    await vectors.mask(mine, 0)
    await vectors.expect()
    # So it is if the configuration has the same vector, whose own causes are told.
    await tb.legacy.write(CONFIG_VECTOR, mine, 2)
    await tb.host.settle()
    await tb.cause(config_change=True)
    await vectors.expect(mine)
    assert await vectors.pending() == 1 << mine
    await move_gate(tb, True)
    await vectors.expect(mine)
    assert await vectors.pending() == 0
    assert await tb.legacy.read(ISR, 1) == 3


async def forbidding(tb, forbid, allow):
    """Whatever the moment, what was handed in before leaves before the completion of *forbid*, and nothing after it."""
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    sent = 0
    for delay in range(-20, 20):
        # The cause comes before the write, or behind it.
        if delay < 0:
            tb.into["interrupt_cause"].put(function=0, epoch=tb.epoch, queue=0, config_change=0)
            await ClockCycles(tb.dut.clk, -delay)
        forbids = cocotb.start_soon(forbid())
        if delay >= 0:
            await ClockCycles(tb.dut.clk, 1 + delay)
            tb.into["interrupt_cause"].put(function=0, epoch=tb.epoch, queue=0, config_change=0)
        await forbids
        before = len(tb.host.messages)
        await tb.host.settle(60)
        assert len(tb.host.messages) == before, "a message came after the completion that forbids it"
        await allow()
        await vectors.expect(vectors.of_queue(0))
        sent += before
    # Some came before it, some had to wait.
    assert 0 < sent < 40, "the moment was always the same"


@case
async def no_message_follows_the_completion_that_forbids_it(tb):
    needs_own_bus_master(tb)
    command = tb.host.config_write
    await forbidding(tb, lambda: command(COMMAND, 0b011, 2), lambda: command(COMMAND, 0b111, 2))


@case
async def no_message_of_a_queue_follows_the_completion_that_shows_its_gate_closed(tb):
    needs_gate(tb)

    async def close():
        # The write has no completion; the read that follows it does.
        await tb.open_gate(False)
        assert await tb.control.read(GATE, 1) == 0

    await forbidding(tb, close, tb.open_gate)


@case
async def a_message_that_waits_for_the_link_leaves_before_the_completion_that_forbids_it(tb):
    needs_own_bus_master(tb)
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    # The link stands still with a completion on it; message and completion line up behind.
    stall, tb.sink.stall = tb.sink.stall, 1.0
    reading = cocotb.start_soon(tb.host.read(vectors.window.address, 64))
    await ClockCycles(tb.dut.clk, 200)
    tb.into["interrupt_cause"].put(function=0, epoch=tb.epoch, queue=0, config_change=0)
    await ClockCycles(tb.dut.clk, 200)
    forbids = cocotb.start_soon(tb.host.config_write(COMMAND, 0b011, 2))
    await ClockCycles(tb.dut.clk, 200)
    assert not reading.done() and not forbids.done() and not tb.host.messages
    tb.sink.stall = stall
    await reading
    await forbids
    assert len(tb.host.messages) == 1, "the completion overtook the message"
    await vectors.expect(vectors.of_queue(0))


@case
async def reset_forgets_what_is_pending_but_not_the_table(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    table = [await vectors.window.read(ENTRY * vector, 8) for vector in range(len(vectors.entries))]
    await tb.set_msix(True, mask=True)
    await tb.cause(queue=0)
    assert await vectors.pending() == 1 << vectors.of_queue(0)
    await tb.legacy.write(STATUS, 0, 1)
    assert await tb.legacy.read(STATUS, 1) == 0
    assert await vectors.pending() == 0
    await tb.set_msix(True)
    await tb.host.settle()
    await tb.cause(queue=0)
    await vectors.expect()
    assert [await vectors.window.read(ENTRY * vector, 8) for vector in range(len(vectors.entries))] == table


@case
async def causes_never_wait_for_the_link(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    tb.sink.stall = 1
    for _ in range(40):
        await tb.cause(queue=0)
        await tb.cause(config_change=True)
    tb.sink.stall = 0.3
    mine = vectors.of_queue(0)
    # One of each was on its way when the next came, and all later ones melted into one of each.
    await tb.host.settle(200)
    found = [tb.host.messages.popleft() for _ in range(len(tb.host.messages))]
    assert set(map(repr, found)) == {repr(vectors.message(0)), repr(vectors.message(mine))}
    assert len(found) <= 5
    assert await vectors.pending() == 0


@case
async def stopped_function_sends_its_configuration_interrupt(tb):
    vectors = Vectors(tb)
    needs_queues(tb, 1)
    await vectors.program()
    await tb.legacy.write(STATUS, 7, 1)
    await tb.host.settle()
    await tb.fault(3)
    await vectors.expect(0)
    await tb.cause(queue=0)
    await vectors.expect()


# Beside the modern interface.


@case
async def vectors_are_one_state_whichever_window_sets_them(tb):
    """One window sets a vector, the other shows it, and the causes follow it."""
    window, vectors = modern.common(tb), Vectors(tb)
    await vectors.program()
    count = len(vectors.entries)
    registers = (window, modern.CONFIG_VECTOR, modern.QUEUE_VECTOR), (tb.legacy, CONFIG_VECTOR, QUEUE_VECTOR)
    for number, (mine, other) in enumerate((registers, registers[::-1], registers)):
        for queue in (None, *range(len(tb.config.queues))):
            place = 1 if queue is None else 2
            await select(tb, queue or 0)
            for value, stored in ((count, NO_VECTOR), ((number + (queue or 0)) % count,) * 2):
                await mine[0].write(mine[place], value, 2)
                assert await other[0].read(other[place], 2) == await mine[0].read(mine[place], 2) == stored
                await tb.cause(queue=queue or 0, config_change=queue is None)
                await vectors.expect(*() if stored == NO_VECTOR else (stored,))


@case
async def a_modern_queue_interrupts_from_driver_ok_until_its_reset_is_over(tb):
    modern.needs_feature(tb, TransportFeature.RING_RESET)
    window, vectors, last = modern.common(tb), Vectors(tb), len(tb.config.queues) - 1
    isr = tb.window(Space.ISR)
    await modern.agree(tb)
    await modern.start_queue(tb, last)
    await vectors.program()
    mine = vectors.of_queue(last)
    await tb.cause(queue=last)
    await vectors.expect()
    # The configuration may change at any time.
    await tb.cause(config_change=True)
    await vectors.expect(0)
    assert await isr.read(0, 1) == 2
    await window.write(modern.STATUS, 0x0F, 1)
    await tb.host.settle()
    # The others are not enabled.
    for queue in range(last + 2):
        await tb.cause(queue=queue)
        await vectors.expect(*[mine] if queue == last else ())
    assert await isr.read(0, 1) == 1
    await tb.events("queue_update")
    await modern.select(tb, last)
    await window.write(modern.QUEUE_RESET, 1, 2)
    await tb.events("queue_update")
    # The back end still uses buffers until it says that it has let go.
    await tb.cause(queue=last)
    await vectors.expect(mine)
    assert await window.read(modern.QUEUE_RESET, 2) == 1 and await isr.read(0, 1) == 1
    await tb.into["queue_quiet"].send(function=0, queue=last)
    await tb.host.settle()
    await tb.cause(queue=last)
    await vectors.expect()
    assert await window.read(modern.QUEUE_VECTOR, 2) == NO_VECTOR and await isr.read(0, 1) == 0
    await modern.start_queue(tb, last)
    await tb.host.settle()
    await tb.cause(queue=last)
    await vectors.expect()
    assert await isr.read(0, 1) == 1


@case
async def the_window_in_configuration_space_unmasks_and_clears(tb):
    """What a driver without mapped BARs does has its effect on interrupts too."""
    modern.common(tb)
    vectors = Vectors(tb)
    await vectors.program(mask=1)
    await tb.cause(config_change=True)
    await vectors.expect()
    data, (bar, region) = tb.capability("modern_access") + 16, tb.config.find(Space.MSIX)
    await tb.host.config_write(data - 12, bar.index, 1)
    await tb.host.config_write(data - 8, region.offset + region.size // 2)
    await tb.host.config_write(data - 4, 4)
    assert await tb.host.config_read(data) == 1
    await tb.host.config_write(data - 8, region.offset + CONTROL)
    await tb.host.config_write(data, 0)
    await vectors.expect(0)
    assert await vectors.pending() == 0


# Of a whole system.


@case(bring_up=False)
async def root_complex_of_others_sets_msix_up_and_hears_it(tb):
    """Discovery, table and enabling are cocotbext-pcie's; so is the target of the messages."""
    needs_memory(tb)
    needs_msix(tb)
    root = RootPort(tb.host)
    device = await root.enumerate()
    count = tb.config.msix_vectors
    assert await device.alloc_irq_vectors(count, count) == count
    bar, region = tb.config.find(Space.LEGACY)
    if bar.kind.value == "io":
        tb.skip("the legacy window is not in memory")
    window = root.bars()[bar.index][0] + region.offset
    await root.write(window + CONFIG_VECTOR, b"\0\0" + (count - 1).to_bytes(2, "little"))
    for index, (address, _size) in root.bars().items():
        tb.bar[index] = address
    await tb.open_gate()
    await tb.host.settle()
    heard = []

    def handler(vector):
        async def hear():
            heard.append(vector)
        return hear

    for vector in range(count):
        device.request_irq(vector, handler(vector))
    await tb.cause(config_change=True)
    await tb.host.settle()
    assert heard == [0]
    await tb.cause(queue=0)
    await tb.host.settle()
    assert heard == [0, count - 1]


# INTx.


def needs_own_bus_master(tb):
    """The core itself answers the write that forbids messages."""
    if tb.config.datapath.hard_ip.owns_header:
        tb.skip("the hard IP answers configuration writes, and drops what is too late")


async def move_gate(tb, open_):
    """What comes next finds the gate moved."""
    await tb.open_gate(open_)
    await tb.host.settle()


def needs_gate(tb):
    """The case uses the gate of the control page."""
    if tb.config.find(Space.CONTROL) is None:
        tb.skip("the device has no control page")


def needs_intx(tb):
    """The case uses the interrupt pin."""
    if not tb.config.intx:
        tb.skip("the device has no interrupt pin")


def lowered_by_now(tb):
    """The message that lowers INTA comes before the completion of what lowers it; hard IP keeps no order of the two."""
    assert tb.config.datapath.hard_ip.owns_header or not tb.host.intx


async def inta(tb, level):
    """The port, the messages and Interrupt Disable agree."""
    await tb.host.settle(60)
    assert tb.intx == int(tb.host.intx) == level


@case
async def inta_follows_the_isr(tb):
    needs_intx(tb)
    await tb.open_gate()
    await inta(tb, 0)
    await tb.cause(queue=0)
    await inta(tb, 1)
    await tb.cause(config_change=True)
    await inta(tb, 1)
    assert await tb.legacy.read(ISR, 1) == 3
    lowered_by_now(tb)
    await inta(tb, 0)
    await tb.cause(config_change=True)
    await tb.legacy.write(STATUS, 0, 1)
    await inta(tb, 0)


@case
async def inta_is_lowered_by_interrupt_disable_msix_and_d3hot_and_not_by_bus_master(tb):
    needs_intx(tb)
    status = 1 << 3
    await tb.open_gate()
    await tb.cause(queue=0)
    for offset, off, on, shown in (
        (COMMAND, 0x407, 0x007, status), (tb.capability("power") + 4, 3, 0, status),
    ):
        await inta(tb, 1)
        await tb.host.config_write(offset, off, 2)
        lowered_by_now(tb)
        await inta(tb, 0)
        assert await tb.host.config_read(0x06, 2) & status == shown
        await tb.host.config_write(offset, on, 2)
        await inta(tb, 1)
    await tb.host.config_write(COMMAND, 0x003, 2)
    await inta(tb, 1)
    if tb.config.msix_vectors:
        await tb.set_msix(True)
        await inta(tb, 0)
        assert await tb.host.config_read(0x06, 2) & status == 0
        await tb.set_msix(False)
        await inta(tb, 1)
    await tb.legacy.read(ISR, 1)
    await inta(tb, 0)


@case
async def a_closed_gate_holds_inta_back_for_queues_alone(tb):
    needs_intx(tb)
    needs_gate(tb)
    status = 1 << 3
    await move_gate(tb, False)
    await tb.cause(queue=0)
    await inta(tb, 0)
    assert not await tb.host.config_read(0x06, 2) & status
    await tb.cause(config_change=True)
    await inta(tb, 1)
    assert await tb.legacy.read(ISR, 1) == 3
    lowered_by_now(tb)
    await inta(tb, 0)
    await tb.cause(queue=0)
    await tb.open_gate()
    await inta(tb, 1)
    await tb.open_gate(False)
    assert await tb.control.read(GATE, 1) == 0
    lowered_by_now(tb)
    await inta(tb, 0)
    assert await tb.legacy.read(ISR, 1) == 1
    await tb.open_gate()
    await inta(tb, 0)


@case
async def device_without_a_pin_raises_nothing(tb):
    if tb.config.intx:
        tb.skip("the device has an interrupt pin")
    await tb.open_gate()
    await tb.cause(queue=0)
    assert tb.intx == 0
    await tb.host.silence()
    assert not tb.host.intx

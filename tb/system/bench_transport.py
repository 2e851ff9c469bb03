"""What the transaction layer promises: completions, ordering, errors, and that nothing wedges it."""

from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles, with_timeout
from system.legacy_driver import DRIVER_FEATURES, ISR, NOTIFY, QUEUE_ADDRESS, STATUS, needs_memory
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.spec.tlp import MESSAGES_ACCEPTED, TlpType
from virtio_mmr_sim.bus.raw import GRACE
from virtio_mmr_sim.host.host import SUCCESSFUL, UNSUPPORTED
from virtio_mmr_sim.model import tlp as codec
from virtio_mmr_sim.model.tlp import Completion, IoRequest, MemoryRequest, Message, memory_read
from virtio_mmr_sim.testbench import case

CORRECTABLE, NONFATAL, FATAL, UNSUPPORTED_DETECTED = 1, 2, 4, 8
DETECTED_PARITY_ERROR = 1 << 15
PULSES = {"correctable": "error_correctable", "nonfatal": "error_nonfatal", "fatal": "error_fatal"}


def memory_bar(tb):
    """The first memory BAR: its address and size."""
    for bar in tb.config.bars:
        if bar.kind is not BarKind.IO:
            return tb.bar[bar.index], bar.decoded_size
    tb.skip("the device has no memory BAR")


def unmapped(tb):
    """An address below 4 GiB that no BAR claims."""
    taken = [(tb.bar[bar.index], bar.decoded_size) for bar in tb.config.bars]
    while True:
        address = tb.rng.randrange(1 << 12, 1 << 32) & ~0xFFF
        if not any(base <= address < base + size for base, size in taken):
            return address


def needs_own_header(tb):
    """The case is about requests that hard IP would judge."""
    if tb.config.datapath.hard_ip.owns_header:
        tb.skip("the hard IP finds this error, or has the register that tells of it")


async def errors(tb):
    """Device status bits and detected parity error, which are then cleared."""
    needs_own_header(tb)
    register = tb.capability("express") + 0x0A
    found = await tb.host.config_read(register, 2)
    parity = await tb.host.config_read(0x06, 2) & DETECTED_PARITY_ERROR
    await tb.host.config_write(register, 0xF, 2)
    await tb.host.config_write(0x06, 0xFFFF, 2)
    return found & 0xF, bool(parity)


async def expect_error(tb, *, counter, bits, pulse, parity=False):
    """Exactly one error of a kind has been counted, signalled and recorded since the last call."""
    needs_own_header(tb)
    await tb.host.settle(60)
    counts = {name: tb.counter(name) for name in ("malformed", "poisoned", "unsupported", "unexpected")}
    before = getattr(tb, "_counts", dict.fromkeys(counts, 0))
    tb._counts = counts
    assert {name: counts[name] - before[name] for name in counts} == {name: int(name == counter) for name in counts}
    seen, tb._pulses = tb.pulses.copy(), tb.pulses.copy()
    seen.subtract(getattr(tb, "_pulses_before", {}))
    tb._pulses_before = tb._pulses
    assert {name: count for name, count in seen.items() if count} == {PULSES[pulse]: 1}
    assert await errors(tb) == (bits, parity)


async def alive(tb):
    """The endpoint still answers memory, I/O and configuration requests."""
    assert await tb.host.config_read(0x00, 2) == 0x1AF4
    assert await tb.legacy.read(0x00, 4) == tb.config.legacy_features


# Completions.


@case
async def every_request_gets_its_own_completions(tb):
    """Overlapping requests of every kind; `Host.request` checks each completion in full."""
    needs_memory(tb)
    base, size = memory_bar(tb)
    tasks = []
    for _ in range(60):
        kind = tb.rng.randrange(4)
        if kind == 0:
            request = codec.ConfigRequest(
                bus=tb.host.target[0],
                device=tb.host.target[1],
                offset=tb.rng.randrange(64) * 4,
                first_be=tb.rng.randrange(16),
            )
        elif kind == 1:
            request = memory_read(unmapped(tb), tb.rng.randrange(1, 9))
        else:
            start = tb.rng.randrange(size)
            length = min(tb.rng.randrange(1, 300), 4096 - start % 4096, size - start)
            request = memory_read(base + start, length)
        request = replace(
            request,
            traffic_class=0 if kind == 0 else tb.rng.randrange(8),
            attributes=0 if kind == 0 else tb.rng.randrange(8),
            requester=tb.rng.getrandbits(16) | 1,
        )
        tasks.append(cocotb.start_soon(tb.host.request(request)))
    for task in tasks:
        await task


@case
async def byte_count_and_lower_address_follow_the_byte_enables(tb):
    needs_memory(tb)
    legacy = tb.legacy
    for enables in range(16):
        for offset in (0x00, 0x04, 0x7C):
            await tb.host.request(MemoryRequest(address=legacy.address + offset, first_be=enables))
    for first in (0b1111, 0b1110, 0b1100, 0b1000):
        for last in (0b1111, 0b0111, 0b0011, 0b0001):
            for length in (2, 3, 5):
                request = MemoryRequest(address=legacy.address + 0x04, length=length, first_be=first, last_be=last)
                await tb.host.request(request)
    for first in range(1, 16):
        for last in range(1, 16):
            request = MemoryRequest(address=legacy.address + 0x08, length=2, first_be=first, last_be=last)
            await tb.host.request(request)


@case
async def configuration_completions_have_byte_count_4_and_lower_address_0(tb):
    for enables in (0b1000, 0b0100, 0b0000, 0b1111):
        await tb.host.config_request(0x0C, enables=enables)
        await tb.host.config_request(0x3C, enables=enables, write=True, data=0)
    await tb.host.config_request(0x00, function=3)
    await tb.host.io_read(unmapped(tb), 0b1000)
    await tb.host.io_write(unmapped(tb), 0, 0b1000)


@case
async def reads_are_cut_at_every_128_byte_boundary(tb):
    """Including reads that leave the registers, the window and the BAR itself."""
    base, size = memory_bar(tb)
    holes = tb.counter("hole")
    for start, length in ((0, 4096), (4, 4092), (0x34, 96), (0x7C, 8), (0x7F, 2), (size - 4096, 4096)):
        if start + length > size:
            continue
        answer = await tb.host.request(memory_read(base + start, length))
        assert answer.status == SUCCESSFUL
        assert len(answer.payload) == codec.extent(base + start, length).length
    for _ in range(30):
        start = tb.rng.randrange(size)
        length = tb.rng.randrange(1, min(1024, 4096 - start % 4096, size - start) + 1)
        await tb.host.request(memory_read(base + start, length))
    assert tb.counter("hole") >= holes


@case
async def a_read_beyond_the_bar_is_answered_with_zeros_there(tb):
    small = [bar for bar in tb.config.bars if bar.kind is not BarKind.IO and bar.decoded_size < 4096]
    if not small:
        tb.skip("every memory BAR ends on a 4 KiB boundary")
    bar = small[0]
    answer = await tb.host.request(memory_read(tb.bar[bar.index] + bar.decoded_size - 8, 16))
    assert answer.payload[2:] == (0, 0)


@case
async def a_zero_length_read_follows_earlier_writes(tb):
    needs_memory(tb)
    address = tb.legacy.address
    for value in range(1, 8):
        await tb.legacy.write(STATUS, value, 1)
        answer = await tb.host.request(MemoryRequest(address=address + NOTIFY, first_be=0))
        assert answer.payload == (0,) and answer.completions[0].byte_count == 1
        assert await tb.legacy.read(STATUS, 1) == value


@case
async def a_read_sees_every_write_before_it(tb):
    needs_memory(tb)
    for _ in range(60):
        value = tb.rng.randrange(1, 64)
        if tb.rng.random() < 0.5:
            await tb.legacy.write(STATUS, value, 1)
            assert await tb.legacy.read(STATUS, 1) == value
        else:
            page = tb.rng.getrandbits(32)
            await tb.legacy.write(QUEUE_ADDRESS, page, 4)
            assert await tb.legacy.read(QUEUE_ADDRESS, 4) == page


@case
async def traffic_class_attributes_and_hints_are_mirrored(tb):
    needs_memory(tb)
    for traffic_class in range(8):
        for attributes in range(8):
            request = MemoryRequest(
                address=tb.legacy.address,
                traffic_class=traffic_class,
                attributes=attributes,
                address_type=tb.rng.randrange(4),
                hint=tb.rng.random() < 0.3,
                first_be=0xF,
            )
            answer = await tb.host.request(request)
            assert answer.data == tb.config.legacy_features


@case
async def every_tag_is_mirrored(tb):
    for tag in [*range(0, 1024, 7), 255, 256, 511, 512, 767, 768, 1023]:
        request = codec.ConfigRequest(bus=tb.host.target[0], device=tb.host.target[1], offset=0, tag=tag)
        answer = await tb.host.request(request, keep_tag=True)
        assert answer.completions[0].tag == tag


# Unsupported requests.


@case
async def unmapped_reads_are_refused_and_unmapped_writes_dropped(tb):
    needs_own_header(tb)
    answer = await tb.host.request(memory_read(unmapped(tb), 4))
    assert answer.status == UNSUPPORTED
    await expect_error(tb, counter="unsupported", bits=CORRECTABLE | UNSUPPORTED_DETECTED, pulse="correctable")
    tb.host.write(unmapped(tb), 0, 4)
    await expect_error(tb, counter="unsupported", bits=NONFATAL | UNSUPPORTED_DETECTED, pulse="nonfatal")
    await alive(tb)


@case
async def locked_reads_atomics_and_type_1_are_unsupported(tb):
    base, _size = memory_bar(tb)
    advisory = {"counter": "unsupported", "bits": CORRECTABLE | UNSUPPORTED_DETECTED, "pulse": "correctable"}
    answer = await tb.host.request(replace(memory_read(base, 4), locked=True))
    assert answer.status == UNSUPPORTED and answer.completions[0].locked
    await expect_error(tb, **advisory)
    for operation, dwords in ((TlpType.FETCH_ADD, 1), (TlpType.SWAP, 2), (TlpType.COMPARE_SWAP, 2)):
        answer = await tb.host.atomic(base + 0x10, operation, [0xFFFF_FFFF] * dwords)
        assert answer.status == UNSUPPORTED
        await expect_error(tb, **advisory)
    assert (await tb.host.config_request(0, type1=True)).status == UNSUPPORTED
    await expect_error(tb, **advisory)
    await alive(tb)


@case
async def io_requests_without_io_bar_are_unsupported(tb):
    if any(bar.kind is BarKind.IO for bar in tb.config.bars):
        tb.skip("the device has an I/O BAR")
    base, _size = memory_bar(tb)
    for address in (0xC000, base & 0xFFFF_FFFC):
        assert (await tb.host.io_read(address)).status == UNSUPPORTED
        assert (await tb.host.io_write(address, 0xFFFF_FFFF)).status == UNSUPPORTED
    await alive(tb)


@case
async def io_requests_reach_the_legacy_window(tb):
    found = tb.config.find(Space.LEGACY)
    if found is None or found[0].kind is not BarKind.IO:
        tb.skip("the legacy window is not in I/O space")
    address = tb.legacy.address
    assert (await tb.host.io_read(address)).data == tb.config.legacy_features
    assert (await tb.host.io_write(address + NOTIFY, 0x0003_0000, 0b0100)).status == SUCCESSFUL
    assert (await tb.host.io_read(address + NOTIFY, 0b0100)).data == 0x0003_0000
    assert (await tb.host.io_write(address + DRIVER_FEATURES, 0xFFFF_FFFF)).status == SUCCESSFUL
    assert (await tb.host.io_read(address + DRIVER_FEATURES)).data == tb.config.legacy_features
    for size, offset in ((1, STATUS), (2, 0x0C), (4, 0x00)):
        await tb.legacy.read(offset, size)
    await tb.cause(queue=0)
    assert (await tb.host.io_read(address + NOTIFY, 0b0111)).data >> 24 == 0
    assert (await tb.host.io_read(address + NOTIFY, 0b1000)).data == 1 << 24
    assert await tb.legacy.read(ISR, 1) == 0


@case
async def four_dword_headers_below_4_gib_follow_the_option(tb):
    bar = next((bar for bar in tb.config.bars if bar.kind is not BarKind.IO), None)
    if bar is None:
        tb.skip("the device has no memory BAR")
    await tb.place(bar, 0xE000_0000)
    answer = await tb.host.request(replace(memory_read(0xE000_0000, 4), wide=True))
    assert answer.status == (UNSUPPORTED if tb.config.datapath.strict_64bit else SUCCESSFUL)
    assert (await tb.host.request(memory_read(0xE000_0000, 4))).status == SUCCESSFUL
    if bar.kind is BarKind.MEMORY64:
        await tb.place(bar, 0x12_E000_0000)
        assert (await tb.host.request(memory_read(0x12_E000_0000, 4))).status == SUCCESSFUL
        assert (await tb.host.request(memory_read(0xE000_0000, 4))).status == UNSUPPORTED


# Poisoned data.


@case
async def poisoned_writes_change_nothing(tb):
    await tb.legacy.write(STATUS, 1, 1)
    needs_memory(tb)
    request = MemoryRequest(
        write=True, address=tb.legacy.address + NOTIFY, first_be=0b0100, payload=(0x0003_0000,), poisoned=True
    )
    tb.host.post(request)
    await expect_error(tb, counter="poisoned", bits=NONFATAL, pulse="nonfatal", parity=True)
    assert await tb.legacy.read(STATUS, 1) == 1


@case
async def poisoned_configuration_and_io_writes_are_refused(tb):
    captured = tb.host.captured
    refused = {
        "counter": "poisoned",
        "bits": CORRECTABLE | UNSUPPORTED_DETECTED,
        "pulse": "correctable",
        "parity": True,
    }
    line = await tb.host.config_read(0x3C, 1)
    answer = await tb.host.config_request(0x3C, write=True, data=line ^ 0xFF, enables=1, poisoned=True)
    assert answer.status == UNSUPPORTED and tb.host.captured == captured
    await expect_error(tb, **refused)
    assert await tb.host.config_read(0x3C, 1) == line
    io = IoRequest(write=True, address=0xC000 + NOTIFY, first_be=0b0100, data=0x0003_0000, poisoned=True)
    assert (await tb.host.request(io)).status == UNSUPPORTED
    await expect_error(tb, **refused)
    assert await tb.legacy.read(STATUS, 1) == 0


@case
async def poison_means_nothing_without_data(tb):
    needs_memory(tb)
    answer = await tb.host.request(replace(memory_read(tb.legacy.address, 4), poisoned=True))
    assert answer.status == SUCCESSFUL and answer.data == tb.config.legacy_features


# Malformed packets.


async def malformed(tb, dwords):
    """The packet is dropped without a completion, counted, and reported as fatal."""
    tb.host.put(dwords)
    await tb.host.silence(80)
    await expect_error(tb, counter="malformed", bits=FATAL, pulse="fatal")


def read_dwords(tb, **fields):
    return codec.build(MemoryRequest(address=memory_bar(tb)[0], tag=0x3F0, **fields))


@case
async def requests_across_4_kib_are_malformed(tb):
    base, _size = memory_bar(tb)
    for start, length in ((0xFFC, 2), (0xF80, 64), (0x004, 1024)):
        await malformed(tb, codec.build(MemoryRequest(address=base + start, length=length, last_be=0xF)))
    write = MemoryRequest(write=True, address=base + 0xFFC, length=2, last_be=0xF, payload=(0, 0))
    await malformed(tb, codec.build(write))
    await alive(tb)


@case
async def unknown_formats_and_types_are_malformed(tb):
    known = {0b00000, 0b00001, 0b00010, 0b00100, 0b00101, 0b01010, 0b01011, 0b01100, 0b01101, 0b01110}
    for kind in sorted(set(range(32)) - known - set(range(0b10000, 0b11000))):
        await malformed(tb, [kind << 24 | 1, 0x0000_100F, 0x1000])
    for fmt in (0b100, 0b101, 0b110, 0b111):
        await malformed(tb, [fmt << 29 | 1, 0x0000_100F, 0x1000, 0])
    await malformed(tb, [0b001 << 29 | TlpType.CONFIG_0 << 24 | 1, 0x0000_100F, 0, 0])
    await malformed(tb, [0b010 << 29 | TlpType.MEMORY_LOCKED << 24 | 1, 0x0000_100F, 0x1000, 0])
    await alive(tb)


@case
async def lengths_that_do_not_match_are_malformed(tb):
    base, _size = memory_bar(tb)
    write = codec.build(codec.memory_write(base, bytes(16)))
    for wrong in (write[:-1], [*write, 0], write[:4], [write[0] | 1 << 15, *write[1:]], [*write, *[0] * 40]):
        await malformed(tb, wrong)
    read = codec.build(memory_read(base, 4))
    for wrong in ([*read, 0], read[:2], read[:1], [*read, *[0] * 20]):
        await malformed(tb, wrong)
    await malformed(tb, [read[0] | 1 << 15, *read[1:]])
    await alive(tb)


@case
async def a_digest_is_accepted(tb):
    needs_memory(tb)
    await tb.legacy.write(STATUS, 1, 1)
    request = codec.memory_write(tb.legacy.address + STATUS, b"\x03")
    tb.host.post(replace(request, digest=0xDEAD_BEEF))
    answer = await tb.host.request(replace(memory_read(tb.legacy.address + STATUS, 1), digest=0x1234_5678))
    assert answer.data >> 16 & 0xFF == 3


@case
async def payload_above_the_set_maximum_is_malformed(tb):
    base, _size = memory_bar(tb)
    register = tb.capability("express") + 8
    largest = tb.config.datapath.max_payload
    control = await tb.host.config_read(register, 2) & ~0xE0
    for code in range((largest // 128).bit_length()):
        await tb.host.config_write(register, control | code << 5, 2)
        size = 128 << code
        tb.host.write(base + 0x800, bytes(size))
        await tb.host.silence()
        assert await errors(tb) == (0, False)
        write = MemoryRequest(
            write=True, address=base + 0x800, length=size // 4 + 1, last_be=0xF, payload=(0,) * (size // 4 + 1)
        )
        await malformed(tb, codec.build(write))
    await alive(tb)


@case
async def fields_that_io_and_configuration_fix_are_checked(tb):
    needs_own_header(tb)
    target = tb.host.target[0] << 24 | tb.host.target[1] << 19
    config_read, io_read = TlpType.CONFIG_0 << 24, TlpType.IO << 24
    for dw0, dw2 in ((config_read, target), (io_read, 0xC000)):
        for bit in (1 << 20, 1 << 22, 1 << 12, 1 << 13):
            await malformed(tb, [dw0 | 1 | bit, 0x0000_400F, dw2])
        await malformed(tb, [dw0 | 2, 0x0000_400F, dw2])
        await malformed(tb, [dw0 | 1, 0x0000_401F, dw2])
    # The third attribute is reserved there, so nobody looks at it.
    bus, device = tb.host.target
    request = codec.ConfigRequest(bus=bus, device=device, offset=0, attributes=0b100)
    assert (await tb.host.request(request)).status == SUCCESSFUL
    await alive(tb)


#: Byte enables that break a rule: dword offset modulo 8, length, first, last.
ILLEGAL = (
    (0, 1, 0xF, 0x1), (0, 2, 0x0, 0xF), (0, 2, 0xF, 0x0), (0, 3, 0x0, 0xF), (0, 3, 0xF, 0x0),
    (4, 2, 0b1010, 0b0001), (4, 2, 0b1000, 0b0101), (0, 3, 0b0111, 0xF), (0, 4, 0xF, 0b1110), (0, 3, 0b1011, 0b1101),
)  # fmt: skip


@case
async def illegal_byte_enables_follow_the_option(tb):
    base, _size = memory_bar(tb)
    for offset, length, first, last in ILLEGAL:
        request = MemoryRequest(address=base + 0x20 + offset, length=length, first_be=first, last_be=last)
        if tb.config.datapath.check_byte_enables:
            await malformed(tb, codec.build(request))
            payload = tuple(tb.rng.getrandbits(32) for _ in range(length))
            await malformed(tb, codec.build(replace(request, write=True, payload=payload)))
        else:
            assert (await tb.host.request(request)).status == SUCCESSFUL
    await alive(tb)


# Messages and completions that nobody asked for.


@case
async def unexpected_completions_are_dropped(tb):
    tb.host.post(Completion(requester=tb.host.captured, tag=5, payload=(1, 2)))
    await tb.host.silence(60)
    await expect_error(tb, counter="unexpected", bits=CORRECTABLE, pulse="correctable")
    tb.host.post(Completion(requester=tb.host.captured, tag=6, status=1, locked=True, poisoned=True))
    await tb.host.silence(60)
    await expect_error(tb, counter="unexpected", bits=CORRECTABLE, pulse="correctable")
    await alive(tb)


@case
async def messages_of_normal_life_are_accepted_in_silence(tb):
    for code in (*sorted(MESSAGES_ACCEPTED), 0x7F):
        tb.host.post(Message(code=code))
    # Set_Slot_Power_Limit carries a dword.
    tb.host.post(Message(code=0x50, payload=(0x0000_0164,)))
    await tb.host.silence()
    assert await errors(tb) == (0, False)
    await alive(tb)


@case
async def other_messages_are_unsupported(tb):
    for code in (0x7E, 0x20, 0x24, 0x30, 0x01):
        tb.host.post(Message(code=code))
        await tb.host.silence(40)
        await expect_error(tb, counter="unsupported", bits=NONFATAL | UNSUPPORTED_DETECTED, pulse="nonfatal")
    tb.host.post(Message(code=0x50, payload=(1,), poisoned=True))
    await expect_error(tb, counter="poisoned", bits=NONFATAL, pulse="nonfatal", parity=True)
    await alive(tb)


# Holes.


@case
async def holes_read_zero_and_are_counted(tb):
    for bar in tb.config.bars:
        if bar.kind is BarKind.IO:
            continue
        covered = {start for region in bar.regions for start in range(region.offset, region.end, 4096)}
        free = [start for start in range(0, bar.decoded_size, 4096) if start not in covered]
        if not free:
            continue
        before = tb.counter("hole")
        address = tb.bar[bar.index] + free[0]
        tb.host.write(address, bytes(8))
        answer = await tb.host.request(memory_read(address, 16))
        assert answer.status == SUCCESSFUL and not any(answer.payload)
        assert tb.counter("hole") == before + 6, "one for each dword"
        return
    tb.skip("the windows fill every BAR")


# Back-pressure.


@case
async def writes_are_taken_while_the_link_takes_nothing(tb):
    """A link that never takes a completion must not hold up posted writes, if it stops in time.

    After ``rx_np_ok`` fell it sends all the non-posted requests that it still may, back to back.
    """
    needs_memory(tb)
    await tb.open_gate()
    await tb.host.settle()
    tb.sink.stall, tb.source.idle, tb.source.least_grace = 1, 0, GRACE
    tasks = [cocotb.start_soon(tb.host.request(memory_read(tb.legacy.address, 64))) for _ in range(48)]
    await ClockCycles(tb.dut.clk, 300)
    if not tb.config.datapath.hard_ip.described:
        assert not int(tb.dut.rx_np_ok.value), "the non-posted queue should have filled"
    assert tb.source.grace == 0 and tb.source.pending, "the link should have sent all that it may, and have more"
    for value in range(1, 65):
        await tb.legacy.write(STATUS, value & 0x3F or 1, 1)
    patience = 5000
    # The source sends in order, except that posted requests pass reads which may not go.
    while tb.source.posted_pending:
        await ClockCycles(tb.dut.clk, 10)
        assert (patience := patience - 10) > 0, "posted writes are stuck behind reads"
    tb.sink.stall = 0
    for task in tasks:
        answer = await with_timeout(task, 400_000, "ns")
        assert answer.data == tb.config.legacy_features
    assert await tb.legacy.read(STATUS, 1) == 1


@case
async def nothing_is_lost_or_doubled_under_back_pressure(tb):
    needs_memory(tb)
    await tb.open_gate()
    await tb.legacy.write(QUEUE_ADDRESS, 0x100, 4)
    await tb.events("queue_update")
    notified = 0
    for stall, idle in ((0.0, 0.0), (0.9, 0.0), (0.0, 0.8), (0.7, 0.7)):
        tb.sink.stall, tb.source.idle = stall, idle
        for _ in range(10):
            page = tb.rng.getrandbits(32) | 1
            await tb.legacy.write(QUEUE_ADDRESS, page, 4)
            assert await tb.legacy.read(QUEUE_ADDRESS, 4) == page
            await tb.legacy.write(NOTIFY, 0, 2)
            found = await tb.events("notification", 60)
            notified += len(found)
    assert notified == 40, "one notification for each write"


# The requester, which is not built yet: what is asked of it is refused, never lost.


@case
async def dma_requests_end_with_status_blocked(tb):
    for context in range(4):
        tb.into["dma_read"].put(function=0, epoch=0, address=0x1000, bytes=64, owner=1, context=context)
        (word,) = await wait_for(tb, "dma_read_data", 1)
        assert (word.owner, word.context, word.status, word.bytes, word.last) == (1, context, 5, 0, 1)
        tb.into["dma_write"].put(function=0, epoch=0, address=0x2000, bytes=8, context=context, report=1)
        tb.into["dma_write_data"].put(data=context, bytes=8, last=1)
        (done,) = await wait_for(tb, "dma_write_done", 1)
        assert (done.context, done.status) == (context, 1)
    await tb.host.silence()


async def wait_for(tb, stream, count):
    """The next words of a stream."""
    return [await with_timeout(tb.out[stream].receive(), 4000, "ns") for _ in range(count)]

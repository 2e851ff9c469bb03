"""The device's split ring against a driver's that was written separately."""

import random

import pytest
from driver_ring import INDIRECT, NEXT, WRITE, DriverRing, legacy_areas
from hypothesis import given, settings
from hypothesis import strategies as st
from virtio_mmr_sim.device.split_ring import Causes, RingFault, RingFeatures, SplitRing, Unreachable
from virtio_mmr_sim.native.host_memory import OutsideMemory, Ram

MEMORY = 1 << 20


class Shared:
    """Memory for both sides; accesses of the device are noted."""

    def __init__(self):
        self.ram = Ram(MEMORY)
        self.log = []

    async def read(self, address, length):
        self.log.append(("r", address, length))
        try:
            return self.ram.read(address, length)
        except OutsideMemory as error:
            raise Unreachable(str(error)) from None

    async def write(self, address, data):
        self.log.append(("w", address, len(data)))
        try:
            self.ram.write(address, data)
        except OutsideMemory as error:
            raise Unreachable(str(error)) from None


def finish(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def both(size=8, areas=(0x1000, 0x2002, 0x3004), *, start=0, event_index=False, big_endian=False, **features):
    """A driver's and a device's ring; `areas` may be a page number."""
    if isinstance(areas, int):
        areas = legacy_areas(areas, size)
    shared = Shared()
    driver = DriverRing(shared.ram, size, *areas, event_index=event_index, order="big" if big_endian else "little",
                        made=start, collected=start)
    driver.put(areas[1] + 2, start, 2)
    driver.put(areas[2] + 2, start, 2)
    features = RingFeatures(event_index=event_index, big_endian=big_endian, **features)
    return driver, SplitRing(shared, size, *areas, features, first_available=start, first_used=start), shared


def parts(buffers):
    return [(buffer.address, buffer.length) for buffer in buffers]


@pytest.mark.parametrize("size", [1, 2, 8, 128, 256, 1024])
@pytest.mark.parametrize("big_endian", [False, True])
def test_a_legacy_ring_lies_where_the_page_says(size, big_endian):
    driver, ring, _ = both(size, 5, big_endian=big_endian)
    head = driver.add([(0x8_0000, 16)][:size - 1], [(0x9_0000, 512)])
    chain = finish(ring.take())
    assert chain.head == head
    assert parts(chain.readable) == [(0x8_0000, 16)][:size - 1]
    assert parts(chain.writable) == [(0x9_0000, 512)]
    assert finish(ring.take()) is None
    ring.use(chain, 77)
    assert driver.collect() == []
    finish(ring.publish())
    assert driver.collect() == [(head, 77)]


def test_the_index_is_written_after_the_elements():
    driver, ring, shared = both(8)
    for _ in range(3):
        driver.add([], [(0x8000, 4)])
    for _ in range(3):
        ring.use(finish(ring.take()), 4)
    shared.log.clear()
    finish(ring.publish())
    assert shared.log == [("w", 0x3008, 24), ("w", 0x3006, 2), ("r", 0x2002, 2)]


def test_chains_are_used_in_the_order_in_which_they_came():
    driver, ring, _ = both(8)
    heads = [driver.add([], [(0x8000, 4)]) for _ in range(3)]
    chains = [finish(ring.take()) for _ in range(3)]
    ring.use(chains[2], 3)
    assert finish(ring.publish()) is False and driver.collect() == []
    ring.use(chains[0], 1)
    finish(ring.publish())
    assert driver.collect() == [(heads[0], 1)]
    ring.use(chains[1], 2)
    finish(ring.publish())
    assert driver.collect() == [(heads[1], 2), (heads[2], 3)]


def test_a_ring_that_was_rewound_gives_again_what_was_not_shown():
    driver, ring, _ = both(8, start=65534)
    heads = [driver.add([], [(0x8000, 4)]) for _ in range(4)]
    ring.use(finish(ring.take()), 4)
    finish(ring.publish())
    ring.use(finish(ring.take()), 4)
    finish(ring.take())
    ring.rewind()
    assert [finish(ring.take()).head for _ in range(3)] == heads[1:]
    assert finish(ring.take()) is None
    assert driver.collect() == [(heads[0], 4)]


def test_an_indirect_table_may_follow_other_buffers():
    driver, ring, _ = both(8, indirect=True)
    buffers = [(0x8000 + 0x100 * n, 10 + n) for n in range(200)]
    head = driver.add(buffers[:150], buffers[150:], indirect=0x10000, direct=2)
    chain = finish(ring.take())
    assert chain.head == head
    assert (parts(chain.readable), parts(chain.writable)) == (buffers[:150], buffers[150:])
    assert chain.readable_length == sum(length for _, length in buffers[:150])


# Interrupts and notifications

def test_flags_forbid_interrupts():
    driver, ring, _ = both(8)
    for quiet, wanted in ((False, True), (True, False)):
        driver.no_interrupts(quiet)
        driver.add([], [(0x8000, 4)])
        ring.use(finish(ring.take()), 4)
        assert finish(ring.publish()) is wanted


def test_an_emptied_ring_interrupts_if_that_was_negotiated():
    driver, ring, _ = both(8, notify_on_empty=True)
    driver.no_interrupts()
    driver.add([], [(0x8000, 4)])
    driver.add([], [(0x8000, 4)])
    for wanted in (False, True):
        ring.use(finish(ring.take()), 4)
        assert finish(ring.publish()) is wanted


@given(data=st.data(), start=st.sampled_from([0, 1, 65530, 65535, 32767]))
@settings(max_examples=150, deadline=None)
def test_an_interrupt_comes_when_the_event_index_is_passed(data, start):
    driver, ring, _ = both(16, start=start, event_index=True)
    used = start
    for _ in range(data.draw(st.integers(1, 12))):
        count = data.draw(st.integers(1, 5))
        for _ in range(count):
            driver.add([], [(0x8000, 4)])
        event = used + data.draw(st.integers(-3, 8))
        driver.interrupt_at(event)
        for _ in range(count):
            ring.use(finish(ring.take()), 4)
        written = [(used + n) % 65536 for n in range(count)]
        assert finish(ring.publish()) is (event % 65536 in written)
        used += count
        driver.collect()


def test_with_flags_the_device_asks_for_silence_and_ends_it():
    driver, ring, _ = both(8)
    assert driver.make_available(driver.write_chain([(0x8000, 4)], []))
    finish(ring.suppress())
    assert not driver.make_available(driver.write_chain([(0x8000, 4)], []))
    assert finish(ring.watch()), "there were requests already"
    finish(ring.take())
    finish(ring.take())
    assert not finish(ring.watch())
    assert driver.make_available(driver.write_chain([(0x8000, 4)], []))


def test_with_event_indexes_the_device_hears_of_the_first_request_it_has_not_seen():
    driver, ring, _ = both(8, start=65535, event_index=True)
    assert not finish(ring.watch())
    assert driver.make_available(driver.write_chain([(0x8000, 4)], []))
    assert not driver.make_available(driver.write_chain([(0x8000, 4)], [])), "it was not asked for again"
    assert finish(ring.watch()), "there were requests already"
    assert finish(ring.watch()), "they wait to be taken"
    finish(ring.suppress())
    assert driver.get(driver.used, 2) == 0, "the flags are not used"
    assert driver.make_available(driver.write_chain([(0x8000, 4)], []))


# What drivers must not do

def faulty(size, write, cause, said, **features):
    """The ring's verdict on what *write* does to memory."""
    driver, ring, _ = both(size, **features)
    write(driver)
    with pytest.raises(RingFault, match=said) as caught:
        while finish(ring.take()):
            pass
    assert caught.value.cause == cause


def available(driver, head):
    driver.put(driver.available + 4, head, 2)
    driver.put(driver.available + 2, 1, 2)


def chain_of(*descriptors, table=None):
    """Writes descriptors (address, length, flags, next) from the first on, and makes the first available."""
    def write(driver):
        for index, descriptor in enumerate(descriptors):
            driver.descriptor(driver.descriptors, index, *descriptor)
        for index, descriptor in enumerate(table or ()):
            driver.descriptor(0x10000, index, *descriptor)
        available(driver, 0)
    return write


@pytest.mark.parametrize("size, write, said", [
    (8, lambda driver: available(driver, 8), "begins outside"),
    (8, lambda driver: available(driver, 0xFFFF), "begins outside"),
    (8, lambda driver: driver.put(driver.available + 2, 9, 2), "more than the 8"),
    (8, lambda driver: driver.put(driver.available + 2, 65535, 2), "more than the 8"),
    (8, chain_of((0x8000, 4, NEXT, 8)), "goes on outside"),
    (8, chain_of((0x8000, 4, NEXT, 0)), "more than 8 descriptors"),
    (8, chain_of((0x8000, 4, NEXT, 1), (0x8000, 4, NEXT, 0)), "more than 8 descriptors"),
    (8, chain_of((0x8000, 4, NEXT | WRITE, 1), (0x8000, 4, 0, 0)), "to read behind one to write"),
    (8, chain_of(((1 << 64) - 4, 5, 0, 0)), "beyond all memory"),
    (8, chain_of((0x10000, 16, INDIRECT, 0)), "not negotiated"),
])
def test_a_broken_rule_is_told(size, write, said):
    faulty(size, write, Causes.CONTENTS, said)


@pytest.mark.parametrize("write, said", [
    (chain_of((0x10000, 0, INDIRECT, 0)), "no multiple of 16"),
    (chain_of((0x10000, 17, INDIRECT, 0)), "no multiple of 16"),
    (chain_of((0x10000, 16, INDIRECT | NEXT, 1)), "that goes on"),
    (chain_of(((1 << 64) - 16, 32, INDIRECT, 1)), "beyond all memory"),
    (chain_of((0x10000, 32, INDIRECT, 0), table=[(0x8000, 4, NEXT, 2)]), "outside the 2"),
    (chain_of((0x10000, 32, INDIRECT, 0), table=[(0x8000, 4, NEXT, 1), (0x8000, 4, NEXT, 1)]), "more than 2"),
    (chain_of((0x10000, 32, INDIRECT, 0), table=[(0x10000, 16, INDIRECT, 0)]), "in an indirect table"),
])
def test_a_broken_rule_of_indirect_tables_is_told(write, said):
    faulty(8, write, Causes.CONTENTS, said, indirect=True)


def test_a_table_that_never_ends_is_read_no_further_than_any_chain_may_reach():
    driver, ring, shared = both(8, indirect=True)
    driver.descriptor(driver.descriptors, 0, 0x10000, 16 << 14, INDIRECT, 0)
    for index in range(1 << 14):
        driver.descriptor(0x10000, index, 0x8000, 4, NEXT, index + 1)
    available(driver, 0)
    with pytest.raises(RingFault, match="more than 1024") as caught:
        finish(ring.take())
    assert caught.value.cause == Causes.CONTENTS
    assert max(address + length for _, address, length in shared.log) <= 0x10000 + 16 * 1024 + 64 * 16


@pytest.mark.parametrize("areas", [(0x1008, 0x2000, 0x3000), (0x1000, 0x2001, 0x3000), (0x1000, 0x2000, 0x3002),
                                   ((1 << 64) - 16, 0x2000, 0x3000)])
def test_addresses_that_no_driver_may_give_are_told(areas):
    with pytest.raises(RingFault) as caught:
        SplitRing(Shared(), 8, *areas)
    assert caught.value.cause == Causes.ADDRESS


@pytest.mark.parametrize("size", [0, 3, 65536])
def test_a_size_that_no_queue_has_is_told(size):
    with pytest.raises(RingFault):
        SplitRing(Shared(), size, 0x1000, 0x2000, 0x3000)


def test_where_there_is_no_memory_the_cause_says_what_was_sought():
    shared = Shared()
    ring = SplitRing(shared, 8, 0x1000, 2 * MEMORY, 0x3000)
    with pytest.raises(RingFault) as caught:
        finish(ring.take())
    assert caught.value.cause == Causes.ADDRESS
    faulty(8, chain_of((2 * MEMORY, 16, INDIRECT, 0)), Causes.DMA, "no memory", indirect=True)


# At random

@given(seed=st.integers(0, 1 << 32), size=st.sampled_from([1, 2, 4, 16, 64]), event_index=st.booleans(),
       big_endian=st.booleans(), start=st.sampled_from([0, 65500, 65535]))
@settings(max_examples=200, deadline=None)
def test_whatever_both_sides_do_every_request_arrives_once_and_comes_back(seed, size, event_index, big_endian, start):
    rng = random.Random(seed)
    driver, ring, _ = both(size, start=start, event_index=event_index, big_endian=big_endian, indirect=True)
    tables = [0x20000 + 0x400 * n for n in range(size)]
    sent, taken, back = [], [], []
    for _ in range(rng.randrange(5, 120)):
        match rng.choice(["add", "add", "take", "take", "use", "publish", "rewind"]):
            case "add" if driver.free:
                buffers = [(rng.randrange(MEMORY), rng.randrange(1 << 16)) for _ in range(rng.randrange(1, 9))]
                cut = rng.randrange(len(buffers) + 1)
                where = {}
                if len(buffers) > len(driver.free) or rng.random() < 0.4:
                    where = {"indirect": tables[driver.free[-1]], "direct": rng.randrange(min(len(buffers),
                                                                                            len(driver.free)))}
                head = driver.add(buffers[:cut], buffers[cut:], **where)
                sent.append((head, buffers[:cut], buffers[cut:]))
            case "take" if (chain := finish(ring.take())) is not None:
                taken.append(chain)
                expected = sent[len(back) + len(taken) - 1]
                assert (chain.head, parts(chain.readable), parts(chain.writable)) == expected
            case "use" if waiting := [chain for chain in taken if chain.written is None]:
                ring.use(rng.choice(waiting), rng.randrange(1 << 32))
            case "publish":
                finish(ring.publish())
                for head, written in driver.collect():
                    chain = taken.pop(0)
                    back.append(chain)
                    assert (head, written) == (chain.head, chain.written)
            case "rewind":
                ring.rewind()
                taken.clear()
    while (chain := finish(ring.take())) is not None:
        taken.append(chain)
    for chain in taken:
        ring.use(chain, 0)
    finish(ring.publish())
    assert len(driver.collect()) == len(taken)
    assert len(back) + len(taken) == len(sent)
    assert sorted(driver.free) == list(range(size))


@given(seed=st.integers(0, 1 << 32), size=st.sampled_from([1, 2, 8, 256]), event_index=st.booleans())
@settings(max_examples=200, deadline=None)
def test_garbage_is_served_or_refused(seed, size, event_index):
    """Memory full of noise: each step ends, and nothing but a fault comes of it."""
    rng = random.Random(seed)
    _, ring, shared = both(size, event_index=event_index, indirect=True, notify_on_empty=True)
    shared.ram.bytes[:0x8000] = rng.randbytes(0x8000)
    shared.ram.write(0x2002 + 2, rng.randrange(size + 2).to_bytes(2, "little"))
    for _ in range(64):
        try:
            chain = finish(ring.take())
            if chain is not None:
                ring.use(chain, rng.getrandbits(32))
            finish(ring.publish())
            finish(ring.watch())
        except RingFault as fault:
            assert fault.cause in (Causes.ADDRESS, Causes.DMA, Causes.CONTENTS)
            break
    # Of the driver's half, not a byte was written.
    assert all(kind == "r" or 0x3004 <= address < 0x3004 + 8 * size + 6 for kind, address, _ in shared.log)

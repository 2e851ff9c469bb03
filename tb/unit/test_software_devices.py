"""Devices in software on a boundary of their own: each is interrupted at every single DMA request."""

import pytest
from boundary import BLOCKED, OK, UNSUPPORTED, Boundary
from driver_ring import DriverRing, legacy_areas
from frames import CLIENT, SERVER_IP
from virtio_mmr_sim.device.attach import Device
from virtio_mmr_sim.device.block import Block
from virtio_mmr_sim.device.dma import Dma, DmaPort
from virtio_mmr_sim.device.entropy import Entropy
from virtio_mmr_sim.device.function import FunctionDevice
from virtio_mmr_sim.device.net import Net
from virtio_mmr_sim.device.network.mirror import Mirror, turned
from virtio_mmr_sim.device.peer import HARDWARE, Peer
from virtio_mmr_sim.native.dma import STATUSES
from virtio_mmr_sim.native.model import Item

INDIRECT, EVENT_INDEX, MERGEABLE = 1 << 28, 1 << 29, 1 << 15
IN, OUT = 0x4_0000, 0x6_0000


class Bench:
    """A device with a driver's rings."""

    def __init__(self, device, features=0, queues=1, size=16):
        self.wire = Boundary()
        self.device = Device(self.wire, lambda number: device, clock=lambda: 0.0)
        self.features = features
        self.wire.driver_update(features=features)
        self.rings = []
        for queue in range(queues):
            ring = DriverRing(self.wire.memory, size, *legacy_areas(0x10 + 2 * queue, size),
                              event_index=bool(features & EVENT_INDEX))
            self.rings.append(ring)
            self.wire.enable(ring, queue)
        self.run()

    def run(self):
        """Until nothing can go on; it must come to that."""
        for _ in range(10_000):
            if not self.device.step():
                assert self.device.idle
                return
        raise AssertionError("it never rests")


class BlockWork:
    """Three requests of a block driver: read, write, and one of an unknown type."""

    queues = 1

    def __init__(self, folder):
        self.path = folder / "image"
        self.path.write_bytes(bytes(range(256)) * 20)
        self.device = Block(self.path)

    def begin(self, bench):
        memory = bench.wire.memory
        memory.write(OUT, b"\xab" * 512)
        for number, (kind, out, into) in enumerate((
            (0, [], [(IN, 300), (IN + 0x1000, 724)]), (1, [(OUT, 512)], []), (77, [], []),
        )):
            header = OUT + 0x1000 + 16 * number
            memory.write(header, kind.to_bytes(4, "little") + bytes(12))
            bench.rings[0].add([(header, 16), *out], [*into, (IN + 0x2000 + number, 1)])
        bench.wire.notify()

    def check(self, bench):
        assert [written for _, written in bench.rings[0].collect()] == [1025, 1, 1]
        memory = bench.wire.memory
        assert memory.read(IN + 0x2000, 3) == b"\0\0\2"
        # Before or after the second request: it may have been served before the first was served again.
        assert memory.read(IN, 300) + memory.read(IN + 0x1000, 724) in (
            bytes(range(256)) * 4, b"\xab" * 512 + bytes(range(256)) * 2)
        assert self.path.read_bytes() == b"\xab" * 512 + bytes(range(256)) * 18


class EntropyWork:
    """Two requests for random bytes, one of them in an indirect table."""

    queues = 1

    def __init__(self, folder):
        self.device = Entropy(lambda length: b"\x5a" * length)

    def begin(self, bench):
        bench.rings[0].add([], [(IN, 100), (IN + 200, 50)], indirect=OUT)
        bench.rings[0].add([], [(IN + 300, 7)])
        bench.wire.notify()

    def check(self, bench):
        assert [written for _, written in bench.rings[0].collect()] == [150, 7]
        memory = bench.wire.memory
        assert memory.read(IN, 320) == b"\x5a" * 100 + bytes(100) + b"\x5a" * 50 + bytes(50) + b"\x5a" * 7 + bytes(13)


class NetWork:
    """Frames to a mirror: some come back, maybe not all if they were on their way, maybe twice."""

    queues = 2

    def __init__(self, folder):
        self.device = Net(Mirror())
        self.frames = [bytes([number] * 6) + bytes(range(6, 70)) for number in range(3)]

    def begin(self, bench):
        for number in range(12):
            bench.rings[0].add([], [(IN + 0x100 * number, 60)])
        for number, frame in enumerate(self.frames):
            bench.wire.memory.write(OUT + 0x100 * number, bytes(12) + frame)
            bench.rings[1].add([(OUT + 0x100 * number, 12), (OUT + 0x100 * number + 12, len(frame))])
        for queue in (0, 1):
            bench.wire.notify(queue)

    def check(self, bench):
        assert len(bench.rings[1].collect()) == 3
        data = b"".join(bench.wire.memory.read(self.place(bench, head), written)
                        for head, written in bench.rings[0].collect())
        while data:
            assert data[:12] == bytes(10) + b"\2\0"
            assert data[12:82] in [turned(frame) for frame in self.frames]
            data = data[82:]

    def place(self, bench, head):
        return bench.rings[0].get(bench.rings[0].descriptors + 16 * head, 8)


WORK = pytest.mark.parametrize("work, features", [
    (BlockWork, 0), (BlockWork, EVENT_INDEX), (EntropyWork, INDIRECT), (NetWork, MERGEABLE),
    (NetWork, MERGEABLE | EVENT_INDEX),
])

#: More DMA requests than any of these needs.
MANY = 80


def started(work, features, folder):
    work = work(folder)
    bench = Bench(work.device, features, work.queues)
    if features & EVENT_INDEX:
        # An interrupt for the last request, and none before.
        bench.rings[-1].interrupt_at(2)
    return work, bench


def requests(work, features, folder):
    """How many DMA requests the work needs if nothing happens."""
    work, bench = started(work, features, folder)
    work.begin(bench)
    bench.run()
    work.check(bench)
    assert bench.wire.heard("interrupt_cause") and bench.wire.heard("fault") == []
    assert 10 < bench.wire.requests < MANY
    return bench.wire.requests


@WORK
def test_a_gate_that_closes_at_any_request_costs_nothing_but_time(work, features, tmp_path):
    for number in range(requests(work, features, tmp_path)):
        job, bench = started(work, features, tmp_path)
        bench.wire.verdict = lambda at: BLOCKED if at >= number else OK  # noqa: B023
        job.begin(bench)
        bench.run()
        bench.wire.verdict = lambda at: OK
        if bench.rings[-1].get(bench.rings[-1].used + 2, 2) < 3 - (work is EntropyWork):
            # What was told before is not what is waited for.
            bench.wire.heard("interrupt_cause")
        bench.wire.driver_update(event=2, features=features)
        bench.run()
        job.check(bench)
        causes = bench.wire.heard("interrupt_cause")
        assert job.queues - 1 in [cause["queue"] for cause in causes], f"{number}: the driver was not told"
        assert bench.wire.heard("fault") == []


@WORK
def test_a_gate_that_has_opened_again_before_the_answer_comes_costs_nothing_either(work, features, tmp_path):
    for number in range(requests(work, features, tmp_path)):
        job, bench = started(work, features, tmp_path)

        def verdict(at, bench=bench, number=number):
            if at == number:
                bench.wire.driver_update(event=2, features=features)
            return BLOCKED if at == number else OK

        bench.wire.verdict = verdict
        job.begin(bench)
        bench.run()
        job.check(bench)
        assert bench.wire.heard("fault") == []


@WORK
def test_memory_that_is_gone_at_any_request_stops_the_queue_once(work, features, tmp_path):
    told = 0
    for number in range(requests(work, features, tmp_path)):
        job, bench = started(work, features, tmp_path)
        bench.wire.verdict = lambda at: UNSUPPORTED if at == number else OK  # noqa: B023
        job.begin(bench)
        bench.run()
        faults = bench.wire.heard("fault")
        # Of a write that reaches nothing, nobody hears.
        assert len(faults) <= 1 and all(fault["cause"] in (1, 2) for fault in faults)
        told += len(faults)
        seen = bench.wire.requests
        for fault in faults:
            bench.wire.notify(fault["queue"])
        bench.run()
        assert bench.wire.requests == seen
    assert told > 5


@WORK
def test_a_reset_at_any_request_leaves_nothing_behind(work, features, tmp_path):
    for number in range(requests(work, features, tmp_path)):
        job, bench = started(work, features, tmp_path)
        job.begin(bench)
        while bench.wire.requests <= number and bench.device.step():
            pass
        bench.wire.verdict = lambda at: BLOCKED
        bench.wire.reset(1)
        bench.run()
        assert bench.wire.heard("reset_done") == [{"function": 0, "epoch": 1}]
        seen = bench.wire.requests
        for queue in range(job.queues):
            bench.wire.notify(queue)
        bench.run()
        assert bench.wire.requests == seen, "a queue of before was served"
        bench.wire.verdict = lambda at: OK
        again, fresh = started(work, features, tmp_path)
        fresh.wire.reset(1)
        fresh.run()
        fresh.wire.driver_update(features=features, epoch=1)
        for queue, ring in enumerate(fresh.rings):
            fresh.wire.enable(ring, queue)
        again.begin(fresh)
        fresh.run()
        again.check(fresh)
        assert {cause["epoch"] for cause in fresh.wire.heard("interrupt_cause")} == {1}


@pytest.mark.parametrize("status", STATUSES[1:5])
def test_what_a_buffer_can_end_as_is_a_fault_of_dma(status, tmp_path):
    """Before the header of the request come the available index, its entry, and four descriptors, one by one."""
    job, bench = started(BlockWork, 0, tmp_path)
    bench.wire.verdict = lambda at: STATUSES.index(status) if at == 6 else OK
    job.begin(bench)
    bench.run()
    assert [fault["cause"] for fault in bench.wire.heard("fault")] == [2]


def test_a_change_of_the_configuration_is_one_update():
    bench = Bench(FunctionDevice())
    bench.device.functions[0].update_config(6, b"\1\2\3\4\5\6\7", tell=True)
    assert bench.wire.heard("config_update") == [
        {"function": 0, "offset": 4, "data": 0x0201_0000, "strobe": 0b1100, "last": 0},
        {"function": 0, "offset": 8, "data": 0x0605_0403, "strobe": 0b1111, "last": 0},
        {"function": 0, "offset": 12, "data": 0x07, "strobe": 0b0001, "last": 1},
    ]
    assert bench.wire.heard("interrupt_cause") == [{"function": 0, "epoch": 0, "config_change": 1}]


def test_a_disk_is_told_again_after_a_function_level_reset(tmp_path):
    _, bench = started(BlockWork, 0, tmp_path)
    capacity = [{"function": 0, "offset": 0, "data": 10, "strobe": 15, "last": 0},
                {"function": 0, "offset": 4, "data": 0, "strobe": 15, "last": 1}]
    assert bench.wire.heard("config_update") == capacity
    bench.wire.reset(1, cause=0)
    bench.run()
    assert bench.wire.heard("config_update") == []
    bench.wire.reset(2, cause=1)
    bench.run()
    assert bench.wire.heard("config_update") == capacity


def test_the_driver_s_bytes_of_the_configuration_reach_the_device():
    class Listener(FunctionDevice):
        got = []

        def config_written(self, offset, value):
            self.got.append((offset, value))

    bench = Bench(Listener())
    bench.wire.event("config_write", function=0, offset=4, data=0x4433_2211, strobe=0b0110)
    bench.run()
    assert Listener.got == [(5, 0x22), (6, 0x33)]


def test_a_function_without_a_device_acknowledges_resets_alone():
    wire = Boundary(functions=3)
    device = Device(wire, lambda number: None)
    ring = DriverRing(wire.memory, 8, *legacy_areas(0x10, 8))
    wire.enable(ring, function=2)
    wire.notify(function=2)
    device.step()
    wire.reset(1, function=2)
    device.step()
    assert wire.said == [("reset_done", {"function": 2, "epoch": 1})] and wire.requests == 0 and device.idle


def test_a_disk_may_be_read_only(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(1024))
    bench = Bench(Block(path, read_only=True))
    bench.wire.memory.write(OUT, (1).to_bytes(4, "little") + bytes(12))
    bench.rings[0].add([(OUT, 16), (OUT + 16, 512)], [(IN, 1)])
    bench.wire.notify()
    bench.run()
    assert bench.wire.memory.read(IN, 1) == b"\1" and path.read_bytes() == bytes(1024)


@pytest.mark.parametrize("command, answer", [(b"\0\0\1", 0), (b"\1\0" + bytes(10), 0), (b"\4\0", 1), (b"", 1)])
def test_commands_of_the_control_queue_are_answered(command, answer):
    bench = Bench(Net(Mirror()), queues=3)
    bench.wire.memory.write(OUT, command)
    bench.rings[2].add([(OUT, len(command))] if command else [], [(IN, 1)])
    bench.wire.memory.write(IN, b"\xee")
    bench.wire.notify(2)
    bench.run()
    assert bench.wire.memory.read(IN, 1) == bytes([answer])
    assert [written for _, written in bench.rings[2].collect()] == [1]


def test_frames_wait_for_the_driver_and_are_dropped_without_one():
    peer = Peer(clock=lambda: 0.0)
    net = Net(peer)
    bench = Bench(net, queues=2)
    request = bytes.fromhex("0001080006040001") + CLIENT + bytes([192, 0, 2, 16]) + bytes(6) + SERVER_IP
    peer.receive(b"\xff" * 6 + CLIENT + b"\x08\x06" + request)
    bench.run()
    assert bench.rings[0].collect() == []
    bench.rings[0].add([], [(IN, 100)])
    bench.wire.notify(0)
    bench.run()
    assert [written for _, written in bench.rings[0].collect()] == [70]
    assert bench.wire.memory.read(IN + 10, 12) == CLIENT + HARDWARE
    bench.wire.reset(1)
    bench.run()
    peer.receive(b"\xff" * 6 + CLIENT + b"\x08\x06" + request)
    assert net.lost == 1


class Slow:
    """A requester port that answers nothing by itself."""

    def __init__(self):
        self.reads = []

    def fields(self, name):
        return {"data": 128}

    def put(self, name, **fields):
        self.reads.append((fields["address"], fields["context"]))


def test_more_reads_than_a_context_can_name_wait_in_order():
    wire = Slow()
    port = DmaPort(wire)
    user = Dma(port, 0, 0)
    pending = [part for address in range(65536 + 3) for part in user.begin_read(address, 1)]
    assert [address for address, _ in wire.reads] == list(range(65536))
    assert len({context for _, context in wire.reads}) == 65536
    free = wire.reads[7][1], wire.reads[5][1]
    for context in free:
        beat = {"owner": 1, "context": context, "data": 0x42, "bytes": 1, "last": 1, "status": 0}
        port.take_read_data([Item(0, beat)])
    assert wire.reads[65536:] == [(65536, free[0]), (65537, free[1])]
    assert [number for number, part in enumerate(pending) if part.done] == [5, 7]


def test_the_boundary_of_these_tests_loses_writes_that_reach_no_memory():
    """As a link does with posted writes; the device hears that it has sent it."""
    wire = Boundary(size=4096)
    wire.put("dma_write", function=0, epoch=0, address=4094, bytes=4, report=1, context=7)
    wire.put("dma_write_data", data=0x64636261, bytes=4, last=1)
    assert [item.fields for item in wire.take_all()["dma_write_done"]] == [{"context": 7, "status": 0}]
    assert wire.memory.read(0, 4096) == bytes(4096)

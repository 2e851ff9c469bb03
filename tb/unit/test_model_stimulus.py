"""The random packets are what they claim to be and reach what they should."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from model_devices import Host, block, console, entropy, net
from virtio_mmr.config import loads
from virtio_mmr.config.device import DeviceConfig
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.malformed import Malformed, why_malformed
from virtio_mmr_sim.model.stimulus import Flow, Item, Stimulus
from virtio_mmr_sim.model.tlp import build, parse


def several() -> DeviceConfig:
    """Twenty virtual functions with other queues than the physical one."""
    return loads('[device]\nkind = "net"\n[queues]\nsizes = [128, 256]\n[vf]\ncount = 20\nqueues = [64, 32, 16]\n')


DEVICES = [net, block, console, entropy, several]


def items(device: Callable[[], DeviceConfig], seed: int, count: int) -> list[tuple[Item, Malformed | None, int]]:
    """Packets with why they are malformed and how many completions the model gave."""
    model = Host(device()).model
    stimulus = Stimulus(model, random.Random(seed))
    found = []
    for _ in range(count):
        item = stimulus.next()
        why = why_malformed(item.dwords, model.max_payload, model.config.datapath.check_byte_enables)
        found.append((item, why, len(model.receive(item.dwords))))
        if model.drain({"reset_request"}):
            model.reset_done(0, model.function.fence.epoch)
        model.drain()
    return found


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_gives_the_same_packets(device: Callable[[], DeviceConfig]) -> None:
    assert items(device, 1, 300) == items(device, 1, 300)
    assert items(device, 1, 300) != items(device, 2, 300)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(2))
def test_packets_are_malformed_exactly_where_it_is_meant(device: Callable[[], DeviceConfig], seed: int) -> None:
    for item, why, _ in items(device, seed, 1200):
        meant = item.what.partition("malformed: ")[2]
        assert (why is not None) == (meant != ""), (item, why)
        if why is None:
            parse(item.dwords)


@pytest.mark.parametrize("device", DEVICES)
def test_only_what_is_not_posted_is_answered(device: Callable[[], DeviceConfig]) -> None:
    for item, _, completions in items(device, 4, 1200):
        assert (completions > 0) == (item.flow is not Flow.POSTED), item


def test_every_kind_and_every_reason_comes_up() -> None:
    found = items(net, 5, 8000)
    seen = Counter(item.what for item, _, _ in found)
    assert set(seen) >= {
        "access", "bring-up", "burst", "config read", "config write", "msix enable", "bar move", "command", "power",
        "function level reset", "outside", "other function", "atomic", "locked read", "message", "completion",
        "poisoned", "revive"}
    reasons = Counter(why for _, why, _ in found)
    assert all(reasons[why] >= 20 for why in Malformed), reasons


@pytest.mark.parametrize("device", DEVICES)
def test_most_packets_reach_a_device_that_is_alive(device: Callable[[], DeviceConfig]) -> None:
    model = Host(device()).model
    stimulus = Stimulus(model, random.Random(7))
    alive = 0
    for _ in range(2500):
        alive += bool(model.bars)
        model.receive(stimulus.next().dwords)
    assert alive > 1700
    state = model.state()
    assert min(int(state[name]) for name in (
        "count_malformed", "count_poisoned", "count_unsupported", "count_unexpected", "count_hole")) > 4


def test_interesting_state_is_reached() -> None:
    """Queues run, are notified, and stop; the function enters bad states and leaves them."""
    streams: Counter[str] = Counter()
    badstates: set[int] = set()
    for seed in range(4):
        model = Host(net()).model
        rng = random.Random(seed)
        stimulus = Stimulus(model, rng)
        for _ in range(2500):
            model.receive(stimulus.next().dwords)
            if rng.random() < 0.5:
                streams.update(stream for stream, _ in model.drain())
                model.reset_done(0, model.function.fence.epoch)
            badstates.add(model.function.hypervisor.badstate)
    assert all(streams[name] > 20 for name in (
        "reset_request", "driver_update", "queue_update", "config_write", "notification")), streams
    assert badstates >= {0, 1, 0x100}


def test_virtual_functions_come_and_go_and_work() -> None:
    """Most of the time several exist; a few are hit often; each runs, is notified, and is reset on its own."""
    streams: Counter[str] = Counter()
    present: list[int] = []
    accessed: Counter[int] = Counter()
    causes: set[int] = set()
    for seed in range(4):
        model = EndpointModel(several())
        stimulus = Stimulus(model, random.Random(seed))
        for _ in range(2500):
            model.receive(stimulus.next().dwords)
            present.append(model.present)
            accessed[stimulus.unit.number] += 1
            for stream, fields in model.drain():
                streams.update([stream] if fields["function"] else [])
                causes |= {fields["cause"]} if stream == "reset_request" and fields["function"] else set()
            for unit in model.units:
                unit.function.reset_done(unit.function.fence.epoch)
    assert sum(number >= 3 for number in present) > len(present) * 0.6, Counter(present)
    assert set(accessed) == set(range(21))
    assert sum(count for _, count in accessed.most_common(8)) > len(present) * 0.6, accessed
    assert all(streams[name] > 20 for name in (
        "reset_request", "driver_update", "queue_update", "config_write", "notification")), streams
    assert causes == {0, 1, 2, 3}


def test_registers_of_virtual_functions_are_read_where_they_are() -> None:
    """Every read for a function that exists is answered by that function, and shows all of its legacy window."""
    model = EndpointModel(several())
    stimulus = Stimulus(model, random.Random(3))
    while model.present < 3 or not model.apertures or not model.space.get("control.vf_bar2"):
        model.receive(stimulus.next().dwords)
    for unit in model.units[1:model.present + 1]:
        for packet in [*stimulus.select_queue(unit, 2), *stimulus.read_registers(unit)]:
            for completion in model.receive(build(packet)):
                assert completion[1] >> 16 & 0xFF == unit.number
        assert unit.function.driver.queue_select == 2

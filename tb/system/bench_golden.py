"""What real guests did to a device, access by access, on the device that they did it to."""

from pathlib import Path

from virtio_mmr import config
from virtio_mmr.config.device import BarKind, Space
from virtio_mmr.spec.configuration import BAR0
from virtio_mmr_sim.guest import record
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.replay import is_dynamic
from virtio_mmr_sim.guest.trace import Decoder
from virtio_mmr_sim.guest.vfio_user import CONFIG_REGION
from virtio_mmr_sim.testbench import COMMAND, Testbench, Window, case

MEMORY_ENABLE = 2

GOLDEN = Path(__file__).parents[1] / "golden"


def recording(tb: Testbench) -> tuple[Show, list[record.Event]]:
    """The recording of a guest that saw this device itself, if under another id."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        about, events = record.load(path)
        show = Show(about["show"])
        if show is not Show.HYPERVISOR and config.loads(about["device"]) == tb.config:
            return show, events
    tb.skip("no guest was recorded on this device")
    raise AssertionError


async def window(tb: Testbench, index: int) -> Window:
    """The whole of a BAR, where the guest has put it."""
    bar = next(bar for bar in tb.config.bars if bar.index == index)
    low = await tb.host.config_read(BAR0 + 4 * index)
    high = await tb.host.config_read(BAR0 + 4 * index + 4) if bar.kind is BarKind.MEMORY64 else 0
    io = bar.kind is BarKind.IO
    return Window(tb.host, high << 32 | low & (~3 if io else ~0xF), bar.decoded_size, io=io)


def is_shown_otherwise(show: Show, access: record.Access) -> bool:
    """Whether the guest read the device id, in place of which it was shown another."""
    covers = access.offset < 4 and access.offset + access.size > 2
    return show is Show.MODERN and access.region == CONFIG_REGION and covers


async def open_gate(tb: Testbench) -> None:
    """As was done for the guest when it made the control page reachable."""
    found = tb.config.find_in_memory(Space.CONTROL)
    assert found is not None
    bar, region = found
    await (await window(tb, bar.index)).write(region.offset + 0x25, 1, 1)


@case(bring_up=False)
async def a_recorded_guest_reads_what_it_read(tb: Testbench) -> None:
    """Without a device behind it nothing is used and no interrupt comes, so interrupt status is not compared."""
    show, events = recording(tb)
    accesses = list(record.accesses(events))
    compared = 0
    for access, step in zip(accesses, Decoder(tb.config, show).steps(accesses), strict=True):
        if access.region == CONFIG_REGION:
            if access.write:
                await tb.host.config_write(access.offset, access.value, access.size)
                if show is Show.MODERN and access.offset == COMMAND and access.value & MEMORY_ENABLE:
                    await open_gate(tb)
                continue
            value = await tb.host.config_read(access.offset, access.size)
        else:
            bar = await window(tb, access.region)
            if access.write:
                await bar.write(access.offset, access.value, access.size)
                continue
            value = await bar.read(access.offset, access.size)
        fixed = not is_dynamic(step) and not is_shown_otherwise(show, access)
        assert not fixed or value == access.value, f"{step}, but {value:#x} was read"
        compared += 1
    assert compared > 20
    assert await tb.events("notification"), "the guest has told of buffers"

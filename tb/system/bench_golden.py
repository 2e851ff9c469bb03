"""What real guests did to a device, access by access, on the device that they did it to."""

from pathlib import Path

from virtio_mmr import config
from virtio_mmr.config.device import BarKind
from virtio_mmr.spec.configuration import BAR0
from virtio_mmr_sim.guest import record
from virtio_mmr_sim.guest.designs import Show
from virtio_mmr_sim.guest.replay import is_dynamic
from virtio_mmr_sim.guest.trace import Decoder
from virtio_mmr_sim.guest.vfio_user import CONFIG_REGION
from virtio_mmr_sim.testbench import Testbench, Window, case

GOLDEN = Path(__file__).parents[1] / "golden"


def recording(tb: Testbench) -> tuple[Show, list[record.Event]]:
    """The recording of a guest that saw this device itself."""
    for path in sorted(GOLDEN.glob("*.jsonl")):
        about, events = record.load(path)
        if about["show"] == Show.RAW.value and config.loads(about["device"]) == tb.config:
            return Show.RAW, events
    tb.skip("no guest was recorded on this device")
    raise AssertionError


async def window(tb: Testbench, index: int) -> Window:
    """The whole of a BAR, where the guest has put it."""
    bar = next(bar for bar in tb.config.bars if bar.index == index)
    low = await tb.host.config_read(BAR0 + 4 * index)
    high = await tb.host.config_read(BAR0 + 4 * index + 4) if bar.kind is BarKind.MEMORY64 else 0
    io = bar.kind is BarKind.IO
    return Window(tb.host, high << 32 | low & (~3 if io else ~0xF), bar.decoded_size, io=io)


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
                continue
            value = await tb.host.config_read(access.offset, access.size)
        else:
            bar = await window(tb, access.region)
            if access.write:
                await bar.write(access.offset, access.value, access.size)
                continue
            value = await bar.read(access.offset, access.size)
        assert is_dynamic(step) or value == access.value, f"{step}, but {value:#x} was read"
        compared += 1
    assert compared > 20
    assert await tb.events("notification"), "the guest has told of buffers"

"""Measures DMA of a generated design: payload that reads and writes sustain, against what the streams can carry.

The back end asks for whole pages as fast as it is let, the host answers in order and a while later, nothing is held
back. A packet of n bytes takes the beats of its header and payload on the raw stream; that is all that a stream can
carry, and what is measured is compared with it: of reads where completions come in, of writes where they go out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from virtio_mmr import config
from virtio_mmr.config.device import DeviceConfig, Space
from virtio_mmr.layout import place

from .dma import LARGEST, RandomDma, Transfers
from .model import NativeError, NativeModel
from .setup import bring_up

#: Max_Payload_Size and Max_Read_Request_Size.
SIZES = (128, 512)

#: Clocks from a read to its completion, and clocks that are measured after as many to get going.
DELAY, CLOCKS = 250, 50_000

DEVICE = """
schema = 1
[device]
kind = "net"
[control]
gate_open = true
[datapath]
width = {width}
max_payload = 512
[requester]
"""


@dataclass(frozen=True)
class Sustained:
    """Payload of one kind of packets: bytes a clock, and what the stream could carry."""

    kind: str
    width: int
    size: int
    bytes_per_clock: float
    possible: float

    @property
    def share(self) -> float:
        """Part of what is possible."""
        return self.bytes_per_clock / self.possible


def device(width: int) -> DeviceConfig:
    """The measured device."""
    return config.loads(DEVICE.format(width=width))


def possible(width: int, size: int) -> float:
    """Payload bytes a clock in packets of *size* bytes behind three header dwords."""
    lanes = width // 32
    return size / -(-(3 + size // 4) // lanes)


def _prepared(model: NativeModel, described: DeviceConfig, kind: str, size: int) -> RandomDma:
    model.reset()
    model.randomize(1)
    legacy = bring_up(model, described)[Space.LEGACY]
    code = (size // 128).bit_length() - 1
    # Device Control: both sizes, and more than 32 tags; a driver that has a queue.
    model.config_write(place(described)["device_control"].offset, code << 5 | code << 12 | 1 << 8, 0b0011)
    model.write32(legacy + 8, 1)
    model.settle()
    dma = RandomDma(model, described, 1, fates={}, open_=16, steady=kind, delay=DELAY)
    live = dma.live
    live.payload[:], live.request[:] = (size, size), (size, size)
    live.limit, live.boundary, live.wide = size, 64, 1
    return dma


def measure(model: NativeModel, described: DeviceConfig) -> Iterator[Sustained]:
    """Reads and writes at each size, on a design that nobody else uses meanwhile.

    Raises
    ------
    NativeError
        If a byte is wrong, or any other rule of DMA is broken.
    """
    for kind in ("read", "write"):
        for size in SIZES:
            dma = _prepared(model, described, kind, size)
            counted = []
            for _ in range(2):
                if not dma.run(1 << 40, CLOCKS):
                    raise NativeError(dma.failure)
                sums = Transfers()
                dma.add_to(sums)
                counted.append(sums.bytes_read + sums.bytes_written)
            width = described.datapath.width
            yield Sustained(kind, width, size, (counted[1] - counted[0]) / CLOCKS, possible(width, size))


def as_json(found: Sequence[Sustained]) -> list[dict[str, object]]:
    """The figures as plain data."""
    return [{**asdict(item), "share": item.share} for item in found]


def as_text(found: Sequence[Sustained]) -> str:
    """The same as a table."""
    lines = [
        f"DMA: payload of {LARGEST}-byte requests, host {DELAY} clocks away; bytes a clock, beside what the stream can "
        "carry",
        f"{'':8}{'bits':>6}{'size':>7}{'bytes/clock':>14}{'possible':>11}{'share':>8}",
    ]
    lines += [f"{item.kind + 's':8}{item.width:>6}{item.size:>7}{item.bytes_per_clock:>14.2f}{item.possible:>11.2f}"
              f"{item.share:>8.1%}" for item in found]
    return "\n".join(lines)

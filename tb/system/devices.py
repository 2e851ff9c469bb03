"""Devices that the benches run on when the user names none."""

from dataclasses import replace
from pathlib import Path

from virtio_mmr_sim.bench import Card, Device
from virtio_mmr_sim.guest import record


def net(width: int, *, reaches: bool = False) -> Device:
    """A network device with every window, MMR identity, big-endian support; it may reach host memory."""
    requester = "\n[requester]\nreads = 32\n" if reaches else ""
    return Device(
        f"net-{width}",
        f"""
schema = 1
[device]
kind = "net"
serial = 0x1122334455667788
[features]
offer = ["NET_MAC", "NET_STATUS", "NET_CTRL_VQ", "RING_INDIRECT_DESC", "RING_EVENT_IDX", "NOTIFY_ON_EMPTY"]
[queues]
sizes = [128, 256, 64]
[interrupts]
msix_vectors = 4
intx = true
[control]
big_endian = true
[datapath]
width = {width}
max_payload = 256
{requester}""",
    )


#: A block device as legacy software expects it: registers in I/O BAR 0; lenient about byte enables.
BLOCK_IO = Device(
    "block-io",
    """
schema = 1
[device]
kind = "block"
identity = "legacy-io"
[features]
offer = ["BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH", "BLK_CONFIG_WCE"]
[queues]
sizes = [256]
[datapath]
width = 128
check_byte_enables = false
strict_64bit = true
""",
)

#: A block device for a hypervisor: 64-bit fields that the device changes.
BLOCK = Device(
    "block",
    """
schema = 1
[device]
kind = "block"
[features]
offer = ["BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH", "BLK_CONFIG_WCE"]
""",
)

#: The least device: no configuration bytes, no MSI-X, a 64-bit path.
RNG = Device(
    "rng",
    """
schema = 1
[device]
kind = "rng"
identity = "legacy-memory"
[interrupts]
msix_vectors = 0
intx = true
[datapath]
width = 64
""",
)


def both_interfaces(stride: int) -> str:
    """BARs 0 and 2 with a page for each window of both interfaces, and a notification address every *stride* bytes."""
    return f"""\
[bars.0]
kind = "memory32"
regions = [
    {{ space = "legacy",  offset = 0x0000, size = 0x1000 }},
    {{ space = "control", offset = 0x1000, size = 0x1000 }},
    {{ space = "msix",    offset = 0x2000, size = 0x1000 }},
]
[bars.2]
kind = "memory64"
regions = [
    {{ space = "common", offset = 0x0000, size = 0x1000 }},
    {{ space = "isr",    offset = 0x1000, size = 0x1000 }},
    {{ space = "device", offset = 0x2000, size = 0x1000 }},
    {{ space = "notify", offset = 0x3000, size = 0x1000, stride = {stride} }},
]
"""


#: Both interfaces, every feature of the modern one that can be offered, a notification address for each queue.
TRANSITIONAL = Device(
    "transitional",
    f"""
schema = 1
[device]
kind = "net"
identity = "legacy-memory"
[features]
offer = ["NET_MAC", "NET_STATUS", "NET_CTRL_VQ", "RING_INDIRECT_DESC", "IN_ORDER", "NOTIFICATION_DATA",
         "NOTIF_CONFIG_DATA", "RING_RESET"]
[queues]
sizes = [128, 256, 64]
[interrupts]
msix_vectors = 4
{both_interfaces(16)}[control]
big_endian = true
""",
)

#: Both interfaces with as little as possible: no optional feature, one notification address, no MSI-X.
TRANSITIONAL_RNG = Device(
    "transitional-rng",
    """
schema = 1
[device]
kind = "rng"
identity = "legacy-memory"
[interrupts]
msix_vectors = 0
[bars.0]
kind = "memory32"
regions = [
    { space = "legacy", offset = 0x00, size = 0x20 },
    { space = "common", offset = 0x40, size = 0x40 },
    { space = "isr",    offset = 0x80, size = 0x04 },
    { space = "notify", offset = 0x90, size = 0x04, stride = 0 },
]
[datapath]
width = 64
""",
)


#: More virtual functions than three bits can name, with queues and vectors of their own; the physical one is modern,
#: and all reach host memory.
VIRTUAL = Device(
    "virtual",
    """
schema = 1
[device]
kind = "net"
[features]
offer = ["NET_MAC", "NET_STATUS"]
[interrupts]
intx = true
[config]
mac = "52:54:00:00:00:fc"
[vf]
count = 12
queues = [64, 64, 64]
[bars.0]
kind = "memory64"
regions = [
    { space = "legacy",  offset = 0x0000, size = 0x1000 },
    { space = "control", offset = 0x1000, size = 0x1000 },
    { space = "msix",    offset = 0x2000, size = 0x1000 },
    { space = "common",  offset = 0x3000, size = 0x1000 },
    { space = "isr",     offset = 0x4000, size = 0x1000 },
    { space = "device",  offset = 0x5000, size = 0x1000 },
    { space = "notify",  offset = 0x6000, size = 0x1000, stride = 4 },
]
[requester]
""",
)


def behind(adapter: str, device: Device, name: str) -> Device:
    """*device* behind a block of hard IP."""
    text = device.text if "[datapath]\n" in device.text else device.text + "[datapath]\n"
    return Device(name, text.replace("[datapath]\n", f'[datapath]\nadapter = "{adapter}"\n'))


def ultrascale(width: int, block: str = "pcie4_uscale_plus") -> Device:
    """A network device that reaches host memory, behind an UltraScale+ block."""
    return behind(block, net(width, reaches=True), f"{block.split('_')[0]}-{width}")


def series7(device: Device) -> Device:
    """*device* behind a 7-series block."""
    return behind("pcie_7x", device, f"series7-{device.name}")


#: Virtual functions behind an UltraScale+ block.
ULTRASCALE_VIRTUAL = Device(
    "pcie4-virtual", VIRTUAL.text + 'reads = 32\n[datapath]\nadapter = "pcie4_uscale_plus"\n')

#: Both interfaces behind an UltraScale+ block.
ULTRASCALE_TRANSITIONAL = behind("pcie4_uscale_plus", TRANSITIONAL, "pcie4-transitional")

def example_card(family: str, device: str, ip: str) -> Device:
    """The card of ``examples/<family>`` with the device of the same folder's parent."""
    examples = Path(__file__).parents[2] / "examples"
    sources = tuple(sorted((examples / family).glob("*.v")))
    return Device(f"card-{family}", (examples / f"{device}.toml").read_text(), Card(sources, "card", ip))


#: The example tops, with the models of the blocks in place of the blocks.
CARDS = (
    example_card("ultrascale", "net-ultrascale", "pcie4_uscale_plus_0"),
    example_card("7series", "net-7series", "pcie_7x_0"),
)

#: What Linux drove when it was recorded.
RECORDED = [
    Device(f"recorded-{name}", record.load(Path(__file__).parents[1] / "golden" / f"{name}.jsonl")[0]["device"])
    for name in ("linux-6.12-net-raw", "linux-6.1-blk-raw-intx", "linux-6.12-net-modern", "seabios-blk-raw")]

#: The narrowest stream, with DMA.
DMA_64 = replace(net(64, reaches=True), name="dma-64")

DEVICES = {
    device.name: device
    for device in (
        net(64), net(128, reaches=True), net(256), net(512), DMA_64, BLOCK_IO, BLOCK, RNG, TRANSITIONAL,
        TRANSITIONAL_RNG, VIRTUAL, ultrascale(64), ultrascale(128), ultrascale(256),
        ultrascale(128, "pcie4c_uscale_plus"), ULTRASCALE_VIRTUAL, ULTRASCALE_TRANSITIONAL,
        series7(net(64, reaches=True)), series7(net(128, reaches=True)), series7(TRANSITIONAL), *CARDS, *RECORDED)
}

#: The width that is in widest use with everything there is, and the odd one out; the other width, and a device with no
#: configuration.
USUAL, USUAL_TOO = ("net-128", "block-io"), ("net-64", "rng")

#: Streams that are wider.
WIDE = ("net-256", "net-512")

#: Those with a modern interface.
MODERN, MODERN_TOO = ("transitional",), ("transitional-rng",)

#: Devices with virtual functions.
VIRTUAL_DEVICES = ("virtual",)

#: Devices of recorded guests.
GOLDEN_DEVICES = tuple(device.name for device in RECORDED)

#: Devices behind UltraScale+ blocks.
ULTRASCALE = ("pcie4-64", "pcie4-128", "pcie4-256")

#: Devices behind 7-series blocks.
SERIES7 = ("series7-net-64", "series7-net-128")

#: Devices behind hard IP, at each width; one of each kind, in which everything else is as it is with raw streams.
BEHIND_HARD_IP = (*ULTRASCALE, *SERIES7)
BEHIND_EACH_KIND = ("pcie4-128", "series7-net-128")

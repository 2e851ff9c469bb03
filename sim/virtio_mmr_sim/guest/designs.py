"""Device files of the designs that guests are shown, by device and by show."""

import enum
from types import MappingProxyType


class Show(enum.Enum):
    """What a guest sees."""

    RAW = "raw"                  #: the design's own ids, configuration space and BARs
    HYPERVISOR = "hypervisor"    #: a transitional device with I/O BAR 0, which the hypervisor model makes
    MODERN = "modern"            #: the design's own modern structures, under a transitional device's id


#: Kinds of device that are served.
DEVICES = ("rng", "blk", "net")

#: Size of the disk of a blk device, until the device says otherwise.
SECTORS = 32768

_KINDS = MappingProxyType({"rng": "rng", "blk": "block", "net": "net"})

_FEATURES = MappingProxyType({
    "rng": ("RING_INDIRECT_DESC", "RING_EVENT_IDX"),
    "blk": ("BLK_SEG_MAX", "BLK_BLK_SIZE", "BLK_FLUSH", "RING_INDIRECT_DESC", "RING_EVENT_IDX"),
    "net": ("NET_MAC", "NET_STATUS", "RING_INDIRECT_DESC", "RING_EVENT_IDX"),
})

_MODERN_BARS = """
[bars.0]
kind = "memory32"
regions = [
    { space = "legacy",  offset = 0x0000, size = 0x1000 },
    { space = "control", offset = 0x1000, size = 0x1000 },
    { space = "msix",    offset = 0x2000, size = 0x1000 },
]
[bars.2]
kind = "memory64"
regions = [
    { space = "common", offset = 0x0000, size = 0x1000 },
    { space = "isr",    offset = 0x1000, size = 0x1000 },
    { space = "device", offset = 0x2000, size = 0x1000 },
    { space = "notify", offset = 0x3000, size = 0x1000, stride = 4 },
]
"""


def text(device: str, show: Show, *, io: bool = False, virtual: int = 0) -> str:
    """The device file.

    With *io* the raw design has its legacy registers in an I/O BAR, as firmware wants them; *virtual* is a number of
    virtual functions.
    """
    identity = "mmr" if show is not Show.RAW else "legacy-io" if io else "legacy-memory"
    offered = ", ".join(f'"{name}"' for name in _FEATURES[device])
    return (f'schema = 1\n[device]\nkind = "{_KINDS[device]}"\nidentity = "{identity}"\n'
            f"[features]\noffer = [{offered}]\n[interrupts]\nintx = true\n"
            + (f"[config]\ncapacity = {SECTORS}\n" if device == "blk" else "")
            + (_MODERN_BARS if show is Show.MODERN else "")
            + (f"[vf]\ncount = {virtual}\n" if virtual else "")
            + "[requester]\n")

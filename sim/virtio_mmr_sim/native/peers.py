"""Figures of other PCIe endpoint cores, recorded once with the same kind of bench.

Recorded on 2026-11-22 with Verilator 5.048 and g++ 12.2. Clocks are counted as in
`virtio_mmr_sim.native.bench`: 1000 TLPs back to back, completions always taken; behind each core was a
register block that answers in one clock.
"""

from dataclasses import dataclass

#: Day of the measurement.
RECORDED = "2026-11-22"

#: What was measured.
VERSIONS = {
    "verilog-pcie": "alexforencich/verilog-pcie 25156a9a (2024-04-26)",
    "LitePCIe": "enjoy-digital/litepcie a71443e1 (2026-06-22), LiteX 2024.12",
}


@dataclass(frozen=True)
class Peer:
    """Clocks of one core at one width."""

    core: str
    width: int
    latency: int
    read: float
    write: float
    alternating: float
    #: Whether requests with four header dwords are answered; their rate was not recorded.
    wide_read: str = "served"
    remark: str = ""


def _verilog_pcie(core: str, width: int, latency: int, read: float, write: float, alternating: float) -> Peer:
    return Peer(f"verilog-pcie {core}", width, latency, read, write, alternating)


def _litepcie(width: int, latency: int, read: float, write: float, alternating: float) -> Peer:
    remark = "a write of one byte overwrites the dword"
    return Peer("LitePCIe", width, latency, read, write, alternating, "no answer", remark)


PEERS = (
    _verilog_pcie("axil_master", 64, 4, 2.0, 2.0, 2.0),
    _verilog_pcie("axil_master", 128, 4, 2.0, 2.0, 2.0),
    _verilog_pcie("axil_master_minimal", 64, 4, 2.0, 2.0, 2.0),
    _verilog_pcie("axil_master_minimal", 128, 4, 2.0, 2.0, 2.0),
    _verilog_pcie("us_axil_master", 64, 4, 5.0, 5.0, 5.0),
    _verilog_pcie("us_axil_master", 128, 3, 3.0, 4.0, 3.5),
    _litepcie(64, 8, 7.0, 6.0, 6.5),
    _litepcie(128, 7, 6.0, 5.0, 5.5),
)

#: Checked register TLPs a second, by way of driving; of verilog-pcie's axil_master at 128 bit.
SIMULATION_SPEED = {
    "cocotb 2.1, per-clock bus model": 21_900,
    "cocotb 2.1, one wake-up per TLP": 47_400,
    "ctypes, one call per TLP": 538_000,
    "ctypes, batches of 1000": 1_250_000,
}

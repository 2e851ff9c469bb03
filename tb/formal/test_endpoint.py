"""The endpoint as a whole: its outer streams, and a reset in any clock."""

from amaranth.hdl import Value
from amaranth.lib.wiring import In
from formal.proof import proof
from formal.state import TABLES
from virtio_mmr import config
from virtio_mmr.gateware.endpoint import Endpoint, backend_streams
from virtio_mmr.gateware.windows.config import ConfigSpace
from virtio_mmr.gateware.windows.legacy import LegacyWindow
from virtio_mmr.gateware.windows.msix import MsixWindow
from virtio_mmr.gateware.windows.register import RegisterWindow, touch_layout, view_layout
from virtio_mmr.gateware.windows.virtual_config import VirtualConfigSpace
from virtio_mmr.layout import place
from virtio_mmr_sim.formal import AccessPortContract, Harness, Side, StreamContract

DEVICE = """
schema = 1
[device]
kind = "net"
[features]
offer = ["NET_MAC", "NET_STATUS"]
[queues]
sizes = [128, 128]
[interrupts]
msix_vectors = 3
[bars.0]
kind = "memory64"
regions = [
    { space = "legacy",  offset = 0x0000, size = 0x1000 },
    { space = "control", offset = 0x1000, size = 0x1000 },
    { space = "isr",     offset = 0x2000, size = 0x1000 },
    { space = "device",  offset = 0x3000, size = 0x1000 },
    { space = "msix",    offset = 0x4000, size = 0x1000 },
]
"""


@proof("every stream that leaves the endpoint keeps the stream rules, toward the link and toward the back end",
       block="Endpoint", depth=2, cover=0)
def test_outer_streams():
    h = Harness()
    device = config.loads(DEVICE)
    dut = h.add(Endpoint(device))
    StreamContract.watch(h, "rx", dut.rx, Side.ASSUME)
    StreamContract.watch(h, "tx", dut.tx)
    for name, member in backend_streams(device.datapath.width).items():
        StreamContract.watch(h, name, getattr(dut, name), Side.ASSUME if member.flow is In else Side.ASSERT)
    return h


@proof("a reset in any clock returns the function to its reset values within two clocks",
       block="Endpoint", depth=4, cover=13, stage="broad")
def test_reset_in_any_clock():
    h = Harness(with_reset=True)
    dut = h.add(Endpoint(config.loads(DEVICE)))
    row, resets = dut._state.row, dut._state.reset_values()
    # In the first clock without reset the row is initialised.
    released = ~h.reset & h.past(h.reset)
    for name in dict(row.shape()):
        h.check(~h.past(released) | h.reset | (Value.cast(row[name]) == resets.get(name, 0)))
    h.cover(released & (row.status != 0))
    return h


@proof("a window answers in the clock of the access or in the next; what is not accessed shows zero",
       block="ConfigSpace, VirtualConfigSpace, LegacyWindow, MsixWindow, RegisterWindow", depth=2, cover=4)
def test_access_ports():
    h = Harness()
    device, virtual = config.loads(DEVICE), config.loads(DEVICE + "[vf]\ncount = 2\n").of(1)
    view, touch = view_layout(TABLES), touch_layout(TABLES)
    windows = {
        "config": ConfigSpace(place(device)), "early_config": ConfigSpace(place(device), early=True),
        "virtual_config": VirtualConfigSpace(place(virtual)),
        **{table.name: RegisterWindow(table, view, touch) for table in TABLES},
    }
    for name, window in windows.items():
        AccessPortContract.watch(h, name, h.add(window, name).port)
    msix = h.add(MsixWindow(3, 0x1000), "msix")
    h.check((msix.port.reply.valid == msix.port.access.valid) & (msix.port.reply.p.data == 0))
    h.check((msix.late == 0) | h.past(msix.port.access.valid & msix.port.access.p.strobe.any()))
    h.cover(msix.late != 0)
    legacy = h.add(LegacyWindow(device.kind.config_size), "legacy_window")
    for name in ("header", "config"):
        AccessPortContract.watch(h, f"legacy_{name}", getattr(legacy, name), Side.ASSUME)
    AccessPortContract.watch(h, "legacy_window", legacy.port)
    h.check(~(legacy.header.access.valid & legacy.config.access.valid))
    # What is said of a reset a clock ahead is what happens.
    for window, resets in ((windows["early_config"], windows["early_config"].control.reset),
                           (windows["virtual_config"], windows["virtual_config"].change.reset)):
        h.check(resets == h.past(window.reset_ahead))
    return h

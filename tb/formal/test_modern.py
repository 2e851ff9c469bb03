"""The state behind both interfaces: what a reset leaves of queues, and who may start and end a queue's life."""

from amaranth.hdl import Cat, Const, Signal
from block.modern_state import TABLES, ModernState
from formal.proof import proof
from model_devices import transitional
from virtio_mmr.gateware.state.function import EventKind
from virtio_mmr.spec.modern import COMMON
from virtio_mmr_sim.formal import Harness

STRIDE = 4
WINDOWS = (*TABLES, "notify")
CONFIG = transitional(STRIDE)

#: Registers of the common configuration whose value after reset does not follow from the table alone.
BY_BUILD = {
    "device_feature": CONFIG.modern_features & 0xFFFF_FFFF, "num_queues": len(CONFIG.queues),
    "queue_size": CONFIG.queues[0],
}


class ModernHarness(Harness):
    """One access to one of the windows, or one event, or neither, in every clock.

    Attributes
    ----------
    dut
        The windows over the state.
    chosen, write, offset, strobe, data
        This clock's access, by the number of the window in `WINDOWS`; none beyond them.
    resets
        The row returns to its reset values.
    row, before
        The function's row now and a clock ago.
    """

    def __init__(self):
        super().__init__()
        self.dut = dut = self.add(ModernState(CONFIG, stride=STRIDE), driven=WINDOWS)
        d = self.m.d
        self.chosen, self.write = self.free(3, "chosen"), self.free(1, "write")
        self.offset, self.strobe, self.data = (self.free(bits, name) for bits, name in (
            (18, "offset"), (4, "strobe"), (32, "data")))
        for number, name in enumerate(WINDOWS):
            access = getattr(dut, name).access
            d.comb += [
                access.valid.eq(self.chosen == number), access.p.write.eq(self.write),
                access.p.offset.eq(Cat(Const(0, 2), self.offset)), access.p.strobe.eq(self.strobe),
                access.p.data.eq(self.data),
            ]
        accessed = self.chosen < len(WINDOWS)
        event = dut.event
        # An event has its clock to itself; a function level reset is an access to configuration space.
        self.assume(~accessed | ((event.kind == EventKind.NONE) & ~dut.flr))
        self.assume(~dut.flr | (event.kind == EventKind.NONE))
        self.assume(event.function == 0)
        self.status_reset = (self.at("legacy", 0x12) & (self.data[16:24] == 0)) | (
            self.at("common", 0x14) & (self.data[:8] == 0))
        self.resets = Signal()
        d.comb += self.resets.eq(
            self.status_reset | dut.flr | (event.kind == EventKind.INITIALISE))
        self.row = dut.row
        self.before = self.past(dut.row, "row_before")

    def at(self, window, byte):
        """This clock's access writes a byte of a window."""
        return (self.chosen == WINDOWS.index(window)) & self.write & (self.offset == byte // 4) & self.strobe[byte % 4]

    def shows(self, dword):
        """The common configuration is read at this dword, whole."""
        return (self.chosen == WINDOWS.index("common")) & ~self.write & (self.offset == dword)


@proof("after power-on, a function level reset and a status reset through either window, every register of the "
       "common configuration shows its reset value, and no queue shows a size, an address or a vector of before "
       "(MOD-07)",
       block="FunctionState, RegisterWindow, ModernQueueTable", depth=3, cover=6, stage="broad")
def test_reset_restores_the_common_configuration():
    h = ModernHarness()
    shown = h.dut.common.reply.p.data
    words = {}
    for register in COMMON:
        if register.name == "config_generation":
            continue
        for i in range(register.width):
            at = 8 * register.offset + i
            words.setdefault(at // 32, {})[at % 32] = BY_BUILD.get(register.name, register.reset) >> i & 1
    for dword, bits in words.items():
        after = h.past(h.resets) & h.shows(dword)
        for bit, value in bits.items():
            # What the hypervisor hides stays hidden.
            expected = value & ~h.row.forbidden[bit] if dword == 1 else value
            h.check(~after | (shown[bit] == expected))
    untouched = Signal()
    changes = Cat(h.at("common", byte) for byte in (*range(0x18, 0x1C), *range(0x20, 0x38))).any()
    changes = changes | Cat(h.at("legacy", byte) for byte in (*range(0x08, 0x0C), 0x16, 0x17)).any()
    with h.m.If(h.resets):
        h.m.d.sync += untouched.eq(1)
    with h.m.Elif(changes):
        h.m.d.sync += untouched.eq(0)
    h.check(~untouched | ((h.row.queue_addressed | h.row.queue_sized | h.row.queue_vector_valid) == 0))
    h.check(~(untouched & h.shows(8)) | (shown == 0))
    h.check(~(untouched & h.shows(6)) | (shown[16:] == 0xFFFF))
    for cause in (h.dut.flr, h.status_reset, h.dut.event.kind == EventKind.INITIALISE):
        h.cover(h.past(cause) & (h.before.queue_select == 1) & (h.before.queue_addressed == 2))
    h.cover(untouched & h.shows(8) & (h.row.queue_select == 1) & (h.row.driver_feature_select != 0))
    return h


@proof("a queue is enabled only by a page or by a 1, and ends only by page zero, by a reset, or by the back end's word "
       "on a queue reset that it has heard of; its address stands still meanwhile; only an enabled queue that is not "
       "being reset is notified (MOD-08, MOD-13)",
       block="FunctionState, ModernQueueTable, NotifyWindow", depth=2, cover=8)
def test_the_life_of_a_queue():
    h = ModernHarness()
    row, before, event = h.row, h.before, h.dut.event
    paged = Cat(h.at("legacy", byte) for byte in range(0x08, 0x0C)).any()
    enabling = h.at("common", 0x1C) & (h.data[:8] == 1)
    resetting = h.at("common", 0x3A) & (h.data[16:24] == 1)
    for i in range(len(CONFIG.queues)):
        mine = row.queue_select == i
        enabled, was = row.queue_enabled[i], before.queue_enabled[i]
        released = (event.kind == EventKind.QUIET) & (event.queue == i) & row.queue_resetting[i] & ~row.tell_queue[i]
        h.check(~(enabled & ~was) | h.past(mine & (paged | enabling)))
        h.check(~(was & ~enabled) | h.past((mine & paged) | h.resets | released))
        h.check(~(row.queue_resetting[i] & ~before.queue_resetting[i]) | (was & h.past(mine & resetting)))
        h.check(~(before.queue_resetting[i] & ~row.queue_resetting[i]) | h.past(h.resets | released))
        h.check(~row.queue_resetting[i] | enabled)
        h.check(~row.queue_by_page[i] | (enabled & row.queue_addressed[i]))
        h.check(~row.notified[i] | (enabled & ~row.queue_resetting[i]))
        # What changes about a queue is told, but for the end of a reset that the back end has announced itself.
        h.check((enabled == was) | h.past(h.resets | released) | row.tell_queue[i])
    # The selected queue shows the same place for as long as it stays selected and enabled.
    held = row.queue_enabled[0] & (row.queue_select == 0)
    stays = held & ~h.resets & ~paged & (event.kind != EventKind.QUIET) & (event.kind != EventKind.REPORT)
    reads = h.shows(8) & held
    shown = h.dut.common.reply.p.data
    h.check(~(h.past(h.shows(8) & stays) & reads) | (shown == h.past(shown)))
    h.cover(row.queue_resetting[1] & ~row.tell_queue[1])
    h.cover(before.queue_resetting[1] & ~row.queue_resetting[1] & ~h.past(h.resets))
    h.cover((row.notified == 3) & (row.queue_by_page == 1))
    return h

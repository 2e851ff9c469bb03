"""Where QEMU's transitional devices and ours may differ: decided one by one, each with its reason.

The differential run (`virtio_mmr_sim.oracle.differ`) explains every difference that it meets by a
name of this table, or stops. QEMU's side was measured with version 11.1; the facts are tests of their
own in ``tb/conformance/test_qtest_oracle.py``.
"""

import enum
from dataclasses import dataclass


class Seen(enum.Enum):
    """Who meets a difference."""

    RUN = "run"      #: the differential run
    TESTS = "tests"  #: tests of QEMU alone: it shows outside the window, or needs a ring


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One allowed difference."""

    name: str
    #: The accesses that it is about.
    applies: str
    qemu: str
    ours: str
    #: Why ours is right, or at least allowed.
    reason: str
    #: How the differential run brings the two together again; empty if no state differs.
    after: str = ""
    #: Device kind that it is limited to.
    kind: str = ""
    seen: Seen = Seen.RUN


_BYTES = "a window in memory is accessed with byte enables, and legacy text allows any width for device configuration"
_REPLAY = "QEMU is given what the access means to us, as whole registers"

TABLE = (
    Difference(
        name="unaligned", applies="accesses whose offset is not a multiple of their width",
        qemu="reads zero, drops writes (7.2 split the access)", ours="takes every enabled byte",
        reason=_BYTES, after=_REPLAY),
    Difference(
        name="middle_of_register", applies="aligned accesses that start inside a register of the header",
        qemu="reads ones, drops writes", ours="takes every enabled byte", reason=_BYTES, after=_REPLAY),
    Difference(
        name="narrow_write", applies="writes at the start of a register, narrower than it",
        qemu="stores the value with zeros above", ours="keeps the bytes that are not enabled",
        reason=_BYTES, after=_REPLAY),
    Difference(
        name="wide_access", applies="accesses at the start of a register, wider than it",
        qemu="takes the first register alone, zeros above; the interrupt status is neither shown nor cleared",
        ours="takes every register whose bytes are enabled", reason=_BYTES, after=_REPLAY),
    Difference(
        name="notify_reads_ones", applies="reads of the notification register",
        qemu="ones", ours="zero", reason="virtio says nothing; zero is what bhyve gives"),
    Difference(
        name="beyond_the_end", applies="accesses that reach beyond the device configuration that QEMU has",
        qemu="reads ones as a whole, drops writes as a whole", ours="reads zero beyond the end, takes the other bytes",
        reason="no driver looks there; zero needs no comparison of lengths", after=_REPLAY),
    Difference(
        name="bit_30_offered", applies="reads of the offered features",
        qemu="offers bit 30, a trap for drivers that accept everything", ours="does not offer it",
        reason="virtio 1.3, 6.3: bit 30 should not be negotiated"),
    Difference(
        name="bit_30_accepted", applies="writes of the accepted features with bit 30",
        qemu="stores a small set for broken drivers instead of the value", ours="masks the bit like any other",
        reason="the bit is not offered", after="QEMU is given the value without the bit"),
    Difference(
        name="page_zero_resets", applies="writes of page zero",
        qemu="resets the whole device", ours="stops the selected queue alone",
        reason="virtio 1.3, 4.1.4.10 is silent; Linux takes queues down one by one and resets by the status",
        after="QEMU is put back into the state from before, without that queue"),
    Difference(
        name="select_out_of_range", applies="queue selections of 1024 and more",
        qemu="keeps the old selection", ours="stores any value; such a queue has size zero",
        reason="any index without a queue shows size zero, as in bhyve", after="both select 1023"),
    Difference(
        name="vector_of_no_queue", applies="vectors of queues that do not exist",
        qemu="stores them", ours="ignores them", reason="there is nothing that could interrupt",
        after="QEMU is put back"),
    Difference(
        name="needs_reset_bit", applies="status writes with bit 6",
        qemu="stores the bit, and resets for no value but zero", ours="the bit is the device's and is not taken",
        reason="virtio 1.3, 2.1: the device sets DEVICE_NEEDS_RESET", after="QEMU is given the value without the bit"),
    Difference(
        name="mac_restored_by_reset", applies="resets after the driver has written the MAC address", kind="net",
        qemu="brings the first address back", ours="keeps what the driver wrote until a function level reset",
        reason="virtio is silent; a reset ends the driver's session, not the card's address",
        after="our address is set to QEMU's"),
    Difference(
        name="mac_fixed_by_feature", applies="writes of the MAC address with NET_CTRL_MAC_ADDR accepted", kind="net",
        qemu="ignores them", ours="takes them", reason="a driver that has the command does not write the bytes",
        after="our address is set to QEMU's"),
    Difference(
        name="writeback_is_one_bit", applies="writes of the block cache mode", kind="blk",
        qemu="reads back 1 for any value but zero", ours="stores the byte for the back end to judge",
        reason="virtio 1.3, 5.2.5: a driver writes 0 or 1", after="our byte is set to QEMU's"),
    Difference(
        name="cache_mode_follows_features", applies="status writes and resets", kind="blk",
        qemu="sets the cache mode from the accepted features, and at a reset from the command line",
        ours="leaves it to the back end", reason="the back end hears of both and may update the configuration",
        after="our byte is set to QEMU's"),
    Difference(
        name="bus_master_set_by_status_3", applies="status writes of exactly 3", seen=Seen.TESTS,
        qemu="switches the bus master on, for Linux before 2.6.34", ours="leaves the command register alone",
        reason="a virtio register must not grant DMA"),
    Difference(
        name="driver_ok_ends_with_bus_master", applies="switching the bus master off", seen=Seen.TESTS,
        qemu="clears DRIVER_OK", ours="keeps the status; DMA waits", reason="the status is the driver's"),
    Difference(
        name="config_change_sets_both_isr_bits", applies="changes of device configuration", seen=Seen.TESTS,
        qemu="sets bits 0 and 1, and only after DRIVER_OK", ours="sets bit 1 when the back end reports a change",
        reason="virtio 1.3, 4.1.4.5: bit 1 stands for configuration, bit 0 for queues"),
    Difference(
        name="reload_keeps_ring_indices", applies="a second page for a running queue", seen=Seen.TESTS,
        qemu="keeps the ring indices", ours="starts the queue afresh",
        reason="a page is a whole ring, whose indices start at zero"),
)

#: The table by name.
BY_NAME = {difference.name: difference for difference in TABLE}

"""Rows in block RAM behave as registers would, whatever the RAM shows in a collision."""

from amaranth.hdl import Const, Mux, Signal, unsigned
from formal.proof import proof
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.state.merge import masked, merged
from virtio_mmr.gateware.state.modern_queues import ModernQueueTable
from virtio_mmr.gateware.state.queues import QueueTable
from virtio_mmr.gateware.state.rows import RowStore
from virtio_mmr.gateware.windows.device import DeviceWindow
from virtio_mmr.spec.device_types import NET
from virtio_mmr.spec.legacy import CONFIG_OFFSET
from virtio_mmr_sim.formal import Harness, Mode, Side, StreamContract


def rows(latency: int, **options: int | bool) -> Harness:
    """A store of four rows; one of them, whichever it is, is followed in a register."""
    h = Harness()
    dut = h.add(RowStore(unsigned(2), 4, latency=latency, **options))
    mine = h.constant(2, "mine")
    kept = Signal(2)
    shown = Signal(latency + 1)
    h.m.d.sync += shown.eq(shown << 1 | 1)
    here = shown[latency - 1] & (dut.number == mine)
    h.assume(~dut.change | shown[latency - 1])
    with h.m.If(here & dut.change):
        h.m.d.sync += kept.eq(dut.new)
    h.check(~here | (dut.row == kept))
    looks = [dut.look]
    for _ in range(latency):
        looks.append(h.past(looks[-1], "looked"))
    h.check(~shown[latency - 1] | (dut.number == looks[latency]))
    if latency > 1:
        # What comes is announced, row and number, with what happens to it in the clock before.
        h.check(~shown[latency - 1] | (dut.row == h.past(dut.coming)) & (dut.number == h.past(dut.coming_number)))
    h.cover(here & (kept == 3) & h.past(here & dut.change & (kept == 2)))
    h.cover(here & (kept == 3) & ~h.past(here) & h.past(h.past(here & dut.change & (kept == 2))))
    return h


CLAIM = "a row shows every change from the clock after it on, at every distance of look and change"


@proof(CLAIM + " (the selected queue's place)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_a_clock_ahead():
    return rows(1)


@proof(CLAIM + " (queues)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_two_clocks_ahead():
    return rows(2)


@proof(CLAIM + " (functions)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_two_clocks_ahead_early():
    return rows(2, late_bits=0)


@proof(CLAIM + " (device configuration)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_two_clocks_ahead_with_the_choice_behind():
    return rows(2, late_bits=0, behind=True)


@proof(CLAIM + " (functions' queues)", block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_two_clocks_ahead_half_early():
    return rows(2, late_bits=1)


@proof(CLAIM + " (functions' vectors)", block="RowStore", mode=Mode.BOUNDED, depth=10, cover=9)
def test_rows_three_clocks_ahead():
    return rows(3)


@proof("a row shows every change, whichever row was shown when it was made, from the clock after it on",
       block="RowStore", mode=Mode.BOUNDED, depth=9, cover=8)
def test_rows_that_change_elsewhere():
    h = Harness()
    dut = h.add(RowStore(unsigned(2), 4, latency=1, elsewhere=True))
    mine = h.constant(2, "mine")
    kept = Signal(2)
    here = h.started() & (dut.number == mine)
    changes = dut.change & (dut.changed_number == mine)
    with h.m.If(changes):
        h.m.d.sync += kept.eq(dut.new)
    h.check(~here | (dut.row == kept))
    h.cover(here & (kept == 3) & h.past(changes & (dut.number != mine) & (kept == 2)))
    h.cover(here & (kept == 3) & h.past(here) & h.past(changes & (kept == 2)))
    return h


#: Queues of four functions: two of the physical one, one of each virtual one.
MANY = {"sizes": (8, 64), "virtual_sizes": (16,), "functions": 4}


def followed_queue(h: Harness, dut):
    """Follows one queue, whichever it is: its function is shown in this clock; it is itself."""
    function, queue = h.constant(2, "my_function"), h.constant(1, "my_queue")
    h.assume((function == 0) | (queue == 0))
    h.assume(dut.look_function < 4)
    same = h.past(dut.look_function == function, "shows_function")
    return queue, same, h.past((dut.look_function == function) & (dut.look_queue == queue), "shows_queue")


@proof("the row of a queue changes when it is written, and never with another queue or another function; every change "
       "is seen by the next look, at every distance", block="QueueTable", mode=Mode.BOUNDED, depth=8, cover=7)
def test_queues_of_many_functions():
    h = Harness()
    dut = h.add(QueueTable(**MANY))
    _, same, shown = followed_queue(h, dut)
    h.assume(~dut.write_page.any() | (dut.exists & h.started()))
    h.assume(~dut.write_vector | h.past(dut.exists & h.started()))
    h.assume(dut.page_bytes == 15)
    page, vector = Signal(32), Signal(16)
    h.check(~shown | dut.exists)
    # The rest is about the row of the clock before. Where another queue's was fetched in its place, nothing of it
    # counts until it is written.
    page_counts, vector_counts = Signal(4, init=15), Signal(init=1)
    fetched = Mux(dut.second, dut.fetch_queue[1], dut.fetch_queue[0])
    other = h.past(h.past(fetched != dut.look_queue, "fetched_other"))
    with h.m.If(h.past(shown)):
        now_counts, written = Mux(other, 0, page_counts), h.past(dut.write_page)
        h.check(masked(dut.page ^ page, now_counts) == 0)
        h.m.d.sync += [
            page.eq(merged(page, h.past(dut.new_page), written)),
            page_counts.eq(now_counts | written),
            vector_counts.eq((vector_counts & ~other) | dut.write_vector),
        ]
        with h.m.If(dut.write_vector):
            h.m.d.sync += vector.eq(dut.new_vector)
        h.check(~vector_counts | other | (dut.vector == vector))
    same, shown, write_page = h.past(same), h.past(shown), h.past(dut.write_page)
    h.cover(shown & (page == 0x12345678) & ~h.past(same) & h.past(write_page.any()) & h.past(h.past(shown)))
    h.cover(shown & (page == 0x12345678) & h.past(shown) & (h.past(page) == 0x12005678) & (vector == 1))
    h.cover(shown & other & (page_counts == 3) & h.past(written == 3))
    return h


@proof("a queue's addresses, size, vector and notification data change when they are written, and never with another "
       "queue or another function; every change is seen by the next look, at every distance",
       block="ModernQueueTable", mode=Mode.BOUNDED, depth=6, cover=6, stage="broad")
def test_modern_queues_of_many_functions():
    h = Harness()
    dut = h.add(ModernQueueTable(**MANY, has_data=True))
    queue, same, shown = followed_queue(h, dut)
    writes = dut.write_page.any() | dut.write_areas.as_value().any() | dut.write_size | dut.write_vector
    h.assume(~writes | (dut.exists & h.started()))
    h.assume(~dut.kick | (h.started() & (dut.kicked < 2)))
    h.assume(~dut.write_page.any() | ~dut.write_areas.as_value().any())
    h.assume(dut.addressed & dut.sized & (dut.new_size < 128))
    # One byte of the addresses, whichever it is; a page lays them out anew.
    byte = h.constant(5, "byte")
    h.assume(byte < 24)
    value, laid_out, size, vector, note = Signal(8), Signal(), Signal(7), Signal(16), Signal(16)
    with h.m.If(shown):
        h.check(laid_out | (dut.rings.as_value().word_select(byte, 8) == value))
        h.check((dut.size == size) & (dut.vector == vector) & (dut.data == note))
        with h.m.If(dut.write_page.any()):
            h.m.d.sync += laid_out.eq(1)
        with h.m.If(dut.write_areas.as_value().bit_select(byte, 1)):
            h.m.d.sync += [laid_out.eq(0), value.eq(dut.new_areas.as_value().word_select(byte, 8))]
        with h.m.If(dut.write_size):
            h.m.d.sync += size.eq(dut.new_size)
        with h.m.If(dut.write_vector):
            h.m.d.sync += vector.eq(dut.new_vector)
    kicked = same & dut.kick & (dut.kicked == queue)
    with h.m.If(kicked):
        h.m.d.sync += note.eq(dut.new_data)
    h.cover(shown & (value == 0x5A) & ~h.past(same) & h.past(writes) & h.past(h.past(shown)))
    h.cover(shown & (note == 0x1234) & h.past(kicked & ~shown))
    return h


#: Images of functions 0 to 2: the last one's MAC address carries.
IMAGES = [bytes.fromhex(text) for text in (
    "101112131415 0100 0200 dc05", "fe00ffffffff 0100 0400 2823", "fe0100000000 0100 0400 2823")]
VIRTUAL_IMAGE = bytes.fromhex("fe00fffffffe 0100 0400 2823")


BYTES = (
    "a byte of a function's device configuration shows what its owner wrote last or the image of its function, and "
    "never changes with another function's; what the driver wrote is unreported until it is offered, with the value of "
    "that clock, and reports come for nothing else")


@proof(BYTES, block="DeviceWindow", mode=Mode.BOUNDED, depth=6, cover=8)
def test_device_configuration_of_many_functions():
    return configuration_bytes()


@proof(BYTES, block="DeviceWindow", mode=Mode.BOUNDED, depth=8, stage="full")
def test_device_configuration_of_many_functions_for_longer():
    return configuration_bytes()


def configuration_bytes() -> Harness:
    """One byte of the configuration of one of three functions."""
    h = Harness()
    dut = h.add(DeviceWindow(NET, IMAGES[0], functions=3, virtual_image=VIRTUAL_IMAGE), driven={"legacy", "direct"})
    out, beat = dut.write, dut.update.p
    # An access to any window was said a clock before; to the configuration it comes through one of two, of which the
    # legacy one counts its offset from where the configuration stands there.
    access = Signal.like(dut.coming.p)
    of_legacy, of_direct, accessed = Signal(), Signal(), Signal()
    start = Mux(of_legacy, Mux(dut.msix_enabled, CONFIG_OFFSET[True], CONFIG_OFFSET[False]), 0)
    said = Signal.like(access)
    h.m.d.sync += [said.eq(dut.coming.p), *(of.eq(dut.coming.valid & (dut.coming.p.space == space)) for of, space in (
        (of_legacy, Space.LEGACY), (of_direct, Space.DEVICE)))]
    h.m.d.comb += [
        access.eq(said), access.offset.eq(said.offset - start),
        accessed.eq(of_direct | (of_legacy & (said.offset >= start))),
    ]
    for port, through in ((dut.legacy, of_legacy), (dut.direct, of_direct)):
        h.m.d.comb += [port.access.valid.eq(through & accessed), port.access.p.eq(access)]
    shows = Mux(of_legacy, dut.legacy.reply.p.data, dut.direct.reply.p.data)
    StreamContract.watch(h, "write", out)
    StreamContract.watch(h, "update", dut.update, Side.ASSUME)
    mine, byte = h.constant(2, "mine"), h.constant(4, "byte")
    h.assume((mine < 3) & (byte < NET.config_size) & (dut.look < 3))
    number = h.past(h.past(dut.look, "looked"), "number")
    filled = h.past(h.started(), "filled")
    shown = filled & (number == mine)
    operations = (of_legacy | of_direct, dut.restore, dut.apply, dut.report)
    h.assume(sum(operations) <= filled)
    h.assume(~dut.apply | dut.update_waiting & (dut.update_function == number))
    # An update for a function that does not exist is taken and forgotten.
    forgotten = dut.update.valid & dut.update.ready & beat.last & (beat.function >= 3)
    h.check(~dut.update_waiting | (dut.update_function < 3))
    initial = Signal(8)
    for function, image in enumerate(IMAGES):
        with h.m.If(mine == function):
            h.m.d.comb += initial.eq(Const(int.from_bytes(image, "little"), 96).word_select(byte, 8))
    driver, device = byte < 6, (byte >= 6) & (byte < 8)

    # What the byte holds, and what waits to become its value.
    value, known, staged, staged_here, pending = Signal(8), Signal(), Signal(8), Signal(), Signal()
    here = shown & accessed & (access.offset[2:] == byte[2:])
    written = Signal()
    h.m.d.comb += written.eq(here & access.write & access.strobe.bit_select(byte[:2], 1) & driver)
    with h.m.If(shown & dut.restore):
        h.m.d.sync += [value.eq(initial), known.eq(1)]
    with h.m.If(shown & dut.apply & staged_here & (dut.update_function == mine)):
        h.m.d.sync += value.eq(staged)
    with h.m.If(written):
        h.m.d.sync += value.eq(access.data.word_select(byte[:2], 8))
    with h.m.If(dut.apply | forgotten):
        h.m.d.sync += staged_here.eq(0)
    with h.m.Elif(dut.update.valid & dut.update.ready & (beat.offset[2:] == byte[2:])
                  & beat.strobe.bit_select(byte[:2], 1) & (driver | device)):
        h.m.d.sync += [staged.eq(beat.data.word_select(byte[:2], 8)), staged_here.eq(1)]
    h.check(~(here & known) | (shows.word_select(byte[:2], 8) == value))
    h.check(~written | dut.driver_wrote)

    # A report is seen in the clock after it was made.
    waits, tells = Signal(), Signal()
    rises = out.valid & ~h.past(out.valid & ~out.ready)
    h.m.d.comb += [
        tells.eq(rises & (out.p.function == mine) & (out.p.offset[2:] == byte[2:])
                 & out.p.strobe.bit_select(byte[:2], 1)),
        waits.eq(pending & ~tells),
    ]
    h.m.d.sync += pending.eq(Mux(shown & dut.restore, 0, waits | written))
    h.check(~rises | h.past(dut.report))
    told_of_known = h.past(shown & dut.report & known)
    h.check(~(tells & h.past(known)) | told_of_known & pending)
    h.check(~(tells & h.past(known)) | (out.p.data.word_select(byte[:2], 8) == h.past(value)))
    # The lowest dword is told at once.
    h.check(~h.past(shown & known & dut.report & waits & (byte < 4) & (~out.valid | out.ready)) | tells)
    h.check(~(shown & known & ~dut.restore & ~dut.report & (waits | written)) | dut.unreported)
    h.cover(here & known & (mine == 2) & (byte == 2) & (value == 0) & h.past(shown & dut.restore))
    h.cover(tells & (byte == 5) & h.past(h.past(written)))
    h.cover(here & known & device & h.past(dut.apply) & (value == 0x5A))
    h.cover(here & known & of_legacy & dut.msix_enabled & (value == 0x5A))
    return h

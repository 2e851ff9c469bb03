"""Windows over the register tables show and touch what a slow reader of the same tables says."""

import random

import pytest
from amaranth.hdl import Module, Signal
from block.simulation import any_dword, plain, simulate
from virtio_mmr.gateware.access.interface import Space
from virtio_mmr.gateware.windows.register import RegisterWindow, item_name, merge, touch_layout, view_layout
from virtio_mmr.spec import control, legacy, modern
from virtio_mmr.spec.register import Access, Effect, Present
from virtio_mmr_sim.model.configuration import LANES

TABLES = {"legacy": legacy.HEADER, "control": control.TABLE, "isr": modern.ISR, "common": modern.COMMON}


def items(table):
    """(name, first bit in the window, bits, access, register) of everything that state stands behind."""
    found = []
    for register in table:
        if register.access is Access.WO:
            found.append(({Effect.KICK: "kick", Effect.REJECT: "reject"}[register.effect], 8 * register.offset,
                          register.width, Access.WO, register))
        elif register.view_of:
            found.append((item_name(register.view_of), 8 * register.offset, register.width, register.access, register))
        else:
            found += [(item_name(field.view_of), 8 * register.offset + field.lsb, field.width, field.access, register)
                      for field in register.fields if field.view_of]
    return found


def present(register, msix):
    return register.present is Present.ALWAYS or msix


def shown(table, view, offset, msix):
    """The dword at *offset*, bit by bit."""
    bits = 0
    for register in table:
        if present(register, msix) and not register.view_of and register.access is not Access.WO:
            constant = register.reset | sum(field.reset << field.lsb for field in register.fields if not field.view_of)
            bits |= constant << 8 * register.offset
    for name, start, _, access, register in items(table):
        if present(register, msix) and access is not Access.WO:
            bits |= view[name] << start
    return bits >> 8 * offset & 0xFFFF_FFFF


def touched(table, offset, write, data, strobe, msix):
    """By item: bytes that are written, bytes that are read, and what is written into them."""
    found = {}
    for name, start, width, access, register in items(table):
        if access is Access.RO:
            continue
        enables = values = 0
        for bit in range(width):
            at = start + bit
            lane = at // 8 - offset
            if 0 <= lane < 4 and strobe >> lane & 1 and present(register, msix):
                enables |= 1 << (at // 8 - start // 8)
                values |= (data >> at - 8 * offset & 1) << bit
        found[name] = (enables if write else 0, 0 if write else enables, values if write else 0)
    return found


def random_view(rng, layout):
    return {name: rng.getrandbits(field.width) for name, field in layout}


@pytest.mark.parametrize("name", TABLES)
def test_every_offset_with_every_strobe(name):
    rng = random.Random(name)
    table = TABLES[name]
    view, touch = view_layout(TABLES.values()), touch_layout(TABLES.values())
    dut = RegisterWindow(table, view, touch)
    m = Module()
    m.submodules.dut = dut
    end = 1 << (table.size - 1).bit_length()
    offsets = [*range(0, table.size + 8, 4), end, end + table.size - 4 & ~3, 0x1000, 0x1_0000, 0xF_FFFC]

    async def sweep(ctx):
        for msix in (False, True):
            ctx.set(dut.msix_enabled, msix)
            for offset in offsets:
                values = random_view(rng, view)
                ctx.set(dut.view, values)
                for strobe in range(16):
                    for write in (0, 1):
                        data, valid = any_dword(rng), rng.random() < 0.9
                        ctx.set(dut.port.access.payload, {
                            "space": Space.LEGACY, "offset": offset, "write": write, "data": data, "strobe": strobe})
                        ctx.set(dut.port.access.valid, valid)
                        assert ctx.get(dut.port.reply.valid) == valid
                        assert ctx.get(dut.port.reply.p.data) == (shown(table, values, offset, msix) if valid else 0)
                        found = plain(ctx.get(dut.touch))
                        want = touched(table, offset, write, data, strobe if valid else 0, msix)
                        for item, field in found.items():
                            writes, reads, value = want.get(item, (0, 0, 0))
                            assert (field["write"], field["read"]) == (writes, reads), (item, hex(offset))
                            mask = sum(0xFF << 8 * lane for lane in range(4) if writes >> lane & 1)
                            assert (field["data"] ^ value) & mask == 0 or writes == 0, (item, hex(offset))

    simulate(m, sweep)


@pytest.mark.parametrize(("name", "late"), [
    ("legacy", {"queue_page", "queue_vector"}), ("control", {"function_generation"})])
def test_late_items_join_the_dword_a_clock_behind(name, late):
    rng = random.Random(name)
    table = TABLES[name]
    view, touch = view_layout(TABLES.values()), touch_layout(TABLES.values())
    dut = RegisterWindow(table, view, touch, late=late)

    async def play(ctx):
        wanted, seen, values = 0, 0, random_view(rng, view)
        for _ in range(400):
            # An item that is late shows what was there a clock ago; the others what is there.
            before, values = values, random_view(rng, view)
            msix, offset, valid = rng.getrandbits(1), 4 * rng.randrange(table.size // 4 + 1), rng.random() < 0.8
            ctx.set(dut.view, {**values, **{item: before[item] for item in late}})
            ctx.set(dut.msix_enabled, msix)
            strobe = rng.getrandbits(4)
            ctx.set(dut.port.access.payload, {"space": Space.LEGACY, "offset": offset, "strobe": strobe})
            ctx.set(dut.port.access.valid, valid)
            assert ctx.get(dut.late_reply) == wanted
            in_time = {item: 0 if item in late else value for item, value in values.items()}
            assert ctx.get(dut.port.reply.p.data) == (shown(table, in_time, offset, msix) if valid else 0)
            only_late = shown(table, values, offset, msix) ^ shown(table, in_time, offset, msix)
            wanted = only_late & LANES[strobe] if valid else 0
            seen += bool(wanted)
            await ctx.tick()
        assert seen > 10

    simulate(dut, play)


def test_merge_passes_on_whichever_window_is_accessed():
    rng = random.Random(1)
    layout = touch_layout(TABLES.values())
    sources = [Signal(layout, name=f"source_{index}") for index in range(3)]
    target = Signal(layout)
    m = Module()
    merge(m, target, sources)

    async def play(ctx):
        for _ in range(60):
            idle = {name: {"write": 0, "read": 0, "data": 0} for name, _ in layout}
            chosen = rng.randrange(3)
            busy = {name: dict(part) for name, part in idle.items()}
            name, field = rng.choice(list(layout))
            lanes = field.shape["write"].width
            write = rng.getrandbits(1)
            busy[name] = {"write": rng.getrandbits(lanes) * write, "read": rng.getrandbits(lanes) * (1 - write),
                          "data": rng.getrandbits(field.shape["data"].width)}
            for index, source in enumerate(sources):
                ctx.set(source, busy if index == chosen else idle)
            found = plain(ctx.get(target))
            for item, want in busy.items():
                assert (found[item]["write"], found[item]["read"]) == (want["write"], want["read"])
                assert not want["write"] or found[item]["data"] == want["data"]

    simulate(m, play)

"""The device configuration: fixed bytes, bytes that the driver writes, bytes that the device owns.

Specification: virtio 1.3, 2.5 (device configuration space), 2.5.3 and 4.1.4.10 (legacy: any width,
guest byte order). One image serves every window; it has no lock and no copy.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import Access, AccessPort, Space
from virtio_mmr.gateware.backend import ConfigUpdate, ConfigWrite
from virtio_mmr.gateware.state.rows import RowStore
from virtio_mmr.spec import legacy
from virtio_mmr.spec.device_types import DeviceType, Owner


def swapped(kind: DeviceType) -> list[int]:
    """For each byte of the image, where a big-endian guest finds it (virtio 1.3, 2.5.3)."""
    places = list(range(kind.config_size))
    for field in kind.config:
        size = field.width // 8
        for element in range(field.count):
            start = field.offset + element * size
            for i in range(size):
                places[start + i] = start + size - 1 - i
    return places


class DeviceWindow(wiring.Component):
    """The device configuration of every function, one row of changeable bytes each.

    With several functions the rows are in block RAM, whose contents count from the first `restore` of each row on.
    What the device has not heard of the driver's writes is part of a row then, and waits for a report of that function.

    Parameters
    ----------
    kind
        Which bytes there are and who owns them.
    image
        Their initial values, little-endian; of the physical function, if there are virtual ones.
    functions
        Number of rows.
    virtual_image
        Initial values of a virtual function, from which its MAC address counts up by its number; None if they are as
        the physical function's but for that.
    big_endian
        Build the byte order switch of the legacy window.

    Members
    -------
    legacy, direct : In(AccessPort())
        The same image, with ``offset`` counted from its first byte; never accessed in one clock. Only
        ``legacy`` follows `big`.
    big : In(1)
    function : In(8)
        Row of this clock's access or event. With one function.
    look : In(8)
        Row that everything else is about two clocks later. With several functions. Of one that does not exist nothing
        may come but an update.
    coming : In(stream.Signature(Access, always_ready=True)), msix_enabled : In(1)
        With several functions: the access of the next clock to any window, with its ``offset`` there, from which follow
        the bytes that it is for; and whether MSI-X is enabled in this clock, which moves them.
    restore : In(1)
        Return the row to its initial values; wins over everything else in its clock.
    driver_wrote : Out(1)
        This clock's access changes at least one byte.
    driver_read : Out(1)
        This clock's access shows at least one byte.
    update : In(stream.Signature(ConfigUpdate))
        Beats are staged until the one with ``last``; then they wait for `apply`.
    update_waiting : Out(1), update_function : Out(8)
        A complete update waits.
    apply : In(1)
        Apply it now; one clock, no access.
    write : Out(stream.Signature(ConfigWrite))
        Dwords that the driver wrote, with the bytes written since the last transfer.
    report_wanted : Out(1)
        Such a dword waits for a clock without an access. With one function.
    report : In(1)
        This clock is free for a report of the row: if `write` is, too, the lowest such dword is offered there. Never
        together with an access, `apply` or `restore`.
    unreported : Out(1)
        The row has such dwords, when this clock is over. With several functions.
    """

    def __init__(self, kind: DeviceType, image: bytes, *, functions: int = 1, virtual_image: bytes | None = None,
                 big_endian: bool = False):
        self._kind = kind
        self._image = image
        self._virtual_image = image if virtual_image is None else virtual_image
        self._functions = functions
        self._big_endian = big_endian
        for one in (self._image, self._virtual_image):
            if len(one) != kind.config_size:
                raise ValueError(
                    f"the {kind.name} configuration has {kind.config_size} bytes; the image has {len(one)}")
        row = {"function": In(8), "report_wanted": Out(1)} if functions == 1 else {
            "look": In(8), "coming": In(stream.Signature(Access, always_ready=True)), "msix_enabled": In(1),
            "unreported": Out(1)}
        super().__init__({
            "legacy": In(AccessPort()),
            "direct": In(AccessPort()),
            "big": In(1),
            "restore": In(1),
            "driver_wrote": Out(1),
            "driver_read": Out(1),
            "update": In(stream.Signature(ConfigUpdate)),
            "update_waiting": Out(1),
            "update_function": Out(8),
            "apply": In(1),
            "write": Out(stream.Signature(ConfigWrite)),
            "report": In(1),
            **row,
        })

    def _initial(self, function) -> list:
        """Initial value of every byte of *function*'s image: `DeviceConfig.image_of` as gateware."""
        if self._functions == 1:
            return [C(byte, 8) for byte in self._image]
        virtual = function != 0
        counted = [C(byte, 8) for byte in self._virtual_image]
        for field in self._kind.config:
            if field.name == "mac":
                first, last = field.offset, field.offset + field.size - 1
                # A function's number has eight bits: the rest of the address takes at most one carry.
                low = C(self._virtual_image[last], 8) + function
                upper = int.from_bytes(self._virtual_image[first:last], "big")
                carried = (upper + 1 & (1 << 8 * field.size - 8) - 1).to_bytes(field.size - 1, "big")
                for byte in range(first, last):
                    counted[byte] = Mux(low[8], carried[byte - first], self._virtual_image[byte])
                counted[last] = low[:8]
        return [Mux(virtual, mine, byte) for mine, byte in zip(counted, self._image, strict=True)]

    def _select(self, m: Module, selected: list[Signal]):
        """Finds the dword that an access is for; gives whether the access comes through the legacy window."""
        if self._functions == 1:
            of_legacy = self.legacy.access.valid
            valid = of_legacy | self.direct.access.valid
            number = Mux(of_legacy, self.legacy.access.p.offset, self.direct.access.p.offset)[2:]
            m.d.comb += [signal.eq(valid & (number == i)) for i, signal in enumerate(selected)]
            return of_legacy
        # Much follows from that, so it is found out a clock ahead, for either place in the legacy window.
        coming, of_legacy = self.coming, Signal()
        number = coming.p.offset[2:]
        legacy_comes = coming.valid & (coming.p.space == Space.LEGACY)
        direct_comes = coming.valid & (coming.p.space == Space.DEVICE)
        m.d.sync += of_legacy.eq(legacy_comes)
        first, moved = (legacy.CONFIG_OFFSET[enabled] // 4 for enabled in (False, True))
        behind = [Signal(name=f"legacy_{dword}") for dword in range(first, moved + len(selected))]
        m.d.sync += [signal.eq(legacy_comes & (number == first + i)) for i, signal in enumerate(behind)]
        for i, signal in enumerate(selected):
            direct = Signal(name=f"direct_{i}")
            m.d.sync += direct.eq(direct_comes & (number == i))
            m.d.comb += signal.eq(direct | Mux(self.msix_enabled, behind[moved - first + i], behind[i]))
        return of_legacy

    def elaborate(self, platform):
        m = Module()
        # An update for a function that does not exist is taken and forgotten.
        known = below(self.update.p.function, self._functions)
        owners = {
            field.offset + i: field.owner for field in self._kind.config for i in range(field.size)
            if field.owner is not Owner.FIXED
        }
        changeable = sorted(owners)
        driver = [byte for byte in changeable if owners[byte] is Owner.DRIVER]
        for port in (self.legacy, self.direct):
            m.d.comb += port.reply.valid.eq(port.access.valid)
        if not self._kind.config_size:
            m.d.comb += self.update.ready.eq(~self.update_waiting)
            with m.If(self.update.valid & self.update.ready & self.update.p.last & known):
                m.d.sync += [self.update_waiting.eq(1), self.update_function.eq(self.update.p.function)]
            with m.If(self.apply):
                m.d.sync += self.update_waiting.eq(0)
            return m

        # --- The row ------------------------------------------------------------------------------------
        # Bytes that change in this clock, and to what. `pending` says of which of the driver's bytes the device has not
        # heard; through `flags` that is set and cleared, in registers of its own or in the row.
        layout = data.ArrayLayout(8, max(len(changeable), 1))
        new, changes = Signal(layout), Signal(layout.length)
        if self._functions == 1:
            function = self.function
            values = [self._image[byte] for byte in changeable]
            m.submodules.rows = rows = memory.Memory(shape=layout, depth=1, init=[values] if changeable else [])
            row_read = rows.read_port(domain="comb")
            row_write = rows.write_port(granularity=1)
            m.d.comb += [row_read.addr.eq(function), row_write.addr.eq(function),
                         row_write.data.eq(new), row_write.en.eq(changes)]
            row = row_read.data
            flags = pending = {byte: Signal(name=f"unreported_{byte}") for byte in driver}
            domain = "sync"
        else:
            m.submodules.rows = self._rows = rows = RowStore(
                data.StructLayout({"values": layout, "unreported": len(driver)}), self._functions, latency=2,
                behind=True, late_bits=0)
            function = rows.number
            m.d.comb += [
                rows.look.eq(self.look),
                rows.new.values.eq(Cat(Mux(changes[i], new[i], rows.row.values[i]) for i in range(layout.length))),
            ]
            row = rows.row.values
            pending = {byte: rows.row.unreported[i] for i, byte in enumerate(driver)}
            flags = {byte: rows.new.unreported[i] for i, byte in enumerate(driver)}
            m.d.comb += rows.new.unreported.eq(rows.row.unreported)
            domain = "comb"
        initial = self._initial(function)
        current = {byte: row[i] for i, byte in enumerate(changeable)}

        # --- Accesses -----------------------------------------------------------------------------------
        places = swapped(self._kind)
        count = -(-self._kind.config_size // 4)
        selected = [Signal(name=f"dword_{i}") for i in range(count)]
        of_legacy = self._select(m, selected)
        access = Signal.like(self.direct.access.p)
        m.d.comb += access.eq(Mux(of_legacy, self.legacy.access.p, self.direct.access.p))
        big = self.big & of_legacy if self._big_endian else 0

        def value(byte: int):
            if byte >= self._kind.config_size:
                return C(0, 8)
            return current.get(byte, initial[byte])

        m.d.comb += self.driver_read.eq(Cat(selected).any() & ~access.write & access.strobe.any())
        read = Signal(32)
        for word in range(count):
            plain = [value(4 * word + lane) for lane in range(4)]
            other = [value(places[4 * word + lane]) if 4 * word + lane < len(places) else C(0, 8)
                     for lane in range(4)]
            with m.If(selected[word]):
                for lane in range(4):
                    shown = Mux(big, other[lane], plain[lane]) if self._big_endian else plain[lane]
                    m.d.comb += read[8 * lane:8 * lane + 8].eq(shown)
        m.d.comb += [self.legacy.reply.p.data.eq(read), self.direct.reply.p.data.eq(read)]

        # --- Writes: restore, or the driver's bytes, or an update ---------------------------------------
        staged = [Signal(8, name=f"staged_{byte}") for byte in changeable]
        staged_valid = Signal(max(len(changeable), 1))
        written = {}
        for byte in driver:
            at = places[byte]
            strobe = Signal(name=f"driver_writes_{byte}")
            plain = selected[byte // 4] & access.strobe[byte % 4]
            other = selected[at // 4] & access.strobe[at % 4]
            m.d.comb += strobe.eq(access.write & (Mux(big, other, plain) if self._big_endian else plain))
            written[byte] = strobe
        m.d.comb += self.driver_wrote.eq(Cat(*written.values()).any() if written else 0)
        for i, byte in enumerate(changeable):
            lane, at = byte % 4, places[byte] % 4
            plain = access.data[8 * lane:8 * lane + 8]
            other = access.data[8 * at:8 * at + 8]
            with m.If(self.restore):
                m.d.comb += [new[i].eq(initial[byte]), changes[i].eq(1)]
            with m.Elif(self.apply):
                m.d.comb += [new[i].eq(staged[i]), changes[i].eq(staged_valid[i])]
            if byte in written:
                with m.Else():
                    m.d.comb += [
                        new[i].eq(Mux(big, other, plain) if self._big_endian else plain),
                        changes[i].eq(written[byte]),
                    ]

        # --- Updates ------------------------------------------------------------------------------------
        beat = self.update.p
        m.d.comb += self.update.ready.eq(~self.update_waiting)
        with m.If(self.update.valid & self.update.ready):
            m.d.sync += [self.update_waiting.eq(beat.last & known), self.update_function.eq(beat.function)]
            for i, byte in enumerate(changeable):
                with m.If((beat.offset[2:] == byte // 4) & beat.strobe[byte % 4]):
                    m.d.sync += [staged[i].eq(beat.data[8 * (byte % 4):8 * (byte % 4) + 8]), staged_valid[i].eq(1)]
        with m.If(self.apply | (self.update.valid & self.update.ready & beat.last & ~known)):
            m.d.sync += [self.update_waiting.eq(0), staged_valid.eq(0)]

        # --- What the device hears of the driver's writes -----------------------------------------------
        dwords = sorted({byte // 4 for byte in driver})
        out, taken = self.write, Signal(len(dwords))
        # A report needs a clock in which its row stands still.
        idle = Signal()
        m.d.comb += idle.eq((~out.valid | out.ready) & self.report)
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)
        for n, dword in enumerate(dwords):
            mine = [byte for byte in driver if byte // 4 == dword]
            any_here = Cat(pending[byte] for byte in mine).any()
            m.d.comb += taken[n].eq(idle & any_here & ~taken[:n].any() if n else idle & any_here)
            with m.If(taken[n]):
                m.d.sync += [
                    out.valid.eq(1),
                    out.p.function.eq(function),
                    out.p.offset.eq(4 * dword),
                    out.p.data.eq(Cat(value(4 * dword + lane) for lane in range(4))),
                    out.p.strobe.eq(Cat(pending.get(4 * dword + lane, C(0, 1)) for lane in range(4))),
                ]
                m.d[domain] += [flags[byte].eq(0) for byte in mine]
        for byte in driver:
            with m.If(self.restore):
                m.d[domain] += flags[byte].eq(0)
            with m.Elif(written[byte]):
                m.d[domain] += flags[byte].eq(1)
        if self._functions == 1:
            # While the device takes nothing, a clock would not help, and others want theirs.
            m.d.comb += self.report_wanted.eq(Cat(pending.values()).any() & ~out.valid)
        else:
            m.d.comb += [
                rows.change.eq(changes.any() | taken.any()),
                self.unreported.eq(rows.new.unreported.any()),
            ]
        return m

"""A window generated from a register table: read muxes and strobes, and no state of its own."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import Access as PortAccess
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.gateware.state.merge import masked
from virtio_mmr.spec.register import Access, Effect, Present, RegisterTable

#: Effects that are not a change of the register's own state; they are items by themselves.
_ACTIONS = {Effect.KICK: "kick", Effect.REJECT: "reject"}


def _items(table: RegisterTable) -> Iterable[tuple[str, int, int, int, Access, Present]]:
    """Name, byte offset, lowest bit, width, access and presence of every state item of a table."""
    for register in table:
        name = _ACTIONS.get(register.effect) if register.access is Access.WO else register.view_of
        if name:
            yield name, register.offset, 0, register.width, register.access, register.present
        else:
            for field in register.fields:
                if field.view_of:
                    yield field.view_of, register.offset, field.lsb, field.width, field.access, register.present


def item_name(view_of: str) -> str:
    """A state item's name as a struct field: ``function.status`` becomes ``function_status``."""
    return view_of.replace(".", "_")


def view_layout(tables: Iterable[RegisterTable]) -> data.StructLayout:
    """The values that windows over these tables show."""
    return data.StructLayout({
        item_name(name): width
        for table in tables for name, _, _, width, access, _ in _items(table) if access is not Access.WO
    })


def touch_layout(tables: Iterable[RegisterTable]) -> data.StructLayout:
    """What an access does to each item that can be written, or that a read changes.

    Fields of an item: ``write`` and ``read``, a bit for each byte; ``data``, what is written.
    """
    return data.StructLayout({
        item_name(name): data.StructLayout({"write": -(-width // 8), "read": -(-width // 8), "data": width})
        for table in tables for name, _, _, width, access, _ in _items(table) if access is not Access.RO
    })


class RegisterWindow(wiring.Component):
    """Shows a register table.

    Bytes that no register claims, or that belong to a register that is not present, read zero and
    ignore writes.

    Parameters
    ----------
    table
        What stands where.
    late
        Items of which `view` shows the values of the clock before.
    ahead
        What an access touches is found out in the clock before it.
    view, touch
        Layouts of the state behind the windows, from `view_layout` and `touch_layout`; they may cover
        more tables than this one.

    Members
    -------
    port : In(AccessPort())
    view : In(view)
        Values of the state items, in the clock of the access.
    touch : Out(touch)
        What this clock's access does; all zero without one.
    msix_enabled : In(1)
        Decides which registers are present.
    late_reply : Out(32)
        With `late`: what those items have in the dword that the access of the clock before was for, of enabled bytes.
    coming : In(stream.Signature(Access, always_ready=True))
        With `ahead`: the access of the next clock, to this window.
    """

    def __init__(self, table: RegisterTable, view: data.StructLayout, touch: data.StructLayout,
                 late: Iterable[str] = (), *, ahead: bool = False):
        self._table = table
        self._late = frozenset(late)
        self._ahead = ahead
        super().__init__({
            "port": In(AccessPort()),
            "view": In(view),
            "touch": Out(touch),
            "msix_enabled": In(1),
            **({"late_reply": Out(32)} if self._late else {}),
            **({"coming": In(stream.Signature(PortAccess, always_ready=True))} if ahead else {}),
        })

    def elaborate(self, platform):
        m = Module()
        access, reply = self.port.access, self.port.reply
        bits = max((self._table.size - 1).bit_length(), 2)
        inside = access.p.offset[bits:] == 0
        number = access.p.offset[2:bits] if bits > 2 else 0
        # The access that says what is touched, and when that is known.
        touching, domain = (self.coming, m.d.sync) if self._ahead else (access, m.d.comb)
        touched_number = touching.p.offset[2:bits] if bits > 2 else 0
        touches_any = touching.valid & (touching.p.offset[bits:] == 0)

        words: dict[int, list] = {}
        late_words: dict[int, list] = {}
        late_answers = []
        was_enabled = Signal()
        if self._late:
            m.d.sync += was_enabled.eq(self.msix_enabled)
        for register in self._table:
            constant = 0 if register.view_of else register.reset | sum(
                field.reset << field.lsb for field in register.fields if not field.view_of)
            for i in range(register.width):
                at = register.offset * 8 + i
                words.setdefault(at // 32, [0] * 32)[at % 32] = constant >> i & 1
        for name, offset, lsb, width, kind, present in _items(self._table):
            shown = 1 if present is Present.ALWAYS else self.msix_enabled
            start = offset * 8 + lsb
            value = self.view[item_name(name)] if kind is not Access.WO else None
            of, visible = words, shown
            if item_name(name) in self._late:
                of, visible = late_words, 1 if present is Present.ALWAYS else was_enabled
            for i in range(width):
                at = start + i
                words.setdefault(at // 32, [0] * 32)
                of.setdefault(at // 32, [0] * 32)[at % 32] = 0 if value is None else value[i] & visible
            if kind is Access.RO:
                continue
            touch = self.touch[item_name(name)]
            strobes, written = [], []
            writes, reads = (Signal(len(bits), name=f"{does}_{item_name(name)}")
                             for does, bits in (("writes", touch.write), ("reads", touch.read)))
            for word in range(start // 32, (start + width - 1) // 32 + 1):
                here = touches_any & (touched_number == word)
                first, last = max(start, 32 * word), min(start + width, 32 * word + 32) - 1
                strobes += [touching.p.strobe[lane] & here for lane in range(first // 8 % 4, last // 8 % 4 + 1)]
                written.append(access.p.data[first % 32:last % 32 + 1])
            domain += [
                writes.eq(Mux(touching.p.write, Cat(strobes), 0)),
                reads.eq(Mux(touching.p.write, 0, Cat(strobes))),
            ]
            m.d.comb += [
                touch.write.eq(Mux(shown, writes, 0)),
                touch.read.eq(Mux(shown, reads, 0)),
                touch.data.eq(Cat(written)),
            ]

        m.d.comb += reply.valid.eq(access.valid)
        with m.If(inside & access.valid):
            with m.Switch(number):
                for word, values in sorted(words.items()):
                    if any(not isinstance(value, int) or value for value in values):
                        with m.Case(word):
                            m.d.comb += reply.p.data.eq(Cat(*values))
        for word, values in sorted(late_words.items()):
            here = Signal(4, name=f"late_{word}")
            m.d.sync += here.eq(Mux(access.valid & inside & (number == word), access.p.strobe, 0))
            late_answers.append(masked(Cat(*values), here))
        if self._late:
            m.d.comb += self.late_reply.eq(reduce(or_, late_answers, C(0, 32)))
        return m


def merge(m: Module, target, windows: Iterable) -> None:
    """Drive *target* with what whichever window is accessed does; at most one is, in any clock.

    An item of which no window knows is never touched.
    """
    for name in target.shape().members:
        sources = [touch[name] for touch in windows if name in touch.shape().members]
        data = sources[0].data if sources else 0
        for source in sources[1:]:
            data = Mux(source.write.any(), source.data, data)
        m.d.comb += [
            target[name].write.eq(_any(source.write for source in sources)),
            target[name].read.eq(_any(source.read for source in sources)),
            target[name].data.eq(data),
        ]


def _any(values):
    total = 0
    for value in values:
        total = value | total
    return total

"""Configuration space, generated from the table that the placer makes.

Specification: PCI Express Base 5.0, 7.5 and 7.7; the registers' own clauses stand in the table.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import Access as PortAccess
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.gateware.control import FunctionControl
from virtio_mmr.layout import ConfigurationSpace
from virtio_mmr.spec.configuration import KEPT_BY_RESET
from virtio_mmr.spec.register import Access
from virtio_mmr.spec.sriov import SUPPORTED_PAGE_SIZES

from .placed import ConstantRegisters, changing_fields

#: Events that set a sticky bit, by the name of the bit.
EVENTS = ("detected_parity_error", "correctable_detected", "nonfatal_detected", "fatal_detected",
          "unsupported_detected")


def _takes(name: str, value, stored: Mapping[str, Signal], functions: int):
    """Whether the field *name*, which may be choosy, takes *value* now.

    PCI Power Management 1.2, 3.2.4; SR-IOV 1.1, 3.3.3.5, 3.3.7 and 3.3.13: what virtual functions are counted and
    placed by stays while they are enabled. *functions* is how many of them there may be.
    """
    match name:
        case "power_state":
            return (value == 0) | (value == 3)
        case "num_vfs":
            return ~stored["vf_enable"] & below(value, functions + 1)
        case "system_page_size":
            pages = [1 << bit for bit in range(len(value)) if SUPPORTED_PAGE_SIZES >> bit & 1]
            return ~stored["vf_enable"] & Cat(value == page for page in pages).any()
        case "ari_hierarchy":
            return ~stored["vf_enable"]
        case _:
            return Const(1)


def _inside_page(page_size, position: int):
    """Whether bit *position* of an address, 12 or more, is one of the offset in a page; *page_size* has one bit set."""
    return page_size[position - 11:].any()


class ConfigSpace(wiring.Component):
    """4,096 bytes of one physical function: constants, stored bits, sticky bits.

    What the table does not name reads zero and ignores writes. A function level reset returns every
    bit to its table value; the captured bus and device number stay.

    What an access reads was looked up in the two clocks before it: constants in a block RAM, then stored bits over
    them. So nothing may change a register in the clock before it is read, but events, which are then read later.

    With an SR-IOV capability the virtual functions have configuration spaces of their own: an access to one of them
    does not belong here, and `port` must not get it.

    Parameters
    ----------
    space
        What the placer made.
    early
        Whether an access starts a function level reset is found out in the clock before it: much follows from that.

    Members
    -------
    port : In(AccessPort())
        ``offset`` is the register's byte address; ``function`` is not looked at.
    coming : In(stream.Signature(PortAccess, always_ready=True))
        With `early`: the access of the next clock, if it is to this space.
    reset_ahead : Out(1)
        With `early`: that access will start a function level reset.
    ahead : In(10)
        Register number of the access two clocks later, if there is one; read or written, it is this one.
    control : Out(FunctionControl())
    msix_toggled : Out(1)
        The access of this clock changes MSI-X Enable.
    events : In, one bit for each name in `EVENTS`
        Set the bit. An event in the clock of a clearing write is kept.
    interrupt_status : In(1)
        Live bit of the Status register.
    capture, capture_id : In(1), In(13)
        A configuration write was accepted for this {bus, device}.
    window_bar : Out(8), window_offset, window_length : Out(32)
        Place that the access window of the modern interface names, if there is one.
    """

    def __init__(self, space: ConfigurationSpace, *, early: bool = False):
        self._space = space
        self._early = early
        super().__init__({
            "port": In(AccessPort()),
            **({"coming": In(stream.Signature(PortAccess, always_ready=True)), "reset_ahead": Out(1)} if early else {}),
            "ahead": In(10),
            "control": Out(FunctionControl()),
            "msix_toggled": Out(1),
            **{event: In(1) for event in EVENTS},
            "interrupt_status": In(1),
            "capture": In(1),
            "capture_id": In(13),
            "window_bar": Out(8),
            "window_offset": Out(32),
            "window_length": Out(32),
        })

    def elaborate(self, platform):
        m = Module()
        access = self.port.access
        data, strobe = access.p.data, access.p.strobe
        write = access.valid & access.p.write
        m.submodules.constants = constants = ConstantRegisters(self._space)
        # Which register an access is for is found out in the clock before it.
        at = {field.dword: Signal(name=f"at_{4 * field.dword:02x}") for field in changing_fields(self._space)}
        m.d.comb += constants.number.eq(self.ahead)
        m.d.sync += [named.eq(constants.number_before == number) for number, named in at.items()]

        # --- Bits -----------------------------------------------------------------------------------------
        words: dict[int, list] = {}
        stored: dict[str, Signal] = {}
        resets = []
        functions = max((register.reset for register in self._space.registers if register.name == "total_vfs"),
                        default=0)
        # Bits of virtual functions' base addresses, each with its position in the lower register.
        base_bits: list[tuple[Signal, int]] = []
        for field in changing_fields(self._space):
            name, positions = field.name, field.positions
            bits = words.setdefault(field.dword, [Const(0, 1)] * 32)
            here = Signal(name=f"writes_{name}")
            m.d.comb += here.eq(write & at[field.dword])
            if field.owner == "live":
                bits[positions[0]] = getattr(self, name)
                continue
            if field.access is Access.WO:
                stored[name] = Signal(name=name)
                said, named = access, at[field.dword]
                if self._early:
                    said, named = self.coming, constants.number_before == field.dword
                starts = (said.valid & said.p.write & named & said.p.strobe[positions[0] // 8]
                          & said.p.data[positions[0]])
                if self._early:
                    m.d.comb += self.reset_ahead.eq(starts)
                    m.d.sync += stored[name].eq(starts)
                else:
                    m.d.comb += stored[name].eq(starts)
                continue
            value = Signal(len(positions), name=name, init=field.reset)
            stored[name] = value
            resets.append(value.eq(value if name in KEPT_BY_RESET else field.reset))
            for i, position in enumerate(positions):
                bits[position] = value[i]
            if field.access is Access.RW1C:
                with m.If(here & strobe[positions[0] // 8] & data[positions[0]]):
                    m.d.sync += value.eq(0)
                if name in EVENTS:
                    with m.If(getattr(self, name)):
                        m.d.sync += value.eq(1)
                continue
            lanes = sorted({position // 8 for position in positions})
            new = data[positions[0]:positions[-1] + 1]
            if len(lanes) > 1:
                # A choosy field judges what it would be, bytes that stay included.
                new = Cat(Mux(strobe[position // 8], data[position], value[i])
                          for i, position in enumerate(positions))
            legal = _takes(name, new, stored, functions)
            for lane in lanes:
                mine = [(i, position) for i, position in enumerate(positions) if position // 8 == lane]
                with m.If(here & strobe[lane] & legal):
                    m.d.sync += value[mine[0][0]:mine[-1][0] + 1].eq(data[mine[0][1]:mine[-1][1] + 1])
            if name.startswith("vf_bar") and positions[0]:
                base_bits += zip(value, positions, strict=True)
            if name == "system_page_size":
                page_size = Mux(here & legal, new, value)
        # They read zero inside a page, in the clock behind a write of the page size already.
        for bit, position in base_bits:
            with m.If(_inside_page(page_size, position)):
                m.d.sync += bit.eq(0)
        clear_all = stored["initiate_reset"]
        with m.If(clear_all):
            m.d.sync += resets

        # Stored bits are laid over the constant ones, which come late in the clock.
        live, read, shown = Signal(32, attrs={"keep": 1}), Signal(32), Signal(32)
        with m.Switch(constants.number_before):
            for word, bits in sorted(words.items()):
                with m.Case(word):
                    m.d.comb += live.eq(Cat(*bits))
        m.d.comb += [
            read.eq(constants.data | live),
            self.port.reply.valid.eq(access.valid),
        ]
        m.d.sync += shown.eq(read)
        with m.If(access.valid):
            m.d.comb += self.port.reply.p.data.eq(shown)

        # --- What the core hears of it --------------------------------------------------------------------
        def bit(name: str):
            return stored.get(name, 0)

        control = self.control
        awake = stored["power_state"] == 0
        m.d.comb += [
            control.awake.eq(awake),
            control.memory_enabled.eq(bit("memory_enable") & awake),
            control.io_enabled.eq(bit("io_enable") & awake),
            control.bus_master.eq(bit("bus_master") & awake),
            control.interrupt_disable.eq(bit("interrupt_disable") | ~awake),
            control.msix_enable.eq(bit("msix_enable")),
            control.msix_mask.eq(bit("msix_mask")),
            control.max_payload_size.eq(bit("max_payload_size")),
            control.max_read_request_size.eq(bit("max_read_request_size")),
            control.extended_tag.eq(bit("extended_tag")),
            control.read_completion_boundary.eq(bit("read_completion_boundary")),
            control.completion_timeout_disable.eq(bit("completion_timeout_disable")),
            control.reset.eq(clear_all),
            control.vf_enable.eq(bit("vf_enable")),
            control.vf_memory_enable.eq(bit("vf_memory_enable")),
            control.ari_hierarchy.eq(bit("ari_hierarchy")),
            control.num_vfs.eq(bit("num_vfs")),
            control.page_size.eq(bit("system_page_size")),
        ]
        for name in ("window_bar", "window_offset", "window_length"):
            m.d.comb += getattr(self, name).eq(bit(name))
        for prefix, bases in (("bar", control.base), ("vf_bar", control.vf_base)):
            for index in range(6):
                # A BAR of 64 bits goes on in the next register.
                halves = [stored[f"{prefix}{half}"] for half in (index, index + 1) if f"{prefix}{half}" in stored]
                m.d.comb += bases[index].eq(Cat(Cat(Const(0, 32 - len(half)), half) for half in halves))
        if "msix_enable" in stored:
            position = next(register.offset * 8 + field.lsb for register in self._space.registers
                            for field in register.fields if field.name == "msix_enable")
            changes = write & at[position // 32] & strobe[position // 8 % 4] \
                & (data[position % 32] != stored["msix_enable"])
            m.d.comb += self.msix_toggled.eq(changes | (clear_all & stored["msix_enable"]))
        with m.If(self.capture):
            m.d.sync += Cat(control.device, control.bus).eq(self.capture_id)
        return m

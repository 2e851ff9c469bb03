"""Configuration space of the virtual functions, which are all alike but for a few bits of state.

Specification: SR-IOV 1.1, 3.4 and 3.5.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import Access, AccessPort
from virtio_mmr.gateware.state.virtual import DEVICE_ERRORS, STATUS_ERRORS, VirtualConfigChange, VirtualConfigState
from virtio_mmr.layout import ConfigurationSpace

from .placed import ConstantRegisters, changing_fields


class VirtualConfigSpace(wiring.Component):
    """A view of 4,096 bytes of one virtual function: constants from a block RAM, and the state of its row.

    No state is kept here. What a write does to the function's state is told in the clock of the access, for
    `state.virtual.applied`; much follows from that, so it is found out in the clock before. Constants were looked up
    in the two clocks before it. Bits that a virtual function does not have, and what the table does not name, read zero
    and ignore writes.

    Parameters
    ----------
    space
        What the placer made of a virtual function.

    Members
    -------
    port : In(AccessPort())
        ``offset`` is the register's byte address, of a function that exists.
    ahead : In(10)
        Register number of the access two clocks later, if there is one; read or written, it is this one.
    coming : In(stream.Signature(Access, always_ready=True))
        The access of the next clock, if it is to this space.
    state : In(VirtualConfigState)
        Of the function that is accessed.
    change : Out(VirtualConfigChange)
        What the access of this clock does; zero without one.
    reset_ahead : Out(1)
        That of the next clock will start a function level reset.
    """

    def __init__(self, space: ConfigurationSpace):
        self._space = space
        super().__init__({
            "port": In(AccessPort()),
            "ahead": In(10),
            "coming": In(stream.Signature(Access, always_ready=True)),
            "state": In(VirtualConfigState),
            "change": Out(VirtualConfigChange),
            "reset_ahead": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        state, change = self.state, self.change
        bits = {
            "bus_master": state.bus_master, "msix_enable": state.msix_enable, "msix_mask": state.msix_mask,
            **dict(zip(STATUS_ERRORS, state.status_errors, strict=True)),
            **dict(zip(DEVICE_ERRORS, state.device_errors, strict=True)),
        }
        clears = {**dict(zip(STATUS_ERRORS, change.status_clear, strict=True)),
                  **dict(zip(DEVICE_ERRORS, change.device_clear, strict=True))}

        # --- What a write does --------------------------------------------------------------------------------
        words: dict[int, list] = {}
        coming = self.coming.p
        writes = self.coming.valid & coming.write
        m.submodules.constants = constants = ConstantRegisters(self._space)
        # Which register an access is for is found out in the clock before it.
        at = {field.dword: Signal(name=f"at_{4 * field.dword:02x}") for field in changing_fields(self._space)}
        m.d.comb += constants.number.eq(self.ahead)
        m.d.sync += [named.eq(constants.number_before == number) for number, named in at.items()]
        for field in changing_fields(self._space):
            (position,) = field.positions
            here, said = (Signal(name=f"{does}_{field.name}") for does in ("writes", "sets"))
            meant = writes & (constants.number_before == field.dword) & coming.strobe[position // 8]
            m.d.sync += [here.eq(meant), said.eq(meant & coming.data[position])]
            if field.name == "initiate_reset":
                m.d.comb += [change.reset.eq(said), self.reset_ahead.eq(meant & coming.data[position])]
                continue
            words.setdefault(field.dword, [Const(0, 1)] * 32)[position] = bits[field.name]
            if field.name in clears:
                m.d.comb += clears[field.name].eq(said & ~change.reset)
                continue
            m.d.comb += [change[field.name].eq(said)]
            if field.name == "msix_enable":
                m.d.comb += change.msix_write.eq(here)
            if field.name == "bus_master":
                m.d.comb += change.bus_master_write.eq(here)

        # --- What is read -------------------------------------------------------------------------------------
        constant = Signal(32)
        m.d.sync += constant.eq(constants.data)
        shown = constant
        for number, word in words.items():
            shown = shown | Mux(at[number], Cat(*word), 0)
        m.d.comb += self.port.reply.valid.eq(self.port.access.valid)
        with m.If(self.port.access.valid):
            m.d.comb += self.port.reply.p.data.eq(shown)
        return m

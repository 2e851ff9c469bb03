"""The part of configuration space that hard IP leaves to the core: constants alone.

Specification: AMD PG213 and PG156, "Configuration Extend Interface"; PCI Express Base 5.0, 7.6.3.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.layout import ConfigurationSpace

from .placed import ConstantRegisters


class ConfigDoor(wiring.Signature):
    """The eight signals by which hard IP forwards configuration accesses.

    Seen from the IP: a strobe with register, function, data and byte enables. It is one clock long, or held until the
    answer comes; between two strobes it is low for a clock. Every read is answered, one clock after its strobe rose:
    data come with one clock of ``read_data_valid``.

    ``function_number`` is the core's: 0 for the physical function, then the virtual ones without a gap.
    """

    def __init__(self) -> None:
        super().__init__({
            "read_received": Out(1),
            "write_received": Out(1),
            "register_number": Out(10),
            "function_number": Out(8),
            "write_data": Out(32),
            "write_byte_enable": Out(4),
            "read_data": In(32),
            "read_data_valid": In(1),
        })

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigDoor)


class ConfigExtension(wiring.Component):
    """Shows capabilities inside a configuration space that belongs to hard IP.

    What no capability names reads zero; nothing can be written. A function that the device does not have reads zero.

    Parameters
    ----------
    spaces
        What the placer made: of the physical function and, if there are some, of a virtual one.
    functions
        Number of functions.

    Members
    -------
    door : In(ConfigDoor())
    port : In(AccessPort())
        For accesses that come as requests; do not use both.
    ahead : In(10)
        Register number of the access two clocks later, if there is one.
    """

    def __init__(self, spaces: Sequence[ConfigurationSpace], functions: int):
        self._spaces, self._functions = tuple(spaces), functions
        super().__init__({"door": In(ConfigDoor()), "port": In(AccessPort()), "ahead": In(10)})

    def elaborate(self, platform):
        m = Module()
        door, access, reply = self.door, self.port.access, self.port.reply
        answered, function = Signal(), Signal(8)
        m.d.sync += [
            answered.eq(door.read_received),
            door.read_data_valid.eq(door.read_received & ~answered),
            function.eq(door.function_number),
        ]
        shown = []
        for number, space in enumerate(self._spaces):
            constants = ConstantRegisters(space)
            m.submodules[("physical", "virtual")[number]] = constants
            m.d.comb += constants.number.eq(
                Mux(door.read_received | door.write_received, door.register_number, self.ahead))
            late = Signal(32, name=f"late_{number}")
            m.d.sync += late.eq(constants.data)
            mine = (function == 0) if number == 0 else (function != 0) & (function < self._functions)
            with m.If(mine):
                m.d.comb += door.read_data.eq(constants.data)
            shown.append(late)
        m.d.comb += reply.valid.eq(access.valid)
        with m.If(access.valid):
            m.d.comb += reply.p.data.eq(shown[0] if len(shown) == 1 else Mux(access.p.function == 0, *shown))
        return m

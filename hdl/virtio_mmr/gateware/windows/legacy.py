"""The legacy window: the header's registers, and behind them the device configuration.

Specification: virtio 1.3, 4.1.4.10. The configuration starts at 0x14 while MSI-X is disabled and at
0x18 while it is enabled, so its start is a signal.
"""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from virtio_mmr.gateware.access.carryless import below
from virtio_mmr.gateware.access.interface import AccessPort
from virtio_mmr.spec import legacy


class LegacyWindow(wiring.Component):
    """Splits the legacy window into header and device configuration.

    Parameters
    ----------
    config_size
        Bytes of device configuration.

    Members
    -------
    port : In(AccessPort())
    header : Out(AccessPort())
        Accesses to the header's registers, at the same offset.
    config : Out(AccessPort())
        Accesses behind them, with ``offset`` counted from the start of the configuration.
    msix_enabled : In(1)
    """

    def __init__(self, config_size: int):
        self._config_size = config_size
        super().__init__({
            "port": In(AccessPort()),
            "header": Out(AccessPort()),
            "config": Out(AccessPort()),
            "msix_enabled": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        access = self.port.access
        dword = access.p.offset[2:]
        start = Mux(self.msix_enabled, legacy.CONFIG_OFFSET[True] // 4, legacy.CONFIG_OFFSET[False] // 4)
        # Only as many bits as the configuration needs are moved; beyond them nothing answers.
        bits = (legacy.CONFIG_OFFSET[True] // 4 + -(-self._config_size // 4)).bit_length()
        far = dword[bits:].any()
        behind = far | ~below(dword, 5) & ~(self.msix_enabled & (dword == 5))
        m.d.comb += [
            self.header.access.p.eq(access.p),
            self.header.access.valid.eq(access.valid & ~behind),
            self.config.access.p.eq(access.p),
            self.config.access.p.offset.eq(Cat(0, 0, (dword[:bits] - start)[:bits])),
            self.config.access.valid.eq(access.valid & behind & ~far),
            self.port.reply.valid.eq(access.valid),
            self.port.reply.p.data.eq(self.config.reply.p.data | self.header.reply.p.data),
        ]
        return m



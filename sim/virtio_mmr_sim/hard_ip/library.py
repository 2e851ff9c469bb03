"""cocotbext-pcie's UltraScale+ block on the core's ports: streams, status and enumeration that nobody here wrote.

Of the library's configuration extend interface there are only the signals; here its function asks the core for the
registers in the core's windows, and its lists go on there. It has no virtual functions.
"""

import random
from typing import Any

from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus
from cocotbext.pcie.core import RootComplex
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.interface import UsPcieSink
from virtio_mmr.config.device import BarKind, DeviceConfig, Space

#: Generation and lanes that give 250 MHz at a width.
_LINKS = {64: (2, 4), 128: (3, 4), 256: (3, 8)}


async def _wake_when_ready(sink: Any) -> None:
    """The library waits for an edge of ``tready``, which is one bit there, and four on the IP."""
    while True:
        await sink.bus.tready.value_change
        sink.wake_event.set()


UsPcieSink._run_tready_monitor = _wake_when_ready


class LibraryBlock:
    """The block, and a root complex in front of it.

    It drives the core's clock and reset.

    Parameters
    ----------
    stall
        Probability of a pause before each beat, on every stream.
    """

    def __init__(self, dut: Any, config: DeviceConfig, *, rng: random.Random, stall: float = 0.3):
        self._dut, self._config, self._rng = dut, config, rng
        generation, lanes = _LINKS[config.datapath.width]
        msix = config.find(Space.MSIX)
        table: dict[str, Any] = {}
        if msix is not None:
            bar, region = msix
            table = {
                "pf0_msix_enable": True, "pf0_msix_table_size": config.msix_vectors - 1,
                "pf0_msix_table_bir": bar.index, "pf0_msix_table_offset": region.offset,
                "pf0_msix_pba_bir": bar.index, "pf0_msix_pba_offset": region.offset + region.size // 2}
        named = (
            "pcie_rq_seq_num0", "pcie_rq_seq_num_vld0", "pcie_rq_seq_num1", "pcie_rq_seq_num_vld1", "pcie_cq_np_req",
            "cfg_max_payload", "cfg_max_read_req", "cfg_function_status", "cfg_rcb_status", "cfg_bus_number",
            "cfg_interrupt_msix_enable", "cfg_interrupt_msix_mask", "cfg_flr_in_process", "cfg_flr_done")
        # What the library does not drive.
        for name in ("cfg_function_power_state", "cfg_flr_in_process", "cfg_interrupt_sent", "cfg_ext_read_received",
                     "cfg_ext_write_received", "extended_tag"):
            getattr(dut, name).value = 0
        # Its root complex takes every read.
        dut.pcie_tfc_nph_av.value = 15
        self.device = UltraScalePlusPcieDevice(
            pcie_generation=generation, pcie_link_width=lanes, user_clk_frequency=250e6, alignment="dword",
            max_payload_size=config.datapath.max_payload, enable_client_tag=True, user_clk=dut.clk, user_reset=dut.rst,
            cq_bus=AxiStreamBus.from_prefix(dut, "m_axis_cq"), cc_bus=AxiStreamBus.from_prefix(dut, "s_axis_cc"),
            rq_bus=AxiStreamBus.from_prefix(dut, "s_axis_rq"), rc_bus=AxiStreamBus.from_prefix(dut, "m_axis_rc"),
            **table, **{name: getattr(dut, name) for name in named})
        for stream in (self.device.cq_source, self.device.cc_sink, self.device.rq_sink, self.device.rc_source):
            stream.set_pause_generator(self._pauses(stall))
        function = self.device.functions[0]
        function.vendor_id, function.device_id = 0x1AF4, config.device_id
        for bar in config.bars:
            function.configure_bar(bar.index, bar.decoded_size, ext=bar.kind is BarKind.MEMORY64,
                                   prefetch=bar.prefetchable, io=bar.kind is BarKind.IO)
        # The library puts extended structures into the classic list.
        for structure in (function.aer_ext_cap, function.pcie_ext_cap):
            offset = structure.offset
            function.deregister_capability(structure)
            function.register_extended_capability(structure, offset)
        self._windows = config.datapath.hard_ip.classic, config.datapath.hard_ip.extended
        for listed, window in zip((function.capabilities, function.ext_capabilities), self._windows, strict=True):
            listed.list[-1].next_cap = window[0]
        self._read, self._write = function.read_config_register, function.write_config_register
        function.read_config_register, function.write_config_register = self._read_register, self._write_register
        self.complex = RootComplex()
        self.complex.make_port().connect(self.device)

    def _pauses(self, stall: float) -> Any:
        rng = random.Random(self._rng.random())
        while True:
            yield rng.random() < stall

    def _ours(self, register: int) -> bool:
        return any(first <= 4 * register < end for first, end in self._windows)

    async def _strobe(self, strobe: Any, register: int) -> None:
        self._dut.cfg_ext_register_number.value = register
        self._dut.cfg_ext_function_number.value = 0
        strobe.value = 1
        await RisingEdge(self._dut.clk)
        strobe.value = 0
        await RisingEdge(self._dut.clk)

    async def _read_register(self, register: int) -> Any:
        if not self._ours(register):
            return await self._read(register)
        await self._strobe(self._dut.cfg_ext_read_received, register)
        for _ in range(2):
            if int(self._dut.cfg_ext_read_data_valid.value):
                return int(self._dut.cfg_ext_read_data.value)
            await RisingEdge(self._dut.clk)
        raise AssertionError(f"the core does not answer for register {4 * register:#x}")

    async def _write_register(self, register: int, data: int, enables: int) -> None:
        if not self._ours(register):
            await self._write(register, data, enables)
            return
        self._dut.cfg_ext_write_data.value = data
        self._dut.cfg_ext_write_byte_enable.value = enables
        await self._strobe(self._dut.cfg_ext_write_received, register)

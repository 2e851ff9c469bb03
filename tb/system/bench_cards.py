"""An example top as a host finds it; only the ports of the hard IP inside of it are driven."""

import os
import random
from pathlib import Path
from types import SimpleNamespace

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from virtio_mmr.config.device import Space
from virtio_mmr_sim import bench
from virtio_mmr_sim.design import Design
from virtio_mmr_sim.hard_ip.series7 import Series7Ip
from virtio_mmr_sim.hard_ip.ultrascale import UltraScaleIp
from virtio_mmr_sim.host.host import TAGS, Host
from virtio_mmr_sim.host.root_port import RootPort

FEATURES, QUEUE_SELECT, CONFIG = 0x00, 0x0E, 0x14


class Ports:
    """Ports of the IP under the names that its model knows: those of the core."""

    #: What has another name on the IP.
    NAMES = {"clk": "user_clk", "rst": "user_reset"}
    NAMES_7_SERIES = {"clk": "user_clk_out", "rst": "user_reset_out"}
    #: No port of the IP.
    TIED = ("extended_tag",)

    def __init__(self, ip, described):
        self._ip, self._names = ip, self.NAMES if described else self.NAMES_7_SERIES

    def __getattr__(self, name):
        if name in self.TIED:
            return SimpleNamespace(value=0)
        return getattr(self._ip, self._names.get(name, name))


def case(function):
    """A case gets the design's configuration, a host, and what its enumeration found."""

    async def run(dut):
        folder = Path(os.environ[bench.DESIGN])
        config = Design(folder, folder.name).config
        described = config.datapath.hard_ip.described
        rng = random.Random(f"{os.environ[bench.SEED]}:{function.__name__}")
        ip = Ports(dut.pcie, described)
        ip.rst.value, ip.user_lnk_up.value = 1, 0
        Clock(ip.clk, 4, unit="ns").start()
        block = (UltraScaleIp if described else Series7Ip)(ip, config, rng=rng)
        host = Host(ip, block, block, rng=rng, tags=range(TAGS.start, 0x100) if described else TAGS)
        host.routed_by_function = config.vf is not None
        await ClockCycles(ip.clk, 8)
        ip.rst.value, ip.user_lnk_up.value = 0, 1
        await ClockCycles(ip.clk, 8)
        await function(config, host, await RootPort(host).enumerate())

    run.__name__ = run.__qualname__ = function.__name__
    run.__doc__, run.__module__ = function.__doc__, function.__module__
    return cocotb.test(timeout_time=4000, timeout_unit="us")(run)


@case
async def a_host_finds_the_device_and_drives_its_registers(config, host, device):
    assert [kind for kind, _ in device.ext_capabilities].count(0x000B) == 3
    await device.enable_device()
    bar, region = config.find(Space.LEGACY)
    window = device.bar_addr[bar.index] + region.offset
    assert await host.read_number(window + FEATURES, 4) == config.legacy_features
    image = await host.read(window + CONFIG, config.kind.config_size)
    assert image == config.config_image
    for value in (1, 0xA5A5, 0):
        host.write(window + QUEUE_SELECT, value, 2)
        assert await host.read_number(window + QUEUE_SELECT, 2) == value

"""What firmware and the driver of a physical function do before a hypervisor takes functions of a design."""

from virtio_mmr.config.device import BarKind, DeviceConfig
from virtio_mmr.layout import place
from virtio_mmr.spec.configuration import BAR0, COMMAND
from virtio_mmr.spec.sriov import VF_BAR0

from virtio_mmr_sim.native.setup import BELOW_4G, BUS_MASTER, MEMORY, addresses

from .bridge import Bridge

#: Routing id of the physical function; virtual ones follow it.
PHYSICAL = 0x0100

#: Where BARs of virtual functions go, and the room between them.
_VIRTUAL, _ROOM = 0x20_0000_0000, 0x1_0000_0000

#: VF Enable, VF MSE, ARI.
_RUN = 1 | 8 | 16


def bring_up(bridge: Bridge, config: DeviceConfig) -> dict[int, dict[int, int]]:
    """Place all memory BARs and enable every function; the BARs' addresses by routing id and index."""
    target = {"bus": PHYSICAL >> 8, "device": PHYSICAL >> 3 & 31, "function": PHYSICAL & 7}

    def write(offset: int, value: int, enables: int = 0xF) -> None:
        bridge.config_write(offset, value, enables, **target)

    def put(register: int, kind: BarKind, address: int) -> None:
        write(register, address & 0xFFFF_FFFF)
        if kind is BarKind.MEMORY64:
            write(register + 4, address >> 32)

    places = addresses(config, BELOW_4G)
    for bar in config.bars:
        put(BAR0 + 4 * bar.index, bar.kind, places[bar.index])
    write(COMMAND, MEMORY | BUS_MASTER, 0b0011)
    found = {PHYSICAL: {bar.index: places[bar.index] for bar in config.bars if bar.kind is not BarKind.IO}}
    if config.vf is None:
        return found
    sriov = next(found.offset for found in place(config).capabilities if found.name == "sriov")
    base = _VIRTUAL
    for bar in config.vf.function.bars:
        put(sriov + VF_BAR0 + 4 * bar.index, bar.kind, base)
        for number in range(1, config.vf.count + 1):
            found.setdefault(PHYSICAL + number, {})[bar.index] = base + (number - 1) * bar.decoded_size
        base += _ROOM
    write(sriov + 0x10, config.vf.count, 0b0011)
    write(sriov + 0x08, _RUN, 0b0011)
    return found

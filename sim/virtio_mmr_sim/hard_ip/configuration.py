"""Configuration space of a function behind hard IP, as software finds it: the IP's part and the core's."""

from dataclasses import replace

from virtio_mmr.config.device import DeviceConfig
from virtio_mmr.layout import ConfigurationSpace, PlacedCapability, place
from virtio_mmr.spec.configuration import FIRST_CLASSIC
from virtio_mmr.spec.register import Register

#: What the IP has, and where its classic capabilities stand: outside the windows of the adapter. In a 7-series block
#: MSI, which is off, would be at 0x48.
_CLASSIC = {"power": 0x40, "msix": 0x48, "express": 0x60}
_CLASSIC_7_SERIES = {"power": 0x40, "msix": 0x9C, "express": 0x60}
_EXTENDED = frozenset({"serial", "ari", "sriov"})


def space_behind(config: DeviceConfig) -> ConfigurationSpace:
    """Header and standard capabilities, and the core's capabilities linked behind them.

    With an adapter that leaves everything to the core, this is what the placer makes.
    """
    if not config.datapath.hard_ip.owns_header:
        return place(config)
    whole = place(replace(config, datapath=replace(config.datapath, adapter="raw")))
    core = place(config)
    registers = [register for register in whole.registers if register.offset < FIRST_CLASSIC]
    capabilities = []
    classic = _CLASSIC if config.datapath.hard_ip.described else _CLASSIC_7_SERIES
    for capability in whole.capabilities:
        if capability.name not in classic and capability.name not in _EXTENDED:
            continue
        to = classic.get(capability.name, capability.offset)
        capabilities.append(replace(capability, offset=to))
        registers += [register.at(register.offset - capability.offset + to) for register in whole.registers
                      if capability.offset <= register.offset < capability.end]
    capabilities += core.capabilities
    links = _links(capabilities)
    return ConfigurationSpace(
        registers=tuple(sorted((_linked(register, links) for register in (*registers, *core.registers)),
                               key=lambda register: register.offset)),
        capabilities=tuple(sorted(capabilities, key=lambda capability: capability.offset)),
        left_out=core.left_out,
    )


def _links(capabilities: list[PlacedCapability]) -> dict[str, int]:
    """Where each register that links capabilities points, by its name."""
    found = {}
    for kind, name in (("classic", "{}_next"), ("extended", "{}_extended_header")):
        chain = sorted((one for one in capabilities if one.kind == kind), key=lambda one: one.offset)
        for one, following in zip(chain, [*(other.offset for other in chain[1:]), 0], strict=True):
            found[name.format(one.name)] = following
    return found


def _linked(register: Register, links: dict[str, int]) -> Register:
    if register.name not in links:
        return register
    if register.name.endswith("_next"):
        return replace(register, reset=links[register.name])
    return replace(register, reset=register.reset & 0xF_FFFF | links[register.name] << 20)

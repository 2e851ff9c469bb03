"""The windows of a device with their register tables, in the order in which they are documented."""

from dataclasses import dataclass

from virtio_mmr.config.device import Bar, DeviceConfig, Region, Space
from virtio_mmr.spec import control, legacy, modern, msix
from virtio_mmr.spec.features import TransportFeature
from virtio_mmr.spec.register import RegisterTable

#: Register table of each window; the window with the device's configuration alone has none.
TABLES = {
    Space.LEGACY: legacy.HEADER,
    Space.CONTROL: control.TABLE,
    Space.ISR: modern.ISR,
    Space.MSIX: msix.ENTRY,
    Space.COMMON: modern.COMMON,
    Space.NOTIFY: modern.NOTIFY,
}


@dataclass(frozen=True)
class Window:
    """A region with its BAR; ``name`` is the space's, with "_memory" for a second legacy window."""

    name: str
    bar: Bar
    region: Region

    @property
    def table(self) -> RegisterTable | None:
        """The registers of the window; None for the device's configuration."""
        return TABLES.get(self.region.space)


def windows(config: DeviceConfig) -> tuple[Window, ...]:
    """Every region of every BAR, in ascending order of BAR and offset."""
    found: list[Window] = []
    for bar in config.bars:
        for region in sorted(bar.regions, key=lambda region: region.offset):
            taken = any(window.region.space is region.space for window in found)
            found.append(Window(region.space.value + ("_memory" if taken else ""), bar, region))
    return tuple(found)


def device_features(config: DeviceConfig) -> dict[str, int]:
    """Names and bits of the offered features, lowest bit first."""
    known = {**config.kind.features, **{feature.name: int(feature) for feature in TransportFeature}}
    return {name: bit for name, bit in sorted(known.items(), key=lambda item: item[1]) if config.features >> bit & 1}

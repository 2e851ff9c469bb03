"""What is allowed but worth a second look."""

from virtio_mmr.spec import legacy
from virtio_mmr.spec.sriov import MOST_WITHOUT_ARI

from .defaults import msix_vectors
from .device import Bar, BarKind, DeviceConfig, Region, Space
from .queue_use import field_value, offers, queues_used

_PAGE = 0x1000

#: The longest queue that SeaBIOS takes.
_SEABIOS_QUEUE = 256


def remarks(config: DeviceConfig) -> tuple[str, ...]:
    """One sentence or two for each thing that *config* may do but perhaps should not."""
    return tuple(_of_bars(config) + _of_queues(config) + _of_fields(config) + _of_control(config) + _of_virtual(config))


def _of_bars(config: DeviceConfig) -> list[str]:
    found = []
    for bar in config.bars:
        for place, region in enumerate(bar.regions):
            path = f"bars.{bar.index}.regions[{place}]"
            if region.space is Space.LEGACY and bar.kind is not BarKind.IO:
                found += _of_legacy(path, region)
            if region.space is Space.MSIX and _shares_a_page(bar, region):
                found.append(
                    f"{path}: the MSI-X table shares a 4096-byte page with another region; a hypervisor "
                    f"that traps the table's page traps that region too."
                )
        if bar.prefetchable and any(region.space in (Space.LEGACY, Space.ISR) for region in bar.regions):
            found.append(
                f"bars.{bar.index}.prefetchable: the BAR shows the interrupt status, which a read clears; "
                f"a prefetching bridge may lose interrupts."
            )
    return found


def _of_legacy(path: str, region: Region) -> list[str]:
    found = []
    if region.offset % _PAGE:
        found.append(f"{path}.offset = {region.offset:#x}: the proposal recommends a multiple of 0x1000.")
    if region.size != legacy.WINDOW_SIZE:
        found.append(f"{path}.size = {region.size:#x}: the proposal recommends 0x1000.")
    return found


def _shares_a_page(bar: Bar, region: Region) -> bool:
    first, last = region.offset // _PAGE, (region.end - 1) // _PAGE
    return any(
        other is not region and other.offset // _PAGE <= last and first <= (other.end - 1) // _PAGE
        for other in bar.regions
    )


def _of_queues(config: DeviceConfig) -> list[str]:
    found = []
    used, why = queues_used(config)
    if len(config.queues) > used:
        found.append(f"queues.sizes: drivers use {used} ({why}); {len(config.queues)} are built.")
    if max(config.queues, default=0) > _SEABIOS_QUEUE:
        found.append(f"queues.sizes: SeaBIOS refuses legacy queues of more than {_SEABIOS_QUEUE} entries.")
    if config.msix_vectors > msix_vectors(config.queues):
        found.append(
            f"interrupts.msix_vectors = {config.msix_vectors}: more than one for each queue and one for "
            f"configuration changes are never used."
        )
    return found


def _of_fields(config: DeviceConfig) -> list[str]:
    found = []
    for field in config.kind.config:
        if field.feature is None:
            continue
        value = field_value(config, field.name)
        if value not in (0, field.reset) and not offers(config, field.feature) and not _is_default(field.name):
            found.append(f"config.{field.name}: drivers do not look at it unless {field.feature} is offered.")
    return found


def _is_default(name: str) -> bool:
    """Fields that are always filled in."""
    return name in ("mac", "seg_max", "blk_size", "num_queues", "cols", "rows")


def _of_control(config: DeviceConfig) -> list[str]:
    if config.control is None:
        return ["capabilities.control = false: nobody can refuse a driver, hold DMA back or set the byte order."]
    return []


def _of_virtual(config: DeviceConfig) -> list[str]:
    if config.vf is None or config.vf.count <= MOST_WITHOUT_ARI:
        return []
    return [
        f"vf.count = {config.vf.count}: more than {MOST_WITHOUT_ARI} can be reached only below a port that forwards "
        f"alternative routing ids (ARI)."
    ]

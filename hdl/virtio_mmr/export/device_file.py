"""A device as a device file in which nothing is left out."""

from virtio_mmr.config.device import Bar, DeviceConfig, Space, VirtualFunctions
from virtio_mmr.config.errors import spell
from virtio_mmr.config.loader import field_names

from .windows import device_features


def completed(config: DeviceConfig) -> str:
    """Text that `virtio_mmr.config.loads` turns back into *config*."""
    mmr = spell(config.mmr_capabilities) if config.mmr_explicit else '"auto"'
    sections = [
        "schema = 1\n",
        f"[device]\nkind = {spell(config.kind.name)}\nidentity = {spell(config.identity.value)}\n"
        f"profile = {spell(config.profile)}\nrevision = {config.revision}\nserial = {config.serial}\n",
        f"[features]\noffer = {spell(list(device_features(config)))}\n",
        f"[queues]\nsizes = {spell(config.queues)}\n",
        f"[interrupts]\nmsix_vectors = {config.msix_vectors}\nintx = {spell(config.intx)}\n",
        *(_bar(bar) for bar in config.bars),
        "[config]\n" + "".join(_field(config, name) for name in field_names(config.kind)),
        f"[capabilities]\nmmr = {mmr}\ncontrol = {spell(config.control is not None)}\n",
    ]
    if config.control is not None:
        sections.append(
            f"[control]\nbig_endian = {spell(config.control.big_endian)}\n"
            f"gate_open = {spell(config.control.gate_open)}\n"
        )
    datapath = config.datapath
    sections.append(
        f"[datapath]\nwidth = {datapath.width}\nadapter = {spell(datapath.adapter)}\n"
        f"max_payload = {datapath.max_payload}\n"
        f"check_byte_enables = {spell(datapath.check_byte_enables)}\n"
        f"strict_64bit = {spell(datapath.strict_64bit)}\n"
    )
    if config.requester is not None:
        requester = config.requester
        sections.append(
            f"[requester]\nreads = {requester.reads}\nlargest_read = {requester.largest_read}\n"
            f"timeout = {requester.timeout}\n"
            f"completion_headers = {requester.completion_headers}\ncompletion_bytes = {requester.completion_bytes}\n"
        )
    if config.vf is not None:
        sections += _virtual(config.vf)
    return "\n".join(sections)


def _virtual(vf: VirtualFunctions) -> list[str]:
    function = vf.function
    return [
        f"[vf]\ncount = {vf.count}\nqueues = {spell(function.queues)}\n"
        f"features = {spell(list(device_features(function)))}\nmsix_vectors = {function.msix_vectors}\n",
        *(_bar(bar, "vf.") for bar in function.bars),
        "[vf.config]\n" + "".join(_field(function, name) for name in field_names(function.kind)),
    ]


def _bar(bar: Bar, section: str = "") -> str:
    regions = "".join(
        f'    {{ space = "{region.space.value}", offset = {region.offset:#x}, size = {region.size:#x}'
        f"{f', stride = {region.stride:#x}' if region.space is Space.NOTIFY else ''} }},\n"
        for region in bar.regions
    )
    return (
        f"[{section}bars.{bar.index}]\nkind = {spell(bar.kind.value)}\nprefetchable = {spell(bar.prefetchable)}\n"
        f"size = {bar.size:#x}\nregions = [\n{regions}]\n"
    )


def _field(config: DeviceConfig, name: str) -> str:
    field = config.kind.field(name)
    contents = config.config_image[field.offset : field.offset + field.size]
    value: object = contents.hex(":") if field.count > 1 else int.from_bytes(contents, "little")
    return f"{field.name} = {spell(value)}\n"

"""A first device file, with a comment on everything that one may want to change."""

from virtio_mmr.config import defaults
from virtio_mmr.config.device import Bar, BarKind, Identity, Region, Space
from virtio_mmr.config.errors import spell
from virtio_mmr.config.loader import field_names
from virtio_mmr.spec.device_types import ConfigField, DeviceType
from virtio_mmr.spec.features import FIRST_MODERN, TransportFeature

_IDENTITIES = {
    Identity.MMR: """\
# "mmr": a device id that no driver binds; a hypervisor maps the legacy window into its guests.
# Others: "legacy-memory" and "legacy-io", which stock legacy drivers bind.""",
    Identity.LEGACY_MEMORY: """\
# "legacy-memory": the id of an ordinary legacy device, with the registers in memory BAR 0. Linux and
# FreeBSD drive it as it is. Others: "mmr", which only a hypervisor drives, and "legacy-io".""",
    Identity.LEGACY_IO: """\
# "legacy-io": an ordinary legacy device with its registers in I/O BAR 0, as every legacy driver
# expects. Others: "mmr", which only a hypervisor drives, and "legacy-memory".""",
}

_SPACES = {
    Space.LEGACY: "legacy registers, then the configuration",
    Space.CONTROL: "the hypervisor's page; never map it into a guest",
    Space.ISR: "the interrupt status alone",
    Space.DEVICE: "the device's configuration alone",
    Space.MSIX: "the MSI-X table, then the pending bits",
    Space.COMMON: "the modern common configuration",
    Space.NOTIFY: "the modern notification addresses",
}

_COUNTED = ("num_queues", "max_virtqueue_pairs")

_OWNERS = {"driver": "the driver may write it", "device": "your logic may change it"}


def new_device(kind: DeviceType, identity: Identity) -> str:
    """Text of a device file for *kind* that passes every rule and says what the defaults say."""
    queues = defaults.QUEUES[kind.name]
    vectors = defaults.msix_vectors(queues)
    bars = defaults.bars(kind, identity, vectors, control=True)
    parts = [
        f"# A virtio {kind.name} device. Look at it with `vmmr inspect`, build it with `vmmr generate`.\n"
        f"# What is left out has a default; a key that does not exist is an error.\n\nschema = 1\n",
        f'[device]\nkind = "{kind.name}"\n\n{_IDENTITIES[identity]}\nidentity = "{identity.value}"\n',
        _features(kind),
        _queues(kind, queues),
        "[interrupts]\n# One vector for each queue and one for configuration changes. 0: no MSI-X.\n"
        f"msix_vectors = {vectors}\n",
        *(_bar(bar) for bar in bars),
        _config(kind),
        '[capabilities]\n# How the legacy window is announced: "auto" places whatever fits of "vsec", "literal"\n'
        '# and "classic"; a list of these is an order, and an error if it does not fit.\nmmr = "auto"\n',
        "[control]\n# true: your logic can serve big-endian guests.\nbig_endian = false\n"
        "# true: DMA may start at once. false: a hypervisor opens the gate (control page, platform.gate).\n"
        f"gate_open = {spell(defaults.gate_open(identity))}\n",
        "[datapath]\n# Bits of the TLP streams: 64, 128, 256 or 512. Take the width of your PCIe hard IP.\n"
        "width = 128\n# Bytes of the largest payload that the device advertises.\nmax_payload = 128\n",
    ]
    return "\n".join(part for part in parts if part)


def _features(kind: DeviceType) -> str:
    known = [*kind.features, *(name for name, bit in TransportFeature.__members__.items() if bit < FIRST_MODERN)]
    return (
        "[features]\n# Offered besides ANY_LAYOUT, which is always there. Known here:\n"
        + _folded(known)
        + f"offer = {spell(defaults.FEATURES[kind.name])}\n"
    )


def _folded(words: list[str]) -> str:
    """Words as comment lines."""
    lines, line = [], "#  "
    for word in words:
        if len(line) + len(word) > 98:
            lines.append(line)
            line = "#  "
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def _queues(kind: DeviceType, sizes: tuple[int, ...]) -> str:
    names = ", ".join(kind.queues[: len(sizes)])
    return (
        f"[queues]\n# Entries of each queue ({names}): powers of two. The driver cannot change them.\n"
        f"sizes = {spell(sizes)}\n"
    )


def _bar(bar: Bar) -> str:
    decoded = f"{bar.decoded_size // 1024} KiB" if bar.decoded_size >= 1024 else f"{bar.decoded_size} bytes"
    width = max(len(_region(region)) for region in bar.regions)
    lines = "".join(f"    {_region(region):<{width}}  # {_SPACES[region.space]}\n" for region in bar.regions)
    what = "I/O ports" if bar.kind is BarKind.IO else "memory"
    return (
        f"# {decoded} of {what}. Offsets and sizes are bytes.\n[bars.{bar.index}]\n"
        f"kind = {spell(bar.kind.value)}\nregions = [\n{lines}]\n"
    )


def _region(region: Region) -> str:
    return f'{{ space = "{region.space.value}", offset = {region.offset:#06x}, size = {region.size:#06x} }},'


def _config(kind: DeviceType) -> str:
    names = field_names(kind)
    if not names:
        return ""
    set_by_default = defaults.FIELDS[kind.name]
    lines = []
    for field in map(kind.field, names):
        value = set_by_default.get(field.name, field.reset)
        mark = "" if field.name in set_by_default else "# "
        spelled = spell(value) if field.count == 1 or value else '"00:00:00:00:00:00"'
        lines.append((f"{mark}{field.name} = {spelled}", _about(field)))
    width = max(len(line) for line, about in lines if about)
    body = "".join(f"{line:<{width}}  # {about}\n" if about else f"{line}\n" for line, about in lines)
    return f"[config]\n# First contents of the device's configuration.\n{body}"


def _about(field: ConfigField) -> str:
    notes = [f"with {field.feature}"] if field.feature else []
    if field.owner.value in _OWNERS:
        notes.append(_OWNERS[field.owner.value])
    if field.name in _COUNTED:
        notes.append("counted from queues.sizes if left out")
    return "; ".join(notes)

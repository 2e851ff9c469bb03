"""Draws a function for people: its BARs with their windows, and both capability lists."""

from collections.abc import Sequence

from virtio_mmr.config.device import Bar, BarKind, DeviceConfig, Region, Space
from virtio_mmr.layout.decode import ListedCapability, listed_capabilities
from virtio_mmr.spec import legacy

#: Characters between the two sides of a BAR's or of a capability's box.
_BAR_WIDTH, _CAPABILITY_WIDTH = 58, 36

#: Lines that a BAR takes if it is cut into equal parts, and the most that one window gets.
_BAR_LINES, _MOST_LINES = 12, 5

_KINDS = {BarKind.MEMORY32: "32-bit memory", BarKind.MEMORY64: "64-bit memory", BarKind.IO: "I/O ports"}

_NOTES = {
    Space.CONTROL: "the hypervisor's page",
    Space.ISR: "interrupt status",
    Space.DEVICE: "device configuration",
    Space.COMMON: "modern common configuration",
}


def size_text(size: int) -> str:
    """*size* bytes in the largest unit that divides it."""
    for unit, step in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= step and size % step == 0:
            return f"{size // step} {unit}"
    return f"{size} bytes"


def identity_line(image: bytes) -> str:
    """Ids, revision and class of the function whose configuration space is *image*."""
    vendor, device, subsystem = (int.from_bytes(image[at : at + 2], "little") for at in (0x00, 0x02, 0x2E))
    return (
        f"{vendor:04x}:{device:04x}  revision {image[8]:02x}  class {image[0x0B]:02x}{image[0x0A]:02x}  "
        f"subsystem {subsystem:04x}"
    )


def bars_picture(config: DeviceConfig) -> str:
    """Every BAR as a column of windows, tall windows for large ones."""
    return "\n".join(_bar(config, bar) for bar in config.bars)


def _bar(config: DeviceConfig, bar: Bar) -> str:
    title = f"BAR {bar.index}  {size_text(bar.decoded_size)} of {_KINDS[bar.kind]}"
    lines = [title + (", prefetchable" if bar.prefetchable else "")]
    at = 0
    first = True
    for region in sorted(bar.regions, key=lambda region: region.offset):
        if region.offset > at:
            lines += _part(at, "┌" if first else "├", _hole(region.offset - at), bar, region.offset - at, "░")
            first = False
        lines += _part(region.offset, "┌" if first else "├", _window(config, region), bar, region.size, " ")
        at, first = region.end, False
    if at < bar.decoded_size:
        lines += _part(at, "├", _hole(bar.decoded_size - at), bar, bar.decoded_size - at, "░")
    lines.append(f"  {bar.decoded_size:#07x} └{'─' * _BAR_WIDTH}┘\n")
    return "\n".join(lines)


def _part(offset: int, corner: str, texts: Sequence[str], bar: Bar, size: int, fill: str) -> list[str]:
    """A rule with the offset, then the texts, then lines of *fill* in proportion to *size*."""
    end = "┐" if corner == "┌" else "┤"
    wanted = min(round(_BAR_LINES * size / bar.decoded_size), _MOST_LINES)
    padded = [*texts, *[""] * (wanted - len(texts))]
    rule = f"  {offset:#07x} {corner}{'─' * _BAR_WIDTH}{end}"
    return [rule, *(f"          │{_fill(text, fill)}│" for text in padded)]


def _fill(text: str, fill: str) -> str:
    return f" {text} ".ljust(_BAR_WIDTH, fill) if text else fill * _BAR_WIDTH


def _hole(size: int) -> list[str]:
    return [f"nothing: reads zero ({size_text(size)})"]


def _window(config: DeviceConfig, region: Region) -> list[str]:
    head = f"{region.space.value:<24}{size_text(region.size):>{_BAR_WIDTH - 26}}"
    if region.space is Space.LEGACY:
        config_bytes = f"{config.kind.config_size} bytes of {config.kind.name} configuration"
        return [
            head,
            f"  0x00 header, {legacy.CONFIG_OFFSET[False]} bytes; {legacy.CONFIG_OFFSET[True]} with MSI-X",
            f"  0x14 or 0x18 {config_bytes}" if config.kind.config_size else "  no device configuration",
        ]
    if region.space is Space.MSIX:
        return [
            head,
            f"  {0:#04x} table of {config.msix_vectors} vectors",
            f"  {region.size // 2:#04x} pending bits",
        ]
    if region.space is Space.NOTIFY:
        apart = f"{region.stride} bytes apart" if region.stride else "at one address"
        return [head, f"  notifications of {len(config.queues)} queues, {apart}"]
    return [head, f"  {_NOTES[region.space]}"]


def capabilities_picture(image: bytes, starts: tuple[int, int] | None = None) -> str:
    """Both capability lists of *image*, side by side, each from its start to its end; for *starts* see the decoder."""
    found = listed_capabilities(image, starts)
    columns = [
        _chain("Capabilities", "" if starts else "0x034", [entry for entry in found if entry.kind == "classic"]),
        _chain("Extended capabilities", "", [entry for entry in found if entry.kind == "extended"]),
    ]
    height = max(map(len, columns))
    width = _CAPABILITY_WIDTH + 10
    padded = [[line.ljust(width) for line in column + [""] * (height - len(column))] for column in columns]
    return "\n".join("  ".join(row).rstrip() for row in zip(*padded, strict=True)) + "\n"


def _chain(title: str, start: str, entries: Sequence[ListedCapability]) -> list[str]:
    lines = [title]
    lines.append(f"  {start}  {'●':^{_CAPABILITY_WIDTH}}".rstrip() if start else "")
    if not entries:
        return [*lines, "        none"]
    for index, entry in enumerate(entries):
        arrow = f"{'▼':─^{_CAPABILITY_WIDTH}}" if index or start else "─" * _CAPABILITY_WIDTH
        lines.append(f"  {entry.offset:#05x} ┌{arrow}┐")
        lines += [f"        │ {text:<{_CAPABILITY_WIDTH - 2}} │" for text in _texts(entry)]
        last = index == len(entries) - 1
        floor = "─" if last else "┬"
        lines.append(f"        └{floor:─^{_CAPABILITY_WIDTH}}┘")
        if not last:
            lines.append(f"         {'│':^{_CAPABILITY_WIDTH}}".rstrip())
    return lines


def _texts(entry: ListedCapability) -> list[str]:
    digits = 2 if entry.kind == "classic" else 4
    head = f"{entry.title:<{_CAPABILITY_WIDTH - 10}}{f'id {entry.id:0{digits}x}':>8}"
    return [head, *(f"  {detail}"[: _CAPABILITY_WIDTH - 2] for detail in entry.details)]

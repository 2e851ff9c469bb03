"""A packet in one line: what it asks for, of which register."""

from collections.abc import Sequence

from virtio_mmr.config.device import Bar, BarKind, Space
from virtio_mmr.spec import control, legacy, modern
from virtio_mmr.spec.register import RegisterTable

from virtio_mmr_sim.model import tlp
from virtio_mmr_sim.model.endpoint import EndpointModel
from virtio_mmr_sim.model.malformed import why_malformed

_TABLES: dict[Space, RegisterTable] = {
    Space.LEGACY: legacy.HEADER, Space.CONTROL: control.TABLE, Space.COMMON: modern.COMMON}


def describe(dwords: Sequence[int], golden: EndpointModel | None = None) -> str:
    """*dwords* in words, and as they are; *golden* knows where registers stand and what is malformed."""
    raw = " ".join(f"{dword:08x}" for dword in dwords[:12]) + (" ..." if len(dwords) > 12 else "")
    reason = None
    if golden is not None:
        reason = why_malformed(dwords, golden.max_payload, golden.config.datapath.check_byte_enables)
    try:
        text = f"malformed ({reason.value})" if reason else _words(tlp.parse(dwords), golden)
    except (ValueError, IndexError):
        text = "no known packet"
    return f"{text} [{raw}]"


def _words(packet: tlp.Tlp, golden: EndpointModel | None) -> str:
    poisoned = ", poisoned" if packet.poisoned else ""
    match packet:
        case tlp.MemoryRequest():
            verb = "write" if packet.write else "locked read" if packet.locked else "read"
            data = " = " + " ".join(f"{dword:08x}" for dword in packet.payload[:4]) if packet.payload else ""
            size = f"{packet.length} dwords, " if packet.length > 1 else ""
            enables = f"{size}enables {packet.first_be:x}/{packet.last_be:x}"
            return f"memory {verb} {_place(packet.address, golden)} ({enables}{poisoned}){data}"
        case tlp.IoRequest():
            verb, data = ("write", f" = {packet.data:08x}") if packet.write else ("read", "")
            return f"I/O {verb} {_place(packet.address, golden)} (enables {packet.first_be:x}{poisoned}){data}"
        case tlp.ConfigRequest():
            verb, data = ("write", f" = {packet.data:08x}") if packet.write else ("read", "")
            target = f"{packet.bus:02x}:{packet.device:02x}.{packet.function}"
            kind = "type 1" if packet.type1 else "type 0"
            enables = f"enables {packet.first_be:x}"
            return f"configuration {verb} {kind} {target} +{packet.offset:#05x} ({enables}{poisoned}){data}"
        case tlp.Completion():
            data = " = " + " ".join(f"{dword:08x}" for dword in packet.payload[:4]) if packet.payload else ""
            return (f"completion status {packet.status}, tag {packet.tag:#x}, {packet.byte_count} bytes "
                    f"from {packet.lower_address:#04x}{poisoned}{data}")
        case tlp.Message():
            return f"message {packet.code:#04x}{poisoned}"
        case tlp.AtomicRequest():
            return f"{packet.operation.name.lower()} at {packet.address:#x}{poisoned}"


def _place(address: int, golden: EndpointModel | None) -> str:
    """The register at *address*, if a BAR has one there."""
    if golden is None:
        return f"{address:#x}"
    for bar in golden.config.bars:
        base = golden.space.base_address(bar.index, bar.kind is BarKind.MEMORY64)
        if found := _register(bar, address - base):
            return found
    for aperture in golden.apertures:
        number, offset = divmod(address - aperture.base, aperture.size)
        if 0 <= number < golden.present:
            unit = golden.units[number + 1]
            bar = next(bar for bar in unit.config.bars if bar.index == aperture.bar)
            return f"function {unit.number}, {_register(bar, offset) or hex(offset)}"
    return f"{address:#x}"


def _register(bar: Bar, offset: int) -> str:
    """What stands *offset* bytes from the start of a BAR; nothing outside its regions."""
    for region in bar.regions:
        at = offset - region.offset
        if 0 <= at < region.size:
            table = _TABLES.get(region.space)
            names = [
                register.name for register in (table.registers if table else ())
                if register.offset < at + 4 and at < register.end
            ]
            name = f" {'/'.join(names)}" if names else ""
            return f"{region.space.value}+{at:#x}{name}"
    return ""

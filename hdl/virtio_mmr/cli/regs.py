"""``vmmr regs``: what a register is, where, and which clause says so."""

import argparse
from difflib import get_close_matches

from virtio_mmr.export.json_map import field_map, register_map
from virtio_mmr.layout.space import reset_value
from virtio_mmr.spec import control, legacy, modern, msix
from virtio_mmr.spec.device_types import DEVICE_TYPES, ConfigField, DeviceType
from virtio_mmr.spec.register import Present, Register

from .output import Refused, Subparsers, add_verb, print_json

TABLES = {
    table.name: table for table in (legacy.HEADER, control.TABLE, modern.ISR, msix.ENTRY, modern.COMMON, modern.NOTIFY)
}

_ACCESS = {
    "ro": "read only",
    "rw": "read and write",
    "wo": "write only",
    "rc": "cleared by a read",
    "rw1c": "cleared by writing ones",
}


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers,
        "regs",
        run,
        "show a register, a window or a device's configuration",
        "vmmr regs legacy.queue_select",
    )
    parser.add_argument("name", nargs="?", help="window, window.register, kind or kind.field; all if left out")


def run(args: argparse.Namespace) -> int:
    """Prints what was asked for."""
    known = _known()
    if args.name is None:
        wanted = known
    else:
        wanted = {name: entry for name, entry in known.items() if name == args.name or name.startswith(f"{args.name}.")}
    if not wanted:
        close = get_close_matches(args.name, [*known, *TABLES, *DEVICE_TYPES], n=1)
        hint = f"did you mean {close[0]}?" if close else f"windows: {', '.join([*TABLES, *DEVICE_TYPES])}"
        raise Refused(f"no register {args.name!r}; {hint}")
    if args.json:
        print_json({name: _map(entry) for name, entry in wanted.items()})
    elif list(wanted) == [args.name]:
        print(_detail(args.name, wanted[args.name]), end="")
    else:
        print(_list(wanted), end="")
    return 0


def _known() -> dict[str, Register | ConfigField]:
    """Everything that has a name, as ``window.register`` and ``kind.field``."""
    known: dict[str, Register | ConfigField] = {}
    for table in TABLES.values():
        known.update({f"{table.name}.{register.name}": register for register in table})
    for kind in DEVICE_TYPES.values():
        known.update({f"{kind.name}.{field.name}": field for field in kind.config})
    return known


def _map(entry: Register | ConfigField) -> dict[str, object]:
    return register_map(entry) if isinstance(entry, Register) else field_map(entry)


def _list(entries: dict[str, Register | ConfigField]) -> str:
    width = max(map(len, entries))
    lines = []
    for name, entry in entries.items():
        if isinstance(entry, Register):
            lines.append(f"{name:<{width}}  {entry.offset:#04x}  {entry.width:>4}  {entry.access.value:<6} {entry.doc}")
        else:
            lines.append(
                f"{name:<{width}}  {entry.offset:#04x}  {_bits(entry):>4}  {entry.owner.value:<6} "
                f"{_feature(entry)}".rstrip()
            )
    return "\n".join(lines) + "\n"


def _bits(field: ConfigField) -> str:
    return f"{field.count}x{field.width}" if field.count > 1 else str(field.width)


def _feature(field: ConfigField) -> str:
    return f"with {field.feature}" if field.feature else ""


def _detail(name: str, entry: Register | ConfigField) -> str:
    if isinstance(entry, ConfigField):
        return _field_detail(name, entry, DEVICE_TYPES[name.split(".")[0]])
    return _register_detail(name, entry)


def _field_detail(name: str, field: ConfigField, kind: DeviceType) -> str:
    lines = [
        name,
        f"  offset   {field.offset:#04x} in the device window",
        f"           {legacy.CONFIG_OFFSET[False] + field.offset:#04x} in the legacy window, "
        f"{legacy.CONFIG_OFFSET[True] + field.offset:#04x} while MSI-X is enabled",
        f"  width    {_bits(field)} bits",
        f"  written  {'by nobody' if field.owner.value == 'fixed' else f'by the {field.owner.value}'}",
        *([f"  feature  {field.feature}, bit {kind.features[field.feature]}"] if field.feature else []),
        f"  clause   {kind.clause}",
    ]
    return "\n".join(lines) + "\n"


def _register_detail(name: str, register: Register) -> str:
    lines = [
        name,
        *([f"  {register.doc}"] if register.doc else []),
        f"  offset   {register.offset:#04x}",
        f"  width    {register.width} bits",
        f"  access   {register.access.value}, {_ACCESS[register.access.value]}",
        f"  reset    {reset_value(register):#x}",
    ]
    if register.banked_by:
        lines.append(f"  banked   by {register.banked_by}")
    if register.present is Present.MSIX_ENABLED:
        lines.append("  present  while MSI-X is enabled")
    if register.effect:
        lines.append(f"  effect   {register.effect.value}")
    lines += [f"  alias    {alias} ({system})" for system, alias in register.aliases.items()]
    lines.append(f"  clause   {register.clause}")
    for part in register.fields:
        bits = str(part.lsb) if part.width == 1 else f"{part.lsb + part.width - 1}:{part.lsb}"
        lines.append(f"  {bits:>7}  {part.name}, {part.access.value}{': ' if part.doc else ''}{part.doc}")
    return "\n".join(lines) + "\n"

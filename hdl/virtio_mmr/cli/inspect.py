"""``vmmr inspect``: configuration space of a device file, of a dump or of a device in this machine."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

from virtio_mmr.config import ConfigError, DeviceConfig, load
from virtio_mmr.config.errors import UnreadableError
from virtio_mmr.export import lspci_dump
from virtio_mmr.export.json_map import device_map
from virtio_mmr.export.picture import bars_picture, capabilities_picture, identity_line
from virtio_mmr.layout import ConfigurationSpace, place
from virtio_mmr.layout.decode import listed_capabilities
from virtio_mmr.spec.configuration import SPACE_SIZE

from .output import Refused, Subparsers, add_verb, print_json

_SLOT = re.compile(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")

_DEVICES = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Source:
    """Configuration space, and the device it comes from if that is known."""

    name: str
    image: bytes
    config: DeviceConfig | None = None
    space: ConfigurationSpace | None = None

    @property
    def starts(self) -> tuple[int, int] | None:
        """Where the lists begin, if hard IP owns the header and points at them."""
        adapter = self.config.datapath.hard_ip if self.config is not None else None
        return (adapter.classic[0], adapter.extended[0]) if adapter and adapter.owns_header else None


@dataclass(frozen=True)
class Difference:
    """A dword that two configuration spaces do not agree on; ``registers`` names what it holds."""

    offset: int
    left: int
    right: int
    registers: str


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "inspect", run, "draw BARs and capabilities", "vmmr inspect examples/net.toml --diff dump.txt"
    )
    what = "device file (*.toml), text of `lspci -xxxx`, or slot such as 0000:05:00.0"
    parser.add_argument("source", help=what)
    parser.add_argument("--format", choices=("table", "json", "lspci"), default="table", help="default: table")
    parser.add_argument(
        "--function", type=int, default=0, metavar="N", help="of a device file: 0 for the physical function (default), "
        "1 and up for virtual ones"
    )
    parser.add_argument("--diff", metavar="OTHER", help=f"print what differs from OTHER: {what}")


def run(args: argparse.Namespace) -> int:
    """Prints one view of the space; with --diff the exit code is 1 if the two differ."""
    if args.function and not any(str(name).endswith(".toml") for name in (args.source, args.diff)):
        raise Refused(f"--function {args.function}: a dump or a slot is one function; give a device file")
    source = read(args.source, args.function)
    if args.diff is not None:
        return _diff(source, read(args.diff, args.function), args.json or args.format == "json")
    if args.json or args.format == "json":
        print_json(_json(source))
    elif args.format == "lspci":
        print(lspci_dump.dump(source.image), end="")
    else:
        part = "the part of configuration space that the hard IP leaves to the core"
        print(f"{source.name}  {part if source.starts else identity_line(source.image)}\n")
        if source.config is not None:
            print(bars_picture(source.config))
        print(capabilities_picture(source.image, source.starts), end="")
    return 0


def read(name: str, function: int = 0) -> Source:
    """The space that *name* stands for; of a device file, that of one *function*.

    Raises
    ------
    ConfigError
        If the file is neither a sound device file nor a dump.
    Refused
        If the device has no such function.
    """
    if name.endswith(".toml"):
        device = load(name)
        if not 0 <= function < device.functions:
            raise Refused(f"--function {function}: {name} has {device.functions}, counted from 0; give one of these")
        config = device.of(function)
        space = place(config)
        return Source(name, space.reset_image(), config, space)
    path = Path(name)
    if _SLOT.fullmatch(name):
        slot = name if name.count(":") == 2 else f"0000:{name}"
        path = _DEVICES / slot / "config"
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            "",
            None,
            f"cannot be read ({error.strerror})",
            "give a device file, the text of `lspci -xxxx`, or a slot",
            name,
        ) from None
    if _SLOT.fullmatch(name):
        return Source(name, contents)
    try:
        return Source(name, lspci_dump.parse(contents.decode(errors="replace")))
    except ValueError as error:
        raise ConfigError(
            "",
            None,
            f"is no dump of configuration space: {error}",
            "give a device file (*.toml), the text of `lspci -xxxx`, or a slot",
            name,
        ) from None


def _json(source: Source) -> dict[str, object]:
    found = {
        "ok": True,
        "image": source.image.hex(),
        "capabilities": [
            {
                "kind": entry.kind,
                "id": entry.id,
                "offset": entry.offset,
                "next": entry.following,
                "title": entry.title,
                "details": list(entry.details),
            }
            for entry in listed_capabilities(source.image, source.starts)
        ],
    }
    if source.config is not None and source.space is not None:
        found["device"] = device_map(source.config, source.space)
    return found


def differences(left: Source, right: Source) -> list[Difference]:
    """Dwords that differ; a shorter dump is compared as far as it goes."""
    found = []
    for offset in range(0, min(len(left.image), len(right.image), SPACE_SIZE), 4):
        words = [int.from_bytes(source.image[offset : offset + 4], "little") for source in (left, right)]
        if words[0] != words[1]:
            names = _registers(left.space, offset) or _registers(right.space, offset)
            found.append(Difference(offset, words[0], words[1], names))
    return found


def _registers(space: ConfigurationSpace | None, offset: int) -> str:
    registers = space.registers if space is not None else ()
    return ", ".join(register.name for register in registers if register.offset < offset + 4 and offset < register.end)


def _diff(left: Source, right: Source, as_json: bool) -> int:
    found = differences(left, right)
    compared = min(len(left.image), len(right.image))
    if as_json:
        print_json({"ok": not found, "compared": compared, "differences": [vars(entry) for entry in found]})
    elif not found:
        print(f"the same in all {compared} bytes")
    else:
        print(f"offset  {left.name:<16}  {right.name:<16}  registers")
        for entry in found:
            print(f"{entry.offset:#06x}  {entry.left:08x}{'':8}  {entry.right:08x}{'':8}  {entry.registers}".rstrip())
    return 1 if found else 0

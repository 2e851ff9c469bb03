"""``vmmr check``: is the device file sound, and what does it describe?"""

import argparse
from pathlib import Path

from virtio_mmr.config import DeviceConfig, load, remarks
from virtio_mmr.export.device_file import completed
from virtio_mmr.export.json_map import device_map
from virtio_mmr.export.picture import size_text
from virtio_mmr.export.windows import device_features, windows
from virtio_mmr.layout import ConfigurationSpace, place

from .output import Subparsers, add_verb, print_json

#: What an integrator may expect and this version does not have.
NOT_BUILT = (
    "AER and error messages: errors set status bits and pulse the error outputs.",
)


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "check", run, "check a device file and print what it describes", "vmmr check examples/net.toml"
    )
    parser.add_argument("file", type=Path, help="device file")
    parser.add_argument("--completed", action="store_true", help="print the file with nothing left out")


def run(args: argparse.Namespace) -> int:
    """Checks the file; everything it prints follows from the file alone."""
    config = load(args.file)
    space = place(config)
    if args.json:
        print_json(
            {
                "ok": True,
                "remarks": list(remarks(config)),
                "not_built": list(NOT_BUILT),
                "completed": completed(config),
                **device_map(config, space),
            }
        )
    elif args.completed:
        print(completed(config), end="")
    else:
        print(report(config, space), end="")
    return 0


def report(config: DeviceConfig, space: ConfigurationSpace) -> str:
    """The device in words and tables."""
    lines = [
        f"virtio {config.kind.name}, identity {config.identity.value}: "
        f"{config.vendor_id:04x}:{config.device_id:04x}, class {config.kind.class_code:06x}",
        f"features  {' '.join(device_features(config))}",
        f"queues    {', '.join(map(str, config.queues))}",
        f"vectors   {config.msix_vectors or 'none'}",
        f"datapath  {config.datapath.width} bits, adapter {config.datapath.adapter}",
    ]
    lines += _function(config, space)
    if config.vf is not None:
        virtual = config.vf.function
        lines += [
            "",
            f"{config.vf.count} virtual functions: {virtual.vendor_id:04x}:{virtual.device_id:04x}",
            f"features  {' '.join(device_features(virtual))}",
            f"queues    {', '.join(map(str, virtual.queues))}",
            f"vectors   {virtual.msix_vectors or 'none'}",
            *_function(virtual, place(virtual)),
        ]
    left_out = list(space.left_out)
    if config.vf is not None:
        left_out += [(f"vf.{name}", why) for name, why in place(config.vf.function).left_out]
    for title, sentences in (
        ("Left out", [f"{name}: {why}" for name, why in left_out]),
        ("Worth a second look", list(remarks(config))),
        ("Not built yet", list(NOT_BUILT)),
    ):
        if sentences:
            lines += ["", title, *(f"  {sentence}" for sentence in sentences)]
    return "\n".join([*lines, "", "ok", ""])


def _function(config: DeviceConfig, space: ConfigurationSpace) -> list[str]:
    """BARs and capabilities of a function."""
    lines = ["", "BARs"]
    for bar in config.bars:
        lines.append(f"  {bar.index}  {bar.kind.value}, {size_text(bar.decoded_size)}")
        lines += [
            f"     {window.region.offset:#07x}  {window.region.size:#8x}  {window.name}"
            for window in windows(config)
            if window.bar is bar
        ]
    owner = " in the part of configuration space that the hard IP leaves to the core"
    lines += ["", f"Capabilities{owner if config.datapath.hard_ip.owns_header else ''}"]
    lines += [
        f"  {capability.offset:#05x}  {capability.size:3} bytes  {capability.kind:<8}  {capability.name}"
        for capability in space.capabilities
    ]
    return lines

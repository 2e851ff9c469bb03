"""Which block of a design takes how much of its area.

The count is made on the flattened netlist, so the lines add up to the whole. A cell that drives a net
with a name belongs to the block that drives that net in the source; a memory to the block that it is
called after; any other cell to the block whose cells mostly take its output. So logic that was merged
across a border is counted on one side of it.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Combinational cells; the rest keep state, and each of their outputs has a block.
_LOGIC = {"LUT4", "CCU2C", "PFUMX", "L6MUX21"}


@dataclass(frozen=True)
class Block:
    """Cells of one block; ``name`` is its path from the design's top."""

    name: str
    lut4: int
    ccu2c: int
    dpr16x4: int
    ff: int
    dp16kd: int

    @property
    def logic(self) -> int:
        """Lookup tables, with two for each carry cell."""
        return self.lut4 + 2 * self.ccu2c


def blocks(netlist: Mapping[str, Any], modules: Mapping[str, Any], top: str) -> list[Block]:
    """Blocks by size, the largest first.

    Parameters
    ----------
    netlist
        Flattened module, in yosys' JSON form.
    modules
        The modules before synthesis, by name, in the same form.
    top
        Name of the module that was flattened.
    """
    tree = _instances(modules, top)
    owner: dict[int, str] = {}
    for name, net in netlist["netnames"].items():
        if net.get("hide_name"):
            continue
        path, signal = _split(name, tree)
        if signal in tree[path].nets:
            for bit, source in zip(net["bits"], tree[path].nets[signal], strict=False):
                block = _driver(tree, path, source)
                if isinstance(bit, int) and block is not None:
                    owner[bit] = block
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in netlist["cells"]:
        # Memories are called after their block, and drive nets that are not.
        for bit in _driven(netlist["cells"][cell]):
            if netlist["cells"][cell]["type"] not in _LOGIC:
                owner.setdefault(bit, _split(cell, tree)[0])
    for cell, block in _assign(netlist, owner).items():
        counts[block][netlist["cells"][cell]["type"]] += 1
    found = [
        Block(_readable(name), c["LUT4"], c["CCU2C"], c["TRELLIS_DPR16X4"], c["TRELLIS_FF"], c["DP16KD"])
        for name, c in counts.items()
    ]
    return sorted(found, key=lambda block: (-block.logic, -block.ff, block.name))


def _readable(path: str) -> str:
    """Path without the numbers that keep equal names apart."""
    return ".".join(part.partition("$")[0] for part in path.split(".")) or "top"


@dataclass(frozen=True)
class _Instance:
    """One block before synthesis; nets are lists of bit numbers that hold inside it alone."""

    nets: Mapping[str, list[int | str]]
    #: Bits that come from outside, and those that come out of a block inside: where to look further.
    elsewhere: Mapping[int | str, tuple[str, int | str]]


def _instances(modules: Mapping[str, Any], top: str) -> dict[str, _Instance]:
    """All blocks by their path in the flattened design; the top's path is empty."""
    nets: dict[str, Mapping[str, list[int | str]]] = {}
    elsewhere: dict[str, dict[int | str, tuple[str, int | str]]] = {"": {}}
    waiting = [("", top)]
    while waiting:
        path, name = waiting.pop()
        module = modules[name]
        # A name that starts with a dollar sign is written with a backslash before it.
        nets[path] = {name.removeprefix("\\"): net["bits"] for name, net in module["netnames"].items()}
        for instance, cell in module["cells"].items():
            if cell["type"] not in modules:
                continue
            inner = f"{path}.{instance}".lstrip(".")
            waiting.append((inner, cell["type"]))
            elsewhere[inner] = {}
            for port, how in modules[cell["type"]]["ports"].items():
                for outside, inside in zip(cell["connections"].get(port, []), how["bits"], strict=False):
                    if how["direction"] == "output":
                        elsewhere[path][outside] = (inner, inside)
                    else:
                        elsewhere[inner][inside] = (path, outside)
    return {path: _Instance(nets[path], elsewhere[path]) for path in nets}


def _split(name: str, tree: Mapping[str, _Instance]) -> tuple[str, str]:
    """Block and signal that a net of the flattened design is called after."""
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        path = ".".join(parts[:depth])
        if path in tree:
            return path, ".".join(parts[depth:])
    return "", name


def _driver(tree: Mapping[str, _Instance], path: str, bit: int | str) -> str | None:
    """Block that drives a bit of block *path*, or None if it is constant."""
    while bit in tree[path].elsewhere:
        path, bit = tree[path].elsewhere[bit]
    return path if isinstance(bit, int) else None


def _driven(cell: Mapping[str, Any]) -> list[int]:
    """Nets that a cell drives."""
    return [bit for port, bits in cell["connections"].items() if cell["port_directions"][port] == "output"
            for bit in bits if isinstance(bit, int)]


def _assign(netlist: Mapping[str, Any], owner: Mapping[int, str]) -> dict[str, str]:
    """Block of every cell that is counted."""
    cells = {name: cell for name, cell in netlist["cells"].items() if not cell["type"].startswith("$")}
    takers: dict[int, list[str]] = defaultdict(list)
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    takers[bit].append(name)
    assigned: dict[str, str] = {}

    # A cell waits for the cells that take its output, but not for one that waits for it in turn.
    begun: set[str] = set()
    for start in cells:
        stack = [start]
        while stack:
            name = stack[-1]
            outputs = _driven(cells[name])
            votes = Counter(owner[bit] for bit in outputs if bit in owner)
            takes = [taker for bit in outputs for taker in takers[bit]]
            missing = [taker for taker in takes if taker not in assigned and taker not in begun]
            begun.add(name)
            if not votes and missing:
                stack += missing
                continue
            votes = votes or Counter(assigned[taker] for taker in takes if taker in assigned)
            assigned.setdefault(name, max(votes, key=lambda block: (votes[block], block)) if votes else "")
            stack.pop()
    return assigned

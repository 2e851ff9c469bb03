"""The test plan: what the device must do, and which tests say that it does."""

import ast
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import toolchain

#: The stage whose statements are built.
BUILT = "now"


@dataclass(frozen=True)
class Statement:
    """One row."""

    id: str
    sentence: str
    clause: str
    #: Key of `Plan.stages`.
    stage: str
    #: ``path::function`` or a whole file, relative to the folder that holds ``tb``.
    tests: tuple[str, ...] = ()
    #: Why it is not, or not wholly, tested yet; empty if it is.
    reason: str = ""

    @property
    def group(self) -> str:
        """Letters before the number: MMR, LEG, ..."""
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Plan:
    """All rows, in the order of the file."""

    stages: Mapping[str, str]
    statements: tuple[Statement, ...]


def benches() -> Path:
    """The folder ``tb``: of the checkout, or as it travels with the installed package."""
    root = toolchain.checkout()
    return root / "tb" if root else Path(__file__).parent / "tb"


def load(path: Path | None = None) -> Plan:
    """The plan in *path*, the project's own by default.

    Raises
    ------
    ValueError
        If an id stands twice, a key is unknown, or a stage is.
    """
    values = tomllib.loads((path or benches() / "testplan.toml").read_text())
    stages = values["stages"]
    statements: list[Statement] = []
    for row in values["statement"]:
        unknown = row.keys() - {"id", "sentence", "clause", "stage", "tests", "reason"}
        if unknown:
            raise ValueError(f"{row.get('id')}: unknown key {', '.join(sorted(unknown))}")
        statement = Statement(**{**row, "tests": tuple(row.get("tests", ()))})
        if statement.stage not in stages:
            raise ValueError(f"{statement.id}: stage {statement.stage!r} is none of {', '.join(stages)}")
        if any(other.id == statement.id for other in statements):
            raise ValueError(f"{statement.id} stands twice")
        statements.append(statement)
    return Plan(stages, tuple(statements))


@functools.cache
def _functions(path: Path) -> frozenset[str]:
    """Names of the functions at the top of a module."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def missing_test(reference: str, folder: Path) -> str:
    """Why *reference* is no test under *folder*, the one that holds ``tb``; empty if it is one."""
    name, _, function = reference.partition("::")
    path = folder / name
    if not path.is_file():
        return f"there is no file {name}"
    if function and function not in _functions(path):
        return f"{name} has no function {function}"
    return ""


def mistakes(plan: Plan, folder: Path) -> list[str]:
    """What is wrong with the plan: a statement with neither test nor reason, a test that does not exist."""
    found = []
    for statement in plan.statements:
        if not statement.tests and not statement.reason:
            found.append(f"{statement.id}: neither a test nor a reason why there is none")
        if statement.stage == BUILT and not statement.tests:
            found.append(f"{statement.id}: built, but no test says so")
        if statement.stage != BUILT and not statement.reason:
            found.append(f"{statement.id}: stands under a later stage without a reason")
        for reference in statement.tests:
            if why := missing_test(reference, folder):
                found.append(f"{statement.id}: {why}")
    return found


def table(plan: Plan) -> list[tuple[str, int, int, dict[str, int]]]:
    """By group: its name, how many statements, how many of them are built and tested, how many per later stage."""
    rows = []
    for group in dict.fromkeys(statement.group for statement in plan.statements):
        members = [statement for statement in plan.statements if statement.group == group]
        later = {
            name: sum(statement.stage == stage for statement in members)
            for stage, name in plan.stages.items()
            if stage != BUILT
        }
        rows.append((group, len(members), sum(statement.stage == BUILT for statement in members), later))
    return rows


def markdown(plan: Plan) -> str:
    """The plan's state as a table for the README."""
    later = [name for stage, name in plan.stages.items() if stage != BUILT]
    lines = [
        "| Statements | in all | tested | " + " | ".join(later) + " |",
        "|---|---|---|" + "---|" * len(later),
    ]
    rows = table(plan)
    for group, count, built, stages in rows:
        lines.append(
            f"| {group} | {count} | {built} | " + " | ".join(str(count or "-") for count in stages.values()) + " |"
        )
    totals = [sum(stages[name] for *_, stages in rows) for name in later]
    lines.append(
        f"| all | {sum(row[1] for row in rows)} | {sum(row[2] for row in rows)} | "
        + " | ".join(map(str, totals))
        + " |"
    )
    return "\n".join(lines) + "\n"

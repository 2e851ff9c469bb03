"""``vmmr testplan``: what the device must do, and the tests that say so."""

import argparse
import dataclasses

from .output import Refused, Subparsers, add_verb, print_json


def add(subparsers: Subparsers) -> None:
    """Declares the verb."""
    parser = add_verb(
        subparsers, "testplan", run, "print the statements of the test plan with their tests", "vmmr testplan LEG-16"
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="statements or groups to show, such as LEG-16 or TLP; all")
    parser.add_argument("--markdown", action="store_true", help="only the table of how many are tested")


def run(args: argparse.Namespace) -> int:
    """Prints the plan; 1 if a statement has no test and no reason, or a test does not exist."""
    from virtio_mmr_sim import testplan

    plan = testplan.load()
    wrong = testplan.mistakes(plan, testplan.benches().parent)
    wanted = [s for s in plan.statements if not args.ids or {s.id, s.group} & set(args.ids)]
    if unknown := set(args.ids) - {s.id for s in plan.statements} - {s.group for s in plan.statements}:
        groups = ", ".join(dict.fromkeys(s.group for s in plan.statements))
        raise Refused(f"no statement is called {' or '.join(sorted(unknown))}; groups: {groups}")
    if args.markdown and (args.ids or args.json):
        raise Refused("--markdown counts the whole plan; leave ids and --json out")
    if args.json:
        print_json(
            {
                "ok": not wrong,
                "mistakes": wrong,
                "stages": dict(plan.stages),
                "statements": [dataclasses.asdict(statement) for statement in wanted],
            }
        )
        return 1 if wrong else 0
    if args.markdown:
        print(testplan.markdown(plan), end="")
        return 1 if wrong else 0
    for statement in wanted:
        print(f"{statement.id}  {statement.sentence}  [{statement.clause}]")
        if statement.stage != testplan.BUILT:
            print(f"        {plan.stages[statement.stage]}: {statement.reason}")
        for reference in statement.tests:
            print(f"        {reference}")
    if not args.ids:
        print()
        for group, count, built, _later in testplan.table(plan):
            print(f"{group}: {built} of {count} tested")
    for line in wrong:
        print(f"wrong: {line}")
    return 1 if wrong else 0

"""Adds up pytest's JUnit reports and prints one line: `N passed, N failed, N skipped`.

Usage: totals.py [--checks PASSED FAILED] REPORT...

Reports that do not exist count as nothing (their stage did not run). Exit status 1 if anything failed.
"""

import argparse
import sys
from pathlib import Path
from xml.etree import ElementTree


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", nargs=2, type=int, default=(0, 0), metavar=("PASSED", "FAILED"),
                        help="steps that were counted elsewhere")
    parser.add_argument("reports", nargs="*", type=Path)
    arguments = parser.parse_args()

    passed, failed = arguments.checks
    skipped = 0
    for report in arguments.reports:
        if not report.exists():
            continue
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            wrong = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left_out = int(suite.get("skipped", 0))
            failed += wrong
            skipped += left_out
            passed += int(suite.get("tests", 0)) - wrong - left_out
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

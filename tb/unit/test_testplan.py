"""The test plan is complete, and its tests exist."""

import re
from pathlib import Path

import pytest
from virtio_mmr_sim import bench, testplan

FOLDER = Path(__file__).parents[2]
GROUPS = {"MMR": 25, "LEG": 54, "MOD": 24, "CFG": 16, "TLP": 22, "VF": 11, "MSX": 6, "AQ": 4}


@pytest.fixture(scope="module")
def plan():
    return testplan.load(FOLDER / "tb" / "testplan.toml")


def test_every_statement_is_there_once(plan):
    expected = [f"{group}-{number:02}" for group, count in GROUPS.items() for number in range(1, count + 1)]
    assert [statement.id for statement in plan.statements] == expected
    assert len(expected) == 162


def test_every_statement_has_a_test_or_a_reason_and_every_test_exists(plan):
    assert testplan.mistakes(plan, FOLDER) == []


def test_every_bench_case_supports_a_statement_or_stands_for_itself(plan):
    """Cases of the statement benches are named by the plan, so a case cannot be lost from it unseen."""
    named = {reference for statement in plan.statements for reference in statement.tests}
    for name in ("discovery", "legacy", "transport", "enumeration"):
        path = FOLDER / "tb" / "system" / f"bench_{name}.py"
        cases = {f"tb/system/bench_{name}.py::{case}" for case in bench.cases(path)}
        assert cases, path
        unnamed = cases - named - ALONE
        assert not unnamed, f"in no statement: {sorted(unnamed)}"


#: Cases about what this stage answers where a later one is not built.
ALONE = {"tb/system/bench_transport.py::dma_requests_end_with_status_blocked"}


def write(folder, row):
    path = folder / "plan.toml"
    path.write_text(f'schema = 1\n[stages]\nnow = "now"\nlater = "later"\n{row}')
    return path


ROW = '[[statement]]\nid = "X-01"\nsentence = "s"\nclause = "c"\n'


@pytest.mark.parametrize(
    ("row", "mistake"),
    [
        (ROW + 'stage = "now"\n', "X-01: neither a test nor a reason"),
        (ROW + 'stage = "now"\nreason = "r"\n', "X-01: built, but no test says so"),
        (ROW + 'stage = "later"\ntests = ["tb/conftest.py"]\n', "X-01: stands under a later stage without a reason"),
        (ROW + 'stage = "now"\ntests = ["tb/system/none.py::a"]\n', "X-01: there is no file tb/system/none.py"),
        (ROW + 'stage = "now"\ntests = ["tb/conftest.py::nobody"]\n', "X-01: tb/conftest.py has no function nobody"),
    ],
)
def test_a_wrong_row_is_found(tmp_path, row, mistake):
    found = testplan.mistakes(testplan.load(write(tmp_path, row)), FOLDER)
    assert any(line.startswith(mistake) for line in found), found


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW + 'stage = "never"\n', "X-01: stage 'never' is none of now, later"),
        (ROW + 'stage = "now"\ntest = []\n', "X-01: unknown key test"),
        ((ROW + 'stage = "now"\n') * 2, "X-01 stands twice"),
    ],
)
def test_a_malformed_plan_is_refused(tmp_path, row, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        testplan.load(write(tmp_path, row))


def test_table_in_readme_is_up_to_date(plan):
    readme = FOLDER / "README.md"
    match = readme.exists() and re.search(
        r"<!-- begin: vmmr testplan --markdown -->\n(.*?)<!-- end -->", readme.read_text(), re.DOTALL
    )
    if not match:
        pytest.skip("the README has no table of statements")
    assert match[1] == testplan.markdown(plan)

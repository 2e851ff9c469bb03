"""docs/proofs.md shows the proofs that there are."""

import pytest
from formal import page


def test_page_lists_every_proof():
    if not page.PAGE.parent.is_dir():
        pytest.skip("docs/ is in the source tree alone")
    text = page.PAGE.read_text()
    assert text == page.page(page.recorded(text)), "stale; run: PYTHONPATH=tb python -m formal.page --keep"


def test_quick_proofs_are_about_something():
    quick = [entry for entry in page.proofs() if entry.stage != "full"]
    assert [entry.test for entry in quick if not entry.cover] == ["test_outer_streams"]

"""docs/explanation/security.md names tests: they are there, and every row of its tables has one."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there():
    named = set(re.findall(r"`(tests/[\w/.]+)`", PAGE))
    assert len(named) > 20
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def test_every_row_says_by_which_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| protected")]
    assert rows
    for before, row in zip(["", *rows], rows, strict=False):
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        assert "`tests/" in cells[3] or (cells[3].startswith("the same") and "`tests/" in before), row

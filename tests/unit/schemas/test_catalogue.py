"""The table of catalogue fields: adding a row is all that a new field takes."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from retrieval.filters import CatalogueFilter
from retrieval.text.tantivy_index.schema import SCHEMA_VERSION
from schemas.catalogue import FIELDS, FILTERABLE, Filter
from schemas.identity import TenantId


def test_a_field_that_the_table_alone_names_is_found_everywhere() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("made_up_field.py")],
        capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).resolve().parents[3],
        env={"PYTHONPATH": ".", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [place for place, there in found.items() if not there] == []
    assert len(found) == 25


@pytest.mark.parametrize("names", ["headings", "columns"])
def test_no_column_could_be_two_fields(names: str) -> None:
    counts = Counter(name for field in FIELDS for name in getattr(field, names).split())
    assert [name for name, count in counts.items() if count > 1] == []


def test_a_flag_names_both_its_counts_and_what_the_document_calls_it() -> None:
    assert all(field.flag and len(field.facets) == 2 for field in FILTERABLE if field.filter is Filter.FLAG)


def test_a_filter_that_says_nothing_has_no_condition() -> None:
    tenant = TenantId("t")
    assert CatalogueFilter.of(tenant, brand=(), price_min=None, in_stock=False) == CatalogueFilter(tenant)


def test_a_filter_by_what_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        CatalogueFilter.of(TenantId("t"), colour=["red"])


def test_the_table_of_today_needs_no_other_text_index() -> None:
    assert SCHEMA_VERSION == "2"

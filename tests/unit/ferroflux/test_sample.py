"""The sample catalogue: plausible, distinct, and the same everywhere."""

from collections import Counter

import orjson
import pytest

from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.sample import load_sample
from ferroflux.ingest.held.verdict import Rules, Verdict
from ferroflux.ingest.held.versions import Held
from ferroflux.sample.generator import (
    DEFAULT_COUNT,
    ENGLISH_TENANT,
    SPANISH_TENANT,
    capacity,
    generate,
)
from schemas.version import SourceVersion, Stamp


def test_the_same_seed_makes_the_same_catalogue():
    assert list(generate(50, seed=7)) == list(generate(50, seed=7))
    assert list(generate(50, seed=7)) != list(generate(50, seed=8))


def test_the_default_catalogue_is_large_bilingual_and_without_doubles():
    rows = list(generate())
    assert len(rows) == DEFAULT_COUNT >= 2_000
    tenants = Counter(row["tenant"] for row in rows)
    assert set(tenants) == {SPANISH_TENANT, ENGLISH_TENANT}
    assert min(tenants.values()) > 400
    assert len({(row["tenant"], row["sku"]) for row in rows}) == len(rows)
    assert len({(row["tenant"], row["title"]) for row in rows}) == len(rows)


def test_every_row_has_a_price_a_unit_and_a_valid_ean():
    for row in generate(300):
        assert row["price"] > 0
        assert row["unit"]
        assert "|" not in row["title"] + row["unit"] + row["category"]
        digits = [int(digit) for digit in row["ean"]]
        assert len(digits) == 13
        assert sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def test_some_products_are_sold_out_and_some_are_not_counted():
    rows = list(generate())
    assert any(row.get("stock") == 0 for row in rows)
    assert any("stock" not in row for row in rows)


@pytest.mark.parametrize("count", [0, capacity() + 1])
def test_an_impossible_count_is_refused(count: int):
    with pytest.raises(ValueError, match="the sample can make 1 to"):
        list(generate(count))


async def test_whatever_a_user_sends_wins_over_the_sample_by_a_clock_as_by_a_count(tmp_path):
    versions: set[int] = set()

    class Intake:
        async def take(self, changes, **_):
            versions.update(orjson.loads(change.value)["version"]["sequence"] for change in changes)

    directory = DataDirectory(tmp_path)
    assert await load_sample(directory, Intake(), lambda *_: None, count=30) == 30
    assert versions
    now = 1_790_000_000_000_000
    for there in versions:
        for sent in (1, now):
            stamp = Stamp(SourceVersion(0, sent), "m")
            judged = Rules("--version", by_clock=True).judge(stamp, Held(Stamp(SourceVersion(0, there), "z")), now)
            assert judged.verdict is Verdict.APPLIES

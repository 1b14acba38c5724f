"""Files that Debezium itself wrote: every line parses, or is refused with a reason, and never anything else."""

from collections import Counter

import pytest

from schemas.errors import PoisonError
from schemas.events.parser import Changes, EventParser
from schemas.product.merge import merge_all
from tests.support.data import shared_data

PRODUCTS = {"change": 15, "delete": 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("debezium-data.txt", PRODUCTS),
        ("debezium-data-schema-exclude.txt", PRODUCTS),
        ("debezium-data-schema-include.txt", PRODUCTS),
        ("debezium-postgres-data-schema-exclude.txt", PRODUCTS),
        ("debezium-postgres-data-schema-include.txt", PRODUCTS),
        ("debezium-postgres-data-replica-identity.txt", {"change": 15, "missing_key": 1}),
        ("debezium__debezium_data.txt", {"change": 3}),
        ("complex-schema.json", {"unparsable": 113}),
        ("reference-schema.json", {"unparsable": 60}),
    ],
)
def test_each_line_has_its_fate(name, expected):
    parser, fates = EventParser(), Counter()
    for line in shared_data("cdc", name).read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            parsed = parser.parse(None, line)
        except PoisonError as error:
            fates[error.code] += 1
            assert str(error)
            continue
        assert isinstance(parsed, Changes)
        fates["delete" if parsed.is_delete else "change"] += 1
    assert fates == expected


@pytest.mark.parametrize("name", ["debezium-data-schema-include.txt", "debezium-postgres-data-schema-include.txt"])
def test_a_recorded_history_ends_in_the_same_products_in_any_order(name):
    parser = EventParser()
    lines = [line for line in shared_data("cdc", name).read_bytes().split(b"\n") if line.strip()]
    events = [event for line in lines for event in parser.parse(None, line).events]
    skus = {event.key for event in events}
    assert {str(key) for key in skus} == {f"default/{number}" for number in range(101, 112)}
    for key in skus:
        history = [event for event in events if event.key == key]
        forward, backward = merge_all(history), merge_all([*reversed(history), *history])
        assert forward.to_bytes() == backward.to_bytes()
        assert forward.alive == (key.sku != "111")


def test_a_deletion_with_its_record_key_is_one():
    [*_, last] = shared_data("cdc", "debezium-postgres-data-replica-identity.txt").read_bytes().split(b"\n")
    parsed = EventParser().parse(b'{"id":111}', last)
    assert isinstance(parsed, Changes)
    assert parsed.is_delete

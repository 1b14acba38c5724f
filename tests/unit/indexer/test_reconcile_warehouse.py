"""Columns of a warehouse become the very values that Debezium's events carry for them."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest

from indexer.reconcile.warehouse import PostgresRows, column_value
from schemas.mapping.loading import default_mapping


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("12.00"), 12),
        (Decimal("12345678901234567.89"), 12345678901234567.89),
        ("texto", "texto"),
        (True, True),
        (7, 7),
        (None, None),
        (dt.date(2026, 2, 3), "2026-02-03"),
        (dt.datetime.fromisoformat("2026-02-03T04:05:06.000789"), "2026-02-03T04:05:06.000789"),
        (dt.datetime(2026, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=-6))), "2026-02-03T10:05:00Z"),
        (dt.time(4, 5), "04:05:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00", None),
        ([Decimal("1.5"), None], [1.5, None]),
    ],
)
def test_a_column_is_read_as_the_connector_sends_it(value, expected):
    read = column_value(value)
    assert (read, type(read)) == (expected, type(expected))


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="beyond every number"):
        column_value(Decimal("NaN"))


def test_a_name_shows_no_password():
    truth = PostgresRows("postgres://joe:secret@db:5432/erp", default_mapping("acme"))
    assert truth.name == "postgres://db/erp"

"""The mix of changes of a working day: prices and stock, texts, products that come and go.

Every product is changed at most once in a run, so that what a reader sees says which change it has seen.
"""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.version import SourceVersion
from tests.benchmarks.workload.catalogue import Catalogue


class Kind(StrEnum):
    PRICE = "price"
    STOCK = "stock"
    TEXT = "text"
    DELETE = "delete"
    INSERT = "insert"


MIX: Mapping[Kind, float] = {
    Kind.PRICE: 0.35,
    Kind.STOCK: 0.35,
    Kind.TEXT: 0.25,
    Kind.DELETE: 0.025,
    Kind.INSERT: 0.025,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A change to send, and how to tell from the API's answer that it is visible."""

    kind: Kind
    key: SkuKey
    facet: FacetKey
    fields: Mapping[str, Any] | None
    expected: tuple[str, Any] | None
    """Field of the item and its new value; None: the item is gone."""

    def encode(self, committed_us: int) -> bytes:
        """The canonical event, committed at this time, which is its version too."""
        return encode_event(
            ChangeEvent(self.key, self.facet, SourceVersion.of(committed_us), self.fields, changed_at_us=committed_us)
        )

    def encode_read(self, position: int) -> bytes:
        """The row as a connector's snapshot of a PostgreSQL table gives it, read at this position of the log."""
        row = {"tenant": self.key.tenant, "sku": self.key.sku, **(self.fields or {})}
        source = {"connector": "postgresql", "name": "erp", "db": "erp", "schema": "public", "table": "products"}
        return orjson.dumps(
            {
                "before": None,
                "after": row,
                "source": {**source, "snapshot": "true", "lsn": position},
                "op": "r",
                "ts_ms": 1,
            }
        )

    def visible_in(self, status: int, body: bytes) -> bool:
        """Whether the answer to `GET /v1/items/{sku}` shows the change."""
        if self.expected is None:
            return status == 404
        if status != 200:
            return False
        name, value = self.expected
        return bool(orjson.loads(body)[name] == value)


def changes(catalogue: Catalogue, seed: int, mix: Mapping[Kind, float] = MIX) -> Iterator[Change]:
    """Changes of distinct products, each row's at most once, in an order of the seed; ends when all were changed."""
    draw = random.Random(seed)
    rows = list(catalogue.rows)
    draw.shuffle(rows)
    stamp = time.time_ns() // 1_000_000_000
    for number, row in enumerate(rows, start=1):
        (kind,) = draw.choices(list(mix), list(mix.values()))
        yield _change(kind, row, number, stamp)


def _change(kind: Kind, row: Mapping[str, Any], number: int, stamp: int) -> Change:
    key = SkuKey.of(row["tenant"], str(row["sku"]))
    match kind:
        case Kind.PRICE:
            price = round(0.01 * number + 1, 2)
            return Change(kind, key, FacetKey("price"), {"price": price, "currency": "MXN"}, ("price", price))
        case Kind.STOCK:
            stock = float(10_000 + number)
            return Change(kind, key, FacetKey("stock"), {"stock": stock}, ("stock", stock))
        case Kind.DELETE:
            return Change(kind, key, ITEM_FACET, None, None)
        case Kind.INSERT:
            key = SkuKey.of(row["tenant"], f"NEW-{stamp}-{number}")
    title = f"{row['title']} modelo {stamp % 100_000}-{number}"
    fields = {
        name: row[name] for name in ("brand", "category", "unit", "description") if isinstance(row.get(name), str)
    }
    return Change(kind, key, ITEM_FACET, {"title": title, **fields}, ("title", title))

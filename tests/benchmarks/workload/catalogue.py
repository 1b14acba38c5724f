"""The catalogue that every benchmark works on: the real shops where they are, else the sample of the project.

Prices and stocks are drawn from a seed where the real rows have none, so that every product has the facets that a
warehouse changes all day.
"""

import gzip
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ferroflux.sample.generator import generate
from tests.support.data import SHARED

_REAL = SHARED / "ferreteria" / "products.jsonl.gz"
_QUICK_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Rows as `ferroflux ingest` reads them, and what to call them in a report."""

    name: str
    rows: tuple[dict[str, Any], ...]
    digest: str

    @classmethod
    def load(cls, *, quick: bool) -> "Catalogue":
        """The whole catalogue, or its first rows for a quick look."""
        name, rows = _rows()
        if quick:
            # Every so-many-th row, so that all shops are there.
            rows = rows[:: max(1, len(rows) // _QUICK_ROWS)][:_QUICK_ROWS]
        completed = tuple(_completed(rows))
        digest = hashlib.blake2b(b"\n".join(map(orjson.dumps, completed)), digest_size=6).hexdigest()
        return cls(f"{name}, {len(completed):,} SKUs", completed, digest)

    def write(self, path: Path) -> None:
        """Write the rows as a file for `ferroflux ingest`."""
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.writelines(orjson.dumps(row) + b"\n" for row in self.rows)


def _rows() -> tuple[str, list[dict[str, Any]]]:
    if _REAL.exists():
        with gzip.open(_REAL) as file:
            return "real shops (ferreteria)", [orjson.loads(line) for line in file]
    return "sample catalogue", [{"tenant": "sample", **row} for row in generate()]


def _completed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    draw = random.Random(20_809)
    return [
        {
            **row,
            "price": row.get("price") or round(10 ** draw.uniform(0.3, 4), 2),
            "stock": row.get("stock") or draw.randrange(1, 200),
        }
        for row in rows
    ]

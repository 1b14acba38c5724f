"""The demo warehouse's database, and the oracle: what SQL alone says that every shop must show.

The oracle knows nothing of events, facets or versions. It joins the tables as they are now; whatever was lost, doubled,
resurrected or applied out of order on the way shows as a difference to it.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.support.data import ROOT
from tests.support.postgres.installation import binaries
from tests.support.postgres.server import PostgresServer

DEMO = ROOT / "deploy" / "debezium"

CONNECTOR_PASSWORD = "made-for-tests"

_ORACLE = """
select p.*,
       (select jsonb_object_agg(price_list, price) from prices r where r.shop = p.shop and r.sku = p.sku) as lists,
       (select price from prices r where r.shop = p.shop and r.sku = p.sku
         order by price_list <> 'retail', price_list collate "C" limit 1) as in_force,
       (select currency from prices r where r.shop = p.shop and r.sku = p.sku
         order by price_list <> 'retail', price_list collate "C" limit 1) as list_currency,
       (select jsonb_object_agg(branch, on_hand) from stock s where s.shop = p.shop and s.sku = p.sku) as places,
       (select sum(on_hand) from stock s where s.shop = p.shop and s.sku = p.sku) as on_hand
  from products p
 where not p.discontinued
"""

Items = dict[tuple[str, str], dict[str, Any]]


class Warehouse:
    """One database with the demo's tables and rows, and a connection to it."""

    def __init__(self, name: str, connection: asyncpg.Connection) -> None:
        self.name = name
        self.connection = connection

    async def execute(self, sql: str, *values: Any) -> None:
        """Run SQL: one statement with values, or several without."""
        await self.connection.execute(sql, *values)

    async def signal(self, kind: str, **data: Any) -> None:
        """Write a row into the connector's signal table."""
        await self.execute(
            "insert into debezium_signal (id, type, data) values ($1, $2, $3)",
            *(uuid.uuid4().hex, kind, json.dumps(data)),
        )

    async def items(self, *attributes: str) -> Items:
        """The products that searches must show, by (shop, SKU), with the columns that are mapped to attributes."""
        return {(row["shop"], row["sku"]): _item(dict(row), attributes) for row in await self.connection.fetch(_ORACLE)}


@asynccontextmanager
async def demo_warehouse(postgres: PostgresServer) -> AsyncIterator[Warehouse]:
    """A database of its own, filled by the SQL file that `deploy/` ships."""
    name = f"warehouse_{uuid.uuid4().hex[:8]}"
    root = await asyncpg.connect(postgres.dsn())
    await root.execute(f"create database {name}")
    await root.close()
    connection = await asyncpg.connect(postgres.dsn(name))
    try:
        await connection.execute((DEMO / "demo" / "warehouse.sql").read_text())
        await _make_connector_user(postgres.dsn(name))
        yield Warehouse(name, connection)
    finally:
        await connection.close()


async def _make_connector_user(dsn: str) -> None:
    """By psql, as the container's entry point runs it: the file asks psql for the password."""
    made = await asyncio.create_subprocess_exec(
        *(str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null"),
        *("--file", str(DEMO / "demo" / "connector.sql"), dsn),
        env={**os.environ, "CONNECTOR_PASSWORD": CONNECTOR_PASSWORD},
    )
    assert await made.wait() == 0, "deploy/debezium/demo/connector.sql failed"


def _item(row: dict[str, Any], attributes: tuple[str, ...]) -> dict[str, Any]:
    def numbers(raw: str | None) -> dict[str, float]:
        return {name: float(value) for name, value in json.loads(raw or "{}").items()}

    return {
        "title": row["title"],
        "description": row["description"] or "",
        "brand": row["brand"] or "",
        "category": row["category"] or "",
        "unit": row["unit"] or "",
        "ean": [row["ean"]] if row["ean"] else [],
        "attributes": {name: row[name] for name in attributes if row[name]},
        "price": None if row["in_force"] is None else float(row["in_force"]),
        "currency": (row["list_currency"] or "").strip(),
        "prices": numbers(row["lists"]),
        "stock": None if row["on_hand"] is None else float(row["on_hand"]),
        "stocks": numbers(row["places"]),
    }

"""End to end with real Debezium on a real PostgreSQL: SQL in, search results over HTTP out.

The schema, the connector's configuration and the mapping are the files that `deploy/` ships.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.data import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DEMO = ROOT / "deploy" / "debezium"


@pytest.fixture
async def warehouse(postgres):
    """A connection to a database of its own with the demo warehouse's tables and rows."""
    root = await asyncpg.connect(postgres.dsn())
    await root.execute("create database warehouse")
    await root.close()
    connection = await asyncpg.connect(postgres.dsn("warehouse"))
    try:
        await connection.execute((DEMO / "demo" / "warehouse.sql").read_text())
        yield connection
    finally:
        await connection.close()


class Shop:
    """A shop's view of the API."""

    def __init__(self, url: Callable[[str, str], str], tenant: str) -> None:
        self._url = url
        self._tenant = tenant

    def skus(self, text: str) -> list[str]:
        reply = httpx.get(self._url("api", "/v1/search"), params={"tenant": self._tenant, "q": text, "limit": 10})
        assert reply.status_code == 200, reply.text
        return [hit["item"]["sku"] for hit in reply.json()["hits"]]

    def item(self, sku: str) -> dict[str, Any] | None:
        reply = httpx.get(self._url("api", f"/v1/items/{sku}"), params={"tenant": self._tenant})
        return None if reply.status_code == 404 else reply.json()

    def shows(self, sku: str, **fields: Any) -> bool:
        item = self.item(sku)
        return item is not None and fields.items() <= item.items()


async def seen_after(condition: Callable[[], object], what: str) -> None:
    began = time.monotonic()
    await eventually(condition, timeout=20, pause=0.01)
    print(f"{what}: visible {(time.monotonic() - began) * 1000:.0f} ms after the SQL statement returned")


async def test_sql_changes_become_search_results(kafka, postgres, warehouse, debezium, stack_of):
    stack = stack_of(kafka, mapping=DEMO / "demo" / "mapping.yaml")
    stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    stack.start("api")
    connector = json.loads((DEMO / "warehouse-postgres.json").read_text())["config"]
    connector["transforms.route.replacement"] = stack.topics.changes[0]
    await asyncio.to_thread(debezium, kafka=kafka, postgres=postgres, database="warehouse", connector=connector)
    stack.wait_ready("api")
    centro, norte = Shop(stack.url, "centro"), Shop(stack.url, "norte")

    # The snapshot: three tables merged into one product, each shop its own.
    await eventually(lambda: centro.shows("BRO-001", price=54.5, stock=52.0), timeout=30, pause=0.05)
    assert centro.item("BRO-001")["stocks"] == {"main": 40.0, "annex": 12.0}
    assert centro.skus("broca para concreto")[0] == "BRO-001"
    assert norte.item("BRO-001")["title"].startswith("Broca HSS")

    await warehouse.execute(
        "update products set title = 'Rotomartillo demoledor 1500 W' where shop='centro' and sku='TOR-001'"
    )
    await seen_after(lambda: centro.skus("rotomartillo demoledor")[:1] == ["TOR-001"], "new title")

    await warehouse.execute(
        "update prices set price = 61.25 where shop='centro' and sku='BRO-001' and price_list='retail'"
    )
    await seen_after(lambda: centro.shows("BRO-001", price=61.25), "new price")

    await warehouse.execute("delete from stock where shop='centro' and sku='BRO-001' and branch='annex'")
    await seen_after(lambda: centro.shows("BRO-001", stock=40.0), "stock of a closed branch")

    await warehouse.execute(
        "insert into products (shop, sku, title) values ('norte', 'NEW-1', 'Compresor de aire silencioso 24 L')"
    )
    await seen_after(lambda: norte.skus("compresor silencioso")[:1] == ["NEW-1"], "new product")

    await warehouse.execute("delete from products where shop='centro' and sku='PIN-001'")
    await seen_after(lambda: centro.item("PIN-001") is None, "deleted product")
    assert "PIN-001" not in centro.skus("pintura vinílica lavable")

    await warehouse.execute("update products set discontinued = true where shop='norte' and sku='CAN-001'")
    await seen_after(lambda: norte.item("CAN-001") is None, "discontinued product")
    await warehouse.execute("update products set discontinued = false where shop='norte' and sku='CAN-001'")
    await seen_after(lambda: norte.shows("CAN-001", price=139.0, stock=25.0), "product back, with its price and stock")

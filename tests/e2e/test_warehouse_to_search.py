"""End to end with real Debezium on a real PostgreSQL: SQL in, search results over HTTP out.

The schema, the connector's configuration and the mapping are the files that `deploy/` ships.
"""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.support.debezium.configuration import deployed_connector
from tests.support.waiting import eventually
from tests.support.warehouse.database import DEMO
from tests.support.warehouse.shop import Shop

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


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
    connector = deployed_connector("warehouse-postgres", topic=stack.topics.changes[0], database=warehouse.name)
    await asyncio.to_thread(debezium, kafka=kafka, postgres=postgres, database=warehouse.name, connector=connector)
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

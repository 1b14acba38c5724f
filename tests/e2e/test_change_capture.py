"""A working life of a warehouse behind real Debezium: whatever happens to its tables, every shop shows what SQL says.

One system lives through all of it, since what one step leaves behind (offsets, versions, tombstones) is what the next
may stumble over. After each step the items of both shops are compared with an oracle that SQL alone computes.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.debezium.configuration import deployed_connector
from tests.support.kafka.clients import read_all
from tests.support.stack.stack import Stack
from tests.support.warehouse.database import DEMO, Items, Warehouse
from tests.support.warehouse.shop import Shop

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

SHOPS = ("centro", "norte")
LARGE = "Acero inoxidable, rosca fina, uso marino." * 200
"""Large enough to be stored out of line: PostgreSQL sends it only when it changes (or where the identity is full)."""


class Comparison:
    """Compares the API with the oracle until they agree; remembers every product that ever was."""

    def __init__(self, stack: Stack, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._shops = {name: Shop(stack.url, name) for name in SHOPS}
        self._ever: set[tuple[str, str]] = set()
        self._stack = stack

    async def agrees(self, step: str, *attributes: str, timeout: float = 60) -> None:
        """Wait until every product that ever was is as SQL says: its fields, or its absence."""
        expected = await self._warehouse.items(*attributes)
        self._ever |= expected.keys()
        began = time.monotonic()
        differences: list[str] = ["not compared yet"]
        while differences and time.monotonic() - began < timeout:
            self._stack.assert_alive()
            differences = await asyncio.to_thread(lambda: list(self._differences(expected)))
            await asyncio.sleep(0.05)
        assert not differences, f"{step}: {differences[:5]}\n{self._stack.tails()}"
        print(f"{step}: {len(expected)} products of {len(self._ever)} agree after {time.monotonic() - began:.1f} s")

    def _differences(self, expected: Items) -> Iterator[str]:
        for shop, sku in sorted(self._ever):
            want, have = expected.get((shop, sku)), self._shops[shop].item(sku)
            if want is None or have is None:
                if want != have:
                    yield f"{shop}/{sku}: {'missing' if have is None else 'should be gone'}"
                continue
            yield from (
                f"{shop}/{sku}.{name}: {have[name]!r}, not {value!r}"
                for name, value in want.items()
                if have[name] != value
            )
        for name, shop in self._shops.items():
            listed, own = set(shop.skus("", limit=100)), {sku for owner, sku in expected if owner == name}
            if listed != own:
                yield f"{name} lists {sorted(listed ^ own)} wrongly"


async def test_every_shop_shows_what_sql_says_whatever_happens(
    kafka, postgres, warehouse, debezium, stack_of, tmp_path
):
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text((DEMO / "demo" / "mapping.yaml").read_text())
    stack = stack_of(kafka, mapping=mapping)
    indexer = stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    stack.start("api")
    connector = deployed_connector("warehouse-postgres", topic=stack.topics.changes[0], database=warehouse.name)
    connect = await asyncio.to_thread(
        debezium, kafka=kafka, postgres=postgres, database=warehouse.name, connector=connector
    )
    stack.wait_ready("api")
    shops = Comparison(stack, warehouse)
    await shops.agrees("snapshot")

    await working_day(warehouse, random.Random(7), statements=120)
    await shops.agrees("inserts, updates, deletes")

    await one_transaction(warehouse)
    await shops.agrees("a transaction over three tables, and one that was rolled back")

    await warehouse.execute("alter table products add column material text")
    await warehouse.execute("update products set material = 'acero', brand = 'Corvus' where sku like '%001'")
    await warehouse.execute(
        "insert into products (shop, sku, title, material) values ('norte', 'MAT-1', 'Cincel', 'acero')"
    )
    await shops.agrees("a column added that the mapping does not know")

    await primary_keys_changed(warehouse)
    await shops.agrees("primary keys changed")

    connect.kill()
    await working_day(warehouse, random.Random(8), statements=60)
    connect.start()
    await shops.agrees("the connector killed, and changes made meanwhile")

    know_the_column(mapping)
    indexer.stop()
    indexer.start()
    stack.wait_ready("indexer")
    await warehouse.execute("update products set material = 'latón' where shop = 'centro' and sku = 'MIX-A'")
    await warehouse.signal(
        "execute-snapshot", type="incremental", **{"data-collections": ["public.products", "public.prices"]}
    )
    while_reading = asyncio.create_task(working_day(warehouse, random.Random(9), statements=60))
    await while_reading
    await shops.agrees("an incremental snapshot by signal, with changes beside it", "material")

    connect.stop()
    await lose_the_slot(warehouse, connector["slot.name"])
    await warehouse.execute("update prices set price = price + 1 where shop = 'norte'")
    await warehouse.execute("update products set description = $1 where sku = 'BRO-001'", LARGE)
    await warehouse.execute("insert into products (shop, sku, title) values ('centro', 'GAP-1', 'Flexómetro 5 m')")
    connect.forget()
    connect.start()
    await working_day(warehouse, random.Random(10), statements=30)
    await shops.agrees("the slot lost, and the snapshot taken again", "material")

    letters = await read_all(kafka.bootstrap, stack.topics.dead_letters)
    assert not letters, [dict(letter.headers) for letter in letters[:3]]


async def working_day(warehouse: Warehouse, draw: random.Random, *, statements: int) -> None:
    """Random single-statement transactions over both shops: the same SKUs are written, deleted and written again."""
    for number in range(statements):
        shop, sku = draw.choice(SHOPS), draw.choice([f"DAY-{place}" for place in range(9)] + ["BRO-001", "CAN-001"])
        branch, price_list = draw.choice(("main", "annex", "norte-2")), draw.choice(("retail", "wholesale"))
        statement, values = draw.choice(_STATEMENTS)
        known: dict[str, Any] = {
            "title": f"Martillo de bola {draw.randrange(8, 40)} oz {number}",
            "description": draw.choice((None, "Mango de nogal", LARGE)),
            "branch": branch,
            "list": price_list,
            "price": draw.randrange(100, 90_000),
            "stock": draw.randrange(0, 5_000),
            "flag": draw.random() < 0.3,
        }
        await warehouse.execute(statement, shop, sku, *(known[name] for name in values))


_STATEMENTS = (
    (
        (
            "insert into products (shop, sku, title, description) values ($1, $2, $3, $4) "
            "on conflict (shop, sku) do update set title = excluded.title, description = excluded.description"
        ),
        ("title", "description"),
    ),
    ("update products set title = $3 where shop = $1 and sku = $2", ("title",)),
    ("update products set discontinued = $3 where shop = $1 and sku = $2", ("flag",)),
    ("delete from products where shop = $1 and sku = $2", ()),
    (
        (
            "insert into prices (shop, sku, price_list, price) values ($1, $2, $3, $4::int / 100.0) "
            "on conflict (shop, sku, price_list) do update set price = excluded.price"
        ),
        ("list", "price"),
    ),
    ("delete from prices where shop = $1 and sku = $2 and price_list = $3", ("list",)),
    (
        (
            "insert into stock (shop, sku, branch, on_hand) values ($1, $2, $3, $4::int / 10.0) "
            "on conflict (shop, sku, branch) do update set on_hand = excluded.on_hand"
        ),
        ("branch", "stock"),
    ),
    ("update stock set on_hand = on_hand + $3::int where shop = $1 and sku = $2", ("stock",)),
    ("delete from stock where shop = $1 and sku = $2", ()),
)


async def one_transaction(warehouse: Warehouse) -> None:
    """One commit over all tables and both shops, with a row written several times; then the same, rolled back."""
    async with warehouse.connection.transaction():
        await warehouse.execute(
            "insert into products (shop, sku, title) values ('centro', 'MIX-A', 'Nivel'), ('norte', 'MIX-A', 'Nivel')"
        )
        await warehouse.execute("insert into prices (shop, sku, price) values ('centro', 'MIX-A', 10)")
        await warehouse.execute("insert into stock (shop, sku, branch, on_hand) values ('centro', 'MIX-A', 'main', 3)")
        for price in (11, 12.5, 13):
            await warehouse.execute("update prices set price = $1::float8 where sku = 'MIX-A'", price)
        await warehouse.execute(
            "update products set title = 'Nivel láser verde' where sku = 'MIX-A' and shop = 'centro'"
        )
        await warehouse.execute("delete from products where sku = 'TUB-001'")
        await warehouse.execute("insert into products (shop, sku, title) values ('centro', 'MIX-B', 'gone at once')")
        await warehouse.execute("delete from products where sku = 'MIX-B'")
    rolled_back = warehouse.connection.transaction()
    await rolled_back.start()
    await warehouse.execute("update products set title = 'never committed'")
    await warehouse.execute("delete from stock")
    await rolled_back.rollback()


async def primary_keys_changed(warehouse: Warehouse) -> None:
    """A SKU renamed in all its tables, one in the products alone, two that swap, a branch renamed, one given to the other shop."""
    async with warehouse.connection.transaction():
        for table in ("products", "prices", "stock"):
            await warehouse.execute(f"update {table} set sku = 'TOR-002' where shop = 'centro' and sku = 'TOR-001'")
    await warehouse.execute("update products set sku = 'AMO-002' where shop = 'norte' and sku = 'AMO-001'")
    async with warehouse.connection.transaction():
        for old, new in (("PIN-001", "swap"), ("CAB-001", "PIN-001"), ("swap", "CAB-001")):
            await warehouse.execute("update products set sku = $2 where shop = 'centro' and sku = $1", old, new)
    await warehouse.execute(
        "update stock set branch = 'bodega' where shop = 'centro' and branch = 'annex' and sku = 'BRO-001'"
    )
    await warehouse.execute("update products set shop = 'norte' where shop = 'centro' and sku = 'TOR-002'")


def know_the_column(mapping: Path) -> None:
    """What an operator does who wants the new column: one line of the mapping."""
    text = mapping.read_text()
    line = "      ean: ean\n"
    assert line in text
    mapping.write_text(text.replace(line, f"{line}      attributes.material: material\n"))


async def lose_the_slot(warehouse: Warehouse, slot: str) -> None:
    """Drop the replication slot, as a failover does: what is written until there is a new one, no log will tell."""

    async def dropped() -> bool:
        try:
            await warehouse.execute("select pg_drop_replication_slot($1)", slot)
        except asyncpg.ObjectInUseError:
            return False
        return True

    for _ in range(100):
        if await dropped():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"slot {slot} stayed in use")

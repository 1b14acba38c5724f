"""A real PostgreSQL as the truth and a real Kafka as the way to mend: drift is found in every store and repaired."""

import asyncio
import random
from functools import partial

import asyncpg
import pytest

from ferroflux.operations.reconcile import production_stores
from indexer.reconcile.compare import Kind
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from indexer.reconcile.warehouse import PostgresRows, WarehouseAwayError
from indexer.settings import IndexerSettings
from query_api.settings import TextSettings
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from runtime.clock import SystemClock
from schemas.identity import SkuKey
from schemas.mapping.loading import load_mapping
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion
from tests.support.data import ROOT
from tests.support.kafka.clients import append
from tests.support.stack.histories import event_record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MAPPING = ROOT / "deploy" / "debezium" / "demo" / "mapping.yaml"

SCHEMA = """
CREATE TABLE products (shop text, sku text, title text, description text, brand text, category text, unit text,
                       ean text, discontinued boolean DEFAULT false, PRIMARY KEY (shop, sku));
CREATE TABLE prices (shop text, sku text, price_list text, price numeric(12,2), currency text,
                     PRIMARY KEY (shop, sku, price_list));
CREATE TABLE stock (shop text, sku text, branch text, on_hand numeric(12,3), PRIMARY KEY (shop, sku, branch));
CREATE TABLE unrelated (id int);
"""


@pytest.fixture
async def warehouse(postgres):
    database = f"erp_{random.randrange(10**9)}"
    admin = await asyncpg.connect(postgres.dsn())
    await admin.execute(f"CREATE DATABASE {database}")
    await admin.close()
    connection = await asyncpg.connect(postgres.dsn(database))
    await connection.execute(SCHEMA)
    yield postgres.dsn(database), connection
    await connection.close()


async def fill(connection, products: int) -> None:
    for number in range(products):
        sku = f"S{number:03d}"
        await connection.execute("INSERT INTO products VALUES ('acme', $1, $2)", sku, f"producto {number}")
        await connection.execute("INSERT INTO prices VALUES ('acme', $1, 'retail', $2, 'MXN')", sku, number + 0.5)
        await connection.execute("INSERT INTO stock VALUES ('acme', $1, 'centro', $2)", sku, number)


def events(number: int, version: int = 5) -> list[ChangeEvent]:
    make = partial(ChangeEvent, SkuKey.of("acme", f"S{number:03d}"), version=SourceVersion(0, version))
    return [
        make(facet=ITEM_FACET, fields={"title": f"producto {number}"}),
        make(facet=FacetKey("price:retail"), fields={"price": number + 0.5, "currency": "MXN"}),
        make(facet=FacetKey("stock:centro"), fields={"stock": float(number)}),
    ]


def truth_of(dsn: str) -> PostgresRows:
    return PostgresRows(dsn, load_mapping(MAPPING), server="warehouse")


async def test_drift_in_the_stores_is_found_and_mended_through_the_change_topic(kafka, stack_of, warehouse):
    dsn, connection = warehouse
    stack = stack_of(kafka, mapping=MAPPING)
    await fill(connection, 20)
    good = [event for number in range(3, 20) for event in events(number)]
    drift = [
        ChangeEvent(SkuKey.of("acme", "S002"), ITEM_FACET, SourceVersion(0, 5), {"title": "un título viejo"}),
        *events(2)[1:],
        *events(1)[:2],  # its stock is missing; S000 is missing altogether
        ChangeEvent(SkuKey.of("acme", "GONE"), ITEM_FACET, SourceVersion(0, 5), {"title": "ya no existe"}),
    ]
    stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    await append(kafka.bootstrap, stack.topics.changes[0], [event_record(event) for event in [*good, *drift]])
    await stack.settled()
    settings = IndexerSettings(
        kafka=KafkaSettings(bootstrap=kafka.bootstrap, topics=stack.topics),
        vectors=VectorSettings(
            kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=stack.vector_grpc_port
        ),
        mapping=MAPPING,
    )
    options = ReconcileOptions(settle_s=0.5, delete_extra=True)
    async with production_stores(settings, TextSettings(directory=stack.text_directory), with_replica=True) as stores:
        run = Reconciliation(truth_of(dsn), stores.vectors, stores.reader, options=options, clock=SystemClock())
        report = await run.compare()
        assert dict(report.counts) == {Kind.MISSING: 4, Kind.DIFFERENT: 1, Kind.EXTRA: 1}, report.samples
        assert (report.rows, report.products) == (60, 20)
        assert (await run.repair(stores.changes, stores.republisher)).events_sent == 6
        await stack.settled()
        again = Reconciliation(truth_of(dsn), stores.vectors, stores.reader, options=options, clock=SystemClock())
        assert (await again.compare()).agree, again.report.samples


async def test_a_running_transaction_is_waited_for_so_that_the_snapshot_has_a_place_among_the_changes(
    warehouse, postgres, monkeypatch
):
    dsn, connection = warehouse
    await fill(connection, 2)
    writer = await asyncpg.connect(dsn)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE products SET title = 'cambiado' WHERE sku = 'S001'")
    truth = truth_of(dsn)

    async def titles() -> set[str]:
        rows = [row async for page in truth.pages() for row in page]
        return {row.fields["title"] for row in rows if row.facet == ITEM_FACET}

    reading = asyncio.create_task(titles())
    await asyncio.sleep(0.6)
    assert not reading.done(), "the snapshot waits for the transaction"
    await transaction.commit()
    assert await reading == {"producto 0", "cambiado"}
    assert truth.facets == {"item", "price", "stock"}

    blocked = writer.transaction()
    await blocked.start()
    await writer.execute("DELETE FROM stock")
    monkeypatch.setattr("indexer.reconcile.warehouse._RUNNING_S", 0.3)
    with pytest.raises(WarehouseAwayError, match="has been running"):
        await titles()
    await blocked.rollback()
    await writer.close()


async def test_a_database_without_a_mapped_table_is_refused(warehouse):
    dsn, _ = warehouse
    truth = PostgresRows(dsn, load_mapping(MAPPING), server="another")
    with pytest.raises(Exception, match="matches the mapping"):
        [page async for page in truth.pages()]

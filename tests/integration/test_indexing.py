"""Changes through real Kafka, two indexers, the vector store and the replica: everything arrives, once, everywhere."""

import asyncio
import gzip
import time
from collections import Counter

import orjson
import pytest

from schemas.identity import SkuKey, tenant_id
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.version import SourceVersion
from tests.support.data import shared_data
from tests.support.kafka.clients import append, create_topic, read_all
from tests.support.stack.histories import event_record, history
from tests.support.stack.oracle import assert_converged, oracle_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SHOP_FIELDS = ("title", "brand", "category", "unit", "price", "stock", "ean", "description", "image")


def shop_records():
    """Every product of the nine shops as one item change."""
    with gzip.open(shared_data("ferreteria", "products.jsonl.gz")) as rows:
        for number, line in enumerate(rows, 1):
            row = orjson.loads(line)
            fields = {name: row[name] for name in SHOP_FIELDS if row.get(name) not in (None, "")}
            key = SkuKey.of(row["tenant"], row["sku"])
            yield event_record(ChangeEvent(key, ITEM_FACET, SourceVersion(0, number), fields))


@pytest.mark.slow
async def test_nine_real_shops_arrive_whole_with_two_indexers(kafka, stack_of):
    stack = stack_of(kafka)
    records = list(shop_records())
    expected = Counter(SkuKey.parse(record.key.decode()).tenant for record in records)
    assert len(records) == 20_809
    assert len(expected) == 9
    stack.start("indexer", "indexer-1")
    stack.start("indexer", "indexer-2")
    stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")

    began = time.monotonic()
    await append(kafka.bootstrap, stack.topics.changes[0], records)
    await stack.settled(timeout=300)
    print(f"\n{len(records)} products of {len(expected)} shops indexed in {time.monotonic() - began:.1f} s")

    reader = stack.text_index()
    async with stack.vector_index() as index:
        for tenant, products in expected.items():
            counts = await index.counts(tenant_id(tenant))
            text = reader.counts(tenant_id(tenant))
            assert (counts.alive, counts.with_text_vector) == (products, products), tenant
            assert (text.alive, text.with_text_vector) == (products, products), tenant
    assert await read_all(kafka.bootstrap, stack.topics.dead_letters) == []


async def test_indexers_that_join_leave_and_restart_lose_and_double_nothing(kafka, stack_of):
    stack = stack_of(kafka)
    records = history(11, skus=400, changes=9000)
    await create_topic(kafka.bootstrap, stack.topics.changes[0], partitions=6)
    stack.start("replica")
    first = stack.start("indexer", "indexer-1")
    stack.wait_ready("indexer-1")
    third = len(records) // 3
    await append(kafka.bootstrap, stack.topics.changes[0], records[:third])

    stack.start("indexer", "indexer-2")
    await append(kafka.bootstrap, stack.topics.changes[0], records[third : 2 * third])
    stack.wait_ready("indexer-2")
    assert first.stop() == 0, first.tail()
    await append(kafka.bootstrap, stack.topics.changes[0], records[2 * third :])
    await asyncio.sleep(0.5)
    first.start()

    await stack.settled()
    await assert_converged(stack, oracle_of(records))

"""Two version sources, a handover followed by a replay and a rebuild, and a clock that is ahead, on real Kafka."""

import asyncio
import json
import time

import pytest

from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import view_of
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.sources import FIRST_OPERATOR_EPOCH, HOLDS_AFTER_MS
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion
from tests.support.kafka.clients import Record, append
from tests.support.stack.operator import Operator
from tests.support.stack.oracle import newest_documents

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

A, B = (SkuKey.of("acme", sku) for sku in ("A", "B"))
PRICE = FacetKey("price")
YEAR_US = 365 * 86_400 * 1_000_000


def record(key: SkuKey, sequence: int, price: float, source: str | None = None) -> Record:
    event = ChangeEvent(key, PRICE, SourceVersion(0, sequence), {"price": price})
    return Record(key.kafka_key, encode_event(event, source))


async def test_a_handover_holds_for_live_changes_replays_and_rebuilds_alike(kafka, stack_of, tmp_path):
    stack = stack_of(kafka)
    operator, on = Operator(tmp_path, stack.environment), f"--kafka {kafka.bootstrap}"
    stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    topic = stack.topics.changes[0]

    async def sent(*records: Record) -> dict[str, float | None]:
        await append(kafka.bootstrap, topic, list(records))
        await stack.settled()
        return {key.sku: document.price for key, document in (await newest_documents(stack)).items()}

    async def handed_to(source: str) -> None:
        await operator.types(f"facet handover --tenant acme --facet price --to {source} --yes {on}")
        await asyncio.sleep(HOLDS_AFTER_MS / 1_000 + 1)

    items = [ChangeEvent(key, ITEM_FACET, SourceVersion(0, 1), {"title": f"Perno {key.sku}"}) for key in (A, B)]
    await sent(*(Record(one.key.kafka_key, encode_event(one)) for one in items))
    # A file that somebody stamped by the clock, over a database's positions: what came first stands while nothing is declared.
    now_us = time.time_ns() // 1_000
    prices = await sent(record(A, 98_765_432_109, 10.0, "erp"), record(B, now_us, 20.0, "file"))
    assert prices == {"A": 10.0, "B": 20.0}
    assert await sent(record(B, 98_765_432_200, 21.0, "erp")) == {"A": 10.0, "B": 20.0}  # frozen

    await handed_to("erp")
    assert await sent(record(B, 98_765_432_300, 22.0, "erp")) == {"A": 10.0, "B": 22.0}
    await handed_to("pim")
    # The new source counts from 1; what the former writes yet is older than all of that, and a stranger's is set apart.
    late = record(A, 98_765_439_999, 99.0, "erp")
    prices = await sent(record(A, 1, 12.0, "pim"), late, record(A, now_us, 77.0, "stranger"))
    assert prices == {"A": 12.0, "B": 22.0}
    ahead = ChangeEvent(A, ITEM_FACET, SourceVersion(0, now_us + YEAR_US), {"title": "Frozen"})
    await sent(Record(A.kafka_key, encode_event(ahead)))
    letters = json.loads(await operator.types(f"dlq list --json {on}"))["letters"]
    assert sorted(letter["reason"] for letter in letters) == ["undeclared_source", "version_ahead"]

    [listed] = json.loads(await operator.types(f"facet list --tenant acme --json {on}"))["facets"]
    assert [entry["source"] for entry in listed["entries"]] == ["erp", "pim"]
    await operator.types(f"replay --yes {on}")
    assert await sent() == {"A": 12.0, "B": 22.0}
    await operator.types(f"generation build again --from changes {on}")
    store = KafkaGenerationStore(KafkaSettings(bootstrap=kafka.bootstrap, topics=stack.topics))
    built = view_of(await store.records()).manifests["again"]
    states = {}
    for collection in ("catalogue", built.collection):
        async with stack.vector_index(collection) as index:
            states[collection] = {key.sku: point.state for key, point in (await index.read([A, B])).items()}
    first, second = states.values()
    assert first == second
    assert b"%d" % (FIRST_OPERATOR_EPOCH + 1) in first["A"]

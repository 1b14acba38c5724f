"""A vector store that was replaced under the offsets, and change topics that were made again, on real Kafka."""

import asyncio
import json
import shutil
from collections.abc import Mapping

import pytest

from indexer.identity import Mark
from indexer.kafka.groups import GroupAdmin
from indexer.records import TopicPartition
from schemas.product.changes import ChangeEvent, facet_key
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion
from tests.support.kafka.clients import Record, admin, append, create_topic
from tests.support.stack.histories import event_record, history
from tests.support.stack.operator import Operator
from tests.support.stack.oracle import assert_converged, newest_documents, oracle_of
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def prices(records: list[Record]) -> list[Record]:
    """A new price for every product of a history: each would once have become a deletion under a store that is new."""
    return [
        event_record(ChangeEvent(key, facet_key("price"), SourceVersion(0, 10**6), {"price": 77.0}))
        for key in sorted(oracle_of(records))
    ]


async def offsets(stack) -> Mapping[TopicPartition, tuple[int, str]]:
    async with GroupAdmin(KafkaSettings(bootstrap=stack.kafka.bootstrap)) as group:
        return await group.committed_with_metadata(stack.group)


async def test_a_store_that_was_replaced_under_the_offsets_stops_the_indexer_until_it_is_restored(
    kafka, stack_of, tmp_path
):
    stack = stack_of(kafka)
    operator = Operator(tmp_path, stack.environment)
    records = history(41, skus=60, changes=500)
    await create_topic(kafka.bootstrap, stack.topics.changes[0], partitions=6)
    await append(kafka.bootstrap, stack.topics.changes[0], records)
    indexer = stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    await stack.settled()
    before = await newest_documents(stack)
    assert {Mark.parse(metadata).collection for _, metadata in (await offsets(stack)).values()} != {""}

    # While it runs and at every start after it, the indexer ends; it says the remedy, and nothing is deleted in the topic.
    stack.vectors.stop()
    shutil.rmtree(next(stack.text_directory.parent.glob("vectors")))
    stack.start_vectors()
    await append(kafka.bootstrap, stack.topics.changes[0], prices(records))
    await eventually(lambda: not indexer.running, timeout=60, pause=0.1)
    assert indexer.returncode == 1
    indexer.stop()  # nobody is alarmed by it any more
    again = stack.start("indexer", "indexer-again")
    await eventually(lambda: not again.running, timeout=60, pause=0.1)
    assert again.returncode == 1
    assert "ferroflux reconcile --source documents --repair" in again.tail()
    again.stop()
    now = await newest_documents(stack)
    assert {key for key, document in now.items() if not document.deleted} == {
        key for key, document in before.items() if not document.deleted
    }

    said = await operator.types("reconcile --source documents --repair --no-replica --settle-s 0")
    assert json.loads(said.strip().splitlines()[-1])["events_sent"] > 0
    stack.start("indexer", "indexer-restored")
    await asyncio.to_thread(stack.wait_ready, "indexer-restored")
    await stack.settled()
    everything = [*records, *prices(records)]
    restored = await newest_documents(stack)
    oracle = oracle_of(everything)
    assert {key for key, document in restored.items() if not document.deleted} == {
        key for key, state in oracle.items() if state.alive
    }
    assert {document.price for document in restored.values() if not document.deleted} == {77.0}
    assert {restored[key].title for key in oracle if oracle[key].alive} == {
        before[key].title for key in oracle if oracle[key].alive
    }
    # What the log still holds brings the versions back: the store ends as if it had never been lost.
    await operator.types(f"replay --yes --kafka {kafka.bootstrap}")
    await stack.settled()
    await assert_converged(stack, oracle)


async def test_topics_that_are_made_again_are_read_from_their_beginning_and_the_documents_are_published_again(
    kafka, stack_of
):
    stack = stack_of(kafka)
    topic = stack.topics.changes[0]
    first, second = history(43, skus=30, changes=120), history(44, skus=30, changes=600, tenant="bolt")
    await create_topic(kafka.bootstrap, topic, partitions=2)
    await append(kafka.bootstrap, topic, first)
    indexer = stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    await stack.settled()
    former = await offsets(stack)
    async with admin(kafka.bootstrap) as client:
        await client.delete_topics([topic, stack.topics.documents])
    await create_topic(kafka.bootstrap, topic, partitions=2)
    await create_topic(kafka.bootstrap, stack.topics.documents, config={"cleanup.policy": "compact"})
    await append(kafka.bootstrap, topic, second)
    await eventually(lambda: not indexer.running, timeout=60, pause=0.1)
    assert "was deleted and created again while it was read" in indexer.tail()
    indexer.stop()
    # Kafka forgets a group's offsets with the topic, and a consumer that commits a moment later brings them back.
    async with GroupAdmin(KafkaSettings(bootstrap=kafka.bootstrap)) as group:
        await group.begin_at(
            stack.group,
            {place: offset for place, (offset, _) in former.items()},
            {place: metadata for place, (_, metadata) in former.items()},
        )
    stack.start("indexer", "indexer-again")
    await asyncio.to_thread(stack.wait_ready, "indexer-again")
    await stack.settled()
    await assert_converged(stack, oracle_of([*first, *second]))

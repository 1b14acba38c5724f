"""Processes and brokers that die under load: afterwards every SKU equals the merge oracle, nothing lost, nothing doubled."""

import asyncio
import random

import httpx
import pytest

from tests.support.kafka.clients import append, create_topic
from tests.support.stack.histories import history
from tests.support.stack.oracle import assert_converged, oracle_of
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


async def produce_in_pieces(kafka, topic, records, *, pieces=40, pause_s=0.2):
    """Append steadily, so that whatever is killed meanwhile has work in its hands."""
    size = -(-len(records) // pieces)
    for start in range(0, len(records), size):
        await append(kafka.bootstrap, topic, records[start : start + size])
        await asyncio.sleep(pause_s)


async def test_kills_of_indexers_and_replica_under_load(kafka, stack_of):
    stack = stack_of(kafka)
    rng = random.Random(17)
    records = history(23, skus=500, changes=16_000)
    await create_topic(kafka.bootstrap, stack.topics.changes[0], partitions=6)
    indexers = [stack.start("indexer", "indexer-1"), stack.start("indexer", "indexer-2")]
    replica = stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")

    producing = asyncio.create_task(produce_in_pieces(kafka, stack.topics.changes[0], records))
    for turn in range(4):
        await asyncio.sleep(rng.uniform(0.8, 1.8))
        victim = indexers[turn % 2]
        victim.kill()
        replica.kill()
        assert victim.returncode == -9
        victim.start()
        replica.start()
        await asyncio.to_thread(stack.wait_ready, victim.name)
    await producing

    await stack.settled()
    await assert_converged(stack, oracle_of(records))


async def test_a_broker_that_is_killed_and_restarted_under_load(breakable_kafka, stack_of):
    stack = stack_of(breakable_kafka)
    records = history(29, skus=400, changes=8_000)
    await create_topic(breakable_kafka.bootstrap, stack.topics.changes[0], partitions=6)
    stack.start("indexer", "indexer-1")
    stack.start("indexer", "indexer-2")
    stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")
    half = len(records) // 2
    await produce_in_pieces(breakable_kafka, stack.topics.changes[0], records[:half], pieces=10, pause_s=0.05)

    breakable_kafka.kill()
    await asyncio.sleep(1)
    await asyncio.to_thread(breakable_kafka.start)
    await produce_in_pieces(breakable_kafka, stack.topics.changes[0], records[half:], pieces=10, pause_s=0.05)
    await asyncio.to_thread(breakable_kafka.restart)

    await stack.settled()
    await assert_converged(stack, oracle_of(records))


async def test_a_vector_store_that_is_killed_and_restarted_under_load(kafka, stack_of):
    stack = stack_of(kafka)
    records = history(31, skus=300, changes=5_000)
    await create_topic(kafka.bootstrap, stack.topics.changes[0], partitions=6)
    stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    producing = asyncio.create_task(produce_in_pieces(kafka, stack.topics.changes[0], records, pieces=15, pause_s=0.1))
    await asyncio.sleep(0.7)
    stack.vectors.stop()
    await asyncio.sleep(2)
    stack.start_vectors()
    await producing

    await stack.settled()
    await assert_converged(stack, oracle_of(records))


async def test_background_tasks_that_die_under_load(kafka, stack_of):
    stack = stack_of(kafka)
    records = history(37, skus=300, changes=5_000)
    await create_topic(kafka.bootstrap, stack.topics.changes[0], partitions=6)
    faults = "document-verifier=retryable@1 follow-generations=defect@2 change-consumer=fatal@4"
    indexer = stack.start("indexer", environment={"FERROFLUX_TEST_TASK_FAULTS": faults})
    stack.start("replica", environment={"FERROFLUX_TEST_TASK_FAULTS": "replica=defect@4 alias-tailer=retryable@1"})
    stack.wait_ready("replica")
    producing = asyncio.create_task(produce_in_pieces(kafka, stack.topics.changes[0], records, pieces=15, pause_s=0.2))

    # What is fatal ends the process with its reason; whatever watches over processes starts it again.
    await eventually(lambda: not indexer.running, timeout=60, pause=0.1)
    assert indexer.returncode == 1
    assert "a test ended this; start it again" in indexer.tail()
    indexer.stop()  # nobody is alarmed by it any more
    stack.start("indexer", "indexer-again")
    await asyncio.to_thread(stack.wait_ready, "indexer-again", "replica")
    await producing

    await stack.settled()
    await assert_converged(stack, oracle_of(records))
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(stack.url("replica", "/metrics"))).text
    assert 'ferroflux_task_restarts_total{cause="defect",task="replica"} 1.0' in metrics
    assert 'ferroflux_task_restarts_total{cause="retryable",task="alias-tailer"} 1.0' in metrics
    assert 'ferroflux_task_up{task="replica"} 1.0' in metrics

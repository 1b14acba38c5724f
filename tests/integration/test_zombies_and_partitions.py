"""Indexers that are stopped for longer than their session and wake up, and partitions that are added while all runs.

The third and fourth row of the fault matrix (docs/explanation/faults.md). The encoder is slow, so that an indexer that has
work is in the middle of a batch, wherever it is stopped.
"""

import asyncio

import httpx
import pytest
from aiokafka.admin import NewPartitions

from tests.support.kafka.clients import Record, admin, append, committed, create_topic, end_offsets, read_all
from tests.support.processes import ManagedProcess
from tests.support.stack.histories import history
from tests.support.stack.oracle import assert_converged, oracle_of
from tests.support.stack.stack import Stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

SLOW_ENCODER = {"FERROFLUX_TEST_ENCODER": "slow"}
LEFT = "batch left to the partitions' new owner"


async def started(stack: Stack, *, partitions: int) -> list[ManagedProcess]:
    """Topics, two slow indexers and a replica."""
    await create_topic(stack.kafka.bootstrap, stack.topics.changes[0], partitions=partitions)
    indexers = [stack.start("indexer", f"indexer-{number}", SLOW_ENCODER) for number in (1, 2)]
    stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")
    return indexers


async def until_committed(stack: Stack, *, timeout_s: float) -> None:
    """Wait until the group has committed every change, whoever of its members did."""
    topic = stack.topics.changes[0]

    async def behind() -> int:
        ends = await end_offsets(stack.kafka.bootstrap, topic)
        done = await committed(stack.kafka.bootstrap, stack.group)
        return sum(end - max(0, done.get((topic, number), 0)) for number, end in ends.items())

    async with asyncio.timeout(timeout_s):
        while await behind():  # noqa: ASYNC110 - other processes commit, and set no event of ours
            await asyncio.sleep(0.25)


def has_work(stack: Stack, indexer: ManagedProcess) -> bool:
    """Whether the indexer's own partitions hold what it has not committed."""
    lag = httpx.get(stack.url(indexer.name, "/readyz"), timeout=5).json()["lag"]
    return sum(lag.values()) > 50


@pytest.mark.parametrize("after_the_others", [True, False], ids=["wakes up when all is done", "wakes up in the middle"])
async def test_an_indexer_that_is_stopped_in_mid_batch_and_wakes_up_changes_nothing(
    kafka, stack_of, after_the_others: bool
):
    stack = stack_of(kafka)
    indexers = await started(stack, partitions=6)
    topic, records = stack.topics.changes[0], history(43, skus=150, changes=2_400)
    rounds = [records[start : start + 600] for start in range(0, 2_400, 600)]
    for number, zombie in enumerate(indexers):
        older, newer = rounds[2 * number], rounds[2 * number + 1]
        await append(kafka.bootstrap, topic, older)
        await eventually(lambda zombie=zombie: has_work(stack, zombie), timeout=30, pause=0.02)
        zombie.suspend()
        await append(kafka.bootstrap, topic, newer)
        if after_the_others:
            # Everything that the zombie holds is taken in by the other, and overtaken, before it wakes up.
            await until_committed(stack, timeout_s=90)
        else:
            await asyncio.sleep(8)  # the session is 6 s: the group has gone on without it
        zombie.resume()
        await asyncio.to_thread(zombie.wait_for_line, LEFT, 60)
        await asyncio.to_thread(stack.wait_ready, zombie.name)
        await until_committed(stack, timeout_s=90)

    await stack.settled()
    await assert_converged(stack, oracle_of(records))


async def test_partitions_that_are_added_while_indexers_and_replica_run(kafka, stack_of):
    stack = stack_of(kafka)
    await started(stack, partitions=3)
    topic, records = stack.topics.changes[0], history(47, skus=150, changes=1_800)
    pieces = [records[start : start + 200] for start in range(0, len(records), 200)]
    for number, piece in enumerate(pieces):
        await append(kafka.bootstrap, topic, piece)
        if number in (2, 5):
            async with admin(kafka.bootstrap) as client:
                await client.create_partitions({topic: NewPartitions(total_count=3 + 3 * (number // 2))})
        await asyncio.sleep(0.3)

    # Noticed by looking, every 5 s: with aiokafka's default the new partitions would wait for five minutes.
    await until_committed(stack, timeout_s=90)
    await stack.settled()
    await assert_converged(stack, oracle_of(records))
    ends = await end_offsets(kafka.bootstrap, topic)
    assert len(ends) == 9
    assert all(ends[number] for number in range(9)), f"a partition was never written to: {ends}"
    assert moved_keys(await read_all(kafka.bootstrap, topic)), "no product's changes came by two partitions"


def moved_keys(read: list[Record]) -> set[bytes | None]:
    """Keys whose records lie in more than one partition."""
    places: dict[bytes | None, set[int | None]] = {}
    for record in read:
        places.setdefault(record.key, set()).add(record.partition)
    return {key for key, partitions in places.items() if len(partitions) > 1}
